//! The reason of a path: the chain from a line of the recipe, over what it brings, to the path.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::{Cause, Reason, Tree};
use crate::path::{ImagePath, show};
use crate::recipe::Recipe;
use crate::report::Span;

/// The chain of reasons of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Where it begins.
    pub beginning: Beginning,
    /// The recipe's place from which it follows, where there is one.
    pub span: Option<Span>,
    /// The paths on the way, each because of the one before; the last is the one that was asked for.
    pub steps: Vec<Step>,
}

/// One path of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The path.
    pub path: ImagePath,
    /// What makes it follow from the one before, as `needs libssl.so.3, found by ld.so.cache`; empty for the first.
    pub because: String,
}

/// What a chain begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// An entry of the recipe: `files[0]`, or the key alone where it is no list.
    Entry(String),
    /// An entry of the recipe that copies a folder.
    Folder(String),
    /// A package that the recipe names.
    Package(String),
    /// A rule or extra, with what set it off; empty when the recipe asked.
    Rule(Arc<str>, String),
    /// mkimage itself, with what it made.
    Generated(&'static str),
    /// Nothing that is known: the path is not in the image.
    Unknown,
}

impl Tree {
    /// The chain of reasons of a path. Of several reasons the first counts, as far as it leads to a beginning.
    pub fn chain(&self, recipe: &Recipe, path: &ImagePath) -> Chain {
        let mut seen = BTreeSet::from([path.clone()]);
        // The way from the asked path back, with the number of the reason to try next.
        let mut way = vec![(Step { path: path.clone(), because: String::new() }, 0)];
        while let Some((step, next)) = way.last_mut() {
            let Some(reason) = self.get(&step.path).and_then(|entry| entry.reasons.get(*next)) else {
                way.pop();
                continue;
            };
            *next += 1;
            match self.before(recipe, &step.path, reason) {
                Before::Beginning(beginning) => {
                    let steps = way.into_iter().rev().map(|(step, _)| step).collect();
                    return Chain { beginning, span: reason.span, steps };
                }
                Before::Path(path, because) => {
                    if seen.insert(path.clone()) {
                        step.because = because;
                        way.push((Step { path, because: String::new() }, 0));
                    }
                }
                Before::Nothing => {}
            }
        }
        let steps = vec![Step { path: path.clone(), because: String::new() }];
        Chain { beginning: Beginning::Unknown, span: None, steps }
    }

    /// The chain of each reason of a path, in the order of its reasons, with whether an entry of a higher rank replaced
    /// what that reason would have put there. A reason that leads back to the path itself is passed over.
    pub fn chains(&self, recipe: &Recipe, path: &ImagePath) -> Vec<(Chain, bool)> {
        let reasons = self.get(path).map_or(&[][..], |entry| &entry.reasons);
        let chain = |reason: &Reason| {
            let step = Step { path: path.clone(), because: String::new() };
            let chain = match self.before(recipe, path, reason) {
                Before::Beginning(beginning) => Chain { beginning, span: reason.span, steps: vec![step] },
                Before::Path(asker, because) => {
                    let mut chain = self.chain(recipe, &asker);
                    chain.steps.push(Step { because, ..step });
                    chain
                }
                Before::Nothing => return None,
            };
            let returns = chain.steps.iter().filter(|step| step.path == *path).count() > 1;
            (!returns).then_some((chain, reason.outranked))
        };
        reasons.iter().filter_map(chain).collect()
    }

    fn before(&self, recipe: &Recipe, path: &ImagePath, reason: &Reason) -> Before {
        let entry = |key| entry_name(recipe, key, reason.span);
        match &reason.cause {
            Cause::Key(key) => Before::Beginning(Beginning::Entry(entry(key))),
            Cause::Folder(_) => Before::Beginning(Beginning::Folder(entry("files"))),
            Cause::Package(name) => Before::Beginning(Beginning::Package(name.clone())),
            Cause::Rule { name, trigger } => Before::Beginning(Beginning::Rule(Arc::clone(name), trigger.clone())),
            Cause::Generated(what) => Before::Beginning(Beginning::Generated(what)),
            Cause::Needed { by, name, via } => {
                Before::Path(by.clone(), format!("needs {}, found by {via}", show(name)))
            }
            Cause::Interpreter { of } => Before::Path(of.clone(), "is run by it".to_owned()),
            Cause::Link { from } => Before::Path(from.clone(), "links to it".to_owned()),
            Cause::Parent => {
                let held = self.below(path).find(|(below, entry)| *below != path && !entry.is_directory());
                match held {
                    Some((below, _)) => Before::Path(below.clone(), "is in it".to_owned()),
                    None => Before::Nothing,
                }
            }
        }
    }
}

/// What comes before a path in its chain.
enum Before {
    Beginning(Beginning),
    /// Another path, and why the first follows from it.
    Path(ImagePath, String),
    Nothing,
}

/// `files[0]`: the key with the number of the entry in the text that wrote it.
fn entry_name(recipe: &Recipe, key: &str, span: Option<Span>) -> String {
    let spans: Vec<Span> = match key {
        "binaries" => recipe.binaries.iter().map(|binary| binary.span).collect(),
        "files" => recipe.files.iter().map(|file| file.span).collect(),
        "libraries" => recipe.libraries.iter().map(|library| library.from.span).collect(),
        "dirs" => recipe.dirs.iter().map(|folder| folder.path.span).collect(),
        "writable" => recipe.writable.iter().map(|path| path.span).collect(),
        "volumes" => recipe.config.volumes.iter().map(|path| path.span).collect(),
        _ => Vec::new(),
    };
    let Some(span) = span else { return key.to_owned() };
    let holds = |other: &Span| other.text == span.text && other.start <= span.start && span.end <= other.end;
    match spans.iter().filter(|other| other.text == span.text).position(holds) {
        Some(number) => format!("{key}[{number}]"),
        None => key.to_owned(),
    }
}

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(entry) | Self::Folder(entry) => f.write_str(entry),
            Self::Package(name) => write!(f, "package {name}"),
            Self::Rule(name, trigger) if trigger.is_empty() => write!(f, "extra {name}"),
            Self::Rule(name, trigger) => write!(f, "{name} ({trigger})"),
            Self::Generated(what) => write!(f, "generated {what}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for Chain {
    /// `files[0] -> /usr/bin/sh -> /usr/bin/dash`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.beginning)?;
        self.steps.iter().try_for_each(|step| write!(f, " -> {}", step.path))
    }
}
