//! Documents about an image: what is in it, where it comes from, and signatures of both.
//!
//! In: what an image holds ([`Contents`]) and which image it is ([`Subject`]). Out: [`Document`]s, which outputs put
//! beside the image. Their bytes depend on these two alone: no clock, no random number.

use std::sync::Arc;

use serde::Serialize;

use crate::oci::{self, Digest};
use crate::recipe::SbomFormat;
use crate::report::{Error, Result};

mod contents;
mod cyclonedx;
mod hash;
mod modules;
mod names;
mod provenance;
mod references;
mod referrer;
pub mod sign;
mod spdx;
mod subject;
mod vex;
mod words;

pub use contents::{Contents, Outline, Sources, needs};
pub use modules::{Ecosystem, Module};
pub use provenance::{BuildFacts, PROVENANCE, WaivedFact, provenance};
use references::References;
pub use references::check_references;
pub use referrer::Referrer;
pub use subject::{Subject, View};
pub use vex::vex;

/// A document about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is, as its manifest and layer say: a media type.
    pub media_type: String,
    /// What in-toto calls its content.
    pub predicate_type: String,
    /// Its bytes.
    pub blob: Blob,
}

impl Document {
    /// The digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.blob.digest()
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.blob.bytes
    }
}

/// Bytes that were hashed once: documents are megabytes, and several others name them by their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    digest: Digest,
    bytes: Arc<Vec<u8>>,
}

impl Blob {
    /// Hashes bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), bytes: Arc::new(bytes) }
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes a document while its references are looked at; what is wrong with them is the error.
fn checked<'a>(
    document: &(impl Serialize + Sync),
    references: impl FnOnce() -> References<'a> + Send,
) -> std::result::Result<Vec<u8>, String> {
    let (bytes, findings) = rayon::join(|| oci::canonical_ordered(document), || references().findings());
    findings.into_iter().next().map_or(Ok(bytes), Err)
}

/// Describes an image as a bill of materials.
///
/// # Errors
/// When the document would refer to what it does not hold, which is a bug.
pub fn sbom(format: SbomFormat, subject: &Subject, contents: &Contents) -> Result<Document> {
    let (written, media_type, predicate_type) = match format {
        SbomFormat::Spdx => (spdx::document(subject, contents), "application/spdx+json", "https://spdx.dev/Document"),
        SbomFormat::CycloneDx => {
            let written = cyclonedx::document(subject, contents);
            (written, "application/vnd.cyclonedx+json", "https://cyclonedx.org/bom")
        }
    };
    let bytes = written.map_err(|finding| Error::internal(format!("the {} document {finding}", format.word())))?;
    Ok(Document {
        media_type: media_type.to_owned(),
        predicate_type: predicate_type.to_owned(),
        blob: Blob::new(bytes),
    })
}
