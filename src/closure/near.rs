//! Files that come near to one that is missing: what a person would look for next.

use super::tree::{Looked, Tree};
use super::{Bytes, NearMiss, NotTaken};

/// More than this helps nobody.
const MOST: usize = 5;
/// The most entries of one directory that are looked at.
const MOST_ENTRIES: usize = 10_000;

/// Where to look.
pub(super) struct Search {
    /// The name that is missing.
    pub(super) name: Bytes,
    /// The directory of the object that asked.
    pub(super) asker: Bytes,
    /// The directories that were searched.
    pub(super) directories: Vec<Bytes>,
    /// What was seen on the way.
    pub(super) seen: Vec<NearMiss>,
}

/// What comes near, the nearest first: files that were passed over, other versions, other places.
pub(super) fn misses(tree: &Tree<'_>, search: &Search) -> Vec<NearMiss> {
    let mut found = search.seen.clone();
    if !search.name.contains(&b'/') && !search.name.is_empty() {
        for directory in &search.directories {
            for entry in tree.list(directory).iter().take(MOST_ENTRIES) {
                if entry.is_directory {
                    found.extend(elsewhere(tree, directory, &entry.name, &search.name));
                } else if same_stem(&entry.name, &search.name) && *entry.name != *search.name {
                    found.push(NearMiss { path: join(directory, &entry.name), because: NotTaken::OtherVersion });
                }
            }
        }
        for entry in tree.list(&search.asker).iter().take(MOST_ENTRIES).filter(|entry| entry.is_directory) {
            found.extend(elsewhere(tree, &search.asker, &entry.name, &search.name));
        }
    }
    // On a merged /usr a directory is searched under two names.
    let mut seen = Vec::new();
    found.retain(|miss| {
        let place = match tree.look(&miss.path) {
            Looked::Found(place) => place.real.as_bytes().to_vec(),
            _ => miss.path.to_vec(),
        };
        let is_new = !seen.contains(&place);
        seen.push(place);
        is_new
    });
    found.truncate(MOST);
    found
}

fn elsewhere(tree: &Tree<'_>, directory: &[u8], below: &[u8], name: &[u8]) -> Option<NearMiss> {
    let path = join(&join(directory, below), name);
    let there = matches!(tree.look(&path), Looked::Found(place) if place.content.is_some());
    there.then_some(NearMiss { path, because: NotTaken::Elsewhere })
}

fn join(directory: &[u8], name: &[u8]) -> Bytes {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    [directory, b"/", name].concat().into()
}

/// Whether two names of libraries are the same up to `.so`.
pub(super) fn same_stem(a: &[u8], b: &[u8]) -> bool {
    let stem = |name: &[u8]| memchr::memmem::find(name, b".so").filter(|&end| end > 3);
    matches!((stem(a), stem(b)), (Some(x), Some(y)) if a[..x] == b[..y])
}
