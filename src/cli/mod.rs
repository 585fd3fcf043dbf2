//! The command line: flags become options of the library, and its values become text. The only place that knows the
//! environment, the terminal and the clock's variable.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod add;
mod assembled;
mod build;
mod cache;
mod change;
mod check;
mod checked;
mod closure;
mod console;
mod diff;
mod draw;
mod environment;
mod explain;
mod extras;
mod fleet;
mod format;
mod hardening;
mod images;
mod index;
mod init;
mod inspect;
mod interrupt;
mod judging;
mod lock;
mod memory;
mod places;
mod plan;
mod keys;
mod provenance;
mod published;
mod pull;
mod push;
mod metadata;
mod rebuild;
mod recipes;
mod registries;
mod remote_cache;
mod report;
mod run;
mod sbom;
mod schema;
mod sign;
mod subject;
mod summary;
mod test;
mod timings;
mod trace;
mod tree;
mod unpacked;
mod verify;
mod why;

use console::{Colour, Console, ProgressStyle};

/// Builds minimal container images from recipes.
#[derive(Debug, Parser)]
#[command(name = "mkimage", version, about, long_about = LONG_ABOUT, max_term_width = 100)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const LONG_ABOUT: &str = "Builds minimal container images from recipes: no daemon, no root, nothing executed, the same \
    bytes every time.\n\nThis mkimage is not the one of u-boot-tools, which makes boot images.";

/// Where the options stand that every command has.
const COMMON: &str = "Options of every command";

#[derive(Debug, clap::Args)]
struct Global {
    /// Print errors only.
    #[arg(short, long, global = true, help_heading = COMMON)]
    quiet: bool,
    /// Print more: -v every warning, -vv figures of the build.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = COMMON)]
    verbose: u8,
    /// How progress is shown.
    #[arg(long, value_enum, default_value_t, global = true, value_name = "HOW", help_heading = COMMON)]
    progress: ProgressStyle,
    /// When colour is used.
    #[arg(long, value_enum, default_value_t, global = true, value_name = "WHEN", help_heading = COMMON)]
    color: Colour,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Args),
    Check(check::Args),
    Plan(plan::Args),
    /// Show what the loader would load, for any program, library or script.
    Closure(closure::ClosureArgs),
    Tree(tree::Args),
    Why(why::Args),
    Lock(lock::Args),
    Extras(extras::Args),
    Explain(explain::Args),
    Init(init::Args),
    Add(add::Args),
    Trace(trace::Args),
    Inspect(inspect::Args),
    Diff(diff::Args),
    Report(report::Args),
    Verify(verify::Args),
    Index(index::Args),
    Sbom(sbom::Args),
    Provenance(provenance::Args),
    Sign(sign::Args),
    Push(push::Args),
    Pull(pull::Args),
    Run(run::Args),
    Test(test::Args),
    Cache(cache::Args),
    /// Maps the users of a namespace, for a process that has just entered it.
    #[command(name = unpacked::HELPER, hide = true)]
    MapUsers {
        /// The process.
        process: u32,
    },
    /// Print the JSON Schema of recipes, for editors.
    Schema,
    /// Print a shell's completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return console::usage(&error),
    };
    // A process with threads can't enter a namespace.
    let entered = match &cli.command {
        Command::MapUsers { process } => {
            return if mkimage::run::map(*process, std::io::stdin()) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Command::Run(_) => unpacked::enter(),
        Command::Test(args) if args.needs_namespaces() => unpacked::enter(),
        _ => Ok(mkimage::run::Mapping::Outside),
    };
    memory::settle();
    if interrupt::watch().is_err() {
        console::no_thread();
        return ExitCode::FAILURE;
    }
    let console = Console::new(cli.global.quiet, cli.global.verbose, cli.global.progress, cli.global.color);
    std::panic::set_hook(Box::new(console::bug));
    let run = || run(cli.command, &entered, &console);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|_| console::code_of_bug())
}

fn run(command: Command, entered: &unpacked::Entered, console: &Console) -> ExitCode {
    match command {
        Command::Build(args) => build::run(&args, console),
        Command::Check(args) => check::run(&args, console),
        Command::Plan(args) => plan::run(&args, console),
        Command::Closure(args) => closure::run(&args, console),
        Command::Tree(args) => tree::run(&args, console),
        Command::Why(args) => why::run(&args, console),
        Command::Lock(args) => lock::run(&args, console),
        Command::Extras(args) => extras::run(&args, console),
        Command::Explain(args) => explain::run(&args, console),
        Command::Add(args) => add::run(&args, console),
        Command::Trace(args) => trace::run(&args, console),
        Command::Init(args) => init::run(&args, console),
        Command::Inspect(args) => inspect::run(&args, console),
        Command::Diff(args) => diff::run(&args, console),
        Command::Report(args) => report::run(&args, console),
        Command::Verify(args) => verify::run(&args, console),
        Command::Index(args) => index::run(&args, console),
        Command::Provenance(args) => provenance::run(&args, console),
        Command::Sign(args) => sign::run(&args, console),
        Command::Sbom(args) => sbom::run(&args, console),
        Command::Push(args) => push::run(&args, console),
        Command::Pull(args) => pull::run(&args, console),
        Command::Run(args) => run::run(&args, entered, console),
        Command::Test(args) => test::run(&args, entered, console),
        Command::Cache(args) => cache::run(&args, console),
        Command::MapUsers { .. } => ExitCode::SUCCESS,
        Command::Schema => schema::schema(console),
        Command::Completions { shell } => schema::completions(shell, console),
        Command::Man => schema::man(console),
    }
}
