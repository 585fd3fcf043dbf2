//! A folder of this machine as a tree: `/`, a sysroot, or the folder of a recipe.
//!
//! Every access goes through one descriptor of the folder and `openat2` without symbolic links, so that no
//! link, and no race against one, leads outside. Where the kernel has no `openat2`, each component is
//! opened by itself, without following links.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

use super::asked::Asked;
use super::content::HostFile;
use super::{Content, Node, NodeKind, Source, Stamp};
use crate::path::{ImagePath, PathMap};

/// A folder of this machine as a [`Source`]. What was asked once is remembered: a folder is looked at as it was
/// at the first look, and a file that changes afterwards is found out when it is read.
pub struct Folder {
    handle: Arc<FolderHandle>,
    nodes: RwLock<PathMap<Option<Node>>>,
    looks: RwLock<PathMap<Option<Look>>>,
    names: RwLock<PathMap<Names>>,
    lists: RwLock<PathMap<Listing>>,
}

/// The names in a folder, sorted.
pub(super) type Names = Arc<[Vec<u8>]>;

/// What a folder holds.
type Listing = Arc<[(Vec<u8>, Node)]>;

/// What `lstat` says of something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// The mode, with the bits that say the kind.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// How many names it has.
    pub(super) links: u64,
    pub(super) stamp: Stamp,
}

impl Look {
    /// What it said of a file.
    pub(super) fn of_file(node: &Node, file: &HostFile) -> Self {
        let mode = FileType::RegularFile.as_raw_mode() | node.mode;
        Self { mode, uid: node.uid, gid: node.gid, links: file.links, stamp: file.stamp }
    }

    /// What it said of a folder, but for the stamp.
    pub(super) fn of_folder(node: &Node) -> Self {
        let mode = FileType::Directory.as_raw_mode() | node.mode;
        let stamp = Stamp { device: 0, inode: 0, size: 0, mtime: (0, 0), ctime: (0, 0) };
        Self { mode, uid: node.uid, gid: node.gid, links: 1, stamp }
    }

    pub(super) fn is_file(&self) -> bool {
        FileType::from_raw_mode(self.mode) == FileType::RegularFile
    }

    pub(super) fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.mode) == FileType::Directory
    }
}

/// An open folder.
#[derive(Debug)]
pub(super) struct FolderHandle {
    descriptor: Arc<OwnedFd>,
    path: PathBuf,
    /// Whether files were refused without a note of when they were read, as they are to others than their owner.
    notes_reads: AtomicBool,
    /// Folders below it that are open: a name in one of them costs the kernel less than a path from the top.
    open: Mutex<PathMap<Arc<OwnedFd>>>,
}

/// How many folders stay open: files come in the order of their paths, folder by folder.
const MOST_OPEN: usize = 32;

impl Folder {
    /// Opens a folder of this machine.
    ///
    /// # Errors
    /// When it is not there, not a folder, or not readable.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = Arc::new(rustix::fs::open(&path, flags, Mode::empty())?);
        let (notes_reads, open) = (AtomicBool::new(false), Mutex::default());
        let handle = Arc::new(FolderHandle { descriptor, path, notes_reads, open });
        Ok(Self {
            handle,
            nodes: RwLock::default(),
            looks: RwLock::default(),
            names: RwLock::default(),
            lists: RwLock::default(),
        })
    }

    /// The folder's path on this machine, as it was given.
    pub fn path(&self) -> &Path {
        &self.handle.path
    }

    /// What `lstat` says now of a path above which no link stands; nothing is remembered.
    pub(super) fn look(&self, path: &ImagePath) -> io::Result<Option<Look>> {
        let relative: &OsStr = if path.is_root() { OsStr::new(".") } else { OsStr::from_bytes(path.relative()) };
        match rustix::fs::statat(&self.handle.descriptor, relative, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Look {
                mode: stat.st_mode,
                uid: stat.st_uid,
                gid: stat.st_gid,
                links: stat.st_nlink,
                stamp: stamp(&stat),
            })),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Folder::look`], with the answer of the first time.
    pub(super) fn look_once(&self, path: &ImagePath) -> io::Result<Option<Look>> {
        if let Some(known) = self.looks.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(*known);
        }
        let look = self.look(path)?;
        self.looks.write().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), look);
        Ok(look)
    }

    /// The names that a folder holds now, sorted; nothing is remembered.
    pub(super) fn names_now(&self, path: &ImagePath) -> io::Result<Vec<Vec<u8>>> {
        names_in(&self.handle.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?)
    }

    /// The text of a link as it stands now.
    pub(super) fn read_link(&self, path: &ImagePath) -> io::Result<Vec<u8>> {
        let link = rustix::fs::readlinkat(&self.handle.descriptor, OsStr::from_bytes(path.relative()), Vec::new())?;
        Ok(link.into_bytes())
    }

    /// The names in a folder as they were at the first look; none when there is no such folder.
    pub(super) fn known_names(&self, path: &ImagePath) -> io::Result<Names> {
        if let Some(known) = self.names.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(Arc::clone(known));
        }
        Ok(self.open_names(path)?.map_or_else(|| Names::from([]), |(_, names)| names))
    }

    /// A folder, opened, with its names as they were at the first look; `None` when there is no such folder.
    fn open_names(&self, path: &ImagePath) -> io::Result<Option<(OwnedFd, Names)>> {
        let directory = match self.handle.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if let Some(known) = self.names.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(Some((directory, Arc::clone(known))));
        }
        let names = Names::from(names_in(&directory)?);
        let mut known = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let names = Arc::clone(known.entry(path.clone()).or_insert(names));
        Ok(Some((directory, names)))
    }

    /// The first look counts, also of two at once: what is asked of a file is noted at one place.
    fn remember(&self, path: &ImagePath, node: Option<Node>) -> Option<Node> {
        self.nodes.write().unwrap_or_else(PoisonError::into_inner).entry(path.clone()).or_insert(node).clone()
    }
}

/// The names in an open folder, sorted.
fn names_in(directory: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut buffer = Vec::with_capacity(16 << 10);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            // It was removed since it was opened.
            Err(Errno::NOENT) => break,
            entry => entry?,
        };
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

impl Source for Folder {
    fn node(&self, path: &ImagePath) -> io::Result<Option<Node>> {
        if let Some(known) = self.nodes.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(known.clone());
        }
        let at = match self.handle.folder_of(path) {
            Ok(at) => at,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(self.remember(path, None)),
            Err(error) => return Err(error.into()),
        };
        let node = self.handle.node_of(path, &at, OsStr::from_bytes(path.name()))?;
        Ok(self.remember(path, node))
    }

    fn list(&self, path: &ImagePath) -> io::Result<Vec<(Vec<u8>, Node)>> {
        if let Some(known) = self.lists.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(known.to_vec());
        }
        let Some((directory, names)) = self.open_names(path)? else { return Ok(Vec::new()) };
        let paths: Vec<(Vec<u8>, ImagePath)> = names.iter().map(|name| (name.clone(), path.join(name))).collect();
        let known: Vec<Option<Node>> = {
            let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
            paths.iter().map(|(_, below)| nodes.get(below).cloned().flatten()).collect()
        };
        let mut entries = Vec::with_capacity(paths.len());
        let mut new = Vec::new();
        for ((name, below), known) in paths.into_iter().zip(known) {
            if let Some(node) = known {
                entries.push((name, node));
            } else if let Some(node) = self.handle.node_of(&below, &directory, OsStr::from_bytes(&name))? {
                new.push((below, entries.len()));
                entries.push((name, node));
            }
        }
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        for (below, place) in new {
            let (_, node) = &mut entries[place];
            if let Some(first) = nodes.entry(below).or_insert_with(|| Some(node.clone())) {
                node.clone_from(first);
            }
        }
        drop(nodes);
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        Ok(lists.entry(path.clone()).or_insert(entries.into()).to_vec())
    }

    fn names(&self, path: &ImagePath, fits: &dyn Fn(&[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
        let names = self.known_names(path)?;
        Ok(names.iter().filter(|name| fits(name)).cloned().collect())
    }

    fn describe(&self) -> String {
        self.handle.path.display().to_string()
    }
}

impl FolderHandle {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn host_path(&self, path: &ImagePath) -> PathBuf {
        self.path.join(OsStr::from_bytes(path.relative()))
    }

    /// Opens what stands at `path` without following a link anywhere.
    fn open_beneath(&self, path: &ImagePath, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let relative: &OsStr = if path.is_root() { OsStr::new(".") } else { OsStr::from_bytes(path.relative()) };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.descriptor, relative, flags, Mode::empty(), resolve) {
                // The kernel asks for another try when a rename ran beside it.
                Err(Errno::AGAIN) => {}
                Err(Errno::NOSYS | Errno::PERM) => return self.open_by_component(path, flags),
                result => return result,
            }
        }
    }

    fn open_by_component(&self, path: &ImagePath, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Some(parent) = path.parent() else {
            return rustix::fs::openat(&self.descriptor, ".", flags, Mode::empty());
        };
        let mut folder: Option<OwnedFd> = None;
        for part in parent.components() {
            let at = folder.as_ref().map_or(self.descriptor.as_fd(), AsFd::as_fd);
            let next = rustix::fs::openat(at, OsStr::from_bytes(part), step, Mode::empty())?;
            folder = Some(next);
        }
        let at = folder.as_ref().map_or(self.descriptor.as_fd(), AsFd::as_fd);
        rustix::fs::openat(at, OsStr::from_bytes(path.name()), flags | OFlags::NOFOLLOW, Mode::empty())
    }

    /// The open folder in which `path` is a name; of the folder itself, that.
    fn folder_of(&self, path: &ImagePath) -> rustix::io::Result<Arc<OwnedFd>> {
        let Some(folder) = path.folder().filter(|folder| folder.len() > 1) else {
            return Ok(Arc::clone(&self.descriptor));
        };
        if let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(folder) {
            return Ok(Arc::clone(open));
        }
        let Some(parent) = path.parent() else { return Ok(Arc::clone(&self.descriptor)) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let opened = Arc::new(self.open_beneath(&parent, flags)?);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST_OPEN {
            open.clear();
        }
        Ok(Arc::clone(open.entry(parent).or_insert(opened)))
    }

    /// Opens a regular file for reading. A FIFO put in its place can't hang the open.
    pub(super) fn open_file(&self, path: &ImagePath) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let (at, name) = (self.folder_of(path)?, OsStr::from_bytes(path.name()));
        if !self.notes_reads.load(Ordering::Relaxed) {
            // Of a file that is new here, the first read would write its inode.
            match rustix::fs::openat(&at, name, flags | OFlags::NOATIME, Mode::empty()) {
                Err(Errno::PERM) => self.notes_reads.store(true, Ordering::Relaxed),
                opened => return Ok(File::from(opened?)),
            }
        }
        Ok(File::from(rustix::fs::openat(&at, name, flags, Mode::empty())?))
    }

    pub(super) fn stamp_of(file: &File) -> io::Result<Stamp> {
        let stat = rustix::fs::fstat(file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("is no longer a regular file"));
        }
        Ok(stamp(&stat))
    }

    pub(super) fn xattr(&self, path: &ImagePath, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = self.open_file(path)?;
        let mut value = vec![0; 65536];
        match rustix::fs::fgetxattr(&file, name, value.as_mut_slice()) {
            Ok(size) => {
                value.truncate(size);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Describes `name` in an open folder, or the open thing itself when `name` is empty.
    fn node_of(self: &Arc<Self>, path: &ImagePath, at: &OwnedFd, name: &OsStr) -> io::Result<Option<Node>> {
        let flags = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
        let stat = match rustix::fs::statat(at, name, flags) {
            Ok(stat) => stat,
            // It went away between the listing and this look.
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => NodeKind::File(Content::File(Arc::new(HostFile {
                folder: Arc::clone(self),
                path: path.clone(),
                stamp: stamp(&stat),
                links: stat.st_nlink,
                asked: Asked::default(),
            }))),
            FileType::Directory => NodeKind::Directory,
            FileType::Symlink => NodeKind::Symlink(rustix::fs::readlinkat(at, name, Vec::new())?.into_bytes()),
            FileType::Fifo => NodeKind::Special("FIFO"),
            FileType::Socket => NodeKind::Special("socket"),
            FileType::CharacterDevice | FileType::BlockDevice => NodeKind::Special("device"),
            FileType::Unknown => NodeKind::Special("file of an unknown kind"),
        };
        let mode = stat.st_mode & 0o7777;
        Ok(Some(Node { kind, mode, uid: stat.st_uid, gid: stat.st_gid, mtime: stat.st_mtime }))
    }
}

fn stamp(stat: &rustix::fs::Stat) -> Stamp {
    let nanoseconds = |value: u64| u32::try_from(value).unwrap_or(0);
    Stamp {
        device: stat.st_dev,
        inode: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
        ctime: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
    }
}
