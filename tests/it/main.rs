//! The tests that need nothing but a temporary folder. A line for each file.

mod sandbox;
mod support;
mod synthetic;

mod closure;
mod closure_cache;
mod closure_json;
mod closure_later;
mod closure_messages;
mod closure_musl;
mod closure_refusals;
mod closure_scripts;
mod commands;
mod elf;
mod errors;
mod examples;
mod explain;
mod image;
mod images;
mod layer;
mod layout;
mod needs;
mod output;
mod ownership;
mod policy;
mod recipe;
mod tidy;
mod verify;
