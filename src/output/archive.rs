//! Archives: one tar file that holds an image.
//!
//! The combined form is an OCI layout with Docker's `manifest.json` beside its `index.json`, so that `docker load`,
//! Podman, containerd and skopeo all find what they look for. Docker's own form has `manifest.json` alone.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use serde_json::json;

use super::durable::{flush, flush_names, look, replace};
use super::index::{Index, marker};
use super::{OCCUPIED, Written};
use crate::image::{Image, Images};
use crate::layer::{Layer, Staging};
use crate::oci::{self, Digest, Reference, Store};
use crate::report::{Diagnostic, Error, Result};

/// Which programs an archive is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Any: an OCI layout with Docker's list.
    Combined,
    /// Those that read what `docker save` writes.
    Docker,
}

/// What stands where an archive belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing, or a file.
    File,
    /// A FIFO or device, which is written into.
    Stream,
}

/// Looks at the place of an archive; refuses what must not be replaced: a file that holds something else than images.
pub(super) fn replaced(path: &Path) -> Result<Place> {
    let place = inspect(path)?;
    let holds_something = look(path)?.is_some_and(|found| found.is_file() && found.len() > 0);
    if holds_something && Store::open(path).is_err() {
        return Err(Diagnostic::error(
            OCCUPIED,
            format!("`{}` is a file that is no archive of an image", path.display()),
        )
        .help("choose another place, or remove it")
        .into());
    }
    Ok(place)
}

/// Looks at the place of a file; refuses what is neither a file nor written into.
pub(super) fn inspect(path: &Path) -> Result<Place> {
    match look(path)? {
        Some(found) if found.is_dir() => {
            Err(Diagnostic::error(OCCUPIED, format!("`{}` is a folder, and an archive is a file", path.display()))
                .help(format!("name a file in it, or write a layout: `oci:{}`", path.display()))
                .into())
        }
        Some(found) if found.file_type().is_fifo() || found.file_type().is_char_device() => Ok(Place::Stream),
        Some(found) if !found.is_file() => {
            Err(Diagnostic::error(OCCUPIED, format!("`{}` is a socket or a block device", path.display()))
                .help("choose another place")
                .into())
        }
        Some(_) | None => Ok(Place::File),
    }
}

/// Writes an archive to its place.
pub(super) fn write(
    path: &Path,
    form: Form,
    staging: &Staging,
    images: &Images,
    names: &[Reference],
) -> Result<Written> {
    if replaced(path)? == Place::Stream {
        let mut out = File::options().write(true).open(path).map_err(|error| Error::io("open", path, &error))?;
        stream(&mut out, form, images, names, path)?;
        return Ok(Written::default());
    }
    // A link keeps standing, and what it leads to is replaced.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let staged = staging.path().join("archive");
    let mut out = File::create_new(&staged).map_err(|error| Error::io("create", &staged, &error))?;
    stream(&mut out, form, images, names, path)?;
    flush(&out, path, staging.durability())?;
    drop(out);
    replace(&staged, path, staging.durability())?;
    flush_names(&super::layout::parent(path), staging.durability())?;
    Ok(Written::default())
}

/// Writes an archive into a stream, which errors call `place`.
pub(super) fn stream(
    out: &mut dyn Write,
    form: Form,
    images: &Images,
    names: &[Reference],
    place: &Path,
) -> Result<()> {
    stream_without(out, form, images, names, place, &BTreeSet::new())
}

/// The same without some layers, for a reader that has them. They are listed all the same.
pub(super) fn stream_without(
    out: &mut dyn Write,
    form: Form,
    images: &Images,
    names: &[Reference],
    place: &Path,
    left_out: &BTreeSet<Digest>,
) -> Result<()> {
    let mut members = Members { out, place };
    let file_of = |layer: &Layer| match form {
        Form::Combined => blob(layer.digest),
        Form::Docker => format!("{}.tar", layer.digest.hex()),
    };
    let config_of = |image: &Image| match form {
        Form::Combined => blob(image.config.digest),
        Form::Docker => format!("{}.json", image.config.digest.hex()),
    };
    // Docker's list has no word for platforms: what reads it alone finds the image that was named first.
    let first = images.first();
    let layers: Vec<String> = first.layers.iter().map(file_of).collect();
    members.file("manifest.json", &docker_list(&config_of(first), &layers, names))?;
    if form == Form::Combined {
        members.folder("blobs/")?;
        members.folder("blobs/sha256/")?;
    }
    let mut written = left_out.clone();
    for layer in images.layers().filter(|layer| written.insert(layer.digest)) {
        members.blob(&file_of(layer), layer)?;
    }
    match form {
        Form::Docker => members.file(&config_of(first), &first.config.bytes)?,
        Form::Combined => {
            for document in images.documents().filter(|document| written.insert(document.digest)) {
                members.file(&blob(document.digest), &document.bytes)?;
            }
            members.file("index.json", &index(images, names).bytes())?;
            members.file("oci-layout", &marker())?;
        }
    }
    members.end()
}

/// Where a blob is in a layout.
fn blob(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Docker's `manifest.json`.
fn docker_list(config: &str, layers: &[String], names: &[Reference]) -> Vec<u8> {
    let tags: Vec<String> = names.iter().map(ToString::to_string).collect();
    oci::canonical(&json!([{ "Config": config, "Layers": layers, "RepoTags": tags }]))
}

/// The index of an archive: one entry, since programs that are given no name take the only one.
fn index(images: &Images, names: &[Reference]) -> Index {
    match names.first() {
        Some(name) => Index::default().with_name(&images.descriptor(), name.tag(), &name.full()),
        None => Index::default().with(&images.descriptor(), "latest"),
    }
}

/// Writes tar members: plain ustar, constant times, no owners.
struct Members<'a> {
    out: &'a mut dyn Write,
    place: &'a Path,
}

impl Members<'_> {
    fn folder(&mut self, name: &str) -> Result<()> {
        self.head(name, tar::EntryType::Directory, 0o755, 0)
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.head(name, tar::EntryType::Regular, 0o644, bytes.len() as u64)?;
        self.put(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn blob(&mut self, name: &str, layer: &Layer) -> Result<()> {
        self.head(name, tar::EntryType::Regular, 0o644, layer.size)?;
        let file = File::open(&layer.blob).map_err(|error| Error::io("open", &layer.blob, &error))?;
        let mut rest = layer.size;
        let mut file = file.take(rest);
        let mut buffer = vec![0; 1 << 18];
        while rest > 0 {
            match file.read(&mut buffer) {
                Ok(0) => return Err(Error::internal(format!("`{}` is shorter than it was", layer.blob.display()))),
                Ok(count) => {
                    self.put(&buffer[..count])?;
                    rest -= count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &layer.blob, &error)),
            }
        }
        self.pad(layer.size)
    }

    fn end(&mut self) -> Result<()> {
        self.put(&[0; 1024])?;
        self.out.flush().map_err(|error| Error::io("write", self.place, &error))
    }

    fn head(&mut self, name: &str, kind: tar::EntryType, mode: u32, size: u64) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path(name).map_err(Error::internal)?;
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size);
        header.set_mtime(crate::MTIME.unsigned_abs());
        header.set_cksum();
        self.put(header.as_bytes())
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let padding = size.next_multiple_of(512) - size;
        self.put(&[0; 512][..usize::try_from(padding).unwrap_or(0)])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| Error::io("write", self.place, &error))
    }
}
