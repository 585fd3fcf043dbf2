//! `mkimage pull`: an image of a registry, into a layout or archive.

use std::process::ExitCode;

use mkimage::image::Image;
use mkimage::layer::{Durability, Staging};
use mkimage::oci::{Reference, Store, StoredImage};
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
/// Prints NAME@DIGEST to standard output. An index comes with the images of all platforms, as it is, or one of them.
/// Only what these need is fetched, and all of it is held against its digest.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image: `docker://registry.example/team/app:1.0`, or with @DIGEST.
    #[arg(value_name = "NAME")]
    image: String,
    /// Where it goes: DIR or oci:DIR[:TAG] (OCI layout), FILE.tar or oci-archive:FILE, docker-archive:FILE.
    #[arg(value_name = "DEST")]
    output: String,
    /// Only the image for this platform, as linux/arm64. Default: all; for docker-archive this machine's.
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,
    /// Pull what refers to the image, too: signatures, SBOMs, provenance, into NAME.att beside the output.
    #[arg(long)]
    referrers: bool,
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
    let store = images::open_for(remote.to_string().as_ref(), args.platform.as_ref(), &args.registries, console)?;
    // What has a place for one image alone gets that of this machine.
    let whole = args.platform.is_none() && !matches!(to, Destination::DockerArchive(_));
    let index = if whole { output::stage_index(&store, &staging)? } else { None };
    let images = match index {
        Some(index) => index,
        None => one(&remote, &store, args.platform.as_ref(), &staging)?.into(),
    };
    let mut guard = None;
    if args.referrers {
        let client = args.registries.client()?;
        let documents =
            images.iter().map(|image| image.manifest.digest).chain(images.index().map(|index| index.digest));
        let referrers = output::referrers_in(&client, &remote.repository, &documents.collect())?;
        guard = output::attach(&to, &referrers, durability)?;
        console.say(&format!("{} referrers beside it", referrers.len()));
    }
    let tag = remote.tag.as_deref().unwrap_or("latest");
    let name = Reference::new(&remote.repository.to_string(), tag).map_err(Error::internal)?;
    let written = output::write(&to, staging, &images, &[name])?;
    drop(guard);
    written.notes.iter().for_each(|note| console.say(&format!("note: {note}")));
    let platforms: Vec<String> = images.iter().map(|image| image.platform.to_string()).collect();
    console.say(&format!("{remote} ({}) written to {to}", platforms.join(", ")));
    Ok(console.print(&format!("{}@{}\n", remote.repository, images.digest())))
}

/// The image for a platform, that of this machine, or the only one.
fn one(remote: &Remote, store: &Store, wanted: Option<&Platform>, staging: &Staging) -> Result<Image> {
    let mut found = output::images_for(store, wanted)?;
    if wanted.is_none() && found.len() > 1 {
        found = own(store.name(), found)?;
    }
    let [stored] = found.as_slice() else {
        return Err(Diagnostic::error(USAGE, format!("`{remote}` is no single image"))
            .help("`--platform` says which is meant")
            .into());
    };
    output::stage(store, stored, staging)
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
