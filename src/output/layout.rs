//! The OCI image layout: a folder with `oci-layout`, `index.json` and `blobs/`.
//!
//! A new one is made beside its place and appears by one rename. An existing one gets the image's blobs first and
//! its new index last, under a lock; blobs that only a replaced entry named go after that.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::durable::{Renamed, copy_over, flush_names, look, rename_new, replace, write_new};
use super::index::{Index, marker};
use super::{Addition, CORRUPT, IsSound, OCCUPIED, Written};
use crate::image::Images;
use crate::layer::{Durability, Staging};
use crate::oci::{self, Digest};
use crate::report::{Diagnostic, Error, Result};
use crate::threads::{Beside, beside};

/// What stands where a layout belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing.
    Free,
    /// An OCI layout, or a folder that can become one: empty, or left by a first write that was cut off.
    Layout,
}

/// Looks at the place of a layout; refuses everything that must not be replaced.
pub(super) fn inspect(path: &Path) -> Result<Place> {
    match look(path)? {
        None if path.is_symlink() => Err(occupied(path, "is a link that leads nowhere")),
        None => Ok(Place::Free),
        Some(found) if !found.is_dir() => {
            let help = format!("remove it, or name an archive: `oci-archive:{}`", path.display());
            Err(Diagnostic::error(OCCUPIED, format!("`{}` is a file, and an OCI layout is a folder", path.display()))
                .help(help)
                .into())
        }
        Some(_) if is_layout(path)? => Ok(Place::Layout),
        Some(_) => Err(occupied(path, "is a folder that is no OCI layout, and is not replaced")),
    }
}

fn occupied(path: &Path, why: &str) -> Error {
    Diagnostic::error(OCCUPIED, format!("`{}` {why}", path.display())).help("choose another place, or remove it").into()
}

fn is_layout(folder: &Path) -> Result<bool> {
    let read = || {
        let mut has_marker = false;
        let mut has_others = false;
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            has_marker |= name == "oci-layout";
            has_others |= name != "blobs" && !name.starts_with(".mkimage.");
        }
        Ok(has_marker || !has_others)
    };
    read().map_err(|error| Error::io("read", folder, &error))
}

/// Makes a layout of a staging folder, under a tag, without another place.
pub(super) fn complete(staging: &Staging, images: &Images, tag: &str) -> Result<()> {
    add_documents(staging, images)?;
    keep_only(staging, images)?;
    list(staging, images, tag)
}

/// Writes an image, or an index of several, into a layout under a tag.
pub(super) fn write(path: &Path, staging: &Staging, images: &Images, tag: &str) -> Result<Written> {
    let durability = staging.durability();
    add_documents(staging, images)?;
    if inspect(path)? == Place::Free {
        flush_blobs(&[(staging, images, tag)])?;
        let apart = staging.is_shared().then(|| part(path, staging, images)).transpose()?;
        let whole = apart.as_ref().unwrap_or(staging);
        keep_only(whole, images)?;
        list(whole, images, tag)?;
        if publish(whole.path(), path, durability)? == Renamed::Done {
            staging.delivered().extend(blobs(images));
            return Ok(Written::default());
        }
        // Another run was faster: join it.
    }
    append(path, &[(staging, images, tag)]).map(|mut written| written.pop().unwrap_or_default())
}

/// A staging folder for a new layout, with an image's blobs of one that several images share.
fn part(path: &Path, staging: &Staging, images: &Images) -> Result<Staging> {
    let apart = super::beside(path, staging.durability())?;
    for digest in blobs(images) {
        give(staging, digest, &apart.blob(digest))?;
    }
    Ok(apart)
}

/// Gives a staged blob its place: the file itself, or one more name where other images want it, too.
fn give(staging: &Staging, digest: Digest, to: &Path) -> Result<()> {
    let blob = staging.blob(digest);
    if !staging.is_shared() {
        return replace(&blob, to, staging.durability());
    }
    let name = staging.temporary("blob");
    if std::fs::hard_link(&blob, &name).is_err() {
        // Not every file system has links.
        return copy_over(&blob, to, staging.durability());
    }
    replace(&name, to, staging.durability())?;
    // It stays when both were names of one file.
    let _ = std::fs::remove_file(&name);
    Ok(())
}

/// Puts an image's documents beside its layers in the staging folder.
fn add_documents(staging: &Staging, images: &Images) -> Result<()> {
    let mut written = BTreeSet::new();
    for document in images.documents().filter(|document| written.insert(document.digest)) {
        let path = staging.blob(document.digest);
        if !staging.is_shared() {
            write_new(&path, &document.bytes, staging.durability())?;
        } else if !path.exists() {
            // Of several images, two may have the same. They are flushed together.
            write_new(&path, &document.bytes, Durability::Cached)?;
        }
    }
    Ok(())
}

/// How many files are flushed at once.
const AT_ONCE: usize = 16;

/// Flushes what the layout has not taken over yet of images that share a staging folder: all at once, which is no
/// longer a wait for the disk than the longest of them.
fn flush_blobs(images: &[Listed<'_>]) -> Result<()> {
    let mut new = BTreeSet::new();
    for (staging, images, _) in images {
        if staging.is_shared() && staging.durability() == Durability::Synced {
            let delivered = staging.delivered();
            new.extend(blobs(images).difference(&delivered).map(|digest| staging.blob(*digest)));
        }
    }
    let new: Vec<PathBuf> = new.into_iter().collect();
    let flush = |path: &PathBuf| {
        File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::io("flush", path, &error))
    };
    // By threads that do nothing but wait.
    std::thread::scope(|scope| {
        let shares = new.chunks(new.len().div_ceil(AT_ONCE).max(1));
        let begun: Vec<_> = shares.map(|share| beside(scope, move || share.iter().try_for_each(flush))).collect();
        begun.into_iter().map(Beside::outcome).fold(Ok(()), Result::and)
    })
}

/// Puts everything but an image's blobs out of the staging folder.
fn keep_only(staging: &Staging, images: &Images) -> Result<()> {
    let wanted = blobs(images);
    let folder = staging.path().join("blobs/sha256");
    let entries = std::fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for entry in entries.map_err(|error| Error::io("read", &folder, &error))? {
        let name = entry.file_name();
        if !wanted.iter().any(|digest| name.to_str() == Some(&digest.hex())) {
            std::fs::remove_file(entry.path()).map_err(|error| Error::io("remove", &entry.path(), &error))?;
        }
    }
    flush_names(&folder, staging.durability())
}

/// Writes what a layout of its own has beside its blobs.
fn list(staging: &Staging, images: &Images, tag: &str) -> Result<()> {
    let (root, durability) = (staging.path(), staging.durability());
    write_new(&root.join("oci-layout"), &marker(), durability)?;
    write_new(&root.join("index.json"), &Index::default().with(&images.descriptor(), tag).bytes(), durability)
}

fn blobs(images: &Images) -> BTreeSet<Digest> {
    images.layers().map(|layer| layer.digest).chain(images.documents().map(|document| document.digest)).collect()
}

/// Gives a finished layout its name.
pub(super) fn publish(root: &Path, path: &Path, durability: Durability) -> Result<Renamed> {
    // The staging folder is private; the folder in it was made with the modes that the user's umask gives.
    let modes = std::fs::metadata(root.join("blobs")).map(|found| found.permissions());
    let set = modes.and_then(|modes| std::fs::set_permissions(root, modes));
    set.map_err(|error| Error::io("change the mode of", root, &error))?;
    flush_names(&root.join("blobs"), durability)?;
    flush_names(root, durability)?;
    let renamed = rename_new(root, path)?;
    if renamed == Renamed::Done {
        flush_names(&parent(path), durability)?;
    }
    Ok(renamed)
}

/// The folder that a path is in.
pub(super) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Writes several images, in their order.
pub(super) fn write_together(path: &Path, additions: &[Addition]) -> Result<Vec<Written>> {
    let mut rest = additions;
    let mut written = Vec::new();
    if inspect(path)? == Place::Free
        && let Some((first, others)) = additions.split_first()
    {
        written.push(write(path, &first.staging, &first.images, &first.tag)?);
        rest = others;
    }
    for Addition { staging, images, .. } in rest {
        add_documents(staging, images)?;
    }
    let images: Vec<Listed> = rest.iter().map(|one| (&one.staging, &one.images, one.tag.as_str())).collect();
    written.extend(append(path, &images)?);
    Ok(written)
}

/// A staged image, and the tag that it is listed under.
type Listed<'a> = (&'a Staging, &'a Images, &'a str);

/// Adds images to a layout that is there.
fn append(path: &Path, images: &[Listed<'_>]) -> Result<Vec<Written>> {
    let Some(durability) = images.first().map(|image| image.0.durability()) else { return Ok(Vec::new()) };
    flush_blobs(images)?;
    let _lock = lock(path)?;
    // It may have become something else while it was waited for.
    inspect(path)?;
    let layout = Layout { path, durability };
    let was_empty = !path.join("oci-layout").exists();
    let added = layout.add(images);
    if added.is_err() && was_empty {
        layout.clear();
    }
    let (before, after, counts) = added?;
    layout.remove_orphans(&before, &after);
    Ok(images.iter().zip(counts).map(|((.., tag), count)| written(path, count, tag)).collect())
}

/// Whether a layout lists an image under a tag and has its blobs, in the sizes that they should have and as far as
/// `is_sound` knows: what it then has to say.
pub(super) fn holds(path: &Path, images: &Images, tag: &str, is_sound: &IsSound<'_>) -> Option<Written> {
    let layout = Layout { path, durability: Durability::Cached };
    let index = layout.index().ok().filter(|_| path.join("oci-layout").is_file())?;
    (index.clone().with(&images.descriptor(), tag) == index).then_some(())?;
    let documents = images.iter().flat_map(|image| [&image.config, &image.manifest]).chain(images.index());
    for document in documents {
        (read_limited(&layout.blob(document.digest)).ok()? == document.bytes).then_some(())?;
    }
    for layer in images.iter().flat_map(|image| &image.layers) {
        let blob = layout.blob(layer.digest);
        let found = std::fs::symlink_metadata(&blob).ok()?;
        (found.is_file() && found.len() == layer.size && is_sound(&layer.digest, &blob)).then_some(())?;
    }
    Some(written(path, index.len(), tag))
}

/// What is to be said of a layout with several images.
fn written(path: &Path, count: usize, tag: &str) -> Written {
    let mut written = Written::default();
    if count > 1 {
        let path = path.display();
        written.notes.push(format!("`{path}` holds {count} images; programs find this one as `oci:{path}:{tag}`"));
    }
    written
}

/// Waits until nobody else writes into a layout.
pub(super) fn lock(path: &Path) -> Result<File> {
    let wait = |file: File| {
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
        Ok(file)
    };
    let result: io::Result<File> = match File::open(path).and_then(wait) {
        // NFS locks only what is open for writing, which a folder can't be.
        Err(error) if can_lock_files_only(&error) => {
            File::options().create(true).append(true).open(path.join(".mkimage.lock")).and_then(wait)
        }
        result => result,
    };
    result.map_err(|error| Error::io("lock", path, &error))
}

fn can_lock_files_only(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP))
}

/// A layout that is locked.
pub(super) struct Layout<'a> {
    pub(super) path: &'a Path,
    pub(super) durability: Durability,
}

impl Layout<'_> {
    pub(super) fn blob(&self, digest: Digest) -> PathBuf {
        self.path.join("blobs/sha256").join(digest.hex())
    }

    pub(super) fn index(&self) -> Result<Index> {
        let path = self.path.join("index.json");
        match read_limited(&path) {
            Ok(bytes) => Index::read(&bytes).map_err(|why| {
                Diagnostic::error(CORRUPT, format!("`{}` {why}", path.display()))
                    .help("mkimage adds to layouts that it can read; remove this one or choose another place")
                    .into()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
            Err(error) => Err(Error::io("read", &path, &error)),
        }
    }

    /// Puts the images' blobs in and then lists them. Returns the index as it was and as it is, and how many images it
    /// has with each of them.
    fn add(&self, images: &[Listed<'_>]) -> Result<(Index, Index, Vec<usize>)> {
        let before = self.index()?;
        let (mut after, mut counts) = (before.clone(), Vec::new());
        for (_, images, tag) in images {
            after = after.with(&images.descriptor(), tag);
            counts.push(after.len());
        }
        // Where an image of this run went before, nothing is missing.
        let begun = |staging: &Staging| !staging.delivered().is_empty();
        if !(images.iter().all(|(staging, ..)| begun(staging)) && self.path.join("blobs/sha256").is_dir()) {
            self.begin()?;
        }
        for (staging, images, _) in images {
            for digest in blobs(images) {
                if !(staging.delivered().contains(&digest) && self.blob(digest).exists()) {
                    give(staging, digest, &self.blob(digest))?;
                }
            }
        }
        flush_names(&self.path.join("blobs/sha256"), self.durability)?;
        if let Some((staging, ..)) = images.first().filter(|_| after != before) {
            let staged = staging.temporary("index");
            write_new(&staged, &after.bytes(), self.durability)?;
            replace(&staged, &self.path.join("index.json"), self.durability)?;
        }
        flush_names(self.path, self.durability)?;
        for (staging, images, _) in images {
            staging.delivered().extend(blobs(images));
        }
        Ok((before, after, counts))
    }

    /// Takes back what was put into an empty folder.
    fn clear(&self) {
        // The error that led here is the one to tell.
        let _ = std::fs::remove_file(self.path.join("index.json"));
        let _ = std::fs::remove_file(self.path.join("oci-layout"));
        let _ = std::fs::remove_dir_all(self.path.join("blobs"));
    }

    /// Makes what is missing of an empty layout.
    pub(super) fn begin(&self) -> Result<()> {
        let blobs = self.path.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).map_err(|error| Error::io("create", &blobs, &error))?;
        let marker_path = self.path.join("oci-layout");
        if !marker_path.exists() {
            write_new(&marker_path, &marker(), self.durability)?;
        }
        flush_names(&self.path.join("blobs"), self.durability)
    }

    /// Removes blobs that an entry had which is no longer there, and that nobody else names. What can't be read is
    /// left as it is, with all that it might name.
    pub(super) fn remove_orphans(&self, before: &Index, after: &Index) {
        let gone = before.digests().filter(|digest| !after.digests().any(|kept| kept == *digest)).collect::<Vec<_>>();
        let mut kept = BTreeSet::new();
        let all_known = after.digests().count() == after.len();
        if gone.is_empty() || !all_known || !after.digests().all(|digest| self.reach(digest, &mut kept)) {
            return;
        }
        let mut orphans = BTreeSet::new();
        if gone.into_iter().all(|digest| self.reach(digest, &mut orphans)) {
            for digest in orphans.difference(&kept) {
                // What stays behind is in nobody's way.
                let _ = std::fs::remove_file(self.blob(*digest));
            }
        }
    }

    /// Collects a manifest or index with all that it names. `false` when something in it can't be read.
    pub(super) fn reach(&self, digest: Digest, found: &mut BTreeSet<Digest>) -> bool {
        if !found.insert(digest) {
            return true;
        }
        let Ok(bytes) = read_limited(&self.blob(digest)) else { return false };
        let Ok(document) = oci::read::<serde_json::Value>(&bytes) else { return false };
        let list = |key: &str| document.get(key).and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
        let digest_of = |descriptor: &serde_json::Value| descriptor.get("digest")?.as_str()?.parse::<Digest>().ok();
        let named: Vec<_> = list("layers").iter().chain(document.get("config")).map(digest_of).collect();
        found.extend(named.iter().flatten());
        let nested: Vec<_> = list("manifests").iter().map(digest_of).collect();
        named.iter().all(Option::is_some)
            && nested.into_iter().all(|digest| digest.is_some_and(|digest| self.reach(digest, found)))
    }
}

/// Reads a document that others may have written.
pub(super) fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(File::open(path)?, oci::LIMIT + 1), &mut bytes)?;
    if bytes.len() as u64 > oci::LIMIT {
        return Err(io::Error::other(format!("is larger than {} bytes", oci::LIMIT)));
    }
    Ok(bytes)
}
