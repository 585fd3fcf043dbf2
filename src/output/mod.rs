//! Outputs: where images go, each complete under its name or not there at all.
//!
//! In: an [`Image`] whose blobs are staged. Out: an OCI layout, an archive, a folder of files, or an engine's store.
//! What was there before is never damaged, and a folder that is no OCI layout is never replaced.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::image::Image;
use crate::layer::{Durability, Staging};
use crate::oci::Reference;
use crate::report::{Code, Result};
use crate::tree::Tree;

mod destination;

pub use destination::Destination;

/// An output is not to be had in the way the command line asks.
pub const BAD_DESTINATION: Code = Code("E0270");
/// Something stands where the output belongs that must not be replaced.
pub const OCCUPIED: Code = Code("E0271");
/// The folder that should hold the output is not there.
pub const NO_PARENT: Code = Code("E0272");
/// Docker or Podman did not take the image.
pub const NOT_LOADED: Code = Code("E0273");
/// A layout or archive can't be read as an image.
pub const UNREADABLE: Code = Code("E0274");
/// A layout or archive is not what its digests say.
pub const CORRUPT: Code = Code("E0275");

/// What a written output has to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Notes for the user: lower case, without full stop.
    pub notes: Vec<String>,
}

/// Looks at a destination before any work: refuses what must not be replaced, removes what killed runs left, and
/// makes the staging folder on the same file system. For standard output and engines, `temporary` holds it.
///
/// # Errors
/// When the output can't go there.
pub fn prepare(_to: &Destination, _temporary: &Path, _durability: Durability) -> Result<Staging> {
    todo!()
}

/// Writes an image to a layout or archive. The first name is the one that a layout has.
///
/// # Errors
/// When it can't be written; nothing new is left behind then.
pub fn write(_to: &Destination, _staging: Staging, _image: &Image, _names: &[Reference]) -> Result<Written> {
    todo!()
}

/// Writes the combined archive to a stream.
///
/// # Errors
/// When a blob can't be read or the stream can't be written.
pub fn stream(_out: &mut dyn Write, _image: &Image, _names: &[Reference]) -> Result<()> {
    todo!()
}

/// Writes a tree as a folder of files.
///
/// # Errors
/// When it can't be written; nothing new is left behind then.
pub fn write_rootfs(_to: &Path, _tree: &Tree, _staging: Staging) -> Result<Written> {
    todo!()
}

/// A program that takes archives on its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// `docker`.
    Docker(PathBuf),
    /// `podman`.
    Podman(PathBuf),
}

/// Loads an image into an engine.
///
/// # Errors
/// When the engine does not take it, with what it says.
pub fn load(_engine: &Engine, _image: &Image, _names: &[Reference]) -> Result<Written> {
    todo!()
}
