//! What was packed, in bytes that can be kept: the entries of each layer, where their files are, and the hashes of the
//! pieces.
//!
//! With it, files can be held against an image without finding out anew what goes into it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cache::Key;
use crate::layer::LayerPlan;
use crate::path::ImagePath;
use crate::source::{Content, ContentId, Lines, Source, Writer};
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

use super::super::Session;

/// The bytes that are made for an image are kept only up to so many.
const MOST_MADE: usize = 16 << 20;
/// How many bytes are compressed at once.
const CHUNK: usize = 64 << 10;

/// The files that an image has.
pub(in crate::build) type Ships = HashSet<ContentId>;

/// What was packed.
#[derive(Debug)]
pub(in crate::build) struct Parcel {
    /// All entries.
    pub(super) tree: Tree,
    /// How they are spread, with the hashes of the pieces of each layer.
    pub(super) layers: Vec<(LayerPlan, Vec<Key>)>,
}

/// The kinds of lines.
const PARENT: u8 = 0;
const FILE: u8 = 1;
const MADE: u8 = 2;
const HARD_LINK: u8 = 3;
const DIRECTORY: u8 = 4;
const SYMLINK: u8 = 5;

impl Parcel {
    /// The bytes of what is packed, for [`Parcel::with_pieces`]; `None` when too much of it was made.
    pub(in crate::build) fn bytes(tree: &Tree, layers: &[LayerPlan]) -> Option<Vec<u8>> {
        let entries = layers.iter().flat_map(|plan| &plan.paths).filter_map(|path| tree.get(path));
        let made = entries.map(|entry| match &entry.kind {
            EntryKind::File(Content::Bytes(bytes)) => bytes.len(),
            _ => 0,
        });
        if made.sum::<usize>() > MOST_MADE {
            return None;
        }
        let (mut parcel, mut roots) = (Writer::default(), Vec::new());
        // What was made for a large image is megabytes: they are not copied whole.
        let mut packed = zstd::Encoder::new(Vec::new(), 1).ok()?;
        for plan in layers {
            parcel.put_counted(plan.name.as_bytes());
            parcel.put_counted(&u32::try_from(plan.paths.len()).ok()?.to_le_bytes());
            for path in &plan.paths {
                let Some(entry) = tree.get(path) else {
                    parcel.line(path, PARENT);
                    continue;
                };
                let (kind, text) = match &entry.kind {
                    EntryKind::File(Content::Bytes(bytes)) => (MADE, bytes.to_vec()),
                    EntryKind::File(content) => {
                        let (root, place) = (content.folder()?, content.place()?);
                        let known = roots.iter().position(|known| *known == root);
                        let root = known.unwrap_or_else(|| {
                            roots.push(root);
                            roots.len() - 1
                        });
                        let place = if place == path { &b""[..] } else { place.as_bytes() };
                        (FILE, [&[u8::try_from(root).ok()?], place].concat())
                    }
                    EntryKind::HardLink(target) => (HARD_LINK, target.as_bytes().to_vec()),
                    EntryKind::Directory => (DIRECTORY, Vec::new()),
                    EntryKind::Symlink(text) => (SYMLINK, text.clone()),
                };
                parcel.line(path, kind);
                parcel.put_counted(&text);
                for number in [entry.mode, entry.uid, entry.gid] {
                    parcel.put(&number.to_le_bytes());
                }
                let time = entry.mtime.map(|time| time.to_le_bytes().to_vec());
                parcel.put_counted(&time.unwrap_or_default());
                parcel.put_counted(
                    &serde_json::to_vec(&entry.xattrs).ok().filter(|_| !entry.xattrs.is_empty()).unwrap_or_default(),
                );
                if parcel.len() >= CHUNK {
                    parcel.drain(&mut packed).ok()?;
                }
            }
        }
        parcel.drain(&mut packed).ok()?;
        let mut bytes = Vec::new();
        for part in [serde_json::to_vec(&roots).ok()?, packed.finish().ok()?] {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
        Some(bytes)
    }

    /// The bytes with the hashes of the pieces of each layer, which are known when it is packed.
    pub(in crate::build) fn with_pieces(mut bytes: Vec<u8>, pieces: &[Vec<Key>]) -> Vec<u8> {
        for layer in pieces {
            bytes.extend((layer.len() as u64).to_le_bytes());
            bytes.extend(layer.as_flattened());
        }
        bytes
    }

    /// What the bytes say, with the files as they are now. `None` when they are none of ours, a file is not there, or
    /// it was `stopped`.
    pub(super) fn parse(session: &Session, bytes: &[u8], stopped: &AtomicBool) -> Option<Self> {
        let (roots, rest) = counted(bytes, 1)?;
        let (text, mut pieces) = counted(rest, 1)?;
        let text = zstd::decode_all(text).ok()?;
        let roots: Vec<PathBuf> = serde_json::from_slice(roots).ok()?;
        let roots = roots.iter().map(|root| session.open(root, None).ok()).collect::<Option<Vec<_>>>()?;
        let (mut entries, mut layers) = (Vec::new(), Vec::new());
        let mut lines = Lines::new(&text);
        while !lines.is_done() {
            let name = String::from_utf8(lines.take_counted()?.to_vec()).ok()?;
            let (own, after) = counted(pieces, size_of::<Key>())?;
            pieces = after;
            let count = u32::from_le_bytes(*lines.take_counted()?.first_chunk()?);
            let mut paths = Vec::new();
            for _ in 0..count {
                if stopped.load(Ordering::Relaxed) {
                    return None;
                }
                let (path, kind) = lines.begin()?;
                let path = ImagePath::new(path).ok()?;
                paths.push(path.clone());
                if kind == PARENT {
                    continue;
                }
                let text = lines.take_counted()?;
                let kind = match kind {
                    FILE => {
                        let (root, place) = text.split_first()?;
                        let place = if place.is_empty() { path.clone() } else { ImagePath::new(place).ok()? };
                        let node = roots.get(usize::from(*root))?.folder.node(&place).ok()??;
                        EntryKind::File(node.content()?.clone())
                    }
                    MADE => EntryKind::File(Content::bytes(text)),
                    HARD_LINK => EntryKind::HardLink(ImagePath::new(text).ok()?),
                    DIRECTORY => EntryKind::Directory,
                    SYMLINK => EntryKind::Symlink(text.to_vec()),
                    _ => return None,
                };
                let mut entry = Entry::new(kind, 0, Rank::Generated, Reason::new(Cause::Generated("parcel"), None));
                for number in [&mut entry.mode, &mut entry.uid, &mut entry.gid] {
                    *number = u32::from_le_bytes(*lines.take(4)?.first_chunk()?);
                }
                entry.mtime = lines.take_counted()?.first_chunk().copied().map(i64::from_le_bytes);
                let xattrs = lines.take_counted()?;
                if !xattrs.is_empty() {
                    entry.xattrs = serde_json::from_slice(xattrs).ok()?;
                }
                entries.push((path, entry));
            }
            layers.push((LayerPlan { name, paths }, own.as_chunks().0.to_vec()));
        }
        Some(Self { tree: entries.into_iter().collect(), layers })
    }
}

/// What stands behind a number of items of a size, and what follows it.
fn counted(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*count)).ok()?.checked_mul(size)?)
}

/// The files that a tree has.
pub(in crate::build) fn ships(tree: &Tree) -> Ships {
    tree.iter().filter_map(|(_, entry)| entry.content()).map(Content::id).collect()
}
