//! Whether files are those that layers were packed of, by the hashes of the pieces.
//!
//! In: a tree, how it is spread over layers, and the hashes that its pieces had. Out: whether they have them now; what
//! is known of a file by what `stat` says is not read. Nothing is compressed, and nothing is written but facts in the
//! cache.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::hashing::{Hashing, Keyed};
use super::known::{Keys, Known};
use super::layout::Layout;
use super::watch::Watch;
use super::{LayerPlan, Options};
use crate::cache::Key;
use crate::recipe::Compression;
use crate::tree::{Entry, Tree};

/// Layers of which the pieces are hashed again, by any number of threads.
pub struct Recheck<'a> {
    known: Known,
    layers: &'a [(LayerPlan, Vec<Key>)],
    layouts: Vec<Layout<'a>>,
    keys: Vec<Keys>,
    hashing: Hashing,
    watch: Option<Arc<dyn Watch>>,
}

impl<'a> Recheck<'a> {
    /// Of layers with the hashes that their pieces had; `parent` is [`parent_entry`](super::parent_entry). Nothing is
    /// read yet. `None` when there is no cache.
    pub fn new(
        tree: &'a Tree,
        layers: &'a [(LayerPlan, Vec<Key>)],
        parent: &'a Entry,
        compression: Compression,
        options: &Options,
    ) -> Option<Self> {
        let known = Known::new(options, compression)?;
        let layouts: Vec<Layout> = layers.iter().map(|(plan, _)| Layout::new(tree, plan, parent)).collect();
        let keys: Vec<Keys> = layouts.iter().map(|layout| known.keys(layout)).collect();
        let hashing = Hashing::new(&keyed(&layouts, &keys));
        Some(Self { known, layers, layouts, keys, hashing, watch: options.watch.clone() })
    }

    /// Hashes pieces, where their hashes are not known by what `stat` says, until each is begun, by whichever thread,
    /// or until all are `stopped`.
    pub fn work(&self, stopped: &AtomicBool) {
        self.hashing.work(&self.known, &keyed(&self.layouts, &self.keys), self.watch.as_deref(), stopped);
    }

    /// How many bytes were read, once all threads are done with [`Recheck::work`]. `None` when a piece has not the
    /// bytes that it had, when a file can't be read, or when not all was done.
    pub fn finish(self) -> Option<u64> {
        let (mut is_same, mut all) = (true, 0);
        let found = self.hashing.finish(&keyed(&self.layouts, &self.keys)).ok()?;
        for ((keys, (_, before)), (now, read)) in self.keys.iter().zip(self.layers).zip(found) {
            self.known.remember_stat(keys, &now, &self.known.content_key(&now));
            is_same &= now == *before;
            all += read;
        }
        is_same.then_some(all)
    }
}

fn keyed<'a>(layouts: &'a [Layout<'a>], keys: &'a [Keys]) -> Vec<Keyed<'a>> {
    layouts.iter().zip(keys).collect()
}
