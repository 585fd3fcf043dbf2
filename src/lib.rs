//! mkimage.

pub mod report;
pub mod path;
pub mod elf;

pub mod source;
pub mod closure;

pub mod cli;
