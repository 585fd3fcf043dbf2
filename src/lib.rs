//! mkimage.

pub mod report;
pub mod path;

pub mod deb;

pub mod recipe;
pub mod source;
pub mod tree;
pub mod why;

pub mod inventory;
pub mod policy;

/// The modification time of everything in a layer, 1980-01-01T00:00:00Z: the earliest that ZIP files can hold, and
/// so the earliest that Python's `zipfile` takes.
pub const MTIME: i64 = 315_532_800;
