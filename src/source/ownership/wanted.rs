//! The paths that are asked for, each in every spelling that a list may use.

use std::collections::HashMap;

use super::database::Database;
use crate::path::{ImagePath, PathHash};

/// The asked paths, each known by its place among them.
pub(super) struct Wanted {
    /// By spelling, without leading `/`.
    spellings: HashMap<Vec<u8>, Target, PathHash>,
    len: usize,
}

/// Which asked path a spelling means.
#[derive(Default)]
struct Target {
    here: Option<usize>,
    diverted: Option<Diverted>,
}

/// What it means in the list of another package than `by`.
struct Diverted {
    by: Option<String>,
    to: Option<usize>,
}

impl Wanted {
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a ImagePath>, database: &Database) -> Self {
        let paths: Vec<&[u8]> = paths.map(ImagePath::as_bytes).collect();
        let places: HashMap<&[u8], usize, PathHash> =
            paths.iter().enumerate().map(|(place, path)| (*path, place)).collect();
        let mut wanted = Self { spellings: HashMap::default(), len: paths.len() };
        for (place, path) in paths.iter().enumerate() {
            wanted.spelled(database, path, |target| target.here = Some(place));
        }
        for diversion in &database.diversions {
            let to = places.get(diversion.to.as_slice()).copied();
            if to.is_some() || places.contains_key(diversion.from.as_slice()) {
                let diverted = || Some(Diverted { by: diversion.by.clone(), to });
                wanted.spelled(database, &diversion.from, |target| target.diverted = diverted());
            }
        }
        wanted
    }

    /// Notes something for every spelling of a real path.
    fn spelled(&mut self, database: &Database, path: &[u8], note: impl Fn(&mut Target)) {
        for spelling in database.spelling.all(path) {
            let Some(relative) = spelling.strip_prefix(b"/") else { continue };
            note(self.spellings.entry(relative.to_vec()).or_default());
        }
    }

    /// How many paths are asked for.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Every spelling of the asked paths, without leading `/`.
    pub(super) fn spellings(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.spellings.keys().map(Vec::as_slice)
    }

    /// The asked path that `path`, without leading `/`, means in a list of `package`.
    pub(super) fn place(&self, path: &[u8], package: &str) -> Option<usize> {
        let target = self.spellings.get(path)?;
        match &target.diverted {
            Some(diverted) if diverted.by.as_deref() != Some(package) => diverted.to,
            _ => target.here,
        }
    }
}
