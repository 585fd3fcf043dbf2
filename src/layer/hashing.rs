//! The hashes of pieces without packing them: read again, or known by what `stat` says of their files.
//!
//! In: layers and their keys. Out: for each the hashes of its pieces, which any number of threads make, each begun and
//! ended as its caller likes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Options;
use super::fill::Filler;
use super::known::{Keys, Known};
use super::layout::Layout;
use super::pack::{unreadable_in, worth};
use super::watch::Watch;
use crate::cache::Key;
use crate::report::{Error, Result};
use crate::threads;

/// The pieces of some layers while they are hashed.
pub(super) struct Hashing {
    /// Layer and piece, in the order in which they are begun.
    tasks: Vec<(usize, usize)>,
    next: AtomicUsize,
    /// The hash of each, and how many bytes were read for it.
    found: Vec<OnceLock<Result<(Key, usize)>>>,
}

/// A layer with its keys.
pub(super) type Keyed<'a> = (&'a Layout<'a>, &'a Keys);

impl Hashing {
    /// Nothing is hashed yet.
    pub(super) fn new(layers: &[Keyed<'_>]) -> Self {
        let tasks: Vec<(usize, usize)> = layers
            .iter()
            .enumerate()
            .flat_map(|(layer, (layout, _))| pieces(layout).map(move |piece| (layer, piece)))
            .collect();
        let found = tasks.iter().map(|_| OnceLock::new()).collect();
        Self { tasks, next: AtomicUsize::new(0), found }
    }

    /// Takes part until every piece is begun, or until somebody says that nobody wants to know any longer. `layers` are
    /// those that it was made of.
    pub(super) fn work(&self, known: &Known, layers: &[Keyed<'_>], watch: Option<&dyn Watch>, stopped: &AtomicBool) {
        let mut filler = Filler::new(watch);
        while !stopped.load(Ordering::Relaxed) {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&(layer, piece)) = self.tasks.get(task) else { return };
            let (layout, keys) = layers[layer];
            let read = || {
                let hash = filler.hash(&layout.members, &layout.pieces[piece]);
                let hash = hash.map_err(|error| unreadable_in(&layout.members, &error))?;
                Ok((hash, layout.pieces[piece].size()))
            };
            let hash = known.piece_hash(keys, piece).map(|known| (known, 0)).map_or_else(read, Ok);
            let _ = self.found[task].set(hash);
        }
    }

    /// For each layer the hash of each of its pieces but the last, and how many bytes were read for it.
    ///
    /// # Errors
    /// When a file could not be read, or when the work was stopped.
    pub(super) fn finish(self, layers: &[Keyed<'_>]) -> Result<Vec<(Vec<Key>, u64)>> {
        let found = self.found.into_iter().map(OnceLock::into_inner).collect::<Option<Vec<_>>>();
        let mut found = found.ok_or_else(|| Error::internal("pieces that nobody hashed"))?.into_iter();
        let of_layer = |(layout, _): &Keyed<'_>| {
            let hashed = found.by_ref().take(pieces(layout).len()).collect::<Result<Vec<(Key, usize)>>>()?;
            let read = hashed.iter().map(|(_, read)| *read as u64).sum();
            Ok((hashed.into_iter().map(|(hash, _)| hash).collect(), read))
        };
        layers.iter().map(of_layer).collect()
    }
}

fn pieces(layout: &Layout) -> std::ops::Range<usize> {
    0..layout.pieces.len() - 1
}

/// For each layer the hash of each of its pieces but the last, and how many bytes were read for it.
pub(super) fn hash_pieces(known: &Known, layers: &[Keyed<'_>], options: &Options) -> Result<Vec<(Vec<Key>, u64)>> {
    let (hashing, stopped) = (Hashing::new(layers), AtomicBool::new(false));
    let size = layers.iter().map(|(layout, _)| layout.size).sum();
    let work = || hashing.work(known, layers, options.watch.as_deref(), &stopped);
    threads::all_do(options.threads.get().min(worth(size)), &work);
    hashing.finish(layers)
}
