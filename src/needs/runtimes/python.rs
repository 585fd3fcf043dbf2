//! Python's standard library: beside the interpreter (`PREFIX/bin/python3.11`, `PREFIX/lib/python3.11`), or where the
//! `home` of a virtual environment says.

use std::collections::BTreeMap;

use super::{Found, started};
use crate::needs::Seen;
use crate::needs::lookup::{list, there, unreadable};
use crate::path::ImagePath;
use crate::report::Result;
use crate::tree::Entry;

/// What only developers use, and what only `python -O` reads.
const EXCLUDE: [&str; 11] = [
    "config-*/**",
    "ensurepip/**",
    "idlelib/**",
    "test/**",
    "turtledemo/**",
    "ctypes/test/**",
    "distutils/tests/**",
    "lib2to3/tests/**",
    "sqlite3/test/**",
    "unittest/test/**",
    "**/*.opt-[12].pyc",
];

/// An installation that something in the image uses.
struct Use {
    trigger: String,
    /// Whether its own packages count: not for a virtual environment without them.
    packages: bool,
}

pub(super) fn find(seen: &Seen<'_>) -> Result<Vec<Found>> {
    let mut uses: BTreeMap<ImagePath, Use> = BTreeMap::new();
    let mut environments = Vec::new();
    for (marker, entry) in seen.image.iter().filter(|(path, _)| path.name() == b"pyvenv.cfg") {
        let Some(content) = Entry::content(entry) else { continue };
        let text = content.read(1 << 20).map_err(|error| unreadable(seen.view, marker, &error))?;
        let text = String::from_utf8_lossy(&text);
        let pairs =
            || text.lines().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), value.trim()));
        let value = |key: &str| pairs().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value);
        let Some(prefix) = value("home").and_then(|home| ImagePath::new(home).ok()?.parent()) else { continue };
        let packages = value("include-system-site-packages").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let venv = marker.parent().unwrap_or_else(ImagePath::root);
        environments.push(venv.clone());
        for version in versions(seen, &venv)? {
            let library = prefix.join(b"lib").join(&version);
            let known = uses.entry(library).or_insert_with(|| Use { trigger: format!("holds {marker}"), packages });
            known.packages |= packages;
        }
    }
    for program in started(seen) {
        let Some(prefix) = program.parent().filter(|bin| bin.name() == b"bin").and_then(|bin| bin.parent()) else {
            continue;
        };
        if !program.name().starts_with(b"python") || environments.contains(&prefix) {
            continue;
        }
        let own = program.name().starts_with(b"python3.").then(|| vec![program.name().to_vec()]);
        let names = own.map_or_else(|| versions(seen, &prefix), Ok)?;
        for version in names {
            let library = prefix.join(b"lib").join(&version);
            uses.entry(library).or_insert_with(|| Use { trigger: format!("runs {program}"), packages: true });
        }
    }
    let mut found = Vec::new();
    for (path, Use { trigger, packages }) in uses {
        if there(seen.view, &path.join(b"encodings"))?.is_none() {
            continue;
        }
        let own = (!packages).then_some(["site-packages/**", "dist-packages/**"]);
        let exclude = EXCLUDE.into_iter().chain(own.into_iter().flatten()).map(str::to_owned).collect();
        found.push(Found { trigger, path, exclude });
    }
    Ok(found)
}

/// The names of the library folders below a prefix, as `python3.11`.
fn versions(seen: &Seen<'_>, prefix: &ImagePath) -> Result<Vec<Vec<u8>>> {
    let names = list(seen.view, &prefix.join(b"lib"))?.into_iter().map(|(name, _)| name);
    Ok(names.filter(|name| name.starts_with(b"python3.")).collect())
}
