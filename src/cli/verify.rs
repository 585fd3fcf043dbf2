//! `mkimage verify`: whether an image that was written is what its digests say.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::attest::sign::NOT_SIGNED;
use mkimage::output::{self, Report};
use mkimage::report::{Level, Texts};
use serde_json::json;

use super::console::Console;
use super::format::{Format, print_json};
use super::images;
use super::registries::RegistryArgs;
use super::summary::megabytes;
use super::{keys, sign};

/// The exit code when something is not what its digest says.
const DIFFERS: u8 = 4;

/// Check that everything in a layout, an archive or an image of a registry is what its digest says.
///
/// Every blob is hashed, every layer unpacked, every document held against the others. Exits with 4 when something
/// differs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A layout, an archive, what `docker save` writes, or `docker://NAME`.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Check as well that this public key has signed each image: a file, or `env://NAME`.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    registries: RegistryArgs,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let (mut lines, mut documents, mut code) = (String::new(), Vec::new(), 0);
    let key = match args.key.as_deref().map(keys::public).transpose() {
        Ok(key) => key,
        Err(error) => return console.fail(&error, &Texts::default()),
    };
    for path in &args.images {
        let checked = images::open(path, &args.registries, console).and_then(|store| output::verify(&store));
        let (report, mut findings) = match checked {
            Ok(report) => (Some(report.clone()), report.findings),
            Err(error) => (None, error.0),
        };
        let mut signed = Vec::new();
        if let (Some(key), Some(_)) = (&key, &report) {
            match sign::verify(&path.to_string_lossy(), key) {
                Ok(lines) => signed = lines,
                Err(error) => findings.extend(error.0),
            }
        }
        console.show(&findings, &Texts::default());
        let errors = || findings.iter().filter(|finding| finding.level == Level::Error);
        // What can't be read at all was not checked, which is not to differ.
        let unchecked = errors().any(|error| error.code != output::CORRUPT && error.code != NOT_SIGNED);
        let sound = errors().next().is_none();
        code = match (unchecked, sound) {
            (true, _) => 1,
            (false, false) if code == 0 => DIFFERS,
            (false, _) => code,
        };
        if let Some(report) = report.as_ref().filter(|_| sound) {
            let _ = writeln!(lines, "{}: {}", path.display(), counted(report));
            for line in &signed {
                let _ = writeln!(lines, "  {line}");
            }
        }
        documents.push(json!({
            "path": path.display().to_string(),
            "sound": sound,
            "images": report.as_ref().map(|report| report.images),
            "blobs": report.as_ref().map(|report| report.blobs),
            "bytes": report.as_ref().map(|report| report.bytes),
            "entries": report.as_ref().map(|report| report.entries),
            "signed": signed,
            "findings": findings.iter().map(finding).collect::<Vec<_>>(),
        }));
    }
    let printed = match args.format {
        Format::Text => console.print(&lines),
        Format::Json => print_json(console, json!({ "checked": documents })),
    };
    if code == 0 { printed } else { ExitCode::from(code) }
}

fn counted(report: &Report) -> String {
    let many = |count: u64, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    format!(
        "sound, {}, {} of {}, {} in layers",
        many(report.images, "image"),
        many(report.blobs, "blob"),
        megabytes(report.bytes),
        if report.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", report.entries) }
    )
}

fn finding(finding: &mkimage::report::Diagnostic) -> serde_json::Value {
    let level = if finding.level == Level::Error { "error" } else { "warning" };
    json!({ "level": level, "code": finding.code.to_string(), "message": finding.title })
}
