//! What objects of an image may load by name, as their strings tell, and what the image has of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use rayon::prelude::*;

use crate::closure::{self, Because, Bytes, Closure, Headers, Loaded, Role, Wanted};
use crate::elf::DlopenHints;
use crate::path::{ImagePath, show};
use crate::policy::{self, Unexplained};
use crate::recipe::IgnoredDlopen;
use crate::report::{Diagnostic, Error, Result};
use crate::source::{Content, Source, resolve};
use crate::tree::{Cause, Tree};

/// An object that imports a function like `dlopen`, and names libraries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The object.
    pub object: ImagePath,
    /// The functions.
    pub functions: Vec<String>,
    /// The libraries, sorted. What the object needs anyhow is not among them.
    pub names: Vec<Named>,
}

/// A library that an object names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name or path, as it is written.
    pub name: String,
    /// Who has it.
    pub standing: Standing,
    /// Why the recipe ignores it.
    pub ignored: Option<String>,
}

/// Who has a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The image, there, for this reason.
    Image(ImagePath, Explained),
    /// The root only, there.
    Root(ImagePath),
    /// Nobody.
    Nowhere,
}

/// Why the image has a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Explained {
    /// Some object needs it.
    Needed,
    /// The recipe asks for it: `dlopen`, `libraries`.
    Recipe,
    /// A rule or an extra brings it.
    Rule,
    /// A `.note.dlopen` asks for it.
    Note,
    /// The image's environment preloads it.
    Preload,
    /// A file of this name is there.
    File,
}

impl Explained {
    /// The reason in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Needed => "needed",
            Self::Recipe => "recipe",
            Self::Rule => "rule",
            Self::Note => "note",
            Self::Preload => "preload",
            Self::File => "file",
        }
    }
}

/// What is looked at.
pub(super) struct Look<'a> {
    pub(super) tree: &'a Tree,
    pub(super) root: &'a dyn Source,
    pub(super) closure: &'a Closure,
    pub(super) wanted: &'a [Wanted],
    pub(super) options: &'a closure::Options,
    pub(super) headers: &'a Headers,
    pub(super) ignored: &'a [IgnoredDlopen],
}

impl Look<'_> {
    /// Every object of the image that names libraries, by path.
    pub(super) fn evidence(&self) -> Result<Vec<Evidence>> {
        let hints = self.hints()?;
        let names: BTreeSet<&Bytes> = hints.iter().flat_map(|(_, hints)| &hints.names).collect();
        let loaded = self.loaded();
        let files = self.files(&names);
        let absent = names.iter().filter(|name| self.in_image(name, &loaded, &files).is_none());
        let in_root = self.in_root(&absent.copied().collect::<Vec<_>>());
        let describe = |object: &ImagePath, name: &Bytes| {
            let beside = || object.parent().and_then(|folder| self.root_file(&folder.join_path(name).ok()?));
            let standing = match self.in_image(name, &loaded, &files) {
                Some((path, why)) => Standing::Image(path, why),
                None => in_root.get(name).cloned().or_else(beside).map_or(Standing::Nowhere, Standing::Root),
            };
            Named { name: show(name), standing, ignored: self.ignored(name).map(|ignored| ignored.reason.clone()) }
        };
        let evidence = |(object, hints): (ImagePath, DlopenHints)| Evidence {
            functions: hints.functions.iter().map(|name| show(name)).collect(),
            names: hints.names.iter().map(|name| describe(&object, name)).collect(),
            object,
        };
        Ok(hints.into_iter().map(evidence).collect())
    }

    /// What each object names; those that name nothing are left out.
    fn hints(&self) -> Result<Vec<(ImagePath, DlopenHints)>> {
        let mut objects: BTreeMap<&ImagePath, &Content> = BTreeMap::new();
        for loaded in self.objects() {
            objects.entry(&loaded.real).or_insert(&loaded.content);
        }
        let objects: Vec<_> = objects.into_iter().filter(|(path, _)| self.tree.get(path).is_some()).collect();
        let hints = |(path, content): &(&ImagePath, &Content)| {
            let hints = self.headers.dlopen_hints(content);
            let hints = hints.map_err(|error| Error::io("read", Path::new(&path.to_string()), &error));
            hints.map(|hints| ((*path).clone(), hints))
        };
        let all: Vec<_> = objects.par_iter().map(hints).collect::<Result<_>>()?;
        Ok(all.into_iter().filter(|(_, hints)| !hints.names.is_empty()).collect())
    }

    fn objects(&self) -> impl Iterator<Item = &Loaded> {
        self.closure.resolutions.iter().flat_map(|resolution| &resolution.objects)
    }

    /// What is loaded in some program, by every name that it has.
    fn loaded(&self) -> HashMap<&[u8], (&ImagePath, Explained)> {
        let mut loaded: HashMap<&[u8], (&ImagePath, Explained)> = HashMap::new();
        for object in self.objects() {
            let why = (&object.real, self.why(object));
            let names = object.names.iter().chain(object.elf.soname()).map(|name| &**name);
            for name in names.chain([base_name(&object.path)]) {
                let known = loaded.entry(name).or_insert(why);
                // What some object needs is there for that, whoever else names it.
                if why.1 < known.1 {
                    *known = why;
                }
            }
        }
        loaded
    }

    fn why(&self, object: &Loaded) -> Explained {
        let by_rule = || {
            let reasons = self.tree.get(&object.real).map(|entry| entry.reasons.as_slice()).unwrap_or_default();
            reasons.iter().any(|reason| matches!(reason.cause, Cause::Rule { .. }))
        };
        match object.because {
            Because::Needed | Because::Filter | Because::Auxiliary | Because::Audit => Explained::Needed,
            Because::Preload | Because::PreloadFile => Explained::Preload,
            Because::DlopenNote => Explained::Note,
            Because::Dlopen | Because::Requested if by_rule() => Explained::Rule,
            Because::Dlopen | Because::Requested => Explained::Recipe,
        }
    }

    /// Files of the image, or links to files, that are called as one of the names.
    fn files(&self, names: &BTreeSet<&Bytes>) -> BTreeMap<Vec<u8>, Vec<ImagePath>> {
        let wanted: BTreeSet<&[u8]> = names.iter().map(|name| base_name(name)).collect();
        let mut files: BTreeMap<Vec<u8>, Vec<ImagePath>> = BTreeMap::new();
        for (path, _) in self.tree.iter().filter(|(path, _)| wanted.contains(path.name())) {
            if resolve(self.tree, path.as_bytes()).is_ok_and(|found| found.node.content().is_some()) {
                files.entry(path.name().to_vec()).or_default().push(path.clone());
            }
        }
        files
    }

    /// Where the image has a library, and why.
    fn in_image(
        &self,
        name: &Bytes,
        loaded: &HashMap<&[u8], (&ImagePath, Explained)>,
        files: &BTreeMap<Vec<u8>, Vec<ImagePath>>,
    ) -> Option<(ImagePath, Explained)> {
        let of_loaded = |name: &[u8]| loaded.get(name).map(|(path, why)| ((*path).clone(), *why));
        if name.starts_with(b"/") {
            if let Some(found) = resolve(self.tree, name).ok().filter(|found| found.node.content().is_some()) {
                let loaded = of_loaded(base_name(name)).filter(|(path, _)| *path == found.real);
                return Some(loaded.unwrap_or((found.real, Explained::File)));
            }
            if self.root_file(&ImagePath::new(&**name).ok()?).is_some() {
                return None;
            }
            // The end of a path whose beginning is found out at run time, as Java's `/libawt_headless.so`.
        }
        if !name.contains(&b'/')
            && let Some(loaded) = of_loaded(name)
        {
            return Some(loaded);
        }
        let ending = [b"/", name.strip_prefix(b"/").unwrap_or(name)].concat();
        let mut of_name = files.get(base_name(name)).into_iter().flatten();
        let file = of_name.find(|path| path.as_bytes().ends_with(&ending))?;
        Some((file.clone(), Explained::File))
    }

    /// Where the root has libraries that the image does not have: by their path, or as its own loader finds them.
    fn in_root(&self, names: &[&Bytes]) -> HashMap<Bytes, ImagePath> {
        let (paths, names): (Vec<&Bytes>, Vec<&Bytes>) = names.iter().copied().partition(|name| name.starts_with(b"/"));
        let by_path =
            paths.into_iter().filter_map(|path| Some((path.clone(), self.root_file(&ImagePath::new(&**path).ok()?)?)));
        let mut found: HashMap<Bytes, ImagePath> = by_path.collect();
        let names: Vec<&Bytes> = names.into_iter().filter(|name| !name.contains(&b'/')).collect();
        if names.is_empty() {
            return found;
        }
        // The first program tells which of the root's loaders is meant.
        let programs = self.wanted.iter().zip(&self.closure.resolutions);
        let program = programs.clone().find(|(wanted, it)| wanted.role == Role::Program && it.loader.is_some());
        let mut wanted: Vec<Wanted> = program.map(|(wanted, _)| wanted.clone()).into_iter().collect();
        let first = wanted.len();
        wanted.extend(names.iter().map(|name| Wanted::library(name.to_vec())));
        let closure = closure::close_sharing(self.root, &wanted, self.options, self.headers);
        for (name, resolution) in names.into_iter().zip(closure.resolutions.into_iter().skip(first)) {
            found.extend(resolution.real.map(|real| (name.clone(), real)));
        }
        found
    }

    fn root_file(&self, path: &ImagePath) -> Option<ImagePath> {
        let found = resolve(self.root, path.as_bytes()).ok()?;
        found.node.content().is_some().then_some(found.real)
    }

    fn ignored(&self, name: &[u8]) -> Option<&IgnoredDlopen> {
        let is_meant = |ignored: &&IgnoredDlopen| {
            let meant = ignored.name.value.as_bytes();
            meant == name || meant == base_name(name)
        };
        self.ignored.iter().find(is_meant)
    }

    /// Names that the recipe ignores for nothing.
    pub(super) fn ignored_for_nothing(&self, evidence: &[Evidence]) -> Vec<Diagnostic> {
        let mut notes = Vec::new();
        for ignored in self.ignored {
            let name = &ignored.name.value;
            let all = evidence.iter().flat_map(|evidence| &evidence.names);
            let is_meant =
                |named: &&Named| named.name == *name || named.name.rsplit('/').next().is_some_and(|file| file == name);
            let meant: Vec<&Named> = all.filter(is_meant).collect();
            let why = if meant.is_empty() {
                "no object of the image names it"
            } else if meant.iter().all(|named| matches!(named.standing, Standing::Image(..))) {
                "the image has it"
            } else {
                continue;
            };
            let note = Diagnostic::note_of(policy::DLOPEN.code, format!("`{name}` is ignored, and {why}"));
            notes.push(note.at(ignored.name.span, "this line can go"));
        }
        notes
    }
}

/// Libraries that nobody explains, each once, with every object that names it.
pub(super) fn unexplained(evidence: &[Evidence]) -> Vec<Unexplained> {
    let mut all: BTreeMap<&str, Unexplained> = BTreeMap::new();
    for object in evidence {
        let functions = object.functions.iter().map(|function| format!("`{function}`")).collect::<Vec<_>>().join(", ");
        for named in object.names.iter().filter(|named| named.ignored.is_none()) {
            let in_root = match &named.standing {
                Standing::Image(..) => continue,
                Standing::Root(path) => Some(path.clone()),
                Standing::Nowhere => None,
            };
            let new = || Unexplained { name: named.name.clone(), by: Vec::new(), in_root: None };
            let library = all.entry(&named.name).or_insert_with(new);
            library.by.push((object.object.clone(), functions.clone()));
            library.in_root = library.in_root.take().or(in_root);
        }
    }
    all.into_values().collect()
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}
