//! Documents as registries and layouts keep them: a manifest with the image as its subject (OCI image specification
//! 1.1).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Blob, Document, Subject};
use crate::oci::{self, Digest, MediaType};
use crate::report::Result;

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
    pub manifest: Blob,
    /// The annotations of the manifest, which a list of referrers repeats.
    pub annotations: BTreeMap<String, String>,
    /// The blobs.
    pub blobs: Vec<Blob>,
}

impl Blob {
    /// Its descriptor.
    pub(super) fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest(), "size": self.bytes().len() })
    }
}

impl Referrer {
    /// A document as a referrer of the image that it is about.
    pub fn new(subject: &Subject, document: &Document, annotations: &[(&str, &str)]) -> Self {
        let mut annotations: BTreeMap<String, String> =
            annotations.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        annotations.insert(oci_spec::image::ANNOTATION_CREATED.to_owned(), subject.created.clone());
        let nothing = Blob::new(NOTHING.to_vec());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest.to_string(),
            "artifactType": document.media_type,
            "config": nothing.descriptor(EMPTY),
            "layers": [document.blob.descriptor(&document.media_type)],
            "subject": { "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size },
            "annotations": annotations,
        });
        Self {
            artifact_type: document.media_type.clone(),
            tag: None,
            subject: subject.digest,
            manifest: Blob::new(oci::canonical(&manifest)),
            annotations,
            blobs: vec![nothing, document.blob.clone()],
        }
    }

    /// Takes over one that lies somewhere, with the blobs that it names, which `blob` gives; `None` when it is no
    /// manifest.
    ///
    /// # Errors
    /// Those of `blob`.
    pub fn read(
        manifest: Vec<u8>,
        subject: Digest,
        tag: Option<String>,
        blob: &dyn Fn(Digest) -> Result<Vec<u8>>,
    ) -> Result<Option<Self>> {
        let Ok(document) = oci::read::<Value>(&manifest) else { return Ok(None) };
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let config = document.get("config").cloned().unwrap_or_default();
        let artifact_type = text(&document, "artifactType").or_else(|| text(&config, "mediaType")).unwrap_or_default();
        let annotations = document.get("annotations").and_then(Value::as_object).into_iter().flatten();
        let annotations = annotations.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        let Some(layers) = document.get("layers").and_then(Value::as_array) else { return Ok(None) };
        let mut blobs = Vec::new();
        let mut seen = BTreeSet::new();
        for one in std::iter::once(&config).chain(layers) {
            let Some(digest) = text(one, "digest").and_then(|digest| digest.parse().ok()) else { return Ok(None) };
            if seen.insert(digest) {
                blobs.push(Blob::new(blob(digest)?));
            }
        }
        let annotations = annotations.collect();
        Ok(Some(Self { artifact_type, tag, subject, manifest: Blob::new(manifest), annotations, blobs }))
    }

    /// The same with what stands under its tag already, in the form of cosign's first versions: a layer for each
    /// signature. `None` when that has all of it.
    #[must_use]
    pub fn beside(&self, there: &[u8]) -> Option<Self> {
        let layers = |manifest: &[u8]| -> Vec<Value> {
            let manifest: Value = oci::read(manifest).unwrap_or_default();
            manifest["layers"].as_array().cloned().unwrap_or_default()
        };
        let same = |a: &Value, b: &Value| a["digest"] == b["digest"] && a["annotations"] == b["annotations"];
        let mut all = layers(there);
        let before = all.len();
        for own in layers(self.manifest.bytes()) {
            if !all.iter().any(|known| same(known, &own)) {
                all.push(own);
            }
        }
        if all.len() == before {
            return None;
        }
        let mut manifest: Value = oci::read(self.manifest.bytes()).unwrap_or_default();
        if before == 0 || manifest["layers"] == Value::Array(all.clone()) {
            return Some(self.clone());
        }
        let config = manifest["config"]["digest"].as_str().and_then(|digest| digest.parse::<Digest>().ok());
        let mut blobs = self.blobs.clone();
        let own = config.and_then(|digest| blobs.iter_mut().find(|blob| blob.digest() == digest))?;
        let mut document: Value = oci::read(own.bytes()).unwrap_or_default();
        document["rootfs"]["diff_ids"] = all.iter().map(|layer| layer["digest"].clone()).collect();
        document["history"] = all.iter().map(|_| json!({ "created": document["created"] })).collect();
        *own = Blob::new(oci::canonical(&document));
        manifest["config"]["digest"] = json!(own.digest());
        manifest["config"]["size"] = own.bytes().len().into();
        manifest["layers"] = Value::Array(all);
        Some(Self { manifest: Blob::new(oci::canonical(&manifest)), blobs, ..self.clone() })
    }

    /// The media type of its manifest.
    pub fn media_type(&self) -> String {
        let own = oci::read::<Value>(self.manifest.bytes()).ok();
        let own = own.as_ref().and_then(|manifest| manifest["mediaType"].as_str()).map(str::to_owned);
        own.unwrap_or_else(|| MediaType::ImageManifest.to_string())
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        self.manifest.digest()
    }

    /// The descriptor of its manifest, as a list of referrers has it.
    pub fn descriptor(&self) -> Value {
        let mut descriptor = json!({
            "mediaType": self.media_type(),
            "digest": self.digest(),
            "size": self.manifest.bytes().len(),
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
