//! `mkimage provenance`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mkimage::attest::sign::{self, BUNDLE, NO_PROVENANCE, PREDICATE, PublicKey};
use mkimage::attest::{PROVENANCE, Referrer};
use mkimage::build;
use mkimage::oci::{self, Digest, Store};
use mkimage::output;
use mkimage::recipe::Platform;
use mkimage::registry::Remote;
use mkimage::report::{Diagnostic, Error, Result, Texts};

use super::console::Console;
use super::recipes::platform;
use super::registries::RegistryArgs;
use super::subject::Subject;
use super::{images, keys, sbom};

/// The largest bundle that is read.
const LARGEST: u64 = 256 << 20;

/// Say where an image comes from, as SLSA's provenance: a bare predicate, which `cosign attest` takes.
///
/// Of a recipe: recipe and inputs with their digests, the version of mkimage and its parameters; nothing of this
/// machine. Of an image that was built: what is attached to it, beside a layout or archive or in the registry.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A recipe; or a layout, an archive, oci:DIR:TAG for one of several images, or `docker://NAME`.
    #[arg(value_name = "RECIPE|IMAGE", default_value = "mkimage.toml")]
    image: String,
    /// Of an image: take only what this public key signed; a file, or `env://NAME`.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Of an image for several platforms: this one, by default that of this machine.
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,
    #[command(flatten)]
    registries: RegistryArgs,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    let made = match Subject::parse(&args.image) {
        Subject::Recipe(_) => sbom::provenance(&args.image, &args.registries, console, &mut texts),
        Subject::Written(path, tag) => attached(args, &path, tag.as_deref(), console),
    };
    match made {
        Ok(bytes) => sbom::write(&bytes, args.output.as_deref(), console),
        Err(error) => console.fail(&error, &texts),
    }
}

/// The predicate of the statement that is attached to an image.
fn attached(args: &Args, path: &Path, tag: Option<&str>, console: &Console) -> Result<Vec<u8>> {
    let key = args.key.as_deref().map(keys::public).transpose()?;
    let platform = args.platform.as_ref();
    let store = images::open_for(path, platform, &args.registries, console)?;
    let found = sbom::images_for_here(&store, platform)?;
    let digest = build::stored_subject(path, build::choose(path, &found, tag)?)?.digest;
    let mut others = 0;
    for bundle in bundles(args, path, &store, digest)? {
        match sign::stated(&bundle, digest, key.as_ref()) {
            Some((kind, predicate)) if kind == PROVENANCE => return Ok(oci::canonical_value(&predicate)),
            Some(_) => {}
            None => others += 1,
        }
    }
    Err(none(&args.image, digest, key.as_ref(), others))
}

/// The bundles that are attached to an image and may hold provenance.
fn bundles(args: &Args, path: &Path, store: &Store, image: Digest) -> Result<Vec<Vec<u8>>> {
    let may_be = |annotations: &std::collections::BTreeMap<String, String>| {
        annotations.get(PREDICATE).is_none_or(|kind| kind == PROVENANCE)
    };
    let referrers = match path.to_str().filter(|text| Remote::is_meant(text)) {
        None => output::attached(path, store, &BTreeSet::from([image]))?,
        Some(text) => {
            let (client, remote) = (args.registries.client()?, Remote::parse(text)?);
            let get = |digest| client.blob_bytes(&remote.repository, digest, LARGEST);
            let mut found = Vec::new();
            let listed = client.referrers(&remote.repository, image, Some(BUNDLE))?;
            for one in listed.iter().filter(|one| may_be(&one.annotations)) {
                let manifest = client.manifest(&remote.at(one.digest))?.bytes;
                found.extend(Referrer::read(manifest, image, None, &get)?);
            }
            found
        }
    };
    let bundle = referrers.into_iter().filter(|one| one.artifact_type == BUNDLE && one.subject == image);
    let bundle = bundle.filter(|one| may_be(&one.annotations));
    Ok(bundle.filter_map(|one| Some(one.blobs.last()?.bytes().to_vec())).collect())
}

fn none(name: &str, image: Digest, key: Option<&PublicKey>, others: usize) -> Error {
    let which = if key.is_some() { " that this key signed" } else { "" };
    let mut error = Diagnostic::error(NO_PROVENANCE, format!("`{name}` has no provenance{which}"))
        .note(format!("looked for what is attached to {image}"));
    if let Some(key) = key {
        error = error.note(format!("the key is {}", key.fingerprint()));
    }
    if others > 0 {
        error = error.note(format!("{others} attached, of other keys or images, or damaged"));
    }
    error.help("`provenance = true` and `--sign-key KEY` attach it to what is built").into()
}
