//! What a rule brings, looked up in the root: its paths, filled in with the folders that objects have compiled in.

use super::bringing::{Add, Directory};
use super::certificates;
use super::evidence::Evidence;
use super::finder::{Told, Why};
use super::lookup::{self, there};
use super::rules::{Builtin, Rule};
use super::template::{Folders, Template};
use super::trigger::library_folder;
use super::{Family, Seen, Want, busybox, find_library, fips, follow, jars, keystore, locale, nsswitch, pam};
use crate::path::ImagePath;
use crate::report::{Diagnostic, Result};
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

/// What a rule found.
#[derive(Default)]
pub(super) struct Found {
    /// What to bring.
    pub(super) wants: Vec<Want>,
    /// What to bring for a reason of its own in place of the rule's trigger.
    pub(super) because: Vec<(Want, String)>,
    /// Where it was looked for, for a person.
    pub(super) looked: Vec<String>,
    /// Whether nothing more is wanted though nothing is brought: the image has its own.
    pub(super) satisfied: bool,
    /// What a person should know.
    pub(super) notes: Vec<Diagnostic>,
}

/// Looks up what a rule brings.
pub(super) fn bring(
    rule: &'static Rule,
    seen: &Seen<'_>,
    why: &Why,
    told: &Told<'_>,
    evidence: &mut Evidence,
    reason: &Reason,
) -> Result<Found> {
    let mut found = Found::default();
    let folders = folders(rule, seen, why, evidence)?;
    match (rule.builtin, &why.ask.argument) {
        (Some(Builtin::Certificates), _) => {
            certificates::add(rule, seen, told.company, &folders, reason, &mut found)?;
            return Ok(found);
        }
        (Some(Builtin::Busybox), _) => {
            busybox::add(rule, seen, reason, &mut found)?;
            return Ok(found);
        }
        (Some(Builtin::FindLibrary), _) => {
            find_library::add(rule, seen, &mut evidence.asking, reason, &mut found)?;
            return Ok(found);
        }
        (Some(Builtin::Locale), Some(name)) => locale::add(name, seen, reason, &mut found)?,
        (Some(Builtin::Nsswitch), _) => nsswitch::add(seen, told.mounts, &mut found)?,
        (Some(Builtin::Pam), _) => pam::add(&folders, seen, told.mounts, evidence, &mut found)?,
        (Some(Builtin::Jars), _) => jars::add(seen, &folders, &mut evidence.jars, &mut found)?,
        (Some(Builtin::Keystore), _) => keystore::add(seen, told.company, &folders, reason, &mut found)?,
        (Some(Builtin::Fips), _) => fips::name(&folders, seen, &mut found)?,
        (Some(Builtin::Locale) | None, _) => {}
    }
    for add in &rule.add {
        let in_family = add.family.is_none_or(|family| seen.family == family || seen.family == Family::Other);
        let asked_for = !add.full || why.ask.argument.as_deref() == Some("full");
        let by_glibc = match add.glibc_before {
            Some(limit) => evidence.glibc_before(seen, limit)?,
            None => true,
        };
        let is_beside = |name| seen.objects.iter().any(|object| object.fits(name).is_some());
        if in_family && asked_for && by_glibc && add.beside.as_ref().is_none_or(is_beside) {
            if has_own(add, seen, &folders)? {
                found.satisfied = true;
                continue;
            }
            list(add, seen, &folders, why, &mut found)?;
            make(add, told.owner, seen, &folders, reason, &mut found)?;
        }
    }
    for follow in &rule.follow {
        let own = if follow.commanded { follow::commanded(rule, told.command, seen)? } else { Vec::new() };
        follow::add(follow, seen, &folders, told.mounts, &own, why, &mut found)?;
    }
    Ok(found)
}

/// Whether the recipe brings its own in place of a list of paths.
fn has_own(add: &Add, seen: &Seen<'_>, folders: &Folders) -> Result<bool> {
    for pattern in add.unless.iter().flat_map(|template| template.patterns(folders)) {
        for path in lookup::find(seen.image, &pattern)? {
            let real = there(seen.image, &path)?.map_or(path, |found| found.real);
            let by_rule = |entry: &Entry| entry.reasons.iter().all(|reason| matches!(reason.cause, Cause::Rule { .. }));
            if seen.image.get(&real).is_some_and(|entry| entry.rank > Rank::Need || !by_rule(entry)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Makes the folders that programs want empty, unless the image has them.
fn make(
    add: &Add,
    owner: (u32, u32),
    seen: &Seen<'_>,
    folders: &Folders,
    reason: &Reason,
    found: &mut Found,
) -> Result<()> {
    let wanted = add.make.iter().map(|template| (template, (0, 0)));
    let wanted = wanted.chain(add.make_writable.iter().map(|template| (template, owner)));
    for (template, (uid, gid)) in wanted {
        for literal in template.patterns(folders).iter().filter_map(|pattern| lookup::literal(pattern)) {
            let Ok(path) = ImagePath::new(&literal) else { continue };
            let (real, _) = lookup::place(seen.view, &path)?;
            if seen.image.get(&real).is_none() {
                let entry = Entry::new(EntryKind::Directory, 0o755, Rank::Need, reason.clone());
                found.wants.push(Want::Make(real, Entry { uid, gid, ..entry }));
            }
        }
        found.satisfied = true;
    }
    Ok(())
}

/// Whether the recipe copies this very folder: then it has chosen what of it to leave out. A folder that packages share
/// is not chosen.
fn is_of_the_recipe(image: &Tree, folder: &ImagePath) -> bool {
    let by_package = |entry: &Entry| entry.reasons.iter().all(|reason| matches!(reason.cause, Cause::Package(_)));
    image.get(folder).is_some_and(|entry| entry.rank >= Rank::Folder && !by_package(entry))
}

/// Looks up one list of paths.
fn list(add: &Add, seen: &Seen<'_>, folders: &Folders, why: &Why, found: &mut Found) -> Result<()> {
    for template in &add.copy {
        let paths = paths(template, seen, folders, found)?;
        found.wants.extend(paths.into_iter().map(Want::Copy));
    }
    for part in &add.folder {
        for path in paths(&part.path, seen, folders, found)? {
            if is_of_the_recipe(seen.image, &path) {
                found.satisfied = true;
            } else {
                found.wants.push(Want::Folder { path, exclude: part.exclude.clone() });
            }
        }
    }
    let by = add.by.as_ref().and_then(|by| seen.objects.iter().find(|object| object.fits(by).is_some()));
    let by = by.map(|object| object.real.clone()).or_else(|| why.object.clone().filter(|_| add.by.is_none()));
    let load = |name: &[u8]| Want::Load { name: name.to_vec(), by: by.clone() };
    for template in &add.load {
        if template.is_name() {
            found.wants.push(load(template.text().as_bytes()));
            continue;
        }
        let paths = paths(template, seen, folders, found)?;
        found.wants.extend(paths.iter().map(|path| load(path.as_bytes())));
    }
    Ok(())
}

/// The paths of a template that are there.
fn paths(template: &Template, seen: &Seen<'_>, folders: &Folders, found: &mut Found) -> Result<Vec<ImagePath>> {
    let mut paths = Vec::new();
    for pattern in template.patterns(folders) {
        paths.extend(lookup::find(seen.view, &pattern)?);
    }
    found.looked.push(template.text().to_owned());
    Ok(paths)
}

/// What the names in braces stand for. Where a folder usually is counts only when the recipe asks and no object says.
fn folders(rule: &'static Rule, seen: &Seen<'_>, why: &Why, evidence: &mut Evidence) -> Result<Folders> {
    let mut folders = Folders::new();
    folders.insert("libdir".to_owned(), library_folder(seen)?.iter().map(|path| path.as_bytes().to_vec()).collect());
    for directory in &rule.directory {
        let mut known: Vec<Vec<u8>> = match &directory.real {
            Some(capture) => {
                let objects = seen.objects.iter().map(|object| &object.real);
                let all = seen.programs.iter().chain(seen.interpreters).chain(objects);
                all.filter_map(|path| capture.take(path.as_bytes())).map(<[u8]>::to_vec).collect()
            }
            None => compiled_in(directory, seen, evidence)?.iter().map(|path| path.as_bytes().to_vec()).collect(),
        };
        let usual = directory.usual.get(&seen.family).and_then(|path| ImagePath::new(path).ok());
        if let Some(usual) = usual.filter(|_| known.is_empty() && why.trigger.is_empty())
            && there(seen.view, &usual)?.is_some()
        {
            known.push(usual.as_bytes().to_vec());
        }
        let all = folders.entry(directory.name.clone()).or_default();
        all.append(&mut known);
        all.sort();
        all.dedup();
    }
    Ok(folders)
}

/// A folder as the objects have it compiled in. One that a program names must be there: it may be a build machine's.
fn compiled_in(directory: &'static Directory, seen: &Seen<'_>, evidence: &mut Evidence) -> Result<Vec<ImagePath>> {
    let mut known: Vec<ImagePath> = Vec::new();
    for object in seen.objects.iter().filter(|object| directory.looks_into(object)) {
        known.extend(evidence.folders(seen, object, directory)?);
    }
    if directory.programs && known.is_empty() {
        for program in seen.programs {
            if let Some(folder) = evidence.folder_in_program(seen, program, directory)?
                && there(seen.view, &folder)?.is_some()
            {
                known.push(folder);
            }
        }
    }
    known.sort();
    known.dedup();
    Ok(known)
}
