//! Following a path through a tree's links, as the kernel would if the tree were the root.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::{Node, NodeKind, Source};
use crate::path::ImagePath;
use crate::report::Error;

/// The kernel's limit on links in one path walk (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// Where a path leads.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The path without a link in it.
    pub real: ImagePath,
    /// What stands there.
    pub node: Node,
    /// The links that were followed, in order. An image that holds the path needs each of them.
    pub links: Vec<Link>,
    /// The folders that were entered and left again by `..`. They must be there for the path to lead anywhere.
    pub left: Vec<ImagePath>,
}

/// A link that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where the link stands; no link before its last component.
    pub path: ImagePath,
    /// Its text.
    pub target: Vec<u8>,
}

/// Why a path leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// Nothing stands at this place on the way. `links` had been followed before.
    #[error("`{at}` is not there")]
    Missing {
        /// The first place on the way that is not there.
        at: ImagePath,
        /// The links followed before it.
        links: Vec<Link>,
    },
    /// Something on the way is no folder.
    #[error("`{at}` is not a folder")]
    NotDirectory {
        /// What is no folder.
        at: ImagePath,
    },
    /// More than 40 links: the kernel's ELOOP.
    #[error("too many links")]
    Loop,
    /// The tree could not be read at this place.
    #[error("cannot look at `{at}`: {error}")]
    Unreadable {
        /// The place.
        at: ImagePath,
        /// Why.
        error: io::Error,
    },
    /// The text is no path: relative, with a NUL, or too long.
    #[error("is no absolute path")]
    NotAPath,
}

/// Walks `path`, an absolute path that may hold `.`, `..` and doubled slashes, component by component. `..` never
/// climbs above the root, an absolute link starts again at the root, and a component that does not exist ends the
/// walk even when `..` follows.
///
/// # Errors
/// When the path leads nowhere.
pub fn resolve(source: &dyn Source, path: &[u8]) -> Result<Resolved, Unresolved> {
    walk(source, path, true)
}

/// The same, for who asks only what is there: `None` when nothing is.
///
/// # Errors
/// When a place on the way can't be looked at. It may be there then, and what is built must not depend on who builds
/// it.
pub fn find(source: &dyn Source, path: &[u8]) -> Result<Option<Resolved>, Error> {
    match resolve(source, path) {
        Ok(found) => Ok(Some(found)),
        Err(Unresolved::Unreadable { at, error }) => Err(unreadable(source, &at, &error)),
        Err(_) => Ok(None),
    }
}

/// The error for something of a tree that can't be read.
pub(crate) fn unreadable(source: &dyn Source, path: &ImagePath, error: &io::Error) -> Error {
    let root = std::path::PathBuf::from(source.describe());
    Error::io("read", &root.join(OsStr::from_bytes(path.relative())), error)
}

/// As [`resolve`], but a link in the last component is not followed.
///
/// # Errors
/// When the path leads nowhere.
pub fn resolve_parent(source: &dyn Source, path: &[u8]) -> Result<Resolved, Unresolved> {
    walk(source, path, false)
}

fn walk(source: &dyn Source, path: &[u8], follow_last: bool) -> Result<Resolved, Unresolved> {
    if path.first() != Some(&b'/') || path.contains(&0) {
        return Err(Unresolved::NotAPath);
    }
    let look = |at: &ImagePath| source.node(at).map_err(|error| Unresolved::Unreadable { at: at.clone(), error });
    let mut rest: VecDeque<Vec<u8>> = components(path).collect();
    let (mut links, mut left) = (Vec::new(), Vec::new());
    let mut here = ImagePath::root();
    let missing = |at: &ImagePath, links: &[Link]| Unresolved::Missing { at: at.clone(), links: links.to_vec() };
    let mut node = look(&here)?.ok_or_else(|| missing(&here, &links))?;
    while let Some(part) = rest.pop_front() {
        if !node.is_directory() {
            return Err(Unresolved::NotDirectory { at: here });
        }
        if part == b"." {
            continue;
        }
        let next = match part.as_slice() {
            b".." => here.parent().unwrap_or_else(ImagePath::root),
            name if name.len() > 255 => return Err(Unresolved::NotAPath),
            name => here.join(name),
        };
        let found = look(&next)?.ok_or_else(|| missing(&next, &links))?;
        if let NodeKind::Symlink(target) = &found.kind
            && (follow_last || !rest.is_empty())
        {
            if links.len() == MOST_LINKS {
                return Err(Unresolved::Loop);
            }
            if target.first() == Some(&b'/') {
                here = ImagePath::root();
                node = look(&here)?.ok_or_else(|| missing(&here, &links))?;
            }
            for part in components(target).rev() {
                rest.push_front(part);
            }
            links.push(Link { path: next, target: target.clone() });
            continue;
        }
        let before = std::mem::replace(&mut here, next);
        if part == b".." {
            left.push(before);
        }
        node = found;
    }
    if path.ends_with(b"/") && !node.is_directory() {
        return Err(Unresolved::NotDirectory { at: here });
    }
    Ok(Resolved { real: here, node, links, left })
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&b| b == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec)
}
