//! What an image that was written holds: its layers laid over each other in memory, as a program would unpack them.
//!
//! Every file is hashed; the bytes of ELF files are kept, and the heads of others.

use std::collections::BTreeMap;
use std::io::Read;

use super::UNREADABLE;
use super::inspect::bad_tar;
use crate::oci::{BadStore, Digest, Entries, Kind, Sha256, Store, StoredImage, StoredLayer};
use crate::path::ImagePath;
use crate::report::{Diagnostic, Error, Result};
use crate::source::Content;
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

/// The most bytes of ELF files that are held.
const MOST_BYTES: u64 = 4 << 30;
/// What is kept of a file that is no ELF file: a script's first line, what loaders read, records of packages.
const HEAD: u64 = 4 << 20;
/// What is kept of all these heads.
const MOST_HEADS: u64 = 512 << 20;

/// What an image holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Its tree. The content of a file that is no ELF file may be cut off; the facts are of the whole. Hard links are
    /// files here; devices are left out.
    pub tree: Tree,
    /// What the archives say of each entry of the image, devices among them.
    pub facts: BTreeMap<ImagePath, Fact>,
    /// What each layer unpacks to, bottom first.
    pub layers: Vec<Unpacked>,
}

/// What the archives say of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its kind, with where a link leads.
    pub kind: Kind,
    /// The twelve permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u64,
    /// Numeric group.
    pub gid: u64,
    /// Modification time, whole seconds since 1970.
    pub mtime: i64,
    /// Bytes of data.
    pub size: u64,
    /// The digest of these.
    pub digest: Option<Digest>,
    /// Extended attributes, by name.
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// The layer that has it, from 0.
    pub layer: usize,
}

/// What a layer unpacks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// Entries that are no folders.
    pub files: u64,
    /// Bytes of data.
    pub bytes: u64,
}

impl Contents {
    /// Reads all layers of an image. What a later one removes or replaces is gone.
    ///
    /// # Errors
    /// When a layer can't be read, or the image is too large to be looked at.
    pub fn read(store: &Store, image: &StoredImage) -> Result<Self> {
        let mut reader = Reader::default();
        for (number, layer) in image.layers.iter().enumerate() {
            reader.layer(number, store, layer).map_err(|error| {
                let title = format!("layer `{}` of `{}` {error}", layer.file, store.name());
                Error::from(Diagnostic::error(UNREADABLE, title))
            })?;
        }
        let mut contents = Self { tree: Tree::default(), facts: reader.facts, layers: reader.layers };
        for (at, entry) in reader.entries {
            contents.tree.place(at, entry).map_err(|error| Error::io("read", store.name().as_ref(), &error))?;
        }
        Ok(contents)
    }
}

#[derive(Default)]
struct Reader {
    entries: BTreeMap<ImagePath, Entry>,
    facts: BTreeMap<ImagePath, Fact>,
    layers: Vec<Unpacked>,
    /// Bytes that are held: of ELF files, of other heads.
    held: [u64; 2],
}

impl Reader {
    fn layer(&mut self, number: usize, store: &Store, layer: &StoredLayer) -> Result<(), BadStore> {
        let mut archive = Entries::new(layer.encoding.decoder(store.file(&layer.file)?)?);
        let mut unpacked = Unpacked::default();
        while let Some(found) = archive.next_entry().map_err(bad_tar)? {
            let Ok(at) = ImagePath::new([b"/", found.path.as_slice()].concat()) else { continue };
            unpacked.bytes += found.size;
            unpacked.files += u64::from(found.kind != Kind::Directory);
            if at.is_root() {
                continue;
            }
            if let Some(hidden) = at.name().strip_prefix(b".wh.") {
                self.hide(&at, hidden, number);
                continue;
            }
            if found.kind != Kind::Directory {
                // A file in the place of a folder takes what that held away.
                self.remove(&at, |_, _| true);
            }
            let (kind, digest) = match &found.kind {
                Kind::File => {
                    let (bytes, digest) = self.bytes(archive.data(), found.size)?;
                    (Some(EntryKind::File(Content::bytes(bytes))), Some(digest))
                }
                Kind::HardLink(target) => {
                    let target = ImagePath::new([b"/", target.as_slice()].concat()).ok();
                    let content = target.and_then(|target| self.entries.get(&target)).and_then(Entry::content);
                    (content.map(|content| EntryKind::File(content.clone())), None)
                }
                Kind::Symlink(target) => (Some(EntryKind::Symlink(target.clone())), None),
                Kind::Directory => (Some(EntryKind::Directory), None),
                Kind::Special => (None, None),
            };
            if let Some(kind) = kind {
                let mut entry = Entry::new(kind, found.mode, Rank::Need, Reason::new(Cause::Key("files"), None));
                entry.xattrs.clone_from(&found.xattrs);
                (entry.uid, entry.gid) = (id(found.uid), id(found.gid));
                entry.mtime = Some(found.mtime);
                self.entries.insert(at.clone(), entry);
            }
            let (mode, uid, gid, mtime, size) = (found.mode, found.uid, found.gid, found.mtime, found.size);
            let (kind, xattrs) = (found.kind, found.xattrs);
            self.facts.insert(at, Fact { kind, mode, uid, gid, mtime, size, digest, xattrs, layer: number });
        }
        self.layers.push(unpacked);
        Ok(())
    }

    /// A whiteout: it hides what lower layers have, not its own.
    fn hide(&mut self, at: &ImagePath, hidden: &[u8], number: usize) {
        let Some(folder) = at.parent() else { return };
        match hidden {
            b".wh..opq" => self.remove(&folder, |path, fact| *path != folder && fact.layer < number),
            hidden => self.remove(&folder.join(hidden), |_, fact| fact.layer < number),
        }
    }

    fn remove(&mut self, gone: &ImagePath, goes: impl Fn(&ImagePath, &Fact) -> bool) {
        // `0` follows `/` in ASCII; names that only begin like this one sort between.
        let last = [gone.as_bytes(), b"0"].concat();
        let below = self.facts.range(gone.clone()..).take_while(|(path, _)| path.as_bytes() < last.as_slice());
        let below = below.filter(|(path, fact)| path.is_within(gone) && goes(path, fact));
        for path in below.map(|(path, _)| path.clone()).collect::<Vec<_>>() {
            self.facts.remove(&path);
            self.entries.remove(&path);
        }
    }

    /// An ELF file whole, of others the head; and the digest of all.
    fn bytes(&mut self, mut data: impl Read, size: u64) -> std::io::Result<(Vec<u8>, Digest)> {
        let mut bytes = Vec::new();
        data.by_ref().take(4).read_to_end(&mut bytes)?;
        let is_elf = bytes == b"\x7fELF";
        let (limit, held, most) = if is_elf {
            (size, &mut self.held[0], MOST_BYTES)
        } else {
            (HEAD.min(size), &mut self.held[1], MOST_HEADS)
        };
        let over = *held + limit > most;
        if over && is_elf {
            return Err(std::io::Error::other("holds too many bytes of programs to be looked at"));
        }
        let limit = if over { 0 } else { limit };
        *held += limit;
        data.by_ref().take(limit.saturating_sub(4)).read_to_end(&mut bytes)?;
        let mut hash = Sha256::default();
        hash.update(&bytes);
        std::io::copy(&mut data, &mut hash)?;
        Ok((bytes, hash.finish()))
    }
}

/// A numeric owner; what no kernel takes is nobody's.
fn id(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
