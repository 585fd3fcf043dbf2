//! What a rule brings, looked up in the root: its paths, filled in with the folders that objects have compiled in.

use super::certificates::{self, Company};
use super::evidence::Evidence;
use super::finder::Why;
use super::lookup::{self, there};
use super::rules::{Add, Builtin, Directory, Rule};
use super::template::{Folders, Template};
use super::trigger::library_folder;
use super::{Family, Seen, Want, busybox, locale, nsswitch};
use crate::path::ImagePath;
use crate::report::Result;
use crate::tree::Reason;

/// What a rule found.
#[derive(Default)]
pub(super) struct Found {
    /// What to bring.
    pub(super) wants: Vec<Want>,
    /// Where it was looked for, for a person.
    pub(super) looked: Vec<String>,
}

/// Looks up what a rule brings.
pub(super) fn bring(
    rule: &'static Rule,
    seen: &Seen<'_>,
    why: &Why,
    company: &Company,
    evidence: &mut Evidence,
    reason: &Reason,
) -> Result<Found> {
    let mut found = Found::default();
    let folders = folders(rule, seen, why, evidence)?;
    match (rule.builtin, &why.ask.argument) {
        (Some(Builtin::Certificates), _) => {
            certificates::add(rule, seen, company, &folders, reason, &mut found)?;
            return Ok(found);
        }
        (Some(Builtin::Busybox), _) => {
            busybox::add(rule, seen, reason, &mut found)?;
            return Ok(found);
        }
        (Some(Builtin::Locale), Some(name)) => locale::add(name, seen, reason, &mut found)?,
        (Some(Builtin::Nsswitch), _) => nsswitch::add(seen, &mut found)?,
        (Some(Builtin::Locale) | None, _) => {}
    }
    for add in &rule.add {
        let in_family = add.family.is_none_or(|family| seen.family == family || seen.family == Family::Other);
        let asked_for = !add.full || why.ask.argument.as_deref() == Some("full");
        let by_glibc = match add.glibc_before {
            Some(limit) => evidence.glibc_before(seen, limit)?,
            None => true,
        };
        if in_family && asked_for && by_glibc {
            list(add, seen, &folders, &mut found)?;
        }
    }
    Ok(found)
}

/// Looks up one list of paths.
fn list(add: &Add, seen: &Seen<'_>, folders: &Folders, found: &mut Found) -> Result<()> {
    for template in &add.copy {
        let paths = paths(template, seen, folders, found)?;
        found.wants.extend(paths.into_iter().map(Want::Copy));
    }
    for part in &add.folder {
        let paths = paths(&part.path, seen, folders, found)?;
        found.wants.extend(paths.into_iter().map(|path| Want::Folder { path, exclude: part.exclude.clone() }));
    }
    let by = add.by.as_ref().and_then(|by| seen.objects.iter().find(|object| object.fits(by).is_some()));
    let load = |name: &[u8]| Want::Load { name: name.to_vec(), by: by.map(|object| object.real.clone()) };
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
    folders.insert("libdir".to_owned(), library_folder(seen)?.into_iter().collect());
    for directory in &rule.directory {
        let mut known = compiled_in(directory, seen, evidence)?;
        let usual = directory.usual.get(&seen.family).and_then(|path| ImagePath::new(path).ok());
        if let Some(usual) = usual.filter(|_| known.is_empty() && why.trigger.is_empty())
            && there(seen.view, &usual)?.is_some()
        {
            known.push(usual);
        }
        folders.insert(directory.name.clone(), known);
    }
    Ok(folders)
}

/// A folder as the objects have it compiled in. One that a program names must be there: it may be a build machine's.
fn compiled_in(directory: &'static Directory, seen: &Seen<'_>, evidence: &mut Evidence) -> Result<Vec<ImagePath>> {
    let mut known: Vec<ImagePath> = Vec::new();
    for object in seen.objects.iter().filter(|object| object.fits(&directory.soname).is_some()) {
        known.extend(evidence.folder(seen, object, directory)?);
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
