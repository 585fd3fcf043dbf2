//! Libraries that Python code looks for by name: `ctypes.util.find_library("pq")` asks `/sbin/ldconfig -p`, which reads
//! the cache of the image.
//!
//! In: the Python files that the recipe brings. Out: ldconfig, and the libraries that they name as a literal. The cache
//! is written where an image has ldconfig.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;

use super::bring::Found;
use super::lookup::{list, place, there, unreadable};
use super::rules::Rule;
use super::template::Folders;
use super::trigger::library_folder;
use super::{Seen, Want, lookup};
use crate::path::ImagePath;
use crate::report::Result;
use crate::source::Content;
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason};

/// A file of Python is no larger than this.
const LARGEST: u64 = 4 << 20;

/// What is looked for.
const CALL: &[u8] = b"find_library(";

/// The names that each Python file looks for, read once; `None` where it does not look at all.
pub(super) type Asking = BTreeMap<ImagePath, Option<BTreeSet<Vec<u8>>>>;

/// The first file of the recipe that asks for a library.
pub(super) fn who(seen: &Seen<'_>, asking: &mut Asking) -> Result<Option<ImagePath>> {
    read(seen, asking)?;
    Ok(asking.iter().find(|(_, names)| names.is_some()).map(|(path, _)| path.clone()))
}

/// Adds ldconfig, the first of the rule's paths that the root has, and the libraries.
pub(super) fn add(rule: &Rule, seen: &Seen<'_>, asking: &mut Asking, reason: &Reason, found: &mut Found) -> Result<()> {
    let templates = rule.add.iter().flat_map(|add| &add.copy);
    for pattern in templates.flat_map(|template| template.patterns(&Folders::new())) {
        found.looked.extend(lookup::literal(&pattern).map(|path| crate::path::show(&path)));
        let Some(path) = lookup::find(seen.view, &pattern)?.into_iter().next() else { continue };
        let Some(program) = there(seen.view, &path)? else { continue };
        let Some(content) = program.node.content() else { continue };
        // Some distributions have a script at its place, and the program beside it.
        if path.name().ends_with(b".real") {
            let (at, _) =
                place(seen.view, &ImagePath::new(b"/sbin/ldconfig").map_err(crate::report::Error::internal)?)?;
            let entry = Entry::new(EntryKind::File(content.clone()), 0o755, Rank::Need, reason.clone());
            found.wants.push(Want::Make(at, entry));
        } else {
            found.wants.push(Want::Copy(path));
        }
        break;
    }
    if found.wants.is_empty() {
        return Ok(());
    }
    read(seen, asking)?;
    let python = |path: &&ImagePath| path.name().starts_with(b"python3");
    let by = seen.programs.iter().chain(seen.interpreters).find(python);
    for (path, names) in asking.iter() {
        for name in names.iter().flatten() {
            if let Some(library) = library(seen, name)? {
                let because = format!("{path} looks for {}", crate::path::show(name));
                found.because.push((Want::Load { name: library, by: by.cloned() }, because));
            }
        }
    }
    Ok(())
}

/// Reads the Python files that the recipe brings; those of rules are the standard library's, which looks for nothing of
/// its own.
fn read(seen: &Seen<'_>, asking: &mut Asking) -> Result<()> {
    for (path, entry) in seen.image.iter() {
        let by_rule = entry.reasons.iter().all(|reason| matches!(reason.cause, Cause::Rule { .. }));
        let Some(content) = entry.content().filter(|_| path.name().ends_with(b".py") && !by_rule) else { continue };
        if !asking.contains_key(path) {
            let names = names(content).map_err(|error| unreadable(seen.view, path, &error))?;
            asking.insert(path.clone(), names);
        }
    }
    Ok(())
}

fn names(content: &Content) -> std::io::Result<Option<BTreeSet<Vec<u8>>>> {
    if content.size() > LARGEST {
        return Ok(None);
    }
    let text = content.read(LARGEST)?;
    let calls: Vec<usize> = memmem::find_iter(&text, CALL).map(|at| at + CALL.len()).collect();
    let literal = |at: &usize| {
        let rest = text[*at..].trim_ascii_start();
        let quote = *rest.first().filter(|byte| matches!(byte, b'"' | b'\''))?;
        let name = rest[1..].split(|byte| *byte == quote).next()?;
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-+.".contains(byte);
        (!name.is_empty() && name.len() < 100 && name.iter().all(is_name)).then(|| name.to_vec())
    };
    Ok((!calls.is_empty()).then(|| calls.iter().filter_map(literal).collect()))
}

/// The library of a short name: `pq` is `libpq.so.5`. Of several versions the shortest name is the one that programs
/// link.
fn library(seen: &Seen<'_>, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let prefix = [b"lib", name, b".so."].concat();
    let usual = [b"/usr/local/lib".as_slice(), b"/usr/lib", b"/usr/lib64"];
    let folders = library_folder(seen)?.into_iter().chain(usual.into_iter().filter_map(|it| ImagePath::new(it).ok()));
    for folder in folders {
        let names = list(seen.view, &folder)?.into_iter().map(|(name, _)| name);
        let fitting = names.filter(|file| file.strip_prefix(prefix.as_slice()).is_some_and(|rest| !rest.is_empty()));
        if let Some(first) = fitting.min_by_key(|file| (file.len(), file.clone())) {
            return Ok(Some(first));
        }
    }
    Ok(None)
}
