//! What a loader has mapped so far, in the words that glibc's and musl's rules share.

use std::collections::HashSet;
use std::sync::Arc;

use super::headers::Facts;
use super::tree::Tree;
use super::{
    Alias, Because, Bytes, DlopenNote, Fatal, FatalReason, Found, Loaded, Missing, NotTaken, Refusal, Resolution,
    Unreadable, VersionError, Warning,
};
use crate::path::ImagePath;
use crate::source::Content;

/// For so many missing names what comes near is looked for.
const MOST_WITH_NEAR_MISSES: usize = 50;

/// What was mapped and what was not.
#[derive(Debug, Clone, Default)]
pub(super) struct Mapping {
    pub(super) objects: Vec<Loaded>,
    pub(super) order: Vec<usize>,
    pub(super) aliases: Vec<Alias>,
    pub(super) missing: Vec<Missing>,
    pub(super) missing_optional: Vec<Missing>,
    /// The names of both, by whether they may be missing.
    pub(super) missing_names: HashSet<(Bytes, bool)>,
    pub(super) version_errors: Vec<VersionError>,
    pub(super) warnings: Vec<Warning>,
    pub(super) dlopen_notes: Vec<DlopenNote>,
    pub(super) least_glibc: Option<(u32, u32)>,
    /// The first place on any search that could not be read: what would be loaded is not known then.
    pub(super) unreadable: Option<Fatal>,
}

/// What holds for the process that is looked at, whatever its loader.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) tree: &'a Tree<'a>,
    pub(super) library_path: &'a [u8],
    pub(super) preload: &'a [u8],
    pub(super) secure: bool,
}

/// The file that is started, or looked at as if it were.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// The path by which it is named.
    pub(super) path: Bytes,
    pub(super) real: ImagePath,
    pub(super) content: Content,
    pub(super) facts: Arc<Facts>,
    pub(super) elf: Arc<crate::elf::Object>,
    /// The directory that `$ORIGIN` stands for.
    pub(super) origin: Bytes,
}

/// A file that was opened for a name.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) path: Bytes,
    pub(super) real: ImagePath,
    pub(super) content: Content,
    pub(super) facts: Arc<Facts>,
    pub(super) found: Found,
}

/// Who asks for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) by: usize,
    pub(super) name: &'a Bytes,
    pub(super) because: Because,
}

impl Mapping {
    /// Puts what was found into the answer.
    pub(super) fn into_resolution(self, resolution: &mut Resolution) {
        resolution.objects = self.objects;
        resolution.order = self.order;
        resolution.aliases = self.aliases;
        resolution.missing = self.missing;
        resolution.missing_optional = self.missing_optional;
        resolution.version_errors = self.version_errors;
        resolution.warnings = self.warnings;
        resolution.dlopen_notes = self.dlopen_notes;
        resolution.least_glibc = self.least_glibc;
    }

    /// What was added since an earlier time. Objects are all there: others refer to them.
    pub(super) fn since(&self, before: &Self) -> Self {
        fn rest<T: Clone>(now: &[T], before: &[T]) -> Vec<T> {
            now.get(before.len()..).unwrap_or_default().to_vec()
        }
        Self {
            objects: self.objects.clone(),
            order: (before.objects.len()..self.objects.len()).collect(),
            aliases: rest(&self.aliases, &before.aliases),
            missing: rest(&self.missing, &before.missing),
            missing_optional: rest(&self.missing_optional, &before.missing_optional),
            missing_names: HashSet::new(),
            version_errors: rest(&self.version_errors, &before.version_errors),
            warnings: rest(&self.warnings, &before.warnings),
            dlopen_notes: rest(&self.dlopen_notes, &before.dlopen_notes),
            least_glibc: self.least_glibc,
            unreadable: None,
        }
    }

    /// Adds what was asked for.
    pub(super) fn start(&mut self, start: &Start) {
        self.objects.push(Loaded {
            names: Vec::new(),
            path: Arc::clone(&start.path),
            real: start.real.clone(),
            content: start.content.clone(),
            elf: Arc::clone(&start.elf),
            found: Found::Requested,
            needed_by: None,
            because: Because::Requested,
        });
    }

    /// Notes another name for an object.
    pub(super) fn alias(&mut self, name: &Bytes, path: Option<Bytes>, object: usize) {
        self.aliases.push(Alias { name: Arc::clone(name), path, object });
    }

    /// Takes note that a place could not be read, where that is what went wrong. Who asked may go on without the file;
    /// a program that is searched by someone else may find it.
    pub(super) fn note_unreadable(&mut self, fatal: &Fatal) {
        if matches!(fatal.reason, FatalReason::Unreadable(_)) {
            self.unreadable.get_or_insert_with(|| fatal.clone());
        }
    }

    /// Takes note that a name is missing, and tells whether that is new. Behind a place that could not be read nothing
    /// is known to be.
    pub(super) fn is_newly_missing(&mut self, name: &Bytes, optional: bool) -> bool {
        self.unreadable.is_none() && self.missing_names.insert((Arc::clone(name), optional))
    }

    /// Whether what comes near to a missing name should be looked for: nobody reads hundreds of such lists.
    pub(super) fn wants_near_misses(&self) -> bool {
        self.missing.len() + self.missing_optional.len() < MOST_WITH_NEAR_MISSES
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// A file that the loader refuses.
pub(super) fn refused(path: &[u8], refusal: Refusal, by: usize) -> Fatal {
    Fatal { path: Arc::from(path), reason: FatalReason::Refused(refusal), needed_by: Some(by) }
}

/// A place that could not be read when an object asked for something.
pub(super) fn unreadable(place: Unreadable, by: usize) -> Fatal {
    Fatal { path: Arc::clone(&place.place), reason: FatalReason::Unreadable(place), needed_by: Some(by) }
}

/// Why a file was not taken, when that was an error.
pub(super) fn not_taken(fatal: &Fatal) -> NotTaken {
    match &fatal.reason {
        FatalReason::Refused(refusal) => NotTaken::Refused(*refusal),
        _ => NotTaken::Unreadable,
    }
}

/// The directory part of a path, `/` at least.
pub(super) fn parent(path: &[u8]) -> Bytes {
    match memchr::memrchr(b'/', path) {
        None | Some(0) => Arc::from(b"/".as_slice()),
        Some(slash) => Arc::from(&path[..slash]),
    }
}

/// The last component of a path.
pub(super) fn base_name(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..])
}
