//! The image manifest (OCI image specification, `manifest.md`).

use std::collections::{BTreeMap, HashMap};

use oci_spec::image::{ImageManifest, ImageManifestBuilder, SCHEMA_VERSION};

use super::Document;
use crate::layer::Layer;
use crate::oci::MediaType;

/// The manifest of layers and a configuration.
pub(super) fn document(layers: &[Layer], config: &Document, annotations: BTreeMap<String, String>) -> ImageManifest {
    ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config.descriptor(MediaType::ImageConfig))
        .layers(layers.iter().map(Layer::descriptor).collect::<Vec<_>>())
        .annotations(annotations.into_iter().collect::<HashMap<_, _>>())
        .build()
        .expect("all that a manifest must have is set")
}
