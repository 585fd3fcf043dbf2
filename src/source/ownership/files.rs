//! The files of a whole package, and the packages that have a file of some name.

use super::database::{Database, Package};
use crate::path::ImagePath;
use crate::report::Result;
use crate::source::{Source, resolve_parent, unreadable};

/// What a recipe's `packages` brings for one name.
#[derive(Debug)]
pub struct PackageFiles<'a> {
    /// The package.
    pub package: &'a Package,
    /// Its files, links and folders that are there, as real paths, sorted; without documentation.
    pub paths: Vec<ImagePath>,
    /// What it lists beside documentation and is not there.
    pub absent: Vec<ImagePath>,
}

/// Why a name is no package of the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPackage {
    /// Installed packages with a similar name, the most similar first; at most three.
    pub similar: Vec<String>,
    /// Installed packages that provide the name, at most three.
    pub providers: Vec<String>,
    /// The architectures in which a package of that name is installed, when the one asked for is not among them.
    pub architectures: Vec<String>,
}

/// Folders of documentation, which `packages` leaves out: what Debian lets a system go without (`path-exclude`), but
/// for translations, which change what a program says. `copyright` stays: licences ask for it.
const DOCUMENTATION: [&[u8]; 8] = [
    b"/usr/share/doc",
    b"/usr/share/man",
    b"/usr/share/info",
    b"/usr/share/lintian",
    b"/usr/share/bug",
    b"/usr/share/doc-base",
    b"/usr/share/gtk-doc",
    b"/usr/share/linda",
];

fn is_documentation(path: &[u8]) -> bool {
    let within = |folder: &&[u8]| path.strip_prefix(*folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
    let Some(folder) = DOCUMENTATION.iter().find(|folder| within(folder)) else { return false };
    let copyright = path.strip_prefix(b"/usr/share/doc/").and_then(|rest| rest.strip_suffix(b"/copyright"));
    !(*folder == b"/usr/share/doc" && copyright.is_some_and(|package| !package.contains(&b'/')))
}

impl Database {
    /// The package of a name, as `nginx` or `libc6:arm64`. Where it is installed in several architectures and the name
    /// has none, `architecture` (Debian's name for the image's) is taken, or else dpkg's own.
    ///
    /// # Errors
    /// With what is near, when there is none.
    pub fn named(&self, name: &str, architecture: Option<&str>) -> Result<&Package, UnknownPackage> {
        let (name, asked) = name.split_once(':').map_or((name, None), |(name, asked)| (name, Some(asked)));
        let all: Vec<&Package> = self.packages.iter().filter(|package| package.name == name).collect();
        let of = |architecture: &str| all.iter().find(|package| package.architecture == architecture).copied();
        let found = match asked {
            Some(asked) => of(asked),
            None => architecture
                .and_then(of)
                .or_else(|| of("all"))
                .or_else(|| of(self.native()))
                .or_else(|| all.first().copied()),
        };
        found.ok_or_else(|| {
            let architectures: Vec<String> = all.iter().map(|package| package.architecture.clone()).collect();
            let (similar, providers) =
                if all.is_empty() { (self.similar(name), self.providers(name)) } else { (Vec::new(), Vec::new()) };
            UnknownPackage { similar, providers, architectures }
        })
    }

    /// What an installed package has in the root, without documentation: `/usr/share/{doc,man,info,lintian,bug,
    /// doc-base,gtk-doc,linda}` but for `/usr/share/doc/NAME/copyright`.
    ///
    /// # Errors
    /// When its list or the root can't be read.
    pub fn files_of<'a>(&self, source: &dyn Source, package: &'a Package) -> Result<PackageFiles<'a>> {
        let (mut paths, mut absent) = (Vec::new(), Vec::new());
        let Some(list) = self.list(source, package)? else { return Ok(PackageFiles { package, paths, absent }) };
        for path in list.paths() {
            let listed = self.standing(&[b"/", path].concat(), package);
            if is_documentation(&listed) {
                continue;
            }
            let Ok(path) = ImagePath::new(&listed) else { continue };
            match resolve_parent(source, path.as_bytes()) {
                Ok(found) => paths.push(found.real),
                Err(crate::source::Unresolved::Unreadable { at, error }) => {
                    return Err(unreadable(source, &at, &error));
                }
                Err(_) => absent.push(path),
            }
        }
        for list in [&mut paths, &mut absent] {
            list.sort();
            list.dedup();
        }
        Ok(PackageFiles { package, paths, absent })
    }

    /// Where a path of a package's list stands: links of the root followed, diversions applied.
    fn standing(&self, path: &[u8], package: &Package) -> Vec<u8> {
        let real = self.spelling.real(path);
        let diverted = |d: &&super::database::Diversion| d.from == real && d.by.as_deref() != Some(&package.name);
        match self.diversions.iter().find(diverted) {
            Some(diversion) => diversion.to.clone(),
            None => real,
        }
    }

    fn similar(&self, name: &str) -> Vec<String> {
        let mut near: Vec<(usize, &str)> = Vec::new();
        for package in &self.packages {
            let distance = strsim::osa_distance(name, &package.name);
            // A part of the name, as `libjemalloc` for `libjemalloc2`, is near however much is missing.
            let begins = name.len() >= 3 && package.name.starts_with(name);
            if begins || distance <= name.len().div_ceil(4) {
                near.push((distance, &package.name));
            }
        }
        near.sort_unstable();
        near.dedup();
        near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
    }

    fn providers(&self, name: &str) -> Vec<String> {
        let provides = |package: &&Package| {
            let field = package.stanza().get("Provides").unwrap_or_default();
            field.split(|&b| b == b',').any(|one| {
                let one = one.trim_ascii();
                one.split(|b| b" (:".contains(b)).next() == Some(name.as_bytes())
            })
        };
        self.packages.iter().filter(provides).take(3).map(|package| package.name.clone()).collect()
    }
}
