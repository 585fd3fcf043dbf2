//! `mkimage sign`, and the check of signatures that `verify --key` makes.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::attest::Subject;
use mkimage::attest::sign::{self, Attached, PublicKey};
use mkimage::build;
use mkimage::layer::Durability;
use mkimage::oci::{Digest, Reference};
use mkimage::output::{self, Attachments, Destination, Signable};
use mkimage::report::{Diagnostic, Error, Result, Texts};

use super::console::Console;
use super::keys;
use super::recipes::{USAGE, usage};
use super::sbom;

/// Sign an image that was built, with a key: the index and every manifest.
///
/// The signatures stand beside the layout or archive, in NAME.att: in the form of a tag that the policies of skopeo and
/// Podman enforce, and as bundles that cosign writes since version 3.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A layout or archive: PATH, or oci:DIR:TAG for one of several images.
    image: String,
    /// The private key: a file, or `env://NAME` for a variable that holds it. `MKIMAGE_KEY_PASSWORD` opens an encrypted one.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The image's name, with or without a tag, where the layout does not tell: registry.example/acme/web:1.0.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Do not wait until outputs are on the disk.
    #[arg(long)]
    no_fsync: bool,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    match sign(args) {
        Ok(lines) => console.print(&lines),
        Err(error) => console.fail(&error, &Texts::default()),
    }
}

fn sign(args: &Args) -> Result<String> {
    let key = keys::private(&args.key)?;
    let (to, all) = targets(&args.image)?;
    let name = name(args, &all)?;
    let created = created(&args.image);
    let mut referrers = Vec::new();
    let mut lines = String::new();
    for one in &all {
        let subject = subject(one, &name, &created);
        referrers.push(sign::sign_payload(&subject, &name.to_string(), &key));
        referrers.push(sign::sign_bundle(&subject, &key));
        let _ = writeln!(lines, "{}@{}", name.name(), one.digest);
    }
    let durability = if args.no_fsync { Durability::Cached } else { Durability::Synced };
    output::attach(&to, &referrers, durability)?;
    Ok(lines)
}

/// The output that an argument names, and what of it is signed.
fn targets(argument: &str) -> Result<(Destination, Vec<Signable>)> {
    let (path, tag) = place(argument)?;
    let all = output::signable(&path, tag.as_deref())?;
    if all.is_empty() {
        let (_, images) = output::images(&path)?;
        build::choose(&path, &images, tag.as_deref())?;
        let what = format!("`{argument}` has no manifest that a signature could be of");
        return Err(Diagnostic::error(build::NOT_ONE_IMAGE, what).into());
    }
    let to = if path.is_dir() { Destination::Layout { path, tag } } else { Destination::Archive { path, tag } };
    Ok((to, all))
}

fn place(argument: &str) -> Result<(PathBuf, Option<String>)> {
    sbom::image(argument)?.ok_or_else(|| usage(format!("`{argument}` is no layout and no archive of an image")))
}

/// The name that the signature gives the image: policies compare it.
fn name(args: &Args, all: &[Signable]) -> Result<Reference> {
    let listed = all.first().and_then(|one| one.name.clone());
    let tag = all.first().and_then(|one| one.tag.clone());
    let Some(text) = args.name.clone().or(listed) else {
        let error = Diagnostic::error(USAGE, format!("`{}` does not tell what its image is called", args.image));
        return Err(error.help("say `--name registry.example/acme/web:1.0`: policies compare the name").into());
    };
    let (name, own_tag) = match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), Some(tag.to_owned())),
        _ => (text.clone(), None),
    };
    let tag = own_tag.or(tag).unwrap_or_else(|| "latest".to_owned());
    Reference::new(&name, &tag).map_err(|error| usage(format!("`{text}` {error}")))
}

/// When the image says that it was created.
fn created(argument: &str) -> String {
    let of = || {
        let (path, tag) = place(argument)?;
        let (_, images) = output::images(&path)?;
        build::stored_subject(&path, build::choose(&path, &images, tag.as_deref())?)
    };
    of().map_or_else(|_: Error| "1970-01-01T00:00:00Z".to_owned(), |subject| subject.created)
}

fn subject(one: &Signable, name: &Reference, created: &str) -> Subject {
    Subject {
        name: name.name().to_owned(),
        version: name.tag().to_owned(),
        digest: one.digest,
        size: one.size,
        media_type: one.media_type.clone(),
        platform: mkimage::recipe::Platform::host(),
        created: created.to_owned(),
        vendor: None,
        view: mkimage::attest::View::Image,
    }
}

/// Checks that a key has signed an image, with all that belongs to it. Says what it found.
///
/// # Errors
/// With each part that has no good signature.
pub(super) fn verify(argument: &str, key: &PublicKey) -> Result<Vec<String>> {
    let (to, all) = targets(argument)?;
    let attachments = Attachments::open(&to)?;
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    for one in &all {
        let manifests = attachments.as_ref().map(|all| all.about(one.digest)).unwrap_or_default();
        let blob = |digest: Digest| attachments.as_ref().and_then(|all| all.blob(digest));
        let attached: Vec<Attached> =
            manifests.into_iter().map(|manifest| Attached { manifest, blob: &blob }).collect();
        let checked = sign::check(one.digest, &attached, key);
        if checked.signatures == 0 {
            let mut error =
                Diagnostic::error(sign::NOT_SIGNED, format!("`{}` has no signature of this key", one.digest))
                    .note(format!("the key is {}", key.fingerprint()));
            if checked.others > 0 {
                error = error.note(format!("{} signatures are of other keys or images, or damaged", checked.others));
            }
            errors.push(error);
            continue;
        }
        let stated = checked.statements.iter().map(|kind| format!(", states {kind}"));
        lines.push(format!("{} signed {} times{}", one.digest, checked.signatures, stated.collect::<String>()));
    }
    if errors.is_empty() { Ok(lines) } else { Err(Error(errors)) }
}
