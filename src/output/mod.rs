//! Outputs: where images go, each complete under its name or not there at all.
//!
//! In: an [`Image`] whose blobs are staged. Out: an OCI layout, an archive, a folder of files, a registry, or an
//! engine's store. What was there before is never damaged, and a folder that is no OCI layout is never replaced.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::image::{Image, Images};
use crate::layer::{Durability, Staging};
use crate::oci::{Digest, Reference, Store, StoredImage};
use crate::recipe::Platform;
use crate::registry::{Pushed, Remote, Repository};
use crate::report::{Code, Diagnostic, Error, Result};
use crate::tree::Tree;

mod archive;
mod artifact;
mod attached;
mod attachments;
mod contents;
mod destination;
mod durable;
mod hardening;
mod index;
mod inspect;
mod join;
mod layer_check;
mod layout;
mod load;
mod registry;
mod rootfs;
mod signing;
mod stored;
mod verify;

use archive::Form;
pub use artifact::{RECIPE, fetch_recipe, push_recipe};
pub use attached::{attached, check_attached, referrers_in};
pub use attachments::{Attaching, Guard, attach, attachments_of, has_attached, prune};
pub use contents::{Contents, Fact, Unpacked};
pub use destination::{Destination, real_place};
use durable::look;
pub use durable::publish;
pub use hardening::{Examined, ImageHardening, examine, hardening};
pub use inspect::{Depth, EntryInfo, ImageInfo, LayerInfo, inspect};
pub use join::{Joined, NOT_JOINED, join, join_into_registry};
pub use load::{Engine, StorageTool};
pub use registry::{Attached, Push, push, push_referrers, push_store};
pub use signing::{Attachments, Signable, signable};
pub use stored::{images_for, stage, stage_index};
pub use verify::{Report, open, verify, verify_for};

/// An output is not to be had in the way the command line asks.
pub const BAD_DESTINATION: Code = Code("E0270");
/// Something stands where the output belongs that must not be replaced.
pub const OCCUPIED: Code = Code("E0271");
/// The folder that should hold the output is not there.
pub const NO_PARENT: Code = Code("E0272");
/// Docker or Podman did not take the image.
pub const NOT_LOADED: Code = Code("E0273");
/// A layout or archive can't be read as an image.
pub const UNREADABLE: Code = Code("E0274");
/// A layout or archive is not what its digests say.
pub const CORRUPT: Code = Code("E0275");

/// What a written output has to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Notes for the user: lower case, without full stop.
    pub notes: Vec<String>,
    /// What was pushed, and where to.
    pub pushed: Option<(Repository, Pushed)>,
}

/// Looks at a destination before any work: whether something stands there that must not be replaced, and whether its
/// folder is there. Of a folder of files, which takes longer, [`prepare`] finds out whether it may be replaced.
///
/// # Errors
/// When the output can't go there.
pub fn check(to: &Destination) -> Result<()> {
    match site(to)? {
        Site::Beside(path) => parent_of(path).map(drop),
        Site::Temporary | Site::In(_) => Ok(()),
    }
}

/// Gets a destination ready: refuses what must not be replaced, removes what killed runs left, and makes the staging
/// folder on the same file system. For standard output and engines, `temporary` holds it.
///
/// # Errors
/// When the output can't go there.
pub fn prepare(to: &Destination, temporary: &Path, durability: Durability) -> Result<Staging> {
    if let Destination::Rootfs(path) = to {
        rootfs::inspect(path)?;
    }
    match site(to)? {
        Site::Temporary => Staging::new(temporary, "mkimage".as_ref(), Durability::Cached),
        Site::In(path) => Staging::new(path, "mkimage".as_ref(), durability),
        Site::Beside(path) => {
            let staging = beside(path, durability)?;
            let copies = matches!(to, Destination::Archive { .. } | Destination::DockerArchive(_));
            Ok(if copies { staging.for_copying() } else { staging })
        }
    }
}

/// Where an output is staged.
enum Site<'a> {
    /// Anywhere: it is sent away.
    Temporary,
    /// In the folder that holds it.
    Beside(&'a Path),
    /// In it, not beside it: it may be a mount point, and what holds it may be read-only.
    In(&'a Path),
}

fn site(to: &Destination) -> Result<Site<'_>> {
    Ok(match to {
        Destination::Stdout | Destination::Registry(_) => Site::Temporary,
        Destination::Layout { path, .. } => match layout::inspect(path)? {
            layout::Place::Free => Site::Beside(path),
            layout::Place::Layout => Site::In(path),
        },
        Destination::Archive { path, .. } | Destination::DockerArchive(path) => match archive::replaced(path)? {
            archive::Place::File => Site::Beside(path),
            archive::Place::Stream => Site::Temporary,
        },
        Destination::Rootfs(path) => Site::Beside(path),
    })
}

/// The outputs of several images that are built beside one another: those of one layout have one staging folder.
#[derive(Debug, Default)]
pub struct Places(Mutex<HashMap<PathBuf, Staging>>);

impl Places {
    /// As [`prepare`].
    ///
    /// # Errors
    /// As [`prepare`].
    pub fn prepare(&self, to: &Destination, temporary: &Path, durability: Durability) -> Result<Staging> {
        let Destination::Layout { path, .. } = to else { return prepare(to, temporary, durability) };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(staging) = known.get(path) {
            return Ok(staging.clone());
        }
        let staging = prepare(to, temporary, durability)?.for_sharing();
        known.insert(path.clone(), staging.clone());
        Ok(staging)
    }
}

/// Opens a layout or archive, with the images that it lists.
///
/// # Errors
/// When it can't be read as images.
pub fn images(path: &Path) -> Result<(Store, Vec<StoredImage>)> {
    let store = verify::open(path)?;
    let images = store.images().map_err(|error| verify::bad_store(&store, error))?;
    Ok((store, images))
}

/// Writes a document to a file, which appears whole or not at all. A device or FIFO is written into.
///
/// # Errors
/// When it can't be written, or a recipe or lock file stands there.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    durable::spare_inputs(path)?;
    let write = |error: &std::io::Error| Error::io("write", path, error);
    if archive::inspect(path)? == archive::Place::Stream {
        return std::fs::File::options()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(|error| write(&error));
    }
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let staging = beside(path, Durability::Synced)?;
    let staged = staging.path().join("document");
    durable::write_new(&staged, bytes, Durability::Synced)?;
    durable::replace(&staged, path, Durability::Synced)?;
    durable::flush_names(&layout::parent(path), Durability::Synced)
}

/// A staging folder in the folder that a path is in.
fn beside(path: &Path, durability: Durability) -> Result<Staging> {
    Staging::new(&parent_of(path)?, path.file_name().unwrap_or("output".as_ref()), durability)
}

/// The folder that a path is in, which has to be there.
fn parent_of(path: &Path) -> Result<PathBuf> {
    let parent = layout::parent(path);
    match look(&parent)? {
        Some(found) if found.is_dir() => Ok(parent),
        Some(_) => Err(no_parent(&parent, "is no folder")),
        None => Err(no_parent(&parent, "is not there")),
    }
}

fn no_parent(parent: &Path, why: &str) -> Error {
    Diagnostic::error(NO_PARENT, format!("folder `{}` for the output {why}", parent.display()))
        .help(format!("`mkdir -p {}` makes it", parent.display()))
        .into()
}

/// Writes an image, or those for several platforms, to a layout or archive. The first name is the one that a layout
/// has.
///
/// # Errors
/// When it can't be written; nothing new is left behind then.
#[expect(clippy::needless_pass_by_value, reason = "the staging folder goes away with its owner")]
pub fn write(to: &Destination, staging: Staging, images: &Images, names: &[Reference]) -> Result<Written> {
    let tag = |tag: &Option<String>| tag.clone().or_else(|| names.first().map(|name| name.tag().to_owned()));
    match to {
        Destination::Layout { path, tag: own } => {
            layout::write(path, &staging, images, &tag(own).unwrap_or_else(|| "latest".to_owned()))
        }
        Destination::Archive { path, tag: own } => {
            archive::write(path, Form::Combined, &staging, images, &tagged(names, own.as_deref()))
        }
        Destination::DockerArchive(path) => {
            let (image, note) = for_this_machine(images, &format!("`{}` holds", path.display()));
            let written = archive::write(path, Form::Docker, &staging, &image.clone().into(), names)?;
            Ok(Written { notes: written.notes.into_iter().chain(note).collect(), ..Written::default() })
        }
        Destination::Rootfs(_) | Destination::Stdout | Destination::Registry(_) => {
            Err(Error::internal(format!("`{to}` is no place for an image")))
        }
    }
}

/// An image for a layout, under a tag. Its blobs are staged.
pub struct Addition {
    staging: Staging,
    images: Images,
    tag: String,
}

/// What an image adds to a layout that other images go into, too, and which layout that is; `None` for other places.
pub fn addition(
    to: &Destination,
    staging: &Staging,
    images: &Images,
    names: &[Reference],
) -> Option<(PathBuf, Addition)> {
    let Destination::Layout { path, tag } = to else { return None };
    let tag = tag.clone().or_else(|| names.first().map(|name| name.tag().to_owned()));
    let tag = tag.unwrap_or_else(|| "latest".to_owned());
    let addition = || Addition { staging: staging.clone(), images: images.clone(), tag };
    staging.is_shared().then(|| (path.clone(), addition()))
}

/// Writes several images into one layout, in their order, as [`write()`] would one after the other.
///
/// # Errors
/// When one of them can't be written. Then none is listed, but perhaps the first.
pub fn write_together(path: &Path, additions: &[Addition]) -> Result<Vec<Written>> {
    layout::write_together(path, additions)
}

/// Tells whether an existing file may stay in place as the blob of this digest.
pub type IsSound<'a> = dyn Fn(&Digest, &Path) -> bool + 'a;

/// What a place has to say that holds an image already, so that it need not be written: a layout with the same entry
/// and blobs of the same sizes that `is_sound` has nothing against.
pub fn holds(to: &Destination, images: &Images, names: &[Reference], is_sound: &IsSound<'_>) -> Option<Written> {
    let Destination::Layout { path, tag } = to else { return None };
    let tag = tag.as_deref().or_else(|| names.first().map(Reference::tag)).unwrap_or("latest");
    layout::holds(path, images, tag, is_sound)
}

/// The names with the one first that has the tag that the destination says.
fn tagged(names: &[Reference], tag: Option<&str>) -> Vec<Reference> {
    let own = names.first().zip(tag).and_then(|(first, tag)| Reference::new(first.name(), tag).ok());
    let others = names.iter().filter(|name| own.as_ref() != Some(*name)).cloned();
    own.iter().cloned().chain(others).collect()
}

/// Of images for several platforms the one that runs here, and what is to be said of the others.
fn for_this_machine<'a>(images: &'a Images, does: &str) -> (&'a Image, Option<String>) {
    let image = images.for_architecture(&Platform::host().architecture);
    let all: Vec<String> = images.iter().map(|image| image.platform.to_string()).collect();
    let note = || format!("{does} the image for {} alone, of {}", image.platform, all.join(", "));
    (image, (images.count() > 1).then(note))
}

/// Pushes images to a registry: under the tag of the name, or else under those of the images.
///
/// # Errors
/// When the registry does not take them.
pub fn write_registry(to: &Remote, how: Push<'_>, images: &Images, names: &[Reference]) -> Result<Written> {
    let pushed = push(how, images, &to.repository, &registry::tags_of(to, names))?;
    Ok(registry::written(&to.repository, &pushed))
}

/// Writes the archive that every engine reads to a stream.
///
/// # Errors
/// When a blob can't be read or the stream can't be written.
pub fn stream(out: &mut dyn Write, images: &Images, names: &[Reference]) -> Result<()> {
    archive::stream(out, Form::Combined, images, names, Path::new("standard output"))
}

/// Writes a tree as a folder of files: with its owners when the process is root's.
///
/// # Errors
/// When it can't be written; nothing new is left behind then.
#[expect(clippy::needless_pass_by_value, reason = "the staging folder goes away with its owner")]
pub fn write_rootfs(to: &Path, tree: &Tree, staging: Staging) -> Result<Written> {
    rootfs::write(to, tree, &staging)
}

/// Loads an image into an engine, in the form of `docker save`: of several, the one for this machine. Docker is sent
/// what it lacks. The blobs are in the staging folder, which a program may be given as a layout.
///
/// # Errors
/// When the engine does not take it, with what it says.
pub fn load(engine: &Engine, images: &Images, names: &[Reference], staging: &Staging) -> Result<Written> {
    let (image, note) = for_this_machine(images, &format!("`{}` was given", engine.program().display()));
    let written = load::load(engine, image, names, staging)?;
    Ok(Written { notes: written.notes.into_iter().chain(note).collect(), ..Written::default() })
}
