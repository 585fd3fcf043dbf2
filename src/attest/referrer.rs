//! Documents as registries and layouts keep them: a manifest with the image as its subject (OCI image specification 1.1).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Document, Subject};
use crate::oci::{self, Digest, MediaType};

/// The media type of nothing, and its bytes.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const NOTHING: &[u8] = b"{}";

/// A manifest that refers to an image, and the blobs that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// What it is: the artifact type; empty for what is found by its tag.
    pub artifact_type: String,
    /// The tag that it is found by, in the form that is older than `subject`.
    pub tag: Option<String>,
    /// The image's digest.
    pub subject: Digest,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// The annotations of the manifest, which a list of referrers repeats.
    pub annotations: BTreeMap<String, String>,
    /// The blobs.
    pub blobs: Vec<Vec<u8>>,
}

impl Referrer {
    /// A document as a referrer of the image that it is about.
    pub fn new(subject: &Subject, document: &Document, annotations: &[(&str, &str)]) -> Self {
        let mut annotations: BTreeMap<String, String> =
            annotations.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        annotations.insert(oci_spec::image::ANNOTATION_CREATED.to_owned(), subject.created.clone());
        let blob = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest.to_string(),
            "artifactType": document.media_type,
            "config": blob(EMPTY, NOTHING),
            "layers": [blob(&document.media_type, &document.bytes)],
            "subject": { "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size },
            "annotations": annotations,
        });
        Self {
            artifact_type: document.media_type.clone(),
            tag: None,
            subject: subject.digest,
            manifest: oci::canonical(&manifest),
            annotations,
            blobs: vec![NOTHING.to_vec(), document.bytes.clone()],
        }
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// The descriptor of its manifest, as a list of referrers has it.
    pub fn descriptor(&self) -> Value {
        let mut descriptor = json!({
            "mediaType": MediaType::ImageManifest.to_string(),
            "digest": self.digest(),
            "size": self.manifest.len(),
        });
        if let Some(tag) = &self.tag {
            descriptor["annotations"] = json!({ oci_spec::image::ANNOTATION_REF_NAME: tag });
        } else {
            descriptor["artifactType"] = self.artifact_type.as_str().into();
            descriptor["annotations"] = json!(self.annotations);
        }
        descriptor
    }
}
