//! Layers: the image's tree, spread over tar archives that are compressed and hashed in parallel.
//!
//! In: a [`Tree`](crate::tree::Tree) and which path goes where ([`plan()`]). Out: [`Layer`]s whose blobs lie in a [`Staging`] folder.
//! The bytes depend on the tree, the plan and the compression alone: never on threads, timing or the machine.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::oci::{Descriptor, DiffId, Digest, MediaType};
use crate::report::Code;

mod blob;
mod codec;
mod shared;
mod deflate;
mod fill;
mod ordered;
mod pack;
mod piece;
mod plan;
mod pool;
mod record;
mod staging;

pub use pack::pack;
pub use plan::{LayerPlan, parent_entry, plan, plan_among};
pub use shared::Commons;
pub use staging::{Durability, Staging};

/// The version of the rules by which a tree becomes bytes: order, records, pieces, codecs. Another number means other
/// digests for the same tree.
pub const FORMAT: u32 = 1;

/// The libraries that compress, with their versions: on these the bytes of a compressed layer depend.
pub fn codecs() -> std::collections::BTreeMap<&'static str, String> {
    let zstd = [zstd_sys::ZSTD_VERSION_MAJOR, zstd_sys::ZSTD_VERSION_MINOR, zstd_sys::ZSTD_VERSION_RELEASE];
    [("libdeflater", LIBDEFLATER.to_owned()), ("zstd", zstd.map(|number| number.to_string()).join("."))].into()
}

/// The version that Cargo.toml pins.
const LIBDEFLATER: &str = "1.26.1";

/// A file could not be packed: it can't be read, or changed while it was read.
pub const UNREADABLE: Code = Code("E0260");

/// A list of layers in the recipe can't be followed.
pub const BAD_LAYERS: Code = Code("E0261");

/// How to pack.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Threads that read, compress and hash.
    pub threads: NonZeroUsize,
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
    /// Where its blob is.
    pub blob: PathBuf,
}

impl Layer {
    /// The descriptor of its blob.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.size, self.digest)
    }
}
