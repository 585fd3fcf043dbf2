//! The packages of an image by the records in it.

use std::collections::BTreeMap;

use super::Package;
use crate::oci::Kind;
use crate::output::Contents;
use crate::path::ImagePath;
use crate::report::Result;
use crate::source::ownership::{self, Check, Database, Owners};

type Packages = BTreeMap<(String, String), Package>;
type PathOwners = BTreeMap<ImagePath, (String, String)>;

/// The packages whose files an image holds, and whose each path is.
pub(super) fn packages(contents: &Contents) -> Result<(Packages, PathOwners)> {
    let files = contents.facts.iter().filter(|(_, fact)| fact.kind != Kind::Directory);
    let paths: Vec<ImagePath> = files.map(|(path, _)| path.clone()).collect();
    let database = Database::open(&contents.tree)?;
    let key = |package: &ownership::Package| (package.name.clone(), package.architecture.clone());
    let mut packages: Packages = database
        .packages()
        .iter()
        .map(|package| {
            let described = Package {
                version: package.version.clone(),
                source: package.source_package.name.clone(),
                source_version: package.source_package.version.clone(),
                files: 0,
                size: 0,
            };
            (key(package), described)
        })
        .collect();
    let owners = Owners::find_in(&database, &contents.tree, &paths, Check::Newer)?;
    let mut by_path = PathOwners::new();
    for (path, ownership) in owners.paths() {
        let Some(owner) = ownership.packages.first().map(|id| key(owners.package(*id))) else { continue };
        if let Some(package) = packages.get_mut(&owner) {
            package.files += 1;
            package.size += contents.facts.get(path).map_or(0, |fact| fact.size);
        }
        by_path.insert(path.clone(), owner);
    }
    Ok((packages, by_path))
}
