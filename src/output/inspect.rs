//! Looking into a layout, an archive, or an image of a registry: its images, their documents, layers and files, as
//! plain values.

use serde::Serialize;
use serde_json::Value;

use super::UNREADABLE;
use super::verify::bad_store;
use crate::oci::{BadStore, BadTar, DiffId, Digest, Encoding, Entries, Kind, Store, StoredImage, StoredLayer};
use crate::path::show;
use crate::report::{Diagnostic, Error, Result};

/// How far to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// At the documents.
    Documents,
    /// At the entries of every layer, too, which takes decompressing them.
    Files,
}

/// An image that is kept somewhere.
#[derive(Debug, Clone, Serialize)]
pub struct ImageInfo {
    /// The names that it is listed under.
    pub names: Vec<String>,
    /// Its full name, where it is kept with it: archives do that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// The digest of the index for several platforms that lists it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// The digest of its manifest; none in what `docker save` writes.
    pub digest: Option<Digest>,
    /// Its ID: the digest of its configuration.
    pub id: Digest,
    /// `linux/amd64`, `linux/arm/v7`.
    pub platform: String,
    /// When it was created, as it says.
    pub created: Option<String>,
    /// `config` of the configuration, as it stands there.
    pub config: Value,
    /// The annotations of the manifest.
    pub annotations: Value,
    /// The layers, bottom first.
    pub layers: Vec<LayerInfo>,
}

/// A layer of an image.
#[derive(Debug, Clone, Serialize)]
pub struct LayerInfo {
    /// What the history says of it.
    pub created_by: Option<String>,
    /// The digest of its blob; none in what `docker save` writes.
    pub digest: Option<Digest>,
    /// The digest of its tar stream.
    pub diff_id: Option<DiffId>,
    /// How it is compressed.
    pub encoding: Encoding,
    /// The size of its blob.
    pub size: u64,
    /// Its entries, when they were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<EntryInfo>>,
}

/// An entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryInfo {
    /// Its path, absolute; bytes that are no text are escaped.
    pub path: String,
    /// `file`, `directory`, `symlink`, `hardlink`, `special`.
    pub kind: &'static str,
    /// The permission bits as four octal digits.
    pub mode: String,
    /// Numeric owner.
    pub uid: u64,
    /// Numeric group.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Bytes of data.
    pub size: u64,
    /// Where a link leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The names of its extended attributes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<String>,
}

/// Looks into a store.
///
/// # Errors
/// When it can't be read as images.
pub fn inspect(store: &Store, depth: Depth) -> Result<Vec<ImageInfo>> {
    let images = store.images().map_err(|error| bad_store(store, error))?;
    images.iter().map(|image| image_info(store, image, depth)).collect()
}

pub(super) fn image_info(store: &Store, image: &StoredImage, depth: Depth) -> Result<ImageInfo> {
    let id = match image.config_digest {
        Some(digest) => digest,
        None => Digest::of(&store.document(&image.config_file).map_err(|error| bad_store(store, error))?),
    };
    let text = |key: &str| image.config.get(key).and_then(Value::as_str);
    let mut history = created_by(&image.config);
    let mut layers = Vec::new();
    for layer in &image.layers {
        let entries = match depth {
            Depth::Documents => None,
            Depth::Files => Some(entries(store, layer).map_err(|error| unreadable(store, layer, error))?),
        };
        layers.push(LayerInfo {
            created_by: history.next(),
            digest: layer.digest,
            diff_id: layer.diff_id,
            encoding: layer.encoding,
            size: layer.size,
            entries,
        });
    }
    let annotations = image.manifest.as_ref().and_then(|manifest| manifest.document.get("annotations").cloned());
    Ok(ImageInfo {
        names: image.names.clone(),
        full_name: image.full_name.clone(),
        index: image.index,
        digest: image.manifest.as_ref().map(|manifest| manifest.digest),
        id,
        platform: image.platform(),
        created: text("created").map(str::to_owned),
        config: image.config.get("config").cloned().unwrap_or_default(),
        annotations: annotations.unwrap_or_default(),
        layers,
    })
}

/// What the history says of each layer.
fn created_by(config: &Value) -> impl Iterator<Item = String> + '_ {
    let steps = config.get("history").and_then(Value::as_array).into_iter().flatten();
    let made = steps.filter(|step| step.get("empty_layer").is_none_or(|empty| empty != true));
    made.map(|step| step.get("created_by").and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn unreadable(store: &Store, layer: &StoredLayer, error: BadStore) -> Error {
    if let BadStore::Remote(error) = error {
        return error;
    }
    Diagnostic::error(UNREADABLE, format!("layer `{}` of `{}` {error}", layer.file, store.name()))
        .help(format!("`mkimage verify {}` checks the whole of it", store.name()))
        .into()
}

fn entries(store: &Store, layer: &StoredLayer) -> Result<Vec<EntryInfo>, BadStore> {
    let mut entries = Entries::new(layer.encoding.decoder(store.file(&layer.file)?)?);
    let mut list = Vec::new();
    while let Some(entry) = entries.next_entry().map_err(bad_tar)? {
        let (kind, target) = match &entry.kind {
            Kind::File => ("file", None),
            Kind::HardLink(target) => ("hardlink", Some(absolute(target))),
            Kind::Symlink(target) => ("symlink", Some(show(target))),
            Kind::Directory => ("directory", None),
            Kind::Special => ("special", None),
        };
        list.push(EntryInfo {
            path: absolute(&entry.path),
            kind,
            mode: format!("{:04o}", entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            size: entry.size,
            target,
            xattrs: entry.xattrs.into_iter().map(|(name, _)| name).collect(),
        });
    }
    Ok(list)
}

pub(super) fn bad_tar(error: BadTar) -> BadStore {
    match error {
        BadTar::Io(error) => error.into(),
        error => BadStore::Tar(error),
    }
}

/// A name of an archive as a path of the image.
fn absolute(name: &[u8]) -> String {
    let name = name.strip_prefix(b".").filter(|rest| rest.starts_with(b"/")).unwrap_or(name);
    let name = name.strip_prefix(b"/").unwrap_or(name);
    format!("/{}", show(name.strip_suffix(b"/").unwrap_or(name)))
}
