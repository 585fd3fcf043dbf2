//! Layers that need not be packed because a registry's cache has them.
//!
//! In: layers that the cache of this machine lacks. Out: those that a registry has. What the image says of one, the
//! digest of its tar stream, is made here, from this machine's files. Where the bytes are wanted, they are fetched and
//! held against the files piece by piece; where all outputs are repositories that take the layer over, they stay where
//! they are. For a layer that no registry has, pieces are looked for in its [`predecessor`].

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::blob::Blob;
use super::entry::Entry;
use super::hashing::hash_pieces;
use super::known::{Keys, Known};
use super::layout::Layout;
use super::remote::RemoteCache;
use super::{Durability, Effort, Layer, Options, Staging, codec, predecessor, proof};
use crate::cache::Key;
use crate::registry::Repository;
use crate::report::Result;
use crate::threads;

/// A layer that is looked for.
struct Wanted<'a> {
    number: usize,
    layout: &'a Layout<'a>,
    keys: &'a Keys,
    content: Key,
    /// The hashes of its pieces.
    hashes: Vec<Key>,
    /// How many bytes were read for it.
    read: u64,
}

/// Takes layers from the caches of registries. Those that are not found leave the hashes of their pieces behind.
///
/// # Errors
/// When a file can't be read.
pub(super) fn find(
    known: &Known,
    layouts: &[Layout],
    keys: &[Option<Keys>],
    hashes: &mut [Vec<Key>],
    layers: &mut [Option<Layer>],
    options: &Options,
    staging: &Staging,
) -> Result<()> {
    let Some(remote) = options.remote.as_ref().filter(|remote| remote.is_asked()) else { return Ok(()) };
    let mut wanted = Vec::new();
    for (number, layout) in layouts.iter().enumerate().filter(|(number, _)| layers[*number].is_none()) {
        let Some(keys) = &keys[number] else { continue };
        let (mut hashes, mut read) = (std::mem::take(&mut hashes[number]), 0);
        if hashes.is_empty() {
            // Pieces that are known by what `stat` says are not read.
            (hashes, read) = hash_pieces(known, &[(layout, keys)], options)?.pop().unwrap_or_default();
        }
        wanted.push(Wanted { number, layout, keys, content: known.content_key(&hashes), hashes, read });
    }
    let search = Search { known, remote, options, staging };
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(one) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let layer = search.one(one);
            found.lock().unwrap_or_else(PoisonError::into_inner).push((one.number, layer));
        }
    };
    threads::all_do(options.threads.get().min(wanted.len()), &work);
    for (number, layer) in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
        layers[number] = layer;
    }
    for one in wanted {
        hashes[one.number] = one.hashes;
    }
    Ok(())
}

struct Search<'a> {
    known: &'a Known,
    remote: &'a Arc<RemoteCache>,
    options: &'a Options,
    staging: &'a Staging,
}

impl Search<'_> {
    /// `None` when it has to be packed: no cache has it, or what one has is not of these files.
    fn one(&self, wanted: &Wanted) -> Option<Layer> {
        let media_type = codec::media_type(self.known.compression());
        let Some((from, entry)) = self.remote.find(&wanted.content, &media_type) else {
            if let Some(lineage) = self.known.lineage(wanted.layout, &wanted.hashes) {
                let borrower = predecessor::Borrower { known: self.known, remote: self.remote, staging: self.staging };
                borrower.borrow(wanted.layout, &wanted.content, &lineage);
            }
            return None;
        };
        // Before anything is fetched: no codec makes a stream much larger.
        let size = wanted.layout.size;
        if entry.unpacked != size || entry.size > size + size / 8 + (1 << 20) {
            self.remote.refute(&from, &wanted.content);
            return None;
        }
        if self.options.targets.is_empty() || !self.remote.trusts_writers() {
            return self.fetched(wanted, &from, &entry);
        }
        let watch = self.options.watch.as_deref();
        let (diff_id, read) = match self.known.diff_id(&wanted.content) {
            Some(diff_id) => (diff_id, 0),
            // A file that can't be read is told of when it is packed.
            None => (proof::diff_id(wanted.layout, watch).ok()?, wanted.layout.size),
        };
        if diff_id != entry.diff_id {
            self.remote.refute(&from, &wanted.content);
            return None;
        }
        if !self.remote.take_over(&self.options.targets, &entry, &from) {
            return self.fetched(wanted, &from, &entry);
        }
        let effort = Effort {
            layers_remote: 1,
            taken_over: entry.size,
            read: wanted.read + read,
            hashed: wanted.read + read,
            ..Effort::default()
        };
        let blob = Blob {
            digest: entry.digest,
            size: entry.size,
            path: self.staging.blob(entry.digest),
            segments: Vec::new(),
        };
        let layer = Layer {
            elsewhere: Some(self.remote.elsewhere(&entry, &from)),
            content: Some(wanted.content),
            pieces: wanted.hashes.clone(),
            lineage: self.known.lineage(wanted.layout, &wanted.hashes),
            ..Layer::new(wanted.layout, self.known.compression(), &blob, diff_id, effort)
        };
        self.known.keep_facts(wanted.keys, &wanted.hashes, &wanted.content, &layer);
        Some(layer)
    }

    /// Fetches a layer, holds it against the files, and keeps it in this machine's cache.
    fn fetched(&self, wanted: &Wanted, from: &Repository, entry: &Entry) -> Option<Layer> {
        let temporary = self.staging.temporary("fetched");
        let layer = self.fetch(wanted, (from, entry), &temporary);
        if layer.is_none() {
            let _ = std::fs::remove_file(&temporary);
        }
        layer
    }

    fn fetch(
        &self,
        wanted: &Wanted,
        (from, entry): (&Repository, &Entry),
        temporary: &std::path::Path,
    ) -> Option<Layer> {
        let mut file = File::options().read(true).write(true).create_new(true).open(temporary).ok()?;
        let sizes = self.remote.fetch(&wanted.content, (from, entry), &mut file, temporary)?;
        let compression = self.known.compression();
        let proof = proof::compare(wanted.layout, compression, (&file, &sizes), self.options.watch.as_deref()).ok()?;
        let Some(proof) = proof.filter(|proof| proof.diff_id == entry.diff_id) else {
            self.remote.refute(from, &wanted.content);
            return None;
        };
        let flushed = self.staging.blob_durability() == Durability::Synced;
        if flushed {
            file.sync_all().ok()?;
        }
        let path = self.staging.blob(entry.digest);
        std::fs::rename(temporary, &path).ok()?;
        let read = wanted.read + wanted.layout.size;
        let effort = Effort {
            layers_remote: 1,
            fetched: entry.size,
            read,
            hashed: read + entry.size,
            written: entry.size,
            ..Effort::default()
        };
        let blob = Blob { digest: entry.digest, size: entry.size, path, segments: proof.segments };
        let mut layer = Layer::new(wanted.layout, compression, &blob, proof.diff_id, effort);
        let kept = self.known.keep(wanted.keys, &wanted.hashes, &layer, &blob, &proof.checks, flushed);
        layer.content = Some(kept);
        layer.pieces.clone_from(&wanted.hashes);
        layer.lineage = self.known.lineage(wanted.layout, &wanted.hashes);
        Some(layer)
    }
}
