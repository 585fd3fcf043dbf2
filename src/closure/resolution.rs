//! What was found for one path.

use std::sync::Arc;

use super::{Bytes, Fatal, FatalReason, Missing, VersionError, Warning};
use crate::elf;
use crate::path::ImagePath;
use crate::source::Content;

/// What was found for one path.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The path that was asked for.
    pub path: Bytes,
    /// Where it leads, when something is there.
    pub real: Option<ImagePath>,
    /// What it is.
    pub kind: Kind,
    /// What its headers say, when it is an ELF file.
    pub elf: Option<Arc<elf::Object>>,
    /// The interpreter that the file itself names.
    pub interp: Option<Bytes>,
    /// The loader whose rules were followed: the interpreter, or the default one for a library.
    pub loader: Option<Loader>,
    /// What is mapped, in the order of mapping. The file itself is first; the loader, when it has one, second. For a
    /// plugin with a host those of the host come first.
    pub objects: Vec<Loaded>,
    /// The index of the first object that is not the host's: 0 but for a plugin with a host.
    pub own: usize,
    /// What of [`Resolution::objects`] is mapped at the start, in the order in which symbols are looked up.
    pub order: Vec<usize>,
    /// Paths by which an object was reached once more, after it had been mapped under another.
    pub aliases: Vec<Alias>,
    /// What must be there and is not.
    pub missing: Vec<Missing>,
    /// What is not there and may be missing: `DT_AUXILIARY`, preloads, suggestions in notes, `ignore-missing`.
    pub missing_optional: Vec<Missing>,
    /// Symbol versions that an object requires of another that does not have them.
    pub version_errors: Vec<VersionError>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// The script's interpreters, when it is one.
    pub script: Option<Script>,
    /// `.note.dlopen` entries of the objects, with what they led to.
    pub dlopen_notes: Vec<DlopenNote>,
    /// The least glibc that the file and all that it loads ask for.
    pub least_glibc: Option<(u32, u32)>,
    /// What other processors load beyond this, with [`super::Isa::All`] or where `$PLATFORM` stands in a path.
    pub variants: Vec<Variant>,
    /// Why it does not start at all.
    pub fatal: Option<Fatal>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nothing is there, or it can't be read.
    Absent,
    /// No program and no library: data.
    Data,
    /// A program without a loader.
    Static,
    /// A position-independent program without a loader.
    StaticPie,
    /// A program with a loader.
    Dynamic,
    /// A shared library.
    Library,
    /// A script.
    Script,
    /// An ELF file of a copied folder that is for something else, and was not closed over.
    Foreign(Foreign),
}

/// What an ELF file of a copied folder is for, other than the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Foreign {
    /// Another machine, class or byte order.
    Machine,
    /// Another libc.
    Libc,
}

/// The loader whose rules were followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    /// The path by which it is named.
    pub path: Bytes,
    /// Where that leads.
    pub real: ImagePath,
    /// Whose it is.
    pub libc: Libc,
    /// The directories that it searches last, as they are built in.
    pub directories: Vec<Bytes>,
    /// The file that names those instead, where musl finds one; it must exist in the image.
    pub path_file: Option<Bytes>,
}

/// A C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Libc {
    /// glibc; with its version, as the loader's file states it.
    Glibc(Option<(u32, u32)>),
    /// musl.
    Musl,
}

/// An object that the loader maps.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The names under which it is known. Empty for the program itself.
    pub names: Vec<Bytes>,
    /// The path by which it is opened, spelled as the loader spells it.
    pub path: Bytes,
    /// Where that leads.
    pub real: ImagePath,
    /// Its bytes.
    pub content: Content,
    /// What its headers say.
    pub elf: Arc<elf::Object>,
    /// How it was found.
    pub found: Found,
    /// The object that asked first: an index into [`Resolution::objects`]. None for the program itself.
    pub needed_by: Option<usize>,
    /// Why it was asked for.
    pub because: Because,
}

/// How an object was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is what was asked for.
    Requested,
    /// It is the loader.
    Interpreter,
    /// By a name with a slash, which is a path.
    Path,
    /// In `DT_RPATH` of an object.
    Rpath(usize),
    /// In `DT_RUNPATH` of an object.
    Runpath(usize),
    /// In `LD_LIBRARY_PATH`.
    LibraryPath,
    /// In `/etc/ld.so.cache`.
    Cache,
    /// In a directory that is built into the loader, or that musl's path file names.
    SystemDirectory,
}

/// Why an object was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// It is what was asked for, or its loader.
    Requested,
    /// `DT_NEEDED`.
    Needed,
    /// `DT_FILTER`.
    Filter,
    /// `DT_AUXILIARY`.
    Auxiliary,
    /// `DT_AUDIT` or `DT_DEPAUDIT`.
    Audit,
    /// `LD_PRELOAD` of the image.
    Preload,
    /// `/etc/ld.so.preload` of the source.
    PreloadFile,
    /// The recipe's `dlopen`.
    Dlopen,
    /// A `.note.dlopen`.
    DlopenNote,
}

impl Because {
    /// Whether it is asked for by `dlopen`.
    pub(super) fn is_dlopen(self) -> bool {
        matches!(self, Self::Dlopen | Self::DlopenNote)
    }
}

/// Another name for an object that is mapped already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The name that was asked for.
    pub name: Bytes,
    /// The path that was opened, when the file had to be opened to see that it is the same; it must exist in the image.
    /// None when the name alone told, as a `DT_SONAME` does.
    pub path: Option<Bytes>,
    /// The object: an index into [`Resolution::objects`].
    pub object: usize,
}

/// A script's interpreters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// The interpreter of the script, the interpreter of that when it is a script, and so on.
    pub interpreters: Vec<ScriptInterpreter>,
    /// The program that `env` starts, when the last interpreter is `env`.
    pub env: Option<EnvProgram>,
    /// The resolutions of the last interpreter and of the program: indices into [`super::Closure::resolutions`].
    pub resolutions: Vec<usize>,
}

/// One interpreter of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptInterpreter {
    /// Its path, as the script names it.
    pub path: Bytes,
    /// The path by which it is opened: absolute.
    pub opened: Bytes,
    /// The one argument that the kernel passes.
    pub argument: Option<Bytes>,
    /// Where the path leads.
    pub real: Option<ImagePath>,
}

/// What `env` in a script's first line does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvProgram {
    /// The program's name, as `env` gets it.
    pub name: Bytes,
    /// Where it was found.
    pub path: Option<Bytes>,
    /// Where `env` is that is started by `env`, when it takes several to get there.
    pub through: Vec<Bytes>,
}

/// A `.note.dlopen` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DlopenNote {
    /// The object that holds it.
    pub object: usize,
    /// What it says.
    pub entry: elf::DlopenEntry,
    /// The object that it led to; None when it was not found, or is only suggested and was not looked for.
    pub found: Option<usize>,
    /// For a note that is only suggested: where it would be.
    pub offered: Option<Bytes>,
}

/// What other processors load.
#[derive(Debug, Clone)]
pub struct Variant {
    /// The processors: a level or platform.
    pub name: String,
    /// The paths of all that they load: that is what indices below refer to.
    pub loaded: Vec<Bytes>,
    /// What of it is not in [`Resolution::objects`].
    pub objects: Vec<Loaded>,
    /// Paths that only they open, and that lead to what they load anyhow.
    pub aliases: Vec<Alias>,
    /// What is missing there.
    pub missing: Vec<Missing>,
    /// Symbol versions that are required there, and that what they load does not have.
    pub version_errors: Vec<VersionError>,
    /// Why the program does not start there.
    pub fatal: Option<Fatal>,
}

impl Resolution {
    /// Whether it starts: nothing is missing and nothing stands against it.
    pub fn is_whole(&self) -> bool {
        self.fatal.is_none() && self.missing.is_empty() && self.version_errors.is_empty()
    }

    /// A resolution that ended before its file was looked at.
    pub(super) fn stopped(path: &[u8], reason: FatalReason) -> Self {
        let mut resolution = Self::of(path);
        resolution.stop(reason);
        resolution
    }

    /// Notes why the file itself does not start.
    pub(super) fn stop(&mut self, reason: FatalReason) {
        self.fatal = Some(Fatal { path: Arc::clone(&self.path), reason, needed_by: None });
    }

    pub(super) fn of(path: &[u8]) -> Self {
        Self {
            path: Arc::from(path),
            real: None,
            kind: Kind::Absent,
            elf: None,
            interp: None,
            loader: None,
            objects: Vec::new(),
            own: 0,
            order: Vec::new(),
            aliases: Vec::new(),
            missing: Vec::new(),
            missing_optional: Vec::new(),
            version_errors: Vec::new(),
            warnings: Vec::new(),
            script: None,
            dlopen_notes: Vec::new(),
            least_glibc: None,
            variants: Vec::new(),
            fatal: None,
        }
    }

    /// Who asked for an object, who asked for that one, and so on up to the program: indices, the nearest first.
    pub fn chain(&self, object: usize) -> Vec<usize> {
        let asked_by = |&object: &usize| self.objects.get(object)?.needed_by;
        std::iter::successors(asked_by(&object), asked_by).take(self.objects.len()).collect()
    }
}
