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
        let places: HashMap<&[u8], usize> = paths.enumerate().map(|(i, path)| (path.as_bytes(), i)).collect();
        let len = places.values().max().map_or(0, |last| last + 1);
        let mut spellings: HashMap<Vec<u8>, Target> = HashMap::with_capacity(2 * places.len());
        let spelled = |path: &[u8]| database.spelling.all(path).map(|mut path| path.split_off(1)).collect::<Vec<_>>();
        for (path, place) in &places {
            for spelling in spelled(path) {
                spellings.entry(spelling).or_default().here = Some(*place);
            }
        }
        for diversion in &database.diversions {
            let to = places.get(diversion.to.as_slice()).copied();
            if to.is_none() && !places.contains_key(diversion.from.as_slice()) {
                continue;
            }
            for spelling in spelled(&diversion.from) {
                let target = spellings.entry(spelling).or_default();
                target.diverted = Some(Diverted { by: diversion.by.clone(), to });
            }
        }
        let mut filter = Filter::new(spellings.len());
        for spelling in spellings.keys() {
            filter.add(spelling);
        }
        Self { spellings, filter, len }
    }

    /// How many paths are asked for.
    pub(super) fn len(&self) -> usize {
        self.len
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
    bits: Vec<u64>,
    shift: u32,
}

impl Filter {
    fn new(keys: usize) -> Self {
        let bits = (keys * 32).next_power_of_two().max(1 << 12);
        Self { bits: vec![0; bits / 64], shift: 64 - bits.trailing_zeros() }
    }

    fn bit(&self, key: &[u8]) -> (usize, u64) {
        let word = |end: usize| key[..end].last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let mixed = word(key.len()) ^ word(key.len().saturating_sub(8)).rotate_left(29) ^ key.len() as u64;
        let bit = (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize;
        (bit / 64, 1 << (bit % 64))
    }

    fn add(&mut self, key: &[u8]) {
        let (word, mask) = self.bit(key);
        self.bits[word] |= mask;
    }

    fn may_have(&self, key: &[u8]) -> bool {
        let (word, mask) = self.bit(key);
        self.bits[word] & mask != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_filter_loses_nothing(keys: Vec<Vec<u8>>) {
            let mut filter = Filter::new(keys.len());
            keys.iter().for_each(|key| filter.add(key));
            proptest::prop_assert!(keys.iter().all(|key| filter.may_have(key)));
        }
    }
}
