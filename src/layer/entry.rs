//! The entry of a layer in a cache that a registry keeps: a manifest of one layer, found by a tag that is made of the
//! layer's key, and by one that moves to whatever layer was added last under the same name.
//!
//! In: a key and a layer. Out: the manifest, and the table of the blob's parts as its configuration; and both read
//! back, where everything that does not fit makes it no entry.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Layer;
use crate::cache::{Key, Segments, hex, key_of_hex};
use crate::oci::{self, DiffId, Digest, MediaType};

/// What an entry is, and its table.
const KIND: &str = "application/vnd.mkimage.cached-layer.v1+json";
/// Annotations of the manifest.
const KEY: &str = "vnd.mkimage.layer.key";
const DIFF_ID: &str = "vnd.mkimage.layer.diff-id";
const UNPACKED: &str = "vnd.mkimage.layer.unpacked";

/// The most bytes of a table that are read: that of a layer of some hundred gigabytes.
pub(super) const MOST_TABLE: u64 = 16 << 20;

/// What an entry says of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) diff_id: DiffId,
    pub(super) unpacked: u64,
    /// The table of the blob's parts.
    pub(super) table: Digest,
}

/// The parts that a blob was written in, from which pieces of it are found.
#[derive(Debug, Serialize, Deserialize)]
struct Table {
    /// The size of each.
    segments: Vec<u32>,
    /// The keys of its pieces but the last, where they were known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pieces: Vec<String>,
}

/// A piece of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) key: Key,
    pub(super) at: u64,
    pub(super) size: u32,
}

/// The table of a blob, whose pieces have these keys.
pub(super) fn table(segments: &Segments, pieces: &[Key]) -> Vec<u8> {
    oci::canonical(&Table {
        segments: segments.0.iter().map(|segment| segment.0).collect(),
        pieces: pieces.iter().map(hex).collect(),
    })
}

/// The sizes that a table lists.
pub(super) fn sizes(table: &[u8]) -> Option<Vec<u32>> {
    oci::read::<Table>(table).ok().map(|table| table.segments)
}

/// The pieces that a table lists, in a blob of this size and kind; none where it says no keys. `None` when it is no
/// table of such a blob.
pub(super) fn pieces(table: &[u8], size: u64, media_type: &MediaType) -> Option<Vec<Part>> {
    let table = oci::read::<Table>(table).ok()?;
    if table.pieces.is_empty() {
        return Some(Vec::new());
    }
    // The end of the archive has no key; gzip has a head and an end of its own.
    let (before, after) = if *media_type == MediaType::ImageLayerGzip { (1, 2) } else { (0, 1) };
    let sum: u64 = table.segments.iter().map(|size| u64::from(*size)).sum();
    (sum == size && table.segments.len() == before + table.pieces.len() + after).then_some(())?;
    let mut at: u64 = table.segments[..before].iter().map(|size| u64::from(*size)).sum();
    let parts = table.pieces.iter().zip(&table.segments[before..]).map(|(key, &size)| {
        let part = Part { key: key_of_hex(key)?, at, size };
        at += u64::from(size);
        Some(part)
    });
    parts.collect()
}

/// The manifest of an entry.
pub(super) fn manifest(key: &Key, layer: &Layer, table: &[u8]) -> Vec<u8> {
    oci::canonical(&json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest.to_string(),
        "artifactType": KIND,
        "config": { "mediaType": KIND, "digest": Digest::of(table), "size": table.len() },
        "layers": [{ "mediaType": layer.media_type.to_string(), "digest": layer.digest, "size": layer.size }],
        "annotations": {
            KEY: hex(key),
            DIFF_ID: layer.diff_id.digest(),
            UNPACKED: layer.unpacked.to_string(),
        },
    }))
}

impl Entry {
    /// Reads the manifest of an entry for this kind of layer and this key, where there is one. `None` when it is
    /// another's, or none.
    pub(super) fn parse(manifest: &[u8], key: Option<&Key>, media_type: &MediaType) -> Option<Self> {
        let manifest: Value = oci::read(manifest).ok()?;
        let said = |name: &str| manifest["annotations"][name].as_str();
        let [layer] = manifest["layers"].as_array()?.as_slice() else { return None };
        let fits = manifest["config"]["mediaType"] == KIND
            && key.is_none_or(|key| said(KEY) == Some(&hex(key)))
            && layer["mediaType"] == media_type.to_string();
        fits.then_some(())?;
        Some(Self {
            digest: layer["digest"].as_str()?.parse().ok()?,
            size: layer["size"].as_u64()?,
            diff_id: DiffId::new(said(DIFF_ID)?.parse().ok()?),
            unpacked: said(UNPACKED)?.parse().ok()?,
            table: manifest["config"]["digest"].as_str()?.parse().ok()?,
        })
    }
}
