//! The difference between what an image took from its root and what it takes now, a line for each path.

use std::collections::{BTreeMap, BTreeSet};

use super::{Access, Fact, Taken, What};
use crate::path::{ImagePath, show};

/// The most lines that are told of one image.
const MOST_LINES: usize = 40;
/// The most paths that are told one by one because one package has another version.
const MOST_OF_A_PACKAGE: usize = 5;
/// Paths are padded up to this width.
const WIDTH: usize = 64;

/// What differs, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// One for each path, for each package of which no path differs but the version, and for each recipe of a registry.
    pub changes: Vec<Change>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whether it came, went or changed.
    pub sign: Sign,
    /// The path in the image; none for a package or a recipe.
    pub path: Option<ImagePath>,
    /// What is said of it, as `libssl3 3.0.21-1 -> 3.0.22-1`.
    pub says: String,
    /// The package whose new version is all that there is to say.
    upgraded: Option<String>,
}

/// The kinds of differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// It is new.
    New,
    /// It is gone.
    Gone,
    /// It is another.
    Changed,
}

impl Sign {
    /// `+`, `-` or `~`.
    pub fn mark(self) -> char {
        match self {
            Self::New => '+',
            Self::Gone => '-',
            Self::Changed => '~',
        }
    }
}

impl Drift {
    /// What differs between what was taken before and what is taken now.
    pub fn between(before: &Taken, now: &Taken) -> Self {
        let mut changes = Vec::new();
        let mut told = BTreeSet::new();
        let paths: BTreeSet<&ImagePath> = before.paths.keys().chain(now.paths.keys()).collect();
        for path in paths {
            let change = match (before.paths.get(path), now.paths.get(path)) {
                (Some(old), Some(new)) => changed(old, new, before, now),
                (None, Some(new)) => Some((Sign::New, format!("new, {}", owned(new, now, "")), None)),
                (Some(old), None) => Some((Sign::Gone, format!("gone, {}", owned(old, before, "was ")), None)),
                (None, None) => None,
            };
            let Some((sign, says, upgraded)) = change else { continue };
            told.extend(upgraded.clone());
            changes.push(Change { sign, path: Some(path.clone()), says, upgraded });
        }
        for (name, version) in &now.packages {
            let old = before.packages.get(name).filter(|old| *old != version && !told.contains(name));
            changes.extend(old.map(|old| {
                let says = format!("{name} {old} -> {version}, with the same files");
                Change { sign: Sign::Changed, path: None, says, upgraded: None }
            }));
        }
        let names: BTreeSet<&String> = before.extends.keys().chain(now.extends.keys()).collect();
        for name in names {
            let (sign, says) = match (before.extends.get(name), now.extends.get(name)) {
                (Some(old), Some(new)) if old == new => continue,
                (Some(old), Some(new)) => (Sign::Changed, format!("{name} {old} -> {new}")),
                (None, Some(new)) => (Sign::New, format!("{name} {new}, new under `extends`")),
                (Some(_), None) => (Sign::Gone, format!("{name}, gone from `extends`")),
                (None, None) => continue,
            };
            changes.push(Change { sign, path: None, says, upgraded: None });
        }
        Self { changes }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// `2 changed, 1 new`.
    pub fn counted(&self) -> String {
        let count = |sign| self.changes.iter().filter(|change| change.sign == sign).count();
        let counts = [(Sign::Changed, "changed"), (Sign::New, "new"), (Sign::Gone, "gone")];
        let counts = counts.map(|(sign, word)| (count(sign), word)).into_iter().filter(|(count, _)| *count > 0);
        counts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
    }

    /// A line for each difference, `~ /usr/lib/libssl.so.3   libssl3 3.0.21-1 -> 3.0.22-1`. The many files of one
    /// package that has another version share a line.
    pub fn lines(&self) -> Vec<String> {
        let mut of_package: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.changes.iter().filter_map(|change| change.upgraded.as_deref()) {
            *of_package.entry(name).or_default() += 1;
        }
        let mut rows: Vec<(char, String, &str)> = Vec::new();
        for change in &self.changes {
            let path = change.path.as_ref().map(ToString::to_string).unwrap_or_default();
            let count = change.upgraded.as_deref().and_then(|name| of_package.get_mut(name));
            let path = match count {
                // Said with the first one.
                Some(0) => continue,
                Some(count) if *count > MOST_OF_A_PACKAGE => {
                    let others = *count - 1;
                    *count = 0;
                    format!("{path} and {others} more")
                }
                _ => path,
            };
            rows.push((change.sign.mark(), path, &change.says));
        }
        let more = rows.len().saturating_sub(MOST_LINES);
        rows.truncate(MOST_LINES);
        let width = rows.iter().map(|(_, path, _)| path.chars().count()).filter(|&width| width <= WIDTH).max();
        let width = width.unwrap_or(0);
        let line = |(mark, path, says): (char, String, &str)| {
            if path.is_empty() { format!("{mark} {says}") } else { format!("{mark} {path:width$}   {says}") }
        };
        let mut lines: Vec<String> = rows.into_iter().map(line).collect();
        lines.extend((more > 0).then(|| format!("and {more} more")));
        lines
    }
}

/// What differs between two facts, and the package if its version says it all.
fn changed(old: &Fact, new: &Fact, before: &Taken, now: &Taken) -> Option<(Sign, String, Option<String>)> {
    let mut says = Vec::new();
    let mut upgraded = None;
    match (&old.what, &new.what) {
        (What::File { digest: a, size: old_size, access: old_access }, What::File { digest: b, size, access }) => {
            if a != b || old_size != size {
                upgraded = upgrade(old, new, before, now);
                says.push(upgraded.as_ref().map_or_else(|| rewritten(new, now), |(_, says)| says.clone()));
            }
            says.extend(permissions(old_access, access));
        }
        (What::Folder(old_access), What::Folder(access)) => says.extend(permissions(old_access, access)),
        (What::Symlink(old), What::Symlink(new)) if old != new => {
            says.push(format!("links to {}, before to {}", show(new), show(old)));
        }
        (What::HardLink(old), What::HardLink(new)) if old != new => {
            says.push(format!("the same as {new}, before as {old}"));
        }
        (old, new) if noun(old) != noun(new) => says.push(format!("{} -> {}", noun(old), noun(new))),
        _ => {}
    }
    if old.package != new.package && upgraded.is_none() {
        let name = |fact: &Fact| fact.package.clone().unwrap_or_else(|| "no package".to_owned());
        says.push(format!("of {} -> {}", name(old), name(new)));
    }
    if old.from != new.from && says.is_empty() {
        let from = |fact: &Fact| fact.from.as_ref().map_or_else(|| "its own path".to_owned(), ToString::to_string);
        says.push(format!("taken from {} -> {}", from(old), from(new)));
    }
    let alone = says.len() == 1;
    let upgraded = upgraded.map(|(name, _)| name).filter(|_| alone);
    (!says.is_empty()).then(|| (Sign::Changed, says.join(", "), upgraded))
}

/// `libssl3 3.0.21-1 -> 3.0.22-1`, with the package's name.
fn upgrade(old: &Fact, new: &Fact, before: &Taken, now: &Taken) -> Option<(String, String)> {
    let (old_name, name) = (old.package.as_ref()?, new.package.as_ref()?);
    let (old_version, version) = (before.packages.get(old_name)?, now.packages.get(name)?);
    let says = match (old_name == name, old_version == version) {
        (true, true) => return None,
        (true, false) => format!("{name} {old_version} -> {version}"),
        (false, _) => format!("{old_name} {old_version} -> {name} {version}"),
    };
    Some((name.clone(), says))
}

/// Another content, and no other version.
fn rewritten(new: &Fact, now: &Taken) -> String {
    match &new.package {
        Some(name) => match now.packages.get(name) {
            Some(version) => format!("other bytes, though {name} is {version} as before"),
            None => format!("other bytes, of {name}"),
        },
        None => "other bytes, of no package".to_owned(),
    }
}

fn permissions(old: &Access, new: &Access) -> Vec<String> {
    let mut says = Vec::new();
    if old.mode != new.mode {
        says.push(format!("mode {:04o} -> {:04o}", old.mode, new.mode));
    }
    if old.owner != new.owner {
        says.push(format!("owner {}:{} -> {}:{}", old.owner.0, old.owner.1, new.owner.0, new.owner.1));
    }
    match (&old.capabilities, &new.capabilities) {
        (None, Some(_)) => says.push("with capabilities".to_owned()),
        (Some(_), None) => says.push("without capabilities".to_owned()),
        (old, new) if old != new => says.push("other capabilities".to_owned()),
        _ => {}
    }
    says
}

fn noun(what: &What) -> &'static str {
    match what {
        What::File { .. } => "file",
        What::HardLink(_) => "hard link",
        What::Symlink(_) => "link",
        What::Folder(_) => "folder",
    }
}

/// `needed by /usr/bin/nginx (zlib1g 1:1.2.13)`.
fn owned(fact: &Fact, taken: &Taken, was: &str) -> String {
    let package = fact.package.as_ref().and_then(|name| Some(format!("{name} {}", taken.packages.get(name)?)));
    match package {
        Some(package) => format!("{was}{} ({package})", fact.reason),
        None => format!("{was}{}", fact.reason),
    }
}
