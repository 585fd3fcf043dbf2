//! What refers to an image, beside its layout or archive: `NAME.oci.att/`, an OCI layout of manifests whose subject is
//! the image. Not in the layout itself: programs that are given no name take its only entry.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;

use super::Destination;
use super::attached::{subject, tagged};
use super::durable::{Renamed, flush_names, replace, write_new};
use super::index::{Index, marker};
use super::layout::{self, Layout, Place, read_limited};
use crate::attest::sign::PREDICATE;
use crate::attest::{Blob, Referrer};
use crate::image::Images;
use crate::layer::{Durability, Staging};
use crate::oci::{self, Digest};
use crate::report::Result;
use crate::threads::outcome;

/// Where attachments of an output go; `None` where it has no place beside it.
pub fn attachments_of(to: &Destination) -> Option<PathBuf> {
    match to {
        Destination::Layout { path, .. } | Destination::Archive { path, .. } | Destination::DockerArchive(path) => {
            let mut name = path.as_os_str().to_os_string();
            // `DIR/` means the same as `DIR`.
            if path.to_string_lossy().ends_with('/') {
                name = path.components().as_path().as_os_str().to_os_string();
            }
            name.push(".att");
            Some(name.into())
        }
        _ => None,
    }
}

/// Whether beside an output stands all that has these manifests: listed, with blobs of the sizes that they say.
pub fn has_attached(to: &Destination, manifests: &[Digest]) -> bool {
    let Some(path) = attachments_of(to) else { return false };
    let layout = Layout { path: &path, durability: Durability::Cached };
    let Ok(index) = layout.index() else { return false };
    let listed: BTreeSet<Digest> = index.digests().collect();
    let is_whole = |digest: &Digest| {
        let bytes = read_limited(&layout.blob(*digest)).ok().filter(|bytes| Digest::of(bytes) == *digest);
        let manifest: Value = bytes.and_then(|bytes| oci::read(&bytes).ok()).unwrap_or_default();
        let layers = manifest["layers"].as_array();
        layers.is_some_and(|layers| layers.iter().chain([&manifest["config"]]).all(|blob| has_blob(&layout, blob)))
    };
    manifests.iter().all(|digest| listed.contains(digest) && is_whole(digest))
}

fn has_blob(layout: &Layout<'_>, descriptor: &Value) -> bool {
    let digest = descriptor["digest"].as_str().and_then(|digest| digest.parse().ok());
    let found = digest.and_then(|digest| std::fs::symlink_metadata(layout.blob(digest)).ok());
    found.is_some_and(|found| found.is_file() && Some(found.len()) == descriptor["size"].as_u64())
}

/// As long as it lives, nobody else changes what stands beside an output. Documents stand there before the image that
/// they are about: until it is listed, another build would take them for those of an image that is gone.
#[must_use = "until the image is in its place, too"]
#[derive(Default)]
pub struct Guard {
    /// The lock of the folder.
    _lock: Option<File>,
    /// A folder that was staged has a lock since.
    _staged: Option<Attaching>,
}

impl Guard {
    /// Waits until nobody else has that of a folder of attachments.
    fn wait(path: &Path) -> Result<Self> {
        Ok(Self { _lock: Some(layout::lock(path)?), ..Self::default() })
    }
}

/// Puts documents beside an output. They take the place of those of the same kind about the same image. `None` where it
/// has no place for them, or there are none.
///
/// # Errors
/// When they can't be written; what was there before is whole then.
pub fn attach(to: &Destination, referrers: &[Referrer], durability: Durability) -> Result<Option<Guard>> {
    Attaching::begin(to, referrers, durability)?.map(Attaching::finish).transpose()
}

/// Documents on their way to their place beside an output. They are megabytes, each of which is flushed: threads of
/// their own do that, which mostly wait for the disk.
pub struct Attaching {
    path: PathBuf,
    place: Place,
    staging: Staging,
    referrers: Vec<Referrer>,
    writing: Vec<JoinHandle<Result<()>>>,
}

/// How many threads wait for the disk.
const WRITERS: usize = 4;

impl Attaching {
    /// Begins to write them; nothing appears beside the output yet. `None` where it has no place for them, or there are
    /// none.
    ///
    /// # Errors
    /// When something else stands in their place, or nothing can be written there.
    pub fn begin(to: &Destination, referrers: &[Referrer], durability: Durability) -> Result<Option<Self>> {
        let (Some(path), false) = (attachments_of(to), referrers.is_empty()) else { return Ok(None) };
        let place = layout::inspect(&path)?;
        let staging = match place {
            Place::Free => super::beside(&path, durability)?,
            Place::Layout => Staging::new(&path, "mkimage".as_ref(), durability)?,
        };
        let blobs = referrers.iter().flat_map(|one| one.blobs.iter().chain([&one.manifest]));
        let blobs: BTreeMap<Digest, Blob> = blobs.map(|blob| (blob.digest(), blob.clone())).collect();
        let mut files: Vec<(PathBuf, Blob)> =
            blobs.into_iter().map(|(digest, blob)| (staging.blob(digest), blob)).collect();
        // The smallest last.
        files.sort_by_key(|(_, blob)| std::cmp::Reverse(blob.bytes().len()));
        let (files, next) = (Arc::new(files), Arc::new(AtomicUsize::new(0)));
        let write = move || {
            while let Some((path, blob)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                write_new(path, blob.bytes(), durability)?;
            }
            Ok(())
        };
        let begin = |_| std::thread::Builder::new().spawn(write.clone()).ok();
        let writing: Vec<_> = (0..WRITERS).filter_map(begin).collect();
        if writing.is_empty() {
            write()?;
        }
        Ok(Some(Self { path, place, staging, referrers: referrers.to_vec(), writing }))
    }

    /// Where they are meanwhile: to be removed when the process is told to stop.
    pub fn staging(&self) -> &Path {
        self.staging.path()
    }

    /// Puts them in their place.
    ///
    /// # Errors
    /// When one can't be written; what was there before is whole then.
    pub fn finish(mut self) -> Result<Guard> {
        self.wait()?;
        let Self { path, staging, referrers, .. } = &self;
        let durability = staging.durability();
        if self.place == Place::Free {
            let index = referrers.iter().fold(Index::default(), |index, one| index.with_referrer(one.descriptor()));
            write_new(&staging.path().join("oci-layout"), &marker(), durability)?;
            write_new(&staging.path().join("index.json"), &index.bytes(), durability)?;
            if layout::publish(staging.path(), path, durability)? == Renamed::Done {
                return Ok(Guard { _staged: Some(self), ..Guard::default() });
            }
            // Another run was faster: join it.
        }
        let guard = Guard::wait(path)?;
        add(path, &[&self])?;
        Ok(guard)
    }

    /// Puts those of several images in their place beside one output, which takes one look at the list of what is
    /// there.
    ///
    /// # Errors
    /// As of [`Attaching::finish`]; then perhaps those of the first are there.
    pub fn finish_together(mut all: Vec<Self>) -> Result<Option<Guard>> {
        let mut guard = None;
        if all.first().is_some_and(|first| first.place == Place::Free) {
            guard = Some(all.remove(0).finish()?);
        }
        all.iter_mut().try_for_each(Self::wait)?;
        let Some(path) = all.first().map(|first| first.path.clone()) else { return Ok(guard) };
        if guard.is_none() {
            guard = Some(Guard::wait(&path)?);
        }
        add(&path, &all.iter().collect::<Vec<_>>())?;
        Ok(guard)
    }

    /// Waits until they are on the disk.
    fn wait(&mut self) -> Result<()> {
        for thread in std::mem::take(&mut self.writing) {
            outcome(thread.join())?;
        }
        flush_names(&self.staging.path().join("blobs/sha256"), self.staging.durability())
    }
}

/// The staging folder goes with it, and must not get new files then.
impl Drop for Attaching {
    fn drop(&mut self) {
        for thread in self.writing.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Takes out the documents beside an output that are about images which it no longer holds; those about `written`, the
/// images that it was given last, stay. `guard` is that of documents which were put there for these.
///
/// # Errors
/// When the list of what stays can't be written.
pub fn prune<'a>(
    to: &Destination,
    written: impl IntoIterator<Item = &'a Images>,
    durability: Durability,
    guard: Option<Guard>,
) -> Result<()> {
    let Some(path) = attachments_of(to).filter(|path| path.join("index.json").is_file()) else { return Ok(()) };
    // What others put there is about images that are listed by then.
    let _guard = guard.map_or_else(|| Guard::wait(&path), Ok)?;
    let documents = written.into_iter().flat_map(Images::documents);
    let mut kept: BTreeSet<Digest> = documents.map(|document| document.digest).collect();
    if let Destination::Layout { path, .. } = to {
        kept.append(&mut images_of(path, durability));
    }
    let layout = Layout { path: &path, durability };
    let before = layout.index()?;
    let gone = |entry: &Value| subject_of(&layout, entry).is_some_and(|subject| !kept.contains(&subject));
    let after = before.clone().without(gone);
    if after == before {
        return Ok(());
    }
    let staging = Staging::new(&path, "mkimage".as_ref(), durability)?;
    list(&layout, &staging, &after)?;
    layout.remove_orphans(&before, &after);
    Ok(())
}

/// Writes the index of attachments anew.
fn list(layout: &Layout<'_>, staging: &Staging, index: &Index) -> Result<()> {
    let staged = staging.path().join(".index.json");
    write_new(&staged, &index.bytes(), layout.durability)?;
    replace(&staged, &layout.path.join("index.json"), layout.durability)?;
    flush_names(layout.path, layout.durability)
}

/// Adds documents, which are all for one place, to what stands there and is locked.
fn add(path: &Path, all: &[&Attaching]) -> Result<()> {
    let Some(staging) = all.first().map(|first| &first.staging) else { return Ok(()) };
    let durability = staging.durability();
    let referrers = || all.iter().flat_map(|one| &one.referrers);
    // It may have become something else while it was waited for.
    layout::inspect(path)?;
    let layout = Layout { path, durability };
    let before = layout.index()?;
    let is_stale = |entry: &Value| {
        let subject = subject_of(&layout, entry);
        referrers().any(|one| Some(one.subject) == subject && same_kind(one, entry))
    };
    let after = before.clone().without(is_stale);
    let after = referrers().fold(after, |index, one| index.with_referrer(one.descriptor()));
    layout.begin()?;
    for Attaching { staging, referrers, .. } in all {
        for blob in referrers.iter().flat_map(|one| one.blobs.iter().chain([&one.manifest])) {
            let digest = blob.digest();
            if staging.blob(digest).exists() {
                replace(&staging.blob(digest), &layout.blob(digest), durability)?;
            }
        }
    }
    flush_names(&path.join("blobs/sha256"), durability)?;
    if after != before {
        list(&layout, staging, &after)?;
    }
    layout.remove_orphans(&before, &after);
    Ok(())
}

/// Whether an entry is what this one takes the place of: signed statements are told apart by what they state.
fn same_kind(one: &Referrer, entry: &Value) -> bool {
    let stated = entry.get("annotations").and_then(|all| all.get(PREDICATE)).and_then(Value::as_str);
    entry.get("artifactType").and_then(Value::as_str).unwrap_or_default() == one.artifact_type
        && stated == one.annotations.get(PREDICATE).map(String::as_str)
}

/// The image that a listed manifest is about.
fn subject_of(layout: &Layout<'_>, entry: &Value) -> Option<Digest> {
    let digest: Digest = entry.get("digest")?.as_str()?.parse().ok()?;
    let manifest: Value = oci::read(&read_limited(&layout.blob(digest)).ok()?).ok()?;
    subject(&manifest).or_else(|| Some(tagged(entry)?.0))
}

/// The manifests and indexes of a layout, those of nested indexes, too. What can't be read names none.
fn images_of(path: &Path, durability: Durability) -> BTreeSet<Digest> {
    let layout = Layout { path, durability };
    let mut found = BTreeSet::new();
    if let Ok(index) = layout.index() {
        for digest in index.digests() {
            layout.reach(digest, &mut found);
        }
    }
    found
}
