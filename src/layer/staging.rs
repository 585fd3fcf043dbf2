//! A folder of blobs that nobody else looks at, until the output takes them over.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::Layer;
use crate::cache::Cache;
use crate::oci::Digest;
use crate::report::{Error, Result};

/// Whether what is written must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Files and folders are flushed to the disk before they get their final names.
    #[default]
    Synced,
    /// The operating system writes when it likes: for tests and throw-away machines.
    Cached,
}

/// A private temporary folder, removed when the last clone of it is dropped. Its name is `.NAME.tmp.PID.RANDOM`, and it
/// is locked while its maker lives: what a killed run left behind is removed by the next one for the same output.
#[derive(Debug, Clone)]
pub struct Staging {
    folder: Arc<Folder>,
    durability: Durability,
    /// Whether the blobs are copied into the output, and need not be flushed themselves.
    copied: bool,
    /// Whether several images have it, so that a blob stays in it for those that come later.
    shared: bool,
}

/// The folder, and what is known of it.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// How many temporary names were given.
    named: AtomicUsize,
    /// Blobs that the output took over.
    delivered: Mutex<BTreeSet<Digest>>,
    bringing: Mutex<()>,
    /// Holds the lock; the kernel lets go of it when the process ends, however it ends.
    _lock: File,
}

impl Staging {
    /// Makes one in a folder, for an output called `name`; removes those of dead processes for the same output.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new(folder: &Path, name: &OsStr, durability: Durability) -> Result<Self> {
        let prefix = prefix(name);
        remove_stale(folder, &prefix);
        let (path, lock) = loop {
            let path = make(folder, &prefix).map_err(|error| Error::io("write into", folder, &error))?;
            let lock = lock(&path).inspect_err(|_| drop(std::fs::remove_dir(&path)));
            let lock = lock.map_err(|error| Error::io("lock", &path, &error))?;
            // Another run may have taken it for a dead one's before it was locked.
            if let Some(lock) = lock {
                break (path, lock);
            }
        };
        let (named, delivered, bringing) = Default::default();
        let folder = Folder { path, named, delivered, bringing, _lock: lock };
        let staging = Self { folder: Arc::new(folder), durability, copied: false, shared: false };
        for folder in ["blobs", "blobs/sha256"].map(|name| staging.path().join(name)) {
            std::fs::create_dir(&folder).map_err(|error| Error::io("create", &folder, &error))?;
        }
        Ok(staging)
    }

    /// Where it is: to be removed when the process is told to stop.
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    /// A name in it that nobody has.
    pub(crate) fn temporary(&self, kind: &str) -> PathBuf {
        let number = self.folder.named.fetch_add(1, Ordering::Relaxed);
        self.path().join(format!(".{kind}-{number}"))
    }

    /// For an output that copies its blobs, as archives do: only the copy is flushed to the disk.
    #[must_use]
    pub fn for_copying(mut self) -> Self {
        self.copied = true;
        self
    }

    /// For several images of one output, which give away names of its blobs, never the blobs: each is put here once.
    #[must_use]
    pub(crate) fn for_sharing(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Whether several images have it.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    /// The blobs that the output took over.
    pub(crate) fn delivered(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.folder.delivered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether blobs are flushed to the disk one by one. Those that are copied are not, and those of several images are
    /// together, before the first image that has them is listed.
    pub(super) fn blob_durability(&self) -> Durability {
        if self.copied || self.shared { Durability::Cached } else { self.durability }
    }

    /// Whether blobs are flushed where they are, sooner or later.
    pub(super) fn is_flushed(&self) -> bool {
        self.durability == Durability::Synced && !self.copied
    }

    /// Whether what is written must survive a power cut.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Where a blob is, or will be.
    pub fn blob(&self, digest: Digest) -> PathBuf {
        self.path().join("blobs/sha256").join(digest.hex())
    }

    /// Takes over blobs of another one, by link where the file system can, so that they can be written twice.
    ///
    /// # Errors
    /// When a blob can't be read or written.
    pub fn adopt(&self, layers: &[Layer]) -> Result<Vec<Layer>> {
        layers.iter().map(|layer| self.adopt_one(layer)).collect()
    }

    /// Takes over a layer that a cache keeps; `None` when it does not, or not whole.
    pub fn bring(&self, cache: &Cache, layer: &Layer, threads: usize) -> Option<Layer> {
        let size = self.bring_blob(cache, layer.digest, threads)?;
        (size == layer.size).then(|| Layer { blob: self.blob(layer.digest), ..layer.clone() })
    }

    /// Takes over a blob that a cache keeps, unless it is here. Returns its size.
    pub(super) fn bring_blob(&self, cache: &Cache, digest: Digest, threads: usize) -> Option<u64> {
        // Who packs another image may bring it at the same time.
        let _alone = self.folder.bringing.lock().unwrap_or_else(PoisonError::into_inner);
        let blob = self.blob(digest);
        if let Ok(found) = std::fs::symlink_metadata(&blob) {
            return Some(found.len());
        }
        cache.bring_blob(&digest, &blob, self.blob_durability() == Durability::Synced, threads)
    }

    fn adopt_one(&self, layer: &Layer) -> Result<Layer> {
        let blob = self.blob(layer.digest);
        let is_here = layer.elsewhere.is_none() || layer.blob.exists();
        if is_here && !blob.exists() && std::fs::hard_link(&layer.blob, &blob).is_err() {
            std::fs::copy(&layer.blob, &blob).map_err(|error| Error::io("write", &blob, &error))?;
            if self.blob_durability() == Durability::Synced {
                let flush = File::open(&blob).and_then(|file| file.sync_all());
                flush.map_err(|error| Error::io("flush", &blob, &error))?;
            }
        }
        Ok(Layer { blob, effort: super::Effort::default(), ..layer.clone() })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // After a rename to its final place it is not there any more. What can't be removed, a later run tries again.
        if remove_tree(&self.path).is_err() {
            let _ = remove_tree(&self.path);
        }
    }
}

/// `.NAME.tmp.`; of a long name, as much as leaves room for the rest.
fn prefix(name: &OsStr) -> Vec<u8> {
    let name = name.as_bytes();
    [b".", &name[..name.len().min(200)], b".tmp."].concat()
}

fn make(folder: &Path, prefix: &[u8]) -> io::Result<PathBuf> {
    let prefix = [prefix, std::process::id().to_string().as_bytes(), b"."].concat();
    tempfile::Builder::new()
        .prefix(&OsString::from_vec(prefix))
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(folder)
        .map(tempfile::TempDir::keep)
}

/// Locks a folder and checks that it is still there. `None` when it was removed meanwhile.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let folder = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    match rustix::io::retry_on_intr(|| rustix::fs::flock(&folder, FlockOperation::LockExclusive)) {
        // NFS locks only what is open for writing, which a folder can't be: there, nobody removes it either.
        Ok(()) | Err(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    let open = folder.metadata()?;
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found
            .map(|there| (open.dev(), open.ino()) == (there.dev(), there.ino()))
            .map(|is_it| is_it.then_some(folder)),
    }
}

/// Removes what killed runs left for the same output: folders of that name that nobody holds a lock on.
fn remove_stale(folder: &Path, prefix: &[u8]) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().as_bytes().strip_prefix(prefix).is_some_and(is_pid_and_random);
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        let Ok(file) = File::open(&path) else { continue };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Best effort: it is in nobody's way.
            let _ = remove_tree(&path);
        }
    }
}

fn is_pid_and_random(rest: &[u8]) -> bool {
    let mut parts = rest.split(|&byte| byte == b'.');
    let pid = parts.next().is_some_and(|pid| !pid.is_empty() && pid.iter().all(u8::is_ascii_digit));
    let random = parts.next().is_some_and(|random| random.len() == 6 && random.iter().all(u8::is_ascii_alphanumeric));
    pid && random && parts.next().is_none()
}

/// Removes a folder that is ours with all that is in it, also folders that their modes protect.
///
/// # Errors
/// When something of it stays.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            std::fs::remove_dir_all(path)
        }
        result => result,
    }
}

fn open_up(folder: &Path) -> io::Result<()> {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
