//! How files are spread over layers, and what the image may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::keys::WaiveKeys;
use super::super::tables::WordOrList;
use super::super::values::{self, Invalid};
use super::super::{IgnoredDlopen, LayerRule, Layers, MISSING, Policy, SbomFormat, Waiver};
use super::Resolver;
use crate::oci::Digest;
use crate::report::{Diagnostic, Spanned, TextId, Texts};

/// At most ten layers; what no entry of a list takes goes into a last one.
const MOST_LAYERS: usize = 9;

impl Resolver<'_> {
    pub(super) fn layers(&mut self) -> Layers {
        match &self.merged.keys.layers {
            None => Layers::default(),
            Some(WordOrList::Word(text)) => self.parse(text, word).map(|layers| layers.value).unwrap_or_default(),
            Some(WordOrList::List(list)) => {
                let mut rules: Vec<LayerRule> = Vec::new();
                for keys in &list.value {
                    let Some(name) = &keys.name else {
                        self.mistake(
                            Diagnostic::error(MISSING, "an entry of `layers` needs `name`")
                                .at(keys.span, "missing here"),
                        );
                        continue;
                    };
                    let name = self.parse(&name.0, values::layer_name);
                    let packages = self.list(keys.packages.as_ref(), values::package);
                    let paths = self.list(keys.paths.as_ref(), values::path_glob);
                    let Some(name) = name else { continue };
                    if let Some(twin) = rules.iter().find(|rule| rule.name.value == name.value) {
                        let mistake = Diagnostic::error(super::VALUE, format!("layer `{}` is there twice", name.value));
                        self.mistake(mistake.at(name.span, "again here").and_at(twin.name.span, "first here"));
                    }
                    rules.push(LayerRule { name, packages, paths });
                }
                if let Some(rule) = rules.get(MOST_LAYERS) {
                    let mistake = Diagnostic::error(super::VALUE, "an image has at most 10 layers");
                    let rest = format!("the list has {}, and the rest goes into one more", rules.len());
                    self.mistake(mistake.at(rule.name.span, rest));
                }
                Layers::List(rules)
            }
        }
    }

    pub(super) fn sbom(&mut self) -> Vec<SbomFormat> {
        let words = self.merged.keys.sbom.iter().flat_map(|list| &list.0.value);
        let formats: BTreeSet<SbomFormat> =
            words.filter_map(|word| self.parse(&word.0, values::sbom)).map(|format| format.value).collect();
        formats.into_iter().collect()
    }

    /// Documents beside the file that names them.
    pub(super) fn vex(&mut self) -> Vec<Spanned<PathBuf>> {
        self.gather(
            &self.merged.keys.vex.0,
            "vex",
            |text| Some(&text.0),
            |this, text| {
                let name = this.parse(&text.0, values::vex)?;
                if Path::new(&name.value).is_relative() && this.beside_nothing(&text.0) {
                    return None;
                }
                let path = this.folder(text.0.span).join(&name.value);
                Some((text.0.span, vec![name.value], Spanned::new(path, text.0.span)))
            },
        )
    }

    /// The files that make up the recipe, as it would name them.
    pub(super) fn recipe_texts(&self, texts: &Texts) -> Vec<(String, Digest)> {
        let name = |id, folder: &Option<PathBuf>| {
            let Some(folder) = folder else { return texts.name(id).to_owned() };
            let file = Path::new(texts.name(id))
                .file_name()
                .map_or_else(|| "recipe".to_owned(), |name| name.to_string_lossy().into_owned());
            relative(&self.merged.folder, folder).join(file).to_string_lossy().into_owned()
        };
        let counts = |(id, folder): &&(TextId, Option<PathBuf>)| folder.is_none() || texts.is_file(*id);
        let all = self.merged.files.iter().filter(|file| counts(file) || self.merged.files.len() == 1);
        all.map(|(id, folder)| (name(*id, folder), Digest::of(texts.text(*id).as_bytes()))).collect()
    }

    pub(super) fn policy(&mut self) -> Policy {
        let Some(keys) = &self.merged.keys.policy.0 else { return Policy::default() };
        if let Some(list) = keys.forbid_waivers.as_ref().filter(|_| !self.merged.floor) {
            let mistake = Diagnostic::error(super::VALUE, "`forbid-waivers` is no key of a recipe's policy");
            self.mistake(mistake.at(list.0.span, "only a policy that `--policy` lays over recipes forbids waivers"));
        }
        let mut rules = BTreeMap::new();
        for (name, text) in keys.rules() {
            rules.extend(self.parse(&text.0, values::verdict).map(|verdict| (name.to_owned(), verdict)));
        }
        let allowed = keys.allow_packages.as_ref().map(|list| list.0.span);
        let max_files = keys.max_files.as_ref().and_then(|number| {
            let span = number.0.span;
            match values::number(number.0.value, 1, i64::MAX, "a count of files") {
                Ok(count) => Some(Spanned::new(count, span)),
                Err(invalid) => {
                    self.mistake(Diagnostic::error(super::VALUE, invalid.title).at(span, "a positive number"));
                    None
                }
            }
        });
        let mut ignore_dlopen = Vec::new();
        for (key, text) in &keys.ignore_dlopen.0 {
            let name = self.parse(key, |name| values::library_name(name).map(|()| name.to_owned()));
            let reason = self.parse(&text.0, values::reason);
            ignore_dlopen.extend(name.zip(reason).map(|(name, reason)| IgnoredDlopen { name, reason: reason.value }));
        }
        Policy {
            rules,
            ignore_dlopen,
            max_size: self.scalar(keys.max_size.as_ref(), values::size),
            max_download: self.scalar(keys.max_download.as_ref(), values::size),
            max_files,
            deny_files: self.list(keys.deny_files.as_ref(), values::path_glob),
            deny_packages: self.list(keys.deny_packages.as_ref(), values::package),
            allow_packages: allowed
                .map(|span| Spanned::new(self.list(keys.allow_packages.as_ref(), values::package), span)),
            deny_licenses: self.list(keys.deny_licenses.as_ref(), values::license),
            allow_licenses: keys
                .allow_licenses
                .as_ref()
                .map(|list| Spanned::new(self.list(Some(list), values::license), list.0.span)),
            waivers: keys.waive.0.iter().filter_map(|waiver| self.waiver(waiver)).collect(),
            floor: None,
        }
    }

    fn waiver(&mut self, keys: &Spanned<WaiveKeys>) -> Option<Waiver> {
        let missing = |name: &str| {
            Diagnostic::error(MISSING, format!("an entry of `policy.waive` needs `{name}`"))
                .at(keys.span, "missing here")
        };
        if keys.rule.is_none() {
            self.mistake(missing("rule"));
        }
        if keys.reason.is_none() {
            self.mistake(missing("reason").help("say why it is accepted: whoever reads a report sees it"));
        }
        let rule = self.parse(&keys.rule.as_ref()?.0, values::rule);
        let reason = self.parse(&keys.reason.as_ref()?.0, values::reason);
        let path = keys.path.as_ref().map(|text| self.parse(&text.0, values::path_glob));
        let until = keys.until.as_ref().map(|text| self.parse(&text.0, values::date));
        let optional = |there: bool, parsed: bool| there == parsed;
        let whole = optional(path.is_some(), path.as_ref().is_some_and(Option::is_some))
            && optional(until.is_some(), until.as_ref().is_some_and(Option::is_some));
        let waiver = Waiver {
            span: keys.span,
            rule: rule?,
            path: path.flatten(),
            reason: reason?.value,
            until: until.flatten(),
        };
        whole.then_some(waiver)
    }

    /// Rules that no recipe may waive: the business of a floor.
    pub(super) fn forbidden_waivers(&mut self) -> Vec<Spanned<String>> {
        let keys = self.merged.keys.policy.0.as_ref();
        self.list(keys.and_then(|keys| keys.forbid_waivers.as_ref()), values::rule)
    }
}

fn word(text: &str) -> Result<Layers, Invalid> {
    match text {
        "auto" => Ok(Layers::Auto),
        "single" => Ok(Layers::Single),
        "package" => Ok(Layers::Package),
        _ => Err(values::no_layers(text)),
    }
}

/// The way from one folder to another, by `..` where it has to be.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (from, to) = (absolute(from), absolute(to));
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| std::path::Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}
