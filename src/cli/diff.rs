//! `mkimage diff`: what differs between two images.

use std::process::ExitCode;

use mkimage::diff::{Condition, Difference};
use mkimage::recipe::Platform;
use mkimage::report::{Diagnostic, Error, Result, Texts};
use mkimage::survey::Survey;
use mkimage::{page, policy};
use serde_json::{Value, json};

use super::console::Console;
use super::format::print_json;
use super::recipes::{USAGE, platform, usage};
use super::registries::RegistryArgs;
use super::subject::Subject;

/// The exit code when images differ, and that is asked for.
const DIFFERS: u8 = 4;

/// Show what differs between two images: packages, files, needs, hardening, configuration, policy, size, layers.
///
/// Each is a recipe, a layout, an archive, `docker://NAME`, or `oci:DIR:TAG` for one image of several. A recipe is
/// built into a temporary folder for the comparison.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The older image: a recipe, a layout, an archive.
    #[arg(value_name = "OLD")]
    old: String,
    /// The newer image.
    #[arg(value_name = "NEW")]
    new: String,
    /// Compare the images for this platform.
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Form,
    /// Exit with 4 when the images differ.
    #[arg(long)]
    exit_code: bool,
    /// Exit with 3 when one of these holds, as `size>+5%,download>+2MB,new-package`.
    #[arg(long, value_name = "CONDITIONS")]
    fail_on: Vec<String>,
    #[command(flatten)]
    registries: RegistryArgs,
}

/// In which form a difference is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Form {
    /// Text for people; -v leaves nothing out.
    #[default]
    Text,
    /// One JSON document with a `version`.
    Json,
    /// Markdown for a pull request.
    Markdown,
    /// One page of HTML, which needs nothing else.
    Html,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match compare(args, console, &mut texts) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

fn compare(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let conditions = conditions(&args.fail_on)?;
    let [old, new] = sides(args, console, texts)?;
    let pairs = pairs(args, &old, &new)?;
    let given = [args.old.as_str(), args.new.as_str()];
    let differences: Vec<Difference> = pairs.iter().map(|pair| Difference::between(*pair, given)).collect();
    let printed = match args.format {
        Form::Json => {
            let all: Vec<Value> = differences.iter().map(Difference::json).collect();
            let differs = differences.iter().any(|difference| !difference.is_empty());
            print_json(console, json!({ "differs": differs, "images": all }))
        }
        Form::Text => {
            let whole = console.verbose > 0;
            let texts: Vec<String> = differences.iter().map(|difference| difference.text(whole)).collect();
            console.print(&texts.join("\n"))
        }
        Form::Markdown => {
            let texts: Vec<String> = differences.iter().map(Difference::markdown).collect();
            console.print(&texts.join("\n"))
        }
        Form::Html => {
            let title = format!("{} and {}", args.old, args.new);
            console.print(&page::difference(&differences, &pairs, &title))
        }
    };
    if printed != ExitCode::SUCCESS {
        return Ok(printed);
    }
    broken(&conditions, &differences)?;
    let differs = differences.iter().any(|difference| !difference.is_empty());
    Ok(if args.exit_code && differs { ExitCode::from(DIFFERS) } else { printed })
}

/// Both sides. A recipe that is compared with an image is compressed as that is.
fn sides(args: &Args, console: &Console, texts: &mut Texts) -> Result<[Vec<Survey>; 2]> {
    let (old, new) = (Subject::parse(&args.old), Subject::parse(&args.new));
    let (platform, registries) = (args.platform.as_ref(), &args.registries);
    if let (Subject::Recipe(_), Subject::Written(..)) = (&old, &new) {
        let new = new.look(platform, None, registries, console, texts)?;
        let old = old.look(platform, Subject::compression(&new), registries, console, texts)?;
        return Ok([old, new]);
    }
    let old = old.look(platform, None, registries, console, texts)?;
    let compression = Subject::compression(&old).filter(|_| old.iter().all(|survey| survey.told.is_none()));
    let new = new.look(platform, compression, registries, console, texts)?;
    Ok([old, new])
}

/// What is held against what: the only images, or those for the same platform.
fn pairs<'a>(args: &Args, old: &'a [Survey], new: &'a [Survey]) -> Result<Vec<[&'a Survey; 2]>> {
    if let ([old], [new]) = (old, new) {
        return Ok(vec![[old, new]]);
    }
    let mut pairs = Vec::new();
    for after in new {
        let same: Vec<&Survey> = old.iter().filter(|before| before.platform == after.platform).collect();
        let twins = new.iter().filter(|twin| twin.platform == after.platform).count();
        let ([before], 1) = (same.as_slice(), twins) else { return Err(ambiguous(args, old, new)) };
        pairs.push([*before, after]);
    }
    if pairs.len() == old.len() { Ok(pairs) } else { Err(ambiguous(args, old, new)) }
}

fn ambiguous(args: &Args, old: &[Survey], new: &[Survey]) -> Error {
    let mut error = Diagnostic::error(USAGE, "which images are to be compared is not clear");
    for (given, surveys) in [(&args.old, old), (&args.new, new)] {
        let names = surveys.iter().map(|survey| format!("{} ({})", survey.name, survey.platform));
        error = error.note(format!("`{given}` holds {}", names.collect::<Vec<_>>().join(", ")));
    }
    error.help("name one of each: `oci:DIR:TAG`, or `--platform OS/ARCH`").into()
}

/// The conditions of `--fail-on`, all mistakes at once.
fn conditions(texts: &[String]) -> Result<Vec<Condition>> {
    let (mut conditions, mut errors) = (Vec::new(), Vec::new());
    for text in texts.iter().flat_map(|list| list.split(',')) {
        match text.parse::<Condition>() {
            Ok(condition) => conditions.push(condition),
            Err(bad) => errors.extend(usage(format!("`{}` {bad}", text.trim().escape_debug())).0),
        }
    }
    if errors.is_empty() { Ok(conditions) } else { Err(Error(errors)) }
}

fn broken(conditions: &[Condition], differences: &[Difference]) -> Result<()> {
    let mut errors = Vec::new();
    for difference in differences {
        for condition in conditions {
            if let Some(what) = condition.holds(difference) {
                let error = Diagnostic::error(policy::CONDITION, format!("`{condition}` holds: {what}"));
                errors.push(
                    error.note(format!("between `{}` and `{}`", difference.sides[0].given, difference.sides[1].given)),
                );
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Error(errors)) }
}
