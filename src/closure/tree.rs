//! The tree under a loader's eyes: paths to places, files to their ELF facts, each looked at once for all programs.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::Bytes;
use crate::elf::{self, Object, ParseError, Versions};
use crate::path::ImagePath;
use crate::source::{Content, ContentId, Node, NodeKind, Reader, Source, Unresolved, resolve};

/// The kernel's limit on links in one path walk (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;
/// The kernel's limits on a path and on one name of it (`PATH_MAX`, `NAME_MAX`).
const LONGEST_PATH: usize = 4095;
const LONGEST_NAME: usize = 255;

/// A tree with all that was looked up in it.
pub(super) struct Tree<'a> {
    source: &'a dyn Source,
    workdir: Vec<u8>,
    directories: Map<Bytes, Option<Arc<Directory>>>,
    entries: Map<ImagePath, Looked>,
    facts: Map<ContentId, Arc<Facts>>,
    listings: Map<ImagePath, Arc<[Listed]>>,
    bytes_read: AtomicU64,
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
    Unreadable(Arc<str>),
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

/// What is known of a file.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) content: Content,
    pub(super) elf: Result<Arc<Object>, NoElf>,
    versions: OnceLock<Versions>,
}

/// Why a file is no ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoElf {
    /// It is shorter than a header.
    TooShort,
    /// It does not begin as one.
    Other,
    /// Its class is none that exists.
    Class,
    /// Its byte order is none that exists.
    Endian,
    /// It could not be read.
    Unreadable(Arc<str>),
}

impl elf::ReadAt for Reader {
    fn size(&self) -> u64 {
        Reader::size(self)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Reader::read_at(self, buffer, offset)
    }
}

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: Vec<u8>,
    pub(super) is_directory: bool,
}

/// A reader that counts.
struct Counted<'a> {
    reader: Reader,
    count: &'a AtomicU64,
}

impl elf::ReadAt for Counted<'_> {
    fn size(&self) -> u64 {
        self.reader.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.reader.read_at(buffer, offset)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<'a> Tree<'a> {
    pub(super) fn new(source: &'a dyn Source, workdir: &[u8]) -> Self {
        let workdir = if workdir.starts_with(b"/") { workdir.to_vec() } else { b"/".to_vec() };
        Self {
            source,
            workdir,
            directories: Map::default(),
            entries: Map::default(),
            facts: Map::default(),
            listings: Map::default(),
            bytes_read: AtomicU64::new(0),
        }
    }

    /// The tree itself.
    pub(super) fn source(&self) -> &'a dyn Source {
        self.source
    }

    /// How many bytes were read of ELF files.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// How many files were read.
    pub(super) fn files_read(&self) -> usize {
        self.facts.read().unwrap_or_else(PoisonError::into_inner).len()
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
            Some(directory) => self.look_in(&directory, name),
            // Why the directory is not there decides: the slow way tells.
            None => self.walk(&path, 0),
        }
    }

    /// The directory at a path; None when there is none.
    pub(super) fn directory(&self, path: &[u8]) -> Option<Arc<Directory>> {
        if let Some(known) = read(&self.directories, path) {
            return known;
        }
        let found = match resolve(self.source, &self.absolute(path)) {
            Ok(found) if found.node.is_directory() => {
                Some(Arc::new(Directory { real: found.real, links: found.links.len() }))
            }
            _ => None,
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
            Err(error) => Looked::Unreadable(crate::report::plain(&error).into()),
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
            Err(Unresolved::Unreadable { error, .. }) => Looked::Unreadable(crate::report::plain(&error).into()),
            Err(Unresolved::NotAPath) => Looked::TooLong,
        }
    }

    /// What is known of a file. It is read at the first question.
    pub(super) fn facts(&self, content: &Content) -> Arc<Facts> {
        let id = content.id();
        if let Some(known) = read(&self.facts, &id) {
            return known;
        }
        let elf = match self.open(content) {
            Ok(reader) => Object::parse(&reader).map(Arc::new).map_err(|error| match error {
                ParseError::TooShort => NoElf::TooShort,
                ParseError::NotElf => NoElf::Other,
                ParseError::Class => NoElf::Class,
                ParseError::Endian => NoElf::Endian,
                ParseError::Io(error) => NoElf::Unreadable(crate::report::plain(&error).into()),
            }),
            Err(error) => Err(NoElf::Unreadable(crate::report::plain(&error).into())),
        };
        // Another thread may have been faster; then its answer stands, so that there is one for all.
        let facts = Facts { content: content.clone(), elf, versions: OnceLock::new() };
        write(&self.facts, id, Arc::new(facts))
    }

    /// The symbol versions of a file.
    pub(super) fn versions<'f>(&self, facts: &'f Facts) -> &'f Versions {
        facts.versions.get_or_init(|| {
            let Ok(object) = &facts.elf else { return Versions::default() };
            let read = self.open(&facts.content).and_then(|reader| object.versions(&reader));
            // What can't be read now was read a moment ago: the file changed, which is found out when it is copied.
            read.unwrap_or_default()
        })
    }

    /// Whether a file defines every one of some dynamic symbols.
    pub(super) fn defines(&self, facts: &Facts, names: &[&[u8]]) -> bool {
        let Ok(object) = &facts.elf else { return false };
        let read = self.open(&facts.content).and_then(|reader| object.defines(&reader, names));
        read.unwrap_or(false)
    }

    /// What a directory holds, by name.
    pub(super) fn list(&self, path: &[u8]) -> Arc<[Listed]> {
        let Some(directory) = self.directory(path) else { return Arc::default() };
        if let Some(known) = read(&self.listings, &directory.real) {
            return known;
        }
        let listed = self.source.list(&directory.real).unwrap_or_default();
        let entry = |(name, node): (Vec<u8>, Node)| Listed { is_directory: node.is_directory(), name };
        write(&self.listings, directory.real.clone(), listed.into_iter().map(entry).collect())
    }

    fn open(&self, content: &Content) -> io::Result<Counted<'_>> {
        Ok(Counted { reader: content.open()?, count: &self.bytes_read })
    }
}

fn read<K: Eq + Hash + std::borrow::Borrow<Q>, Q: Eq + Hash + ?Sized, V: Clone>(map: &Map<K, V>, key: &Q) -> Option<V> {
    map.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
}

/// Keeps a value unless there is one already; gives the one that is kept.
fn write<K: Eq + Hash, V: Clone>(map: &Map<K, V>, key: K, value: V) -> V {
    map.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(value).clone()
}
