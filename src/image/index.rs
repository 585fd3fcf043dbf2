//! The image index (OCI image specification, `image-index.md`), and the images that it lists: one for each platform.

use std::collections::{BTreeMap, HashMap};

use oci_spec::image::{ImageIndexBuilder, SCHEMA_VERSION};
use serde_json::Value;

use super::{Document, Image};
use crate::layer::Layer;
use crate::oci::{self, Descriptor, Digest, MediaType};

/// What one name leads to: an image or, for several platforms, an index of images.
#[derive(Debug, Clone)]
pub struct Images {
    first: Image,
    others: Vec<Image>,
    index: Option<Document>,
}

impl From<Image> for Images {
    fn from(only: Image) -> Self {
        Self { first: only, others: Vec::new(), index: None }
    }
}

impl Images {
    /// Puts images for different platforms together. One alone has no index: its digest is what it would be anyway.
    pub fn new(first: Image, others: Vec<Image>) -> Self {
        if others.is_empty() {
            return first.into();
        }
        let mut all: Vec<&Image> = std::iter::once(&first).chain(&others).collect();
        // In the order of the platforms, not in that of the recipe: equal images have equal indexes.
        all.sort_by(|a, b| a.platform.cmp(&b.platform));
        let index = Document::new(&document(&all));
        Self { first, others, index: Some(index) }
    }

    /// Images with the index that lists them, as it is. `first` is the place of the one for readers that take one
    /// alone.
    pub fn listed(index: Document, mut images: Vec<Image>, first: usize) -> Option<Self> {
        let first = (first < images.len()).then(|| images.remove(first))?;
        Some(Self { first, others: images, index: Some(index) })
    }

    /// The image that was named first, for readers that take one alone.
    pub fn first(&self) -> &Image {
        &self.first
    }

    /// The images, as they were named.
    pub fn iter(&self) -> impl Iterator<Item = &Image> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// The index that lists them, when there are several.
    pub fn index(&self) -> Option<&Document> {
        self.index.as_ref()
    }

    /// The digest by which all of it is pulled: that of the index, or of the only manifest.
    pub fn digest(&self) -> Digest {
        self.index.as_ref().map_or(self.first.manifest.digest, |index| index.digest)
    }

    /// The descriptor of the index, or of the only manifest with its platform.
    pub fn descriptor(&self) -> Descriptor {
        match &self.index {
            Some(index) => {
                // One that others made may be of Docker's own type.
                let own = oci::read::<Value>(&index.bytes).ok();
                let own = own.as_ref().and_then(|index| index.get("mediaType")?.as_str()).map(MediaType::from);
                index.descriptor(own.unwrap_or(MediaType::ImageIndex))
            }
            None => self.first.descriptor(),
        }
    }

    /// Every document: for each image its configuration and its manifest, then the index.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.iter().flat_map(|image| [&image.config, &image.manifest]).chain(&self.index)
    }

    /// The layers of all images. Those that several have come several times.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.iter().flat_map(|image| &image.layers)
    }

    /// The image for an architecture, that for every processor of it first; else the first one.
    pub fn for_architecture(&self, architecture: &str) -> &Image {
        let fitting = self.iter().filter(|image| image.platform.architecture == architecture);
        fitting.min_by(|a, b| a.platform.cmp(&b.platform)).unwrap_or(&self.first)
    }
}

fn document(images: &[&Image]) -> oci::ImageIndex {
    ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(images.iter().map(|image| image.descriptor()).collect::<Vec<_>>())
        .annotations(common_annotations(images))
        .build()
        .expect("all that an index must have is set")
}

/// The annotations that every image has with the same value. Taken from the manifests, so that images which were built
/// on several machines and joined have the index that one build of all of them has.
fn common_annotations(images: &[&Image]) -> HashMap<String, String> {
    let annotations = |image: &&Image| -> BTreeMap<String, String> {
        let manifest: Value = oci::read(&image.manifest.bytes).unwrap_or_default();
        manifest.get("annotations").and_then(|all| serde_json::from_value(all.clone()).ok()).unwrap_or_default()
    };
    let all: Vec<_> = images.iter().map(annotations).collect();
    let Some((first, others)) = all.split_first() else { return HashMap::new() };
    let common = first.iter().filter(|(key, value)| others.iter().all(|other| other.get(*key) == Some(value)));
    common.map(|(key, value)| (key.clone(), value.clone())).collect()
}
