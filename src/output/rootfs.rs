//! A folder of files: the image's tree as it would be in a container.
//!
//! It is made beside its place and appears by one rename. Whatever the tree holds, nothing is written outside of the
//! new folder: every name is made in a folder that was opened without following a link.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::durable::{Renamed, flush_names, rename_new};
use super::{OCCUPIED, Written};
use crate::layer::{Durability, Staging};
use crate::path::ImagePath;
use crate::report::{Diagnostic, Error, Result};
use crate::source::Content;
use crate::tree::{Entry, EntryKind, Tree};

/// What stands where the folder belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing.
    Free,
    /// A folder that may be replaced: empty, or as mkimage left it.
    Replaceable,
}

/// Looks at the place; refuses a folder that someone put something into.
///
/// A folder that mkimage wrote is known by its own time, which is that of everything in an image, and as nobody's
/// since by the times of change of what is in it: none is later than the folder's own.
pub(super) fn inspect(path: &Path) -> Result<Place> {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        // What can't be looked at can't be written to either, which says it better.
        return Ok(Place::Free);
    };
    if !found.is_dir() {
        return Err(occupied(path, "is no folder"));
    }
    let is_empty = std::fs::read_dir(path).map(|mut entries| entries.next().is_none());
    let is_empty = is_empty.map_err(|error| Error::io("read", path, &error))?;
    let is_ours = (found.mtime(), found.mtime_nsec()) == (crate::MTIME, 0)
        && unchanged_since((found.ctime(), found.ctime_nsec()), path).unwrap_or(false);
    if is_empty || is_ours {
        return Ok(Place::Replaceable);
    }
    Err(occupied(path, "is a folder with files that are not as mkimage left them, and is not replaced"))
}

fn occupied(path: &Path, why: &str) -> Error {
    Diagnostic::error(OCCUPIED, format!("`{}` {why}", path.display())).help("choose another place, or remove it").into()
}

fn unchanged_since(time: (i64, i64), folder: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if (found.ctime(), found.ctime_nsec()) > time || (found.is_dir() && !unchanged_since(time, &entry.path())?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes a tree to its place.
pub(super) fn write(path: &Path, tree: &Tree, staging: &Staging) -> Result<Written> {
    let staged = staging.path().join("rootfs");
    std::fs::create_dir(&staged).map_err(|error| Error::io("create", &staged, &error))?;
    let written = extract(&staged, path, tree)?;
    if staging.durability() == Durability::Synced {
        // Once for all files: one by one takes a disk seconds for a few thousand.
        let flush = || rustix::fs::syncfs(File::open(&staged)?).map_err(io::Error::from);
        flush().map_err(|error| Error::io("flush", path, &error))?;
    }
    if rename_new(&staged, path)? == Renamed::Exists {
        inspect(path)?;
        exchange(&staged, path)?;
    }
    flush_names(&super::layout::parent(path), staging.durability())?;
    Ok(written)
}

/// Swaps the new folder with the one that is there, which goes away with the staging folder.
fn exchange(new: &Path, path: &Path) -> Result<()> {
    match rustix::fs::renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(Diagnostic::error(OCCUPIED, format!("`{}` is a mount point", path.display()))
            .help(format!("write to a folder in it: `rootfs:{}`", path.join("rootfs").display()))
            .into()),
        Err(Errno::INVAL | Errno::NOSYS) => Err(occupied(path, "is on a file system that can't exchange two folders")),
        Err(error) => Err(Error::io("write", path, &error.into())),
    }
}

/// Writes everything below an empty folder, which will be at `place`.
fn extract(root: &Path, place: &Path, tree: &Tree) -> Result<Written> {
    let mut writer = Writer::new(root).map_err(|error| Error::io("open", root, &error))?;
    let failed = |path: &ImagePath, error: &io::Error| {
        Error::io("write", &place.join(OsStr::from_bytes(path.relative())), error)
    };
    // The tree need not mention every folder.
    let mut paths: BTreeSet<ImagePath> = tree.iter().map(|(path, _)| path.clone()).collect();
    paths.extend(tree.iter().flat_map(|(path, _)| path.ancestors()));
    let parent = crate::layer::parent_entry();
    let entries = || paths.iter().map(|path| (path, tree.get(path).unwrap_or(&parent)));
    for (path, entry) in entries().filter(|(path, _)| !path.is_root()) {
        writer.make(path, entry).map_err(|error| failed(path, &error))?;
    }
    // Folders get their modes and times when nothing is written into them any more; the root is the last.
    for (path, entry) in entries().rev().filter(|(_, entry)| entry.is_directory()) {
        writer.close(path, entry).map_err(|error| failed(path, &error))?;
    }
    Ok(writer.written())
}

struct Writer {
    root: OwnedFd,
    /// Whether owners can be set.
    is_root: bool,
    /// The last folder that was opened.
    open: Option<(ImagePath, OwnedFd)>,
    /// Attributes that only root can set.
    refused: u64,
}

impl Writer {
    fn new(root: &Path) -> io::Result<Self> {
        let root = rustix::fs::open(root, folder_flags(), Mode::empty())?;
        Ok(Self { root, is_root: rustix::process::geteuid().is_root(), open: None, refused: 0 })
    }

    /// Makes an entry in its folder, which is there: it sorts before.
    fn make(&mut self, path: &ImagePath, entry: &Entry) -> io::Result<()> {
        let name = OsStr::from_bytes(path.name());
        let folder = self.folder_of(path)?;
        match &entry.kind {
            // Written into until the end, so open to its owner.
            EntryKind::Directory => rustix::fs::mkdirat(folder, name, Mode::RWXU)?,
            EntryKind::Symlink(target) => {
                rustix::fs::symlinkat(OsStr::from_bytes(target), &folder, name)?;
                if self.is_root {
                    let (user, group) = owner(entry);
                    match rustix::fs::chownat(&folder, name, user, group, AtFlags::SYMLINK_NOFOLLOW) {
                        Err(Errno::INVAL) => self.is_root = false,
                        result => result?,
                    }
                }
                rustix::fs::utimensat(&folder, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            EntryKind::HardLink(target) => {
                let from = self.folder_of(target)?;
                rustix::fs::linkat(from, OsStr::from_bytes(target.name()), folder, name, AtFlags::empty())?;
            }
            EntryKind::File(content) => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut file = File::from(rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?);
                copy(content, &mut file)?;
                self.finish(&file, entry)?;
            }
        }
        Ok(())
    }

    /// Gives a folder its owner, mode and time.
    fn close(&mut self, path: &ImagePath, entry: &Entry) -> io::Result<()> {
        let folder = File::from(self.folder(path)?);
        self.finish(&folder, entry)
    }

    /// Sets owner, mode, attributes and time, in the order in which none undoes another.
    fn finish(&mut self, file: &File, entry: &Entry) -> io::Result<()> {
        if self.is_root {
            let (user, group) = owner(entry);
            match rustix::fs::fchown(file, user, group) {
                // Root of a namespace that has no such user.
                Err(Errno::INVAL) => self.is_root = false,
                result => result?,
            }
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode & 0o7777))?;
        for (name, value) in &entry.xattrs {
            match rustix::fs::fsetxattr(file, name.as_str(), value, XattrFlags::empty()) {
                Err(Errno::PERM) if !self.is_root => self.refused += 1,
                result => result?,
            }
        }
        Ok(rustix::fs::futimens(file, &times(entry))?)
    }

    fn folder_of(&mut self, path: &ImagePath) -> io::Result<OwnedFd> {
        self.folder(&path.parent().unwrap_or_else(ImagePath::root))
    }

    /// Opens a folder, each name on the way to it without following a link.
    fn folder(&mut self, path: &ImagePath) -> io::Result<OwnedFd> {
        if let Some((_, folder)) = self.open.as_ref().filter(|(known, _)| known == path) {
            return folder.try_clone();
        }
        let mut folder = self.root.try_clone()?;
        for name in path.components() {
            folder = rustix::fs::openat(&folder, OsStr::from_bytes(name), folder_flags(), Mode::empty())?;
        }
        self.open = Some((path.clone(), folder.try_clone()?));
        Ok(folder)
    }

    fn written(&self) -> Written {
        let mut written = Written::default();
        if !self.is_root {
            let user = rustix::process::geteuid().as_raw();
            written.notes.push(format!("the files belong to user {user}: only root can give them to their owners"));
        }
        if self.refused > 0 {
            written.notes.push(format!("{} file capabilities are missing: only root can set them", self.refused));
        }
        written
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime.unwrap_or(crate::MTIME), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// Copies a file's bytes, and checks that it did not change meanwhile.
fn copy(content: &Content, to: &mut File) -> io::Result<()> {
    let from = content.open()?;
    let mut buffer = vec![0; usize::try_from(from.size()).unwrap_or(usize::MAX).min(1 << 18)];
    let mut done = 0;
    while done < from.size() {
        let count = usize::try_from(from.size() - done).unwrap_or(usize::MAX).min(buffer.len());
        from.read_exact_at(&mut buffer[..count], done)?;
        to.write_all(&buffer[..count])?;
        done += count as u64;
    }
    from.finish()
}
