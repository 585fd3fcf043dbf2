//! An image that was written before, or lies in a registry, as the [`Image`] that outputs write.

use std::fs::File;
use std::io;

use serde_json::Value;

use super::verify::bad_store;
use super::{CORRUPT, UNREADABLE};
use crate::image::{Document, Image, Images};
use crate::layer::{Effort, Layer, Staging};
use crate::oci::{self, DiffId, Digest, Encoding, MediaType, Sha256, Store, StoredImage, StoredLayer};
use crate::recipe::Platform;
use crate::report::{Diagnostic, Error, Result};

/// The images of a store that are for a platform; all of them without one.
///
/// # Errors
/// When the store can't be read, or has none.
pub fn images_for(store: &Store, platform: Option<&Platform>) -> Result<Vec<StoredImage>> {
    let images = store.images().map_err(|error| bad_store(store, error))?;
    let mut names: Vec<String> = images.iter().map(StoredImage::platform).collect();
    let is_meant = |image: &StoredImage| platform.is_none_or(|wanted| image.platform() == wanted.to_string());
    let found: Vec<StoredImage> = images.into_iter().filter(is_meant).collect();
    if names.is_empty() && platform.is_some() {
        names = listed_platforms(store);
    }
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

/// What the indexes of a store say that it has images for, where those for one platform alone are looked at.
fn listed_platforms(store: &Store) -> Vec<String> {
    let entries = |file: &str| -> Vec<Value> {
        let index = store.document(file).ok().and_then(|bytes| oci::read::<Value>(&bytes).ok()).unwrap_or_default();
        index["manifests"].as_array().cloned().unwrap_or_default()
    };
    let nested = |entry: &Value| {
        let digest = entry["digest"].as_str().and_then(|digest| digest.parse().ok());
        digest.map_or_else(Vec::new, |digest| entries(&blob(digest)))
    };
    let all = entries("index.json").into_iter().flat_map(|entry| nested(&entry).into_iter().chain([entry]));
    // What attests an image is for `unknown/unknown`.
    let said = all.filter_map(|entry| {
        let word = |key: &str| entry["platform"][key].as_str().filter(|word| *word != "unknown");
        let variant = word("variant").map_or_else(String::new, |variant| format!("/{variant}"));
        Some(format!("{}/{}{variant}", word("os")?, word("architecture")?))
    });
    said.collect()
}

/// Brings all that an index of a store lists into a staging folder, each blob held against its digest; `None` when the
/// store's one entry is no index.
///
/// # Errors
/// When something of it can't be read, or is not what its digest says; when it lists another index.
pub fn stage_index(store: &Store, staging: &Staging) -> Result<Option<Images>> {
    let list = json(store, &document(store, "index.json", None)?)?;
    let Some([entry]) = list["manifests"].as_array().map(Vec::as_slice) else { return Ok(None) };
    let index = listed(store, entry)?;
    let parsed = json(store, &index)?;
    let Some(entries) = parsed["manifests"].as_array() else { return Ok(None) };
    let mut images = Vec::new();
    for entry in entries {
        images.push(stage_listed(store, entry, staging)?);
    }
    let own = Platform::host().architecture;
    let first = images.iter().position(|image| image.platform.os == "linux" && image.platform.architecture == own);
    let found = Images::listed(index, images, first.unwrap_or(0));
    found.map(Some).ok_or_else(|| corrupt(store, "has an index that lists nothing"))
}

/// One manifest of an index with all that it names, of whatever kind it is: what attests an image is listed beside it.
fn stage_listed(store: &Store, entry: &Value, staging: &Staging) -> Result<Image> {
    let manifest = listed(store, entry)?;
    let parsed = json(store, &manifest)?;
    let Some(layers) = parsed["layers"].as_array() else {
        let what = format!("lists `{}`, which is no manifest of an image", manifest.digest);
        return Err(corrupt(store, &what));
    };
    let config = listed(store, &parsed["config"])?;
    let said = match entry.get("platform") {
        Some(platform) => platform.clone(),
        None => json(store, &config).unwrap_or_default(),
    };
    let word = |key: &str| said[key].as_str().map(str::to_owned);
    let unknown = || "unknown".to_owned();
    let platform = Platform {
        os: word("os").unwrap_or_else(unknown),
        architecture: word("architecture").unwrap_or_else(unknown),
        variant: word("variant"),
    };
    let layer = |layer: &Value| {
        let (digest, size) = descriptor(store, layer)?;
        stage_layer(
            store,
            &StoredLayer {
                file: blob(digest),
                media_type: layer["mediaType"].as_str().map(str::to_owned),
                encoding: Encoding::None,
                digest: Some(digest),
                size,
                diff_id: None,
            },
            staging,
        )
    };
    let layers = layers.iter().map(layer).collect::<Result<_>>()?;
    Ok(Image { platform, config, manifest, layers })
}

fn blob(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn descriptor(store: &Store, entry: &Value) -> Result<(Digest, u64)> {
    let digest = entry["digest"].as_str().and_then(|text| text.parse().ok());
    digest.zip(entry["size"].as_u64()).ok_or_else(|| corrupt(store, "lists something without a good digest and size"))
}

/// What a descriptor names, whole.
fn listed(store: &Store, entry: &Value) -> Result<Document> {
    let (digest, _) = descriptor(store, entry)?;
    document(store, &blob(digest), Some(digest))
}

fn document(store: &Store, file: &str, digest: Option<Digest>) -> Result<Document> {
    let bytes = store.document(file).map_err(|error| bad_store(store, error))?;
    let found = Digest::of(&bytes);
    match digest.filter(|digest| *digest != found) {
        Some(digest) => Err(corrupt(store, &format!("has other bytes under `{digest}`"))),
        None => Ok(Document { bytes, digest: found }),
    }
}

fn json(store: &Store, document: &Document) -> Result<Value> {
    oci::read(&document.bytes)
        .map_err(|_| corrupt(store, &format!("has a document that is no JSON, `{}`", document.digest)))
}

fn corrupt(store: &Store, what: &str) -> Error {
    Diagnostic::error(CORRUPT, format!("`{}` {what}", store.name())).into()
}

/// Brings an image's layers into a staging folder, each held against its digest.
///
/// # Errors
/// When something of it can't be read, or is not what its digest says.
pub fn stage(store: &Store, image: &StoredImage, staging: &Staging) -> Result<Image> {
    let Some(manifest) = &image.manifest else {
        return Err(Diagnostic::error(UNREADABLE, format!("`{}` has no manifest", store.name())).into());
    };
    let config = document(store, &image.config_file, image.config_digest.or(Some(manifest.digest)))?;
    let own = document(store, &blob(manifest.digest), Some(manifest.digest))?;
    let platform = image.platform().parse::<Platform>();
    let platform =
        platform.map_err(|_| corrupt(store, &format!("is for `{}`, which is no platform", image.platform())))?;
    let layers = image.layers.iter().map(|layer| stage_layer(store, layer, staging)).collect::<Result<_>>()?;
    Ok(Image { platform, config, manifest: own, layers })
}

fn stage_layer(store: &Store, layer: &StoredLayer, staging: &Staging) -> Result<Layer> {
    let Some(digest) = layer.digest else {
        return Err(corrupt(store, &format!("has a layer without a digest, `{}`", layer.file)));
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
            return Err(corrupt(store, &format!("has other bytes under `{digest}`")));
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
        pieces: Vec::new(),
        content: None,
        lineage: None,
        hashes: Vec::new(),
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
