//! Files that appear whole under their names, and stay there over a power cut.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::OCCUPIED;
use crate::layer::Durability;
use crate::report::{Diagnostic, Error, Result};

/// What stands at a path, links followed; `None` when nothing does.
pub(super) fn look(path: &Path) -> Result<Option<Metadata>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io("look at", path, &error)),
    }
}

/// An error where a document would take the place of a recipe, a policy or a lock file: no document has such a name.
pub(super) fn spare_inputs(path: &Path) -> Result<()> {
    let is_input = path.extension().is_some_and(|ending| ending == "toml" || ending == "lock");
    match look(path)?.filter(|found| is_input && found.len() > 0) {
        None => Ok(()),
        Some(_) => Err(Diagnostic::error(OCCUPIED, format!("`{}` is what recipes are written in", path.display()))
            .help("choose another name for the document, or remove what stands there")
            .into()),
    }
}

/// Writes a file that appears whole under its name, in place of one that may be there.
///
/// # Errors
/// When it can't be written, or a recipe or lock file stands there; what was there stays then.
pub fn publish(path: &Path, bytes: &[u8]) -> Result<()> {
    spare_inputs(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".mkimage.").tempfile_in(folder)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error).map(drop)
    };
    write().map_err(|error| Error::io("write", path, &error))
}

/// Writes a new file and flushes it.
pub(super) fn write_new(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    let mut file = File::create_new(path).map_err(|error| Error::io("create", path, &error))?;
    file.write_all(bytes).map_err(|error| Error::io("write", path, &error))?;
    flush(&file, path, durability)
}

/// Flushes a file or folder to the disk.
pub(super) fn flush(file: &File, path: &Path, durability: Durability) -> Result<()> {
    match durability {
        Durability::Synced => file.sync_all().map_err(|error| Error::io("flush", path, &error)),
        Durability::Cached => Ok(()),
    }
}

/// Flushes the names in a folder to the disk.
pub(super) fn flush_names(folder: &Path, durability: Durability) -> Result<()> {
    let open = File::open(folder).map_err(|error| Error::io("open", folder, &error))?;
    flush(&open, folder, durability)
}

/// How [`rename_new`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renamed {
    /// It has its new name.
    Done,
    /// Something has that name already; nothing was changed.
    Exists,
}

/// Renames what must not replace anything.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<Renamed> {
    let renamed = match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network and FUSE file systems have no such rename: look, then do it.
        Err(Errno::INVAL | Errno::NOSYS) => match to.symlink_metadata() {
            Ok(_) => Err(Errno::EXIST),
            Err(_) => rustix::fs::rename(from, to),
        },
        result => result,
    };
    match renamed {
        Ok(()) => Ok(Renamed::Done),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(Renamed::Exists),
        Err(error) => Err(Error::io("create", to, &error.into())),
    }
}

/// Moves a file over another or none, at once even between file systems.
pub(super) fn replace(from: &Path, to: &Path, durability: Durability) -> Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_over(from, to, durability),
        result => result.map_err(|error| Error::io("write", to, &error)),
    }
}

/// Copies a file over another or none, which sees it at once.
pub(super) fn copy_over(from: &Path, to: &Path, durability: Durability) -> Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut copy = tempfile::Builder::new().prefix(".mkimage.").tempfile_in(folder)?;
        copy.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        io::copy(&mut File::open(from)?, copy.as_file_mut())?;
        if durability == Durability::Synced {
            copy.as_file().sync_all()?;
        }
        copy.persist(to).map_err(|error| error.error)
    };
    write().map(drop).map_err(|error| Error::io("write", to, &error))
}
