//! The tests that need nothing but a temporary folder. A line for each file.

mod support;
mod synthetic;

mod commands;
mod errors;
mod explain;
mod image;
mod layer;
mod layout;
mod needs;
mod output;
mod ownership;
mod policy;
mod recipe;
mod tidy;
