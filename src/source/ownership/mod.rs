//! Who owns a path of a root: in goes a [source](super::Source) with paths, out come the packages and whose each is.
//!
//! Reads the database of dpkg (`/var/lib/dpkg/status` with `info/`, or `status.d/` of a distroless image), of apk or of
//! rpm. All of dpkg's lists are read in parallel, and nothing is kept of them but a hash of each line: a map of every
//! file of a root would cost more than the question.

mod about;
mod checksum;
mod database;
mod files;
mod find;
mod index;
mod kept;
mod spelling;
mod wanted;

pub use about::PackageFormat;
pub use checksum::Checksum;
pub use database::{Database, Package, PackageId, SourcePackage};
pub use files::{PackageFiles, UnknownPackage};
pub use find::{Check, Owners, Ownership, State};

pub(crate) use kept::database_of;

/// A package database can't be read for what is in it.
pub const BAD_DATABASE: crate::report::Code = crate::report::Code("E0705");
