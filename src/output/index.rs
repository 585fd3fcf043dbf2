//! `index.json` and `oci-layout`: what a layout or archive says of itself.

use serde_json::{Value, json};

use crate::oci::{self, CONTAINERD_NAME, Descriptor, Digest, MediaType};

/// The annotation under which an index lists a name.
pub(super) const REF_NAME: &str = oci_spec::image::ANNOTATION_REF_NAME;

/// The bytes of `oci-layout`.
pub(super) fn marker() -> Vec<u8> {
    oci::canonical(&json!({ "imageLayoutVersion": "1.0.0" }))
}

/// An image index. What others wrote into it is kept as it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Index(Value);

impl Default for Index {
    fn default() -> Self {
        Self(json!({ "schemaVersion": 2, "mediaType": MediaType::ImageIndex.to_string(), "manifests": [] }))
    }
}

impl Index {
    /// Reads one. The error completes "`index.json` ...".
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let value: Value = oci::read(bytes).map_err(|_| "is no JSON")?;
        match value.get("manifests") {
            Some(Value::Array(_)) => Ok(Self(value)),
            Some(Value::Null) | None if value.is_object() && value.get("layers").is_none() => {
                let mut value = value;
                value["manifests"] = json!([]);
                Ok(Self(value))
            }
            _ => Err("is no image index"),
        }
    }

    /// Lists an image under a tag, in the place of what had it.
    pub(super) fn with(mut self, image: &Descriptor, tag: &str) -> Self {
        self.put(image, tag, &[(REF_NAME, tag)]);
        self
    }

    /// Lists an image under a tag and its full name.
    pub(super) fn with_name(mut self, image: &Descriptor, tag: &str, full_name: &str) -> Self {
        self.put(image, tag, &[(REF_NAME, tag), (CONTAINERD_NAME, full_name)]);
        self
    }

    fn put(&mut self, image: &Descriptor, tag: &str, annotations: &[(&str, &str)]) {
        let mut image = image.clone();
        let annotations = annotations.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        image.set_annotations(Some(annotations));
        let image = serde_json::to_value(image).expect("descriptors are JSON");
        if let Some(entries) = self.0["manifests"].as_array_mut() {
            let had = entries.iter().position(|entry| name(entry) == Some(tag)).unwrap_or(entries.len());
            entries.retain(|entry| name(entry) != Some(tag));
            entries.insert(had.min(entries.len()), image);
        }
    }

    /// Lists a manifest that refers to an image. One that is listed already is listed once.
    pub(super) fn with_referrer(mut self, descriptor: Value) -> Self {
        if let Some(entries) = self.0["manifests"].as_array_mut()
            && !entries.contains(&descriptor)
        {
            entries.push(descriptor);
        }
        self
    }

    /// Takes entries out.
    pub(super) fn without(mut self, is_gone: impl Fn(&Value) -> bool) -> Self {
        if let Some(entries) = self.0["manifests"].as_array_mut() {
            entries.retain(|entry| !is_gone(entry));
        }
        self
    }

    fn entries(&self) -> impl Iterator<Item = &Value> {
        self.0["manifests"].as_array().into_iter().flatten()
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        self.entries().count()
    }

    /// The digests of its entries that are well-formed.
    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.entries().filter_map(|entry| entry.get("digest")?.as_str()?.parse().ok())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        oci::canonical(&self.0)
    }
}

fn name(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
}
