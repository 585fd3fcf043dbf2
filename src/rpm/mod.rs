//! rpm's database: a file of SQLite with one table of packages, each a header of tags. Bytes in, facts out, and a
//! database of fewer packages. Trusts no number in either; knows nothing of images.

mod header;
mod sqlite;

pub use header::{Digest, File, Header};
pub use sqlite::{BadDatabase, read, write};
