//! What is built: the image's name and tags, for which platform, from which root.

use std::collections::BTreeSet;

use super::super::values;
use super::super::vars::BUILT_IN;
use super::super::{Context, Isa, LATER, MISSING, Origin, Platform, Root};
use super::{Overrides, Resolver, VALUE};
use crate::report::{Diagnostic, Span, Spanned};

impl Resolver<'_> {
    pub(super) fn checked_variable_names(&mut self) {
        for (name, _) in &self.merged.keys.vars.0 {
            if let Err(invalid) = values::variable(&name.value) {
                self.mistake(Diagnostic::error(VALUE, invalid.title).at(name.span, invalid.label));
            } else if BUILT_IN.contains(&name.value.as_str()) {
                let mistake = Diagnostic::error(VALUE, format!("variable `{}` is built in", name.value));
                self.mistake(mistake.at(name.span, "it always has its own value: take another name"));
            }
        }
    }

    pub(super) fn name(&mut self) -> Option<Spanned<String>> {
        if let Some(text) = &self.merged.keys.name {
            return self.parse(&text.0, values::image_name);
        }
        let mistake = Diagnostic::error(MISSING, format!("`{}` has no `name`", self.merged.origin));
        let mistake = mistake.at(self.merged.span, "the image needs one");
        let Some(stem) = &self.merged.default_name else {
            let example = format!(
                "add a line: name = \"{}\"",
                if self.merged.stem.is_empty() { "web" } else { &self.merged.stem }
            );
            self.missing(mistake.help(example));
            return None;
        };
        match values::image_name(stem) {
            Ok(name) => Some(Spanned::new(name, self.merged.span)),
            Err(invalid) => {
                self.missing(mistake.note(format!("the file's own is not one: {}", invalid.title)));
                None
            }
        }
    }

    pub(super) fn tags(&mut self, overrides: &Overrides) -> Vec<Spanned<String>> {
        let tags = if overrides.tags.is_empty() {
            self.list(self.merged.keys.tags.as_ref(), values::tag)
        } else {
            overrides.tags.clone()
        };
        let mut seen = BTreeSet::new();
        let tags: Vec<_> = tags.into_iter().filter(|tag| seen.insert(tag.value.clone())).collect();
        if tags.is_empty() { vec![Spanned::new(String::from("latest"), self.merged.span)] } else { tags }
    }

    /// The platforms that the recipe names, each once.
    pub(super) fn platforms(&mut self) -> Vec<Spanned<Platform>> {
        let platforms = self.list(self.merged.keys.platforms.as_ref(), str::parse::<Platform>);
        let mut seen = BTreeSet::new();
        platforms.into_iter().filter(|platform| seen.insert(platform.value.clone())).collect()
    }

    /// The variants of libraries to take: those that the recipe names, else those of the processor that the platform
    /// names.
    pub(super) fn isa(&mut self, platform: Option<&Spanned<Platform>>) -> Isa {
        let named = platform.and_then(|platform| Some((platform.span, platform.value.isa()?)));
        let Some(asked) = self.optional(self.merged.keys.isa.as_ref(), values::isa) else {
            return named.map_or(Isa::Baseline, |(_, level)| Isa::Level(level));
        };
        if let (Isa::Level(asked_level), Some((span, level))) = (&asked.value, &named)
            && asked_level > level
        {
            let mistake = Diagnostic::error(VALUE, format!("`isa` is {asked_level}, more than the platform's {level}"));
            self.mistake(mistake.at(asked.span, "libraries for these processors").and_at(*span, "runs on lesser ones"));
        }
        asked.value
    }

    pub(super) fn root(&mut self, context: &Context, platform: Option<&Spanned<Platform>>) -> Root {
        if let Some(path) = &context.root {
            return if path.as_os_str() == "/" { Root::Host } else { Root::Folder(path.clone(), None) };
        }
        let keys = &self.merged.keys;
        let rank = |span: Span| self.files.get(&span.text).map_or(0, |(rank, _)| *rank);
        let by_platform = keys.roots.0.iter().rev().max_by_key(|(key, _)| rank(key.span));
        match (&keys.root, by_platform) {
            (Some(root), Some((key, _))) if rank(root.0.span) == rank(key.span) => {
                let mistake = Diagnostic::error(MISSING, "`root` and [roots] exclude one another");
                self.mistake(mistake.at(root.0.span, "one root for all platforms").and_at(key.span, "one for each"));
                Root::Host
            }
            (None, None) => Root::Host,
            (Some(root), Some((key, _))) if rank(root.0.span) > rank(key.span) => self.root_of(&root.0),
            (Some(root), None) => self.root_of(&root.0),
            (_, Some((key, _))) => self.root_by_platform(key.span, platform),
        }
    }

    fn root_by_platform(&mut self, at: Span, platform: Option<&Spanned<Platform>>) -> Root {
        let wanted = platform.map_or_else(Platform::host, |platform| platform.value.clone());
        let (mut found, before): (Option<(bool, &Spanned<String>)>, _) = (None, self.variables.mistakes.len());
        for (key, text) in &self.merged.keys.roots.0 {
            let Some(key) = self.parse(key, str::parse::<Platform>) else { continue };
            let exact = key.value == wanted;
            if key.value.holds_for(&wanted) && found.is_none_or(|(better, _)| exact || !better) {
                found = Some((exact, &text.0));
            }
        }
        if found.is_none() && self.variables.mistakes.len() > before {
            return Root::Host;
        }
        let Some((_, text)) = found else {
            let mistake = Diagnostic::error(MISSING, format!("[roots] has none for {wanted}"));
            let mistake = mistake.at(at, "only others are listed");
            self.missing(match platform {
                Some(platform) => mistake.and_at(platform.span, "this platform"),
                None => mistake.note("the recipe names no platform, so that of this machine is taken"),
            });
            return Root::Host;
        };
        self.root_of(text)
    }

    fn root_of(&mut self, text: &Spanned<String>) -> Root {
        const LATER_KINDS: [&str; 5] = ["oci:", "oci-archive:", "docker-archive:", "docker://", "docker-daemon:"];
        let Some(expanded) = self.variables.expand(text) else { return Root::Host };
        if LATER_KINDS.iter().any(|kind| expanded.value.starts_with(kind)) {
            let mistake = Diagnostic::error(LATER, "an image as root is not in this version");
            self.mistake(
                mistake.at(text.span, "not in this version of mkimage").help("unpack it, and name the folder"),
            );
            return Root::Host;
        }
        let folder = self.folder(text.span);
        let valid = self.parse(text, |text| values::origin(text, folder, values::BareWord::File));
        match valid {
            Some(_) if expanded.value.bytes().all(|b| b == b'/') => Root::Host,
            Some(origin) if matches!(origin.value, Origin::Beside { .. }) && self.beside_nothing(text) => Root::Host,
            Some(_) => Root::Folder(folder.join(&expanded.value), Some(text.span)),
            None => Root::Host,
        }
    }
}
