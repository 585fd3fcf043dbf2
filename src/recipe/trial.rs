//! The recipe's own tests as later stages see them: what is started, and what must come of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::path::ImagePath;
use crate::report::{Span, Spanned};

/// An entry of `[[test]]`.
#[derive(Debug, Clone)]
pub struct Test {
    /// The entry's place.
    pub span: Span,
    /// What it is called.
    pub name: Option<Spanned<String>>,
    /// Why it is not run.
    pub skip: Option<Spanned<String>>,
    /// What is started of the image.
    pub call: Call,
    /// Paths that the image has, or has not.
    pub files: Vec<Spanned<FileCheck>>,
    /// What the image has to answer as a web server.
    pub http: Vec<HttpCheck>,
    /// Programs that run to their end before.
    pub before: Vec<Call>,
    /// Services that run meanwhile.
    pub beside: Vec<Call>,
    /// Programs that run to their end while the image's service runs.
    pub client: Vec<Call>,
    /// Folders that all programs of the test share.
    pub shared: Vec<Spanned<ImagePath>>,
    /// Nanoseconds in which the service ends after its stop signal.
    pub stops_within: Option<Spanned<u64>>,
    /// Nanoseconds that each wait may take.
    pub timeout: Option<Spanned<u64>>,
}

/// A program to start, and what must come of it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Where it was written.
    pub span: Span,
    /// Another recipe, whose image it is started from.
    pub recipe: Option<Spanned<PathBuf>>,
    /// The program and its arguments, in place of the image's own.
    pub run: Option<Vec<Spanned<String>>>,
    /// Arguments in place of the image's `Cmd`.
    pub args: Option<Vec<Spanned<String>>>,
    /// Variables over those of the image.
    pub env: BTreeMap<String, Spanned<String>>,
    /// What it reads.
    pub stdin: Option<Spanned<String>>,
    /// The user in place of the image's.
    pub as_user: Option<Spanned<String>>,
    /// Files and folders of this machine, by their paths in the image; not writable.
    pub mounts: Vec<(Spanned<ImagePath>, PathBuf)>,
    /// The TCP port that it listens on when it is ready.
    pub port: Option<Spanned<u16>>,
    /// What must come of it.
    pub expect: Expect,
}

/// What must come of a program.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// Its exit code; 128 and the number of the signal that ended it.
    pub exit: Option<Spanned<u8>>,
    /// What it writes to standard output.
    pub stdout: Vec<Spanned<TextCheck>>,
    /// What it writes to standard error.
    pub stderr: Vec<Spanned<TextCheck>>,
}

/// What is asked of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextCheck {
    /// It is this one.
    Is(String),
    /// It holds this one.
    Contains(String),
    /// A regular expression finds something in it; `^` and `$` are those of lines.
    Matches(String),
}

/// What is asked of a path of the image. Links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileCheck {
    /// It is there.
    Present(ImagePath),
    /// It is not.
    Absent(ImagePath),
}

/// A request over HTTP and what must come back.
#[derive(Debug, Clone)]
pub struct HttpCheck {
    /// Where it was written.
    pub span: Span,
    /// The port; that of the test, or else the image's first.
    pub port: Option<Spanned<u16>>,
    /// The path with its query.
    pub path: String,
    /// The status.
    pub status: u16,
    /// What is asked of the body.
    pub body: Vec<Spanned<TextCheck>>,
    /// Header fields, by name, and what their values contain.
    pub header: BTreeMap<String, Spanned<String>>,
}
