//! `mkimage index`: indexes of images that were built before.

use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::layer::Durability;
use mkimage::output::{self, Destination};
use mkimage::report::{Diagnostic, Result, Texts};

use super::console::Console;
use super::environment;
use super::recipes::USAGE;

/// Make indexes of images that were built before.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Join(JoinArgs),
}

/// Join images for several platforms, built on several machines, under one index.
///
/// They must be for different platforms and have one name. The result is what one build for all these platforms gives,
/// whatever the order. Prints NAME@DIGEST to standard output.
#[derive(Debug, clap::Args)]
struct JoinArgs {
    /// Layouts and archives; one with several platforms gives all of them.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Where the result goes: as `build -o`.
    #[arg(short, long, value_name = "DEST")]
    output: String,
    /// The tag of the result, and of the images where layouts hold several.
    #[arg(short, long, value_name = "TAG")]
    tag: Option<String>,
    /// Do not wait until the output is on the disk.
    #[arg(long)]
    no_fsync: bool,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let Command::Join(args) = &args.command;
    match join(args, console) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &Texts::default()),
    }
}

fn join(args: &JoinArgs, console: &Console) -> Result<ExitCode> {
    let to = Destination::parse(&args.output)?;
    if matches!(
        to,
        Destination::Rootfs(_) | Destination::DockerArchive(_) | Destination::Stdout | Destination::Registry(_)
    ) {
        let error = Diagnostic::error(USAGE, format!("`{to}` holds no index"));
        return Err(error
            .help("a layout or an archive does: `-o DIR` or `-o FILE.tar`; `mkimage push` brings it into a registry")
            .into());
    }
    let durability = if args.no_fsync { Durability::Cached } else { Durability::Synced };
    let joined = output::join(&to, &args.images, args.tag.as_deref(), &environment::temporary(), durability)?;
    for note in &joined.written.notes {
        console.say(&format!("note: {note}"));
    }
    let platforms: Vec<String> = joined.images.iter().map(|image| image.platform.to_string()).collect();
    console.say(&format!("{} ({})\n  written to {to}", joined.name, platforms.join(", ")));
    Ok(console.print(&format!("{}@{}\n", joined.name.name(), joined.images.digest())))
}
