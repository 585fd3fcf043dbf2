//! `mkimage inspect`: what an image that was written is, and what it holds.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::output::{self, Depth, EntryInfo, ImageHardening, ImageInfo};
use mkimage::recipe::Platform;
use mkimage::report::{Diagnostic, Result, Texts};
use serde_json::{Value, json};

use super::console::Console;
use super::format::{columns, print_json};
use super::hardening;
use super::images;
use super::recipes::{USAGE, platform};
use super::registries::RegistryArgs;
use super::summary::megabytes;

mod dockerfile;
mod kubernetes;

/// Look into a layout, an archive or an image of a registry: names, digests, configuration, layers.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A layout, an archive, what `docker save` writes, or `docker://NAME`; oci:DIR:TAG for one of several images.
    image: PathBuf,
    /// Only the image for this platform.
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,
    #[command(flatten)]
    registries: RegistryArgs,
    /// List the files of each layer, too.
    #[arg(long)]
    files: bool,
    /// Show how each program and library is hardened.
    #[arg(long)]
    hardening: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Form {
    /// Text for people; it may change from version to version.
    #[default]
    Text,
    /// One JSON document with a `version`.
    Json,
    /// Part of a Kubernetes Pod: ports, a restricted securityContext, an emptyDir for each writable folder.
    K8s,
    /// Instructions of a Dockerfile, for a COPY of the files into scratch.
    Dockerfile,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    match look(args, console) {
        Ok(images) => print(args, &images, console),
        Err(error) => console.fail(&error, &Texts::default()),
    }
}

/// The images that are asked for, with their hardening where that is.
fn look(args: &Args, console: &Console) -> Result<Vec<(ImageInfo, Option<ImageHardening>)>> {
    let depth = if args.files || args.format == Form::K8s { Depth::Files } else { Depth::Documents };
    let open = |platform| images::open_for(&args.image, platform, &args.registries, console);
    let store = open(args.platform.as_ref())?;
    let images = output::inspect(&store, depth)?;
    let mut found = if args.hardening { output::hardening(&store)? } else { Vec::new() }.into_iter();
    let all = images.into_iter().map(|image| (image, found.next()));
    let Some(wanted) = &args.platform else { return Ok(all.collect()) };
    let chosen: Vec<_> = all.filter(|(image, _)| image.platform.parse().as_ref() == Ok(wanted)).collect();
    if chosen.is_empty() {
        let there = output::inspect(&open(None)?, Depth::Documents)?;
        let there: Vec<String> = there.into_iter().map(|image| image.platform).collect();
        let title = format!("`{}` has no image for {wanted}", args.image.display());
        return Err(Diagnostic::error(USAGE, title).note(format!("it has {}", there.join(", "))).into());
    }
    Ok(chosen)
}

fn print(args: &Args, images: &[(ImageInfo, Option<ImageHardening>)], console: &Console) -> ExitCode {
    // Those of one index differ in their bytes alone: one stands for all.
    let first_of_index = |at: &usize| {
        let index = images[*at].0.index;
        index.is_none() || !images[..*at].iter().any(|(image, _)| image.index == index)
    };
    let of_each = |say: &dyn Fn(&ImageInfo) -> String| -> Vec<String> {
        (0..images.len()).filter(first_of_index).map(|at| say(&images[at].0)).collect()
    };
    match args.format {
        Form::Json => {
            let document = |(image, found): &(ImageInfo, Option<ImageHardening>)| {
                let mut image = json!(image);
                if let Some(found) = found {
                    image["objects"] = found.files.iter().map(hardening::object).collect();
                    image["processes"] = found.processes.iter().map(hardening::process).collect();
                }
                image
            };
            print_json(console, json!({ "images": images.iter().map(document).collect::<Vec<_>>() }))
        }
        Form::Text => {
            let found = images.iter().filter_map(|(_, found)| found.as_ref());
            let tables = found.map(|found| hardening::table(&found.files, &found.processes));
            let texts = images.iter().map(|(image, _)| text(image)).chain(tables);
            console.print(&texts.collect::<Vec<_>>().join("\n"))
        }
        Form::K8s => console.print(&of_each(&kubernetes::pod).join("---\n")),
        Form::Dockerfile => console.print(&of_each(&dockerfile::instructions).join("\n")),
    }
}

/// What a person calls an image: its full name where it is kept, else its title.
fn name(image: &ImageInfo) -> String {
    let title = image.config.get("Labels").and_then(|labels| labels.get("org.opencontainers.image.title")?.as_str());
    let full = image.full_name.as_deref().and_then(|name| Some(name.rsplit_once(':')?.0));
    full.or(title).unwrap_or("image").to_owned()
}

/// Strings of a list of the configuration.
fn words(image: &ImageInfo, key: &str) -> Vec<String> {
    let list = image.config.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// Keys of a table of the configuration.
fn keys(image: &ImageInfo, key: &str) -> Vec<String> {
    image.config.get(key).and_then(Value::as_object).into_iter().flat_map(|table| table.keys().cloned()).collect()
}

fn text(image: &ImageInfo) -> String {
    let mut text = image.names.join(", ");
    text.push_str(if text.is_empty() { "without a name\n" } else { "\n" });
    let mut facts: Vec<Vec<String>> = Vec::new();
    let mut fact = |name: &str, value: String| facts.push(vec![format!("  {name}"), value]);
    if let Some(digest) = &image.index {
        fact("index", digest.to_string());
    }
    if let Some(digest) = &image.digest {
        fact("digest", digest.to_string());
    }
    fact("id", image.id.to_string());
    fact("platform", image.platform.clone());
    if let Some(created) = &image.created {
        fact("created", created.clone());
    }
    for (name, key) in CONFIG {
        for value in values(image.config.get(key)) {
            fact(name, value);
        }
    }
    // Most annotations say again what a label says.
    let labels = values(image.config.get("Labels"));
    for value in values(Some(&image.annotations)).into_iter().filter(|value| !labels.contains(value)) {
        fact("annotation", value);
    }
    let total: u64 = image.layers.iter().map(|layer| layer.size).sum();
    fact("layers", format!("{}, {}", image.layers.len(), megabytes(total)));
    // A name that the line above has is not said again.
    for row in (1..facts.len()).rev() {
        if facts[row][0] == facts[row - 1][0] {
            facts[row][0].clear();
        }
    }
    text.push_str(&columns(&facts));
    text.push_str(&layers(image));
    text
}

/// Keys of the configuration that are told, and what they are called.
const CONFIG: [(&str, &str); 10] = [
    ("user", "User"),
    ("entrypoint", "Entrypoint"),
    ("cmd", "Cmd"),
    ("workdir", "WorkingDir"),
    ("env", "Env"),
    ("ports", "ExposedPorts"),
    ("volumes", "Volumes"),
    ("stop signal", "StopSignal"),
    ("healthcheck", "Healthcheck"),
    ("label", "Labels"),
];

/// A value of the configuration as lines: lists of arguments on one, the entries of a table each on its own.
fn values(value: Option<&Value>) -> Vec<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) if items.iter().all(is_assignment) => items.iter().map(word).collect(),
        Some(list @ Value::Array(_)) => vec![list.to_string()],
        Some(Value::Object(fields)) => {
            let line = |(name, value): (&String, &Value)| match value {
                Value::Object(inner) if inner.is_empty() => name.clone(),
                value => format!("{name}={}", word(value)),
            };
            fields.iter().map(line).collect()
        }
        Some(value) => vec![word(value)],
    }
}

/// Whether an item of a list is one of `Env`.
fn is_assignment(item: &Value) -> bool {
    item.as_str().and_then(|text| text.split_once('=')).is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

fn layers(image: &ImageInfo) -> String {
    let row = |(number, layer): (usize, &output::LayerInfo)| {
        vec![
            format!("  {:>4}", number + 1),
            format!("{:>9}", megabytes(layer.size)),
            word(layer).to_owned(),
            layer.digest.as_ref().map(ToString::to_string).unwrap_or_default(),
            layer.created_by.clone().unwrap_or_default(),
        ]
    };
    let mut text = columns(&image.layers.iter().enumerate().map(row).collect::<Vec<_>>());
    for (number, layer) in image.layers.iter().enumerate() {
        let Some(entries) = &layer.entries else { continue };
        let _ = writeln!(text, "\n  layer {}, {} entries", number + 1, entries.len());
        text.push_str(&columns(&entries.iter().map(file).collect::<Vec<_>>()));
    }
    text
}

fn word(layer: &output::LayerInfo) -> &'static str {
    match layer.encoding {
        mkimage::oci::Encoding::None => "tar",
        mkimage::oci::Encoding::Gzip => "gzip",
        mkimage::oci::Encoding::Zstd => "zstd",
    }
}

/// A file as `ls -l` shows it: mode, owner, bytes, path.
fn file(entry: &EntryInfo) -> Vec<String> {
    let sign = match entry.kind {
        "directory" => "d",
        "symlink" => "l",
        "hardlink" => "h",
        "special" => "s",
        _ => "-",
    };
    let size = if entry.kind == "file" { entry.size.to_string() } else { String::new() };
    let target = entry.target.as_ref().map_or_else(String::new, |target| format!(" -> {target}"));
    let xattrs = if entry.xattrs.is_empty() { String::new() } else { format!("  [{}]", entry.xattrs.join(", ")) };
    vec![
        format!("  {sign}{}", entry.mode),
        format!("{}:{}", entry.uid, entry.gid),
        format!("{size:>10}"),
        format!("{}{target}{xattrs}", entry.path),
    ]
}
