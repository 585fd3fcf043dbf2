//! The image's documents: from layers and the recipe's words to the configuration and the manifest.
//!
//! In: packed [`Layer`]s, the recipe's [`Config`], and what the tree says of itself ([`Facts`]). Out: an [`Image`],
//! which is bytes and their digests. Nothing here depends on the clock, on git, or on where the image goes.

use crate::layer::Layer;
use crate::oci::Digest;
use crate::path::ImagePath;
use crate::recipe::{Config, Platform};
use crate::report::{Code, Result};

/// The configuration has a value that an image can't hold.
pub const BAD_CONFIG: Code = Code("E0265");

/// What goes into the documents beside the recipe's own words.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The platform that it runs on.
    pub platform: &'a Platform,
    /// `User`, numeric: `65532:65532`.
    pub user: &'a str,
    /// `Entrypoint` when the recipe has none: the first binary's path.
    pub entrypoint: Option<&'a ImagePath>,
    /// Seconds since 1970 of `created`: `SOURCE_DATE_EPOCH`, or 0.
    pub created: i64,
    /// The default of `org.opencontainers.image.title`.
    pub title: &'a str,
    /// The default of `org.opencontainers.image.version`.
    pub version: &'a str,
    /// The CA bundle of the image, for `SSL_CERT_FILE`.
    pub ca_bundle: Option<&'a ImagePath>,
    /// The locale that ships, for `LANG`, as `C.UTF-8`.
    pub locale: Option<&'a str>,
}

/// A document of an image: bytes that never change, and their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Canonical JSON.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
}

/// An image, ready to be written anywhere.
#[derive(Debug, Clone)]
pub struct Image {
    /// The platform that it runs on.
    pub platform: Platform,
    /// The configuration. Its digest is the image ID, the same whatever the compression.
    pub config: Document,
    /// The manifest. Its digest is the image's digest.
    pub manifest: Document,
    /// The layers, bottom first.
    pub layers: Vec<Layer>,
}

/// Writes the configuration and the manifest.
///
/// # Errors
/// When the recipe's configuration has a value that an image can't hold.
pub fn describe(_layers: Vec<Layer>, _config: &Config, _facts: &Facts) -> Result<Image> {
    todo!()
}
