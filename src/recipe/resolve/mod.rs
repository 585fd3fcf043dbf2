//! A recipe's merged keys to a [`Recipe`]: variables filled in, every value checked, all mistakes collected.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::files::no_folder;
use super::keys::RecipeKeys;
use super::kinds::{List, Scalar, Text};
use super::tables::Item;
use super::values::{self, Invalid};
use super::vars::Variables;
use super::{Context, Floor, LockPlace, Part, Pin, Platform, REMOVAL, Recipe, VALUE, words};
use crate::report::{Diagnostic, Span, Spanned, TextId, Texts};

mod accounts;
mod config;
mod entries;
mod identity;
mod policy;
mod trials;

/// A recipe's keys, merged with those of all files that it extends, and where they come from.
pub(super) struct Merged {
    pub(super) keys: RecipeKeys,
    /// What a person calls the recipe.
    pub(super) origin: String,
    /// What a person calls the files that it extends.
    pub(super) bases: Vec<String>,
    pub(super) folder: PathBuf,
    pub(super) span: Span,
    /// The files that make it up, the lowest first, the recipe itself last; with their folders, which those of
    /// registries lack.
    pub(super) files: Vec<(TextId, Option<PathBuf>)>,
    /// The paths of these files, without those of registries.
    pub(super) paths: Vec<PathBuf>,
    /// Those of registries.
    pub(super) pins: Vec<Pin>,
    /// `${recipe}`.
    pub(super) stem: String,
    /// The name of the image when the recipe has none.
    pub(super) default_name: Option<String>,
    /// Whether some file had mistakes: what is missing is then no news.
    pub(super) broken: bool,
    pub(super) lock: Option<LockPlace>,
    /// Whether it is a policy that is laid over recipes.
    pub(super) floor: bool,
}

/// What the caller lays over a recipe, with places in a text that stands for the command line.
#[derive(Default)]
pub(super) struct Overrides {
    pub(super) platforms: Vec<Spanned<Platform>>,
    pub(super) tags: Vec<Spanned<String>>,
    pub(super) compression: Option<Spanned<super::Compression>>,
}

/// A recipe for each of its platforms, if they could be made, and what there is to say.
pub(super) struct Resolved {
    pub(super) recipes: Vec<Recipe>,
    pub(super) mistakes: Vec<Diagnostic>,
    /// The variables that it has or asks for.
    pub(super) variables: BTreeSet<String>,
}

/// Makes the recipe, once for each platform.
pub(super) fn resolve(merged: &Merged, overrides: &Overrides, context: &Context, texts: &Texts) -> Resolved {
    let mut all = Resolved { recipes: Vec::new(), mistakes: Vec::new(), variables: BTreeSet::new() };
    let platforms = match overrides.platforms.as_slice() {
        [] => {
            let mut resolver = Resolver::new(merged, context, texts);
            let platforms = resolver.platforms();
            all.take(resolver);
            platforms
        }
        given => given.to_vec(),
    };
    let of = platforms.len().max(1);
    for number in 0..of {
        let mut resolver = Resolver::new(merged, context, texts);
        let recipe = resolver.recipe(platforms.get(number).cloned(), overrides, context, texts);
        all.recipes.extend(recipe.map(|recipe| Recipe { part: Part { number, of }, ..recipe }));
        all.take(resolver);
    }
    all.mistakes.extend(names_differ(&all.recipes));
    if all.mistakes.iter().any(|mistake| mistake.level == crate::report::Level::Error) {
        all.recipes.clear();
    }
    all
}

/// The images for several platforms go under one name.
fn names_differ(parts: &[Recipe]) -> Option<Diagnostic> {
    let (first, others) = parts.split_first()?;
    let differs = |part: &&Recipe| part.name.value != first.name.value;
    let name = others.iter().find(differs).map(|part| (&first.name, part.name.value.clone()));
    let tags = |part: &Recipe| part.tags.iter().map(|tag| tag.value.clone()).collect::<Vec<_>>();
    let tag = others.iter().find(|part| tags(part) != tags(first));
    let tag = tag.and_then(|part| Some((first.tags.first()?, tags(part).join(", "))));
    let (own, other) = name.or(tag)?;
    let title = format!("the images of one index have one name, and here it is `{}` and `{other}`", own.value);
    Some(Diagnostic::error(VALUE, title).at(own.span, "differs by platform"))
}

impl Resolved {
    /// Takes over what a resolver has to say; what holds for every platform is said once.
    fn take(&mut self, resolver: Resolver<'_>) {
        let Variables { mistakes, asked, .. } = resolver.variables;
        self.mistakes.extend(mistakes);
        self.variables.extend(asked);
    }
}

/// Makes the policy that is laid over recipes.
pub(super) fn floor(merged: &Merged, context: &Context, texts: &Texts) -> (Floor, Vec<Diagnostic>) {
    let mut resolver = Resolver::new(merged, context, texts);
    let (policy, no_waivers) = (resolver.policy(), resolver.forbidden_waivers());
    (Floor { name: merged.origin.clone(), pin: None, policy, no_waivers }, resolver.variables.mistakes)
}

struct Resolver<'a> {
    merged: &'a Merged,
    /// For each file its rank, from 0 for the lowest, and its folder.
    files: HashMap<TextId, (usize, Option<&'a PathBuf>)>,
    texts: &'a Texts,
    variables: Variables<'a>,
    accounts: accounts::Names<'a>,
}

impl<'a> Resolver<'a> {
    fn new(merged: &'a Merged, context: &'a Context, texts: &'a Texts) -> Self {
        Self {
            merged,
            files: merged.files.iter().enumerate().map(|(at, (text, folder))| (*text, (at, folder.as_ref()))).collect(),
            texts,
            variables: Variables::new(&merged.keys.vars, context, texts, &merged.stem),
            accounts: accounts::Names::new(&merged.keys),
        }
    }

    fn recipe(
        &mut self,
        platform: Option<Spanned<Platform>>,
        overrides: &Overrides,
        context: &Context,
        texts: &Texts,
    ) -> Option<Recipe> {
        let keys = &self.merged.keys;
        self.checked_variable_names();
        self.variables.set_platform(&platform.as_ref().map_or_else(Platform::host, |platform| platform.value.clone()));
        let name = self.name();
        let tags = self.tags(overrides);
        let config = self.config();
        let recipe = Recipe {
            origin: self.merged.origin.clone(),
            bases: self.merged.bases.clone(),
            folder: self.merged.folder.clone(),
            sources: self.merged.paths.clone(),
            pins: self.merged.pins.clone(),
            span: self.merged.span,
            name: name.clone().unwrap_or_else(|| Spanned::new(String::new(), self.merged.span)),
            tags,
            root: self.root(context, platform.as_ref()),
            isa: self.isa(platform.as_ref()),
            platform,
            part: Part::default(),
            binaries: self.binaries(),
            libraries: self.libraries(),
            ignore_missing: self.set(&keys.ignore_missing.0, "ignore-missing", values::soname),
            ignore_dangling: self.set(&keys.ignore_dangling.0, "ignore-dangling", values::image_path),
            files: self.file_entries(),
            packages: self.set(&keys.packages.0, "packages", values::package),
            dirs: self.directories(),
            writable: self.set(&keys.writable.0, "writable", values::image_path),
            mounts: self.set(&keys.mounts.0, "mounts", values::image_path),
            init: keys.init.as_ref().filter(|flag| flag.0.value).map(|flag| flag.0.span),
            symlinks: self.symlinks(),
            extras: self.extras(),
            certificates: self.certificates(),
            user: self.user(),
            users: self.users(),
            groups: self.groups(),
            config,
            layers: self.layers(),
            compression: overrides.compression.clone().or_else(|| self.optional(keys.compression.as_ref(), str::parse)),
            sbom: self.sbom(),
            provenance: keys.provenance.as_ref().is_some_and(|flag| flag.0.value),
            vex: self.vex(),
            texts: self.recipe_texts(texts),
            policy: self.policy(),
            tests: self.tests(),
            lock: self.merged.lock.clone(),
        };
        name.map(|_| recipe)
    }

    fn mistake(&mut self, mistake: Diagnostic) {
        self.variables.mistakes.push(mistake);
    }

    /// Tells that something is missing, unless that may be due to a mistake that was already told.
    fn missing(&mut self, mistake: Diagnostic) {
        if !self.merged.broken {
            self.mistake(mistake);
        }
    }

    /// A string with its variables filled in, parsed.
    fn parse<T>(
        &mut self,
        text: &Spanned<String>,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<Spanned<T>> {
        let expanded = self.variables.expand(text)?;
        match parse(&expanded.value) {
            Ok(value) => Some(Spanned::new(value, text.span)),
            Err(invalid) => {
                self.invalid(text, &expanded.value, invalid);
                None
            }
        }
    }

    fn invalid(&mut self, text: &Spanned<String>, expanded: &str, invalid: Invalid) {
        let mut mistake = Diagnostic::error(VALUE, invalid.title).at(text.span, invalid.label);
        if let Some(help) = invalid.help {
            mistake = mistake.help(help);
        }
        if text.value != expanded {
            mistake = mistake.note(format!("written as `{}`", crate::path::show(text.value.as_bytes())));
        } else if let Some(write) = invalid.write {
            let fix = words::quote(&write);
            mistake = mistake.fix(format!("write {fix}"), vec![(text.span, fix)]);
        }
        self.mistake(mistake);
    }

    fn optional<T>(
        &mut self,
        text: Option<&Text>,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<Spanned<T>> {
        text.and_then(|text| self.parse(&text.0, parse))
    }

    fn scalar<T>(
        &mut self,
        text: Option<&Scalar>,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<Spanned<T>> {
        text.and_then(|text| self.parse(&text.0, parse))
    }

    fn list<T>(&mut self, list: Option<&List<Text>>, parse: impl Fn(&str) -> Result<T, Invalid>) -> Vec<Spanned<T>> {
        let items = list.into_iter().flat_map(|list| &list.0.value);
        items.filter_map(|text| self.parse(&text.0, &parse)).collect()
    }

    /// The folder of the file that a place is in. A recipe of a registry has none: what is relative there is a mistake,
    /// which [`Self::beside_nothing`] tells.
    fn folder(&self, span: Span) -> &'a Path {
        self.files
            .get(&span.text)
            .map_or(Some(&self.merged.folder), |(_, folder)| *folder)
            .map_or(Path::new(""), |it| it)
    }

    /// Tells of a path beside a recipe that has no folder; whether it is one.
    fn beside_nothing(&mut self, text: &Spanned<String>) -> bool {
        let is_one = matches!(self.files.get(&text.span.text), Some((_, None)));
        if is_one {
            let recipe = Path::new(self.texts.name(text.span.text));
            self.mistake(no_folder(&text.value, recipe, text.span));
        }
        is_one
    }

    /// How far above the recipe the file stands that a place is in: 0 is the recipe itself.
    fn depth(&self, span: Span) -> u16 {
        let rank = self.files.get(&span.text).map_or(0, |(rank, _)| *rank);
        u16::try_from(self.merged.files.len().saturating_sub(rank + 1)).unwrap_or(u16::MAX)
    }

    /// A list that files add to: items in order, those taken away by a later file's `!item` left out. `read` gives
    /// the names that an item answers to.
    fn gather<I, T>(
        &mut self,
        items: &'a [I],
        key: &str,
        short: impl Fn(&'a I) -> Option<&'a Spanned<String>>,
        mut read: impl FnMut(&mut Self, &'a I) -> Option<(Span, Vec<String>, T)>,
    ) -> Vec<T> {
        let mut gathered: Vec<(Span, Vec<String>, T)> = Vec::new();
        // An item with a mistake may be the one that a later `!item` means.
        let mut sure = true;
        for item in items {
            if let Some(text) = short(item).filter(|text| text.value.starts_with('!')) {
                self.take_away(text, key, sure, &mut gathered);
            } else {
                let before = self.variables.mistakes.len();
                gathered.extend(read(self, item));
                sure &= self.variables.mistakes.len() == before;
            }
        }
        gathered.into_iter().map(|(_, _, value)| value).collect()
    }

    fn take_away<T>(
        &mut self,
        text: &Spanned<String>,
        key: &str,
        sure: bool,
        gathered: &mut Vec<(Span, Vec<String>, T)>,
    ) {
        let Some(expanded) = self.variables.expand(text) else { return };
        let name = expanded.value.trim_start_matches('!').trim_end_matches('/');
        let before = gathered.len();
        let is_meant = |names: &[String]| names.iter().any(|known| known.trim_end_matches('/') == name);
        gathered.retain(|(span, names, _)| span.text == text.span.text || !is_meant(names));
        if gathered.len() < before || !sure {
            return;
        }
        let title = format!("`{}` in `{key}` takes nothing away", crate::path::show(expanded.value.as_bytes()));
        let mistake = Diagnostic::error(REMOVAL, title).at(text.span, "nothing of this name is inherited");
        let inherited = gathered.iter().filter(|(span, _, _)| span.text != text.span.text);
        let similar = words::similar(name, inherited.flat_map(|(_, names, _)| names.iter().map(String::as_str)));
        let mistake = match (gathered.iter().find(|(_, names, _)| is_meant(names)), similar) {
            (Some((span, _, _)), _) => mistake.and_at(*span, "this file itself lists it: take the line away"),
            (None, Some(similar)) => {
                let write = words::quote(&format!("!{similar}"));
                mistake.fix(format!("an item with a similar name is inherited: `{similar}`"), vec![(text.span, write)])
            }
            (None, None) => mistake,
        };
        self.missing(mistake);
    }

    /// A list of plain strings, each once.
    fn set<T: Ord + Clone>(
        &mut self,
        items: &'a [Text],
        key: &str,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Vec<Spanned<T>> {
        let items = self.gather(
            items,
            key,
            |text| Some(&text.0),
            |this, text| {
                let value = this.parse(&text.0, &parse)?;
                let name = this.variables.expand(&text.0)?.value;
                Some((text.0.span, vec![name], value))
            },
        );
        let mut seen = BTreeSet::new();
        items.into_iter().filter(|item| seen.insert(item.value.clone())).collect()
    }
}

/// The string of an entry that is one.
fn short<T>(item: &Item<T>) -> Option<&Spanned<String>> {
    match item {
        Item::Short(text) => Some(text),
        Item::Long(_) => None,
    }
}
