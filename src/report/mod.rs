//! What a user is told: diagnostics with a stable code, carets into the recipe, notes and fixes.
//!
//! Every stage returns [`Error`], a list of [`Diagnostic`]s; only [`render`] turns them into text.
//! Nothing here prints.

use std::fmt;
use std::ops::{Deref, Range};
use std::path::Path;

mod render;
mod size;

pub use render::{github, render, xml};
pub use size::{counted, megabytes};

/// One of the texts that diagnostics point into: an index into [`Texts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextId(u32);

/// A range of bytes of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text.
    pub text: TextId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range as `usize`, for slicing the text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value with its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: f(self.value), span: self.span }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The name of a text that stands for the command line.
pub const COMMAND_LINE: &str = "command line";

/// The texts that were read (recipes, bases, workspace files), kept so that any later error can show its line.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    texts: Vec<(String, String)>,
}

impl Texts {
    /// Keeps a text under the name by which the user knows it.
    ///
    /// # Panics
    /// When more than 2^32 texts are added.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> TextId {
        let id = u32::try_from(self.texts.len()).expect("fewer than 2^32 texts");
        self.texts.push((name.into(), text.into()));
        TextId(id)
    }

    /// The text of a number, as `Debug` shows it.
    pub fn id(&self, number: u32) -> Option<TextId> {
        ((number as usize) < self.texts.len()).then_some(TextId(number))
    }

    /// Whether a text is a file's, and not one that was given in another way: standard input, the command line or a
    /// registry.
    pub fn is_file(&self, id: TextId) -> bool {
        !matches!(self.name(id), "-" | COMMAND_LINE) && !self.name(id).starts_with("docker://")
    }

    /// The name of a text, as shown after `-->`.
    pub fn name(&self, id: TextId) -> &str {
        &self.texts[id.0 as usize].0
    }

    /// A text whole.
    pub fn text(&self, id: TextId) -> &str {
        &self.texts[id.0 as usize].1
    }

    /// `recipe.toml:3:9`, for reasons and reports.
    pub fn place(&self, span: Span) -> String {
        let before = &self.text(span.text)[..span.start as usize];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{}:{line}:{column}", self.name(span.text))
    }

    /// Where a span begins and ends: line and column, from 1, the end behind its last character.
    pub fn lines_of(&self, span: Span) -> ((usize, usize), (usize, usize)) {
        let text = self.text(span.text);
        let position = |at: u32| {
            let before = &text[..text.floor_char_boundary((at as usize).min(text.len()))];
            (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
        };
        (position(span.start), position(span.end.max(span.start)))
    }

    /// The line number, from 1, of a span.
    pub fn line(&self, span: Span) -> usize {
        self.text(span.text)[..span.start as usize].matches('\n').count() + 1
    }
}

/// A stable code. `E00xx` usage, `E01xx` recipe, `E02xx` source, closure, image and output, `E03xx` policy,
/// `E04xx` drift. Each stage declares its own as constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// An input or output operation on the host failed.
pub const IO: Code = Code("E0290");

/// A condition that the code holds to be impossible.
pub const INTERNAL: Code = Code("E9999");

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The run fails.
    Error,
    /// The run goes on.
    Warning,
    /// For information.
    Note,
}

/// A place in a text and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is said; may be empty.
    pub text: String,
    /// Primary labels are drawn with `^^^`, others with `---`.
    pub primary: bool,
}

/// A change of the text that would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What the change is, as in "put quotes around it".
    pub message: String,
    /// The replacements; all in one text. None: the message says it all.
    pub edits: Vec<(Span, String)>,
}

/// One thing to tell: what could not be had, where it was asked for, who needs it, what was tried, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// Its stable code.
    pub code: Code,
    /// The first line: lower case, things in backticks, no full stop.
    pub title: String,
    /// Places in the recipe.
    pub labels: Vec<Label>,
    /// Facts: who needs it, what was tried.
    pub notes: Vec<String>,
    /// What to do.
    pub helps: Vec<String>,
    /// Changes to the recipe that would help.
    pub fixes: Vec<Fix>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: Code, title: impl Into<String>) -> Self {
        Self::at_level(Level::Error, code, title)
    }

    /// A warning.
    pub fn warning(code: Code, title: impl Into<String>) -> Self {
        Self::at_level(Level::Warning, code, title)
    }

    /// A note.
    pub fn note_of(code: Code, title: impl Into<String>) -> Self {
        Self::at_level(Level::Note, code, title)
    }

    fn at_level(level: Level, code: Code, title: impl Into<String>) -> Self {
        let (labels, notes, helps, fixes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { level, code, title: title.into(), labels, notes, helps, fixes }
    }

    /// Points at the place that is at fault.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: true });
        self
    }

    /// Points at the place that is at fault, where one is known.
    #[must_use]
    pub fn at_some(self, span: Option<Span>, text: impl Into<String>) -> Self {
        match span {
            Some(span) => self.at(span, text),
            None => self,
        }
    }

    /// Points at another place that has to do with it.
    #[must_use]
    pub fn and_at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: false });
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.helps.push(text.into());
        self
    }

    /// Adds a change of the text that would help.
    #[must_use]
    pub fn fix(mut self, message: impl Into<String>, edits: Vec<(Span, String)>) -> Self {
        self.fixes.push(Fix { message: message.into(), edits });
        self
    }
}

/// Why a stage could not go on: one diagnostic or more, in the order in which they should be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.first().map_or("internal error: an error without a diagnostic", |d| d.title.as_str()))]
pub struct Error(pub Vec<Diagnostic>);

impl Error {
    /// An operation on a host path failed. `verb` completes "cannot ...": `read`, `write`, `open`.
    pub fn io(verb: &str, path: &Path, error: &std::io::Error) -> Self {
        Diagnostic::error(IO, format!("cannot {verb} `{}`: {}", path.display(), plain(error))).into()
    }

    /// A condition that cannot be.
    pub fn internal(what: impl fmt::Display) -> Self {
        Diagnostic::error(INTERNAL, format!("internal error: {what}"))
            .help("this is a bug in mkimage, please report it")
            .into()
    }
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

/// An operating system's error without Rust's "(os error 13)", in lower case.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// What a stage returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
