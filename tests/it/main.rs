//! The integration tests, one crate. A line for each file.

mod tidy;
