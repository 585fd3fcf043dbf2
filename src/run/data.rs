//! Folders of an image that a program writes to: copies, so that the image's own files stay as they are.

use std::fs::Metadata;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use super::{Mount, Start};
use crate::path::ImagePath;
use crate::source::{Folder, resolve};

/// Whether an image has something at a path, links followed inside of it.
pub fn exists(rootfs: &Path, path: &ImagePath) -> io::Result<bool> {
    Ok(resolve(&Folder::open(rootfs)?, path.as_bytes()).is_ok())
}

/// Copies a folder of an image, with all in it, to a new one. When the image has none there, or an empty one of root's,
/// the new one gets the bits of `mode` too.
///
/// # Errors
/// When it can't be read or written.
pub fn folder_of(rootfs: &Path, path: &ImagePath, to: &Path, mode: u32) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, rootfs, flags, Mode::empty())?;
    // Opened inside the image, whatever its links say, and read through the open folder.
    match rustix::fs::openat2(&root, path.as_bytes(), flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(folder) => copy_folder(&PathBuf::from(format!("/proc/self/fd/{}/.", folder.as_raw_fd())), to)?,
        Err(rustix::io::Errno::NOENT) => std::fs::create_dir(to)?,
        Err(error) => return Err(error.into()),
    }
    // An empty folder of root's is there to be mounted on.
    if std::fs::metadata(to)?.uid() == 0 && std::fs::read_dir(to)?.next().is_none() {
        let asked = std::fs::metadata(to)?.mode() & 0o7777 | mode;
        std::fs::set_permissions(to, PermissionsExt::from_mode(asked))?;
    }
    Ok(())
}

/// An image's files once more, in a new folder: folders are copies, so that mount points can be made in them, files are
/// the same ones under another name.
///
/// # Errors
/// When it can't be read or written.
pub fn second_tree(rootfs: &Path, to: &Path) -> io::Result<()> {
    copy_with(rootfs, to, &|from, to| std::fs::hard_link(from, to).or_else(|_| copy_file(from, to)))
}

/// Copies a folder with owners and modes, as far as this process may. Files that are none stay out.
///
/// # Errors
/// When it can't be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    copy_with(from, to, &copy_file)
}

fn copy_with(from: &Path, to: &Path, file: &dyn Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let found = entry.metadata()?;
        if found.is_dir() {
            copy_with(&path, &target, file)?;
        } else if found.is_symlink() {
            symlink(std::fs::read_link(&path)?, &target)?;
        } else if found.is_file() {
            file(&path, &target)?;
        }
    }
    adopt(to, &std::fs::metadata(from)?)
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::copy(from, to)?;
    adopt(to, &std::fs::symlink_metadata(from)?)
}

fn adopt(path: &Path, like: &Metadata) -> io::Result<()> {
    // Where there is only one user, all is that one's.
    let _ = lchown(path, Some(like.uid()), Some(like.gid()));
    std::fs::set_permissions(path, PermissionsExt::from_mode(like.mode() & 0o7777))
}

/// Makes the files and folders of an image that something is mounted on, where it has none. Links are followed inside
/// the image.
pub(super) fn mount_points(start: &Start) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, &start.rootfs, flags, Mode::empty())?;
    for mount in &start.mounts {
        let (to, is_folder) = match mount {
            Mount::Memory { to, .. } => (to, true),
            Mount::Bind { from, to, .. } => (to, from.is_dir()),
        };
        if exists(&start.rootfs, to)? {
            continue;
        }
        let parent = make_folder(&root, &to.parent().unwrap_or_else(ImagePath::root))?;
        let bits = Mode::from_raw_mode(if is_folder { 0o755 } else { 0o644 });
        let made = if is_folder {
            rustix::fs::mkdirat(parent, to.name(), bits)
        } else {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(parent, to.name(), flags, bits).map(drop)
        };
        match made {
            // Another program of the same image was faster.
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Opens a folder inside a root, links followed there; makes what is missing of it.
pub(super) fn make_folder(root: &OwnedFd, path: &ImagePath) -> io::Result<OwnedFd> {
    let name = if path.is_root() { b".".as_slice() } else { path.relative() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let open = || rustix::fs::openat2(root, name, flags, Mode::empty(), inside);
    match (open(), path.parent()) {
        (Err(rustix::io::Errno::NOENT), Some(parent)) => {
            match rustix::fs::mkdirat(make_folder(root, &parent)?, path.name(), Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(open()?),
                Err(error) => Err(error.into()),
            }
        }
        (opened, _) => Ok(opened?),
    }
}
