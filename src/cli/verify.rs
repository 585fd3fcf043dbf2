//! `mkimage verify`: whether an image that was written is what its digests say.

use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::output::{self, Report};
use mkimage::report::{Level, Texts};
use serde_json::json;

use super::console::Console;
use super::format::{Format, print_json};
use super::summary::megabytes;

/// The exit code when something is not what its digest says.
const DIFFERS: u8 = 4;

/// Read all of an OCI layout or archive, and check that everything is what its digest says.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A layout, an archive, or what `docker save` writes.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let (mut lines, mut documents) = (String::new(), Vec::new());
    for path in &args.images {
        let report = match output::verify(path) {
            Ok(report) => report,
            Err(error) => return console.fail(&error, &Texts::default()),
        };
        console.show(&report.findings, &Texts::default());
        let sound = report.findings.iter().all(|finding| finding.level != Level::Error);
        if sound {
            lines.push_str(&format!("{}: {}\n", path.display(), counted(&report)));
        } else {
            code = ExitCode::from(DIFFERS);
        }
        documents.push(json!({
            "path": path.display().to_string(),
            "sound": sound,
            "images": report.images,
            "blobs": report.blobs,
            "bytes": report.bytes,
            "entries": report.entries,
            "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        }));
    }
    let printed = match args.format {
        Format::Text => console.print(&lines),
        Format::Json => print_json(console, json!({ "checked": documents })),
    };
    if printed == ExitCode::SUCCESS { code } else { printed }
}

fn counted(report: &Report) -> String {
    let many = |count: u64, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    format!(
        "sound: {}, {} ({}), {} in layers",
        many(report.images, "image"),
        many(report.blobs, "blob"),
        megabytes(report.bytes),
        if report.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", report.entries) },
    )
}

fn finding(finding: &mkimage::report::Diagnostic) -> serde_json::Value {
    let level = if finding.level == Level::Error { "error" } else { "warning" };
    json!({ "level": level, "code": finding.code.to_string(), "message": finding.title })
}
