//! Missing paths to entries of a recipe, in the shortest form that a maintainer would write.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Comparison, Kind, Missing};
use crate::edit::{Addition, Key};
use crate::needs;
use crate::path::ImagePath;
use crate::select;
use crate::source::{Node, NodeKind, Source, resolve};

/// More files of one folder than this are not named one by one.
const MOST_FILES: usize = 10;

/// A listed folder with no more than this comes whole.
const SMALL: usize = 50;

/// What is looked at of a folder, at most, to know how much of it was used.
const MOST_LOOKED_AT: usize = 20_000;

/// Extras that may bring what is missing: those whose paths in the table look like one that is.
pub fn candidates(comparison: &Comparison) -> Vec<String> {
    let is_like = |added: &String, missing: &Missing| {
        let literal = added.split(['{', '}', '*', '$']).max_by_key(|part| part.len()).unwrap_or_default();
        let literal = literal.trim_end_matches('/');
        literal.len() >= 6 && [&missing.path, &missing.real].into_iter().any(|path| path.to_string().contains(literal))
    };
    let mut names = Vec::new();
    for listing in needs::catalogue() {
        if listing.adds.iter().any(|added| comparison.missing.iter().any(|missing| is_like(added, missing))) {
            let (name, full) = match listing.name.split_once('[') {
                Some((name, _)) => (name.to_owned(), Some(format!("{name}:full"))),
                None => (listing.name.clone(), None),
            };
            if !name.ends_with(":NAME") {
                names.push(name);
                names.extend(full);
            }
        }
    }
    names
}

/// The entries that bring what is missing. `covered` says which extra brings a path.
pub fn suggest(comparison: &Comparison, covered: &BTreeMap<ImagePath, String>, root: &dyn Source) -> Vec<Addition> {
    let mut additions = Vec::new();
    let extras: BTreeSet<&String> =
        comparison.missing.iter().filter_map(|missing| covered.get(&missing.path)).collect();
    additions.extend(extras.into_iter().map(|extra| Addition::new(Key::Extras, extra)));
    let rest = || comparison.missing.iter().filter(|missing| !covered.contains_key(&missing.path));
    let mut files = Files { root, used: BTreeSet::new(), listed: BTreeSet::new(), found: BTreeSet::new() };
    for missing in rest() {
        match missing.kind {
            Kind::Program => additions.push(Addition::new(Key::Binaries, program(root, &missing.path))),
            Kind::Library if is_searched(&missing.path) => {
                additions.push(Addition::new(Key::Libraries, crate::path::show(missing.path.name())));
            }
            Kind::Library | Kind::File => {
                files.used.insert(source_of(root, &missing.path));
            }
            Kind::Listed => {
                files.listed.insert(missing.path.clone());
            }
            Kind::Entered => additions.push(Addition::new(Key::Dirs, missing.path.to_string())),
        }
    }
    files.fold();
    let covered = |path: &ImagePath| files.found.iter().any(|entry| is_below(&path.to_string(), entry));
    additions.retain(|addition| {
        addition.key != Key::Dirs || !ImagePath::new(&addition.value).is_ok_and(|path| covered(&path))
    });
    additions.extend(files.found.iter().map(|entry| Addition::new(Key::Files, entry)));
    additions.extend(comparison.writable.iter().map(|folder| Addition::new(Key::Writable, folder.to_string())));
    additions
}

fn is_below(path: &str, entry: &str) -> bool {
    entry.ends_with('/') && (path.starts_with(entry) || path == entry.trim_end_matches('/'))
}

/// A program by its name, where the name alone leads to it.
fn program(root: &dyn Source, path: &ImagePath) -> String {
    let by_name = select::PATH.iter().find_map(|folder| {
        let path = [folder.as_bytes(), b"/", path.name()].concat();
        resolve(root, &path).ok()
    });
    let same = resolve(root, path.as_bytes()).ok().zip(by_name).is_some_and(|(a, b)| a.real == b.real);
    if same { crate::path::show(path.name()) } else { path.to_string() }
}

/// Whether a loader finds what is in the folder by its name alone.
fn is_searched(path: &ImagePath) -> bool {
    let Some(folder) = path.parent() else { return false };
    let parts: Vec<&[u8]> = folder.components().filter(|part| *part != b"usr" && *part != b"local").collect();
    match parts.as_slice() {
        [lib] => *lib == b"lib" || *lib == b"lib64" || *lib == b"lib32",
        [b"lib", triplet] => triplet.windows(7).any(|part| part == b"-linux-"),
        _ => false,
    }
}

/// A compiled Python module stands for its source (PEP 3147): the interpreter takes no other without it.
fn source_of(root: &dyn Source, path: &ImagePath) -> ImagePath {
    let source = || {
        let folder = path.parent().filter(|folder| folder.name() == b"__pycache__")?.parent()?;
        let name = path.name().strip_suffix(b".pyc")?;
        let stem = &name[..name.windows(2).position(|part| part == b".c").unwrap_or(name.len())];
        let source = folder.join(&[stem, b".py"].concat());
        resolve(root, source.as_bytes()).ok().map(|_| source)
    };
    source().unwrap_or_else(|| path.clone())
}

/// Files that were used, and what of it is named by its folder.
struct Files<'a> {
    root: &'a dyn Source,
    used: BTreeSet<ImagePath>,
    listed: BTreeSet<ImagePath>,
    found: BTreeSet<String>,
}

impl Files<'_> {
    fn fold(&mut self) {
        self.gather();
        let found = self.found.clone();
        self.found.retain(|entry| !found.iter().any(|other| other != entry && is_below(entry, other)));
    }

    fn gather(&mut self) {
        for folder in std::mem::take(&mut self.listed) {
            if !is_shared(&folder) && self.count(&folder, SMALL + 1) <= SMALL {
                self.used.retain(|path| !path.is_within(&folder));
                self.found.insert(format!("{folder}/"));
            }
        }
        let used: Vec<ImagePath> = std::mem::take(&mut self.used).into_iter().collect();
        self.descend(&ImagePath::root(), &used);
    }

    fn descend(&mut self, folder: &ImagePath, used: &[ImagePath]) {
        if !is_shared(folder) && used.len() > 2 {
            let total = self.count(folder, MOST_LOOKED_AT);
            if used.len() > MOST_FILES || used.len() * 3 >= total {
                self.found.insert(format!("{folder}/"));
                return;
            }
        }
        let mut below: BTreeMap<ImagePath, Vec<ImagePath>> = BTreeMap::new();
        for path in used {
            let Some(name) = path.below(folder).and_then(|rest| rest.split(|&byte| byte == b'/').next()) else {
                continue;
            };
            below.entry(folder.join(name)).or_default().push(path.clone());
        }
        for (child, used) in below {
            match used.as_slice() {
                [one] => {
                    self.found.insert(one.to_string());
                }
                _ => self.descend(&child, &used),
            }
        }
    }

    /// How many files are below a folder; no more than `most` are counted.
    fn count(&self, folder: &ImagePath, most: usize) -> usize {
        let (mut count, mut open) = (0, vec![folder.clone()]);
        while let Some(folder) = open.pop() {
            let listed: Vec<(Vec<u8>, Node)> = self.root.list(&folder).unwrap_or_default();
            for (name, node) in listed {
                if count >= most {
                    return count;
                }
                match node.kind {
                    NodeKind::Directory if name == b"__pycache__" => {}
                    NodeKind::Directory => open.push(folder.join(&name)),
                    _ => count += 1,
                }
            }
        }
        count
    }
}

/// Whether many packages put something into a folder: it is never copied whole.
fn is_shared(folder: &ImagePath) -> bool {
    const SHARED: [&str; 26] = [
        "/",
        "/bin",
        "/etc",
        "/home",
        "/lib",
        "/lib64",
        "/opt",
        "/root",
        "/sbin",
        "/srv",
        "/usr",
        "/usr/bin",
        "/usr/include",
        "/usr/lib",
        "/usr/lib64",
        "/usr/libexec",
        "/usr/local",
        "/usr/local/bin",
        "/usr/local/lib",
        "/usr/local/share",
        "/usr/sbin",
        "/usr/share",
        "/var",
        "/var/lib",
        "/var/cache",
        "/usr/lib/python3",
    ];
    let name = folder.name();
    SHARED.iter().any(|shared| folder.as_bytes() == shared.as_bytes())
        || name == b"dist-packages"
        || name == b"site-packages"
        || folder.parent().is_some_and(|above| above.name() == b"lib") && name.windows(7).any(|part| part == b"-linux-")
}
