//! Pieces of a layer that no cache has whole, out of the one that was added last under the same name.
//!
//! In: the keys of a layer's pieces, and what registries say of that other layer. Out: the pieces that both have,
//! compressed, where packing finds them; it holds each against the files. Nothing is fetched where it would spare
//! little.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::entry::{Entry, Part};
use super::known::{Foreign, Known};
use super::layout::Layout;
use super::remote::RemoteCache;
use super::{Lineage, Staging, codec, proof};
use crate::cache::Key;
use crate::registry::Repository;

/// Up to how many bytes of files it is faster to compress than to ask.
const LEAST: u64 = 1 << 20;
/// Up to how many bytes between two parts come faster than the answer to another request.
const GAP: u64 = 256 << 10;

/// What pieces are looked for with.
pub(super) struct Borrower<'a> {
    pub(super) known: &'a Known,
    pub(super) remote: &'a Arc<RemoteCache>,
    pub(super) staging: &'a Staging,
}

impl Borrower<'_> {
    /// Takes what this machine's cache lacks of a layer from the first registry whose layer of the same name has half
    /// of it or more. `content` is the key of the layer.
    pub(super) fn borrow(&self, layout: &Layout, content: &Key, lineage: &Lineage) {
        let pieces = lineage.pieces.iter().copied().zip(layout.pieces.iter().map(|piece| piece.size() as u64));
        let lacking: BTreeMap<Key, u64> = pieces.filter(|(key, _)| !self.known.has_piece(key)).collect();
        let all: u64 = lacking.values().sum();
        if all <= LEAST {
            return;
        }
        let media_type = codec::media_type(self.known.compression());
        for (from, entry, parts) in self.remote.predecessors(&lineage.name, content, &media_type) {
            let mut left = lacking.clone();
            let parts: Vec<(Part, u64)> =
                parts.into_iter().filter_map(|part| left.remove(&part.key).map(|size| (part, size))).collect();
            let spared: u64 = parts.iter().map(|(_, size)| size).sum();
            if spared <= LEAST || spared * 2 < all {
                continue;
            }
            if parts.iter().any(|(part, size)| u64::from(part.size) > most_packed(*size)) {
                self.remote.refute_piece(from);
            } else if self.fetch(from, content, &entry, &parts).is_some() {
                return;
            }
        }
    }

    /// Fetches parts of a blob, and puts them where packing looks.
    fn fetch(&self, from: &Repository, content: &Key, entry: &Entry, parts: &[(Part, u64)]) -> Option<()> {
        let path = self.staging.path();
        let file = Arc::new(tempfile::tempfile_in(path).ok()?);
        // All of the blob is no more than twice of what is wanted.
        let most = 2 * parts.iter().map(|(part, _)| u64::from(part.size)).sum::<u64>();
        self.remote.fetch_parts(content, (from, entry), (&ranges(parts), most), (&file, path))?;
        for (part, _) in parts {
            let (cache, from) = (Arc::clone(self.remote), from.clone());
            let lent = Foreign { file: Arc::clone(&file), at: part.at, size: part.size, cache, from };
            self.known.lend(part.key, lent);
        }
        Some(())
    }
}

fn most_packed(size: u64) -> u64 {
    usize::try_from(size).map_or(0, |size| proof::most_packed(size) as u64)
}

/// What is asked for: parts that are near each other at once. The parts are in the order in which they lie.
fn ranges(parts: &[(Part, u64)]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (part, _) in parts {
        let end = part.at + u64::from(part.size);
        match ranges.last_mut() {
            Some(last) if part.at <= last.end + GAP => last.end = end,
            _ => ranges.push(part.at..end),
        }
    }
    ranges
}
