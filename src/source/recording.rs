//! What a build looks at in a folder of this machine.
//!
//! In: a [`Folder`], through a [`Recorder`]. Out: [`Notes`] of each path that was asked for, found or not, and of each
//! folder that was listed. What the answers were is kept by [`Seen`](super::Seen) and [`Contents`](super::Contents).

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, PoisonError};

use super::host::{Folder, Names};
use super::{Node, Source};
use crate::path::{ImagePath, PathMap, PathSet};

/// A folder as a [`Source`] that notes what is asked of it.
pub struct Recorder<'a> {
    folder: &'a Folder,
    notes: Option<Mutex<Notes>>,
}

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    paths: PathSet,
    /// Folders that were listed with what each name in them is.
    lists: BTreeSet<ImagePath>,
    /// Folders of which only the names were asked.
    named: BTreeSet<ImagePath>,
    /// Something could not be found out, which may be otherwise the next time.
    failed: bool,
}

impl<'a> Recorder<'a> {
    /// Notes what is asked of a folder, where that is `wanted`.
    pub fn new(folder: &'a Folder, wanted: bool) -> Self {
        Self { folder, notes: wanted.then(Mutex::default) }
    }

    /// What was asked.
    pub fn into_notes(self) -> Notes {
        self.notes.map(|notes| notes.into_inner().unwrap_or_else(PoisonError::into_inner)).unwrap_or_default()
    }

    fn note(&self, note: impl FnOnce(&mut Notes)) {
        if let Some(notes) = &self.notes {
            note(&mut notes.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Source for Recorder<'_> {
    fn node(&self, path: &ImagePath) -> io::Result<Option<Node>> {
        let found = self.folder.node(path);
        self.note(|notes| {
            notes.failed |= found.is_err();
            if !notes.paths.contains(path) {
                notes.paths.insert(path.clone());
            }
        });
        found
    }

    fn list(&self, path: &ImagePath) -> io::Result<Vec<(Vec<u8>, Node)>> {
        let found = self.folder.list(path);
        self.note(|notes| {
            notes.failed |= found.is_err();
            notes.paths.insert(path.clone());
            notes.lists.insert(path.clone());
        });
        found
    }

    fn names(&self, path: &ImagePath, fits: &dyn Fn(&[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
        let found = self.folder.names(path, fits);
        self.note(|notes| {
            notes.failed |= found.is_err();
            notes.paths.insert(path.clone());
            notes.named.insert(path.clone());
        });
        found
    }

    fn describe(&self) -> String {
        self.folder.describe()
    }
}

impl Notes {
    /// What both asked.
    #[must_use]
    pub fn and(mut self, other: Notes) -> Self {
        self.paths.extend(other.paths);
        self.lists.extend(other.lists);
        self.named.extend(other.named);
        self.failed |= other.failed;
        self
    }

    /// Whether something could not be found out, so that no answer says what the build got.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// How many paths were asked for.
    pub fn count(&self) -> usize {
        self.paths.len()
    }

    /// The folders that were listed and hold so much that their answers are worth being kept by themselves, for all
    /// builds that list them.
    pub fn large_lists(&self, folder: &Folder) -> Vec<ImagePath> {
        self.lists.iter().filter(|list| is_large(folder, list)).cloned().collect()
    }

    /// The folders of which only names, or few, were asked.
    pub(super) fn small_lists<'a>(&'a self, folder: &'a Folder) -> impl Iterator<Item = &'a ImagePath> {
        let small = self.lists.iter().filter(|list| !is_large(folder, list));
        small.chain(self.named.difference(&self.lists))
    }

    /// All that was asked but what [`Notes::large_lists`] has, in order.
    pub fn others(&self, folder: &Folder) -> Vec<ImagePath> {
        let (mut others, mut large) = (Vec::with_capacity(self.paths.len()), PathMap::default());
        for list in &self.lists {
            let names = folder.known_names(list).unwrap_or_else(|_| Names::from([]));
            if names.len() >= LARGE {
                large.insert(list.clone(), names);
            } else {
                others.extend(names.iter().map(|name| list.join(name)));
            }
        }
        let is_in_large = |path: &ImagePath| {
            let names = path.folder().and_then(|list| large.get(list));
            names.is_some_and(|names| names.binary_search_by(|name| name.as_slice().cmp(path.name())).is_ok())
        };
        others.extend(self.paths.iter().filter(|path| !is_in_large(path)).cloned());
        // A folder that was listed may stand in another one that was.
        others.extend(self.lists.iter().cloned());
        others.sort_unstable();
        others.dedup();
        with_parents(&others, folder)
    }
}

/// From how many names on a folder is a large one.
const LARGE: usize = 64;

fn is_large(folder: &Folder, list: &ImagePath) -> bool {
    folder.known_names(list).is_ok_and(|names| names.len() >= LARGE)
}

/// The paths and the folders above them. Of what is below something that is no folder, that alone says it all.
fn with_parents(paths: &[ImagePath], folder: &Folder) -> Vec<ImagePath> {
    let mut all = Vec::with_capacity(paths.len());
    let mut folders = PathMap::default();
    for path in paths {
        if is_in_folder(path, folder, &mut folders, &mut all) {
            all.push(path.clone());
        }
    }
    // In order but for the folders, which a stable sort makes use of.
    all.sort();
    all.dedup();
    all
}

/// Whether what holds a path is a folder.
fn is_in_folder(path: &ImagePath, folder: &Folder, known: &mut PathMap<bool>, all: &mut Vec<ImagePath>) -> bool {
    if let Some(known) = path.folder().and_then(|above| known.get(above)) {
        return *known;
    }
    path.parent().is_none_or(|above| is_folder(&above, folder, known, all))
}

/// Whether a path is a folder, as are all above it; notes the paths that say so, or the first that says otherwise.
fn is_folder(path: &ImagePath, folder: &Folder, known: &mut PathMap<bool>, all: &mut Vec<ImagePath>) -> bool {
    let is = is_in_folder(path, folder, known, all) && {
        all.push(path.clone());
        folder.node(path).ok().flatten().is_some_and(|node| node.is_directory())
    };
    known.insert(path.clone(), is);
    is
}
