//! The program that should start: found in the image as `execvp` would, before a runtime is asked.

use std::path::Path;

use super::NO_PROGRAM;
use crate::report::{Diagnostic, Error, Result};
use crate::source::{Folder, resolve};

/// Where programs are looked up when PATH is not set.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The absolute path of a program in the image.
pub(super) fn find(rootfs: &Path, program: Option<&String>, env: &[String], workdir: &str) -> Result<String> {
    let Some(program) = program.filter(|program| !program.is_empty()) else {
        let error = Diagnostic::error(NO_PROGRAM, "the image names no program to start");
        return Err(error.help("name one after `--`, or give the recipe an `entrypoint`").into());
    };
    let source = Folder::open(rootfs).map_err(|error| Error::io("open", rootfs, &error))?;
    let starts = |path: &str| {
        resolve(&source, path.as_bytes())
            .is_ok_and(|found| found.node.content().is_some() && found.node.mode & 0o111 != 0)
    };
    let path = env.iter().find_map(|set| set.strip_prefix("PATH=")).unwrap_or(PATH);
    let found = if program.starts_with('/') {
        Some(program.clone()).filter(|path| starts(path))
    } else if program.contains('/') {
        Some(format!("{workdir}/{program}")).filter(|path| starts(path))
    } else {
        path.split(':').map(|folder| format!("{folder}/{program}")).find(|path| starts(path))
    };
    found.ok_or_else(|| {
        let error = Diagnostic::error(NO_PROGRAM, format!("`{}` is no program of the image", program.escape_debug()));
        let error = if program.contains('/') { error } else { error.note(format!("looked up on its PATH, {path}")) };
        error.into()
    })
}
