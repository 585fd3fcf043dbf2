//! The integration tests, in one crate.

mod ownership;
mod policy;
