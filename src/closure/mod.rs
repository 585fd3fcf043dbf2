//! What the real loader would load: programs, libraries and scripts of a [`Source`](crate::source::Source) in, a
//! [`Closure`] out.
//!
//! Search rules are those of glibc and musl (the loader that the program names decides), scripts go by the kernel's.
//! Everything is resolved for each program by itself, as the loader does it; only what was read is shared. Nothing is
//! ever executed, and no more of a file is read than its headers, its dynamic section and the strings that it names.

use std::sync::Arc;

mod wanted;
mod resolution;
mod failure;
mod paths;
mod headers;
mod tree;
mod machine;
mod accept;
mod token;
mod mapping;
mod notes;
mod near;
pub mod cache;
mod glibc;
mod musl;
mod script;
mod loader;
mod start;
mod variants;
mod closing;
mod hardened;
mod warning;
pub mod show;
pub mod diagnose;

pub use closing::{close, close_sharing, locate};
pub use failure::{
    Fatal, FatalReason, Missing, NearMiss, NotTaken, Refusal, Searched, Unreadable, VersionError, Warning,
};
pub use hardened::{Hardened, Protected};
pub use headers::{Headers, Imports};
pub use paths::{NeededPath, PathReason};
pub use resolution::{
    Alias, Because, DlopenNote, EnvProgram, Foreign, Found, Kind, Libc, Loaded, Loader, Resolution, Script,
    ScriptInterpreter, Variant,
};
pub use wanted::{CachePolicy, DEFAULT_PATH, Isa, Options, Privilege, Role, UnknownIsa, Wanted};

/// Bytes that many objects share: a name, or a path as a loader spells it (absolute, but with `..`, links and doubled
/// slashes as they were written).
pub type Bytes = Arc<[u8]>;

/// What was found for everything that was wanted.
#[derive(Debug, Clone, Default)]
pub struct Closure {
    /// One for each [`Wanted`], in that order; then one for each interpreter of their scripts, each path once.
    pub resolutions: Vec<Resolution>,
    /// How many files were looked into that no earlier closure had looked into.
    pub files_read: usize,
    /// How many bytes were read of them.
    pub bytes_read: u64,
}
