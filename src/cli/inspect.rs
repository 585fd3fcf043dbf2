//! `mkimage inspect`: what an image that was written is, and what it holds.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::output::{self, Depth, EntryInfo, ImageInfo};
use mkimage::report::Texts;
use serde_json::{Value, json};

use super::console::Console;
use super::format::{Format, columns, print_json};
use super::hardening;
use super::summary::megabytes;

/// Look into a layout or archive: names, digests, configuration, layers.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A layout, an archive, or what `docker save` writes.
    image: PathBuf,
    /// List the files of each layer, too.
    #[arg(long)]
    files: bool,
    /// Show how each program and library is hardened.
    #[arg(long)]
    hardening: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let depth = if args.files { Depth::Files } else { Depth::Documents };
    let images = match output::inspect(&args.image, depth) {
        Ok(images) => images,
        Err(error) => return console.fail(&error, &Texts::default()),
    };
    let found = if args.hardening { output::hardening(&args.image).map(Some) } else { Ok(None) };
    let found = match found {
        Ok(found) => found,
        Err(error) => return console.fail(&error, &Texts::default()),
    };
    match args.format {
        Format::Json => {
            let mut images = json!(images);
            for (image, found) in images.as_array_mut().into_iter().flatten().zip(found.iter().flatten()) {
                image["objects"] = found.files.iter().map(hardening::object).collect();
                image["processes"] = found.processes.iter().map(hardening::process).collect();
            }
            print_json(console, json!({ "images": images }))
        }
        Format::Text => {
            let tables = found.iter().flatten().map(|found| hardening::table(&found.files, &found.processes));
            let texts = images.iter().map(text).chain(tables);
            console.print(&texts.collect::<Vec<_>>().join("\n"))
        }
    }
}

fn text(image: &ImageInfo) -> String {
    let mut text = image.names.join(", ");
    text.push_str(if text.is_empty() { "without a name\n" } else { "\n" });
    let mut facts: Vec<Vec<String>> = Vec::new();
    let mut fact = |name: &str, value: String| facts.push(vec![format!("  {name}"), value]);
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
