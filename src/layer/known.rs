//! What the cache knows of layers and pieces.
//!
//! A layer is known by what `stat` says of its files, without reading any, or by its content, which takes reading and
//! hashing but no compressing. A piece is known by content alone: it lies in the blob of the layer that it was packed
//! for. Every key names the rules of packing, the codec and its version, so that what is found is what would be made.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::blob::Blob;
use super::codec::{self, Packed};
use super::layout::Layout;
use super::record::Member;
use super::{Effort, Layer, Lineage, Options, RemoteCache, Staging, proof};
use crate::cache::{Cache, Key, KeyMaker, PLACE, key_of};
use crate::oci::{DiffId, Digest};
use crate::recipe::Compression;
use crate::registry::Repository;
use crate::source::Content;

/// A layer by its content.
const LAYER: &str = "layer";
/// A layer by its paths, modes and sizes: what a cache that came from elsewhere may know the content of.
const SHAPE: &str = "shape";

/// The keys of a layer that take no reading.
pub(super) struct Keys {
    /// Of its paths, modes and sizes.
    shape: Key,
    /// Of each piece with what `stat` says; `None` where a file changed too lately to be known by that.
    pieces: Vec<Option<Key>>,
    /// Of the whole layer with what `stat` says.
    stat: Option<Key>,
}

/// The cache, in the words of layers.
pub(super) struct Known {
    cache: Arc<Cache>,
    compression: Compression,
    codec: Vec<u8>,
    open: Mutex<HashMap<Digest, Option<Arc<File>>>>,
    /// Whose layers they are, where a registry's cache wants to know.
    image: Option<String>,
    lent: Mutex<HashMap<Key, Foreign>>,
}

/// A piece out of a registry's cache, as it came: nothing of it was looked at yet.
#[derive(Debug, Clone)]
pub(super) struct Foreign {
    pub(super) file: Arc<File>,
    pub(super) at: u64,
    pub(super) size: u32,
    /// The cache to blame when the bytes turn out to be wrong.
    pub(super) cache: Arc<RemoteCache>,
    pub(super) from: Repository,
}

/// Where a compressed piece was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// In this machine's cache.
    Cache,
    /// In a registry's.
    Registry,
}

impl Known {
    /// Nothing is known of layers that are not compressed: to keep them costs more than to make them.
    pub(super) fn new(options: &Options, compression: Compression) -> Option<Self> {
        let cache = Arc::clone(options.cache.as_ref().filter(|_| compression != Compression::None)?);
        let image = options.image.clone().filter(|_| options.remote.is_some());
        let (codec, open, lent) = (codec::identity(compression), Mutex::default(), Mutex::default());
        Some(Self { cache, compression, codec, open, image, lent })
    }

    /// The keys of a layer.
    pub(super) fn keys(&self, layout: &Layout) -> Keys {
        let each: Vec<(Key, Option<Key>)> = layout
            .pieces
            .par_iter()
            .map(|piece| self.piece_keys(&layout.members[piece.members.clone()], &piece.bytes))
            .collect();
        let mut shape = self.maker(SHAPE);
        let mut stat = self.maker("layer by stat");
        for (heads, by_stat) in &each {
            shape.put(heads);
            stat.put(by_stat.as_ref().map_or(&[][..], |key| key));
        }
        let pieces: Vec<Option<Key>> = each.into_iter().map(|(_, by_stat)| by_stat).collect();
        let stat = pieces.iter().all(Option::is_some).then(|| stat.finish());
        Keys { shape: shape.finish(), pieces, stat }
    }

    /// The hash of a piece's records, and that with what `stat` says of its files.
    fn piece_keys(&self, members: &[Member], bytes: &std::ops::Range<u64>) -> (Key, Option<Key>) {
        let mut heads = KeyMaker::new("records").with(&bytes.start.to_le_bytes()).with(&bytes.end.to_le_bytes());
        let mut stat = KeyMaker::new("piece by stat");
        let mut head = Vec::new();
        let mut settled = true;
        for member in members {
            head.clear();
            member.write_head(&mut head);
            heads.put(&head);
            match member.entry().content() {
                None => {}
                Some(Content::Bytes(bytes)) => stat.put(&key_of(bytes)),
                Some(content) => {
                    if let Some(stamp) = content.stamp() {
                        settled &= self.cache.is_settled(&stamp);
                        stat.put_stamp(&stamp);
                    }
                }
            }
        }
        let heads = heads.finish();
        stat.put(&heads);
        (heads, settled.then(|| stat.finish()))
    }

    fn maker(&self, domain: &str) -> KeyMaker {
        KeyMaker::new(domain).with(&self.codec)
    }

    /// A layer that is known by what `stat` says of its files.
    pub(super) fn by_stat(&self, layout: &Layout, keys: &Keys, staging: &Staging, threads: usize) -> Option<Layer> {
        let content = self.cache.fact(keys.stat.as_ref()?)?;
        let layer = self.take(&content, layout, staging, threads)?;
        let hashes = (0..layout.pieces.len() - 1).map(|piece| self.piece_hash(keys, piece));
        let Some(pieces) = hashes.collect::<Option<Vec<_>>>() else { return Some(layer) };
        Some(Layer { lineage: self.lineage(layout, &pieces), pieces, ..layer })
    }

    /// Whether the cache has a layer of the same paths, modes and sizes, so that reading this one may be enough.
    pub(super) fn has_shape(&self, keys: &Keys) -> bool {
        self.cache.place(&keys.shape).is_some()
    }

    /// A layer that is known by its content: the hashes of its pieces.
    pub(super) fn by_content(
        &self,
        layout: &Layout,
        keys: &Keys,
        hashes: &[Key],
        staging: &Staging,
        threads: usize,
    ) -> Option<Layer> {
        let content = self.content_key(hashes);
        let layer = self.take(&content, layout, staging, threads)?;
        self.remember_stat(keys, hashes, &content);
        Some(Layer { lineage: self.lineage(layout, hashes), pieces: hashes.to_vec(), ..layer })
    }

    /// What a layer of these pieces is the successor of. `None` where nobody asks.
    pub(super) fn lineage(&self, layout: &Layout, hashes: &[Key]) -> Option<Lineage> {
        let image = self.image.as_ref().filter(|_| hashes.len() + 1 == layout.pieces.len())?;
        let name = self.maker("layer by name").with(image.as_bytes()).with(layout.plan.name.as_bytes()).finish();
        Some(Lineage { name, pieces: hashes.iter().map(|hash| self.piece_key(hash)).collect() })
    }

    /// Whether the cache has a piece, by the key that [`Lineage`] has for it.
    pub(super) fn has_piece(&self, key: &Key) -> bool {
        self.cache.place(key).is_some()
    }

    /// Takes a piece, of which nothing is believed until it is brought.
    pub(super) fn lend(&self, key: Key, piece: Foreign) {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner).insert(key, piece);
    }

    fn take(&self, content: &Key, layout: &Layout, staging: &Staging, threads: usize) -> Option<Layer> {
        let (digest, diff_id) = parse_layer(&self.cache.place(content)?);
        let blob = staging.blob(digest);
        let size = staging.bring_blob(&self.cache, digest, threads)?;
        let effort = Effort { layers_known: 1, ..Effort::default() };
        let blob = Blob { digest, size, path: blob, segments: Vec::new() };
        Some(Layer { content: Some(*content), ..Layer::new(layout, self.compression, &blob, diff_id, effort) })
    }

    /// The digest of the tar stream that files of this content gave here.
    pub(super) fn diff_id(&self, content: &Key) -> Option<DiffId> {
        self.cache.place(content).map(|place| parse_layer(&place).1)
    }

    /// Keeps what was found out of a layer whose blob is elsewhere.
    pub(super) fn keep_facts(&self, keys: &Keys, hashes: &[Key], content: &Key, layer: &Layer) {
        self.remember_layer(keys, content, layer);
        if !hashes.is_empty() {
            self.remember_stat(keys, hashes, content);
        }
    }

    /// How layers are compressed.
    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// The hash of a piece's bytes, when it is known without reading them.
    pub(super) fn piece_hash(&self, keys: &Keys, piece: usize) -> Option<Key> {
        self.cache.fact(keys.pieces.get(piece)?.as_ref()?)
    }

    /// A piece that was compressed before, by its bytes and their hash.
    pub(super) fn bring_piece(&self, hash: &Key, raw: &[u8], packed: &mut Packed) -> Option<Origin> {
        let key = self.piece_key(hash);
        let bring = |packed: &mut Packed| -> Option<()> {
            let place = Place::parse(&self.cache.place(&key)?);
            let file = self.blob(&place.blob)?;
            let size = usize::try_from(place.size).ok()?;
            packed.take_over(size, place.raw_crc, place.raw_size, |room| file.read_exact_at(room, place.at)).ok()?;
            (crc32fast::hash(packed.bytes()) == place.crc).then_some(())
        };
        if bring(packed).is_some() {
            return Some(Origin::Cache);
        }
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()?;
        self.bring_lent(&lent, raw, packed).map(|()| Origin::Registry)
    }

    /// A piece that somebody else compressed: it counts when it decompresses to these bytes.
    fn bring_lent(&self, lent: &Foreign, raw: &[u8], packed: &mut Packed) -> Option<()> {
        let raw_size = u32::try_from(raw.len()).ok()?;
        // Only gzip wants it.
        let gzip = matches!(self.compression, Compression::Gzip(_));
        let raw_crc = if gzip { crc32fast::hash(raw) } else { 0 };
        let size = usize::try_from(lent.size).ok()?;
        packed.take_over(size, raw_crc, raw_size, |room| lent.file.read_exact_at(room, lent.at)).ok()?;
        let is_it = proof::unpacks_to(self.compression, packed.bytes(), false, raw);
        if !is_it {
            lent.cache.refute_piece(&lent.from);
        }
        is_it.then_some(())
    }

    fn blob(&self, digest: &Digest) -> Option<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(*digest).or_insert_with(|| self.cache.open_blob(digest).map(Arc::new)).clone()
    }

    /// Keeps a layer that was packed. Returns its key by content.
    pub(super) fn keep(
        &self,
        keys: &Keys,
        hashes: &[Key],
        layer: &Layer,
        blob: &Blob,
        pieces: &[PieceCheck],
        flushed: bool,
    ) -> Key {
        let segments = crate::cache::Segments(blob.segments.clone());
        self.cache.keep_blob(&layer.digest, &layer.blob, &segments, flushed);
        let content = self.content_key(hashes);
        self.remember_layer(keys, &content, layer);
        // gzip has its head before the first piece.
        let before = blob.segments.len().saturating_sub(pieces.len());
        let before = before.min(usize::from(matches!(self.compression, Compression::Gzip(_))));
        let mut at: u64 = blob.segments[..before].iter().map(|segment| u64::from(segment.0)).sum();
        for ((hash, piece), segment) in hashes.iter().zip(pieces).zip(&blob.segments[before..]) {
            let (size, crc) = *segment;
            let place = Place { blob: layer.digest, at, size, crc, raw_crc: piece.crc, raw_size: piece.size };
            self.cache.keep_place(&self.piece_key(hash), &place.bytes());
            at += u64::from(size);
        }
        self.remember_stat(keys, hashes, &content);
        content
    }

    /// Both are let go with the blob, whose digest comes first.
    fn remember_layer(&self, keys: &Keys, content: &Key, layer: &Layer) {
        self.cache.keep_place(content, &two(layer.digest.bytes(), layer.diff_id.digest().bytes()));
        self.cache.keep_place(&keys.shape, &two(layer.digest.bytes(), content));
    }

    /// Keeps what was found out of files by what `stat` says of them.
    pub(super) fn remember_stat(&self, keys: &Keys, hashes: &[Key], content: &Key) {
        for (key, hash) in keys.pieces.iter().zip(hashes) {
            if let Some(key) = key {
                self.cache.keep_fact(key, hash);
            }
        }
        if let Some(stat) = &keys.stat {
            self.cache.keep_fact(stat, content);
        }
    }

    /// The key of a layer by content, from the hashes of its pieces.
    pub(super) fn content_key(&self, hashes: &[Key]) -> Key {
        let mut key = self.maker(LAYER);
        for hash in hashes {
            key.put(hash);
        }
        key.finish()
    }

    fn piece_key(&self, hash: &Key) -> Key {
        self.maker("piece").with(hash).finish()
    }

    /// Writes down what was found out.
    pub(super) fn flush(&self) {
        self.cache.flush();
    }
}

fn two(first: &[u8; 32], second: &[u8; 32]) -> [u8; PLACE] {
    let mut bytes = [0; PLACE];
    bytes[..32].copy_from_slice(first);
    bytes[32..].copy_from_slice(second);
    bytes
}

/// What is kept of a layer under its content.
fn parse_layer(bytes: &[u8; PLACE]) -> (Digest, DiffId) {
    let half = |at: usize| Digest::from_bytes(bytes[at..].first_chunk().copied().unwrap_or_default());
    (half(0), DiffId::new(half(32)))
}

/// What gzip has to know of a piece that it does not compress itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PieceCheck {
    pub(super) crc: u32,
    pub(super) size: u32,
}

/// Where a compressed piece lies.
struct Place {
    blob: Digest,
    at: u64,
    size: u32,
    crc: u32,
    raw_crc: u32,
    raw_size: u32,
}

impl Place {
    fn bytes(&self) -> [u8; PLACE] {
        let mut bytes = [0; PLACE];
        bytes[..32].copy_from_slice(self.blob.bytes());
        bytes[32..40].copy_from_slice(&self.at.to_le_bytes());
        for (place, number) in bytes[40..56].chunks_exact_mut(4).zip([self.size, self.crc, self.raw_crc, self.raw_size])
        {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn parse(bytes: &[u8; PLACE]) -> Self {
        let short = |at: usize| bytes[at..].first_chunk().copied().map_or(0, u32::from_le_bytes);
        Self {
            blob: Digest::from_bytes(bytes.first_chunk().copied().unwrap_or_default()),
            at: bytes[32..].first_chunk().copied().map_or(0, u64::from_le_bytes),
            size: short(40),
            crc: short(44),
            raw_crc: short(48),
            raw_size: short(52),
        }
    }
}
