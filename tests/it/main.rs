//! The tests that need nothing but a temporary folder.

mod errors;
mod support;
