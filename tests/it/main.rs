//! The integration tests, one crate. A line for each file.

mod synthetic;

mod layer;
mod tidy;
