//! Configuration that the image holds, read for what it names: further files, modules to load, programs to start.
//!
//! In: files of the image and, of what they include by name, those of the root. Out: what to bring. What is named and
//! is nowhere is an error that says in which line, unless it lies where the container gets it at run time.

use std::collections::{BTreeSet, VecDeque};

use super::bring::Found;
use super::bringing::{Follow, Naming};
use super::finder::Why;
use super::lookup::{self, there, unreadable};
use super::rules::Rule;
use super::template::{Folders, Template};
use super::{NAMED, Seen, Want, user_glob};
use crate::path::ImagePath;
use crate::report::{Diagnostic, Error, Result};
use crate::tree::{Cause, Rank};

mod openssl;
mod syntax;

pub(super) use syntax::{Directive, Syntax};

/// No configuration is larger.
const LARGEST: u64 = 16 << 20;

/// A place in a configuration file.
pub(super) struct Line<'a> {
    pub(super) file: &'a ImagePath,
    pub(super) number: usize,
}

/// Reads a configuration file of the image, or of the root where the image has none there.
pub(super) fn text(seen: &Seen<'_>, path: &ImagePath) -> Result<Option<(ImagePath, String)>> {
    let Some(found) = there(seen.view, path)? else { return Ok(None) };
    let Some(content) = found.node.content() else { return Ok(None) };
    if content.size() > LARGEST {
        return Ok(None);
    }
    let text = content.read(LARGEST).map_err(|error| unreadable(seen.view, path, &error))?;
    Ok(Some((found.real, String::from_utf8_lossy(&text).into_owned())))
}

/// What is said of something that is named and is nowhere: `Err` when the recipe brings the file that names it.
pub(super) fn missing(
    line: &Line<'_>,
    what: &str,
    seen: &Seen<'_>,
    mounts: &[ImagePath],
    found: &mut Found,
) -> Result<()> {
    let place = format!("{}:{}", line.file, line.number);
    let below = |path: &ImagePath| mounts.iter().find(|mount| path.is_within(mount)).cloned();
    if let Some(mount) = ImagePath::new(what).ok().as_ref().and_then(below) {
        let title = format!("`{place}` names `{what}`, which `mounts` leaves to `{mount}` at run time");
        found.notes.push(Diagnostic::note_of(NAMED, title));
        return Ok(());
    }
    let title = format!("`{place}` names `{what}`, and neither the image nor the root has it");
    let real = there(seen.image, line.file)?.map_or_else(|| line.file.clone(), |found| found.real);
    let entry = seen.image.get(&real);
    let own = entry.is_some_and(|entry| {
        entry.rank > Rank::Need || entry.reasons.iter().any(|reason| !matches!(reason.cause, Cause::Rule { .. }))
    });
    if !own {
        found.notes.push(Diagnostic::warning(NAMED, title));
        return Ok(());
    }
    let span = entry.and_then(|entry| entry.reasons.first()).and_then(|reason| reason.span);
    let error = Diagnostic::error(NAMED, title).at_some(span, "brings the file");
    Err(error
        .help("install what has it in the root, take the line out, or list a folder above it under `mounts`")
        .into())
}

/// The files of the image that its command line names after a program that a rule is for: its configuration. A word may
/// be a path, or end in one after `=`.
pub(super) fn commanded(rule: &Rule, command: &[String], seen: &Seen<'_>) -> Result<Vec<ImagePath>> {
    let is_program = |word: &&String| {
        let Ok(path) = ImagePath::new(word.as_str()) else { return false };
        let real = there(seen.image, &path).ok().flatten().map(|found| found.real);
        let patterns = || rule.when.iter().flat_map(|when| &when.program);
        [Some(path), real].iter().flatten().any(|path| patterns().any(|pattern| pattern.matches(path.as_bytes())))
    };
    let mut files = Vec::new();
    for word in command.iter().skip_while(|word| !is_program(word)).skip(1) {
        let text = word.split_once('=').map_or(word.as_str(), |(_, value)| value);
        let Some(path) = Some(text).filter(|text| text.starts_with('/')).and_then(|text| ImagePath::new(text).ok())
        else {
            continue;
        };
        if there(seen.image, &path)?.is_some_and(|found| found.node.content().is_some()) {
            files.push(path);
        }
    }
    Ok(files)
}

/// Adds what configuration names.
pub(super) fn add(
    follow: &Follow,
    seen: &Seen<'_>,
    folders: &Folders,
    mounts: &[ImagePath],
    commanded: &[ImagePath],
    why: &Why,
    found: &mut Found,
) -> Result<()> {
    let mut queue = VecDeque::new();
    for pattern in follow.file.iter().flat_map(|template| template.patterns(folders)) {
        queue.extend(lookup::find(seen.image, &pattern)?);
    }
    queue.extend(commanded.iter().cloned());
    let mut walk = Walk { follow, seen, folders, mounts, why, found, queue, faults: Vec::new() };
    let mut known = BTreeSet::new();
    while let Some(path) = walk.queue.pop_front() {
        if let Some((real, text)) = text(seen, &path)?
            && known.insert(real)
        {
            walk.file(&path, &text)?;
        }
    }
    if walk.faults.is_empty() { Ok(()) } else { Err(Error(walk.faults)) }
}

struct Walk<'a> {
    follow: &'a Follow,
    seen: &'a Seen<'a>,
    folders: &'a Folders,
    mounts: &'a [ImagePath],
    why: &'a Why,
    found: &'a mut Found,
    queue: VecDeque<ImagePath>,
    faults: Vec<Diagnostic>,
}

/// What a directive names something for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Include,
    Load,
    Copy,
}

impl Walk<'_> {
    fn file(&mut self, path: &ImagePath, text: &str) -> Result<()> {
        for directive in self.follow.syntax.directives(text) {
            let follow = self.follow;
            for (role, namings) in
                [(Role::Include, &follow.include), (Role::Load, &follow.load), (Role::Copy, &follow.copy)]
            {
                for naming in namings.iter().filter(|naming| naming.directive == directive.name) {
                    let Some(argument) = argument(&directive, naming) else { continue };
                    let optional = naming.optional || directive.conditional;
                    let line = Line { file: path, number: directive.line };
                    match self.named(role, argument, optional, &line) {
                        Err(Error(faults)) if faults.iter().all(|fault| fault.code == NAMED) => {
                            self.faults.extend(faults);
                        }
                        other => other?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Something is named. What holds a variable is known only at run time.
    fn named(&mut self, role: Role, text: &str, optional: bool, line: &Line<'_>) -> Result<()> {
        if text.is_empty() || text.contains('$') || text.contains("%{") {
            return Ok(());
        }
        let library = role == Role::Load;
        let text = if library && !text.ends_with(&self.follow.suffix) && !text.contains('/') {
            format!("{text}{}", self.follow.suffix)
        } else {
            text.to_owned()
        };
        let base = if library { &self.follow.libraries } else { &self.follow.base };
        let paths = self.absolute(&text, base.as_ref(), line.file);
        if library && paths.is_empty() {
            self.found.wants.push(Want::Load { name: text.into_bytes(), by: self.why.object.clone() });
            return Ok(());
        }
        if role == Role::Include && text.contains(['*', '?', '[']) {
            for path in paths {
                let matches = user_glob::find(self.seen.image, path.as_bytes());
                self.queue.extend(matches.unwrap_or_default());
            }
            return Ok(());
        }
        for path in &paths {
            let Some(there) = there(self.seen.view, path)? else { continue };
            match role {
                Role::Load => {
                    let (name, by) = (path.as_bytes().to_vec(), self.why.object.clone());
                    self.found.wants.push(Want::Load { name, by });
                }
                Role::Include if there.node.is_directory() => {
                    // Of a folder, only what the image has: its own files are not brought for their company.
                    for (name, _) in lookup::list(self.seen.image, path)? {
                        self.queue.push_back(path.join(&name));
                    }
                }
                Role::Include | Role::Copy => {
                    self.found.wants.push(Want::Copy(path.clone()));
                    if role == Role::Include {
                        self.queue.push_back(path.clone());
                    }
                }
            }
            return Ok(());
        }
        match paths.first() {
            Some(path) if !optional => missing(line, &path.to_string(), self.seen, self.mounts, self.found),
            _ => Ok(()),
        }
    }

    /// A path as the program would make it absolute; several where it may be relative to several folders.
    fn absolute(&self, text: &str, base: Option<&Template>, file: &ImagePath) -> Vec<ImagePath> {
        if text.starts_with('/') {
            return ImagePath::new(text).into_iter().collect();
        }
        let bases: Vec<ImagePath> = match base {
            Some(template) => {
                let literal = |pattern: &Vec<_>| ImagePath::new(lookup::literal(pattern)?).ok();
                template.patterns(self.folders).iter().filter_map(literal).collect()
            }
            None if self.follow.libraries.is_none() && !text.contains('/') && !self.follow.load.is_empty() => {
                Vec::new()
            }
            None => file.parent().into_iter().collect(),
        };
        bases.iter().filter_map(|base| base.join_path(text.as_bytes()).ok()).collect()
    }
}

fn argument<'a>(directive: &'a Directive, naming: &Naming) -> Option<&'a str> {
    let index = naming.argument.map_or(directive.arguments.len().checked_sub(1), |number| number.checked_sub(1));
    directive.arguments.get(index?).map(String::as_str)
}
