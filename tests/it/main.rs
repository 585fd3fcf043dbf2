//! The tests that need nothing but a temporary folder. A line for each file.

mod support;
mod synthetic;

mod commands;
mod errors;
mod examples;
mod image;
mod layer;
mod needs;
mod ownership;
mod policy;
mod readme;
mod recipe;
mod tidy;
