//! The image's documents: from layers and the recipe's words to the configuration, the manifest and, for several
//! platforms, the index.
//!
//! In: packed [`Layer`]s, the recipe's [`Config`], and what the tree says of itself ([`Facts`]). Out: an [`Image`],
//! which is bytes and their digests. Nothing here depends on the clock, on git, or on where the image goes.

use std::collections::BTreeMap;

use crate::layer::Layer;
use crate::oci::{self, Descriptor, Digest, MediaType};
use crate::path::ImagePath;
use crate::recipe::{Config, Platform};
use crate::report::{Code, Result, Spanned};

mod config;
mod index;
mod manifest;
mod time;

pub use index::Images;

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
    /// Other variables that rules set.
    pub variables: &'a BTreeMap<String, String>,
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
/// When the recipe's configuration has a value that an image can't hold, or `created` is no time of the years 0 to
/// 9999.
pub fn describe(layers: Vec<Layer>, config: &Config, facts: &Facts) -> Result<Image> {
    let created = time::rfc3339(facts.created)?;
    let defaults = defaults(facts, &created);
    let configuration = Document::new(&config::document(&layers, config, facts, &created, &defaults)?);
    let manifest = Document::new(&manifest::document(&layers, &configuration, merged(&defaults, &config.annotations)));
    Ok(Image { platform: facts.platform.clone(), config: configuration, manifest, layers })
}

/// The labels and annotations of every image.
fn defaults(facts: &Facts, created: &str) -> BTreeMap<String, String> {
    [
        (oci_spec::image::ANNOTATION_TITLE, facts.title),
        (oci_spec::image::ANNOTATION_VERSION, facts.version),
        (oci_spec::image::ANNOTATION_CREATED, created),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// The defaults and, over them, what the recipe says. An empty value takes a default away.
fn merged(defaults: &BTreeMap<String, String>, own: &BTreeMap<String, Spanned<String>>) -> BTreeMap<String, String> {
    let mut all = defaults.clone();
    all.extend(own.iter().map(|(key, value)| (key.clone(), value.value.clone())));
    all.retain(|key, value| !value.is_empty() || !defaults.contains_key(key));
    all
}

impl Document {
    fn new(value: &impl serde::Serialize) -> Self {
        let bytes = oci::canonical(value);
        let digest = Digest::of(&bytes);
        Self { bytes, digest }
    }

    /// A descriptor of it.
    pub fn descriptor(&self, media_type: MediaType) -> Descriptor {
        Descriptor::new(media_type, self.bytes.len() as u64, self.digest)
    }
}

impl Image {
    /// The descriptor of the manifest, with the platform, as an index lists it.
    pub fn descriptor(&self) -> Descriptor {
        // One that others made may be of Docker's own type.
        let own = oci::read::<serde_json::Value>(&self.manifest.bytes).ok();
        let own = own.as_ref().and_then(|manifest| manifest.get("mediaType")?.as_str()).map(MediaType::from);
        let mut descriptor = self.manifest.descriptor(own.unwrap_or(MediaType::ImageManifest));
        let mut platform = oci_spec::image::Platform::default();
        platform.set_architecture(self.platform.architecture.as_str().into());
        platform.set_os(self.platform.os.as_str().into());
        platform.set_variant(self.platform.variant.clone());
        descriptor.set_platform(Some(platform));
        descriptor
    }
}
