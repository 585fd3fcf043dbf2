//! How the programs and libraries of an image that was written are hardened: its layers in, laid over each other in
//! memory, and what the loader would load for each program. Keeps the bytes of ELF files and the heads of scripts only.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::UNREADABLE;
use super::inspect::bad_tar;
use super::verify::{bad_store, open};
use crate::closure::{self, Hardened, Headers, Options, Protected, Wanted};
use crate::elf::Shape;
use crate::oci::{BadStore, Entries, Kind, Store, StoredImage};
use crate::path::ImagePath;
use crate::report::{Diagnostic, Error, Result};
use crate::source::Content;
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

/// The most bytes of ELF files that are held.
const MOST_BYTES: u64 = 4 << 30;
/// What is kept of a file that is no ELF file: a script's first line, and what loaders read.
const HEAD: u64 = 256 << 10;

/// How an image is hardened.
#[derive(Debug)]
pub struct ImageHardening {
    /// Every ELF file that one of its programs loads, and the programs.
    pub files: Vec<Hardened>,
    /// What its processes are protected by.
    pub processes: Vec<Protected>,
}

/// Looks at the programs of each image in a layout or archive, in the order of [`super::inspect()`].
///
/// # Errors
/// When it can't be read as images, or is too large to be looked at.
pub fn hardening(path: &Path) -> Result<Vec<ImageHardening>> {
    let store = open(path)?;
    let images = store.images().map_err(|error| bad_store(path, &error))?;
    images.iter().map(|image| of_image(path, &store, image)).collect()
}

fn of_image(path: &Path, store: &Store, image: &StoredImage) -> Result<ImageHardening> {
    let tree = tree(path, store, image)?;
    let is_program = |entry: &Entry| entry.content().is_some() && entry.mode & 0o111 != 0;
    let headers = Headers::default();
    let object = |entry: &Entry| entry.content().and_then(|content| headers.object(content).ok().flatten());
    let programs = tree.iter().filter(|(_, entry)| is_program(entry) && object(entry).is_some());
    let wanted: Vec<Wanted> = programs
        .map(|(path, entry)| {
            let library = object(entry).is_some_and(|object| object.shape() == Shape::Library);
            if library { Wanted::library(path.as_bytes()) } else { Wanted::program(path.as_bytes()) }
        })
        .collect();
    let closure = closure::close_sharing(&tree, &wanted, &Options::default(), &headers);
    let mut files = Vec::new();
    for (file, entry) in tree.iter() {
        let Some(content) = entry.content() else { continue };
        let read = || Ok((headers.object(content)?, headers.hardening(content)?));
        let (Some(object), Some(hardening)) = read().map_err(|error| Error::io("read", path, &error))? else {
            continue;
        };
        files.push(Hardened { path: file.clone(), object, hardening, privileges: entry.privileges() });
    }
    Ok(ImageHardening { files, processes: closure.protected(&wanted) })
}

/// The layers over each other: what a later one removes or replaces is gone.
fn tree(path: &Path, store: &Store, image: &StoredImage) -> Result<Tree> {
    let mut entries: BTreeMap<ImagePath, Entry> = BTreeMap::new();
    let mut held = 0;
    for layer in &image.layers {
        let mut read = || -> std::result::Result<(), BadStore> {
            let mut archive = Entries::new(layer.encoding.decoder(store.file(&layer.file)?)?);
            while let Some(found) = archive.next_entry().map_err(bad_tar)? {
                let Ok(at) = ImagePath::new([b"/", found.path.as_slice()].concat()) else { continue };
                if let Some(hidden) = at.name().strip_prefix(b".wh.") {
                    let Some(folder) = at.parent() else { continue };
                    let opaque = hidden == b".wh..opq";
                    let gone = if opaque { folder } else { folder.join(hidden) };
                    entries.retain(|path, _| !path.is_within(&gone) || (opaque && *path == gone));
                    continue;
                }
                let kind = match found.kind {
                    Kind::File => EntryKind::File(Content::bytes(bytes(archive.data(), found.size, &mut held)?)),
                    Kind::HardLink(target) => {
                        let target = ImagePath::new([b"/", target.as_slice()].concat()).ok();
                        match target.and_then(|target| entries.get(&target)).and_then(Entry::content) {
                            Some(content) => EntryKind::File(content.clone()),
                            None => continue,
                        }
                    }
                    Kind::Symlink(target) => EntryKind::Symlink(target),
                    Kind::Directory => EntryKind::Directory,
                    Kind::Special => continue,
                };
                let mut entry = Entry::new(kind, found.mode, Rank::Need, Reason::new(Cause::Key("files"), None));
                entry.xattrs = found.xattrs;
                entries.insert(at, entry);
            }
            Ok(())
        };
        read().map_err(|error| {
            Error::from(Diagnostic::error(
                UNREADABLE,
                format!("layer `{}` of `{}` {error}", layer.file, path.display()),
            ))
        })?;
    }
    let mut tree = Tree::default();
    for (at, entry) in entries.into_iter().filter(|(at, _)| !at.is_root()) {
        tree.place(at, entry).map_err(|error| Error::io("read", path, &error))?;
    }
    Ok(tree)
}

/// An ELF file whole, of others the head.
fn bytes(mut data: impl Read, size: u64, held: &mut u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    data.by_ref().take(4).read_to_end(&mut bytes)?;
    let limit = if bytes == b"\x7fELF" { size } else { HEAD.min(size) };
    *held += limit;
    if *held > MOST_BYTES {
        return Err(std::io::Error::other("holds too many bytes of programs to be looked at"));
    }
    data.take(limit.saturating_sub(4)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
