//! The tests that need nothing but a temporary folder. A line for each file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::needless_raw_string_hashes, reason = "as snapbox writes them")]
#![expect(clippy::format_push_string, reason = "what is put together here is short")]

mod sandbox;
mod support;
mod synthetic;

mod add;
mod assemble;
mod attest;
mod cache;
mod carried;
mod closure;
mod closure_cache;
mod closure_json;
mod closure_later;
mod closure_loaders;
mod closure_messages;
mod closure_musl;
mod closure_refusals;
mod closure_scripts;
mod commands;
mod diff;
mod dlopen;
mod drafts;
mod elf;
mod errors;
mod examples;
mod explain;
mod explain_codes;
mod find_library;
mod fleet;
mod flips;
mod image;
mod images;
mod java;
mod layer;
mod layout;
mod memory;
mod lock;
mod needs;
mod node_modules;
mod output;
mod ownership;
mod platforms;
mod package_databases;
mod policy;
mod published;
mod readme;
mod rebuild;
mod recipe;
mod registry;
mod registry_server;
mod remote_cache;
mod report;
mod required;
mod restored;
mod runtimes;
mod signing;
mod tidy;
mod trace;
mod trial;
mod unpack;
mod unreadable;
mod verdicts;
mod verify;
