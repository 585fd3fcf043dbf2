//! Which path goes into which layer: what changes together lies together, what changes seldom comes first.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::shared::{Class, Commons, Group};
use crate::path::{ImagePath, PathHash};
use crate::recipe::{LayerRule, Layers};
use crate::report::{Diagnostic, Error, Result};
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

/// The most layers of an image, unless the recipe lists its own.
const MOST: usize = 10;

/// One layer to pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPlan {
    /// What it holds, as `shared libraries`.
    pub name: String,
    /// Its entries, sorted, with every folder above each of them.
    pub paths: Vec<ImagePath>,
}

/// Spreads a tree over at most ten layers, none of them empty. `package_of` names the package that owns a path.
/// Every layer has each folder above its entries. A file and its hard links are in one layer.
///
/// # Errors
/// When a glob of the recipe's own list can't be read.
pub fn plan<'a>(
    tree: &Tree,
    layers: &Layers,
    package_of: &dyn Fn(&ImagePath) -> Option<&'a str>,
) -> Result<Vec<LayerPlan>> {
    plan_among(tree, layers, package_of, None)
}

/// As [`plan()`], with the layers that the image has in common with other members of its workspace. A recipe that says
/// itself how its files are spread has none.
///
/// # Errors
/// As [`plan()`]; also when two files have to be compared and can't be read.
pub fn plan_among<'a>(
    tree: &Tree,
    layers: &Layers,
    package_of: &dyn Fn(&ImagePath) -> Option<&'a str>,
    commons: Option<&Commons>,
) -> Result<Vec<LayerPlan>> {
    let assignment = match layers {
        Layers::Single => Assignment::new(tree, vec!["all files".to_owned()], |_, _| 0),
        Layers::Auto => match commons {
            Some(commons) => auto(tree, package_of).with_common(commons.groups_of(tree)?),
            None => auto(tree, package_of),
        },
        Layers::Package => by_package(tree, package_of),
        Layers::List(rules) => by_rules(tree, rules, package_of)?,
    };
    assignment.finish(tree)
}

/// The folder that stands for one that the tree does not mention.
pub fn parent_entry() -> Entry {
    Entry::new(EntryKind::Directory, 0o755, Rank::Parent, Reason::new(Cause::Parent, None))
}

/// Names of layers, and for each path of the tree the layer that it is in.
struct Assignment {
    names: Vec<String>,
    /// Sorted by path.
    layer_of: Vec<(ImagePath, usize)>,
}

impl Assignment {
    /// Asks `layer` for each entry. A folder that only holds others is where they are, and a hard link is where its
    /// target is.
    fn new(tree: &Tree, names: Vec<String>, layer: impl Fn(&ImagePath, &Entry) -> usize) -> Self {
        let mut layer_of = Vec::with_capacity(tree.len());
        let holders: HashSet<&[u8], PathHash> = tree.iter().filter_map(|(path, _)| path.folder()).collect();
        for (path, entry) in tree.iter().filter(|(path, _)| !path.is_root()) {
            if entry.is_directory() && entry.rank == Rank::Parent && holders.contains(path.as_bytes()) {
                continue;
            }
            let (path_asked, entry_asked) = match &entry.kind {
                EntryKind::HardLink(target) => tree.get(target).map_or((path, entry), |entry| (target, entry)),
                _ => (path, entry),
            };
            layer_of.push((path.clone(), layer(path_asked, entry_asked)));
        }
        Self { names, layer_of }
    }

    /// Moves files into common layers, the largest first, as long as there is room for layers. They stand before the
    /// image's own of the same kind.
    fn with_common(mut self, groups: Vec<Group>) -> Self {
        let own: BTreeSet<usize> = self.layer_of.iter().map(|(_, layer)| *layer).collect();
        let groups: Vec<Group> = groups.into_iter().take(MOST.saturating_sub(own.len())).collect();
        let rest = self.names.len() - 1;
        let before = |group: &Group| match group.class {
            Class::Runtime => 0,
            Class::Libraries => 1,
            Class::Extras => 2,
            Class::Records | Class::Rest => rest,
        };
        let mut names = Vec::new();
        let mut moved: BTreeMap<ImagePath, usize> = BTreeMap::new();
        let mut places = Vec::new();
        for (own, name) in self.names.into_iter().enumerate() {
            for group in groups.iter().filter(|group| before(group) == own) {
                moved.extend(group.paths.iter().map(|path| (path.clone(), names.len())));
                names.push(format!("common {}", group.class.noun()));
            }
            places.push(names.len());
            names.push(name);
        }
        for (path, layer) in &mut self.layer_of {
            *layer = moved.get(path).copied().unwrap_or(places[*layer]);
        }
        Self { names, layer_of: self.layer_of }
    }

    /// The layers that hold something, with the folders above what they hold.
    fn finish(self, tree: &Tree) -> Result<Vec<LayerPlan>> {
        let mut layers: Vec<Vec<ImagePath>> = vec![Vec::new(); self.names.len()];
        let mut known: Vec<HashSet<&[u8], PathHash>> = vec![HashSet::default(); self.names.len()];
        for (path, layer) in &self.layer_of {
            let (paths, folders) = (&mut layers[*layer], &mut known[*layer]);
            for above in path.folders().take_while(|above| above.len() > 1) {
                if !folders.insert(above) {
                    break;
                }
                let above = ImagePath::new(above).map_err(Error::internal)?;
                if tree.get(&above).is_some_and(|entry| !entry.is_directory()) {
                    return Err(Error::internal(format!("`{path}` is below `{above}`, which is no folder")));
                }
                paths.push(above);
            }
            paths.push(path.clone());
        }
        let plan = |(name, mut paths): (String, Vec<ImagePath>)| {
            paths.sort();
            paths.dedup();
            LayerPlan { name, paths }
        };
        Ok(self.names.into_iter().zip(layers).filter(|(_, paths)| !paths.is_empty()).map(plan).collect())
    }
}

/// The layers that `auto` has, in the order of how seldom they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stability {
    /// Loader, libc, accounts: what every image has.
    Runtime,
    /// Shared libraries and interpreters.
    Libraries,
    /// What rules and extras add.
    Extras,
    /// What the recipe names.
    Rest,
}

/// By expected change. What the root's packages own changes with them, other files with the service.
fn auto<'a>(tree: &Tree, package_of: &dyn Fn(&ImagePath) -> Option<&'a str>) -> Assignment {
    // A folder is where the first file in it is.
    let is_packages = |path: &ImagePath, entry: &Entry| {
        let of = if entry.is_directory() {
            tree.below(path).find(|(_, below)| !below.is_directory()).map_or(path, |(file, _)| file)
        } else {
            path
        };
        is_package_record(of) || package_of(of).is_some()
    };

    let wanted: BTreeSet<&str> = tree.iter().filter_map(|(_, entry)| entry.layer.as_deref()).collect();
    let wanted: Vec<&str> = wanted.into_iter().collect();
    // Those beyond the limit share the last.
    let own = ["runtime", "shared libraries", "extras", "packages"].map(str::to_owned);
    let (first, room) = (own.len(), MOST - own.len() - 1);
    let mut names = own.to_vec();
    names.extend(wanted.iter().take(room).map(|&name| name.to_owned()));
    let rest = names.len();
    names.push("application".to_owned());
    Assignment::new(tree, names, |path, entry| match entry.layer.as_deref() {
        Some(name) => first + wanted.binary_search(&name).unwrap_or(0).min(room - 1),
        None => match stability(tree, path, entry, 0) {
            Stability::Runtime => 0,
            Stability::Libraries => 1,
            Stability::Extras => 2,
            Stability::Rest if is_packages(path, entry) => 3,
            Stability::Rest => rest,
        },
    })
}

/// How long a chain of links is followed to the one that brought it.
const LONGEST_CHAIN: usize = 40;

/// By all reasons of an entry, not by their order: that depends on the order of the recipe's lines.
pub(super) fn stability(tree: &Tree, path: &ImagePath, entry: &Entry, depth: usize) -> Stability {
    if is_package_record(path) || entry.rank >= Rank::Folder {
        return Stability::Rest;
    }
    // `/lib`, `/bin` and the like on a merged `/usr` lead to files of every layer.
    if matches!(entry.kind, EntryKind::Symlink(_)) && path.components().count() == 1 {
        return Stability::Runtime;
    }
    let of_reason = |reason: &Reason| match &reason.cause {
        Cause::Needed { .. } | Cause::Interpreter { .. } | Cause::Key("libraries") => library(path),
        Cause::Rule { .. } => Stability::Extras,
        Cause::Generated(_) | Cause::Parent => Stability::Runtime,
        Cause::Link { from } if depth < LONGEST_CHAIN => {
            tree.get(from).map_or(Stability::Rest, |link| stability(tree, from, link, depth + 1))
        }
        Cause::Link { .. } | Cause::Key(_) | Cause::Folder(_) | Cause::Package(_) => Stability::Rest,
    };
    let of_reason = |reason| match of_reason(reason) {
        // A link of the recipe that leads to libc leaves it where it is.
        Stability::Rest if is_of_libc(path) => Stability::Runtime,
        stability => stability,
    };
    entry.reasons.iter().map(of_reason).min().unwrap_or(Stability::Rest)
}

fn library(path: &ImagePath) -> Stability {
    if is_of_libc(path) { Stability::Runtime } else { Stability::Libraries }
}

/// Whether a path is of the C library, its loader included.
pub(super) fn is_of_libc(path: &ImagePath) -> bool {
    const FAMILY: [&[u8]; 13] = [
        b"ld-linux",
        b"ld-musl-",
        b"ld64.so.",
        b"ld.so.",
        b"ld-2.",
        b"libc.so.",
        b"libc.musl-",
        b"libm.so.",
        b"libpthread.so.",
        b"libdl.so.",
        b"librt.so.",
        b"libresolv.so.",
        b"libmvec.so.",
    ];
    FAMILY.iter().any(|name| path.name().starts_with(name))
}

/// Records of packages change with every package, accounts never: they are generated, but no part of the runtime.
pub(super) fn is_package_record(path: &ImagePath) -> bool {
    const FOLDERS: [&[u8]; 6] = [
        b"/var/lib/dpkg/",
        b"/usr/share/doc/",
        b"/lib/apk/db/",
        b"/usr/lib/apk/db/",
        b"/usr/lib/sysimage/rpm/",
        b"/var/lib/rpm/",
    ];
    FOLDERS.iter().any(|folder| path.as_bytes().starts_with(folder))
}

/// A layer for each package, the largest first to get one; the others share.
fn by_package<'a>(tree: &Tree, package_of: &dyn Fn(&ImagePath) -> Option<&'a str>) -> Assignment {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for (path, entry) in tree.iter() {
        if let Some(package) = package_of(path).filter(|_| !entry.is_directory()) {
            *sizes.entry(package).or_default() += entry.content().map_or(0, crate::source::Content::size) + 512;
        }
    }
    let mut packages: Vec<(&str, u64)> = sizes.into_iter().collect();
    packages.sort_by_key(|&(name, size)| (std::cmp::Reverse(size), name));
    packages.truncate(MOST - 2);
    let mut names: Vec<String> = packages.iter().map(|&(name, _)| name.to_owned()).collect();
    names.sort();
    let own: Vec<String> = names.clone();
    let others = names.len();
    names.extend(["other packages".to_owned(), "other files".to_owned()]);
    Assignment::new(tree, names, |path, _| match package_of(path) {
        Some(package) => own.binary_search_by(|name| name.as_str().cmp(package)).unwrap_or(others),
        None => others + 1,
    })
}

/// The recipe's own list: the first that takes a path has it; what none takes comes last.
fn by_rules<'a>(
    tree: &Tree,
    rules: &[LayerRule],
    package_of: &dyn Fn(&ImagePath) -> Option<&'a str>,
) -> Result<Assignment> {
    let globs = rules.iter().map(globs).collect::<Result<Vec<_>>>()?;
    let mut names: Vec<String> = rules.iter().map(|rule| rule.name.value.clone()).collect();
    names.push("other files".to_owned());
    Ok(Assignment::new(tree, names, |path, _| {
        let package = package_of(path);
        let takes = |(rule, globs): (&LayerRule, &globset::GlobSet)| {
            rule.packages.iter().any(|name| package == Some(name.as_str())) || globs.is_match(as_path(path))
        };
        rules.iter().zip(&globs).position(takes).unwrap_or(rules.len())
    }))
}

fn globs(rule: &LayerRule) -> Result<globset::GlobSet> {
    let mut set = globset::GlobSetBuilder::new();
    for text in &rule.paths {
        let glob = globset::GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
        set.add(glob.map_err(|error| bad_glob(text.span, error.kind()))?);
    }
    set.build().map_err(|error| bad_glob(rule.name.span, error.kind()))
}

fn bad_glob(span: crate::report::Span, kind: &globset::ErrorKind) -> Error {
    Diagnostic::error(super::BAD_LAYERS, "a pattern of `layers` can't be read").at(span, kind.to_string()).into()
}

fn as_path(path: &ImagePath) -> &std::path::Path {
    std::path::Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path.as_bytes()))
}
