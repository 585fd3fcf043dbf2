//! Paths of the table in a tree: which of them are there, where a new file would stand, what links lead to it.

use super::UNREADABLE;
use super::template::{Token, matches};
use crate::path::ImagePath;
use crate::report::{Diagnostic, Error, Result, plain};
use crate::source::{self, Content, Link, Node, Resolved, Source, Unresolved};

/// A file that is written anew: where it stands or will stand.
pub(super) struct Target {
    pub(super) real: ImagePath,
    /// The links that lead there from the names by which it is known.
    pub(super) links: Vec<Link>,
    /// Its bytes in the view, when it is there.
    pub(super) content: Option<Content>,
}

/// A file or folder of a tree can't be read.
pub(super) fn unreadable(view: &dyn Source, path: &ImagePath, error: &std::io::Error) -> Error {
    Diagnostic::error(UNREADABLE, format!("cannot read `{path}` in `{}`: {}", view.describe(), plain(error))).into()
}

/// Where a path leads; `None` when nothing is there.
pub(super) fn there(view: &dyn Source, path: &ImagePath) -> Result<Option<Resolved>> {
    match source::resolve(view, path.as_bytes()) {
        Ok(resolved) => Ok(Some(resolved)),
        Err(Unresolved::Unreadable { at, error }) => Err(unreadable(view, &at, &error)),
        Err(_) => Ok(None),
    }
}

/// The names in a folder that `fits` takes, links on the way followed; none when there is no folder.
pub(super) fn names(view: &dyn Source, folder: &ImagePath, fits: &dyn Fn(&[u8]) -> bool) -> Result<Vec<Vec<u8>>> {
    match there(view, folder)? {
        Some(found) if found.node.is_directory() => {
            view.names(&found.real, fits).map_err(|error| unreadable(view, &found.real, &error))
        }
        _ => Ok(Vec::new()),
    }
}

/// What is in a folder, links on the way followed; nothing when there is no folder.
pub(super) fn list(view: &dyn Source, folder: &ImagePath) -> Result<Vec<(Vec<u8>, Node)>> {
    match there(view, folder)? {
        Some(found) if found.node.is_directory() => {
            view.list(&found.real).map_err(|error| unreadable(view, &found.real, &error))
        }
        _ => Ok(Vec::new()),
    }
}

/// The paths that match a pattern and lead somewhere, as the pattern spells them, sorted.
pub(super) fn find(view: &dyn Source, pattern: &[Token]) -> Result<Vec<ImagePath>> {
    let mut found = vec![ImagePath::root()];
    for name in pattern.split(|token| *token == Token::Byte(b'/')).filter(|name| !name.is_empty()) {
        let mut next = Vec::new();
        for folder in &found {
            if let Some(name) = literal(name) {
                next.extend(folder.join_path(&name));
                continue;
            }
            let hidden = name.first() == Some(&Token::Byte(b'.'));
            let fits = |text: &[u8]| matches(name, text) && (hidden || !text.starts_with(b"."));
            next.extend(names(view, folder, &fits)?.into_iter().map(|name| folder.join(&name)));
        }
        found = next;
    }
    let mut leading = Vec::new();
    for path in found {
        if there(view, &path)?.is_some() {
            leading.push(path);
        }
    }
    leading.sort();
    Ok(leading)
}

/// The one text that a pattern matches.
pub(super) fn literal(pattern: &[Token]) -> Option<Vec<u8>> {
    let byte = |token: &Token| match token {
        Token::Byte(byte) => Some(*byte),
        Token::One | Token::Many => None,
    };
    pattern.iter().map(byte).collect()
}

/// Where a file of this path stands, or would stand: no link before its last component, which is as it is. With the
/// links on the way there.
pub(super) fn place(view: &dyn Source, path: &ImagePath) -> Result<(ImagePath, Vec<Link>)> {
    for above in path.ancestors() {
        let Some(found) = there(view, &above)? else { continue };
        let rest = path.below(&above).unwrap_or_default();
        // A path too long for a kernel stays as it is, and is refused where it is placed.
        return Ok((found.real.join_path(rest).unwrap_or_else(|_| path.clone()), found.links));
    }
    Ok((path.clone(), Vec::new()))
}

/// Where a chain of links leads, also when nothing is there.
pub(super) fn lead(view: &dyn Source, path: &ImagePath) -> Result<Option<(ImagePath, Vec<Link>)>> {
    match source::resolve(view, path.as_bytes()) {
        Ok(found) => Ok(Some((found.real, found.links))),
        Err(Unresolved::Missing { at, links }) => Ok(Some((at, links))),
        Err(Unresolved::Unreadable { at, error }) => Err(unreadable(view, &at, &error)),
        Err(_) => Ok(None),
    }
}
