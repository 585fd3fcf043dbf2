//! The words of the OCI image specification: digests, descriptors, references and canonical JSON.
//!
//! In: bytes and names. Out: strict types for them. Knows nothing of recipes or trees, and never touches a file.

mod digest;
mod json;
mod reference;

pub use digest::{BadDigest, DiffId, Digest, Sha256};
pub use json::{LIMIT, canonical, read};
pub use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
pub use reference::{BadReference, Reference, is_tag};
