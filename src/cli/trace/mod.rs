//! `mkimage trace`: what a run used and the image lacks, as a change of the recipe. The only module that runs a
//! program.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use mkimage::build::{self, Assembled};
use mkimage::edit::{self, Addition, Key};
use mkimage::path::ImagePath;
use mkimage::policy::allow_all;
use mkimage::recipe::{self, Context, Input, Recipe, Root};
use mkimage::report::{Diagnostic, Error, Result, Texts};
use mkimage::source::{Folder, resolve};
use mkimage::trace::{self, Comparison, Observed, Session, Surroundings, strace};

use super::change::RecipeFile;
use super::check::options;
use super::console::Console;
use super::environment;
use super::format::{Format, print_json};
use super::interrupt;
use super::recipes::{RecipeArgs, usage};

mod follow;
mod ptrace;
mod registers;
mod run;
mod say;

/// Run a program and find what it uses and the image lacks.
///
/// Prints the lines to add to the recipe as a diff. Programs that the recipe does not ship may stand around those that
/// it does, as in `mkimage trace redis.toml -- sh -c 'redis-server & redis-cli ping; kill %1'`: only what the shipped
/// ones use counts.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Add the lines to the recipe, if it passes its check with them.
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    source: SourceArgs,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// Where a run comes from.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// Take this log of `strace -f` in place of a run; of `strace -ff` all files, or their common name.
    #[arg(long, value_name = "FILE")]
    strace: Vec<PathBuf>,
    /// End the program after this time, as 30s or 2m; its exit code is 0 then.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// The program and its arguments.
    #[arg(last = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected a time, as 30s, 500ms or 2m".to_owned()),
    };
    let seconds = number.parse::<f64>().map_err(|_| "expected a time, as 30s, 500ms or 2m".to_owned())?;
    Duration::try_from_secs_f64(seconds * factor).map_err(|error| error.to_string())
}

/// What was seen of a run.
pub(super) struct Seen {
    pub(super) observed: Observed,
    /// The exit code of what ran.
    pub(super) code: u8,
}

impl SourceArgs {
    /// Whether it names neither a program nor a log.
    pub(super) fn is_empty(&self) -> bool {
        self.strace.is_empty() && self.command.is_empty()
    }

    /// Runs the program, or reads the log.
    pub(super) fn observe(&self, console: &Console) -> Result<Seen> {
        match (self.strace.is_empty(), self.command.is_empty()) {
            (true, true) => Err(usage("nothing to trace: `-- CMD ARGS...` or `--strace LOG`".to_owned())),
            (false, false) => Err(usage("`--strace` takes the place of `-- CMD`".to_owned())),
            (false, true) => Ok(Seen { observed: read_logs(&self.strace, console)?, code: 0 }),
            (true, false) => {
                let run = run::run(&self.command, self.timeout, console);
                interrupt::release();
                run.map(|run| Seen { observed: run.observed, code: run.code })
            }
        }
    }
}

/// A drafted recipe with what a run used beside it.
pub(super) fn complete(
    text: &str,
    folder: &Path,
    source: &SourceArgs,
    console: &Console,
    texts: &mut Texts,
) -> Result<String> {
    let input = |text: &str| Input::Text {
        name: "recipe".to_owned(),
        text: text.as_bytes().to_vec(),
        folder: folder.to_owned(),
    };
    let context = Context { workspace: false, ..Context::default() };
    let Some(mut recipe) = mkimage::recipe::load(&input(text), &context, texts)?.recipes.pop() else {
        return Err(Error::internal("a draft holds no recipe"));
    };
    recipe.policy = allow_all(&recipe);
    let assembled = assemble(&recipe, console)?;
    let seen = source.observe(console)?;
    let with = |additions: &[Addition]| edit::add(text, additions).map_err(Error::internal);
    let trial = |additions: &[Addition]| try_out(&input(&with(additions).ok()?), &context);
    let (comparison, additions) = suggestions(&recipe, &assembled, &seen.observed, &trial)?;
    say::summary(console, &comparison, additions.len());
    with(&additions)
}

/// Reads logs of strace; a name that is not there stands for all files that `-ff` made from it.
fn read_logs(paths: &[PathBuf], console: &Console) -> Result<Observed> {
    let mut logs = BTreeMap::new();
    let mut nameless = u32::MAX;
    for path in paths.iter().flat_map(|path| parts(path)) {
        let text = std::fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
        let pid = path.extension().and_then(|end| end.to_str()).and_then(|end| end.parse::<u32>().ok());
        let log = strace::parse(&text, pid.unwrap_or(nameless));
        if log.lines == 0 && log.unknown > 0 {
            let error = Diagnostic::error(trace::NOT_A_LOG, format!("`{}` is no log of strace", path.display()));
            return Err(error.help("`strace -f -y -o LOG CMD` writes one").into());
        }
        if log.unknown > 0 {
            console.say(&format!(
                "note: {} of {} lines of {} were not understood",
                log.unknown,
                log.unknown + log.lines,
                path.display()
            ));
        }
        logs.insert(pid.unwrap_or(nameless), log);
        nameless -= 1;
    }
    let here = std::env::current_dir().ok().map(|path| path.as_os_str().as_bytes().to_vec());
    let mut session = Session::new(here);
    for syscall in &strace::join(logs).calls {
        session.take(syscall);
    }
    Ok(session.finish())
}

fn parts(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return vec![path.to_owned()] };
    if path.exists() {
        return vec![path.to_owned()];
    }
    let start = [name.as_bytes(), b"."].concat();
    let listed = std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let mut found: Vec<PathBuf> = listed
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.as_bytes().strip_prefix(start.as_slice()).is_some_and(|end| end.iter().all(u8::is_ascii_digit))
        })
        .map(|entry| folder.join(entry.file_name()))
        .collect();
    found.sort();
    if found.is_empty() { vec![path.to_owned()] } else { found }
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match learn(args, console, &mut texts) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

fn learn(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let path = match args.recipe.recipes.as_slice() {
        [] => None,
        [one] => Some(one.as_path()),
        _ => return Err(usage("`trace` takes one recipe".to_owned())),
    };
    let file = RecipeFile::read(path)?;
    let context = args.recipe.context()?;
    let input = Input::Path(file.path.clone());
    let recipes = mkimage::recipe::load(&input, &context, texts)?.recipes;
    if recipe::by_index(&recipes).count() > 1 {
        return Err(usage(format!("`{}` holds several recipes; name one", file.path.display())));
    }
    // What is traced runs here.
    let Some(mut recipe) = recipe::for_this_machine(&recipes).cloned() else {
        return Err(usage(format!("`{}` is for other machines than this one", file.path.display())));
    };
    recipe.policy = allow_all(&recipe);
    let assembled = assemble(&recipe, console)?;
    let seen = args.source.observe(console)?;
    let trial = |additions: &[Addition]| {
        let input = Input::Changed { path: file.path.clone(), text: file.with(additions).ok()?.into_bytes() };
        try_out(&input, &context)
    };
    let (comparison, additions) = suggestions(&recipe, &assembled, &seen.observed, &trial)?;
    let changed = file.with(&additions)?;
    let diff = file.diff(&changed);
    let code = match args.format {
        Format::Text => console.print(&diff),
        Format::Json => print_json(console, say::json(&comparison, &additions, &diff, seen.code)),
    };
    say::summary(console, &comparison, additions.len());
    if args.write && !diff.is_empty() {
        file.check(&changed, &context, console, texts)?;
        file.write(&changed)?;
        console.say(&format!("wrote {}", file.path.display()));
    }
    Ok(if code == ExitCode::SUCCESS { ExitCode::from(seen.code) } else { code })
}

/// Assembles what may or may not be a recipe that goes, and says nothing of it.
pub(super) fn try_out(input: &Input, context: &Context) -> Option<Assembled> {
    let recipes = mkimage::recipe::load(input, context, &mut Texts::default()).ok()?.recipes;
    let mut recipe = recipe::for_this_machine(&recipes)?.clone();
    recipe.policy = allow_all(&recipe);
    build::assemble(&recipe, &build::Options { suggestions: false, ..options() }, &build::Silent).ok()
}

fn assemble(recipe: &Recipe, console: &Console) -> Result<Assembled> {
    let options = build::Options { suggestions: false, ..options() };
    build::assemble(recipe, &options, &console.building(&recipe.name.value))
}

/// Assembles the recipe with additions, when it can be.
pub(super) type Trial<'a> = dyn Fn(&[Addition]) -> Option<Assembled> + 'a;

/// What the image lacks, and the entries that bring it: no more than are needed. A library that a file brings along, or
/// an extra that it sets off, is not named beside it.
pub(super) fn suggestions(
    recipe: &Recipe,
    assembled: &Assembled,
    observed: &Observed,
    trial: &Trial<'_>,
) -> Result<(Comparison, Vec<Addition>)> {
    let root = match &recipe.root {
        Root::Host => Path::new("/"),
        Root::Folder(path, _) => path,
    };
    let root = Folder::open(root).map_err(|error| Error::io("open", root, &error))?;
    let home = environment::variable("HOME").and_then(|home| ImagePath::new(home).ok());
    let cwd = std::env::current_dir().ok().and_then(|path| ImagePath::new(path.as_os_str().as_bytes()).ok());
    let around = Surroundings { tree: &assembled.tree, root: &root, home: home.as_ref(), cwd: cwd.as_ref() };
    let comparison = trace::compare(observed, &around);
    let covered = covered(recipe, &comparison, trial);
    let all = trace::suggest(&comparison, &covered, &root);
    let (mut additions, later): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|addition| !matches!(addition.key, Key::Libraries | Key::Extras));
    for key in [Key::Libraries, Key::Extras] {
        let wanted: Vec<Addition> = later.iter().filter(|addition| addition.key == key).cloned().collect();
        if wanted.is_empty() {
            continue;
        }
        let Some(with) = (if additions.is_empty() { None } else { trial(&additions) }) else {
            additions.extend(wanted);
            continue;
        };
        let rest = trace::compare(observed, &Surroundings { tree: &with.tree, ..around });
        let still = trace::suggest(&rest, &covered, &root);
        additions.extend(wanted.into_iter().filter(|addition| still.contains(addition)));
    }
    Ok((comparison, additions))
}

/// The extras that bring what is missing.
fn covered(recipe: &Recipe, comparison: &Comparison, trial: &Trial<'_>) -> BTreeMap<ImagePath, String> {
    let mut covered = BTreeMap::new();
    for extra in trace::candidates(comparison) {
        // One that the recipe takes away is not brought back.
        let name = extra.split(':').next().unwrap_or(&extra);
        if recipe.extras.iter().any(|known| known.removed && known.name.value == name) {
            continue;
        }
        // An extra of which the root has nothing brings nothing.
        let Some(with) = trial(&[Addition::new(Key::Extras, &extra)]) else { continue };
        for missing in &comparison.missing {
            if resolve(&with.tree, missing.path.as_bytes()).is_ok() && !covered.contains_key(&missing.path) {
                covered.insert(missing.path.clone(), extra.clone());
            }
        }
    }
    covered
}
