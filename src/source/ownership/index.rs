//! Which packages have a line in their lists for a path: the lines of all packages, by their hashes alone.

use std::collections::{BTreeSet, HashSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::database::{Database, List, PackageId};
use crate::report::Result;
use crate::source::Source;
use crate::threads::{Beside, beside};

/// How many lists a thread takes at once.
const AT_ONCE: usize = 16;

/// A few bytes for each line of each list. What it finds may be another path of the same hash: the list itself says.
pub(super) struct Index {
    /// Hash and package, as each thread came to them.
    lines: Vec<Vec<(u32, u32)>>,
    /// The lists that were asked for.
    lists: Vec<OnceLock<Option<List>>>,
}

impl Index {
    /// Reads the lists of all packages, and keeps none. By threads of its own: those of the pool are wanted for what is
    /// done meanwhile, which would wait behind a thousand lists.
    pub(super) fn read(database: &Database, source: &dyn Source) -> Result<Self> {
        let (ids, next) = (database.ids(), AtomicUsize::new(0));
        let read = || -> Result<Vec<(u32, u32)>> {
            let (mut lines, mut buffer) = (Vec::new(), Vec::new());
            loop {
                let from = next.fetch_add(AT_ONCE, Ordering::Relaxed).min(ids.len());
                let some = &ids[from..ids.len().min(from + AT_ONCE)];
                if some.is_empty() {
                    return Ok(lines);
                }
                for &id in some {
                    let place = u32::try_from(id.place()).unwrap_or(u32::MAX);
                    let add = |path: &[u8]| lines.push((hash(path), place));
                    database.each_path(source, database.package(id), &mut buffer, add)?;
                }
            }
        };
        let threads = rayon::current_num_threads().min(ids.len().div_ceil(AT_ONCE));
        let all = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| beside(scope, read)).collect();
            let own = read();
            let others = others.into_iter().map(Beside::outcome);
            std::iter::once(own).chain(others).collect::<Vec<Result<_>>>()
        });
        let lines = all.into_iter().collect::<Result<_>>()?;
        Ok(Self { lines, lists: ids.iter().map(|_| OnceLock::new()).collect() })
    }

    /// The places of the packages that may list one of some paths, as they spell it, without leading `/`.
    pub(super) fn candidates<'a>(&self, paths: impl ExactSizeIterator<Item = &'a [u8]>) -> BTreeSet<usize> {
        // A bit for each path turns almost every line away.
        let words = paths.len().next_power_of_two().clamp(1 << 6, 1 << 24);
        let place = |hash: u32| ((hash >> 6) as usize & (words - 1), 1 << (hash % 64));
        let mut filter = vec![0_u64; words];
        let wanted: HashSet<u32> = paths.map(hash).collect();
        for (word, bit) in wanted.iter().map(|hash| place(*hash)) {
            filter[word] |= bit;
        }
        let may_be = |hash: u32| {
            let (word, bit) = place(hash);
            filter[word] & bit != 0 && wanted.contains(&hash)
        };
        self.lines.iter().flatten().filter(|line| may_be(line.0)).map(|line| line.1 as usize).collect()
    }

    /// The list of a package's files.
    pub(super) fn list(&self, database: &Database, source: &dyn Source, id: PackageId) -> Result<Option<&List>> {
        let place = &self.lists[id.place()];
        if let Some(known) = place.get() {
            return Ok(known.as_ref());
        }
        let list = database.list(source, database.package(id))?;
        Ok(place.get_or_init(|| list).as_ref())
    }
}

/// FNV-1a, over words, of which the upper half counts: the paths come from the root's own packages, and a collision
/// only costs a comparison.
fn hash(path: &[u8]) -> u32 {
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    let (words, rest) = path.as_chunks::<8>();
    let hash = words.iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    // The last word of a long path overlaps the one before it.
    let last = path.last_chunk().copied().unwrap_or_else(|| {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        word
    });
    let hash = mix(hash ^ path.len() as u64, u64::from_le_bytes(last));
    u32::try_from(hash >> 32).unwrap_or(u32::MAX)
}
