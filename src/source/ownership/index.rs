//! All lines of all packages' lists, ready to be asked again and again: for a process that builds many images.

use rayon::prelude::*;

use super::database::{Database, List, PackageId};
use crate::report::Result;
use crate::source::Source;

/// Which packages list a path.
pub(super) struct Index {
    lists: Vec<Option<List>>,
    /// By hash.
    lines: Vec<Line>,
}

/// A line of a list.
#[derive(Clone, Copy)]
struct Line {
    hash: u64,
    package: u32,
    start: u32,
    len: u32,
}

impl Index {
    /// Reads the lists of all packages.
    pub(super) fn read(database: &Database, source: &dyn Source) -> Result<Self> {
        let read = |id: &PackageId| database.list(source, database.package(*id));
        let lists: Vec<Option<List>> = database.ids().par_iter().map(read).collect::<Result<_>>()?;
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let lines = |(package, list): (usize, &Option<List>)| -> Vec<Line> {
            let Some(list) = list else { return Vec::new() };
            let start = list.text.as_ptr().addr();
            let line = |path: &[u8]| Line {
                hash: hash(path),
                package: number(package),
                start: number(path.as_ptr().addr() - start),
                len: number(path.len()),
            };
            list.paths().map(line).collect()
        };
        let mut lines: Vec<Line> = lists.par_iter().enumerate().flat_map_iter(lines).collect();
        lines.par_sort_unstable_by_key(|line| (line.hash, line.package));
        Ok(Self { lists, lines })
    }

    /// The places of the packages that list a path, as they spell it, without leading `/`.
    pub(super) fn packages<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let wanted = hash(path);
        let first = self.lines.partition_point(|line| line.hash < wanted);
        let lines = self.lines[first..].iter().take_while(move |line| line.hash == wanted);
        lines.filter(move |line| self.text(line) == Some(path)).map(|line| line.package as usize)
    }

    fn text(&self, line: &Line) -> Option<&[u8]> {
        let list = self.lists.get(line.package as usize)?.as_ref()?;
        let start = line.start as usize;
        list.text.get(start..start + line.len as usize)
    }
}

/// FNV-1a, over words: the paths come from the root's own packages, and a collision only costs a comparison.
fn hash(path: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    let (words, rest) = path.as_chunks::<8>();
    let hash = words.iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash ^ path.len() as u64, |hash, byte| mix(hash, u64::from(*byte)))
}
