//! The tree under a loader's eyes: paths to places, each looked at once for all programs.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use super::headers::{Facts, Headers};
use super::{Bytes, Unreadable};
use crate::elf::Versions;
use crate::path::ImagePath;
use crate::source::{Content, Node, NodeKind, Source, Unresolved, resolve};

/// The kernel's limit on links in one path walk (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;
/// The kernel's limits on a path and on one name of it (`PATH_MAX`, `NAME_MAX`).
const LONGEST_PATH: usize = 4095;
const LONGEST_NAME: usize = 255;

/// A tree with all that was looked up in it.
pub(super) struct Tree<'a> {
    source: &'a dyn Source,
    workdir: Vec<u8>,
    directories: Map<Bytes, Result<Option<Arc<Directory>>, Unreadable>>,
    entries: Map<ImagePath, Looked>,
    listings: Map<ImagePath, Arc<[Listed]>>,
    headers: &'a Headers,
}

type Map<K, V> = RwLock<HashMap<K, V>>;

impl std::fmt::Debug for Tree<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tree({})", self.source.describe())
    }
}

/// What a path leads to.
#[derive(Debug, Clone)]
pub(super) enum Looked {
    /// Something.
    Found(Arc<Place>),
    /// Nothing.
    Absent,
    /// Nothing, at the end of a link.
    Dangling,
    /// Something that may not be looked at.
    Unreadable(Unreadable),
    /// Links in a circle.
    Loop,
    /// A path that no kernel takes.
    TooLong,
}

/// A place that is there.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) real: ImagePath,
    pub(super) mode: u32,
    pub(super) content: Option<Content>,
    pub(super) is_directory: bool,
    links: usize,
}

/// A directory, reached through so many links.
#[derive(Debug)]
pub(super) struct Directory {
    real: ImagePath,
    links: usize,
}

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: Vec<u8>,
    pub(super) is_directory: bool,
}

impl<'a> Tree<'a> {
    pub(super) fn new(source: &'a dyn Source, headers: &'a Headers, workdir: &[u8]) -> Self {
        let workdir = if workdir.starts_with(b"/") { workdir.to_vec() } else { b"/".to_vec() };
        Self {
            source,
            workdir,
            directories: Map::default(),
            entries: Map::default(),
            listings: Map::default(),
            headers,
        }
    }

    /// The tree itself.
    pub(super) fn source(&self) -> &'a dyn Source {
        self.source
    }

    /// A path made absolute, in the way of the kernel: relative to the working directory.
    pub(super) fn absolute(&self, path: &[u8]) -> Vec<u8> {
        if path.starts_with(b"/") {
            return path.to_vec();
        }
        let slash: &[u8] = if self.workdir.ends_with(b"/") { b"" } else { b"/" };
        [&self.workdir, slash, path].concat()
    }

    /// Where a path leads.
    pub(super) fn look(&self, path: &[u8]) -> Looked {
        if path.len() > LONGEST_PATH || path.contains(&0) {
            return Looked::TooLong;
        }
        if path.is_empty() {
            return Looked::Absent;
        }
        let path = self.absolute(path);
        let cut = memchr::memrchr(b'/', &path).map_or(0, |slash| slash + 1);
        let (directory, name) = path.split_at(cut);
        if matches!(name, b"" | b"." | b"..") {
            return self.walk(&path, 0);
        }
        match self.directory(directory) {
            Ok(Some(directory)) => self.look_in(&directory, name),
            // Why the directory is not there decides: the slow way tells.
            Ok(None) | Err(_) => self.walk(&path, 0),
        }
    }

    /// The directory at a path; None when there is none.
    ///
    /// # Errors
    /// When that could not be found out.
    pub(super) fn directory(&self, path: &[u8]) -> Result<Option<Arc<Directory>>, Unreadable> {
        if let Some(known) = read(&self.directories, path) {
            return known;
        }
        let found = match resolve(self.source, &self.absolute(path)) {
            Ok(found) if found.node.is_directory() => {
                Ok(Some(Arc::new(Directory { real: found.real, links: found.links.len() })))
            }
            Err(Unresolved::Unreadable { at, error }) => Err(Unreadable::new(at.as_bytes(), &error)),
            _ => Ok(None),
        };
        write(&self.directories, Arc::from(path), found)
    }

    /// Where a name in a directory leads. A single name without a slash.
    pub(super) fn look_in(&self, directory: &Directory, name: &[u8]) -> Looked {
        if name.len() > LONGEST_NAME || name.contains(&0) {
            return Looked::TooLong;
        }
        if matches!(name, b"" | b"." | b"..") {
            return self.walk(&[directory.real.as_bytes(), b"/", name].concat(), directory.links);
        }
        let path = directory.real.join(name);
        let known = read(&self.entries, &path);
        let looked = known.unwrap_or_else(|| {
            let looked = self.entry(&path);
            write(&self.entries, path, looked)
        });
        match &looked {
            Looked::Found(place) if place.links + directory.links > MOST_LINKS => Looked::Loop,
            _ => looked,
        }
    }

    fn entry(&self, path: &ImagePath) -> Looked {
        match self.source.node(path) {
            Ok(None) => Looked::Absent,
            Ok(Some(node)) if matches!(node.kind, NodeKind::Symlink(_)) => self.walk(path.as_bytes(), 1),
            Ok(Some(node)) => Looked::Found(Arc::new(Place {
                real: path.clone(),
                mode: node.mode,
                content: node.content().cloned(),
                is_directory: node.is_directory(),
                links: 0,
            })),
            Err(error) => Looked::Unreadable(Unreadable::new(path.as_bytes(), &error)),
        }
    }

    /// Walks a path, of which so many links are known.
    fn walk(&self, path: &[u8], links: usize) -> Looked {
        match resolve(self.source, path) {
            Ok(found) => Looked::Found(Arc::new(Place {
                real: found.real,
                mode: found.node.mode,
                content: found.node.content().cloned(),
                is_directory: found.node.is_directory(),
                links: found.links.len(),
            })),
            Err(Unresolved::Missing { links: followed, .. }) if links > 0 || !followed.is_empty() => Looked::Dangling,
            Err(Unresolved::Missing { .. } | Unresolved::NotDirectory { .. }) => Looked::Absent,
            Err(Unresolved::Loop) => Looked::Loop,
            Err(Unresolved::Unreadable { at, error }) => Looked::Unreadable(Unreadable::new(at.as_bytes(), &error)),
            Err(Unresolved::NotAPath) => Looked::TooLong,
        }
    }

    /// What is known of a file. It is read at the first question.
    pub(super) fn facts(&self, content: &Content) -> Arc<Facts> {
        self.headers.facts(content)
    }

    /// The symbol versions of a file.
    pub(super) fn versions<'f>(&self, facts: &'f Facts) -> &'f Versions {
        self.headers.versions(facts)
    }

    /// Whether a file defines every one of some dynamic symbols.
    pub(super) fn defines(&self, facts: &Facts, names: &[&[u8]]) -> bool {
        self.headers.defines(facts, names)
    }

    /// All bytes of a file that is looked through whole, or why they can't be had.
    pub(super) fn whole(&self, content: &Content, limit: u64) -> Arc<Result<Box<[u8]>, Arc<str>>> {
        self.headers.whole(content, limit)
    }

    /// What stands in a loader, whose bytes these are, like a list of directories.
    pub(super) fn directories_in(&self, content: &Content, loader: &[u8]) -> Arc<Vec<Vec<Bytes>>> {
        self.headers.directories(content, loader)
    }

    /// What a directory holds, by name, for hints: what can't be read holds nothing.
    pub(super) fn list(&self, path: &[u8]) -> Arc<[Listed]> {
        let Ok(Some(directory)) = self.directory(path) else { return Arc::default() };
        if let Some(known) = read(&self.listings, &directory.real) {
            return known;
        }
        let listed = self.source.list(&directory.real).unwrap_or_default();
        let entry = |(name, node): (Vec<u8>, Node)| Listed { is_directory: node.is_directory(), name };
        write(&self.listings, directory.real.clone(), listed.into_iter().map(entry).collect())
    }
}

fn read<K: Eq + Hash + std::borrow::Borrow<Q>, Q: Eq + Hash + ?Sized, V: Clone>(map: &Map<K, V>, key: &Q) -> Option<V> {
    map.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
}

/// Keeps a value unless there is one already; gives the one that is kept.
fn write<K: Eq + Hash, V: Clone>(map: &Map<K, V>, key: K, value: V) -> V {
    map.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(value).clone()
}
