//! What to close over, and what holds for all of it.

use super::machine::LEVELS;
use crate::elf;
use crate::report::Span;

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

impl std::str::FromStr for Isa {
    type Err = UnknownIsa;

    /// `baseline`, `none`, `all`, or a level of some machine.
    fn from_str(word: &str) -> Result<Self, UnknownIsa> {
        match word {
            "baseline" | "none" => Ok(Self::Baseline),
            "all" => Ok(Self::All),
            level if LEVELS.iter().any(|levels| levels.contains(&level)) => Ok(Self::Level(level.to_owned())),
            _ => Err(UnknownIsa),
        }
    }
}

/// A word that is no processor level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither `baseline`, `all` nor a level such as `x86-64-v3`")]
pub struct UnknownIsa;

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

impl Role {
    pub(super) fn host(self) -> Option<usize> {
        match self {
            Self::Plugin { host } => host,
            Self::Program | Self::Library => None,
        }
    }
}
