//! What tests build their inputs with.

pub(crate) mod elf;
pub(crate) mod flips;
pub(crate) mod root;
pub(crate) mod rpm;
