//! Debian's text formats: bytes in, borrowed pieces of them out. Knows nothing of images or of where the bytes
//! came from; never fails, since whatever is not of the format is passed over.

mod control;
mod database;
pub mod licence;

pub use control::{Field, Fields, Stanza, Stanzas, is_architecture, is_package_name, stanzas};
pub use database::{Conffile, Diversion, Md5, conffiles, diversions, list, md5_of_hex, md5sums};
