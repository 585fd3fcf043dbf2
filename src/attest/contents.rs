//! What an image holds, as documents describe it: its files with their hashes, the packages that own them, what the
//! others say of themselves, and who loads whom.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::hash;
use super::modules::{self, Module};
use crate::closure::{Closure, Headers};
use crate::deb::licence::{self, Licence};
use crate::needs::Distribution;
use crate::oci::Hashes;
use crate::path::ImagePath;
use crate::report::{Error, Result};
use crate::source::ownership::Package;
use crate::source::{Content, ContentId, resolve};
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
    /// The hashes of files that were hashed already.
    pub hashes: &'a BTreeMap<ImagePath, Hashes>,
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
    pub(super) hashes: Hashes,
    pub(super) package: Option<usize>,
    /// Whether it was copied, not made by the build.
    pub(super) is_input: bool,
    pub(super) needs: BTreeSet<usize>,
}

impl Contents {
    /// Finds out what is in an image: reads and hashes the files that were not hashed before.
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
        let regular: Vec<(&ImagePath, Content)> =
            tree.iter().filter_map(|(path, entry)| Some((path, content(&entry.kind)?))).collect();
        let hashes =
            hash::hash(&regular.iter().map(|(path, content)| (*path, content)).collect::<Vec<_>>(), sources.hashes)?;
        let places: BTreeMap<&ImagePath, usize> =
            regular.iter().enumerate().map(|(place, (path, _))| (*path, place)).collect();
        let mut contents = Self { distribution: distribution(tree)?, ..Self::default() };
        for (path, content) in &regular {
            let needs = sources.needs.get(*path).into_iter().flatten();
            contents.files.push(File {
                path: (*path).clone(),
                hashes: of(&hashes, content)?,
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
        let unowned = regular.iter().enumerate().filter(|(place, _)| contents.files[*place].package.is_none());
        let unowned: Vec<(usize, &ImagePath, &Content)> =
            unowned.map(|(place, (path, content))| (place, *path, content)).collect();
        contents.modules = modules::find(&unowned, sources.headers)?;
        Ok(contents)
    }

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
        self.files.iter().map(|file| (&file.path, file.hashes.sha256))
    }
}

fn of(hashes: &HashMap<ContentId, Hashes>, content: &Content) -> Result<Hashes> {
    hashes.get(&content.id()).copied().ok_or_else(|| Error::internal("a file was not hashed"))
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
