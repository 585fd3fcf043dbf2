//! Whether a rule applies, and what sets it off.

use super::evidence::Evidence;
use super::lookup::there;
use super::rules::{LibcName, Rule, When, Within};
use super::template::{Folders, Pattern, Template};
use super::{Level, Libc, Object, Seen, find_library, lookup, variables};
use crate::path::{ImagePath, show};
use crate::report::Result;

/// What sets a rule off.
pub(super) struct Trigger {
    /// As `links libssl.so.3`.
    pub(super) text: String,
    /// How much the rule matters then.
    pub(super) level: Level,
    /// The object that does, where one does.
    pub(super) object: Option<ImagePath>,
}

/// What a condition holds by: in words, and the object.
type Held = (String, Option<ImagePath>);

impl Object {
    /// Whether others know it by this name.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.soname.as_deref() == Some(name) || self.names.iter().any(|known| known == name)
    }

    /// The name that fits a pattern: the soname first, then those by which others ask for it.
    pub(super) fn fits(&self, pattern: &Pattern) -> Option<&[u8]> {
        self.soname.iter().chain(&self.names).map(Vec::as_slice).find(|name| pattern.matches(name))
    }

    pub(super) fn fits_any(&self, patterns: &[Pattern]) -> Option<&[u8]> {
        patterns.iter().find_map(|pattern| self.fits(pattern))
    }
}

/// Whether the image's C library is one that the rule is for. Static programs may be of any.
pub(super) fn right_libc(rule: &Rule, seen: &Seen<'_>) -> bool {
    let Some(only) = &rule.only else { return true };
    match seen.libc {
        None => true,
        Some(Libc::Glibc(_)) => only.libc == LibcName::Glibc,
        Some(Libc::Musl) => only.libc == LibcName::Musl,
    }
}

/// What sets a rule off, of the conditions that matter at least as much as `least`: the one that matters most.
pub(super) fn trigger(rule: &Rule, seen: &Seen<'_>, evidence: &mut Evidence, least: Level) -> Result<Option<Trigger>> {
    if !right_libc(rule, seen) || seen.objects.iter().any(|object| object.fits_any(&rule.unless_soname).is_some()) {
        return Ok(None);
    }
    for level in [Level::Required, Level::Recommended, Level::Optional].into_iter().filter(|level| *level >= least) {
        for when in rule.when.iter().filter(|when| when.level.unwrap_or(rule.level) == level) {
            if let Some((text, object)) = when.holds(seen, evidence, level)? {
                return Ok(Some(Trigger { text, level, object }));
            }
        }
    }
    Ok(None)
}

impl When {
    fn holds(&self, seen: &Seen<'_>, evidence: &mut Evidence, level: Level) -> Result<Option<Held>> {
        if let Some(limit) = self.glibc_before
            && !evidence.glibc_before(seen, limit)?
        {
            return Ok(None);
        }
        if file_in(&self.unless_file, seen)?.is_some() {
            return Ok(None);
        }
        let linked =
            |object: &Object| Some((format!("links {}", show(object.fits_any(&self.soname)?)), object.real.clone()));
        if let Some((text, object)) = seen.objects.iter().find_map(linked) {
            return Ok(Some((text, Some(object))));
        }
        let fits = |path: &&ImagePath, patterns: &[Pattern]| patterns.iter().any(|p| p.matches(path.as_bytes()));
        let objects = seen.objects.iter().map(|object| &object.real);
        if let Some(path) =
            seen.programs.iter().chain(seen.interpreters).chain(objects).find(|path| fits(path, &self.program))
        {
            return Ok(Some((format!("the image has {path}"), Some(path.clone()))));
        }
        if let Some(path) = seen.interpreters.iter().find(|path| fits(path, &self.interpreter)) {
            return Ok(Some((format!("a script is run by {path}"), Some(path.clone()))));
        }
        if let Some(path) = file_in(&self.file, seen)? {
            return Ok(Some((format!("the image has {path}"), None)));
        }
        if self.zone
            && let Some(zone) = variables::zone(seen)?
        {
            return Ok(Some((variables::sets("TZ", &zone), None)));
        }
        if self.find_library
            && let Some(path) = find_library::who(seen, &mut evidence.asking)?
        {
            return Ok(Some((format!("{path} calls find_library"), None)));
        }
        if let Some(held) = self.imported(seen, evidence)? {
            return Ok(Some(held));
        }
        self.text_in(seen, evidence, level)
    }

    fn imported(&self, seen: &Seen<'_>, evidence: &mut Evidence) -> Result<Option<Held>> {
        if self.imports.is_empty() {
            return Ok(None);
        }
        let excepted = |path: &ImagePath| {
            let object = seen.objects.iter().find(|object| object.real == *path);
            object.is_some_and(|object| object.fits_any(&self.except).is_some())
        };
        let libraries = seen.objects.iter().map(|object| &object.real).filter(|_| self.within == Within::Objects);
        for path in seen.programs.iter().chain(libraries).filter(|path| !excepted(path)) {
            let imported = evidence.imports(seen, path)?;
            let one_of = |names: &[String]| names.iter().find(|name| imported.contains(name.as_str())).cloned();
            if let Some(symbol) = one_of(&self.imports)
                && (self.and_imports.is_empty() || one_of(&self.and_imports).is_some())
            {
                return Ok(Some((format!("{path} imports {symbol}"), Some(path.clone()))));
            }
        }
        Ok(None)
    }

    fn text_in(&self, seen: &Seen<'_>, evidence: &mut Evidence, level: Level) -> Result<Option<Held>> {
        if self.string.is_empty() {
            return Ok(None);
        }
        for program in seen.programs {
            for text in &self.string {
                if evidence.holds(seen, program, text, level)? {
                    return Ok(Some((format!("{program} names {}", text.shown()), Some(program.clone()))));
                }
            }
        }
        Ok(None)
    }
}

/// The first of some paths that the image has.
fn file_in(files: &[Template], seen: &Seen<'_>) -> Result<Option<ImagePath>> {
    for pattern in files.iter().flat_map(|template| template.patterns(&Folders::new())) {
        if let Some(path) = lookup::find(seen.image, &pattern)?.into_iter().next() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Whether something outside of the C library sets a locale.
pub(super) fn sets_locale(seen: &Seen<'_>, evidence: &mut Evidence) -> Result<bool> {
    for object in seen.objects.iter().filter(|object| !object.is(b"libc.so.6")) {
        let imported = evidence.imports(seen, &object.real)?;
        if imported.contains("setlocale") || imported.contains("newlocale") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The folder of the C library: what `{libdir}` stands for.
pub(super) fn library_folder(seen: &Seen<'_>) -> Result<Option<ImagePath>> {
    let by_name = |name: &[u8]| name == b"libc.so.6" || name.starts_with(b"ld-musl-");
    let is_libc = |object: &&Object| {
        object.soname.iter().chain(&object.names).any(|name| by_name(name)) || by_name(object.real.name())
    };
    let Some(libc) = seen.objects.iter().find(is_libc) else { return Ok(None) };
    let Some(folder) = libc.real.parent() else { return Ok(None) };
    // musl's loader stands in /lib, its libraries in /usr/lib.
    if matches!(seen.libc, Some(Libc::Musl)) && folder.as_bytes() == b"/lib" {
        let usr = folder_named("/usr/lib");
        return Ok(Some(if there(seen.view, &usr)?.is_some() { usr } else { folder }));
    }
    Ok(Some(folder))
}

/// A folder's path that is written in the code.
pub(super) fn folder_named(path: &'static str) -> ImagePath {
    ImagePath::new(path).expect("paths in the code are absolute")
}
