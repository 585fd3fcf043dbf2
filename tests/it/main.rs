//! The integration tests, one crate. A line for each file.

mod synthetic;

mod image;
mod layer;
mod layout;
mod output;
