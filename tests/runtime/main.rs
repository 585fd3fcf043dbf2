//! Builds every recipe of `recipes/` with the release program and lets real engines run the images: `cargo test
//! --release --test runtime [WORD]...`. A test whose tools are not there is skipped, and says so; with `MKIMAGE_CI=1`
//! that fails.

mod runner;
mod call;
mod once;
mod workshop;
mod engine;
mod dockerd;
mod tls;
mod proxy;

mod services;
mod programs;
mod clients;
mod family;
mod fleets;
mod engines;
mod pages;
mod stages;
mod registries;
mod reproducible;
mod caches;
mod run;
mod attest;
mod forged;
mod databases;
#[path = "../it/support/flips.rs"]
mod flips;
#[path = "../it/support/rpm.rs"]
mod rpm;
mod traced;
mod updates;
mod vendored;
mod platforms;

use std::env;
use std::process::ExitCode;

use runner::Runner;
use workshop::Workshop;

#[expect(clippy::disallowed_methods, reason = "the edge of this program, as `cli` is that of mkimage")]
fn main() -> ExitCode {
    let (options, words): (Vec<_>, Vec<_>) = env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let runner = Runner { words, skip_fails: env::var_os("MKIMAGE_CI").is_some() };
    let program = env::var_os("MKIMAGE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_mkimage").into());
    let tests = [
        stages::TESTS,
        services::TESTS,
        programs::TESTS,
        registries::TESTS,
        reproducible::TESTS,
        caches::TESTS,
        family::TESTS,
        fleets::TESTS,
        engines::TESTS,
        clients::TESTS,
        run::TESTS,
        attest::TESTS,
        forged::TESTS,
        databases::TESTS,
        traced::TESTS,
        updates::TESTS,
        vendored::TESTS,
        platforms::TESTS,
        pages::TESTS,
    ]
    .concat();
    if options.iter().any(|option| option == "--list") {
        runner.list(&tests);
        return ExitCode::SUCCESS;
    }
    let workshop = Workshop::open(program.as_ref());
    if runner.run(&tests, &workshop) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
