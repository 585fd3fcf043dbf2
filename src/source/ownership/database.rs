//! The package database of a root: the packages, where the list of each stands, and dpkg's diversions.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::find::Answers;
use super::index::Index;
use super::kept::{self, Kept};
use super::spelling::Spelling;
use super::{Checksum, PackageFormat};
use crate::deb;
use crate::path::ImagePath;
use crate::report::Result;
use crate::source::{Content, Node, Source, Stamp, find, unreadable};

/// The most that a file of the database may be long.
const LIMIT: u64 = 1 << 26;

/// The packages that are installed in a root, as dpkg's database knows them.
pub struct Database {
    pub(super) packages: Vec<Package>,
    pub(super) diversions: Vec<Diversion>,
    pub(super) spelling: Spelling,
    index: OnceLock<Index>,
    /// Checksums of files that had to be compared with their packages': several images may hold one.
    pub(super) sums: RwLock<HashMap<Stamp, Checksum>>,
    /// Whose paths are that were asked for before, where many images ask.
    pub(super) answers: Option<RwLock<Answers>>,
    /// `/var/lib/dpkg`, with the links on the way followed; `None` when the root has no database.
    folder: Option<ImagePath>,
    /// `info` in it.
    info: Option<ImagePath>,
    /// What dpkg itself is built for.
    native: String,
}

/// A package, by its place in [`Database::packages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(usize);

impl PackageId {
    pub(super) fn place(self) -> usize {
        self.0
    }
}

/// An installed package.
#[derive(Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name, without architecture.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whose format its record has.
    pub format: PackageFormat,
    /// Its architecture, as `amd64` or `all`.
    pub architecture: String,
    /// The source package that it was built from.
    pub source_package: SourcePackage,
    pub(super) multi_arch_same: bool,
    pub(super) lists: Lists,
    pub(super) record: Arc<[u8]>,
}

/// A source package: what security advisories name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePackage {
    /// Its name: that of the package when the package does not say otherwise.
    pub name: String,
    /// Its version: that of the package when the package does not say otherwise.
    pub version: String,
}

/// Where the lists of a package are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lists {
    /// In `info/`: `.list` and `.md5sums`.
    Info,
    /// In `status.d/`, below this name: `.md5sums` only.
    StatusD(Vec<u8>),
    /// In the one file of the database, from which they were read.
    Kept(Arc<Kept>),
}

/// The text of a list of files.
pub(super) struct List {
    pub(super) text: Vec<u8>,
    /// Whether it is one of MD5 sums.
    sums: bool,
}

impl List {
    /// The paths, as the package has them, without leading `/`.
    pub(super) fn paths(&self) -> impl Iterator<Item = &[u8]> {
        paths_of(&self.text, self.sums)
    }
}

/// The paths of a list, or of one of MD5 sums, without leading `/`.
fn paths_of(text: &[u8], sums: bool) -> impl Iterator<Item = &[u8]> {
    let (plain, sums): (&[u8], &[u8]) = if sums { (b"", text) } else { (text, b"") };
    deb::list(plain).map(|path| &path[1..]).chain(deb::md5sums(sums).map(|(_, path)| path))
}

/// A diversion, its paths as the root's links have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diversion {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
    pub(super) by: Option<String>,
}

impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.name, self.version, self.architecture)
    }
}

impl Package {
    /// Its record in the database, as it stands there: a stanza, or what apk or rpm have.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// Its stanza in dpkg's database, as it stands there; empty for packages of others.
    pub fn stanza(&self) -> deb::Stanza<'_> {
        deb::Stanza(if self.format == PackageFormat::Deb { &self.record } else { &[] })
    }

    /// The package that a stanza describes; `None` when it is not installed or lacks name, version or architecture.
    fn of(fields: deb::Stanza<'_>, lists: Lists) -> Option<Self> {
        let installed = |status: &str| !matches!(status.rsplit(' ').next(), Some("not-installed" | "config-files"));
        let [name, version, architecture, status, source, multi_arch] =
            fields.words(["Package", "Version", "Architecture", "Status", "Source", "Multi-Arch"]);
        let name = name.filter(|name| deb::is_package_name(name))?.to_owned();
        let version = version.filter(|version| !version.is_empty())?.to_owned();
        // What a hand-made `status.d` may lack.
        let architecture = architecture.unwrap_or("all");
        if !deb::is_architecture(architecture) || !status.is_none_or(installed) {
            return None;
        }
        let source_package = SourcePackage::of(source, &name, &version);
        let multi_arch_same = multi_arch == Some("same");
        let (architecture, record) = (architecture.to_owned(), fields.0.into());
        let format = PackageFormat::Deb;
        Some(Self { name, version, format, architecture, source_package, multi_arch_same, lists, record })
    }
}

impl SourcePackage {
    /// From a `Source` field: `name` or `name (version)`.
    fn of(field: Option<&str>, name: &str, version: &str) -> Self {
        let field = field.unwrap_or(name);
        let (name, version) = match field.split_once('(') {
            Some((name, rest)) => (name.trim_end(), rest.trim_end_matches([')', ' '])),
            None => (field, version),
        };
        Self { name: name.to_owned(), version: version.to_owned() }
    }
}

impl Database {
    /// Reads which packages are installed. A root without a database has none.
    ///
    /// # Errors
    /// When the database is there and can't be read.
    pub fn open(source: &dyn Source) -> Result<Self> {
        let folder = find(source, b"/var/lib/dpkg")?.map(|found| found.real);
        let mut database = Self {
            packages: Vec::new(),
            diversions: Vec::new(),
            spelling: Spelling::of(source)?,
            index: OnceLock::new(),
            sums: RwLock::default(),
            answers: None,
            info: folder.as_ref().map(|folder| folder.join(b"info")),
            folder,
            native: String::new(),
        };
        database.add_status(source)?;
        database.add_status_d(source)?;
        if database.packages.is_empty() {
            database.packages = kept::packages(source)?;
        }
        database.packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
        database.packages.dedup_by(|a, b| a.name == b.name && a.architecture == b.architecture);
        database.add_diversions(source)?;
        let native = database.packages.iter().find(|package| package.name == "dpkg");
        database.native = native.map(|dpkg| dpkg.architecture.clone()).unwrap_or_default();
        Ok(database)
    }

    /// Remembers whose each path is, for more images with the same. The source must be the same for all questions, and
    /// say the same of a path each time.
    #[must_use]
    pub fn for_many(mut self) -> Self {
        self.answers = Some(RwLock::default());
        self
    }

    /// Reads the lists of all packages, which the first question does otherwise.
    ///
    /// # Errors
    /// When a list can't be read.
    pub fn read_lists(&self, source: &dyn Source) -> Result<()> {
        self.index(source).map(drop)
    }

    pub(super) fn index(&self, source: &dyn Source) -> Result<&Index> {
        if let Some(known) = self.index.get() {
            return Ok(known);
        }
        let index = Index::read(self, source)?;
        Ok(self.index.get_or_init(|| index))
    }

    /// Whether the root has a package database at all.
    pub fn is_there(&self) -> bool {
        !self.packages.is_empty()
    }

    /// The installed packages, by name and architecture.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The architecture that dpkg itself has in this root; empty when it is not installed.
    pub fn native(&self) -> &str {
        &self.native
    }

    pub(super) fn ids(&self) -> Vec<PackageId> {
        (0..self.packages.len()).map(PackageId).collect()
    }

    pub(super) fn package(&self, id: PackageId) -> &Package {
        &self.packages[id.0]
    }

    fn add_status(&mut self, source: &dyn Source) -> Result<()> {
        let Some(text) = self.read(source, b"status")? else { return Ok(()) };
        self.packages.extend(packages_of(&text, &Lists::Info));
        Ok(())
    }

    fn add_status_d(&mut self, source: &dyn Source) -> Result<()> {
        let Some(folder) = self.folder.as_ref().map(|folder| folder.join(b"status.d")) else { return Ok(()) };
        for (name, node) in source.list(&folder).map_err(|error| unreadable(source, &folder, &error))? {
            if name.ends_with(b".md5sums") {
                continue;
            }
            let Some(content) = node.content() else { continue };
            let text = read(source, &folder.join(&name), content)?;
            self.packages.extend(packages_of(&text, &Lists::StatusD(name)));
        }
        Ok(())
    }

    fn add_diversions(&mut self, source: &dyn Source) -> Result<()> {
        let Some(text) = self.read(source, b"diversions")? else { return Ok(()) };
        let real = |path: &[u8]| self.spelling.real(path);
        self.diversions = deb::diversions(&text)
            .map(|diversion| Diversion {
                from: real(diversion.from),
                to: real(diversion.to),
                by: diversion.by.map(|by| String::from_utf8_lossy(by).into_owned()),
            })
            .collect();
        Ok(())
    }

    /// The list of a package's files.
    pub(super) fn list(&self, source: &dyn Source, package: &Package) -> Result<Option<List>> {
        if let Lists::Kept(kept) = &package.lists {
            return Ok(Some(List { text: kept.list.clone(), sums: false }));
        }
        let Some((path, node)) = self.list_node(source, package)? else { return Ok(None) };
        let Some(content) = node.content() else { return Ok(None) };
        let text = read(source, &path, content)?;
        Ok(Some(List { text, sums: package.lists != Lists::Info }))
    }

    /// Tells the paths of a package's list, without leading `/`; reads it into `buffer`.
    pub(super) fn each_path(
        &self,
        source: &dyn Source,
        package: &Package,
        buffer: &mut Vec<u8>,
        mut tell: impl FnMut(&[u8]),
    ) -> Result<()> {
        if let Lists::Kept(kept) = &package.lists {
            paths_of(&kept.list, false).for_each(tell);
            return Ok(());
        }
        let Some((path, node)) = self.list_node(source, package)? else { return Ok(()) };
        let Some(content) = node.content() else { return Ok(()) };
        content.read_into(buffer, LIMIT).map_err(|error| unreadable(source, &path, &error))?;
        paths_of(buffer, package.lists != Lists::Info).for_each(&mut tell);
        Ok(())
    }

    /// The checksum of some content by the algorithm of another.
    pub(super) fn checksum(&self, like: Checksum, content: &Content) -> std::io::Result<Checksum> {
        let Some(stamp) = content.stamp() else { return like.of_same_kind(content) };
        content.note_read();
        let known = self.sums.read().unwrap_or_else(PoisonError::into_inner).get(&stamp).copied();
        if let Some(known) = known.filter(|known| std::mem::discriminant(known) == std::mem::discriminant(&like)) {
            return Ok(known);
        }
        let sum = like.of_same_kind(content)?;
        self.sums.write().unwrap_or_else(PoisonError::into_inner).insert(stamp, sum);
        Ok(sum)
    }

    /// The node of the list of a package's files, or of their MD5 sums when it has no other.
    pub(super) fn list_node(&self, source: &dyn Source, package: &Package) -> Result<Option<(ImagePath, Node)>> {
        match package.lists {
            Lists::Info => self.info_node(source, package, "list"),
            Lists::StatusD(_) => self.sums_node(source, package),
            Lists::Kept(_) => Ok(None),
        }
    }

    /// The node of the MD5 sums of a package's files.
    pub(super) fn sums_node(&self, source: &dyn Source, package: &Package) -> Result<Option<(ImagePath, Node)>> {
        match &package.lists {
            Lists::Info => self.info_node(source, package, "md5sums"),
            Lists::StatusD(name) => {
                let Some(folder) = &self.folder else { return Ok(None) };
                node(source, folder.join(b"status.d").join(&[name, b".md5sums".as_slice()].concat()))
            }
            Lists::Kept(_) => Ok(None),
        }
    }

    /// `info/NAME:ARCH.KIND` for packages that may be there in several architectures, `info/NAME.KIND` for others.
    fn info_node(&self, source: &dyn Source, package: &Package, kind: &str) -> Result<Option<(ImagePath, Node)>> {
        let Some(folder) = &self.info else { return Ok(None) };
        let (name, kind) = (package.name.as_bytes(), kind.as_bytes());
        let plain = || [name, b".", kind].concat();
        let with_architecture = || [name, b":", package.architecture.as_bytes(), b".", kind].concat();
        for is_plain in [!package.multi_arch_same, package.multi_arch_same] {
            let name = if is_plain { plain() } else { with_architecture() };
            if let Some(found) = node(source, folder.join(&name))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn read(&self, source: &dyn Source, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let Some((path, node)) = node(source, folder.join(name))? else { return Ok(None) };
        node.content().map(|content| read(source, &path, content)).transpose()
    }
}

fn packages_of(text: &[u8], lists: &Lists) -> Vec<Package> {
    deb::stanzas(text).filter_map(|stanza| Package::of(stanza, lists.clone())).collect()
}

fn node(source: &dyn Source, path: ImagePath) -> Result<Option<(ImagePath, Node)>> {
    let node = source.node(&path).map_err(|error| unreadable(source, &path, &error))?;
    Ok(node.map(|node| (path, node)))
}

/// A file of the database, whole.
pub(super) fn read(source: &dyn Source, path: &ImagePath, content: &Content) -> Result<Vec<u8>> {
    content.read(LIMIT).map_err(|error| unreadable(source, path, &error))
}
