//! mkimage.

pub mod report;
pub mod path;

pub mod source;
