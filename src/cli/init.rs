//! `mkimage init`: a first recipe for programs.

use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use mkimage::draft::{self, Request};
use mkimage::report::{Code, Diagnostic, Error, Result, Texts};
use mkimage::select;

use super::check::options;
use super::console::Console;
use super::environment;
use super::recipes::usage;
use super::trace::SourceArgs;

/// The recipe is there already.
const THERE: Code = Code("E0002");

/// Write a first recipe for programs.
///
/// It passes `check`, and says in comments what comes along by itself, what could, and where configuration may be.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Programs: a name on PATH, an absolute path, or a path of a file that you built. The first is the one to start.
    #[arg(required_unless_present = "command", value_name = "PROGRAM")]
    programs: Vec<String>,
    /// Write to this file, which must not be there yet; without it to standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Take programs and libraries from this folder instead of this machine.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Also add what a run uses: of CMD, or of a log of strace. Without PROGRAM the recipe is for CMD.
    #[arg(long)]
    trace: bool,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match write(args, console, &mut texts) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

fn write(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let here = std::env::current_dir().map_err(|error| Error::io("find", ".".as_ref(), &error))?;
    let folder = match args.output.as_deref().and_then(Path::parent) {
        Some(parent) => plain(&here.join(parent)),
        None => here.clone(),
    };
    if let Some(path) = args.output.as_deref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(occupied(path));
    }
    let beside = |path: &Path| relative(&plain(&here.join(path)), &folder);
    let program = |text: &String| {
        if text.starts_with('/') || !text.contains('/') && (args.root.is_some() || in_root(text)) {
            return text.clone();
        }
        // A name that only this user's PATH knows is written as the path that it stands for.
        let found = if text.contains('/') { None } else { environment::program(text) };
        found.map_or_else(
            || if text.contains('/') { beside(text.as_ref()) } else { text.clone() },
            |path| path.display().to_string(),
        )
    };
    if args.trace && args.root.is_some() {
        return Err(usage("`--trace` runs what is on this machine, `--root` takes another's files".to_owned()));
    }
    if !args.trace && !args.source.is_empty() {
        return Err(usage("`-- CMD` and `--strace` go with `--trace`".to_owned()));
    }
    let command = args.source.command.first().and_then(|word| word.to_str()).map(str::to_owned);
    let programs = if args.programs.is_empty() { command.into_iter().collect() } else { args.programs.clone() };
    let request = Request {
        programs: programs.iter().map(program).collect(),
        title: args.output.as_ref().map_or_else(|| "recipe".to_owned(), |path| path.display().to_string()),
        root: args.root.as_deref().map(|root| beside(root).trim_start_matches("./").to_owned() + "/"),
        folder,
    };
    let mut text = draft::draft(&request, &options(), &console.building("init"), texts)?;
    if args.trace {
        text = super::trace::complete(&text, &request.folder, &args.source, console, texts)?;
    }
    let Some(path) = &args.output else { return Ok(console.print(&text)) };
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(occupied(path)),
        Err(error) => return Err(Error::io("write", path, &error)),
    }
    console.say(&format!("wrote {0}; next: mkimage check {0}", path.display()));
    Ok(ExitCode::SUCCESS)
}

fn occupied(path: &Path) -> Error {
    let error = Diagnostic::error(THERE, format!("`{}` is there already", path.display()));
    error.help("give another name with `-o`; nothing was written").into()
}

/// Whether a name is found where recipes look for bare names.
fn in_root(name: &str) -> bool {
    select::PATH.iter().any(|folder| Path::new(folder).join(name).is_file())
}

/// A path without `.` and `..`, by its text.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

/// A path as seen from a folder, as `./app` or `../target/app`; both absolute.
pub(super) fn relative(path: &Path, folder: &Path) -> String {
    let shared = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).count();
    let down: PathBuf = path.components().skip(shared).collect();
    let start = if up == 0 { "./".to_owned() } else { "../".repeat(up) };
    format!("{start}{}", down.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_seen_from_the_recipe() {
        let from = |path: &str, folder: &str| relative(Path::new(path), Path::new(folder));
        assert_eq!(from("/a/b/app", "/a/b"), "./app");
        assert_eq!(from("/a/target/app", "/a/b/c"), "../../target/app");
        assert_eq!(plain(Path::new("/a/./b/../c")), Path::new("/a/c"));
    }
}
