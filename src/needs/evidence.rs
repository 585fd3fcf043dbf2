//! What was learnt of the image's objects so far: each is asked for its imports, and each file searched, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::lookup::{there, unreadable};
use super::rules::{Around, TABLE, Version};
use super::{Level, Libc, Seen, distribution, scan};
use crate::path::ImagePath;
use crate::report::Result;
use crate::source;

/// What was learnt so far.
#[derive(Default)]
pub(super) struct Evidence {
    imports: BTreeMap<ImagePath, BTreeSet<&'static str>>,
    strings: BTreeMap<(ImagePath, Level), BTreeSet<&'static str>>,
    folders: BTreeMap<(ImagePath, Around), Vec<ImagePath>>,
    glibc: Option<Stated>,
}

/// What libc.so.6 says of its version.
#[derive(Clone, Copy)]
struct Stated(Option<(u32, u32)>);

/// Every symbol that some rule asks for.
static SYMBOLS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let all = TABLE.iter().flat_map(|rule| &rule.when);
    all.flat_map(|when| when.imports.iter().chain(&when.and_imports)).map(String::as_str).collect()
});

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

    /// Which of the texts that rules of a level look for a program holds. Those of optional rules are looked for apart:
    /// only `check` wants them.
    pub(super) fn strings(
        &mut self,
        seen: &Seen<'_>,
        program: &ImagePath,
        level: Level,
    ) -> Result<&BTreeSet<&'static str>> {
        let level = level.min(Level::Recommended);
        let key = (program.clone(), level);
        if !self.strings.contains_key(&key) {
            let needles = needles(level);
            let found = match there(seen.view, program)?.as_ref().and_then(|found| found.node.content()) {
                Some(content) => {
                    scan::which(content, &needles).map_err(|error| unreadable(seen.view, program, &error))?
                }
                None => BTreeSet::new(),
            };
            self.strings.insert(key.clone(), found);
        }
        Ok(&self.strings[&key])
    }

    /// The folders whose names are compiled into an object.
    pub(super) fn folders(&mut self, seen: &Seen<'_>, object: &ImagePath, around: &Around) -> Result<&[ImagePath]> {
        let key = (object.clone(), around.clone());
        if !self.folders.contains_key(&key) {
            let mut folders = Vec::new();
            if let Some(content) = there(seen.view, object)?.as_ref().and_then(|found| found.node.content()) {
                let texts = scan::between(content, around).map_err(|error| unreadable(seen.view, object, &error))?;
                folders.extend(texts.iter().filter_map(|text| folder(seen, text)));
            }
            self.folders.insert(key.clone(), folders);
        }
        Ok(&self.folders[&key])
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
    distribution::glibc_version(content).map_err(|error| unreadable(seen.view, &libc.real, &error))
}

/// The texts that rules of a level look for in programs, and what stands before the folders that they look for there.
fn needles(level: Level) -> Vec<&'static str> {
    let whens =
        TABLE.iter().flat_map(|rule| rule.when.iter().map(move |when| (when.level.unwrap_or(rule.level), when)));
    let of_level = whens.filter(|(of, _)| (*of).min(Level::Recommended) == level);
    let mut needles: BTreeSet<&str> = of_level.flat_map(|(_, when)| when.string.iter().map(String::as_str)).collect();
    if level == Level::Recommended {
        let folders = TABLE.iter().flat_map(|rule| &rule.directory).filter(|directory| directory.programs);
        needles.extend(folders.map(|directory| directory.string.before.as_str()));
    }
    needles.into_iter().collect()
}

/// A compiled-in text as a folder. `..` in it is walked as the kernel would.
fn folder(seen: &Seen<'_>, text: &[u8]) -> Option<ImagePath> {
    if text.first() != Some(&b'/') || text.iter().any(u8::is_ascii_control) {
        return None;
    }
    ImagePath::new(text).ok().or_else(|| Some(source::resolve(seen.view, text).ok()?.real))
}
