//! The packages of an image: in goes the finished tree and the root it came from, out comes which of its files are the
//! root's, whose they are, and the records by which scanners know the packages. Reads, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use crate::path::{ImagePath, PathMap};
use crate::recipe::{File, FileSource, Origin, Recipe};
use crate::report::{Result, Span};
use crate::source::ownership::{Check, Database, Owners, Ownership, Package, PackageId, State};
use crate::source::{Content, Node, NodeKind, Source};
use crate::tree::{Cause, Entry, EntryKind, Tree};

mod records;

pub use records::records;

/// Whose the files of an image are.
#[derive(Debug)]
pub struct Inventory {
    /// By image path, each file and link that came from the root.
    origins: PathMap<FromRoot>,
    owners: Owners,
    shipped: BTreeMap<PackageId, Vec<ImagePath>>,
    beside: Beside,
}

/// A file or link that came from the root.
#[derive(Debug)]
struct FromRoot {
    /// Where it stands there.
    place: ImagePath,
    /// Whose it is.
    ownership: Option<Arc<Ownership>>,
}

/// Where a path of an image stands with regard to packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// A folder, or a file or link that did not come from the root: from beside the recipe, or made.
    NotOfRoot,
    /// From the root, and no package owns it.
    Unowned,
    /// From the root, where a package owns the path; but it is not what that package installed.
    Changed(&'a Package),
    /// A package's, or a configuration file of it.
    Owned(&'a Package, State),
}

impl Inventory {
    /// Looks up whose each file and link of the tree is that the recipe's root, `source`, gave, also those that stand
    /// elsewhere in the image than in the root.
    ///
    /// # Errors
    /// When the package database, or a file that has to be compared, can't be read.
    pub fn take(recipe: &Recipe, database: &Database, source: &dyn Source, tree: &Tree, check: Check) -> Result<Self> {
        let beside = Beside::of(recipe);
        let entries: Vec<(&ImagePath, &Entry)> = tree.iter().collect();
        let of_root = |&(path, entry): &(&ImagePath, &Entry)| {
            let place = Some(entry).filter(|entry| !beside.brought(tree, entry));
            Some((path.clone(), origin(source, tree, path, place?)?))
        };
        let places: Vec<(ImagePath, ImagePath)> = entries.par_iter().filter_map(of_root).collect();
        let mut paths: Vec<ImagePath> = places.iter().map(|(_, place)| place.clone()).collect();
        paths.sort_unstable();
        paths.dedup();
        let owners = Owners::find_in(database, source, &paths, check)?;
        let with_owner = |(path, place)| {
            let ownership = owners.shared(&place);
            (path, FromRoot { place, ownership })
        };
        let origins: Vec<(ImagePath, FromRoot)> = places.into_iter().map(with_owner).collect();
        let shipped = shipped(&origins);
        Ok(Self { origins: origins.into_iter().collect(), owners, shipped, beside })
    }

    /// How a path of the image stands.
    pub fn standing(&self, path: &ImagePath) -> Standing<'_> {
        let Some(origin) = self.origins.get(path) else { return Standing::NotOfRoot };
        let Some(ownership) = &origin.ownership else { return Standing::Unowned };
        let package = self.owners.package(self.of(ownership));
        match ownership.state {
            State::Changed => Standing::Changed(package),
            state => Standing::Owned(package, state),
        }
    }

    /// The package that a path of the image belongs to.
    pub fn package(&self, path: &ImagePath) -> Option<&Package> {
        match self.standing(path) {
            Standing::Owned(package, _) => Some(package),
            Standing::NotOfRoot | Standing::Unowned | Standing::Changed(_) => None,
        }
    }

    /// The packages whose files ship, by name and architecture, each with the image paths of its files and links.
    pub fn packages(&self) -> impl Iterator<Item = (&Package, &[ImagePath])> {
        self.shipped.iter().map(|(id, paths)| (self.owners.package(*id), paths.as_slice()))
    }

    /// Where a path of the image stands in the root.
    pub fn origin(&self, path: &ImagePath) -> Option<&ImagePath> {
        self.origins.get(path).map(|origin| &origin.place)
    }

    /// Whether an entry of the recipe that copies from beside it brought this one.
    pub fn is_beside(&self, entry: &Entry) -> bool {
        self.beside.named(entry)
    }

    /// Whether the root has a package database at all.
    pub fn has_database(&self) -> bool {
        self.owners.has_database()
    }

    fn ownership(&self, path: &ImagePath) -> Option<&Ownership> {
        self.origins.get(path)?.ownership.as_deref()
    }

    /// The package that a path counts for: of several, one that ships anyhow.
    fn of(&self, ownership: &Ownership) -> PackageId {
        choose(ownership, |id| self.shipped.contains_key(&id))
    }
}

/// The entries of a recipe that copy from beside it. Where the root is this machine, such files are in the root as
/// well; but the recipe did not take them from there.
#[derive(Debug)]
struct Beside(BTreeSet<Span>);

impl Beside {
    fn of(recipe: &Recipe) -> Self {
        let is_beside = |origin: &Origin| matches!(origin, Origin::Beside { .. });
        let binaries = recipe.binaries.iter().filter(|binary| is_beside(&binary.from.value)).map(|binary| binary.span);
        let copied = |file: &&File| matches!(&file.source, FileSource::Copied(from) if is_beside(&from.value));
        let files = recipe.files.iter().filter(copied).map(|file| file.span);
        Self(binaries.chain(files).collect())
    }

    /// Whether an entry was brought by one of these, or by a link that was.
    fn brought(&self, tree: &Tree, entry: &Entry) -> bool {
        let before = |entry: &&Entry| match &entry.reasons.first()?.cause {
            Cause::Link { from } => tree.get(from),
            _ => None,
        };
        // As many links as a kernel follows: a circle of them ends, too.
        std::iter::successors(Some(entry), before).take(41).any(|entry| self.named(entry))
    }

    /// Whether one of these names it, or a folder that it lies in.
    fn named(&self, entry: &Entry) -> bool {
        let named = |cause: &Cause| matches!(cause, Cause::Key(_) | Cause::Folder(_));
        let reason = entry.reasons.first().filter(|reason| named(&reason.cause));
        reason.and_then(|reason| reason.span).is_some_and(|span| self.0.contains(&span))
    }
}

/// Where an entry of the image stands in the root; `None` when it does not come from there.
fn origin(source: &dyn Source, tree: &Tree, path: &ImagePath, entry: &Entry) -> Option<ImagePath> {
    let at = |place: &ImagePath| source.node(place).ok().flatten();
    let holds = |place: &ImagePath, content: &Content| at(place).is_some_and(|node| is(&node, content));
    match &entry.kind {
        EntryKind::Directory => None,
        EntryKind::Symlink(text) => {
            let same = matches!(at(path)?.kind, NodeKind::Symlink(there) if there == *text);
            same.then(|| path.clone())
        }
        EntryKind::File(content) => content.place().filter(|place| holds(place, content)).cloned(),
        EntryKind::HardLink(target) => {
            let content = tree.get(target)?.content()?;
            // Each name of an inode may be a package's; a name that the root does not have counts as the first.
            let place = if holds(path, content) { Some(path) } else { content.place() };
            place.filter(|place| holds(place, content)).cloned()
        }
    }
}

/// Whether a node is the very file: the recipe's folder has paths of its own, which mean nothing in the root.
fn is(node: &Node, content: &Content) -> bool {
    node.content().is_some_and(|there| there.id() == content.id())
}

/// The packages whose files ship. A file that several architectures of a package share brings none of them along
/// that does not ship anyhow, unless none does.
fn shipped(origins: &[(ImagePath, FromRoot)]) -> BTreeMap<PackageId, Vec<ImagePath>> {
    let mut shipped: BTreeMap<PackageId, Vec<ImagePath>> = BTreeMap::new();
    let owned = |(path, origin): &'_ (ImagePath, FromRoot)| {
        let ownership = origin.ownership.as_ref()?;
        (ownership.state != State::Changed).then(|| (path.clone(), Arc::clone(ownership)))
    };
    let (shared, own): (Vec<_>, Vec<_>) =
        origins.iter().filter_map(owned).partition(|(_, ownership)| ownership.packages.len() > 1);
    for (path, ownership) in own.into_iter().chain(shared) {
        let package = choose(&ownership, |id| shipped.contains_key(&id));
        shipped.entry(package).or_default().push(path);
    }
    for paths in shipped.values_mut() {
        paths.sort();
    }
    shipped
}

fn choose(ownership: &Ownership, ships: impl Fn(PackageId) -> bool) -> PackageId {
    let ships = ownership.packages.iter().find(|id| ships(**id));
    *ships.or(ownership.packages.first()).expect("an ownership has a package")
}
