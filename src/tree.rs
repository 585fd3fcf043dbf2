//! The image's tree while it is made: for each path what stands there, how much it counts, and why it is there.
//!
//! [`Tree::place`] is the one place that settles two entries for one path. A [`Tree`] is a
//! [`Source`], alone or laid over another ([`Overlay`]), so that whatever reads a source can read the image.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use crate::path::ImagePath;
use crate::report::Span;
use crate::source::{Content, Node, NodeKind, Source};

mod why;

pub use why::{Beginning, Chain, Step};

/// How much an entry counts when another wants the same path: the higher replaces the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// A folder that only holds others.
    Parent,
    /// Made by mkimage: accounts, package records.
    Generated,
    /// Brought by the closure, a rule or an extra.
    Need,
    /// The content of a folder or package that the recipe names.
    Folder,
    /// What is made of a file of such a folder: a keystore with more in it.
    Rewritten,
    /// A `binaries` entry.
    Binary,
    /// A `files`, `symlinks` or `dirs` entry of a recipe that this one extends.
    Inherited,
    /// A `files`, `symlinks` or `dirs` entry of the recipe.
    Recipe,
}

/// What stands at a path of the image.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its kind, with what only that kind has.
    pub kind: EntryKind,
    /// The twelve permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Modification time, seconds since 1970; `None` for the constant of all images.
    pub mtime: Option<i64>,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// How much it counts.
    pub rank: Rank,
    /// Why it is there; the first is the one that placed it.
    pub reasons: Vec<Reason>,
    /// The layer that the recipe wants it in.
    pub layer: Option<Arc<str>>,
}

/// The kinds of entries.
#[derive(Debug, Clone)]
pub enum EntryKind {
    /// A regular file.
    File(Content),
    /// Another name of the regular file at a path, which sorts before this one.
    HardLink(ImagePath),
    /// A folder.
    Directory,
    /// A symbolic link, with its text.
    Symlink(Vec<u8>),
}

/// One reason for an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What brought it.
    pub cause: Cause,
    /// The place in the recipe from which it follows, where there is one.
    pub span: Option<Span>,
    /// Whether it would have put something else there, which an entry of a higher rank replaced.
    pub outranked: bool,
}

/// What brings an entry into an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A key of the recipe names it: `binaries`, `files`, `dirs`, `symlinks`, `libraries`, `writable`, `volumes`.
    Key(&'static str),
    /// It lies in a folder that a `files` entry copies; the folder's path in the source.
    Folder(String),
    /// It belongs to a package that the recipe names.
    Package(String),
    /// An object needs it.
    Needed {
        /// The object.
        by: ImagePath,
        /// The name that it asks for.
        name: Vec<u8>,
        /// How it was found, as `ld.so.cache` or `RUNPATH of /usr/bin/x`.
        via: String,
    },
    /// It is the program interpreter (ELF) or the `#!` interpreter (script) of a file.
    Interpreter {
        /// The file.
        of: ImagePath,
    },
    /// A link leads here.
    Link {
        /// The link.
        from: ImagePath,
    },
    /// A rule or extra adds it.
    Rule {
        /// Its name, as `ca-certificates`.
        name: Arc<str>,
        /// What set it off, as `links libssl.so.3`; empty when the recipe asked.
        trigger: String,
    },
    /// mkimage makes it: what it is, as `account file`.
    Generated(&'static str),
    /// It holds another entry.
    Parent,
}

impl Reason {
    /// A reason with its place in the recipe.
    pub fn new(cause: Cause, span: Option<Span>) -> Self {
        Self { cause, span, outranked: false }
    }
}

impl Entry {
    /// A root-owned entry of a rank, with one reason.
    pub fn new(kind: EntryKind, mode: u32, rank: Rank, reason: Reason) -> Self {
        let (mtime, xattrs, layer) = (None, Vec::new(), None);
        Self { kind, mode, uid: 0, gid: 0, mtime, xattrs, rank, reasons: vec![reason], layer }
    }

    /// What gives a file more rights than its caller has: `setuid`, `setgid`, `setcap`.
    pub fn privileges(&self) -> Vec<&'static str> {
        let capable = self.xattrs.iter().any(|(name, _)| name == "security.capability");
        let all = [(self.mode & 0o4000 != 0, "setuid"), (self.mode & 0o2000 != 0, "setgid"), (capable, "setcap")];
        all.into_iter().filter_map(|(has, word)| has.then_some(word)).collect()
    }

    /// Whether it is a folder.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, EntryKind::Directory)
    }

    /// The bytes, when it is a regular file.
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            EntryKind::File(content) => Some(content),
            _ => None,
        }
    }

    /// The recipe's place from which it follows.
    pub fn span(&self) -> Option<Span> {
        self.reasons.iter().find_map(|reason| reason.span)
    }

    fn node(&self) -> Node {
        let kind = match &self.kind {
            EntryKind::File(content) => NodeKind::File(content.clone()),
            EntryKind::HardLink(target) => NodeKind::Symlink(target.as_bytes().to_vec()),
            EntryKind::Directory => NodeKind::Directory,
            EntryKind::Symlink(target) => NodeKind::Symlink(target.clone()),
        };
        Node { kind, mode: self.mode, uid: self.uid, gid: self.gid, mtime: self.mtime.unwrap_or(crate::MTIME) }
    }

    /// Whether the two would be the same in the image.
    ///
    /// # Errors
    /// When two files have to be compared and can't be read.
    pub fn same(&self, other: &Entry) -> io::Result<bool> {
        let metadata = |e: &Entry| (e.mode, e.uid, e.gid, e.mtime, e.xattrs.clone());
        Ok(match (&self.kind, &other.kind) {
            (EntryKind::Directory, EntryKind::Directory) => metadata(self) == metadata(other),
            (EntryKind::Symlink(a), EntryKind::Symlink(b)) => a == b,
            (EntryKind::HardLink(a), EntryKind::HardLink(b)) => a == b,
            (EntryKind::File(a), EntryKind::File(b)) => metadata(self) == metadata(other) && same_bytes(a, b)?,
            _ => false,
        })
    }
}

fn same_bytes(a: &Content, b: &Content) -> io::Result<bool> {
    if a.id() == b.id() {
        return Ok(true);
    }
    if a.size() != b.size() {
        return Ok(false);
    }
    let (a, b) = (a.open()?, b.open()?);
    let (mut x, mut y) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut offset = 0;
    while offset < a.size() {
        let count = usize::try_from(a.size() - offset).unwrap_or(usize::MAX).min(x.len());
        a.read_exact_at(&mut x[..count], offset)?;
        b.read_exact_at(&mut y[..count], offset)?;
        if x[..count] != y[..count] {
            return Ok(false);
        }
        offset += count as u64;
    }
    Ok(true)
}

/// What [`Tree::place`] did.
#[derive(Debug)]
pub enum Placed {
    /// The path was free, or held by something of a lower rank.
    New,
    /// Something of a higher rank holds the path; the reason was noted there.
    Outranked,
    /// The same stands there already; the reason was noted there.
    Merged,
    /// Something else of the same rank stands there; nothing was changed.
    Conflict(Box<Entry>),
}

/// The image's tree.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    entries: BTreeMap<ImagePath, Entry>,
}

impl FromIterator<(ImagePath, Entry)> for Tree {
    fn from_iter<T: IntoIterator<Item = (ImagePath, Entry)>>(entries: T) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

impl Tree {
    /// Settles an entry for a path by rank. What several want there, all the same, goes into the layer that the highest
    /// of them names; of two layers, into the one whose name sorts first. The order in which they come is nothing.
    ///
    /// # Errors
    /// When two files have to be compared and can't be read.
    pub fn place(&mut self, path: ImagePath, entry: Entry) -> io::Result<Placed> {
        let Some(there) = self.entries.get_mut(&path) else {
            self.entries.insert(path, entry);
            return Ok(Placed::New);
        };
        if there.rank > entry.rank {
            let outranked = !there.same(&entry)?;
            if !outranked && there.layer.is_none() {
                there.layer = entry.layer;
            }
            there.note(entry.reasons, outranked);
            return Ok(Placed::Outranked);
        }
        if there.same(&entry)? {
            there.layer = match (there.layer.take(), entry.layer) {
                // Whichever came first.
                (Some(one), Some(other)) if there.rank == entry.rank => Some(one.min(other)),
                (of_lower, of_higher) => of_higher.or(of_lower),
            };
            there.rank = entry.rank;
            there.note(entry.reasons, false);
            return Ok(Placed::Merged);
        }
        if there.rank < entry.rank {
            let replaced = std::mem::replace(there, entry);
            there.note(replaced.reasons, true);
            return Ok(Placed::New);
        }
        Ok(Placed::Conflict(Box::new(there.clone())))
    }

    /// The entry at a path.
    pub fn get(&self, path: &ImagePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The entry at a path that is given in bytes, as [`ImagePath::folder`] gives it.
    pub fn at(&self, path: &[u8]) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The entry at a path, to change it.
    pub fn get_mut(&mut self, path: &ImagePath) -> Option<&mut Entry> {
        self.entries.get_mut(path)
    }

    /// All entries, sorted bytewise by path: a folder before what it holds.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&ImagePath, &Entry)> {
        self.entries.iter()
    }

    /// All entries, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&ImagePath, &mut Entry)> {
        self.entries.iter_mut()
    }

    /// The entries below a folder, and the folder itself, sorted.
    pub fn below(&self, folder: &ImagePath) -> impl Iterator<Item = (&ImagePath, &Entry)> {
        let folder = folder.clone();
        // Names that only begin like the folder's (`/lib-x` for `/lib`) sort between it and what it holds.
        let last = [folder.as_bytes(), b"0"].concat();
        self.entries
            .range(folder.clone()..)
            .take_while(move |(path, _)| path.as_bytes() < last.as_slice())
            .filter(move |(path, _)| path.is_within(&folder))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes an entry out.
    pub fn remove(&mut self, path: &ImagePath) -> Option<Entry> {
        self.entries.remove(path)
    }
}

impl Entry {
    fn note(&mut self, reasons: Vec<Reason>, outranked: bool) {
        for mut reason in reasons {
            reason.outranked |= outranked;
            if !self.reasons.contains(&reason) {
                self.reasons.push(reason);
            }
        }
    }
}

impl Source for Tree {
    fn node(&self, path: &ImagePath) -> io::Result<Option<Node>> {
        if path.is_root() {
            return Ok(Some(self.get(path).map_or_else(root_node, Entry::node)));
        }
        match self.get(path) {
            Some(Entry { kind: EntryKind::HardLink(target), .. }) => {
                Ok(self.get(target).map(Entry::node).filter(|node| node.content().is_some()))
            }
            Some(entry) => Ok(Some(entry.node())),
            // A parent need not be there yet while the tree is made.
            None => Ok(self.below(path).next().is_some().then(root_node)),
        }
    }

    fn list(&self, path: &ImagePath) -> io::Result<Vec<(Vec<u8>, Node)>> {
        let mut names: Vec<(Vec<u8>, Node)> = Vec::new();
        let mut from = Bound::Excluded(path.clone());
        while let Some((next, _)) = self.entries.range((from, Bound::Unbounded)).next() {
            let Some(rest) = next.below(path) else {
                // `/lib-x` sorts between `/lib` and `/lib/x`.
                if next.as_bytes() > [path.as_bytes(), b"0"].concat().as_slice() {
                    break;
                }
                from = Bound::Excluded(next.clone());
                continue;
            };
            let name = rest.split(|&b| b == b'/').next().unwrap_or(rest);
            let child = path.join(name);
            if let Some(node) = self.node(&child)? {
                names.push((name.to_vec(), node));
            }
            // What the child holds is passed over: `0` follows `/` in ASCII.
            from = if name.len() == rest.len() {
                Bound::Excluded(child)
            } else {
                Bound::Included(path.join(&[name, b"0"].concat()))
            };
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        names.dedup_by(|a, b| a.0 == b.0);
        Ok(names)
    }

    fn describe(&self) -> String {
        "the image".to_owned()
    }
}

fn root_node() -> Node {
    Node { kind: NodeKind::Directory, mode: 0o755, uid: 0, gid: 0, mtime: crate::MTIME }
}

/// A tree laid over a source: what the image would be if the rest of the source came along.
pub struct Overlay<'a> {
    /// What is on top.
    pub tree: &'a Tree,
    /// What shows where the tree has nothing.
    pub base: &'a dyn Source,
}

impl Overlay<'_> {
    /// Whether something that is no folder, in the tree, stands above the path: the base does not show there.
    fn hidden(&self, path: &ImagePath) -> bool {
        path.folders().any(|above| self.tree.at(above).is_some_and(|entry| !entry.is_directory()))
    }
}

impl Source for Overlay<'_> {
    fn node(&self, path: &ImagePath) -> io::Result<Option<Node>> {
        if self.tree.get(path).is_some() {
            return self.tree.node(path);
        }
        if self.hidden(path) {
            return Ok(None);
        }
        // Where the base has a link, it shows, though the tree may hold entries that were written through it.
        match self.base.node(path)? {
            Some(node) => Ok(Some(node)),
            None => self.tree.node(path),
        }
    }

    fn list(&self, path: &ImagePath) -> io::Result<Vec<(Vec<u8>, Node)>> {
        let mut names = self.tree.list(path)?;
        if !self.hidden(path) && self.tree.get(path).is_none_or(Entry::is_directory) {
            for (name, node) in self.base.list(path)? {
                if let Err(place) = names.binary_search_by(|(known, _)| known.cmp(&name)) {
                    names.insert(place, (name, node));
                }
            }
        }
        Ok(names)
    }

    fn names(&self, path: &ImagePath, fits: &dyn Fn(&[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
        let mut names = self.tree.names(path, fits)?;
        if !self.hidden(path) && self.tree.get(path).is_none_or(Entry::is_directory) {
            names.extend(self.base.names(path, fits)?);
            names.sort_unstable();
            names.dedup();
        }
        Ok(names)
    }

    fn describe(&self) -> String {
        self.base.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in paths {
            let reason = Reason::new(Cause::Key("files"), None);
            let entry = Entry::new(EntryKind::File(Content::bytes("x")), 0o644, Rank::Recipe, reason);
            tree.place(ImagePath::new(path).unwrap(), entry).unwrap();
        }
        tree
    }

    #[test]
    fn lists_children_once_though_names_sort_around_the_slash() {
        let tree = tree(&["/lib-x/a", "/lib/a/b", "/lib/a/c", "/lib/a-b", "/lib/a.so", "/lib/b", "/lib0", "/z"]);
        let names = |path: &str| -> Vec<String> {
            let listed = tree.list(&ImagePath::new(path).unwrap()).unwrap();
            listed.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect()
        };
        assert_eq!(names("/lib"), ["a", "a-b", "a.so", "b"]);
        assert_eq!(names("/"), ["lib", "lib-x", "lib0", "z"]);
        assert_eq!(names("/lib/a"), ["b", "c"]);
        assert_eq!(names("/none"), Vec::<String>::new());
    }

    #[test]
    fn the_higher_rank_stays_and_equal_ranks_conflict() {
        let path = ImagePath::new("/etc/x").unwrap();
        let entry = |text: &str, rank| {
            let reason = Reason::new(Cause::Key("files"), None);
            Entry::new(EntryKind::File(Content::bytes(text)), 0o644, rank, reason)
        };
        let mut tree = Tree::default();
        assert!(matches!(tree.place(path.clone(), entry("a", Rank::Need)).unwrap(), Placed::New));
        assert!(matches!(tree.place(path.clone(), entry("b", Rank::Recipe)).unwrap(), Placed::New));
        assert!(matches!(tree.place(path.clone(), entry("c", Rank::Folder)).unwrap(), Placed::Outranked));
        assert!(matches!(tree.place(path.clone(), entry("b", Rank::Recipe)).unwrap(), Placed::Merged));
        assert!(matches!(tree.place(path.clone(), entry("d", Rank::Recipe)).unwrap(), Placed::Conflict(_)));
        assert_eq!(tree.get(&path).unwrap().content().unwrap().read(9).unwrap(), b"b");
    }

    #[test]
    fn the_layer_is_the_same_in_whatever_order_entries_come() {
        let path = ImagePath::new("/etc/x").unwrap();
        let layer_of = |entries: &[(Rank, Option<&str>)]| {
            let mut tree = Tree::default();
            for (rank, layer) in entries {
                let reason = Reason::new(Cause::Key("files"), None);
                let mut entry = Entry::new(EntryKind::File(Content::bytes("a")), 0o644, *rank, reason);
                entry.layer = layer.map(Into::into);
                tree.place(path.clone(), entry).unwrap();
            }
            tree.get(&path).unwrap().layer.as_deref().map(str::to_owned)
        };
        for (one, other, expected) in [
            ((Rank::Recipe, Some("b")), (Rank::Recipe, Some("a")), "a"),
            ((Rank::Recipe, Some("b")), (Rank::Inherited, Some("a")), "b"),
            ((Rank::Recipe, None), (Rank::Folder, Some("a")), "a"),
            ((Rank::Recipe, None), (Rank::Recipe, Some("a")), "a"),
        ] {
            assert_eq!(layer_of(&[one, other]).as_deref(), Some(expected), "{one:?}, {other:?}");
            assert_eq!(layer_of(&[other, one]).as_deref(), Some(expected), "{other:?}, {one:?}");
        }
    }
}
