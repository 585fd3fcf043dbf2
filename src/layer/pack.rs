//! Packing: pieces of all layers are read and compressed by all threads, and written in order.
//!
//! One list of pieces, layer by layer. Each thread takes the next piece with buffers for it: so the
//! first piece that is not done yet always has buffers, and the others wait for it. Two chains for each layer, one
//! for the digest of the tar stream and one for the blob, take the pieces in order on whichever thread is there.
//!
//! What the cache has of it is not made again: first whole layers, by what `stat` says; then those of which it has one
//! of the same shape, by reading and hashing alone; then pieces.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::blob::BlobWriter;
use super::chains::Packing;
use super::codec::{Encoder, Packed};
use super::digests::{self, Digests};
use super::fill::{Filler, Unreadable};
use super::hashing::hash_pieces;
use super::known::{Keys, Known, Origin, PieceCheck};
use super::layout::Layout;
use super::piece::Piece;
use super::pool::{Lent, Pool};
use super::record::Member;
use super::watch::{Activity, Watch, watched};
use super::{Effort, Layer, LayerPlan, Options, Staging, UNREADABLE};
use crate::cache::{Key, key_of};
use crate::recipe::Compression;
use crate::report::{Diagnostic, Error, Result, plain};
use crate::threads;
use crate::tree::Tree;

thread_local! {
    /// The encoder that this thread used last, for the next image: its tables are larger than what many an image
    /// compresses.
    static ENCODER: Cell<Option<(Compression, Encoder)>> = const { Cell::new(None) };
}

/// How much of a tar stream is worth a thread.
const WORTH_A_THREAD: u64 = 512 << 10;

/// Packs the layers of a plan: tar, compression, digests, all in one parallel pass over the files. The blobs are in
/// `staging` afterwards, under the names of their digests.
///
/// # Errors
/// When a file can't be read or is no longer what it was when it was looked at; when a blob can't be written.
pub fn pack(
    tree: &Tree,
    plans: &[LayerPlan],
    compression: Compression,
    options: &Options,
    staging: &Staging,
) -> Result<Vec<Layer>> {
    let parent = super::parent_entry();
    let layouts: Vec<Layout> = plans.par_iter().map(|plan| Layout::new(tree, plan, &parent)).collect();
    let known = Known::new(options, compression);
    let mut layers: Vec<Option<Layer>> = Vec::new();
    let of = |layout| known.as_ref().map(|known| known.keys(layout));
    let mut keys: Vec<Option<Keys>> = layouts.par_iter().map(of).collect();
    for (layout, own) in layouts.iter().zip(&keys) {
        let threads = options.threads.get();
        layers.push(
            known.as_ref().zip(own.as_ref()).and_then(|(known, own)| known.by_stat(layout, own, staging, threads)),
        );
    }
    let mut hashes = match &known {
        Some(known) => find_by_content(known, &layouts, &keys, &mut layers, options, staging)?,
        None => Vec::new(),
    };
    if let Some(known) = &known {
        super::elsewhere::find(known, &layouts, &keys, &mut hashes, &mut layers, options, staging)?;
    }

    let mut packing = Vec::new();
    let mut places = Vec::new();
    for (number, layout) in layouts.iter().enumerate().filter(|(number, _)| layers[*number].is_none()) {
        let blob = BlobWriter::create(staging, compression)?;
        let hashes = hashes.get_mut(number).map(std::mem::take).unwrap_or_default();
        let digests = options.file_hashes.then(|| Digests::new(layout, options.cache.as_deref()));
        packing.push(Packing::new(layout, keys[number].take(), hashes, digests, blob, compression));
        places.push(number);
    }
    if !packing.is_empty() {
        Work::new(&packing, known.as_ref(), compression, staging, options).run()?;
    }
    for (place, packing) in places.into_iter().zip(packing) {
        layers[place] = Some(packing.finish(known.as_ref(), options.watch.as_deref())?);
    }
    if options.file_hashes {
        for (layer, layout) in layers.iter_mut().zip(&layouts) {
            if let Some(layer) = layer.as_mut().filter(|layer| layer.hashes.is_empty()) {
                layer.hashes = digests::of_layer(layout, options.cache.as_deref())?;
            }
        }
    }
    if let Some(known) = &known {
        known.flush();
    }
    Ok(layers.into_iter().flatten().collect())
}

/// Takes from the cache the layers that it has by content. Only those are read for it of which it has one of the same
/// paths, modes and sizes: of others it would be in vain. Returns the hashes of the pieces of layers that were read and
/// not found.
fn find_by_content(
    known: &Known,
    layouts: &[Layout],
    keys: &[Option<Keys>],
    layers: &mut [Option<Layer>],
    options: &Options,
    staging: &Staging,
) -> Result<Vec<Vec<Key>>> {
    let mut all = vec![Vec::new(); layouts.len()];
    let asked: Vec<(usize, &Layout, &Keys)> = layouts
        .iter()
        .enumerate()
        .filter_map(|(number, layout)| Some((number, layout, keys[number].as_ref()?)))
        .filter(|(number, _, own)| layers[*number].is_none() && known.has_shape(own))
        .collect();
    let these: Vec<(&Layout, &Keys)> = asked.iter().map(|(_, layout, own)| (*layout, *own)).collect();
    for ((number, layout, own), (hashes, read)) in asked.into_iter().zip(hash_pieces(known, &these, options)?) {
        let threads = options.threads.get();
        layers[number] = known.by_content(layout, own, &hashes, staging, threads).map(|mut layer| {
            (layer.effort.read, layer.effort.hashed) = (read, read);
            layer
        });
        if layers[number].is_none() {
            all[number] = hashes;
        }
    }
    Ok(all)
}

/// How many threads a stream of this size is worth.
pub(super) fn worth(size: u64) -> usize {
    usize::try_from(size / WORTH_A_THREAD + 1).unwrap_or(usize::MAX)
}

/// All that the threads share.
struct Work<'a, 'l> {
    packing: &'a [Packing<'l>],
    known: Option<&'a Known>,
    compression: Compression,
    staging: &'a Staging,
    watch: Option<&'a dyn Watch>,
    threads: usize,
    /// Layer and piece, in the order in which they are begun.
    tasks: Vec<(usize, usize)>,
    pool: Pool,
    failures: Mutex<Vec<(usize, Error)>>,
}

impl<'a, 'l> Work<'a, 'l> {
    fn new(
        packing: &'a [Packing<'l>],
        known: Option<&'a Known>,
        compression: Compression,
        staging: &'a Staging,
        options: &'a Options,
    ) -> Self {
        let mut order: Vec<usize> = (0..packing.len()).collect();
        // Last is what ends with many small pieces: then no thread is left alone with a large one.
        order.sort_by_key(|&layer| {
            let layout = packing[layer].layout;
            (layout.small_end(), std::cmp::Reverse(layout.size))
        });
        let pieces = |layer: usize| packing[layer].layout.pieces.len();
        let tasks = order.iter().flat_map(|&layer| (0..pieces(layer)).map(move |piece| (layer, piece)));
        let size: u64 = packing.iter().map(|packing| packing.layout.size).sum();
        let threads = options.threads.get().min(worth(size));
        Self {
            packing,
            known,
            compression,
            staging,
            watch: options.watch.as_deref(),
            threads,
            tasks: tasks.collect(),
            pool: Pool::new(threads, packing.iter().map(|packing| packing.layout.members.len()).sum()),
            failures: Mutex::default(),
        }
    }

    fn run(&self) -> Result<()> {
        threads::all_do(self.threads, &|| self.worker());
        // Pieces are begun in order and a begun one is ended, so the first failure is the same for any threads.
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().min_by_key(|(task, _)| *task).map_or(Ok(()), |(_, error)| Err(error.clone()))
    }

    fn worker(&self) {
        let _closer = CloseOnPanic(&self.pool);
        let mut filler = Filler::new(self.watch);
        let known = ENCODER.take().filter(|(compression, _)| *compression == self.compression);
        let mut encoder = known.map(|(_, encoder)| encoder);
        let piece_of =
            |task: usize| self.tasks.get(task).map(|&(layer, piece)| &self.packing[layer].layout.pieces[piece]);
        while let Some((task, lent)) = self.pool.take(|task| piece_of(task).map(Piece::size)) {
            let (layer, piece) = self.tasks[task];
            let packing = &self.packing[layer];
            match self.prepare(packing, piece, &mut filler, &mut encoder, lent) {
                Ok((effort, ready)) => {
                    packing.count(effort);
                    packing.commit(piece, ready, self.staging, &self.pool, self.watch, |error| self.fail(task, error));
                }
                Err(error) => self.fail(task, error),
            }
        }
        ENCODER.set(encoder.map(|encoder| (self.compression, encoder)));
    }

    /// Reads a piece, and compresses it or finds it compressed.
    fn prepare(
        &self,
        packing: &Packing,
        piece: usize,
        filler: &mut Filler,
        encoder: &mut Option<Encoder>,
        mut lent: Lent,
    ) -> Result<(Effort, (Arc<Lent>, Packed))> {
        let (members, this) = (&packing.layout.members, &packing.layout.pieces[piece]);
        filler.fill(members, this, &mut lent.raw).map_err(|error| unreadable_in(members, &error))?;
        let (lent, mut packed) = (Arc::new(lent), self.pool.packed());
        packing.read(piece, &lent, &self.pool, self.watch);
        let raw = lent.raw.bytes();
        let size = raw.len() as u64;
        let mut effort = Effort { read: size, ..Effort::default() };
        // The end of the archive is not worth a look.
        let known = self.known.zip(packing.keys.as_ref()).filter(|_| !this.is_last());
        let hash = known.map(|(known, keys)| {
            packing.hashes.get(piece).copied().or_else(|| known.piece_hash(keys, piece)).unwrap_or_else(|| {
                effort.hashed = size;
                watched(self.watch, Activity::Hash, || key_of(raw))
            })
        });
        let found = known.zip(hash).and_then(|((known, _), hash)| {
            let bring = || known.bring_piece(&hash, raw, &mut packed);
            watched(self.watch, Activity::Read, bring)
        });
        if found == Some(Origin::Cache) {
            effort.pieces_known = 1;
        } else if found == Some(Origin::Registry) {
            (effort.pieces_remote, effort.pieces_fetched) = (1, packed.bytes().len() as u64);
        } else {
            if encoder.is_none() {
                *encoder = Some(Encoder::new(self.compression).map_err(Error::internal)?);
            }
            if let Some(encoder) = encoder {
                let encode = || encoder.encode(raw, this.is_last(), &mut packed);
                watched(self.watch, Activity::Compress, encode).map_err(Error::internal)?;
            }
            (effort.pieces_packed, effort.compressed) = (1, size);
        }
        if let Some(hash) = hash {
            let check = PieceCheck { crc: packed.crc.clone().finalize(), size: u32::try_from(size).unwrap_or(0) };
            let _ = packing.found[piece].set((hash, check));
        }
        Ok((effort, (lent, packed)))
    }

    fn fail(&self, task: usize, error: Error) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push((task, error));
        self.pool.close();
    }
}

/// A thread that panics would keep its buffers, and the others would wait for them.
struct CloseOnPanic<'a>(&'a Pool);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}

pub(super) fn unreadable_in(members: &[Member], failure: &Unreadable) -> Error {
    unreadable(&members[failure.member], &failure.error)
}

/// The error for a file that can't be read.
pub(super) fn unreadable(member: &Member, error: &std::io::Error) -> Error {
    let host_path = member.entry().content().and_then(crate::source::Content::host_path);
    let shown = host_path.map_or_else(|| member.path().to_string(), |path| path.display().to_string());
    Diagnostic::error(UNREADABLE, format!("cannot read `{shown}`: {}", plain(error)))
        .at_some(member.entry().span(), "brings it")
        .note(format!("it is `{}` in the image", member.path()))
        .into()
}
