//! Images that were built before, looked at as documents describe them: from the image alone, and the records in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::NOT_ONE_IMAGE;
use crate::attest::{self, Contents, Outline, Sources, Subject, View};
use crate::closure::{self, Headers, Wanted};
use crate::oci::{Store, StoredImage, has_tag};
use crate::path::ImagePath;
use crate::recipe::Platform;
use crate::report::{Diagnostic, Error, Result};
use crate::run;
use crate::source::ownership::{Check, Owners, PackageId, State};
use crate::source::{Folder, NodeKind, Source};
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

/// An image of a layout, an archive or a registry, and what it holds.
pub struct Stored {
    /// The image.
    pub subject: Subject,
    /// What it holds.
    pub contents: Contents,
}

/// Finds an image in a layout or archive: the one that is listed under `tag`, or the only one.
///
/// # Errors
/// When there is none, or more than one.
pub fn choose<'a>(path: &Path, images: &'a [StoredImage], tag: Option<&str>) -> Result<&'a StoredImage> {
    let is_called = |image: &&StoredImage| tag.is_none_or(|tag| image.names.iter().any(|name| has_tag(name, tag)));
    let found: Vec<&StoredImage> = images.iter().filter(is_called).collect();
    if let [only] = found[..] {
        return Ok(only);
    }
    let names: Vec<String> = images.iter().flat_map(|image| &image.names).map(|name| format!("`{name}`")).collect();
    let what = match tag {
        Some(tag) if found.is_empty() => format!("`{}` has no image `{}`", path.display(), tag.escape_debug()),
        _ => format!("`{}` holds {} images", path.display(), found.len()),
    };
    let mut error = Diagnostic::error(NOT_ONE_IMAGE, what);
    if !names.is_empty() {
        error = error.note(format!("it has {}", names.join(", ")));
    }
    Err(error.help(format!("name one by its tag: `oci:{}:TAG`", path.display())).into())
}

/// Looks into an image of a store. Its layers are unpacked into `folder`, which is empty.
///
/// # Errors
/// When it can't be read, or is no image of this kind.
pub fn stored(store: &Store, image: &StoredImage, folder: &Path) -> Result<Stored> {
    let subject = subject(store.name().as_ref(), image)?;
    Ok(Stored { subject, contents: contents(store, image, folder)? })
}

/// The image as documents name it.
///
/// # Errors
/// When it has no manifest, as in what `docker save` writes.
pub fn subject(path: &Path, image: &StoredImage) -> Result<Subject> {
    let Some(manifest) = &image.manifest else {
        let what = format!("`{}` has no manifest that a document could be about", path.display());
        return Err(Diagnostic::error(NOT_ONE_IMAGE, what)
            .help("documents are about images of OCI layouts and archives; `docker save` leaves the manifest out")
            .into());
    };
    let label = |key: &str| image.config["config"]["Labels"][key].as_str().map(str::to_owned);
    let text = |key: &str| image.config[key].as_str().map(str::to_owned);
    let listed = image.names.first().cloned();
    // The name in a layout is a tag alone; the title is the last part of the image's name.
    let (name, tag) = match listed.as_deref().and_then(|name| name.rsplit_once(':')) {
        Some((name, tag)) => (Some(name.to_owned()), Some(tag.to_owned())),
        None => (None, listed),
    };
    let version = label(oci_spec::image::ANNOTATION_VERSION).or(tag);
    Ok(Subject {
        name: name.or_else(|| label(oci_spec::image::ANNOTATION_TITLE)).unwrap_or_else(|| "image".to_owned()),
        version: version.unwrap_or_else(|| "latest".to_owned()),
        digest: manifest.digest,
        size: manifest.size,
        media_type: manifest.media_type.clone(),
        platform: Platform {
            os: text("os").unwrap_or_else(|| "linux".to_owned()),
            architecture: text("architecture").unwrap_or_else(|| "unknown".to_owned()),
            variant: text("variant"),
        },
        created: text("created").filter(|text| is_time(text)).unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned()),
        vendor: label(oci_spec::image::ANNOTATION_VENDOR),
        view: View::Image,
    })
}

/// Whether a text is `YYYY-MM-DDThh:mm:ssZ`, the one form that all readers of SBOMs take.
fn is_time(text: &str) -> bool {
    let pattern = b"0000-00-00T00:00:00Z";
    let fits = |(byte, pattern): (u8, &u8)| if *pattern == b'0' { byte.is_ascii_digit() } else { byte == *pattern };
    text.len() == pattern.len() && text.bytes().zip(pattern).all(fits)
}

fn contents(store: &Store, image: &StoredImage, folder: &Path) -> Result<Contents> {
    run::unpack_layers(store, image, folder)?;
    let root = Folder::open(folder).map_err(|error| Error::io("open", folder, &error))?;
    let tree = tree_of(&root, folder)?;
    let paths: Vec<ImagePath> =
        tree.iter().filter(|(_, entry)| !entry.is_directory()).map(|(path, _)| path.clone()).collect();
    // Times are those of the image: only bytes tell.
    let owners = Owners::find(&root, &paths, Check::Every)?;
    let mut files: BTreeMap<PackageId, Vec<ImagePath>> = BTreeMap::new();
    for path in paths {
        if let Some(owned) = owners.of(&path).filter(|owned| owned.state != State::Changed)
            && let Some(first) = owned.packages.first()
        {
            files.entry(*first).or_default().push(path);
        }
    }
    let headers = Arc::new(Headers::default());
    let wanted = wanted(&tree, &headers);
    let closure = closure::close_sharing(&root, &wanted, &closure::Options::default(), &headers);
    let packages = owners.packages().map(|(id, package)| (package, files.remove(&id).unwrap_or_default()));
    let outline = Outline::of(&Sources {
        tree: &tree,
        packages: packages.collect(),
        needs: attest::needs(&closure),
        headers: &headers,
    })?;
    outline.hashed(Vec::new())
}

/// Every ELF file, as what it is loaded.
fn wanted(tree: &Tree, headers: &Headers) -> Vec<Wanted> {
    let object = |(path, entry): (&ImagePath, &Entry)| {
        let object = headers.object(entry.content()?).ok().flatten()?;
        let path = path.as_bytes().to_vec();
        Some(if object.interp.is_some() { Wanted::program(path) } else { Wanted::plugin(path, None) })
    };
    let mut wanted: Vec<Wanted> = tree.iter().filter_map(object).collect();
    // The first program tells the machine.
    wanted.sort_by_key(|one| one.role != closure::Role::Program);
    wanted
}

/// A folder as a tree of its own. It holds what unpacking gives: files, links and folders.
fn tree_of(root: &Folder, folder: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut folders = vec![ImagePath::root()];
    let io = |error: &std::io::Error| Error::io("read", folder, error);
    while let Some(at) = folders.pop() {
        for (name, node) in root.list(&at).map_err(|error| io(&error))? {
            let path = at.join(&name);
            let kind = match node.kind {
                NodeKind::File(content) => EntryKind::File(content),
                NodeKind::Symlink(text) => EntryKind::Symlink(text),
                NodeKind::Directory => {
                    folders.push(path.clone());
                    EntryKind::Directory
                }
                NodeKind::Special(_) => continue,
            };
            let reason = Reason::new(Cause::Generated("file of the image"), None);
            let entry = Entry { uid: node.uid, gid: node.gid, ..Entry::new(kind, node.mode, Rank::Generated, reason) };
            tree.place(path, entry).map_err(|error| io(&error))?;
        }
    }
    Ok(tree)
}
