//! The root as the lock file knows it: folders hold what it names, and nothing else.

use std::collections::BTreeSet;
use std::io;

use super::Taken;
use crate::path::ImagePath;
use crate::source::{Node, Source};

/// A root whose folders list only what a lock file names. A path that is asked for by itself is there all the same:
/// whether it may be used is found out when the image is held against the lock file.
pub struct Frozen<'a> {
    root: &'a dyn Source,
    /// Every path of the root that is named, and the folders above each.
    named: BTreeSet<ImagePath>,
}

impl<'a> Frozen<'a> {
    /// Lays what a lock file names, as [`named`] gives it, over a root.
    pub fn new(root: &'a dyn Source, named: BTreeSet<ImagePath>) -> Self {
        Self { root, named }
    }
}

/// The paths of the root that an image takes, and the folders above each.
pub fn named(taken: &Taken) -> BTreeSet<ImagePath> {
    let mut named = BTreeSet::new();
    for (path, fact) in &taken.paths {
        let path = fact.from.as_ref().unwrap_or(path);
        for above in path.ancestors() {
            if !named.insert(above) {
                break;
            }
        }
        named.insert(path.clone());
    }
    named
}

impl Source for Frozen<'_> {
    fn node(&self, path: &ImagePath) -> io::Result<Option<Node>> {
        self.root.node(path)
    }

    fn list(&self, path: &ImagePath) -> io::Result<Vec<(Vec<u8>, Node)>> {
        let mut names = self.root.list(path)?;
        names.retain(|(name, _)| self.named.contains(&path.join(name)));
        Ok(names)
    }

    fn describe(&self) -> String {
        self.root.describe()
    }
}
