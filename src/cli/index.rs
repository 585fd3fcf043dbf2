//! `mkimage index`: indexes of images that were built before.

use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::layer::Durability;
use mkimage::oci::Store;
use mkimage::output::{self, Destination, Joined, Push};
use mkimage::registry::{NO_TAG, Remote, Rules};
use mkimage::report::{Diagnostic, Result, Texts};

use super::console::Console;
use super::recipes::USAGE;
use super::registries::RegistryArgs;
use super::{environment, images};

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
    /// Layouts, archives and `docker://NAME`; oci:DIR:TAG for one of several images; one with several platforms gives
    /// all of them.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Where the result goes: as `build -o`.
    #[arg(short, long, value_name = "DEST")]
    output: String,
    /// The tag of the result, and of the images where layouts hold several.
    #[arg(short, long, value_name = "TAG")]
    tag: Option<String>,
    /// Refuse to move a tag that a registry has already.
    #[arg(long)]
    immutable: bool,
    /// Do not wait until the output is on the disk.
    #[arg(long)]
    no_fsync: bool,
    #[command(flatten)]
    registries: RegistryArgs,
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
    if matches!(to, Destination::Rootfs(_) | Destination::DockerArchive(_) | Destination::Stdout) {
        let error = Diagnostic::error(USAGE, format!("`{to}` holds no index"));
        return Err(error
            .help("a layout, an archive or a registry does: `-o DIR`, `-o FILE.tar` or `-o docker://NAME`")
            .into());
    }
    let open = |path: &PathBuf| Ok((path.clone(), images::open(path, &args.registries, console)?));
    let stores: Vec<_> = args.images.iter().map(open).collect::<Result<_>>()?;
    let joined = if let Destination::Registry(remote) = &to {
        into_registry(args, remote, &stores, console)?
    } else {
        let durability = if args.no_fsync { Durability::Cached } else { Durability::Synced };
        output::join(&to, &stores, args.tag.as_deref(), &environment::temporary(), durability)?
    };
    for note in &joined.written.notes {
        console.say(&format!("note: {note}"));
    }
    let platforms: Vec<String> = joined.images.iter().map(|image| image.platform.to_string()).collect();
    console.say(&format!("{} ({})\n  written to {to}", joined.name, platforms.join(", ")));
    Ok(console.print(&format!("{}@{}\n", joined.name.name(), joined.images.digest())))
}

fn into_registry(args: &JoinArgs, to: &Remote, stores: &[(PathBuf, Store)], console: &Console) -> Result<Joined> {
    let further = args.tag.as_ref().filter(|tag| to.tag.as_ref() != Some(*tag));
    let tags: Vec<String> = to.tag.iter().chain(further).cloned().collect();
    if tags.is_empty() {
        return Err(Diagnostic::error(NO_TAG, format!("`{to}` needs a tag"))
            .help(format!("write `{to}:1.0`, or `--tag 1.0`; `latest` if that is meant"))
            .into());
    }
    let client = args.registries.client()?;
    let rules = if args.immutable { Rules::Keep } else { Rules::Move };
    let joined = output::join_into_registry(Push { client: &client, rules }, to, stores, &tags);
    args.registries.say_warnings(&client, console);
    joined
}
