//! `mkimage closure`: what the loader would load, for any ELF file or script, without a recipe.

use std::ffi::OsString;
use std::io::{self, BufRead, BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use mkimage::closure::{self, Isa, Options, Resolution, UnknownIsa, Wanted};
use mkimage::report::Texts;
use mkimage::source::Folder;

use super::console::Console;
use super::recipes::usage;
use super::summary;

/// What `mkimage closure` takes.
#[derive(Debug, Args)]
pub(super) struct ClosureArgs {
    /// Programs, libraries or scripts: absolute paths inside the root, or names to look up on its PATH
    #[arg(value_name = "PATH", required_unless_present = "files_from")]
    paths: Vec<OsString>,

    /// Read further paths from a file, one a line; `-` is stdin
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,

    /// The folder whose files are meant
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// What the program finds in `LD_LIBRARY_PATH`
    #[arg(long, value_name = "DIRS", default_value = "")]
    library_path: OsString,

    /// Take variants for a processor level: baseline (or none), x86-64-v2 to x86-64-v4, all, or host
    #[arg(long, value_name = "LEVEL", default_value = "baseline", value_parser = isa)]
    isa: HostOr,

    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// How to print a closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    Text,
    /// One JSON object a line.
    Jsonl,
}

/// Prints the closures, and tells whether all of them are whole.
///
/// # Errors
/// When the root or the list can't be read, or the output can't be written.
pub(super) fn run(arguments: &ClosureArgs, console: &Console) -> ExitCode {
    match print(arguments, console) {
        Ok(code) => code,
        Err(error) => console.fail(&usage(format!("cannot print the closure: {error}")), &Texts::default()),
    }
}

fn print(arguments: &ClosureArgs, console: &Console) -> io::Result<ExitCode> {
    let source = Folder::open(&arguments.root)?;
    let options = Options {
        isa: arguments.isa.resolve(),
        library_path: arguments.library_path.as_bytes().to_vec(),
        ..Options::default()
    };
    let mut paths: Vec<Vec<u8>> = arguments.paths.iter().map(|path| path.as_bytes().to_vec()).collect();
    match arguments.files_from.as_deref() {
        Some(list) if list == "-" => read_list(io::stdin().lock(), &mut paths)?,
        Some(list) => read_list(io::BufReader::new(fs_err::File::open(list)?), &mut paths)?,
        None => {}
    }
    let wanted: Vec<Wanted> = paths
        .into_iter()
        .map(|path| {
            let path = from_here(&arguments.root, path);
            Wanted::program(closure::locate(&source, &path, &options).unwrap_or(path))
        })
        .collect();
    let closure = closure::close(&source, &wanted, &options);
    let mut out = BufWriter::new(io::stdout().lock());
    match arguments.format {
        // A person sees the interpreters of scripts, too.
        Format::Text => {
            for resolution in &closure.resolutions {
                out.write_all(closure::show::text(&closure, resolution).as_bytes())?;
            }
        }
        Format::Jsonl => {
            for resolution in closure.resolutions.iter().take(wanted.len()) {
                writeln!(out, "{}", closure::show::json_line(&closure, resolution))?;
            }
        }
    }
    out.flush()?;
    summary::figures(console, closure.files_read, closure.bytes_read);
    let whole = closure.resolutions.iter().all(Resolution::is_whole);
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In the machine's own root a path with a slash in it is relative to where the user stands.
fn from_here(root: &Path, path: Vec<u8>) -> Vec<u8> {
    if root != Path::new("/") || path.starts_with(b"/") || !path.contains(&b'/') {
        return path;
    }
    match std::env::current_dir() {
        Ok(here) => here.join(OsString::from_vec(path)).into_os_string().into_vec(),
        Err(_) => path,
    }
}

fn read_list(list: impl BufRead, paths: &mut Vec<Vec<u8>>) -> io::Result<()> {
    for line in list.split(b'\n') {
        let line = line?;
        if !line.is_empty() {
            paths.push(line);
        }
    }
    Ok(())
}

/// A processor level, or that of this machine.
#[derive(Debug, Clone)]
enum HostOr {
    Host,
    Given(Isa),
}

impl HostOr {
    fn resolve(&self) -> Isa {
        match self {
            Self::Host => host_level().map_or(Isa::Baseline, |level| Isa::Level(level.to_owned())),
            Self::Given(isa) => isa.clone(),
        }
    }
}

fn isa(word: &str) -> Result<HostOr, UnknownIsa> {
    if word == "host" { Ok(HostOr::Host) } else { word.parse().map(HostOr::Given) }
}

/// The processor level of this machine.
fn host_level() -> Option<&'static str> {
    let information = fs_err::read_to_string("/proc/cpuinfo").ok()?;
    let flags = information.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':'))?.1;
    let has = |wanted: &str| wanted.split(' ').all(|flag| flags.split(' ').any(|known| known == flag));
    let levels = [
        ("x86-64-v4", "avx512f avx512bw avx512cd avx512dq avx512vl"),
        ("x86-64-v3", "avx2 bmi1 bmi2 fma movbe f16c"),
        ("x86-64-v2", "sse4_2 popcnt ssse3 cx16"),
    ];
    levels.into_iter().find(|(_, wanted)| has(wanted)).map(|(level, _)| level)
}
