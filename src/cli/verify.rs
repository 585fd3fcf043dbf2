//! `mkimage verify`: whether an image that was written is what its digests say.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::attest::sign::NOT_SIGNED;
use mkimage::compare;
use mkimage::output::{self, Report};
use mkimage::report::{Code, Level, Texts};
use serde_json::json;

use super::console::Console;
use super::format::{Format, finding, print_json};
use super::images;
use super::rebuild;
use super::recipes::{RecipeArgs, usage};
use super::summary::megabytes;
use super::{keys, sign};

/// The exit code when something is not what its digest says.
const DIFFERS: u8 = 4;

/// Check that everything in a layout, an archive or an image of a registry is what its digest says.
///
/// Every blob is hashed, every layer unpacked, every document held against the others; what is attached in NAME.att is
/// hashed, too. `--platform` checks only the images for it. Given its recipe behind it, the
/// image is built again, with the lock file if there is one, and each difference is told: fields of the configuration,
/// entries, their headers, order and bytes. Exits with 4 when something differs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A layout, an archive, what `docker save` writes, or `docker://NAME`; `oci:DIR:TAG` says which of several images
    /// is held against a key or a recipe.
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    #[command(flatten)]
    others: RecipeArgs,
    /// Check as well that this public key has signed each image: a file, or `env://NAME`.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let (recipes, others): (Vec<PathBuf>, Vec<PathBuf>) =
        args.others.recipes.iter().cloned().partition(|path| rebuild::is_recipe(path));
    let images: Vec<PathBuf> = std::iter::once(args.image.clone()).chain(others).collect();
    if images.len() > 1 && !recipes.is_empty() || recipes.len() > 1 {
        let error = usage("a recipe is held against one image: `mkimage verify IMAGE RECIPE`".to_owned());
        return console.fail(&error, &Texts::default());
    }
    let recipe = (!recipes.is_empty()).then(|| args.others.with(recipes));
    let (mut lines, mut documents, mut code) = (String::new(), Vec::new(), 0);
    let key = match args.key.as_deref().map(keys::public).transpose() {
        Ok(key) => key,
        Err(error) => return console.fail(&error, &Texts::default()),
    };
    let platforms = args.others.platform.as_slice();
    let platform = platforms.first().filter(|_| platforms.len() == 1);
    for path in &images {
        let mut texts = Texts::default();
        let (place, tag) = images::named(path);
        let checked = images::open_for(&place, platform, &args.others.registries, console).and_then(|store| {
            tag.as_deref().map_or(Ok(()), |tag| images::has(&store, tag))?;
            output::verify_for(&store, platforms)
        });
        let (report, mut findings) = match checked {
            Ok(report) => (Some(report.clone()), report.findings),
            Err(error) => (None, error.0),
        };
        let only = report.as_ref().map(|report| &report.manifests).filter(|_| !platforms.is_empty());
        let attached = report.as_ref().map_or(Ok((0, Vec::new())), |_| output::check_attached(&place, only));
        let attached = match attached {
            Ok((count, wrong)) => {
                findings.extend(wrong);
                count
            }
            Err(error) => {
                findings.extend(error.0);
                0
            }
        };
        let mut signed = Vec::new();
        if let (Some(key), Some(_)) = (&key, &report) {
            match sign::verify(&path.to_string_lossy(), only, key, &args.others.registries, console) {
                Ok(lines) => signed = lines,
                Err(error) => findings.extend(error.0),
            }
        }
        let is_sound = findings.iter().all(|finding| finding.level != Level::Error);
        let mut same = None;
        if let Some(recipe) = recipe.as_ref().filter(|_| is_sound) {
            match rebuild::differences((&place, tag.as_deref()), recipe, console, &mut texts) {
                Ok(found) if found.is_empty() => same = Some(true),
                Ok(found) => {
                    let title = format!("`{}` is not what its recipe gives", path.display());
                    findings.push(compare::differ(&title, &found));
                }
                Err(error) => findings.extend(error.0),
            }
        }
        console.show(&findings, &texts);
        let errors = || findings.iter().filter(|finding| finding.level == Level::Error);
        // What can't be read at all was not checked, which is not to differ.
        let differs = |code: Code| code == output::CORRUPT || code == NOT_SIGNED || code.0.starts_with("E04");
        let unchecked = errors().any(|error| !differs(error.code));
        let sound = errors().next().is_none();
        code = match (unchecked, sound) {
            (true, _) => 1,
            (false, false) if code == 0 => DIFFERS,
            (false, _) => code,
        };
        if let Some(report) = report.as_ref().filter(|_| sound) {
            let same = if same.is_some() { ", the same when it is built again" } else { "" };
            let _ = writeln!(lines, "{}: {}{same}", path.display(), counted(report, attached));
            for line in &signed {
                let _ = writeln!(lines, "  {line}");
            }
        }
        documents.push(json!({
            "path": path.display().to_string(),
            "sound": sound,
            "reproduced": same,
            "images": report.as_ref().map(|report| report.images),
            "blobs": report.as_ref().map(|report| report.blobs),
            "bytes": report.as_ref().map(|report| report.bytes),
            "entries": report.as_ref().map(|report| report.entries),
            "attached": attached,
            "signed": signed,
            "findings": findings.iter().map(|one| finding(&texts, one)).collect::<Vec<_>>(),
        }));
    }
    let printed = match args.format {
        Format::Text => console.print(&lines),
        Format::Json => print_json(console, json!({ "checked": documents })),
    };
    if code == 0 { printed } else { ExitCode::from(code) }
}

fn counted(report: &Report, attached: u64) -> String {
    let many = |count: u64, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    format!(
        "sound, {}, {} of {}, {} in layers{}",
        many(report.images, "image"),
        many(report.blobs, "blob"),
        megabytes(report.bytes),
        if report.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", report.entries) },
        if attached == 0 { String::new() } else { format!(", {} beside it", many(attached, "document")) },
    )
}
