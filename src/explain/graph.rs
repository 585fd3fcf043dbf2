//! Who brings what: every reason of every entry as an edge from what asks to what it gets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::closure::{Closure, Resolution};
use crate::path::ImagePath;
use crate::report::Span;
use crate::source::resolve;
use crate::tree::{Cause, Entry, EntryKind, Reason, Tree};

/// What asks for something. In the order in which a tree shows them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// An entry of the recipe.
    Entry {
        /// Its place.
        span: Span,
        /// The key it stands under, as `binaries`.
        key: &'static str,
    },
    /// A rule, by itself or because the recipe asks for the extra.
    Rule {
        /// The extra's name.
        name: Arc<str>,
        /// What set it off; empty when the recipe asks.
        trigger: String,
        /// Where the recipe asks.
        span: Option<Span>,
    },
    /// mkimage itself.
    Generated,
    /// Nothing that is known.
    Nobody,
    /// A file of the image.
    File(ImagePath),
}

/// One thing that an asker gets: a file, with the links by which it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bond {
    /// The file; or a link or folder, when that is what was asked for.
    pub path: ImagePath,
    /// What it is to the asker, as `interpreter`; empty when it need not be said.
    pub note: String,
    /// Links that come along because they lead to it.
    pub links: Vec<ImagePath>,
}

/// Which edges a graph has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The reasons: of all that need a library, within one program, the one that asks first.
    Reasons,
    /// Also every other object that names the library.
    Everything,
}

/// Who brings what.
#[derive(Debug)]
pub struct Graph<'a> {
    pub(super) tree: &'a Tree,
    pub(super) below: BTreeMap<Asker, Vec<Bond>>,
}

/// Paths that one asker gets for one reason.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    asker: Asker,
    /// Which of its needs: the name of a library, `interpreter`.
    need: Vec<u8>,
    note: String,
}

impl<'a> Graph<'a> {
    /// The graph of an image.
    pub fn of(tree: &'a Tree, closure: &Closure, reach: Reach) -> Self {
        let mut groups: BTreeMap<Group, BTreeSet<ImagePath>> = BTreeMap::new();
        for (path, entry) in tree.iter() {
            for reason in entry.reasons.iter().filter(|reason| !reason.outranked && counts(entry, reason)) {
                groups.entry(group(reason)).or_default().insert(path.clone());
            }
        }
        let mut below: BTreeMap<Asker, Vec<Bond>> = BTreeMap::new();
        for (group, paths) in groups {
            below.entry(group.asker).or_default().extend(bonds(tree, paths, &group.note));
        }
        if reach == Reach::Everything {
            for Need { by: asker, to: path, .. } in closure.resolutions.iter().flat_map(needs) {
                let known = below.entry(Asker::File(asker)).or_default();
                if tree.get(&path).is_some() && known.iter().all(|bond| bond.path != path) {
                    known.push(Bond { path, note: String::new(), links: Vec::new() });
                }
            }
        }
        for bonds in below.values_mut() {
            bonds.sort_by(|a, b| (&a.path, &a.note).cmp(&(&b.path, &b.note)));
            bonds.dedup_by(|later, first| {
                let same = later.path == first.path;
                if same {
                    first.links.append(&mut later.links);
                    first.links.sort();
                    first.links.dedup();
                }
                same
            });
        }
        Self { tree, below }
    }

    /// What each asker gets.
    pub fn bonds(&self) -> impl Iterator<Item = (&Asker, &[Bond])> {
        self.below.iter().map(|(asker, bonds)| (asker, bonds.as_slice()))
    }

    /// Who asks for a path.
    pub(super) fn askers(&self, path: &ImagePath) -> Vec<Asker> {
        let asks = |bonds: &[Bond]| bonds.iter().any(|bond| bond.path == *path || bond.links.contains(path));
        self.below.iter().filter(|(_, bonds)| asks(bonds)).map(|(asker, _)| asker.clone()).collect()
    }

    /// Who asks for each path, in the order of askers.
    pub(super) fn above(&self) -> BTreeMap<ImagePath, Vec<(Asker, String)>> {
        let mut above: BTreeMap<ImagePath, Vec<(Asker, String)>> = BTreeMap::new();
        for (asker, bonds) in &self.below {
            for bond in bonds {
                for path in std::iter::once(&bond.path).chain(&bond.links) {
                    above.entry(path.clone()).or_default().push((asker.clone(), bond.note.clone()));
                }
            }
        }
        above
    }
}

/// Whether a reason is one for something to show: files and links, and folders that the recipe itself makes.
fn counts(entry: &Entry, reason: &Reason) -> bool {
    match reason.cause {
        Cause::Parent => false,
        Cause::Key(key) => !entry.is_directory() || key != "files",
        // What a rule has loaded is the rule's, not that of the program which would load it.
        Cause::Needed { ref via, .. } if via.starts_with("dlopen, ") => {
            !entry.reasons.iter().any(|reason| matches!(reason.cause, Cause::Rule { .. }))
        }
        _ => !entry.is_directory(),
    }
}

fn group(reason: &Reason) -> Group {
    let plain = || (Vec::new(), String::new());
    let entry = |key| reason.span.map_or(Asker::Nobody, |span| Asker::Entry { span, key });
    let (asker, (need, note)) = match &reason.cause {
        Cause::Key(key) => (entry(key), plain()),
        Cause::Folder(_) => (entry("files"), plain()),
        Cause::Package(_) => (entry("packages"), plain()),
        Cause::Rule { name, trigger } => {
            let (name, trigger, span) = (Arc::clone(name), trigger.clone(), reason.span);
            (Asker::Rule { name, trigger, span }, plain())
        }
        Cause::Generated(what) => (Asker::Generated, (what.as_bytes().to_vec(), (*what).to_owned())),
        Cause::Needed { by, name, via } => {
            // By search in the usual places is how libraries come: only what differs from that is worth a word.
            let unusual = ["dlopen", "preloaded", "audit", "filter", "auxiliary", "the variant"];
            let note = if unusual.iter().any(|word| via.starts_with(word)) { via.clone() } else { String::new() };
            (Asker::File(by.clone()), (name.clone(), note))
        }
        Cause::Interpreter { of } => (Asker::File(of.clone()), (b"interpreter".to_vec(), "interpreter".to_owned())),
        Cause::Link { from } => (Asker::File(from.clone()), (b"link".to_vec(), "where the link leads".to_owned())),
        Cause::Parent => (Asker::Nobody, plain()),
    };
    Group { asker, need, note }
}

/// Files with the links that lead to them. A link that leads to none of them stands for itself, unless it is a folder's
/// on the way to one.
fn bonds(tree: &Tree, paths: BTreeSet<ImagePath>, note: &str) -> Vec<Bond> {
    let is_link = |path: &ImagePath| matches!(tree.get(path).map(|entry| &entry.kind), Some(EntryKind::Symlink(_)));
    let (links, files): (Vec<ImagePath>, Vec<ImagePath>) = paths.into_iter().partition(is_link);
    let mut bonds: Vec<Bond> =
        files.into_iter().map(|path| Bond { path, note: note.to_owned(), links: Vec::new() }).collect();
    for link in links {
        let real = resolve(tree, link.as_bytes()).ok();
        let to_file = real.as_ref().and_then(|found| bonds.binary_search_by(|bond| bond.path.cmp(&found.real)).ok());
        let on_the_way = real.is_some_and(|found| found.node.is_directory());
        match (to_file, bonds.first_mut()) {
            (Some(index), _) => bonds[index].links.push(link),
            (None, Some(first)) if on_the_way => first.links.push(link),
            _ => {
                let at = bonds.partition_point(|bond| bond.path < link);
                bonds.insert(at, Bond { path: link, note: note.to_owned(), links: Vec::new() });
            }
        }
    }
    bonds
}

/// One name among the needs of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The object.
    pub by: ImagePath,
    /// The name.
    pub name: Vec<u8>,
    /// The object that is loaded for it.
    pub to: ImagePath,
}

/// Every name that the objects of a resolution need, and what is loaded for it.
pub fn needs(resolution: &Resolution) -> Vec<Need> {
    let mut by_name: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (index, object) in resolution.objects.iter().enumerate() {
        for name in &object.names {
            by_name.entry(name).or_insert(index);
        }
    }
    for alias in &resolution.aliases {
        by_name.entry(&alias.name).or_insert(alias.object);
    }
    let mut needs = Vec::new();
    for object in &resolution.objects {
        let found = |name: &[u8]| resolution.objects.get(*by_name.get(name)?);
        needs.extend(object.elf.needed().filter_map(|name| {
            let to = found(name)?.real.clone();
            Some(Need { by: object.real.clone(), name: name.to_vec(), to })
        }));
    }
    needs
}
