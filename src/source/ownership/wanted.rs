//! The paths that are asked for, made ready for being looked up a hundred thousand times: each in every spelling that
//! a list may use, behind a filter that turns almost every line away without hashing it whole.

use std::collections::HashMap;

use super::database::Database;
use crate::path::ImagePath;

/// The asked paths, each known by its place among them.
pub(super) struct Wanted {
    /// By spelling, without leading `/`.
    spellings: HashMap<Vec<u8>, Target>,
    filter: Filter,
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
        let places: HashMap<&[u8], usize> = paths.iter().enumerate().map(|(place, path)| (*path, place)).collect();
        let mut wanted = Self { spellings: HashMap::new(), filter: Filter::new(paths.len()), len: paths.len() };
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
            self.filter.add(relative);
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
        if !self.filter.may_have(path) {
            return None;
        }
        let target = self.spellings.get(path)?;
        match &target.diverted {
            Some(diverted) if diverted.by.as_deref() != Some(package) => diverted.to,
            _ => target.here,
        }
    }
}

/// A Bloom filter with one bit for each key, from the length and sixteen bytes of it.
struct Filter {
    words: Vec<u64>,
    /// Of a 64-bit hash the uppermost bits count; this is how many do not.
    shift: u32,
}

impl Filter {
    /// For about so many keys, each in a few spellings.
    fn new(keys: usize) -> Self {
        let bits = keys.saturating_mul(64).next_power_of_two().clamp(1 << 12, 1 << 30);
        Self { words: vec![0; bits / 64], shift: 64 - bits.trailing_zeros() }
    }

    fn bit(&self, key: &[u8]) -> (usize, u64) {
        let word = |end: usize| key[..end].last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let mixed = word(key.len()) ^ word(key.len().saturating_sub(8)).rotate_left(29) ^ key.len() as u64;
        let bit = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift;
        (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
    }

    fn add(&mut self, key: &[u8]) {
        let (word, mask) = self.bit(key);
        self.words[word] |= mask;
    }

    fn may_have(&self, key: &[u8]) -> bool {
        let (word, mask) = self.bit(key);
        self.words[word] & mask != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_filter_loses_nothing(keys: Vec<Vec<u8>>) {
            let mut filter = Filter::new(keys.len());
            for key in &keys {
                filter.add(key);
            }
            proptest::prop_assert!(keys.iter().all(|key| filter.may_have(key)));
        }
    }
}
