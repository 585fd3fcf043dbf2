//! What was learnt of the image's objects so far: each is asked for its imports, and each file searched, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use super::bringing::{Around, Directory};
use super::find_library::Asking;
use super::jars::Jars;
use super::learnt::Texts;
use super::lookup::{there, unreadable};
use super::rules::{TABLE, Version};
use super::scan::{Hit, paths};
use super::{Level, Libc, Object, Seen};
use crate::path::ImagePath;
use crate::report::Result;
use crate::source;

/// What was learnt so far.
#[derive(Default)]
pub(super) struct Evidence {
    imports: BTreeMap<ImagePath, BTreeSet<&'static str>>,
    /// What programs hold, of the texts that rules of a level look for.
    programs: BTreeMap<(ImagePath, Level), Arc<Texts>>,
    /// The folders that objects have compiled in.
    objects: BTreeMap<ImagePath, Arc<Texts>>,
    /// The paths that objects have compiled in, of those that rules look for.
    paths: BTreeMap<ImagePath, Vec<Vec<u8>>>,
    glibc: Option<Stated>,
    /// What the image's jars hold.
    pub(super) jars: Jars,
    /// What the recipe's Python code looks for.
    pub(super) asking: Asking,
}

/// What libc.so.6 says of its version.
#[derive(Clone, Copy)]
struct Stated(Option<(u32, u32)>);

/// Every symbol that some rule asks for.
static SYMBOLS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let all = TABLE.iter().flat_map(|rule| &rule.when);
    all.flat_map(|when| when.imports.iter().chain(&when.and_imports)).map(String::as_str).collect()
});

fn directories() -> impl Iterator<Item = &'static Directory> {
    TABLE.iter().flat_map(|rule| &rule.directory)
}

impl Evidence {
    /// Which of the table's symbols an object imports.
    pub(super) fn imports(&mut self, seen: &Seen<'_>, object: &ImagePath) -> Result<&BTreeSet<&'static str>> {
        if !self.imports.contains_key(object) {
            let imported = (seen.imports)(object).map_err(|error| unreadable(seen.view, object, &error))?;
            let known = SYMBOLS.iter().copied().filter(|symbol| imported.contains(symbol.as_bytes())).collect();
            self.imports.insert(object.clone(), known);
        }
        Ok(&self.imports[object])
    }

    /// Whether a program holds a text that a rule of this level looks for.
    pub(super) fn holds(&mut self, seen: &Seen<'_>, program: &ImagePath, text: &Around, level: Level) -> Result<bool> {
        Ok(self.program(seen, program, level)?.get(text).is_some_and(|hit| hit.there))
    }

    /// All that rules of a level look for in a program, in one pass. What optional rules look for is apart: only
    /// `check` wants it.
    fn program(&mut self, seen: &Seen<'_>, program: &ImagePath, level: Level) -> Result<&Texts> {
        let key = (program.clone(), level.min(Level::Recommended));
        if !self.programs.contains_key(&key) {
            let whens =
                TABLE.iter().flat_map(|rule| rule.when.iter().map(|when| (when.level.unwrap_or(rule.level), when)));
            let of_level = whens.filter(|(of, _)| (*of).min(Level::Recommended) == key.1);
            let mut wanted: BTreeSet<&'static Around> = of_level.flat_map(|(_, when)| &when.string).collect();
            if key.1 == Level::Recommended {
                let directories = directories().filter(|directory| directory.programs);
                wanted.extend(directories.filter_map(|directory| directory.string.as_ref()));
            }
            let texts = look(seen, program, wanted)?;
            self.programs.insert(key.clone(), texts);
        }
        Ok(&self.programs[&key])
    }

    /// The folders that an object has compiled in.
    pub(super) fn folders(
        &mut self,
        seen: &Seen<'_>,
        object: &Object,
        directory: &'static Directory,
    ) -> Result<Vec<ImagePath>> {
        if let Some(around) = &directory.string {
            if !self.objects.contains_key(&object.real) {
                let fitting = directories().filter(|directory| directory.looks_into(object));
                let texts = look(seen, &object.real, fitting.filter_map(|one| one.string.as_ref()).collect())?;
                self.objects.insert(object.real.clone(), texts);
            }
            return Ok(folder(seen, self.objects[&object.real].get(around)).into_iter().collect());
        }
        let Some(pattern) = &directory.paths else { return Ok(Vec::new()) };
        if !self.paths.contains_key(&object.real) {
            let patterns = directories().filter(|one| one.looks_into(object)).filter_map(|one| one.paths.as_ref());
            let patterns: Vec<_> = patterns.collect();
            let found = there(seen.view, &object.real)?;
            let texts = match found.as_ref().and_then(|found| found.node.content()) {
                None => BTreeSet::new(),
                Some(content) => paths(content, &|text| patterns.iter().any(|pattern| pattern.matches(text)))
                    .map_err(|error| unreadable(seen.view, &object.real, &error))?,
            };
            self.paths.insert(object.real.clone(), texts.into_iter().collect());
        }
        let fitting = self.paths[&object.real].iter().filter(|text| pattern.matches(text));
        let mut folders = Vec::new();
        for path in fitting.filter_map(|text| ImagePath::new(text).ok()).collect::<BTreeSet<_>>() {
            let Some(found) = there(seen.view, &path)? else { continue };
            let has = match &directory.has {
                Some(name) => {
                    path.join_path(name.as_bytes()).map_or(Ok(None), |below| there(seen.view, &below))?.is_some()
                }
                None => true,
            };
            if has && found.node.is_directory() {
                folders.push(path);
            }
        }
        Ok(folders)
    }

    /// The folder that a program has compiled in, of a library that is part of it.
    pub(super) fn folder_in_program(
        &mut self,
        seen: &Seen<'_>,
        program: &ImagePath,
        directory: &'static Directory,
    ) -> Result<Option<ImagePath>> {
        let texts = self.program(seen, program, Level::Recommended)?;
        Ok(folder(seen, directory.string.as_ref().and_then(|around| texts.get(around))))
    }

    /// glibc's version: as given, or as libc.so.6 states it.
    fn glibc(&mut self, seen: &Seen<'_>) -> Result<Option<(u32, u32)>> {
        let Some(Libc::Glibc(given)) = seen.libc else { return Ok(None) };
        if given.is_some() {
            return Ok(given);
        }
        if let Some(Stated(version)) = self.glibc {
            return Ok(version);
        }
        let version = stated(seen)?;
        self.glibc = Some(Stated(version));
        Ok(version)
    }

    /// Whether the image's C library is a glibc older than `limit`. One whose version is unknown is not.
    pub(super) fn glibc_before(&mut self, seen: &Seen<'_>, limit: Version) -> Result<bool> {
        Ok(self.glibc(seen)?.is_some_and(|(major, minor)| Version(major, minor) < limit))
    }
}

fn stated(seen: &Seen<'_>) -> Result<Option<(u32, u32)>> {
    let Some(libc) = seen.objects.iter().find(|object| object.is(b"libc.so.6")) else { return Ok(None) };
    let found = there(seen.view, &libc.real)?;
    let Some(content) = found.as_ref().and_then(|found| found.node.content()) else { return Ok(None) };
    seen.learnt.glibc(content).map_err(|error| unreadable(seen.view, &libc.real, &error))
}

/// Looks for texts in a file.
fn look(seen: &Seen<'_>, path: &ImagePath, wanted: BTreeSet<&'static Around>) -> Result<Arc<Texts>> {
    let found = there(seen.view, path)?;
    let Some(content) = found.as_ref().and_then(|found| found.node.content()) else { return Ok(Arc::default()) };
    seen.learnt.texts(content, wanted.into_iter().collect()).map_err(|error| unreadable(seen.view, path, &error))
}

/// A compiled-in text as a folder. `..` in it is walked as the kernel would.
fn folder(seen: &Seen<'_>, hit: Option<&Hit>) -> Option<ImagePath> {
    let text = hit?.text.as_deref()?;
    if text.first() != Some(&b'/') || text.iter().any(u8::is_ascii_control) {
        return None;
    }
    ImagePath::new(text).ok().or_else(|| Some(source::resolve(seen.view, text).ok()?.real))
}
