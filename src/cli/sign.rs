//! `mkimage sign`, and the check of signatures that `verify --key` makes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use mkimage::attest::Subject;
use mkimage::attest::sign::{self, Attached, PublicKey};
use mkimage::build;
use mkimage::layer::Durability;
use mkimage::oci::{Digest, Reference, Store, StoredImage};
use mkimage::output::{self, Attachments, Destination, Push, Signable};
use mkimage::registry::{Client, Remote, Rules};
use mkimage::report::{Diagnostic, Error, Result, Texts};

use super::console::Console;
use super::recipes::{USAGE, usage};
use super::registries::RegistryArgs;
use super::{images, keys, sbom};

/// Sign an image that was built, with a key: the index and every manifest.
///
/// The signatures stand beside the layout or archive, in NAME.att, or in the image's repository beside those of others:
/// in the form of a tag that the policies of skopeo and Podman enforce, and as bundles that cosign writes since version
/// 3.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A layout or archive: PATH, or oci:DIR:TAG for one of several images; or `docker://NAME`.
    image: String,
    /// The private key: a file, or `env://NAME` for a variable that holds it. `MKIMAGE_KEY_PASSWORD` opens an encrypted
    /// one.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The image's name, with or without a tag, where neither layout nor registry tells: registry.example/acme/web:1.0.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Do not wait until outputs are on the disk.
    #[arg(long)]
    no_fsync: bool,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    match sign(args, console) {
        Ok(lines) => console.print(&lines),
        Err(error) => console.fail(&error, &Texts::default()),
    }
}

fn sign(args: &Args, console: &Console) -> Result<String> {
    let key = keys::private(&args.key)?;
    let target = Target::find(&args.image, &args.registries, console)?;
    let name = name(args, &target)?;
    let mut referrers = Vec::new();
    let mut lines = String::new();
    for one in &target.all {
        let subject = subject(one, &name, &target.created);
        referrers.push(sign::sign_payload(&subject, &name.to_string(), &key));
        referrers.push(sign::sign_bundle(&subject, &key));
        let _ = writeln!(lines, "{}@{}", name.name(), one.digest);
    }
    match &target.place {
        Place::Beside(to) => {
            let durability = if args.no_fsync { Durability::Cached } else { Durability::Synced };
            let _attached = output::attach(to, &referrers, durability)?;
        }
        Place::Registry(client, remote) => {
            let pushed = output::push_referrers(Push { client, rules: Rules::Move }, &remote.repository, &referrers);
            args.registries.say_warnings(client, console);
            pushed?;
        }
    }
    Ok(lines)
}

/// Where an image and its signatures are.
enum Place {
    /// Beside a layout or archive.
    Beside(Destination),
    /// In a registry.
    Registry(Arc<Client>, Remote),
}

/// What an argument names, and what of it is signed.
struct Target {
    place: Place,
    all: Vec<Signable>,
    /// When the image says that it was created.
    created: String,
}

impl Target {
    fn find(argument: &str, registries: &RegistryArgs, console: &Console) -> Result<Self> {
        if Remote::is_meant(argument) {
            let remote = Remote::parse(argument)?;
            let store = images::open(argument.as_ref(), registries, console)?;
            return Self::of(argument, &store, None, Place::Registry(registries.client()?, remote));
        }
        let found = sbom::image(argument)?;
        let (path, tag) =
            found.ok_or_else(|| usage(format!("`{argument}` is no layout and no archive of an image")))?;
        let store = output::open(&path)?;
        let own = tag.clone();
        let to = if path.is_dir() { Destination::Layout { path, tag } } else { Destination::Archive { path, tag } };
        Self::of(argument, &store, own.as_deref(), Place::Beside(to))
    }

    fn of(argument: &str, store: &Store, tag: Option<&str>, place: Place) -> Result<Self> {
        let all = output::signable(store, tag)?;
        let images = output::images_for(store, None)?;
        if all.is_empty() {
            build::choose(store.name().as_ref(), &images, tag)?;
            let what = format!("`{argument}` has no manifest that a signature could be of");
            return Err(Diagnostic::error(build::NOT_ONE_IMAGE, what).into());
        }
        let is_one = |image: &&StoredImage| {
            let manifest = image.manifest.as_ref().map(|manifest| manifest.digest);
            all.iter().any(|one| Some(one.digest) == manifest)
        };
        let subject = images.iter().find(is_one).map(|image| build::stored_subject(store.name().as_ref(), image));
        let created = subject.transpose()?.map_or_else(|| "1970-01-01T00:00:00Z".to_owned(), |subject| subject.created);
        Ok(Self { place, all, created })
    }
}

/// The name that the signature gives the image: policies compare it.
fn name(args: &Args, target: &Target) -> Result<Reference> {
    let first = target.all.first();
    let listed = match &target.place {
        Place::Registry(_, Remote { repository, tag: Some(tag), .. }) => Some(format!("{repository}:{tag}")),
        Place::Registry(..) => None,
        Place::Beside(_) => first.and_then(|one| one.name.clone()),
    };
    let tag = first.and_then(|one| one.tag.clone()).filter(|_| matches!(target.place, Place::Beside(_)));
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

/// Checks that a key has signed an image, with all that belongs to it, or some of its manifests alone. Says what it
/// found.
///
/// # Errors
/// With each part that has no good signature.
pub(super) fn verify(
    argument: &str,
    only: Option<&BTreeSet<Digest>>,
    key: &PublicKey,
    registries: &RegistryArgs,
    console: &Console,
) -> Result<Vec<String>> {
    let target = Target::find(argument, registries, console)?;
    let all: Vec<&Signable> =
        target.all.iter().filter(|one| only.is_none_or(|only| only.contains(&one.digest))).collect();
    let mut beside = None;
    let mut pushed = Vec::new();
    match &target.place {
        Place::Beside(to) => beside = Attachments::open(to)?,
        Place::Registry(client, remote) => {
            pushed = output::referrers_in(client, &remote.repository, &all.iter().map(|one| one.digest).collect())?;
        }
    }
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    for one in all {
        let mut manifests = beside.as_ref().map(|all| all.about(one.digest)).unwrap_or_default();
        manifests.extend(
            pushed.iter().filter(|known| known.subject == one.digest).map(|known| known.manifest.bytes().to_vec()),
        );
        let blob = |digest: Digest| match &beside {
            Some(beside) => beside.blob(digest),
            None => pushed
                .iter()
                .flat_map(|known| &known.blobs)
                .find(|blob| blob.digest() == digest)
                .map(|blob| blob.bytes().to_vec()),
        };
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
