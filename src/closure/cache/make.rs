//! What `ldconfig` would write of the libraries in some directories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Entry;
use super::file::compare;
use crate::closure::machine::Port;
use crate::closure::tree::{Looked, Tree};
use crate::closure::{Bytes, Headers};
use crate::elf::{FileType, Object};
use crate::path::ImagePath;
use crate::source::{Node, NodeKind, Source};

/// What a directory holds, sorted bytewise.
pub(super) fn list(tree: &Tree<'_>, directory: &[u8]) -> Vec<(Vec<u8>, Node)> {
    let Looked::Found(place) = tree.look(directory) else { return Vec::new() };
    tree.source().list(&place.real).unwrap_or_default()
}

/// The libraries in some directories and in `glibc-hwcaps` below them, as `ldconfig` takes them into a cache. A
/// directory that is there under two names counts once, at its first place.
pub fn collect(source: &dyn Source, directories: &[Bytes]) -> Vec<Entry> {
    let headers = Headers::default();
    collect_in(&Tree::new(source, &headers, b"/"), directories)
}

pub(in crate::closure) fn collect_in(tree: &Tree<'_>, directories: &[Bytes]) -> Vec<Entry> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for directory in directories {
        let directory = without_slash(directory);
        if !is_new_directory(tree, directory, &mut seen) {
            continue;
        }
        collect_from(tree, directory, None, &mut entries);
        let levels = [directory, b"/glibc-hwcaps"].concat();
        for (level, _) in list(tree, &levels) {
            let below = [&levels, b"/".as_slice(), &level].concat();
            if let Ok(level) = String::from_utf8(level)
                && !level.starts_with('.')
                && !level.contains(':')
                && is_new_directory(tree, &below, &mut seen)
            {
                collect_from(tree, &below, Some(&level), &mut entries);
            }
        }
    }
    entries
}

fn without_slash(directory: &[u8]) -> &[u8] {
    directory.strip_suffix(b"/").unwrap_or(directory)
}

fn is_new_directory(tree: &Tree<'_>, path: &[u8], seen: &mut BTreeSet<ImagePath>) -> bool {
    let path = if path.is_empty() { b"/" } else { path };
    matches!(tree.look(path), Looked::Found(place) if place.is_directory && seen.insert(place.real.clone()))
}

/// A library of one directory, before the best for each name is chosen.
struct Candidate {
    file: Vec<u8>,
    is_link: bool,
    flags: i32,
    isa_level: u64,
}

/// For each `DT_SONAME` a file is better than a link, and then the one whose name has the higher number.
fn collect_from(tree: &Tree<'_>, directory: &[u8], level: Option<&str>, entries: &mut Vec<Entry>) {
    let mut best: BTreeMap<Vec<u8>, Candidate> = BTreeMap::new();
    for (file, node) in list(tree, if directory.is_empty() { b"/" } else { directory }) {
        let is_link = matches!(node.kind, NodeKind::Symlink(_));
        let Some((name, candidate)) = candidate(tree, directory, file, is_link) else { continue };
        match best.get(&name) {
            Some(known) if !is_better(&candidate, known) => {}
            _ => {
                best.insert(name, candidate);
            }
        }
    }
    for (name, candidate) in best {
        let path = |file: &[u8]| [directory, b"/", file].concat();
        // The name is what upgrades keep; but ldconfig would make the link, and nothing is made here.
        let by_name = level.is_none() && matches!(tree.look(&path(&name)), Looked::Found(_));
        entries.push(Entry {
            path: Arc::from(path(if by_name { &name } else { &candidate.file })),
            name: Arc::from(name),
            flags: candidate.flags,
            level: level.map(str::to_owned),
            isa_level: candidate.isa_level,
        });
    }
}

fn candidate(tree: &Tree<'_>, directory: &[u8], file: Vec<u8>, is_link: bool) -> Option<(Vec<u8>, Candidate)> {
    if !is_library_name(&file) {
        return None;
    }
    let path = [directory, b"/", &file].concat();
    let Looked::Found(place) = tree.look(&path) else { return None };
    let facts = tree.facts(place.content.as_ref()?);
    let object = facts.elf.as_ref().ok().filter(|object| object.file_type == FileType::Dynamic)?;
    object.dynamic.as_ref()?;
    let flags = flags(object)?;
    let soname = object.soname().map_or_else(|| file.clone(), |soname| soname.to_vec());
    // A link counts under its own name only when it is the soname, or the linker's `.so`.
    let own_name = is_link && (file == soname || (file.ends_with(b".so") && soname.starts_with(&file)));
    let name = if own_name { file.clone() } else { soname };
    let isa_level = u64::from(object.notes.x86_isa_needed.checked_ilog2().unwrap_or(0));
    Some((name, Candidate { file, is_link: own_name, flags, isa_level }))
}

fn is_better(candidate: &Candidate, known: &Candidate) -> bool {
    let higher = || compare(&known.file, &candidate.file).is_lt();
    (!candidate.is_link && known.is_link) || (candidate.is_link == known.is_link && higher())
}

/// `_dl_is_dso`, without the files that prelink leaves.
fn is_library_name(name: &[u8]) -> bool {
    let library =
        (name.starts_with(b"lib") || name.starts_with(b"ld-")) && memchr::memmem::find(name, b".so").is_some();
    let loader = name.starts_with(b"ld.so.") || name.starts_with(b"ld64.so.");
    (library || loader) && memchr::memmem::find(name, b".#prelink#").is_none()
}

fn flags(object: &Object) -> Option<i32> {
    /// `EF_ARM_ABI_FLOAT_HARD` and `EF_ARM_ABI_FLOAT_SOFT`: without either, any Arm loader takes it.
    const ARM_FLOAT: u32 = 0x600;
    let port = Port::of(object)?;
    let unmarked = object.machine.name() == "arm" && object.flags & ARM_FLOAT == 0;
    if unmarked { port.cache_flags.last().copied() } else { port.cache_flags.first().copied() }
}
