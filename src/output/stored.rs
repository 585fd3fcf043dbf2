//! An image that was written before, or lies in a registry, as the [`Image`] that outputs write.

use std::fs::File;
use std::io;

use super::verify::bad_store;
use super::{CORRUPT, UNREADABLE};
use crate::image::{Document, Image};
use crate::layer::{Effort, Layer, Staging};
use crate::oci::{DiffId, Digest, MediaType, Sha256, Store, StoredImage, StoredLayer};
use crate::recipe::Platform;
use crate::report::{Diagnostic, Error, Result};

/// The images of a store that are for a platform; all of them without one.
///
/// # Errors
/// When the store can't be read, or has none.
pub fn images_for(store: &Store, platform: Option<&Platform>) -> Result<Vec<StoredImage>> {
    let images = store.images().map_err(|error| bad_store(store, error))?;
    let names: Vec<String> = images.iter().map(StoredImage::platform).collect();
    let is_meant = |image: &StoredImage| platform.is_none_or(|wanted| image.platform() == wanted.to_string());
    let found: Vec<StoredImage> = images.into_iter().filter(is_meant).collect();
    match platform.filter(|_| found.is_empty()) {
        Some(wanted) => Err(Diagnostic::error(UNREADABLE, format!("`{}` has no image for {wanted}", store.name()))
            .note(if names.is_empty() {
                "it holds no image".to_owned()
            } else {
                format!("it has {}", names.join(", "))
            })
            .into()),
        None => Ok(found),
    }
}

/// Brings an image's layers into a staging folder, each held against its digest.
///
/// # Errors
/// When something of it can't be read, or is not what its digest says.
pub fn stage(store: &Store, image: &StoredImage, staging: &Staging) -> Result<Image> {
    let bad = |error| bad_store(store, error);
    let corrupt = |what: String| Error::from(Diagnostic::error(CORRUPT, format!("`{}` {what}", store.name())));
    let Some(manifest) = &image.manifest else {
        return Err(Diagnostic::error(UNREADABLE, format!("`{}` has no manifest", store.name())).into());
    };
    let document = |file: &str, digest: Digest| -> Result<Document> {
        let bytes = store.document(file).map_err(bad)?;
        if Digest::of(&bytes) == digest {
            Ok(Document { bytes, digest })
        } else {
            Err(corrupt(format!("has other bytes under `{digest}`")))
        }
    };
    let config = document(&image.config_file, image.config_digest.unwrap_or(manifest.digest))?;
    let own = document(&format!("blobs/sha256/{}", manifest.digest.hex()), manifest.digest)?;
    let platform = image.platform().parse::<Platform>();
    let platform = platform.map_err(|_| corrupt(format!("is for `{}`, which is no platform", image.platform())))?;
    let layers = image.layers.iter().map(|layer| stage_layer(store, layer, staging)).collect::<Result<_>>()?;
    Ok(Image { platform, config, manifest: own, layers })
}

fn stage_layer(store: &Store, layer: &StoredLayer, staging: &Staging) -> Result<Layer> {
    let corrupt = |what: String| Error::from(Diagnostic::error(CORRUPT, format!("`{}` {what}", store.name())));
    let Some(digest) = layer.digest else {
        return Err(corrupt(format!("has a layer without a digest, `{}`", layer.file)));
    };
    let blob = staging.blob(digest);
    if !blob.exists() {
        let mut from = store.file(&layer.file).map_err(|error| bad_store(store, error))?;
        let to = File::create_new(&blob).map_err(|error| Error::io("create", &blob, &error))?;
        let mut tee = Tee { hash: Sha256::default(), to };
        io::copy(&mut from, &mut tee).map_err(|error| Error::io("write", &blob, &error))?;
        if staging.durability() == crate::layer::Durability::Synced {
            tee.to.sync_all().map_err(|error| Error::io("flush", &blob, &error))?;
        }
        let size = tee.hash.size();
        if tee.hash.finish() != digest || size != layer.size {
            return Err(corrupt(format!("has other bytes under `{digest}`")));
        }
    }
    Ok(Layer {
        name: String::new(),
        media_type: MediaType::from(layer.media_type.clone().unwrap_or_default().as_str()),
        digest,
        size: layer.size,
        diff_id: layer.diff_id.unwrap_or_else(|| DiffId::new(digest)),
        unpacked: 0,
        files: 0,
        blob,
        elsewhere: None,
        content: None,
        digests: Vec::new(),
        effort: Effort::default(),
    })
}

struct Tee {
    hash: Sha256,
    to: File,
}

impl io::Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
