//! The layers of an image that was written, unpacked into a folder. Nothing is written outside of it, whatever names
//! and links they hold: each folder is opened inside the new root, by the kernel's own rule.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::data::make_folder;
use super::{Image, NOT_UNPACKED, Parameters};
use crate::oci::{BadStore, BadTar, Entries, Entry, Kind, Store, StoredImage};
use crate::path::{ImagePath, show};
use crate::recipe::Platform;
use crate::report::{Diagnostic, Error, Result, plain};

/// More is no image that a person would start here.
const MOST_BYTES: u64 = 64 << 30;

/// Unpacks an image of a store into an empty folder: the one for the platform that is asked for; without asking that
/// for this machine, or the only one.
///
/// # Errors
/// When it can't be read, or a layer can't be unpacked.
pub fn unpack(store: &Store, platform: Option<&Platform>, rootfs: &Path) -> Result<Image> {
    let bad = |error: BadStore| bad_store(store, error);
    let images = store.images().map_err(bad)?;
    let image = choose(store, &images, platform)?.ok_or_else(|| {
        let wanted = platform.cloned().unwrap_or_else(Platform::host);
        let what = format!("`{}` has no image for {wanted}", store.name());
        let there: Vec<String> = images.iter().map(StoredImage::platform).collect();
        Error::from(Diagnostic::error(NOT_UNPACKED, what).note(format!("it has {}", there.join(", "))))
    })?;
    unpack_layers(store, image, rootfs)?;
    let name = image.names.first().cloned().unwrap_or_else(|| store.name().to_owned());
    let parameters = Parameters::of(&image.config);
    Ok(Image { name, rootfs: rootfs.to_owned(), parameters, writable: Vec::new() })
}

/// Unpacks the layers of one image of a store into an empty folder.
///
/// # Errors
/// When a layer can't be read or unpacked.
pub fn unpack_layers(store: &Store, image: &StoredImage, rootfs: &Path) -> Result<()> {
    let bad = |error: BadStore| bad_store(store, error);
    let mut unpacker = Unpacker::new(rootfs).map_err(|error| Error::io("open", rootfs, &error))?;
    for layer in &image.layers {
        let stream = store.file(&layer.file).map_err(bad)?;
        unpacker.layer(layer.encoding.decoder(stream).map_err(|error| bad(error.into()))?).map_err(|why| {
            Error::from(Diagnostic::error(NOT_UNPACKED, format!("layer `{}` of `{}` {why}", layer.file, store.name())))
        })?;
    }
    Ok(())
}

fn bad_store(store: &Store, error: BadStore) -> Error {
    match error {
        BadStore::Remote(error) => error,
        error => Diagnostic::error(NOT_UNPACKED, format!("`{}` {error}", store.name())).into(),
    }
}

fn choose<'a>(
    store: &Store,
    images: &'a [StoredImage],
    platform: Option<&Platform>,
) -> Result<Option<&'a StoredImage>> {
    let chosen = if let Some(wanted) = platform {
        images.iter().find(|image| image.platform().parse().as_ref() == Ok(wanted))
    } else {
        let here = Platform::host().architecture;
        let fitting = images.iter().filter(|image| image.config["architecture"].as_str() == Some(&here));
        // What runs on every processor of this machine's kind, before what wants a newer one.
        fitting.min_by_key(|image| image.platform()).or(images.first().filter(|_| images.len() == 1))
    };
    // The same under another name is no other image.
    let is_other = |image: &StoredImage, chosen: &StoredImage| {
        image.platform() == chosen.platform() && image.config_file != chosen.config_file
    };
    if chosen.is_some_and(|chosen| images.iter().any(|image| is_other(image, chosen))) {
        let names: Vec<String> = images.iter().flat_map(|image| &image.names).map(|name| format!("`{name}`")).collect();
        let what = format!("`{}` holds several images", store.name());
        let error = Diagnostic::error(NOT_UNPACKED, what).note(format!("it has {}", names.join(", ")));
        return Err(error.help(format!("name one by its tag: `oci:{}:TAG`", store.name())).into());
    }
    Ok(chosen)
}

struct Unpacker {
    root: OwnedFd,
    bytes: u64,
}

impl Unpacker {
    fn new(rootfs: &Path) -> io::Result<Self> {
        Ok(Self { root: rustix::fs::openat(CWD, rootfs, folder_flags(), Mode::empty())?, bytes: 0 })
    }

    /// The error completes "layer ...".
    fn layer(&mut self, stream: impl Read) -> Result<(), String> {
        let mut entries = Entries::new(stream);
        loop {
            let entry = match entries.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(()),
                Err(BadTar::Io(error)) => return Err(format!("can't be read: {}", plain(&error))),
                Err(error) => return Err(error.to_string()),
            };
            self.bytes = self.bytes.saturating_add(entry.size);
            if self.bytes > MOST_BYTES {
                return Err("unpacks to more than 64 GiB".to_owned());
            }
            let name = [b"/", entry.path.as_slice()].concat();
            let path = ImagePath::new(&name).map_err(|why| format!("has `{}`, which {why}", show(&entry.path)))?;
            self.entry(&path, &entry, entries.data())
                .map_err(|error| format!("has `{path}`, which can't be written: {}", plain(&error)))?;
        }
    }

    fn entry(&self, path: &ImagePath, entry: &Entry, mut data: impl Read) -> io::Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        let folder = make_folder(&self.root, &parent)?;
        let name = path.name();
        if name == b".wh..wh..opq" {
            return empty(&folder);
        }
        if let Some(gone) = name.strip_prefix(b".wh.") {
            return remove(&folder, gone);
        }
        let there = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW);
        let is_folder = there.is_ok_and(|found| rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir());
        if there.is_ok() && !(is_folder && entry.kind == Kind::Directory) {
            remove(&folder, name)?;
        }
        match &entry.kind {
            Kind::Directory if is_folder => {}
            Kind::Directory => rustix::fs::mkdirat(&folder, name, Mode::RWXU)?,
            Kind::Symlink(target) => return Ok(rustix::fs::symlinkat(target.as_slice(), &folder, name)?),
            Kind::HardLink(target) => {
                let target = ImagePath::new([b"/", target.as_slice()].concat())
                    .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                let from = make_folder(&self.root, &target.parent().unwrap_or_else(ImagePath::root))?;
                return Ok(rustix::fs::linkat(from, target.name(), folder, name, AtFlags::empty())?);
            }
            Kind::File => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut file = File::from(rustix::fs::openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)?);
                if io::copy(&mut data, &mut file)? != entry.size {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            // Devices are the runtime's business.
            Kind::Special => return Ok(()),
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&folder, name, flags, Mode::empty())?;
        let id = |number: u64| u32::try_from(number).ok().filter(|number| *number != u32::MAX);
        if let (Some(uid), Some(gid)) = (id(entry.uid), id(entry.gid)) {
            match rustix::fs::fchown(&made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
                // Where there is only one user, all is that one's.
                Err(Errno::INVAL | Errno::PERM) => {}
                other => other?,
            }
        }
        Ok(rustix::fs::fchmod(&made, Mode::from_raw_mode(entry.mode & 0o7777))?)
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// Removes what has a name in a folder, if anything.
fn remove(folder: &OwnedFd, name: &[u8]) -> io::Result<()> {
    if name.is_empty() || name == b"." || name == b".." {
        return Err(io::ErrorKind::InvalidData.into());
    }
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // `remove_dir_all` follows no link below the folder that is open.
        Err(Errno::ISDIR | Errno::PERM) => std::fs::remove_dir_all(
            Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())).join(OsStr::from_bytes(name)),
        ),
        Err(error) => Err(error.into()),
    }
}

/// Removes all that is in a folder.
fn empty(folder: &OwnedFd) -> io::Result<()> {
    for entry in std::fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()))? {
        remove(folder, entry?.file_name().as_bytes())?;
    }
    Ok(())
}
