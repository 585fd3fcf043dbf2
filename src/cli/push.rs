//! `mkimage push`: an image that was built before, or a recipe, into a registry.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::attest::Referrer;
use mkimage::oci::Digest;
use mkimage::output::{self, Push};
use mkimage::registry::{NO_TAG, Pushed, Remote, Rules};
use mkimage::report::{Diagnostic, Result, Texts};
use serde_json::json;

use super::console::Console;
use super::format::{Format, print_json};
use super::registries::RegistryArgs;
use super::summary::megabytes;
use super::{images, published};

/// Push an image that was built before, or a recipe, to a registry.
///
/// Prints NAME@DIGEST to standard output. What the registry has already is not sent; manifests follow their blobs, and
/// the tag comes last.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A layout, an archive, what `docker save` writes, or `docker://NAME`; oci:DIR:TAG for one of several images; with
    /// --recipe, a TOML file.
    image: PathBuf,
    /// Where to: `docker://registry.example/team/app:1.0`.
    #[arg(value_name = "NAME")]
    to: String,
    /// Push a recipe that others extend, or a policy, in place of an image.
    #[arg(long)]
    recipe: bool,
    /// Leave out what refers to the image: signatures, SBOMs, provenance.
    #[arg(long)]
    no_referrers: bool,
    /// Further tags, repeatable.
    #[arg(short, long, value_name = "TAG")]
    tag: Vec<String>,
    /// Refuse to move a tag that the registry has already.
    #[arg(long)]
    immutable: bool,
    #[command(flatten)]
    registries: RegistryArgs,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match push(args, console, &mut texts) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

fn push(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let to = Remote::parse(&args.to)?;
    let mut tags: Vec<String> = to.tag.iter().cloned().collect();
    for tag in &args.tag {
        to.tagged(tag)?;
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    if tags.is_empty() && to.digest.is_none() {
        return Err(Diagnostic::error(NO_TAG, format!("`{to}` needs a tag"))
            .help(format!("write `{to}:1.0`; `{to}:latest` if that is meant"))
            .into());
    }
    let client = args.registries.client()?;
    let rules = if args.immutable { Rules::Keep } else { Rules::Move };
    let how = Push { client: &client, rules };
    let pushed = if args.recipe {
        published::push(how, &args.image, &to, &tags, texts).map(|pushed| (pushed, Vec::new()))
    } else {
        let from = args.image.to_str().filter(|text| Remote::is_meant(text)).map(Remote::parse).transpose()?;
        let from = from.map(|remote| remote.repository);
        let (store, path) = (images::open(&args.image, &args.registries, console)?, images::named(&args.image).0);
        let attached = |images: &BTreeSet<Digest>| match &from {
            _ if args.no_referrers => Ok(Vec::new()),
            // They are there.
            Some(from) if *from == to.repository => Ok(Vec::new()),
            Some(from) => output::referrers_in(&client, from, images),
            None => output::attached(&path, &store, images),
        };
        output::push_store(how, &store, from.as_ref(), &to, &tags, &attached)
    };
    args.registries.say_warnings(&client, console);
    let (pushed, referrers) = pushed?;
    for moved in &pushed.tags {
        if let Some(before) = moved.before.filter(|before| *before != pushed.digest) {
            console.say(&format!("note: tag `{}` was {before}", moved.tag));
        }
    }
    console.say(&counted(&pushed, referrers.len()));
    Ok(match args.format {
        Format::Text => console.print(&format!("{}@{}\n", to.repository, pushed.digest)),
        Format::Json => print_json(console, document(&to, &pushed, &referrers)),
    })
}

fn counted(pushed: &Pushed, referrers: usize) -> String {
    let (count, bytes) = pushed.sent;
    let more = if referrers > 0 { format!("; {referrers} referrers") } else { String::new() };
    let (there, mounted) = (pushed.there, pushed.mounted);
    format!("sent {count} blobs ({}), {there} were there, {mounted} taken over{more}", megabytes(bytes))
}

fn document(to: &Remote, pushed: &Pushed, referrers: &[Referrer]) -> serde_json::Value {
    let tag = |moved: &mkimage::registry::Moved| json!({ "tag": moved.tag, "before": moved.before });
    json!({
        "name": to.repository.to_string(),
        "digest": pushed.digest,
        "tags": pushed.tags.iter().map(tag).collect::<Vec<_>>(),
        "sent": { "blobs": pushed.sent.0, "bytes": pushed.sent.1 },
        "there": pushed.there,
        "mounted": pushed.mounted,
        "referrers": referrers.iter().map(Referrer::digest).collect::<Vec<_>>(),
    })
}
