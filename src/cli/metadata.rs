//! What was built, for the programs that come after: a JSON file (`--metadata-file`), and a table in the summary of a
//! job of GitHub's.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use mkimage::build::Built;
use mkimage::image::{Image, Images};
use mkimage::output::publish;
use mkimage::recipe::Recipe;
use mkimage::registry::{Moved, Pushed, Repository};
use mkimage::report::{Error, Result};
use serde_json::{Value, json};

use super::environment;
use super::summary::megabytes;

/// What was built of a recipe, with its index where it is for several platforms. Nothing when it only went into a
/// folder of files.
pub(super) fn of(recipe: &Recipe, built: &Built) -> Option<Value> {
    let images = built.images.as_ref()?;
    let first = built.names.first()?;
    Some(json!({
        "recipe": recipe.origin,
        "bases": recipe.bases,
        "name": first.name(),
        "tags": built.names.iter().map(mkimage::oci::Reference::tag).collect::<Vec<_>>(),
        "digest": images.digest(),
        "media_type": images.descriptor().media_type().to_string(),
        "pushed": built.pushed.iter().map(pushed).collect::<Vec<_>>(),
        "platforms": images.iter().map(of_platform).collect::<Vec<_>>(),
    }))
}

/// A push, with the digest that each tag had before.
fn pushed((repository, pushed): &(Repository, Pushed)) -> Value {
    let tag = |moved: &Moved| json!({ "tag": moved.tag, "before": moved.before });
    json!({
        "name": repository.to_string(),
        "digest": pushed.digest,
        "tags": pushed.tags.iter().map(tag).collect::<Vec<_>>(),
        "sent": { "blobs": pushed.sent.0, "bytes": pushed.sent.1 },
        "there": pushed.there,
        "mounted": pushed.mounted,
    })
}

fn of_platform(image: &Image) -> Value {
    let config: Value = mkimage::oci::read(&image.config.bytes).unwrap_or_default();
    let layer = |layer: &mkimage::layer::Layer| {
        json!({
            "name": layer.name,
            "digest": layer.digest,
            "diff_id": layer.diff_id,
            "media_type": layer.media_type.to_string(),
            "size": layer.size,
            "unpacked": layer.unpacked,
            "files": layer.files,
        })
    };
    json!({
        "platform": image.platform.to_string(),
        "digest": image.manifest.digest,
        "config": image.config.digest,
        "created": config.get("created"),
        "size": packed(image),
        "unpacked": image.layers.iter().map(|layer| layer.unpacked).sum::<u64>(),
        "layers": image.layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

fn packed(image: &Image) -> u64 {
    image.layers.iter().map(|layer| layer.size).sum()
}

/// Writes the file: whole under its name, or not at all.
pub(super) fn write(path: &Path, images: &[Value]) -> Result<()> {
    let mut bytes = mkimage::oci::canonical(&json!({ "version": 1, "images": images }));
    bytes.push(b'\n');
    publish(path, &bytes)
}

/// A line for each image, as the summary of a job shows it.
pub(super) fn rows(built: &Built) -> String {
    let mut rows = String::new();
    let Some(images) = &built.images else { return rows };
    let names: Vec<String> = built.names.iter().map(|name| format!("`{name}`")).collect();
    for image in images.iter() {
        let _ = writeln!(
            rows,
            "| {} | {} | {} in {} layers | `{}` |",
            names.join("<br>"),
            image.platform,
            megabytes(packed(image)),
            image.layers.len(),
            image.manifest.digest
        );
    }
    rows.push_str(&index_row(images, &names));
    rows
}

fn index_row(images: &Images, names: &[String]) -> String {
    match images.index() {
        Some(index) => {
            format!("| {} | {} platforms | | `{}` |\n", names.join("<br>"), images.count(), index.digest)
        }
        None => String::new(),
    }
}

/// Adds a table to the summary of a job, where there is one.
///
/// # Errors
/// When its file can't be written.
pub(super) fn summarise(rows: &str) -> Result<()> {
    let Some(path) = environment::step_summary().filter(|_| !rows.is_empty()) else { return Ok(()) };
    let table = format!("### Images\n\n| image | platform | packed | digest |\n| --- | --- | --- | --- |\n{rows}\n");
    let write = || std::fs::File::options().create(true).append(true).open(&path)?.write_all(table.as_bytes());
    write().map_err(|error| Error::io("write", &path, &error))
}
