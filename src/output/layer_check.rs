//! Looking at the entries of one layer, in their order, for what programs would unpack in different ways.

use std::collections::HashMap;

use crate::oci::{Entry, Kind};
use crate::path::show;

/// The most entries that are kept in mind.
const MOST: usize = 5_000_000;
/// The most findings of one kind that are told one by one.
const MOST_TOLD: usize = 5;

/// What a layer's entries are, so far.
#[derive(Default)]
pub(super) struct Tree {
    kinds: HashMap<Vec<u8>, What>,
    count: u64,
    errors: Findings,
    warnings: Findings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Folder,
    File,
    Other,
}

#[derive(Default)]
struct Findings {
    told: Vec<String>,
    more: u64,
}

impl Findings {
    fn add(&mut self, what: String) {
        if self.told.len() < MOST_TOLD {
            self.told.push(what);
        } else {
            self.more += 1;
        }
    }

    fn into_lines(self) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| format!("has {} more such entries", self.more));
        self.told.into_iter().chain(more)
    }
}

impl Tree {
    /// Looks at the next entry.
    pub(super) fn take(&mut self, entry: &Entry) {
        self.count += 1;
        let name = show(&entry.path);
        let Some(path) = normal(&entry.path) else {
            return self.errors.add(format!("has `{name}`, which leads out of the image"));
        };
        if path.is_empty() {
            return;
        }
        if self.kinds.len() >= MOST {
            return self.errors.add("has too many entries to check them all".to_owned());
        }
        self.parent(&path, &name);
        let what = match &entry.kind {
            Kind::Directory => What::Folder,
            Kind::File => What::File,
            Kind::HardLink(target) => {
                let known = normal(target).and_then(|target| self.kinds.get(&target).copied());
                if known != Some(What::File) {
                    let target = show(target);
                    self.errors.add(format!("has the hard link `{name}` to `{target}`, which is no file before it"));
                }
                What::File
            }
            Kind::Symlink(_) | Kind::Special => What::Other,
        };
        if self.kinds.insert(path, what).is_some() {
            self.errors.add(format!("has two entries for `{name}`"));
        }
    }

    /// The folder above an entry comes before it.
    fn parent(&mut self, path: &[u8], name: &str) {
        let Some(cut) = memchr::memrchr(b'/', path) else { return };
        match self.kinds.get(&path[..cut]) {
            Some(What::Folder) => {}
            Some(_) => self.errors.add(format!("has `{name}` below something that is no folder")),
            None => self.warnings.add(format!("has `{name}`, and no entry for its folder before it")),
        }
    }

    /// How many entries there were.
    pub(super) fn len(&self) -> u64 {
        self.count
    }

    /// What was found: whether it is an error, and a text that completes "the layer ...".
    pub(super) fn findings(self) -> impl Iterator<Item = (bool, String)> {
        let errors = self.errors.into_lines().map(|line| (true, line));
        errors.chain(self.warnings.into_lines().map(|line| (false, line)))
    }
}

/// A name without `./` and `/` at its ends; `None` when it climbs.
fn normal(name: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Vec::new();
    for part in name.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        if part == b".." {
            return None;
        }
        parts.push(part);
    }
    Some(parts.join(&b'/'))
}
