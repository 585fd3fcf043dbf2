//! What an image holds, as documents describe it: its files with their hashes, the packages that own them, what the
//! others say of themselves, and who loads whom.
//!
//! In: a finished tree and what is known of its files. Out: an [`Outline`], which takes no hash, and so can be made
//! while the image is packed; with the hashes of all files, which packing gives, the [`Contents`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::hash;
use super::modules::{self, Module};
use crate::closure::{Closure, Headers};
use crate::deb::licence::{self, Licence};
use crate::needs::Distribution;
use crate::oci::Hashes;
use crate::path::{ImagePath, show};
use crate::report::{Error, Result};
use crate::select::is_text;
use crate::source::ownership::Package;
use crate::source::{Content, resolve};
use crate::tree::{EntryKind, Tree};

/// The most that a copyright file may be long.
const LIMIT: u64 = 1 << 24;

/// Where the facts come from.
pub struct Sources<'a> {
    /// The finished tree, or what was unpacked of an image.
    pub tree: &'a Tree,
    /// The packages whose files ship, by name and architecture, each with the paths of its files and links.
    pub packages: Vec<(&'a Package, Vec<ImagePath>)>,
    /// Which objects load which.
    pub needs: BTreeMap<ImagePath, BTreeSet<ImagePath>>,
    /// What is known of ELF files.
    pub headers: &'a Headers,
}

/// What an image holds. All numbers are places in `files`, `packages` and `modules`.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The distribution that it comes from.
    pub(super) distribution: Option<Distribution>,
    pub(super) packages: Vec<Owner>,
    pub(super) modules: Vec<Module>,
    /// By path.
    pub(super) files: Vec<File>,
    /// Those of each file.
    pub(super) hashes: Vec<Hashes>,
}

/// What an image holds, but for the hashes of its files.
#[derive(Debug, Clone)]
pub struct Outline {
    /// Without hashes.
    contents: Contents,
    bytes: Vec<Content>,
}

/// A package with files in the image.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) package: Package,
    pub(super) licence: Option<Licence>,
    pub(super) files: Vec<usize>,
    /// Other packages whose objects its objects load.
    pub(super) needs: BTreeSet<usize>,
}

/// A regular file of the image.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) path: ImagePath,
    /// The path as documents have it: bytes that are no text are escaped.
    pub(super) shown: String,
    pub(super) package: Option<usize>,
    /// Whether it was copied, not made by the build.
    pub(super) is_input: bool,
    pub(super) needs: BTreeSet<usize>,
}

impl Outline {
    /// Finds out what is in an image.
    ///
    /// # Errors
    /// When a file can't be read, or is no longer what it was.
    pub fn of(sources: &Sources<'_>) -> Result<Self> {
        let tree = sources.tree;
        let content = |kind: &EntryKind| match kind {
            EntryKind::File(content) => Some(content.clone()),
            EntryKind::HardLink(target) => tree.get(target)?.content().cloned(),
            EntryKind::Directory | EntryKind::Symlink(_) => None,
        };
        let (paths, bytes): (Vec<&ImagePath>, Vec<Content>) =
            tree.iter().filter_map(|(path, entry)| Some((path, content(&entry.kind)?))).unzip();
        let places: HashMap<&ImagePath, usize> = paths.iter().enumerate().map(|(place, path)| (*path, place)).collect();
        let mut contents = Contents { distribution: distribution(tree)?, ..Contents::default() };
        for (path, content) in paths.iter().zip(&bytes) {
            let needs = sources.needs.get(*path).into_iter().flatten();
            contents.files.push(File {
                path: (*path).clone(),
                shown: show(path.as_bytes()),
                package: None,
                is_input: matches!(content, Content::File(_)),
                needs: needs.filter_map(|path| places.get(path).copied()).collect(),
            });
        }
        for (package, paths) in &sources.packages {
            let files: Vec<usize> = paths.iter().filter_map(|path| places.get(path).copied()).collect();
            for &file in &files {
                contents.files[file].package = Some(contents.packages.len());
            }
            let licence = licence_of(tree, package)?;
            contents.packages.push(Owner { package: (*package).clone(), licence, files, needs: BTreeSet::new() });
        }
        contents.link_packages();
        let unowned = paths.iter().zip(&bytes).enumerate();
        let unowned = unowned.filter(|(place, _)| contents.files[*place].package.is_none());
        let unowned: Vec<modules::File> = unowned
            .map(|(place, (path, content))| {
                let is_text = tree.get(path).is_some_and(|entry| is_text(path, entry.mode));
                modules::File { place, path, content, is_text }
            })
            .collect();
        contents.modules = modules::find(&unowned, sources.headers)?;
        Ok(Self { contents, bytes })
    }

    /// The whole. Reads and hashes the files whose hashes are not `known` yet; these stand in any order.
    ///
    /// # Errors
    /// When a file can't be read, or is no longer what it was.
    pub fn hashed(self, known: Vec<(&ImagePath, Hashes)>) -> Result<Contents> {
        let Self { mut contents, bytes } = self;
        let files: Vec<(&ImagePath, &Content)> = contents.files.iter().map(|file| &file.path).zip(&bytes).collect();
        contents.hashes = hash::hash(&files, known)?;
        Ok(contents)
    }
}

impl Contents {
    /// A package needs another when one of its objects loads one of the other's.
    fn link_packages(&mut self) {
        for place in 0..self.packages.len() {
            let needs = self.packages[place].files.iter().flat_map(|file| &self.files[*file].needs);
            let of = needs.filter_map(|file| self.files[*file].package).filter(|other| *other != place);
            self.packages[place].needs = of.collect();
        }
    }

    /// How many files of the image no package and no record of their own explains.
    pub fn unexplained(&self) -> usize {
        let explained: BTreeSet<usize> = self.modules.iter().flat_map(|module| &module.files).copied().collect();
        let is_unexplained = |(place, file): &(usize, &File)| file.package.is_none() && !explained.contains(place);
        self.files.iter().enumerate().filter(is_unexplained).count()
    }

    /// The names and versions of the packages, in order.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().map(|owner| &owner.package)
    }

    /// The names and versions of what files of no package say of themselves.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter()
    }

    /// The SHA-256 digest of each regular file.
    pub fn digests(&self) -> impl Iterator<Item = (&ImagePath, crate::oci::Digest)> {
        self.files.iter().zip(&self.hashes).map(|(file, hashes)| (&file.path, hashes.sha256))
    }
}

fn distribution(tree: &Tree) -> Result<Option<Distribution>> {
    Distribution::of(tree).map_err(|error| Error::io("read", Path::new("/etc/os-release"), &error))
}

/// The licence of a package: by its own field, or by its copyright file in the image.
fn licence_of(tree: &Tree, package: &Package) -> Result<Option<Licence>> {
    if let Some(field) = package.licence() {
        return Ok(licence::of_field(&field));
    }
    let path = format!("/usr/share/doc/{}/copyright", package.name);
    let Ok(found) = resolve(tree, path.as_bytes()) else { return Ok(None) };
    let Some(content) = found.node.content() else { return Ok(None) };
    let text = content.read(LIMIT).map_err(|error| Error::io("read", Path::new(&path), &error))?;
    Ok(licence::of_copyright(&text))
}

/// Which objects load which, as a closure found it: by `DT_NEEDED`, and programs their interpreter.
pub fn needs(closure: &Closure) -> BTreeMap<ImagePath, BTreeSet<ImagePath>> {
    let mut needs: BTreeMap<ImagePath, BTreeSet<ImagePath>> = BTreeMap::new();
    for resolution in &closure.resolutions {
        let by_name = |name: &[u8]| {
            let loaded = resolution.objects.iter().find(|object| object.names.iter().any(|known| **known == *name));
            loaded.or_else(|| {
                let alias = resolution.aliases.iter().find(|alias| *alias.name == *name)?;
                resolution.objects.get(alias.object)
            })
        };
        for object in &resolution.objects {
            let needed = object.elf.needed().filter_map(|name| by_name(name));
            let all: BTreeSet<ImagePath> =
                needed.map(|other| other.real.clone()).filter(|real| *real != object.real).collect();
            if !all.is_empty() {
                needs.entry(object.real.clone()).or_default().extend(all);
            }
        }
        if let (Some(real), Some(loader)) = (&resolution.real, &resolution.loader)
            && resolution.interp.is_some()
        {
            needs.entry(real.clone()).or_default().insert(loader.real.clone());
        }
    }
    needs
}
