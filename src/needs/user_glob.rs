//! Globs that a person wrote, in a tree: `*`, `?`, `[a-z]`, `{a,b}` within a name, `**` for any folders.

use globset::{GlobBuilder, GlobMatcher};

use super::lookup::{list, names, there};
use crate::path::ImagePath;
use crate::report::{Error, Result};
use crate::source::{self, Source};

/// Why nothing can be looked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No glob.
    #[error("{0}")]
    Glob(#[from] globset::Error),
    /// A folder can't be read.
    #[error(transparent)]
    Unreadable(#[from] Error),
}

/// What leads to a file or folder and matches, sorted. `..` is walked as the kernel would.
pub(super) fn find(source: &dyn Source, pattern: &[u8]) -> Result<Vec<ImagePath>, Fault> {
    let mut found = vec![ImagePath::root()];
    for name in pattern.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".") {
        let mut next = Vec::new();
        let matcher = matcher(name)?;
        for folder in found {
            match &matcher {
                _ if name == b".." => next.push(above(source, &folder)),
                _ if name == b"**" => next.extend(with_folders_below(source, folder)?),
                None => next.extend(folder.join_path(name)),
                Some(matcher) => {
                    let hidden = name.starts_with(b".");
                    let fits = |name: &[u8]| {
                        (hidden || !name.starts_with(b".")) && matcher.is_match(String::from_utf8_lossy(name).as_ref())
                    };
                    next.extend(names(source, &folder, &fits)?.into_iter().map(|name| folder.join(&name)));
                }
            }
        }
        found = next;
    }
    found.sort();
    found.dedup();
    let mut leading = Vec::new();
    for path in found {
        if there(source, &path)?.is_some() {
            leading.push(path);
        }
    }
    Ok(leading)
}

fn matcher(name: &[u8]) -> Result<Option<GlobMatcher>, globset::Error> {
    if !name.iter().any(|byte| b"*?[{\\".contains(byte)) {
        return Ok(None);
    }
    let glob =
        GlobBuilder::new(&String::from_utf8_lossy(name)).literal_separator(true).backslash_escape(true).build()?;
    Ok(Some(glob.compile_matcher()))
}

fn above(source: &dyn Source, folder: &ImagePath) -> ImagePath {
    let real = source::resolve(source, folder.as_bytes()).map_or_else(|_| folder.clone(), |found| found.real);
    real.parent().unwrap_or_else(ImagePath::root)
}

/// A folder and all folders below it, links not followed.
fn with_folders_below(source: &dyn Source, folder: ImagePath) -> Result<Vec<ImagePath>> {
    let mut folders = vec![folder];
    let mut at = 0;
    while let Some(folder) = folders.get(at).cloned() {
        let below = list(source, &folder)?.into_iter().filter(|(_, node)| node.is_directory());
        folders.extend(below.map(|(name, _)| folder.join(&name)));
        at += 1;
    }
    Ok(folders)
}
