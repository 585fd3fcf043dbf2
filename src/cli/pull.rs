//! `mkimage pull`: an image of a registry, into a layout or archive.

use std::process::ExitCode;

use mkimage::layer::Durability;
use mkimage::oci::{Reference, StoredImage};
use mkimage::output::{self, Destination};
use mkimage::recipe::Platform;
use mkimage::registry::Remote;
use mkimage::report::{Diagnostic, Error, Result, Texts};

use super::console::Console;
use super::recipes::{USAGE, platform};
use super::registries::RegistryArgs;
use super::{environment, images, interrupt};

/// Pull an image from a registry into a layout or archive.
///
/// Prints NAME@DIGEST to standard output. Only what the image of the platform needs is fetched, and all of it is held
/// against its digest.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image: `docker://registry.example/team/app:1.0`, or with @DIGEST.
    #[arg(value_name = "NAME")]
    image: String,
    /// Where it goes: DIR or oci:DIR[:TAG] (OCI layout), FILE.tar or oci-archive:FILE, docker-archive:FILE.
    #[arg(value_name = "DEST")]
    output: String,
    /// The platform, as linux/arm64. Default: this machine's, or the only one.
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,
    /// Do not wait until the output is on the disk.
    #[arg(long)]
    no_fsync: bool,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    match pull(args, console) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &Texts::default()),
    }
}

fn pull(args: &Args, console: &Console) -> Result<ExitCode> {
    let remote = Remote::parse(&args.image)?;
    let to = Destination::parse(&args.output)?;
    if matches!(to, Destination::Rootfs(_) | Destination::Stdout | Destination::Registry(_)) {
        return Err(Diagnostic::error(USAGE, format!("an image is not pulled into `{to}`"))
            .help("name a layout or an archive: `oci:DIR`, `FILE.tar`; `mkimage push docker://A docker://B` copies between registries")
            .into());
    }
    let durability = if args.no_fsync { Durability::Cached } else { Durability::Synced };
    let staging = output::prepare(&to, &environment::temporary(), durability)?;
    interrupt::remember(staging.path());
    let store = images::open(remote.to_string().as_ref(), &args.registries, console)?;
    let wanted = args.platform.clone();
    let mut found = output::images_for(&store, wanted.as_ref())?;
    if wanted.is_none() && found.len() > 1 {
        found = own(store.name(), found)?;
    }
    let [stored] = found.as_slice() else {
        return Err(Diagnostic::error(USAGE, format!("`{remote}` is no single image"))
            .help("`--platform` says which is meant")
            .into());
    };
    let image = output::stage(&store, stored, &staging)?;
    let digest = image.manifest.digest;
    let tag = remote.tag.as_deref().unwrap_or("latest");
    let name = Reference::new(&remote.repository.to_string(), tag).map_err(Error::internal)?;
    let written = output::write(&to, staging, &image.clone().into(), &[name])?;
    written.notes.iter().for_each(|note| console.say(&format!("note: {note}")));
    console.say(&format!("{remote} ({}) written to {to}", image.platform));
    Ok(console.print(&format!("{}@{digest}\n", remote.repository)))
}

/// Of several, the image of this machine's platform.
fn own(name: &str, found: Vec<StoredImage>) -> Result<Vec<StoredImage>> {
    let all: Vec<String> = found.iter().map(StoredImage::platform).collect();
    let architecture = Platform::host().architecture;
    let fits = |image: &StoredImage| image.config["os"] == "linux" && image.config["architecture"] == architecture;
    let own: Vec<StoredImage> = found.into_iter().filter(fits).collect();
    if own.len() == 1 {
        return Ok(own);
    }
    Err(Diagnostic::error(USAGE, format!("`{name}` has no single image for this machine, linux/{architecture}"))
        .note(format!("it has {}", all.join(", ")))
        .help("`--platform OS/ARCH` says which is meant")
        .into())
}
