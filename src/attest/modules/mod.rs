//! What files say of themselves that no package owns: in go such files, out come the modules of languages that they are
//! or were built from. Reads records that others wrote: what is damaged or too large says nothing, and stops nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;

use super::names::Purl;
use crate::closure::Headers;
use crate::deb::licence::Licence;
use crate::path::ImagePath;
use crate::report::{Error, Result};
use crate::source::Content;

mod binary;
mod jar;
mod node;
mod python;

/// The most that a record in a file of its own may be long.
const LIMIT: u64 = 4 << 20;

/// A module of a language, or a package that a note names.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// Of what kind it is.
    pub ecosystem: Ecosystem,
    /// Its name, as its kind writes it: `group:artifact` for Maven.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its licence, where it says one.
    pub(super) licence: Option<Licence>,
    /// Who it says that it is from.
    pub(super) supplier: Option<String>,
    /// The file that says so.
    pub(super) file: usize,
    /// Its files.
    pub(super) files: BTreeSet<usize>,
    /// Modules that it was built from or loads.
    pub(super) needs: BTreeSet<usize>,
}

/// Kinds of modules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ecosystem {
    /// Go's modules.
    Go,
    /// Rust's crates.
    Cargo,
    /// Python's distributions.
    Python,
    /// Packages of Node.js.
    Node,
    /// Java's libraries, as Maven names them.
    Maven,
    /// What a `.note.package` says: its `type`, and the distribution's ID.
    Note(String, String),
}

/// A module as a record gives it, before modules have numbers.
#[derive(Debug, Clone, Default)]
struct Found {
    ecosystem: Option<Ecosystem>,
    name: String,
    version: Option<String>,
    licence: Option<Licence>,
    supplier: Option<String>,
    /// Its files beside the one that says so.
    files: Vec<usize>,
    /// Places in the same record.
    needs: Vec<usize>,
    /// Whether the file that says so is one of its own.
    holds: bool,
}

/// A file that no package owns.
pub(super) struct File<'a> {
    /// Its place in the list of all files.
    pub(super) place: usize,
    pub(super) path: &'a ImagePath,
    pub(super) content: &'a Content,
    /// Whether it is not looked at to see if it is an ELF file.
    pub(super) is_text: bool,
}

/// The files that no package owns.
struct Unowned<'a> {
    files: &'a [File<'a>],
    places: BTreeMap<&'a ImagePath, usize>,
}

/// Finds the modules of files that no package owns.
pub(super) fn find(files: &[File<'_>], headers: &Headers) -> Result<Vec<Module>> {
    let places = files.iter().map(|file| (file.path, file.place)).collect();
    let unowned = Unowned { files, places };
    let of_file = |file: &File<'_>| {
        let found = unowned.of_file(file, headers);
        let error = |error| Error::io("read", Path::new(&file.path.to_string()), &error);
        found.map(|found| (file.place, found)).map_err(error)
    };
    let all: Vec<(usize, Vec<Found>)> = files.par_iter().map(of_file).collect::<Result<_>>()?;
    let mut modules = Vec::new();
    for (file, found) in all {
        let first = modules.len();
        for found in found {
            let Some(ecosystem) = found.ecosystem.filter(|_| !found.name.is_empty()) else { continue };
            let own = found.holds.then_some(file);
            modules.push(Module {
                ecosystem,
                name: found.name,
                version: found.version.filter(|version| !version.is_empty()),
                licence: found.licence,
                supplier: found.supplier,
                file,
                files: found.files.into_iter().chain(own).collect(),
                needs: found.needs.into_iter().map(|place| first + place).collect(),
            });
        }
    }
    Ok(modules)
}

impl Unowned<'_> {
    fn of_file(&self, file: &File<'_>, headers: &Headers) -> std::io::Result<Vec<Found>> {
        let File { path, content, is_text, .. } = *file;
        let name = path.name();
        let text = || content.read(LIMIT).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        if name == b"package.json" && content.size() <= LIMIT {
            return Ok(node::of_package(self, path, &text()?).into_iter().collect());
        }
        if python::is_record(path) && content.size() <= LIMIT {
            return Ok(python::of_metadata(self, path, &text()?).into_iter().collect());
        }
        if jar::is_archive(name) {
            return Ok(jar::of_archive(&content.open()?, name));
        }
        if is_text {
            return Ok(Vec::new());
        }
        match headers.object(content)? {
            Some(object) => Ok(binary::of_object(&object, &headers.build_records(content)?)),
            None => Ok(Vec::new()),
        }
    }

    /// The bytes of a file beside a record.
    fn read(&self, path: &ImagePath) -> Option<String> {
        let place = self.places.get(path)?;
        let file = self.files.iter().find(|file| file.place == *place)?;
        file.content.read(LIMIT).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The files below a folder.
    fn below(&self, folder: &ImagePath) -> impl Iterator<Item = (&ImagePath, usize)> {
        let inside = folder.clone();
        let from = self.places.range::<ImagePath, _>(folder..);
        let last = [folder.as_bytes(), b"0"].concat();
        from.take_while(move |(path, _)| path.as_bytes() < last.as_slice())
            .filter(move |(path, _)| path.is_within(&inside))
            .map(|(path, place)| (*path, *place))
    }
}

impl Module {
    /// Its package URL.
    pub(super) fn purl(&self) -> String {
        let version = self.version.as_deref().unwrap_or_default();
        let plain = |kind, namespace, name| Purl { kind, namespace, name, version, ..Purl::default() }.to_string();
        match &self.ecosystem {
            Ecosystem::Go => {
                let lower = self.name.to_ascii_lowercase();
                let (namespace, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
                plain("golang", namespace, name)
            }
            Ecosystem::Cargo => plain("cargo", "", &self.name),
            Ecosystem::Python => plain("pypi", "", &self.name.to_ascii_lowercase().replace('_', "-")),
            Ecosystem::Node => {
                let (namespace, name) = self.name.split_once('/').unwrap_or(("", &self.name));
                plain("npm", namespace, name)
            }
            Ecosystem::Maven => {
                let (group, artifact) = self.name.split_once(':').unwrap_or(("", &self.name));
                plain("maven", group, artifact)
            }
            Ecosystem::Note(kind, namespace) => plain(kind, namespace, &self.name),
        }
    }
}
