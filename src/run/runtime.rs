//! The runtimes that can start a program: which are installed, and in which order they are tried.

use std::path::{Path, PathBuf};

use super::NO_RUNTIME;
use crate::report::{Diagnostic, Result};

/// What a runtime takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bundle: `runc` and those that take its arguments.
    Oci,
    /// Arguments: `bwrap`.
    Bubblewrap,
}

/// A runtime that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// What it takes.
    pub kind: Kind,
    /// Its program.
    pub program: PathBuf,
}

impl Runtime {
    /// The runtimes to try, in order: the one asked for by name or path, or all that `look_up` finds. Where there is
    /// only one user (`only_one`), bubblewrap comes first: it alone can give that one the number that the image wants.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(look_up: &dyn Fn(&str) -> Option<PathBuf>, asked: Option<&str>, only_one: bool) -> Result<Vec<Self>> {
        let of = |program: PathBuf| {
            let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let kind = if name.contains("bwrap") { Kind::Bubblewrap } else { Kind::Oci };
            Self { kind, program }
        };
        if let Some(asked) = asked {
            let found = if asked.contains('/') { Some(PathBuf::from(asked)) } else { look_up(asked) };
            return found.filter(|path| Path::is_file(path)).map(|path| vec![of(path)]).ok_or_else(|| {
                Diagnostic::error(NO_RUNTIME, format!("the runtime `{}` is not there", asked.escape_debug()))
                    .help("runc, crun and bwrap are known; a path names any other that takes runc's arguments")
                    .into()
            });
        }
        let order = if only_one { ["bwrap", "runc", "crun"] } else { ["runc", "crun", "bwrap"] };
        let found: Vec<Self> = order.into_iter().filter_map(look_up).map(of).collect();
        if found.is_empty() {
            let error = Diagnostic::error(NO_RUNTIME, "neither `runc`, `crun` nor `bwrap` is on PATH");
            return Err(error.help("install one of them: mkimage starts images, but is no runtime itself").into());
        }
        Ok(found)
    }
}
