//! What goes into the image's configuration: OCI's words and Docker's health check.

use std::collections::{BTreeMap, BTreeSet};

use super::super::kinds::{Text, Words};
use super::super::tables::Mapping;
use super::super::values::{self, Invalid};
use super::super::{Config, Healthcheck, MISSING, words};
use super::Resolver;
use crate::report::{Diagnostic, Spanned};

impl Resolver<'_> {
    pub(super) fn config(&mut self) -> Config {
        let keys = &self.merged.keys;
        Config {
            entrypoint: self.words(keys.entrypoint.as_ref()),
            cmd: self.words(keys.cmd.as_ref()),
            workdir: self.optional(keys.workdir.as_ref(), values::image_path),
            env: self.mapping(&keys.env, values::variable_of_environment),
            ports: self.ports(),
            volumes: self.set(&keys.volumes.0, "volumes", values::image_path),
            stop_signal: self.scalar(keys.stop_signal.as_ref(), values::signal),
            healthcheck: self.healthcheck(),
            labels: self.mapping(&keys.labels, values::label_key),
            annotations: self.mapping(&keys.annotations, values::label_key),
        }
    }

    pub(super) fn words(&mut self, words: Option<&Words>) -> Option<Vec<Spanned<String>>> {
        let words = words?;
        Some(words.0.value.iter().filter_map(|text| self.variables.expand(&text.0)).collect())
    }

    /// A table of the user's own keys, which hold no variables.
    pub(super) fn mapping(
        &mut self,
        table: &Mapping<Text>,
        check: impl Fn(&str) -> Result<(), Invalid>,
    ) -> BTreeMap<String, Spanned<String>> {
        let mut map = BTreeMap::new();
        for (key, value) in &table.0 {
            if let Err(invalid) = check(&key.value) {
                self.mistake(Diagnostic::error(super::VALUE, invalid.title).at(key.span, invalid.label));
            } else if let Some(value) = self.variables.expand(&value.0) {
                map.insert(key.value.clone(), value);
            }
        }
        map
    }

    fn ports(&mut self) -> Vec<Spanned<String>> {
        let ports = self.gather(
            &self.merged.keys.ports.0,
            "ports",
            |scalar| Some(&scalar.0),
            |this, scalar| {
                let port = this.parse(&scalar.0, values::port)?;
                let short = port.value.trim_end_matches("/tcp").to_owned();
                Some((scalar.0.span, vec![short, port.value.clone()], port))
            },
        );
        let mut seen = BTreeSet::new();
        ports.into_iter().filter(|port| seen.insert(port.value.clone())).collect()
    }

    fn healthcheck(&mut self) -> Option<Healthcheck> {
        let keys = self.merged.keys.healthcheck.0.as_ref()?;
        let test = self.words(keys.test.as_ref()).unwrap_or_default();
        let retries = keys.retries.as_ref().and_then(|number| {
            let span = number.0.span;
            let retries = values::number(number.0.value, 1, i64::from(i32::MAX), "a count of failures");
            retries
                .map_err(|invalid| self.mistake(Diagnostic::error(super::VALUE, invalid.title).at(span, invalid.label)))
                .ok()
        });
        let check = Healthcheck {
            test: test.iter().map(|word| word.value.clone()).collect(),
            interval: self.scalar(keys.interval.as_ref(), values::duration).map(|time| time.value),
            timeout: self.scalar(keys.timeout.as_ref(), values::duration).map(|time| time.value),
            start_period: self.scalar(keys.start_period.as_ref(), values::duration).map(|time| time.value),
            retries,
        };
        match test.first() {
            Some(word) if ["CMD", "CMD-SHELL", "NONE"].contains(&word.value.as_str()) => {
                let mistake = Diagnostic::error(super::VALUE, format!("`{}` is not a program", word.value));
                let mistake = mistake.at(word.span, "Docker's word: here the list is the program and its arguments");
                let rest = check.test.iter().skip(1).map(|word| words::quote(word)).collect::<Vec<_>>().join(", ");
                let list = keys.test.as_ref().map(|words| words.0.span);
                self.mistake(match list.filter(|_| word.value == "CMD" && !rest.is_empty()) {
                    Some(span) => mistake.fix("leave it out", vec![(span, format!("[{rest}]"))]),
                    None => mistake.help("no shell is there to run a line: name a program and its arguments"),
                });
            }
            Some(_) => {}
            None => {
                let mistake = Diagnostic::error(MISSING, "[healthcheck] needs `test`: the program to run");
                self.missing(mistake.at(keys.span, "missing here"));
            }
        }
        Some(check)
    }
}
