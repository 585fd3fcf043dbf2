//! TOML text to [`Recipe`]s.

mod model;

pub use model::*;
