//! The recipe's own tests: `[[test]]`.

use std::path::PathBuf;

use super::super::kinds::{OneOrMore, Scalar, Text};
use super::super::tables::{Calls, Mapping, Section};
use super::super::trial::{Call, Expect, FileCheck, HttpCheck, Test, TextCheck};
use super::super::trial_keys::{CallKeys, ExpectKeys, HttpKeys, TestKeys};
use super::super::values::{self, Invalid};
use super::super::{MISSING, VALUE};
use super::Resolver;
use crate::path::ImagePath;
use crate::report::{Diagnostic, Span, Spanned};

impl Resolver<'_> {
    /// All tests, those of lower files first. One of the same name in a higher file takes the place of a lower one's.
    pub(super) fn tests(&mut self) -> Vec<Test> {
        let mut tests: Vec<Test> = Vec::new();
        for keys in &self.merged.keys.test.0 {
            let test = self.test(keys);
            let name = |test: &Test| test.name.as_ref().map(|name| name.value.clone());
            match tests.iter_mut().find(|known| name(&test).is_some() && name(known) == name(&test)) {
                None => tests.push(test),
                Some(known) if known.span.text != test.span.text => *known = test,
                Some(known) => {
                    let title = format!("two tests are called `{}`", name(&test).unwrap_or_default());
                    let mistake = Diagnostic::error(VALUE, title).at(test.span, "a name of its own, or none");
                    let mistake = mistake.and_at(known.span, "the first");
                    self.mistake(mistake);
                }
            }
        }
        tests
    }

    fn test(&mut self, keys: &Spanned<TestKeys>) -> Test {
        let call = CallKeys {
            recipe: None,
            run: keys.run.clone(),
            args: keys.args.clone(),
            env: keys.env.clone(),
            stdin: keys.stdin.clone(),
            as_user: keys.as_user.clone(),
            mounts: keys.mounts.clone(),
            port: keys.port.clone(),
            expect: keys.expect.clone(),
        };
        let test = Test {
            span: keys.span,
            name: self.optional(keys.name.as_ref(), values::line),
            skip: self.optional(keys.skip.as_ref(), values::line),
            call: self.call(&call, keys.span),
            files: self.list(keys.files.as_ref(), file_check),
            http: keys.http.iter().flat_map(|http| &http.0).filter_map(|http| self.http(http)).collect(),
            before: self.calls(keys.before.as_ref()),
            beside: self.calls(keys.beside.as_ref()),
            client: self.calls(keys.client.as_ref()),
            shared: self.list(keys.shared.as_ref(), values::image_path),
            stops_within: self.scalar(keys.stops_within.as_ref(), values::duration),
            timeout: self.scalar(keys.timeout.as_ref(), values::duration),
        };
        self.checked_services(&test);
        test
    }

    /// What only a service has, and what only a program that ends.
    fn checked_services(&mut self, test: &Test) {
        for call in test.beside.iter().filter(|call| call.recipe.is_none() && call.run.is_none() && call.args.is_none())
        {
            let mistake = Diagnostic::error(MISSING, "what runs beside the image needs `recipe`, `run` or `args`");
            self.missing(mistake.at(call.span, "would be the image once more"));
        }
        for call in test.before.iter().chain(&test.client) {
            if let Some(port) = &call.port {
                let mistake = Diagnostic::error(VALUE, "a program that runs to its end is waited for, not its port");
                self.mistake(mistake.at(port.span, "only of services: the test itself and `beside`"));
            }
        }
    }

    fn calls(&mut self, calls: Option<&Calls>) -> Vec<Call> {
        match calls {
            None => Vec::new(),
            Some(Calls::Tables(tables)) => tables.0.iter().map(|keys| self.call(keys, keys.span)).collect(),
            Some(Calls::Words(words)) => {
                let keys = CallKeys { run: Some(words.clone()), ..CallKeys::default() };
                vec![self.call(&keys, words.0.span)]
            }
        }
    }

    fn call(&mut self, keys: &CallKeys, span: Span) -> Call {
        let run = self.words(keys.run.as_ref());
        if run.as_ref().is_some_and(Vec::is_empty) {
            let span = keys.run.as_ref().map_or(span, |run| run.0.span);
            self.missing(Diagnostic::error(MISSING, "no program is named").at(span, "a program and its arguments"));
        }
        if let (Some(run), Some(args)) = (&keys.run, &keys.args) {
            let mistake = Diagnostic::error(VALUE, "`run` and `args` exclude one another");
            let mistake = mistake.at(args.0.span, "arguments of the image's own entrypoint");
            self.mistake(mistake.and_at(run.0.span, "in place of the entrypoint, with its arguments"));
        }
        Call {
            span,
            recipe: keys.recipe.as_ref().and_then(|text| self.beside(text)),
            run,
            args: self.words(keys.args.as_ref()),
            env: self.mapping(&keys.env, values::variable_of_environment),
            stdin: keys.stdin.as_ref().and_then(|text| self.variables.expand(&text.0)),
            as_user: self.user_of_test(keys.as_user.as_ref()),
            mounts: self.mounts(&keys.mounts),
            port: self.port_number(keys.port.as_ref()),
            expect: self.expect(&keys.expect),
        }
    }

    /// A file or folder beside the recipe, or an absolute one of this machine.
    fn beside(&mut self, text: &Text) -> Option<Spanned<PathBuf>> {
        let folder = self.folder(text.0.span);
        let path = self.parse(&text.0, |text| values::line(text).map(PathBuf::from))?;
        if path.value.is_relative() && self.beside_nothing(&text.0) {
            return None;
        }
        Some(path.map(|path| folder.join(path)))
    }

    fn mounts(&mut self, table: &Mapping<Text>) -> Vec<(Spanned<ImagePath>, PathBuf)> {
        let mut mounts = Vec::new();
        for (key, value) in &table.0 {
            let path = self.parse(key, values::image_path);
            mounts.extend(path.zip(self.beside(value)).map(|(path, from)| (path, from.value)));
        }
        mounts
    }

    fn user_of_test(&mut self, user: Option<&Scalar>) -> Option<Spanned<String>> {
        self.scalar(user, |text| values::id_pair(text).map(|_| text.to_owned()))
    }

    fn port_number(&mut self, port: Option<&Scalar>) -> Option<Spanned<u16>> {
        self.scalar(port, |text| match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(values::not_a_tcp_port(text)),
        })
    }

    fn expect(&mut self, keys: &Section<ExpectKeys>) -> Expect {
        let Some(keys) = keys.0.as_deref() else { return Expect::default() };
        let exit = keys.exit.as_ref().and_then(|number| {
            let exit = values::number(number.0.value, 0, 255, "an exit code");
            self.in_range(exit, number.0.span)
        });
        Expect {
            exit,
            stdout: self.texts(keys.stdout.as_ref(), keys.stdout_contains.as_ref(), keys.stdout_matches.as_ref()),
            stderr: self.texts(keys.stderr.as_ref(), keys.stderr_contains.as_ref(), keys.stderr_matches.as_ref()),
        }
    }

    fn in_range<T>(&mut self, number: Result<T, Invalid>, span: Span) -> Option<Spanned<T>> {
        number
            .map_err(|invalid| self.mistake(Diagnostic::error(VALUE, invalid.title).at(span, invalid.label)))
            .ok()
            .map(|number| Spanned::new(number, span))
    }

    fn texts(
        &mut self,
        is: Option<&Text>,
        contains: Option<&OneOrMore>,
        matches: Option<&OneOrMore>,
    ) -> Vec<Spanned<TextCheck>> {
        let mut checks = Vec::new();
        checks.extend(is.and_then(|text| self.parse(&text.0, |text| Ok(TextCheck::Is(text.to_owned())))));
        for text in contains.into_iter().flat_map(|list| &list.0) {
            checks.extend(self.parse(&text.0, |text| Ok(TextCheck::Contains(text.to_owned()))));
        }
        for text in matches.into_iter().flat_map(|list| &list.0) {
            checks.extend(self.parse(&text.0, |text| values::regular_expression(text).map(TextCheck::Matches)));
        }
        checks
    }

    fn http(&mut self, keys: &Spanned<HttpKeys>) -> Option<HttpCheck> {
        let status = match &keys.status {
            Some(number) => {
                self.in_range(values::number(number.0.value, 100, 599, "an HTTP status"), number.0.span)?.value
            }
            None => 200,
        };
        let path = match &keys.path {
            Some(text) => self.parse(&text.0, values::request_path)?.value,
            None => "/".to_owned(),
        };
        Some(HttpCheck {
            span: keys.span,
            port: self.port_number(keys.port.as_ref()),
            path,
            status,
            body: self.texts(keys.body.as_ref(), keys.body_contains.as_ref(), keys.body_matches.as_ref()),
            header: self.mapping(&keys.header, values::header_name),
        })
    }
}

/// `/path`, or `!/path` for one that is not there.
fn file_check(text: &str) -> Result<FileCheck, Invalid> {
    match text.strip_prefix('!') {
        Some(absent) => values::image_path(absent).map(FileCheck::Absent),
        None => values::image_path(text).map(FileCheck::Present),
    }
}
