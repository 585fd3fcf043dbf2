//! Tests of the library and the program from outside.

mod support;

mod closure;
mod closure_cache;
mod closure_json;
mod closure_later;
mod closure_messages;
mod closure_musl;
mod closure_refusals;
mod closure_scripts;
mod elf;
