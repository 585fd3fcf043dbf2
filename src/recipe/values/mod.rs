//! The text of single values to what they mean: pure functions, no files, no places.

mod name;
mod number;
mod path;
mod platform;
mod rule;
mod trial;
mod word;

use std::fmt;

pub(super) use name::{image_name, layer_name, library_name, package, soname, tag, variable};
pub(super) use number::{duration, mode, mtime, number, port, size};
pub(super) use path::{BareWord, destination, glob, image_path, link_target, origin, path_glob};
pub(super) use platform::{machine, multiarch};
pub use rule::RULES;
pub(crate) use rule::civil;
pub(super) use rule::{date, license, rule};
pub(super) use trial::{header_name, line, not_a_tcp_port, regular_expression, request_path};
pub(super) use word::{
    account, capability, extra, id_pair, isa, keep, label_key, links, no_layers, reason, sbom, signal,
    variable_of_environment, verdict, vex,
};

/// Why a text is no value of its kind, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{title}")]
pub struct Invalid {
    /// What is wrong, naming the text.
    pub title: String,
    /// What is taken.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
    /// The text to write in place of it.
    pub write: Option<String>,
}

impl Invalid {
    fn new(title: impl Into<String>, label: impl Into<String>) -> Self {
        Self { title: title.into(), label: label.into(), help: None, write: None }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    fn write(self, text: impl Into<String>) -> Self {
        Self { write: Some(text.into()), ..self }
    }

    /// With the word of a set that was most likely meant.
    fn or_similar<'a>(self, word: &str, set: impl Iterator<Item = &'a str>) -> Self {
        match super::words::similar(word, set) {
            Some(similar) => self.write(similar),
            None => self,
        }
    }
}

impl Invalid {
    /// As [`Invalid::or_similar`], of words that all begin alike.
    fn or_similar_after(self, prefix: &str, word: &str, set: &[&str]) -> Self {
        let rest = |word: &'_ str| word.strip_prefix(prefix).unwrap_or(word).to_owned();
        let rests: Vec<String> = set.iter().map(|word| rest(word)).collect();
        match super::words::similar(&rest(word), rests.iter().map(String::as_str)) {
            Some(similar) => self.write(format!("{prefix}{similar}")),
            None => self,
        }
    }
}

type Parsed<T> = Result<T, Invalid>;

/// A user's text in a message: in backticks, without control characters, not longer than a line.
fn tick(text: &str) -> impl fmt::Display {
    let shown = crate::path::show(text.as_bytes());
    if shown.is_empty() {
        return String::from("an empty string");
    }
    match shown.char_indices().nth(80) {
        Some((cut, _)) => format!("`{}...`", &shown[..cut]),
        None => format!("`{shown}`"),
    }
}
