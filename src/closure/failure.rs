//! What stands against a program: what is missing, what is refused, and what may surprise.

use super::{Because, Bytes, Found};
use crate::elf;

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

/// A place that could not be looked at: what stands there is not known, which is not to say that nothing does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read `{}`: {why}", crate::path::show(.place))]
pub struct Unreadable {
    /// The place.
    pub place: Bytes,
    /// Why, in the operating system's words.
    pub why: std::sync::Arc<str>,
}

impl Unreadable {
    pub(super) fn new(place: &[u8], error: &std::io::Error) -> Self {
        Self { place: Bytes::from(place), why: crate::report::plain(error).into() }
    }
}

/// What is wrong with a file that stops a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FatalReason {
    /// Nothing stands there.
    #[error("no such file")]
    NotThere,
    /// It, or a place that decides what it loads, could not be read.
    #[error("{0}")]
    Unreadable(Unreadable),
    /// The program's interpreter is not there.
    #[error("interpreter not found: {}", crate::path::show(.0))]
    InterpreterMissing(Bytes),
    /// The program's interpreter is for another machine, or no interpreter.
    #[error("interpreter is not usable: {}", crate::path::show(.0))]
    InterpreterUnusable(Bytes),
    /// The program's interpreter has no permission to be started.
    #[error("interpreter is not executable: {}", crate::path::show(.0))]
    InterpreterNotExecutable(Bytes),
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

impl Refusal {
    /// Whether the file can't be what it was when it was made.
    pub(super) fn is_damage(self) -> bool {
        matches!(self, Self::ProgramHeaders | Self::NoSegments | Self::Damaged)
    }
}
