//! How the programs and libraries of an image that was written are hardened, and what the loader would load for each.

use std::collections::{BTreeMap, BTreeSet};

use super::ImageInfo;
use super::contents::Contents;
use super::inspect::{Depth, image_info};
use super::verify::bad_store;
use crate::closure::{self, Closure, Hardened, Headers, Options, Protected, Wanted};
use crate::elf::Shape;
use crate::oci::{Store, StoredImage};
use crate::path::{ImagePath, show};
use crate::report::{Error, Result};
use crate::tree::{Entry, Tree};

/// How an image is hardened.
#[derive(Debug)]
pub struct ImageHardening {
    /// Every ELF file that one of its programs loads, and the programs.
    pub files: Vec<Hardened>,
    /// What its processes are protected by.
    pub processes: Vec<Protected>,
}

/// Looks at the programs of each image in a store, in the order of [`super::inspect()`].
///
/// # Errors
/// When it can't be read as images, or is too large to be looked at.
pub fn hardening(store: &Store) -> Result<Vec<ImageHardening>> {
    let images = store.images().map_err(|error| bad_store(store, error))?;
    images.iter().map(|image| of_image(store, image)).collect()
}

fn of_image(store: &Store, image: &StoredImage) -> Result<ImageHardening> {
    let tree = Contents::read(store, image)?.tree;
    let headers = Headers::default();
    let (wanted, closure) = load(&tree, &headers);
    let files = hardened(&tree, &headers).map_err(|error| Error::io("read", store.name().as_ref(), &error))?;
    Ok(ImageHardening { files, processes: closure.protected(&wanted) })
}

/// Everything that can be seen of an image that was written.
#[derive(Debug)]
pub struct Examined {
    /// Its documents.
    pub info: ImageInfo,
    /// What it holds.
    pub contents: Contents,
    /// Its ELF files.
    pub objects: Vec<Hardened>,
    /// What of them loads what: programs, libraries and scripts.
    pub closure: Closure,
    /// Libraries that objects name for loading, by object.
    pub dlopen: BTreeMap<ImagePath, BTreeSet<String>>,
}

/// Looks at each image of a store, to the last byte.
///
/// # Errors
/// When it can't be read as images, or is too large to be looked at.
pub fn examine(store: &Store) -> Result<Vec<Examined>> {
    let images = store.images().map_err(|error| bad_store(store, error))?;
    images.iter().map(|image| examine_image(store, image)).collect()
}

fn examine_image(store: &Store, image: &StoredImage) -> Result<Examined> {
    let contents = Contents::read(store, image)?;
    let headers = Headers::default();
    let (_, closure) = load(&contents.tree, &headers);
    let read = |error| Error::io("read", store.name().as_ref(), &error);
    let objects = hardened(&contents.tree, &headers).map_err(read)?;
    let mut dlopen = BTreeMap::new();
    for object in &objects {
        let Some(content) = contents.tree.get(&object.path).and_then(Entry::content) else { continue };
        let names = headers.dlopen_hints(content).map_err(read)?.names;
        if !names.is_empty() {
            dlopen.insert(object.path.clone(), names.iter().map(|name| show(name)).collect());
        }
    }
    let info = image_info(store, image, Depth::Documents)?;
    Ok(Examined { info, contents, objects, closure, dlopen })
}

/// What the loader loads for each program and library of an image.
pub(super) fn load(tree: &Tree, headers: &Headers) -> (Vec<Wanted>, Closure) {
    let is_program = |entry: &Entry| entry.content().is_some() && entry.mode & 0o111 != 0;
    let object = |entry: &Entry| entry.content().and_then(|content| headers.object(content).ok().flatten());
    let is_script = |entry: &Entry| {
        entry.content().is_some_and(|content| {
            let mut head = [0; 2];
            content.open().and_then(|reader| reader.read_at(&mut head, 0)).is_ok_and(|_| head == *b"#!")
        })
    };
    let is_program = |entry: &Entry| is_program(entry) && (object(entry).is_some() || is_script(entry));
    let programs = tree.iter().filter(|(_, entry)| is_program(entry));
    let wanted: Vec<Wanted> = programs
        .map(|(path, entry)| {
            let library = object(entry).is_some_and(|object| object.shape() == Shape::Library);
            if library { Wanted::library(path.as_bytes()) } else { Wanted::program(path.as_bytes()) }
        })
        .collect();
    let closure = closure::close_sharing(tree, &wanted, &Options::default(), headers);
    (wanted, closure)
}

/// How each ELF file of a tree is hardened.
pub(super) fn hardened(tree: &Tree, headers: &Headers) -> std::io::Result<Vec<Hardened>> {
    let mut files = Vec::new();
    for (file, entry) in tree.iter() {
        let Some(content) = entry.content() else { continue };
        if let (Some(object), Some(hardening)) = (headers.object(content)?, headers.hardening(content)?) {
            files.push(Hardened { path: file.clone(), object, hardening, privileges: entry.privileges() });
        }
    }
    Ok(files)
}
