//! The `mkimage` program.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "mkimage", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What the loader would load, for any ELF file or script
    Closure(mkimage::cli::closure::ClosureArgs),
}

fn main() -> std::io::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Closure(arguments) => mkimage::cli::closure::run(&arguments),
    }
}
