//! Layers: the image's tree, spread over tar archives that are compressed and hashed in parallel.
//!
//! In: a [`Tree`](crate::tree::Tree) and which path goes where ([`plan()`]). Out: [`Layer`]s whose blobs lie in a
//! [`Staging`] folder. The bytes depend on the tree, the plan and the compression alone: never on threads, timing or
//! the machine.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::{Cache, Key};
use crate::oci::{Descriptor, DiffId, Digest, Hashes, MediaType};
use crate::path::ImagePath;
use crate::recipe::Compression;
use crate::registry::{Elsewhere, Repository};
use crate::report::Code;

mod blob;
mod chains;
mod codec;
mod shared;
mod deflate;
mod digests;
mod elsewhere;
mod entry;
mod fill;
mod hashing;
mod known;
mod layout;
mod ordered;
mod pack;
mod piece;
mod plan;
mod pool;
mod predecessor;
mod proof;
mod record;
mod recheck;
mod remote;
mod staging;
mod watch;

pub use pack::pack;
pub use plan::{LayerPlan, parent_entry, plan, plan_among};
pub use recheck::Recheck;
pub use remote::{Published, RemoteCache, Trust};
pub use shared::Commons;
pub use staging::{Durability, Staging, remove_tree};
pub use watch::{Activity, Watch};

/// The version of the rules by which a tree becomes bytes: order, records, pieces, codecs. Another number means other
/// digests for the same tree.
pub const FORMAT: u32 = 1;

/// The libraries that compress, with their versions: on these the bytes of a compressed layer depend.
pub fn codecs() -> std::collections::BTreeMap<&'static str, String> {
    let zstd = [zstd_sys::ZSTD_VERSION_MAJOR, zstd_sys::ZSTD_VERSION_MINOR, zstd_sys::ZSTD_VERSION_RELEASE];
    [("libdeflater", codec::LIBDEFLATE.to_owned()), ("zstd", zstd.map(|number| number.to_string()).join("."))].into()
}

/// How many entries make an image large: they take memory that others use to be packed faster, and it takes so long
/// that this would hardly show.
pub(crate) const MANY: usize = 5_000;

/// A file could not be packed: it can't be read, or changed while it was read.
pub const UNREADABLE: Code = Code("E0260");

/// A list of layers in the recipe can't be followed.
pub const BAD_LAYERS: Code = Code("E0261");

/// How to pack.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that read, compress and hash.
    pub threads: NonZeroUsize,
    /// What was packed before. It changes no byte of what comes out.
    pub cache: Option<Arc<Cache>>,
    /// Registries that may have what the cache has not.
    pub remote: Option<Arc<RemoteCache>>,
    /// Whose layers they are: a name that later builds of the image give, too. In registries, pieces are looked for in
    /// what was added last under it.
    pub image: Option<String>,
    /// The repositories that the layers go to, when they go nowhere else: these take over what a registry has, and no
    /// byte of it is wanted here.
    pub targets: Vec<Repository>,
    /// Whether each file's hashes are wanted, for documents that list files.
    pub file_hashes: bool,
    /// Who is told what each thread does, where somebody wants to see it.
    pub watch: Option<Arc<dyn Watch>>,
}

impl Options {
    /// With the given number of threads, without a cache and without hashes of files.
    pub fn new(threads: NonZeroUsize) -> Self {
        Self { threads, cache: None, remote: None, image: None, targets: Vec::new(), file_hashes: false, watch: None }
    }
}

/// What packing took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Layers that the cache had whole.
    pub layers_known: u64,
    /// Layers that a registry's cache had.
    pub layers_remote: u64,
    /// Bytes of these that were neither fetched nor sent.
    pub taken_over: u64,
    /// Bytes of these that were fetched.
    pub fetched: u64,
    /// Pieces that were compressed.
    pub pieces_packed: u64,
    /// Pieces that the cache had.
    pub pieces_known: u64,
    /// Pieces that a layer of a registry's cache had.
    pub pieces_remote: u64,
    /// Bytes of these.
    pub pieces_fetched: u64,
    /// Bytes of files that were read.
    pub read: u64,
    /// Bytes that were hashed: of tar streams, pieces and blobs.
    pub hashed: u64,
    /// Bytes that were compressed.
    pub compressed: u64,
    /// Bytes of blobs that were written.
    pub written: u64,
}

impl std::ops::AddAssign for Effort {
    fn add_assign(&mut self, other: Self) {
        self.layers_known += other.layers_known;
        self.layers_remote += other.layers_remote;
        self.taken_over += other.taken_over;
        self.fetched += other.fetched;
        self.pieces_packed += other.pieces_packed;
        self.pieces_known += other.pieces_known;
        self.pieces_remote += other.pieces_remote;
        self.pieces_fetched += other.pieces_fetched;
        self.read += other.read;
        self.hashed += other.hashed;
        self.compressed += other.compressed;
        self.written += other.written;
    }
}

/// By what a cache in a registry gives pieces of a layer to later ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The key of the name that it shares with those before and after it: of the image's, its own, and how it is
    /// compressed.
    pub name: Key,
    /// The keys of its pieces but the last.
    pub pieces: Arc<[Key]>,
}

/// A packed layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What it holds, as `shared libraries`.
    pub name: String,
    /// The media type of its blob.
    pub media_type: MediaType,
    /// The digest of its blob.
    pub digest: Digest,
    /// The size of its blob.
    pub size: u64,
    /// The digest of its tar stream.
    pub diff_id: DiffId,
    /// The size of its tar stream.
    pub unpacked: u64,
    /// How many entries it has that are no folders.
    pub files: u64,
    /// Where its blob is, or would be if it were not elsewhere.
    pub blob: PathBuf,
    /// The repository that has its blob, where this machine does not.
    pub elsewhere: Option<Elsewhere>,
    /// What caches know it by.
    pub content: Option<Key>,
    /// The hashes of its pieces but the last, where they are known; else empty.
    pub pieces: Vec<Key>,
    /// Which layer it follows, where a registry's cache is used and its pieces are known.
    pub lineage: Option<Lineage>,
    /// The hashes of each of its regular files, by path, when these were asked for. A hard link has those of the file
    /// that it is a name of.
    pub hashes: Vec<(ImagePath, Hashes)>,
    /// What it took.
    pub effort: Effort,
}

impl Layer {
    fn new(
        layout: &layout::Layout,
        compression: Compression,
        blob: &blob::Blob,
        diff_id: DiffId,
        effort: Effort,
    ) -> Self {
        Self {
            name: layout.plan.name.clone(),
            media_type: codec::media_type(compression),
            digest: blob.digest,
            size: blob.size,
            diff_id,
            unpacked: layout.size,
            files: layout.files(),
            blob: blob.path.clone(),
            elsewhere: None,
            content: None,
            pieces: Vec::new(),
            lineage: None,
            hashes: Vec::new(),
            effort,
        }
    }

    /// The descriptor of its blob.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.size, self.digest)
    }
}
