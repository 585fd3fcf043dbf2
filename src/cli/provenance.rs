//! `mkimage provenance`.

use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::report::Texts;

use super::console::Console;
use super::sbom;

/// Say where an image comes from, as SLSA's provenance: a bare predicate, which `cosign attest` takes.
///
/// Recipe and inputs with their digests, the version of mkimage and its parameters; nothing of this machine.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe.
    #[arg(default_value = "mkimage.toml")]
    recipe: String,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match sbom::provenance(&args.recipe, console, &mut texts) {
        Ok(bytes) => sbom::write(&bytes, args.output.as_deref(), console),
        Err(error) => console.fail(&error, &texts),
    }
}
