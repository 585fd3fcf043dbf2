//! What takes a layer's pieces in order: the digest of its tar stream, and its blob.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::blob::{Blob, BlobWriter, Flush};
use super::codec::Packed;
use super::digests::Digests;
use super::known::{Keys, Known, PieceCheck};
use super::layout::Layout;
use super::ordered::Ordered;
use super::pool::{Lent, Pool};
use super::watch::{Activity, Watch, watched};
use super::{Effort, Layer, Staging};
use crate::cache::Key;
use crate::oci::{DiffId, Sha256};
use crate::recipe::Compression;
use crate::report::{Error, Result};

/// A layer that is being packed.
pub(super) struct Packing<'a> {
    pub(super) layout: &'a Layout<'a>,
    compression: Compression,
    stream: Ordered<Arc<Lent>, Stream<'a>>,
    blob: Ordered<Ready, Result<Progress>>,
    /// What the cache goes by, where there is one.
    pub(super) keys: Option<Keys>,
    /// The hashes of its pieces, where they were found out before; else empty.
    pub(super) hashes: Vec<Key>,
    /// The hash of each piece, and what gzip has to know of it.
    pub(super) found: Vec<OnceLock<(Key, PieceCheck)>>,
    /// Whether the hashes of its files are wanted.
    lists: bool,
    effort: Mutex<Effort>,
}

/// A piece that is ready to be written.
struct Ready {
    /// How many bytes of the tar stream it is.
    size: usize,
    /// These bytes, where the blob has them as they are.
    raw: Option<Arc<Lent>>,
    packed: Packed,
    last: bool,
}

/// What is found out of a tar stream, piece by piece.
struct Stream<'a> {
    digest: Sha256,
    /// The hashes of its files, when these are wanted.
    files: Option<Digests<'a>>,
    /// The number of the next piece.
    next: usize,
}

impl Stream<'_> {
    fn take(&mut self, layout: &Layout, raw: &[u8]) {
        match &mut self.files {
            Some(files) => files.take(layout, self.next, raw, &mut self.digest),
            None => self.digest.update(raw),
        }
        self.next += 1;
    }
}

/// A blob on its way.
enum Progress {
    Writing(Box<BlobWriter>),
    Written(Blob, Option<Flush>),
}

impl<'a> Packing<'a> {
    pub(super) fn new(
        layout: &'a Layout<'a>,
        keys: Option<Keys>,
        hashes: Vec<Key>,
        digests: Option<Digests<'a>>,
        blob: BlobWriter,
        compression: Compression,
    ) -> Self {
        Self {
            layout,
            compression,
            lists: digests.is_some(),
            stream: Ordered::new(Stream { digest: Sha256::default(), files: digests, next: 0 }),
            blob: Ordered::new(Ok(Progress::Writing(Box::new(blob)))),
            keys,
            hashes,
            found: layout.pieces.iter().map(|_| OnceLock::new()).collect(),
            effort: Mutex::default(),
        }
    }

    /// Counts what a piece took.
    pub(super) fn count(&self, effort: Effort) {
        *self.effort.lock().unwrap_or_else(PoisonError::into_inner) += effort;
    }

    /// Takes a piece that was read, before it is compressed: so the digest of the stream need not wait for a piece that
    /// takes long to compress, and those behind it need not keep what they are made of.
    pub(super) fn read(&self, piece: usize, lent: &Arc<Lent>, pool: &Pool, watch: Option<&dyn Watch>) {
        // The stream of a layer that is not compressed is its blob.
        if self.lists || self.compression != Compression::None {
            self.stream.bring(piece, Arc::clone(lent), |stream, lent| {
                watched(watch, Activity::Hash, || stream.take(self.layout, lent.raw.bytes()));
                pool.release(lent);
            });
        }
    }

    /// Takes a piece that was compressed. `failed` is told why a blob could not be written.
    pub(super) fn commit(
        &self,
        piece: usize,
        (lent, packed): (Arc<Lent>, Packed),
        staging: &Staging,
        pool: &Pool,
        watch: Option<&dyn Watch>,
        failed: impl Fn(Error),
    ) {
        let (size, last) = (lent.raw.bytes().len(), self.layout.pieces[piece].is_last());
        pool.keep(&packed);
        let raw = if self.compression == Compression::None {
            Some(lent)
        } else {
            pool.release(lent);
            None
        };
        self.blob.bring(piece, Ready { size, raw, packed, last }, |progress, ready| {
            if let Err(error) = write(progress, &ready, staging, watch) {
                failed(error);
            }
            pool.give_back(ready.packed);
            if let Some(raw) = ready.raw {
                pool.release(raw);
            }
        });
    }

    /// The layer, after its last piece; kept in the cache where there is one.
    pub(super) fn finish(self, known: Option<&Known>, watch: Option<&dyn Watch>) -> Result<Layer> {
        let Progress::Written(blob, flush) = self.blob.finish()? else {
            return Err(Error::internal("a layer was not written to its end"));
        };
        let flushed = flush.is_some();
        if let Some(flush) = flush {
            watched(watch, Activity::Write, || flush.wait())?;
        }
        let stream = self.stream.finish();
        let diff_id = match self.compression {
            Compression::None => blob.digest,
            Compression::Zstd(_) | Compression::Gzip(_) => stream.digest.finish(),
        };
        let mut effort = self.effort.into_inner().unwrap_or_else(PoisonError::into_inner);
        effort.hashed += blob.size + if self.compression == Compression::None { 0 } else { self.layout.size };
        effort.written += blob.size;
        let digests = stream.files.map(|digests| digests.finish(self.layout)).unwrap_or_default();
        let mut layer =
            Layer { hashes: digests, ..Layer::new(self.layout, self.compression, &blob, DiffId::new(diff_id), effort) };
        if let (Some(known), Some(keys)) = (known, &self.keys) {
            let pieces = self.found.iter().take(self.found.len() - 1).map_while(OnceLock::get);
            let (hashes, checks): (Vec<Key>, Vec<PieceCheck>) = pieces.copied().unzip();
            layer.lineage = known.lineage(self.layout, &hashes);
            layer.content = Some(known.keep(keys, &hashes, &layer, &blob, &checks, flushed));
            layer.pieces = hashes;
        }
        Ok(layer)
    }
}

fn write(progress: &mut Result<Progress>, ready: &Ready, staging: &Staging, watch: Option<&dyn Watch>) -> Result<()> {
    let Ok(Progress::Writing(mut blob)) = std::mem::replace(progress, Err(Error::internal("a blob was abandoned")))
    else {
        return Ok(());
    };
    match &ready.raw {
        Some(lent) => blob.add(lent.raw.bytes(), watch)?,
        None => blob.add_packed(ready.size as u64, &ready.packed, watch)?,
    }
    *progress = Ok(if ready.last {
        let (blob, flush) = blob.finish(staging, watch)?;
        Progress::Written(blob, flush)
    } else {
        Progress::Writing(blob)
    });
    Ok(())
}
