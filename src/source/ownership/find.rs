//! Asking whose files paths are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use rayon::prelude::*;

use super::Checksum;
use super::database::{Database, List, Lists, Package, PackageId, read};
use super::wanted::Wanted;
use crate::deb;
use crate::path::ImagePath;
use crate::report::Result;
use crate::source::{Content, Node, NodeKind, Source, unreadable};

/// Which files are compared with the MD5 sums of their package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Check {
    /// Those whose content or state changed after the package was installed, by their times. A root whose times were
    /// lost can hide a change from this.
    #[default]
    Newer,
    /// All: what the answer is then does not depend on any time.
    Every,
}

/// Whose the asked paths are.
#[derive(Debug, Default)]
pub struct Owners {
    packages: BTreeMap<PackageId, Package>,
    paths: BTreeMap<ImagePath, Arc<Ownership>>,
    has_database: bool,
}

/// Whose a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// The packages that list it, never none, that of dpkg's own architecture first. More than one: the architectures
    /// of a package that share a file.
    pub packages: Vec<PackageId>,
    /// The digest that a package records for it; links and configuration files have none.
    pub sum: Option<Checksum>,
    /// Whether it still is what the package installed.
    pub state: State,
}

/// Whether a file still is what its package installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is, as far as was looked.
    Installed,
    /// A configuration file, which an administrator may change.
    Configuration,
    /// It is something else: not that package's.
    Changed,
}

impl Owners {
    /// Finds whose each of `paths` is: real paths of files and links. Folders, which many packages share, and paths
    /// that are not there are passed over.
    ///
    /// # Errors
    /// When the database or a file that has to be compared can't be read.
    pub fn find(source: &dyn Source, paths: &[ImagePath], check: Check) -> Result<Self> {
        Self::find_in(&Database::open(source)?, source, paths, check)
    }

    /// As [`Owners::find`], with the database already read.
    ///
    /// # Errors
    /// As [`Owners::find`].
    pub fn find_in(database: &Database, source: &dyn Source, paths: &[ImagePath], check: Check) -> Result<Self> {
        let mut nodes = nodes(source, paths)?;
        let mut known = database.recall(check, &mut nodes);
        let before: BTreeSet<PackageId> = known.values().flat_map(|owned| &owned.packages).copied().collect();
        for package in before.iter().map(|id| database.package(*id)) {
            // Whoever notes what is asked notes what these answers follow from, too.
            database.list_node(source, package)?;
            database.sums_node(source, package)?;
        }
        let wanted = Wanted::new(nodes.iter().map(|(path, _)| *path), database);
        let listed = listed(database, source, &wanted)?;
        let owners: BTreeSet<PackageId> = listed.iter().flatten().copied().collect();
        let records = Records::read(database, source, &wanted, &owners)?;
        let judge = |(place, packages): (usize, &Vec<PackageId>)| {
            let (path, node) = &nodes[place];
            let (sum, state) = records.judge((database, source), check, place, (path, node), packages)?;
            Ok(((*path).clone(), Arc::new(Ownership { packages: packages.clone(), sum, state })))
        };
        let owned = listed.par_iter().enumerate().filter(|(_, packages)| !packages.is_empty());
        let mut found: BTreeMap<ImagePath, Arc<Ownership>> = owned.map(judge).collect::<Result<_>>()?;
        database.remember(check, nodes.iter().map(|(path, _)| *path), &found);
        known.append(&mut found);
        let packages = owners.union(&before).map(|id| (*id, database.package(*id).clone())).collect();
        Ok(Self { packages, paths: known, has_database: database.is_there() })
    }

    /// Whose a path is; `None` when it was not asked for or is nobody's.
    pub fn of(&self, path: &ImagePath) -> Option<&Ownership> {
        self.paths.get(path).map(|owned| &**owned)
    }

    /// As [`Owners::of`], to be kept.
    pub fn shared(&self, path: &ImagePath) -> Option<Arc<Ownership>> {
        self.paths.get(path).cloned()
    }

    /// A package that owns one of the asked paths.
    ///
    /// # Panics
    /// When the id is not from these owners.
    pub fn package(&self, id: PackageId) -> &Package {
        &self.packages[&id]
    }

    /// The packages that own one of the asked paths, by name and architecture.
    pub fn packages(&self) -> impl Iterator<Item = (PackageId, &Package)> {
        self.packages.iter().map(|(id, package)| (*id, package))
    }

    /// The asked paths that have an owner, sorted.
    pub fn paths(&self) -> impl Iterator<Item = (&ImagePath, &Ownership)> {
        self.paths.iter().map(|(path, owned)| (path, &**owned))
    }

    /// Whether the root has a package database at all.
    pub fn has_database(&self) -> bool {
        self.has_database
    }
}

/// Whose paths are, as it was found out for an image before; `None` for what is nobody's.
#[derive(Debug, Default)]
pub(super) struct Answers(HashMap<(Check, ImagePath), Option<Arc<Ownership>>>);

impl Database {
    /// What is known of the paths already, which are taken out.
    fn recall(&self, check: Check, nodes: &mut Vec<(&ImagePath, Node)>) -> BTreeMap<ImagePath, Arc<Ownership>> {
        let Some(answers) = &self.answers else { return BTreeMap::new() };
        let answers = answers.read().unwrap_or_else(PoisonError::into_inner);
        let mut known = BTreeMap::new();
        nodes.retain(|(path, _)| {
            let answer = answers.0.get(&(check, (*path).clone()));
            known.extend(answer.cloned().flatten().map(|owned| ((*path).clone(), owned)));
            answer.is_none()
        });
        known
    }

    /// Keeps what was found of paths, where more images may ask for them.
    fn remember<'a>(
        &self,
        check: Check,
        paths: impl Iterator<Item = &'a ImagePath>,
        found: &BTreeMap<ImagePath, Arc<Ownership>>,
    ) {
        let Some(answers) = &self.answers else { return };
        let mut answers = answers.write().unwrap_or_else(PoisonError::into_inner);
        answers.0.extend(paths.map(|path| ((check, path.clone()), found.get(path).cloned())));
    }
}

/// The asked paths that are files or links, with what stands there.
fn nodes<'a>(source: &dyn Source, paths: &'a [ImagePath]) -> Result<Vec<(&'a ImagePath, Node)>> {
    let look = |path: &'a ImagePath| -> Result<Option<(&'a ImagePath, Node)>> {
        let node = source.node(path).map_err(|error| unreadable(source, path, &error))?;
        let node = node.filter(|node| matches!(node.kind, NodeKind::File(_) | NodeKind::Symlink(_)));
        Ok(node.map(|node| (path, node)))
    };
    let nodes: Vec<_> = paths.par_iter().map(look).collect::<Result<_>>()?;
    Ok(nodes.into_iter().flatten().collect())
}

/// For each wanted path, the packages that list it.
fn listed(database: &Database, source: &dyn Source, wanted: &Wanted) -> Result<Vec<Vec<PackageId>>> {
    if wanted.len() == 0 {
        return Ok(Vec::new());
    }
    let index = database.index(source)?;
    let ids = database.ids();
    let candidates: BTreeSet<PackageId> =
        index.candidates(wanted.spellings()).into_iter().map(|place| ids[place]).collect();
    let hits = |id: PackageId| -> Result<(PackageId, Vec<usize>)> {
        let name = &database.package(id).name;
        let list = index.list(database, source, id)?;
        let paths = list.into_iter().flat_map(List::paths);
        Ok((id, paths.filter_map(|path| wanted.place(path, name)).collect()))
    };
    let mut listed: Vec<Vec<PackageId>> = vec![Vec::new(); wanted.len()];
    let all: Vec<(PackageId, Vec<usize>)> = candidates.into_par_iter().map(hits).collect::<Result<_>>()?;
    for (id, places) in all {
        for place in places {
            listed[place].push(id);
        }
    }
    Ok(in_order(database, listed))
}

/// The packages of each path in the order in which they count.
fn in_order(database: &Database, mut listed: Vec<Vec<PackageId>>) -> Vec<Vec<PackageId>> {
    for packages in &mut listed {
        packages.sort_by_key(|&id| (database.package(id).architecture != database.native(), id));
        packages.dedup();
    }
    listed
}

/// What the packages that own a wanted path say of its content.
struct Records(BTreeMap<PackageId, Record>);

/// What one package says.
#[derive(Default)]
struct Record {
    /// Its list, which was written at the end of its installation.
    list: Option<Node>,
    /// Whether it has MD5 sums at all.
    has_sums: bool,
    sums: BTreeMap<usize, Checksum>,
    configuration: BTreeSet<usize>,
}

/// Whether something changed after a list was written.
fn is_newer(node: &Node, list: &Node) -> bool {
    let (content, list_content) = (node.content(), list.content());
    let both = content.zip(list_content).and_then(|(content, list)| content.is_after(list));
    both.unwrap_or_else(|| {
        // Of what is no file of a folder, the time of the content is all that is known.
        let time = |node: &Node| node.content().and_then(Content::stamp).map_or((node.mtime, 0), |stamp| stamp.mtime);
        content.into_iter().chain(list_content).for_each(Content::bind);
        time(node) > time(list)
    })
}

impl Records {
    fn read(database: &Database, source: &dyn Source, wanted: &Wanted, owners: &BTreeSet<PackageId>) -> Result<Self> {
        let record = |&id: &PackageId| Ok((id, Record::read(database, source, wanted, database.package(id))?));
        Ok(Self(owners.par_iter().map(record).collect::<Result<_>>()?))
    }

    /// The digest recorded for a path, and whether what stands there is still what a package installed.
    fn judge(
        &self,
        (database, source): (&Database, &dyn Source),
        check: Check,
        place: usize,
        (path, node): (&ImagePath, &Node),
        packages: &[PackageId],
    ) -> Result<(Option<Checksum>, State)> {
        let records: Vec<&Record> = packages.iter().filter_map(|id| self.0.get(id)).collect();
        let sums: Vec<Checksum> = records.iter().filter_map(|record| record.sums.get(&place)).copied().collect();
        let Some(content) = node.content() else {
            // A link has no sum; where one stands instead of a file, someone put it there.
            return Ok((None, if sums.is_empty() { State::Installed } else { State::Changed }));
        };
        if records.iter().any(|record| record.configuration.contains(&place)) {
            return Ok((None, State::Configuration));
        }
        let newer = |record: &&Record| record.list.as_ref().is_none_or(|list| is_newer(node, list));
        if check == Check::Newer && !records.iter().any(newer) {
            return Ok((sums.first().copied(), State::Installed));
        }
        if sums.is_empty() {
            let known = records.iter().any(|record| record.has_sums);
            return Ok((None, if known { State::Changed } else { State::Installed }));
        }
        let found = database.checksum(sums[0], content).map_err(|error| unreadable(source, path, &error))?;
        Ok((Some(found), if sums.contains(&found) { State::Installed } else { State::Changed }))
    }
}

impl Record {
    fn read(database: &Database, source: &dyn Source, wanted: &Wanted, package: &Package) -> Result<Self> {
        let mut record = Self::default();
        if let Some((_, node)) = database.list_node(source, package)? {
            record.list = Some(node);
        }
        if let Some((path, node)) = database.sums_node(source, package)?
            && let Some(content) = node.content()
        {
            record.has_sums = true;
            let text = read(source, &path, content)?;
            let place = |(digits, path): (&[u8], &[u8])| {
                Some((wanted.place(path, &package.name)?, Checksum::Md5(deb::md5_of_hex(digits)?)))
            };
            record.sums = deb::md5sums(&text).filter_map(place).collect();
        }
        if let Lists::Kept(kept) = &package.lists {
            let place = |path: &Vec<u8>| wanted.place(path, &package.name);
            record.has_sums = true;
            record.sums = kept.sums.iter().filter_map(|(path, sum)| Some((place(path)?, *sum))).collect();
            record.configuration = kept.configuration.iter().filter_map(place).collect();
            return Ok(record);
        }
        let conffiles = package.stanza().get("Conffiles").unwrap_or_default();
        let place = |file: deb::Conffile<'_>| wanted.place(file.path.strip_prefix(b"/")?, &package.name);
        record.configuration = deb::conffiles(conffiles).filter_map(place).collect();
        Ok(record)
    }
}
