//! The command `mkimage`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
