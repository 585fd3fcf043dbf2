//! The tests that need nothing but a temporary folder. A line for each file.

mod support;
mod synthetic;

mod errors;
mod layer;
mod needs;
mod ownership;
mod policy;
mod recipe;
mod tidy;
