//! The packages that belong to a program: those of its source package, and what these depend on.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::path::ImagePath;
use crate::source::Source;
use crate::source::ownership::{Check, Database, Owners, Package};

/// The packages of the program's source package.
#[derive(Default)]
pub(super) struct Related {
    /// Their names, and that of their source.
    pub(super) names: BTreeSet<String>,
    /// What they have in the root.
    pub(super) paths: Vec<ImagePath>,
    /// What the packages have that they depend on, however far, by package.
    pub(super) dependencies: BTreeMap<String, Vec<ImagePath>>,
}

/// Finds them. `far` wants the dependencies, too.
pub(super) fn related(program: &ImagePath, root: &dyn Source, far: bool) -> Related {
    let mut related = Related::default();
    let Ok(database) = Database::open(root) else { return related };
    let Ok(owners) = Owners::find_in(&database, root, std::slice::from_ref(program), Check::Newer) else {
        return related;
    };
    let Some(source) = owners.packages().next().map(|(_, package)| package.source_package.name.clone()) else {
        return related;
    };
    // What is built from the same source and belongs to the development or documentation of it is not for running.
    let apart = |package: &&Package| {
        package.source_package.name == source
            && !["-dev", "-doc", "-dbg", "-dbgsym"].iter().any(|end| package.name.ends_with(end))
    };
    let files = |package: &Package| database.files_of(root, package).map(|files| files.paths).unwrap_or_default();
    let own: Vec<&Package> = database.packages().iter().filter(apart).collect();
    for package in &own {
        related.names.insert(package.name.clone());
        related.paths.extend(files(package));
    }
    if far {
        let by_name: BTreeMap<&str, &Package> =
            database.packages().iter().map(|package| (package.name.as_str(), package)).collect();
        let mut open: Vec<&Package> = own;
        while let Some(package) = open.pop() {
            for name in depends(package) {
                let Some(found) = by_name.get(name.as_str()).filter(|_| !related.names.contains(&name)) else {
                    continue;
                };
                if let Entry::Vacant(place) = related.dependencies.entry(name) {
                    place.insert(files(found));
                    open.push(found);
                }
            }
        }
    }
    related.names.insert(source);
    related
}

/// The names in `Depends`, every alternative.
fn depends(package: &Package) -> Vec<String> {
    let field = package.stanza().get("Depends").map(|value| String::from_utf8_lossy(value).into_owned());
    let names = field.iter().flat_map(|value| value.split([',', '|']));
    let name = |text: &str| text.trim().split([' ', '(', ':', '[', '\n']).next().unwrap_or_default().to_owned();
    names.map(name).filter(|name| !name.is_empty()).collect()
}
