//! Packing: pieces of all layers are read and compressed by all threads, and written in order.
//!
//! One list of pieces, those of the largest layer first. Each thread takes buffers, then the next piece: so the
//! first piece that is not done yet always has buffers, and the others wait for it. Two chains for each layer, one
//! for the digest of the tar stream and one for the blob, take the pieces in order on whichever thread is there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::blob::{Blob, BlobWriter};
use super::codec::{self, Encoder};
use super::fill::{Filler, Unreadable};
use super::ordered::Ordered;
use super::piece::{self, Piece};
use super::pool::{Buffers, Pool};
use super::record::Member;
use super::{Layer, LayerPlan, Options, Staging, UNREADABLE};
use crate::oci::{DiffId, Sha256};
use crate::recipe::Compression;
use crate::report::{Diagnostic, Error, Result, plain};
use crate::tree::{Entry, Tree};

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
    options: Options,
    staging: &Staging,
) -> Result<Vec<Layer>> {
    let parent = super::parent_entry();
    let layouts: Vec<Layout> = plans.iter().map(|plan| Layout::new(tree, plan, &parent)).collect();
    let mut chains = Vec::new();
    for number in 0..plans.len() {
        chains.push(Chains::new(BlobWriter::create(staging, number, compression)?));
    }
    let work = Work::new(&layouts, &chains, compression, staging, options);
    work.run()?;
    plans
        .iter()
        .zip(&layouts)
        .zip(chains)
        .map(|((plan, layout), chains)| chains.layer(plan, layout, compression))
        .collect()
}

/// A layer's tar stream, laid out before any file is read.
struct Layout<'a> {
    members: Vec<Member<'a>>,
    pieces: Vec<Piece>,
    size: u64,
}

impl<'a> Layout<'a> {
    fn new(tree: &'a Tree, plan: &'a LayerPlan, parent: &'a Entry) -> Self {
        let member = |path| Member::new(tree, path, tree.get(path).unwrap_or(parent));
        // The root needs no record: it is there in any container.
        let members: Vec<Member> = plan.paths.iter().filter(|path| !path.is_root()).map(member).collect();
        let pieces = piece::cut(&members);
        let size = pieces.iter().map(|piece| piece.bytes.end - piece.bytes.start).sum();
        Self { members, pieces, size }
    }
}

/// What takes a layer's pieces in order.
struct Chains {
    diff_id: Ordered<Arc<Buffers>, Sha256>,
    blob: Ordered<(Arc<Buffers>, bool), Result<Progress>>,
}

/// A blob on its way.
enum Progress {
    Writing(Box<BlobWriter>),
    Written(Blob),
}

impl Chains {
    fn new(blob: BlobWriter) -> Self {
        Self { diff_id: Ordered::new(Sha256::default()), blob: Ordered::new(Ok(Progress::Writing(Box::new(blob)))) }
    }

    fn layer(self, plan: &LayerPlan, layout: &Layout, compression: Compression) -> Result<Layer> {
        let Progress::Written(blob) = self.blob.finish()? else {
            return Err(Error::internal("a layer was not written to its end"));
        };
        let diff_id = match compression {
            Compression::None => blob.digest,
            Compression::Zstd(_) | Compression::Gzip(_) => self.diff_id.finish().finish(),
        };
        Ok(Layer {
            name: plan.name.clone(),
            media_type: codec::media_type(compression),
            digest: blob.digest,
            size: blob.size,
            diff_id: DiffId::new(diff_id),
            unpacked: layout.size,
            files: layout.members.iter().filter(|member| !member.entry().is_directory()).count() as u64,
            blob: blob.path,
        })
    }
}

/// All that the threads share.
struct Work<'a> {
    layouts: &'a [Layout<'a>],
    chains: &'a [Chains],
    compression: Compression,
    staging: &'a Staging,
    threads: usize,
    /// Layer and piece, in the order in which they are begun.
    tasks: Vec<(usize, usize)>,
    next: AtomicUsize,
    pool: Pool,
    failures: Mutex<Vec<(usize, Error)>>,
}

impl<'a> Work<'a> {
    fn new(
        layouts: &'a [Layout<'a>],
        chains: &'a [Chains],
        compression: Compression,
        staging: &'a Staging,
        options: Options,
    ) -> Self {
        let mut order: Vec<usize> = (0..layouts.len()).collect();
        order.sort_by_key(|&layer| std::cmp::Reverse(layouts[layer].size));
        let tasks = order.iter().flat_map(|&layer| (0..layouts[layer].pieces.len()).map(move |piece| (layer, piece)));
        let size: u64 = layouts.iter().map(|layout| layout.size).sum();
        let worth = usize::try_from(size / WORTH_A_THREAD + 1).unwrap_or(usize::MAX);
        let threads = options.threads.get().min(worth);
        Self {
            layouts,
            chains,
            compression,
            staging,
            threads,
            tasks: tasks.collect(),
            next: AtomicUsize::new(0),
            pool: Pool::new(2 * threads + 1),
            failures: Mutex::default(),
        }
    }

    fn run(&self) -> Result<()> {
        if self.threads == 1 {
            self.worker();
        } else {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build();
            pool.map_err(Error::internal)?.broadcast(|_| self.worker());
        }
        // Pieces are begun in order and a begun one is ended, so the first failure is the same for any threads.
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().min_by_key(|(task, _)| *task).map_or(Ok(()), |(_, error)| Err(error.clone()))
    }

    fn worker(&self) {
        let _closer = CloseOnPanic(&self.pool);
        let mut filler = Filler::default();
        let mut encoder = match Encoder::new(self.compression) {
            Ok(encoder) => encoder,
            Err(error) => return self.fail(0, Error::internal(error)),
        };
        while let Some(mut buffers) = self.pool.take() {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&(layer, piece)) = self.tasks.get(task) else {
                return self.pool.give_back(buffers);
            };
            match self.prepare(layer, piece, &mut filler, &mut encoder, &mut buffers) {
                Ok(()) => self.commit(task, layer, piece, Arc::new(buffers)),
                Err(error) => self.fail(task, error),
            }
        }
    }

    /// Reads and compresses a piece.
    fn prepare(
        &self,
        layer: usize,
        piece: usize,
        filler: &mut Filler,
        encoder: &mut Encoder,
        buffers: &mut Buffers,
    ) -> Result<()> {
        let layout = &self.layouts[layer];
        let piece = &layout.pieces[piece];
        filler.fill(&layout.members, piece, &mut buffers.raw).map_err(|error| unreadable(&layout.members, &error))?;
        encoder.encode(buffers.raw.bytes(), piece.is_last(), &mut buffers.packed).map_err(Error::internal)
    }

    /// Hands a piece to the chains of its layer.
    fn commit(&self, task: usize, layer: usize, piece: usize, buffers: Arc<Buffers>) {
        let chains = &self.chains[layer];
        let last = self.layouts[layer].pieces[piece].is_last();
        if self.compression != Compression::None {
            chains.diff_id.bring(piece, Arc::clone(&buffers), |digest, buffers| {
                digest.update(buffers.raw.bytes());
                self.pool.release(buffers);
            });
        }
        chains.blob.bring(piece, (buffers, last), |progress, (buffers, last)| {
            if let Err(error) = self.write(progress, &buffers, last) {
                self.fail(task, error);
            }
            self.pool.release(buffers);
        });
    }

    fn write(&self, progress: &mut Result<Progress>, buffers: &Buffers, last: bool) -> Result<()> {
        let Ok(Progress::Writing(mut blob)) = std::mem::replace(progress, Err(Error::internal("a blob was abandoned")))
        else {
            return Ok(());
        };
        blob.add(buffers.raw.bytes(), &buffers.packed)?;
        *progress = Ok(if last { Progress::Written(blob.finish(self.staging)?) } else { Progress::Writing(blob) });
        Ok(())
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

fn unreadable(members: &[Member], failure: &Unreadable) -> Error {
    let member = &members[failure.member];
    let host_path = member.entry().content().and_then(crate::source::Content::host_path);
    let shown = host_path.map_or_else(|| member.path().to_string(), |path| path.display().to_string());
    Diagnostic::error(UNREADABLE, format!("cannot read `{shown}`: {}", plain(&failure.error)))
        .at_some(member.entry().span(), "brings it")
        .note(format!("it is `{}` in the image", member.path()))
        .into()
}
