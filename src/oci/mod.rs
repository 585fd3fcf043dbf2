//! The words and files of the OCI image specification: digests, descriptors, references, canonical JSON, and reading
//! what layouts and archives hold.
//!
//! In: bytes, names, files that others wrote. Out: strict types for them. Knows nothing of recipes or trees, and never
//! writes a file.

mod abreast;
mod decode;
mod digest;
mod entries;
mod hashes;
mod images;
mod json;
mod number;
mod pax;
mod reference;
mod store;

pub use decode::Encoding;
pub use digest::{BadDigest, DiffId, Digest, Hex, Sha256};
pub use entries::{BadTar, Data, Entries, Entry, Kind};
pub use hashes::{Hasher, Hashes};
pub use images::{CONTAINERD_NAME, StoredImage, StoredLayer, StoredManifest};
pub use json::{LIMIT, canonical, canonical_ordered, canonical_value, read};
pub use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
pub use reference::{BadReference, Reference, is_tag};
pub use store::{BadStore, Fetch, Store, Stored, has_tag};
