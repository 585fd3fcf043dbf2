//! What the real loader would load: programs, libraries and scripts of a [`Source`] in, a [`Closure`] out.
//!
//! Search rules are those of glibc and musl (the loader that the program names decides), scripts go by the kernel's.
//! Everything is resolved for each program by itself, as the loader does it; only what was read is shared. Nothing is
//! ever executed, and no more of a file is read than its headers, its dynamic section and the strings that it names.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rayon::prelude::*;

use crate::elf;
use crate::path::ImagePath;
use crate::report::Span;
use crate::source::{Content, Source};

mod tree;
mod machine;
mod accept;
mod token;
mod mapping;
mod near;
pub mod cache;
mod glibc;
mod musl;
mod script;
mod start;
mod warning;
pub mod diagnose;
pub mod show;

use start::{Engine, Process, Reference};
use tree::Tree;

/// Bytes that many objects share: a name, or a path as a loader spells it (absolute, but with `..`, links and doubled
/// slashes as they were written).
pub type Bytes = Arc<[u8]>;

/// One thing to close over.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Absolute path in the source. For [`Role::Library`] it may be a bare name, which is searched.
    pub path: Vec<u8>,
    /// As what it is loaded.
    pub role: Role,
    /// Names that it passes to `dlopen`, mapped in its context after the start.
    pub dlopen: Vec<Vec<u8>>,
    /// Whether the kernel starts it with `AT_SECURE`.
    pub privilege: Privilege,
    /// The recipe entry that asked for it.
    pub span: Option<Span>,
}

/// As what a file is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Started: an ELF program or a script.
    Program,
    /// A library that the recipe asks for, loaded in no program's context.
    Library,
    /// A file of a copied folder, which some program may `dlopen`. Data, scripts and files for another machine or libc
    /// are not closed over.
    Plugin {
        /// Index of the program that loads it, where that is known.
        host: Option<usize>,
    },
}

/// How the kernel starts a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Privilege {
    /// With the rights of whoever starts it.
    #[default]
    Ordinary,
    /// With `AT_SECURE`, as a setuid or setgid program or one with file capabilities.
    Secure,
}

impl Wanted {
    /// A program, started without special rights.
    pub fn program(path: impl Into<Vec<u8>>) -> Self {
        Self::new(path, Role::Program)
    }

    /// A library: an absolute path, or a name to search.
    pub fn library(path: impl Into<Vec<u8>>) -> Self {
        Self::new(path, Role::Library)
    }

    /// A file found in a copied folder, loaded by the program `host` where that is known.
    pub fn plugin(path: impl Into<Vec<u8>>, host: Option<usize>) -> Self {
        Self::new(path, Role::Plugin { host })
    }

    fn new(path: impl Into<Vec<u8>>, role: Role) -> Self {
        Self { path: path.into(), role, dlopen: Vec::new(), privilege: Privilege::Ordinary, span: None }
    }
}

/// Which processors the image is for, as far as a loader asks: the directories below `glibc-hwcaps`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Isa {
    /// Any: no variant is chosen.
    #[default]
    Baseline,
    /// One that has this level, as `x86-64-v3`.
    Level(String),
    /// Any, each with the best variant for it: every variant is taken.
    All,
}

/// What to do about `/etc/ld.so.cache` of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CachePolicy {
    /// Read it as it is; without one a loader finds nothing by it.
    #[default]
    AsIs,
    /// Where there is none, take what `ldconfig` would write: for roots in which no maintainer script ever ran.
    MadeWhenAbsent,
}

/// What holds for all programs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Processors that the image is for.
    pub isa: Isa,
    /// `LD_LIBRARY_PATH` of the image.
    pub library_path: Vec<u8>,
    /// `LD_PRELOAD` of the image.
    pub preload: Vec<u8>,
    /// The image's working directory, to which relative paths are relative.
    pub workdir: Vec<u8>,
    /// `PATH` of the image, by which `env` finds programs.
    pub path: Vec<u8>,
    /// Names that may be missing.
    pub ignore_missing: Vec<Vec<u8>>,
    /// What to do about the cache of libraries.
    pub cache: CachePolicy,
    /// The machine that the image is for. Without it, the first program's decides which plugins are foreign.
    pub machine: Option<elf::Machine>,
}

/// `PATH` where the image sets none.
pub const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Default for Options {
    fn default() -> Self {
        Self {
            isa: Isa::Baseline,
            library_path: Vec::new(),
            preload: Vec::new(),
            workdir: b"/".to_vec(),
            path: DEFAULT_PATH.to_vec(),
            ignore_missing: Vec::new(),
            cache: CachePolicy::AsIs,
            machine: None,
        }
    }
}

/// What was found for everything that was wanted.
#[derive(Debug, Clone, Default)]
pub struct Closure {
    /// One for each [`Wanted`], in that order; then one for each interpreter of their scripts, each path once.
    pub resolutions: Vec<Resolution>,
    /// How many files were looked into.
    pub files_read: usize,
    /// How many bytes were read of them.
    pub bytes_read: u64,
}

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
    /// What other processors load beyond this, with [`Isa::All`] or where `$PLATFORM` stands in a path.
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
    /// Whether it is mapped before the program's first instruction.
    pub fn at_start(self) -> bool {
        !matches!(self, Self::Dlopen | Self::DlopenNote)
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

/// A name that leads to no file.
#[derive(Debug, Clone)]
pub struct Missing {
    /// The name.
    pub name: Bytes,
    /// The object that asked for it first.
    pub needed_by: usize,
    /// Why it was asked for.
    pub because: Because,
    /// The directories that were searched, in order.
    pub searched: Vec<Searched>,
    /// Files that come near, each with what is wrong with it.
    pub near: Vec<NearMiss>,
    /// Another file of the closure that has this name: it may be loaded before.
    pub provided_by: Option<Bytes>,
}

/// A directory that was searched, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Searched {
    /// The directory as the loader spells it, or the cache's path.
    pub directory: Bytes,
    /// How many entries the cache has, when it is that.
    pub entries: Option<usize>,
    /// Why it was searched.
    pub because: Found,
}

/// A file that comes near to a missing one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NearMiss {
    /// Its path.
    pub path: Bytes,
    /// Why it does not count.
    pub because: NotTaken,
}

/// Why a file was not taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotTaken {
    /// It is in no directory that is searched.
    Elsewhere,
    /// Its name ends in another version.
    OtherVersion,
    /// It is for another machine or class.
    Machine(elf::Machine),
    /// Only processors of this level get it.
    Level(String),
    /// It could not be read.
    Unreadable,
    /// It is a link that leads nowhere, or in a circle.
    Dangling,
    /// It is of an ELF class that does not exist.
    Damaged,
    /// The loader refuses it.
    Refused(Refusal),
}

/// A symbol version that is required and not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionError {
    /// The version, as `GLIBC_2.38`.
    pub version: Bytes,
    /// The highest that is there of the same kind, as `GLIBC_2.36`.
    pub highest: Option<Bytes>,
    /// The object that should have it.
    pub of: usize,
    /// The object that requires it.
    pub required_by: usize,
}

/// Something that a person should know, but that does not stop the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// An object has no symbol versions, and another asks for some.
    NoVersions {
        /// The object without versions.
        of: usize,
        /// The object that asks.
        required_by: usize,
    },
    /// A path is relative to the working directory of whoever starts the program.
    RelativePath {
        /// The object in which it stands.
        object: usize,
        /// The path; empty for an empty element.
        path: Bytes,
    },
    /// `$PLATFORM` differs from processor to processor.
    PlatformToken {
        /// The object in which it stands.
        object: usize,
    },
    /// `$ORIGIN` stands where a program with `AT_SECURE` drops it.
    SecureOrigin {
        /// The object in which it stands.
        object: usize,
        /// The element that is dropped.
        path: Bytes,
    },
    /// An object needs a processor level above the baseline.
    NeedsLevel {
        /// The object.
        object: usize,
        /// The level, as `x86-64-v3`.
        level: &'static str,
    },
    /// The loader and libc come from different versions.
    LoaderMismatch {
        /// libc.so.6.
        libc: usize,
    },
    /// The file to be started has no permission for it.
    NotExecutable,
    /// A file without `#!` that only a shell would run.
    NoInterpreterLine,
    /// The script's argument or interpreter line is longer than the kernel reads.
    TruncatedLine,
    /// The script's line ends in a carriage return, which becomes part of the interpreter's name or argument.
    CarriageReturn,
}

/// A script's interpreters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// The interpreter of the script, the interpreter of that when it is a script, and so on.
    pub interpreters: Vec<ScriptInterpreter>,
    /// The program that `env` starts, when the last interpreter is `env`.
    pub env: Option<EnvProgram>,
    /// The resolutions of the last interpreter and of the program: indices into [`Closure::resolutions`].
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
    /// What they load that is not in [`Resolution::objects`]. Indices in them have no meaning here.
    pub objects: Vec<Loaded>,
    /// What is missing there.
    pub missing: Vec<Missing>,
    /// Why the program does not start there.
    pub fatal: Option<Fatal>,
}

/// Why a program does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    /// The file at fault.
    pub path: Bytes,
    /// What is wrong with it.
    pub reason: FatalReason,
    /// The object that asked for it.
    pub needed_by: Option<usize>,
}

/// What is wrong with a file that stops a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FatalReason {
    /// Nothing stands there.
    #[error("no such file")]
    NotThere,
    /// It could not be read.
    #[error("{0}")]
    Unreadable(String),
    /// The program's interpreter is not there.
    #[error("interpreter not found: {}", crate::path::show(.0))]
    InterpreterMissing(Bytes),
    /// The program's interpreter is for another machine, or no interpreter.
    #[error("interpreter is not usable: {}", crate::path::show(.0))]
    InterpreterUnusable(Bytes),
    /// No loader is known for the machine.
    #[error("no loader is known for {0}")]
    NoLoader(elf::Machine),
    /// uClibc's or Android's loader, whose rules are not known here.
    #[error("the loader {} is not supported", crate::path::show(.0))]
    UnsupportedLoader(Bytes),
    /// A candidate that the loader takes and then refuses.
    #[error("{0}")]
    Refused(Refusal),
    /// A DST in `DT_NEEDED` of a program with `AT_SECURE`, or one that has no value.
    #[error("dynamic string token in `{}` can't be expanded", crate::path::show(.0))]
    Token(Bytes),
    /// A file that is not executable, where the kernel wants one.
    #[error("permission denied")]
    NotExecutable,
    /// Neither a program nor a script.
    #[error("exec format error")]
    NotAProgram,
    /// Interpreters of interpreters, more than the kernel follows.
    #[error("too many levels of interpreters")]
    TooManyInterpreters,
    /// The program that `env` should start is not on PATH.
    #[error("`{}` is not on PATH", crate::path::show(.0))]
    EnvProgramMissing(Bytes),
    /// The `env` line runs the script again, for ever.
    #[error("`env` starts the script again and again")]
    EnvLoop,
    /// An `env` option or `-S` string that `env` refuses.
    #[error("`env` refuses `{}`", crate::path::show(.0))]
    EnvRefuses(Bytes),
}

/// Why a loader refuses a file that it found, instead of looking further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// A directory.
    #[error("cannot read file data: is a directory")]
    Directory,
    /// Shorter than an ELF header.
    #[error("file too short")]
    TooShort,
    /// No ELF file, as a linker script.
    #[error("invalid ELF header")]
    NotElf,
    /// Another byte order.
    #[error("ELF file data encoding not the loader's")]
    Endian,
    /// `e_ident` or `e_version` of another version.
    #[error("ELF file version does not match current one")]
    Version,
    /// `EI_OSABI`.
    #[error("ELF file OS ABI invalid")]
    OsAbi,
    /// `EI_ABIVERSION`.
    #[error("ELF file ABI version invalid")]
    AbiVersion,
    /// `e_ident`'s padding.
    #[error("nonzero padding in e_ident")]
    Padding,
    /// `e_type`.
    #[error("only ET_DYN and ET_EXEC can be loaded")]
    Type,
    /// Program headers of another size, or cut off.
    #[error("ELF file's program headers can't be read")]
    ProgramHeaders,
    /// A segment whose place in the file and in memory do not go together.
    #[error("ELF load command address/offset not page-aligned")]
    Unaligned,
    /// No `PT_LOAD`.
    #[error("object file has no loadable segments")]
    NoSegments,
    /// `ET_EXEC`.
    #[error("cannot dynamically load executable")]
    Executable,
    /// `DF_1_PIE`.
    #[error("cannot dynamically load position-independent executable")]
    Pie,
    /// `DF_1_NOOPEN`, for `dlopen`.
    #[error("shared object cannot be dlopen()ed")]
    NoOpen,
    /// No `PT_DYNAMIC`, or an empty one, as separate debug files have.
    #[error("object file has no dynamic section")]
    NoDynamic,
    /// The dynamic section can't be read.
    #[error("dynamic section is damaged")]
    Damaged,
}

/// A path that the image must contain, with every link on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededPath {
    /// The path, spelled as it is opened.
    pub path: Bytes,
    /// The resolution that needs it: an index into [`Closure::resolutions`].
    pub resolution: usize,
    /// What needs it there.
    pub reason: PathReason,
}

/// Why the image must contain a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathReason {
    /// It was asked for.
    Requested,
    /// It is the program's interpreter.
    Interpreter,
    /// An object is opened by it: an index into [`Resolution::objects`].
    Object(usize),
    /// An object is opened by it once more, under another name: an index into [`Resolution::aliases`].
    Alias(usize),
    /// A processor of this variant opens it: indices into [`Resolution::variants`] and its objects.
    Variant(usize, usize),
    /// It is a script's interpreter: an index into [`Script::interpreters`].
    ScriptInterpreter(usize),
    /// `env` of a script starts it.
    EnvProgram,
}

/// Closes over everything that is wanted. The results stand in the order of `wanted`, whatever the number of threads.
pub fn close(source: &dyn Source, wanted: &[Wanted], options: &Options) -> Closure {
    let tree = Tree::new(source, &options.workdir);
    let engine = Engine::new(&tree, options);
    let mut closing = Closing { engine: &engine, wanted, found: vec![None; wanted.len()], processes: HashMap::new() };
    closing.close_programs();
    closing.close_scripts();
    closing.close_others();
    let mut closure = Closure {
        resolutions: closing.found.into_iter().flatten().collect(),
        files_read: tree.files_read(),
        bytes_read: tree.bytes_read(),
    };
    closure.find_providers(wanted);
    closure.ignore_missing(&options.ignore_missing);
    closure
}

/// The steps of a closure.
struct Closing<'a, 'w> {
    engine: &'a Engine<'a>,
    wanted: &'w [Wanted],
    /// By index of what is wanted; interpreters of scripts behind.
    found: Vec<Option<Resolution>>,
    /// Processes into which plugins are loaded.
    processes: HashMap<usize, Process<'a>>,
}

impl Closing<'_, '_> {
    fn close_programs(&mut self) {
        let hosts: BTreeSet<usize> = self.wanted.iter().filter_map(|wanted| wanted.role.host()).collect();
        let programs: Vec<usize> = self.with_role(|role| role == Role::Program);
        let engine = self.engine;
        let resolve = |&index: &usize| {
            let (resolution, process) = engine.resolve(&self.wanted[index], None, None);
            (index, resolution, process.filter(|_| hosts.contains(&index)))
        };
        let resolved: Vec<_> = programs.par_iter().map(resolve).collect();
        for (index, resolution, process) in resolved {
            self.found[index] = Some(resolution);
            self.processes.extend(process.map(|process| (index, process)));
        }
    }

    /// Resolves the interpreters of scripts, which may be scripts that need others again.
    fn close_scripts(&mut self) {
        let mut known: HashMap<Bytes, usize> = HashMap::new();
        for (index, wanted) in self.wanted.iter().enumerate() {
            if wanted.role == Role::Program && wanted.privilege == Privilege::Ordinary {
                known.entry(Arc::from(wanted.path.as_slice())).or_insert(index);
            }
        }
        let mut next = 0;
        while next < self.found.len() {
            let mut new: Vec<Bytes> = Vec::new();
            let found = self.found.len();
            for resolution in &mut self.found[next..] {
                let Some(script) = resolution.as_mut().and_then(|resolution| resolution.script.as_mut()) else {
                    continue;
                };
                let interpreter = script.interpreters.last().filter(|last| last.real.is_some());
                let program = script.env.as_ref().and_then(|env| env.path.as_ref());
                for path in interpreter.map(|last| &last.opened).into_iter().chain(program) {
                    let index = *known.entry(Arc::clone(path)).or_insert_with(|| {
                        new.push(Arc::clone(path));
                        found + new.len() - 1
                    });
                    script.resolutions.push(index);
                }
            }
            next = found;
            let resolve = |path: &Bytes| self.engine.resolve(&Wanted::program(path.to_vec()), None, None).0;
            let resolved: Vec<_> = new.par_iter().map(resolve).collect();
            self.found.extend(resolved.into_iter().map(Some));
        }
    }

    fn close_others(&mut self) {
        let reference = self.reference();
        let others = self.with_role(|role| role != Role::Program);
        let resolve = |&index: &usize| {
            let wanted = &self.wanted[index];
            let host = wanted.role.host().and_then(|host| self.processes.get(&host));
            (index, self.engine.resolve(wanted, reference.as_ref(), host).0)
        };
        let resolved: Vec<_> = others.par_iter().map(resolve).collect();
        for (index, resolution) in resolved {
            self.found[index] = Some(resolution);
        }
    }

    fn with_role(&self, is_wanted: impl Fn(Role) -> bool) -> Vec<usize> {
        let all = self.wanted.iter().enumerate();
        all.filter(|(_, wanted)| is_wanted(wanted.role)).map(|(index, _)| index).collect()
    }

    /// The first program with a loader.
    fn reference(&self) -> Option<Reference> {
        self.found.iter().flatten().find_map(|resolution| {
            let loader = resolution.loader.as_ref()?;
            let elf = Arc::clone(&resolution.objects.first()?.elf);
            Some(Reference { loader: Arc::clone(&loader.path), libc: loader.libc, elf })
        })
    }
}

impl Role {
    fn host(self) -> Option<usize> {
        match self {
            Self::Plugin { host } => host,
            Self::Program | Self::Library => None,
        }
    }
}

impl Closure {
    /// A library that is loaded by some program may need what that program has loaded before, as the JVM's libraries
    /// need libjvm.so: notes which file has the name.
    fn find_providers(&mut self, wanted: &[Wanted]) {
        let mut providers: HashMap<Bytes, Bytes> = HashMap::new();
        for resolution in &self.resolutions {
            for object in resolution.objects.iter().skip(resolution.own) {
                let file_name: Bytes = Arc::from(mapping::base_name(&object.path));
                for name in object.elf.soname().into_iter().cloned().chain([file_name]) {
                    providers.entry(name).or_insert_with(|| Arc::clone(&object.path));
                }
            }
        }
        let loaded_later = wanted.iter().map(|wanted| wanted.role != Role::Program);
        for (resolution, _) in self.resolutions.iter_mut().zip(loaded_later).filter(|(_, later)| *later) {
            for missing in &mut resolution.missing {
                missing.provided_by = providers.get(&missing.name).cloned();
            }
        }
    }

    /// What may be missing is optional.
    fn ignore_missing(&mut self, names: &[Vec<u8>]) {
        for resolution in &mut self.resolutions {
            let ignored = |missing: &mut Missing| names.iter().any(|name| **name == *missing.name);
            let optional: Vec<Missing> = resolution.missing.extract_if(.., ignored).collect();
            resolution.missing_optional.extend(optional);
        }
    }

    /// Every path that the image must contain, with who needs it and why; one line for each need.
    pub fn paths(&self) -> Vec<NeededPath> {
        self.resolutions.iter().enumerate().flat_map(|(index, resolution)| resolution.paths(index)).collect()
    }
}

/// The program of a name: a name with a slash is a path, another is looked up on the image's PATH.
pub fn locate(source: &dyn Source, name: &[u8], options: &Options) -> Option<Vec<u8>> {
    if name.starts_with(b"/") {
        return Some(name.to_vec());
    }
    let tree = Tree::new(source, &options.workdir);
    script::find_program(&tree, name, &options.path).map(|path| path.to_vec())
}

impl Resolution {
    /// Whether it starts: nothing is missing and nothing stands against it.
    pub fn is_whole(&self) -> bool {
        self.fatal.is_none() && self.missing.is_empty() && self.version_errors.is_empty()
    }

    fn of(path: &[u8]) -> Self {
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

    fn paths(&self, resolution: usize) -> Vec<NeededPath> {
        let needed = |path: &Bytes, reason| NeededPath { path: Arc::clone(path), resolution, reason };
        let mut paths = Vec::new();
        if self.real.is_some() {
            paths.push(needed(&self.path, PathReason::Requested));
        }
        if let (Some(interp), Some(loader)) = (&self.interp, &self.loader) {
            paths.push(needed(interp, PathReason::Interpreter));
            // gcompat's loader is started first, and starts musl's.
            paths.extend((*interp != loader.path).then(|| needed(&loader.path, PathReason::Interpreter)));
        }
        for (index, object) in self.objects.iter().enumerate().skip(self.own) {
            let is_named =
                object.found == Found::Requested || (self.interp.is_some() && object.found == Found::Interpreter);
            let is_loader_unused = object.found == Found::Interpreter && !self.order.contains(&index);
            if !is_named && !is_loader_unused && object.path != self.path {
                paths.push(needed(&object.path, PathReason::Object(index)));
            }
        }
        for (index, alias) in self.aliases.iter().enumerate() {
            paths.extend(alias.path.as_ref().map(|path| needed(path, PathReason::Alias(index))));
        }
        for (which, variant) in self.variants.iter().enumerate() {
            let all = variant.objects.iter().enumerate();
            paths.extend(all.map(|(index, object)| needed(&object.path, PathReason::Variant(which, index))));
        }
        if let Some(script) = &self.script {
            let all = script.interpreters.iter().enumerate();
            paths.extend(all.map(|(index, step)| needed(&step.opened, PathReason::ScriptInterpreter(index))));
            let program = script.env.as_ref().and_then(|env| env.path.as_ref());
            paths.extend(program.map(|path| needed(path, PathReason::EnvProgram)));
        }
        paths
    }

    /// Who asked for an object, who asked for that one, and so on up to the program: indices, the nearest first.
    pub fn chain(&self, object: usize) -> Vec<usize> {
        let asked_by = |&object: &usize| self.objects.get(object)?.needed_by;
        std::iter::successors(asked_by(&object), asked_by).take(self.objects.len()).collect()
    }
}
