//! Who owns a path of a root: in goes a [`Source`](super::Source) and paths, out come the installed packages and whose each path is.
//!
//! Reads dpkg's database (`/var/lib/dpkg/status` with `info/`, or `status.d/` of a distroless image), all of it
//! in parallel and none of it kept: a map of every file of a root would cost more than the question.

mod database;
mod files;
mod find;
mod spelling;
mod wanted;

pub use database::{Database, Package, PackageId, SourcePackage};
pub use files::{PackageFiles, UnknownPackage};
pub use find::{Check, Owners, Ownership, State};

pub(crate) use database::unreadable;
