//! What rules of the table bring, as the table has it: folders that are looked for, paths, configuration to follow.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::follow::Syntax;
use super::rules::Version;
use super::template::{Capture, Pattern, Template};
use super::{Family, Object};

/// A folder whose name is compiled into an object, or part of an object's own path; it may be a part of a name, too.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Directory {
    /// The name in braces that stands for it. Several of one name add up.
    pub(super) name: String,
    /// The objects to look into, by soname.
    pub(super) soname: Option<Pattern>,
    /// The objects to look into, by path.
    #[serde(default)]
    pub(super) program: Vec<Pattern>,
    /// Whether to look into all programs, which may hold the library.
    #[serde(default)]
    pub(super) programs: bool,
    /// The text around it, `{}` in its place.
    pub(super) string: Option<Around>,
    /// The whole of it: every such path in the object that leads to a folder. Lists with colons are taken apart.
    pub(super) paths: Option<Pattern>,
    /// The path of an object, a program or an interpreter, `{}` in its place.
    pub(super) real: Option<Capture>,
    /// With `paths`: a name below, without which it is some other folder.
    pub(super) has: Option<String>,
    /// Where it is usually, for a recipe that asks without an object to look into.
    #[serde(default)]
    pub(super) usual: BTreeMap<Family, String>,
}

/// The text around a folder's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Around {
    /// What stands before it; empty when a NUL does.
    pub(super) before: String,
    /// What stands after it; empty when a NUL does.
    pub(super) after: String,
}

impl Around {
    /// The part before the gap, as a person should see it.
    pub(super) fn shown(&self) -> &str {
        self.before.trim_end_matches([':', ' ', '"'])
    }
}

impl TryFrom<String> for Around {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (before, after) = text.split_once("{}").ok_or_else(|| format!("`{text}` has no {{}}"))?;
        if before.is_empty() && after.is_empty() {
            return Err("`{}` alone is everywhere".to_owned());
        }
        Ok(Self { before: before.to_owned(), after: after.to_owned() })
    }
}

/// What a rule brings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Add {
    /// Only in roots of this family.
    pub(super) family: Option<Family>,
    /// Only when the recipe asks for `NAME:full`.
    #[serde(default)]
    pub(super) full: bool,
    /// Only with a glibc older than this.
    pub(super) glibc_before: Option<Version>,
    /// Only beside an object of this name.
    pub(super) beside: Option<Pattern>,
    /// Only when the recipe brings none of these.
    #[serde(default)]
    pub(super) unless: Vec<Template>,
    /// Files and folders, those that are there.
    #[serde(default)]
    pub(super) copy: Vec<Template>,
    /// Folders without some of what is below.
    #[serde(default)]
    pub(super) folder: Vec<Part>,
    /// Libraries that are loaded at run time.
    #[serde(default)]
    pub(super) load: Vec<Template>,
    /// Empty folders to make.
    #[serde(default)]
    pub(super) make: Vec<Template>,
    /// Empty folders to make that belong to the image's user.
    #[serde(default)]
    pub(super) make_writable: Vec<Template>,
    /// The object that loads them, by soname. Default: the one that sets the rule off.
    pub(super) by: Option<Pattern>,
}

/// A folder without some of what is below.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// The folder.
    pub(super) path: Template,
    /// Globs, relative to it.
    #[serde(default)]
    pub(super) exclude: Vec<String>,
}

/// Configuration that names more. Only files that the image holds are followed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Follow {
    /// Where it is.
    pub(super) file: Vec<Template>,
    /// Whether files that the image's command line names after the rule's program are such ones too.
    #[serde(default)]
    pub(super) commanded: bool,
    /// How it is written.
    pub(super) syntax: Syntax,
    /// Directives whose last argument is another such file, a glob or a folder of them.
    #[serde(default)]
    pub(super) include: Vec<Naming>,
    /// Directives that name a library to load.
    #[serde(default)]
    pub(super) load: Vec<Naming>,
    /// Directives that name a file or a program.
    #[serde(default)]
    pub(super) copy: Vec<Naming>,
    /// What relative paths of files are relative to. Default: the folder of the file that names them.
    pub(super) base: Option<Template>,
    /// What relative paths of libraries are relative to. Default: they are names, for the loader to find.
    pub(super) libraries: Option<Template>,
    /// What a bare name of a library lacks at its end.
    #[serde(default)]
    pub(super) suffix: String,
}

/// A directive that names something: `Include`, `LoadModule:2` for its second argument, `IncludeOptional?` where
/// nothing may be there.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct Naming {
    /// The directive, in lower case.
    pub(super) directive: String,
    /// Which argument, from 1; the last when absent.
    pub(super) argument: Option<usize>,
    /// Whether nothing may be there.
    pub(super) optional: bool,
}

impl From<String> for Naming {
    fn from(text: String) -> Self {
        let (rest, optional) = text.strip_suffix('?').map_or((text.as_str(), false), |rest| (rest, true));
        let numbered = rest.rsplit_once(':').and_then(|(name, number)| Some((name, number.parse().ok()?)));
        let (directive, argument) = numbered.map_or((rest, None), |(name, number)| (name, Some(number)));
        Self { directive: directive.to_lowercase(), argument, optional }
    }
}

impl Directory {
    /// Whether it is looked for in an object.
    pub(super) fn looks_into(&self, object: &Object) -> bool {
        let by_name = self.soname.as_ref().is_some_and(|pattern| object.fits(pattern).is_some());
        by_name || self.program.iter().any(|pattern| pattern.matches(object.real.as_bytes()))
    }

    /// The three ways of finding it, of which it has one.
    #[cfg(test)]
    pub(super) fn ways(&self) -> usize {
        [self.string.is_some(), self.paths.is_some(), self.real.is_some()].into_iter().filter(|&has| has).count()
    }
}

impl Add {
    /// Whether it is the same whatever the image holds.
    pub(super) fn looks_at_the_root_alone(&self) -> bool {
        self.by.is_none() && self.beside.is_none() && self.glibc_before.is_none() && self.unless.is_empty()
    }
}
