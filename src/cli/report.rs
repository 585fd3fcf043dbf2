//! `mkimage report`: a page that shows what images hold and why.

use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::output::publish;
use mkimage::page;
use mkimage::recipe::Platform;
use mkimage::report::{Error, Result, Texts};
use mkimage::survey::Survey;

use super::console::Console;
use super::recipes::{platform, usage};
use super::registries::RegistryArgs;
use super::subject::Subject;
use super::summary::megabytes;

/// Write a page that shows what images hold and why: sizes, reasons, packages, policy, hardening, layers.
///
/// The page is one file, which needs no network. Without an argument it is of ./mkimage.toml; a workspace file stands
/// for its members.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recipes, layouts, archives, `docker://NAME`.
    #[arg(value_name = "RECIPE|IMAGE")]
    subjects: Vec<String>,
    /// Where the page goes; `-` is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Only images for this platform.
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match write(args, console, &mut texts) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

fn write(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let default = vec!["mkimage.toml".to_owned()];
    let subjects = if args.subjects.is_empty() { &default } else { &args.subjects };
    let (mut surveys, mut errors): (Vec<Survey>, Vec<_>) = (Vec::new(), Vec::new());
    for subject in subjects {
        match Subject::parse(subject).look(args.platform.as_ref(), None, &args.registries, console, texts) {
            Ok(found) => surveys.extend(found),
            Err(error) => errors.extend(error.0),
        }
    }
    if !errors.is_empty() {
        return Err(Error(errors));
    }
    let Some(first) = surveys.first() else { return Err(usage("there is no image to report on".to_owned())) };
    let title = match surveys.len() {
        1 => first.name.clone(),
        count => format!("{count} images"),
    };
    let page = page::report(&surveys, &title);
    if args.output.as_os_str() == "-" {
        return Ok(console.print(&page));
    }
    publish(&args.output, page.as_bytes())?;
    console.say(&format!("written to {}, {}", args.output.display(), megabytes(page.len() as u64)));
    Ok(ExitCode::SUCCESS)
}
