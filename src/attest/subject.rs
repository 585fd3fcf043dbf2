//! The image that documents are about.

use super::names::Purl;
use super::words::supplier_words;
use crate::oci::Digest;
use crate::recipe::Platform;

/// An image, as documents name it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name without a tag.
    pub name: String,
    /// Its version: the tag, or what its label says.
    pub version: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The size of its manifest.
    pub size: u64,
    /// The media type of its manifest.
    pub media_type: String,
    /// The platform that it runs on.
    pub platform: Platform,
    /// When it was created, as it says itself: RFC 3339, whole seconds.
    pub created: String,
    /// `org.opencontainers.image.vendor`, where it has one.
    pub vendor: Option<String>,
    /// What was looked at: the build's own knowledge, or the image alone.
    pub view: View,
}

/// What is looked at to describe an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The root that it was built from.
    Build,
    /// The image alone, with the records in it.
    Image,
}

impl Subject {
    /// What tells this document from others: two builds of the same image by the same version give the same.
    pub(super) fn identity(&self) -> String {
        let view = match self.view {
            View::Build => "build",
            View::Image => "image",
        };
        format!("{} {} {} {view} {}", self.name, self.version, self.digest, crate::VERSION)
    }

    /// `NAME:VERSION`.
    pub(super) fn title(&self) -> String {
        format!("{}:{}", self.name, self.version)
    }

    /// Who publishes it: its vendor, or else whoever holds its name.
    pub(super) fn publisher(&self) -> String {
        let holder = self.name.rsplit_once('/').map_or(self.name.as_str(), |(holder, _)| holder);
        self.vendor.clone().unwrap_or_else(|| holder.to_owned())
    }

    /// As [`Subject::publisher`], in SPDX's form.
    pub(super) fn supplier(&self) -> String {
        supplier_words(&self.publisher())
    }

    /// `pkg:oci/...`.
    pub(super) fn purl(&self) -> String {
        let last = self.name.rsplit('/').next().unwrap_or(&self.name).to_ascii_lowercase();
        let digest = self.digest.to_string();
        let repository = if self.name.contains('/') { self.name.as_str() } else { "" };
        let qualifiers = [
            ("arch", self.platform.architecture.as_str()),
            ("repository_url", repository),
            ("tag", self.version.as_str()),
        ];
        Purl { kind: "oci", namespace: "", name: &last, version: &digest, qualifiers: &qualifiers }.to_string()
    }
}
