//! `mkimage lock`: what images take from their roots, written down; and the options that hold builds against it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use mkimage::build::Assembled;
use mkimage::lock::{self, Key, Lock, Locks, Mode, NOT_LOCKED, Taken, Update, What};
use mkimage::recipe::Recipe;
use mkimage::report::{Diagnostic, Error, Result, Texts};
use mkimage::survey::{self, Package, Survey};
use serde_json::{Value, json};

use super::assembled::assemble;
use super::console::Console;
use super::format::{Format, columns, print_json};
use super::judging::PolicyArgs;
use super::recipes::{RecipeArgs, usage};
use super::subject::Subject;

/// What a lock file is called unless a workspace says otherwise.
const FILE: &str = "mkimage.lock";

/// How a build is held against its lock file.
#[derive(Debug, Default, clap::Args)]
pub(super) struct LockArgs {
    /// Fail when the image takes something else from its root than mkimage.lock says.
    #[arg(long)]
    locked: bool,
    /// As --locked, and folders and packages of the root give only what mkimage.lock names.
    #[arg(long, conflicts_with = "locked")]
    frozen: bool,
}

impl LockArgs {
    /// The lock files of a run.
    pub(super) fn locks(&self) -> Arc<Locks> {
        let mode = match (self.frozen, self.locked) {
            (true, _) => Mode::Frozen,
            (false, true) => Mode::Locked,
            (false, false) => Mode::Reported,
        };
        Arc::new(Locks::new(mode))
    }
}

/// Says that an image is no longer what its lock file says, where that is no error.
pub(super) fn say_drift(console: &Console, recipe: &Recipe, assembled: &Assembled) {
    let Some(drift) = assembled.drift.as_ref().filter(|drift| !drift.is_empty()) else { return };
    let file = recipe.lock.as_ref().map_or_else(|| FILE.to_owned(), |place| lock::shown(&place.file));
    let more = if console.verbose > 0 { "" } else { "-v lists it, " };
    let counted = drift.counted();
    let mut text = format!("note: {} no longer matches `{file}`: {counted}", recipe.name.value);
    let _ = write!(text, " ({more}`mkimage lock {}` accepts it)", recipe.origin);
    if console.verbose > 0 {
        text.extend(drift.lines().into_iter().map(|line| format!("\n  {line}")));
    }
    console.say(&text);
}

/// Write down what images take from their roots, in mkimage.lock.
///
/// The file stands beside the recipe, or beside the workspace that it is a member of, and is meant for version control:
/// `mkimage build --locked` fails when an image would take something else. Files beside the recipe are not in it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    recipes: RecipeArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    /// List the packages of the images that lock files name, and write nothing. Images that were built may be named,
    /// too: a layout, an archive, `docker://NAME`.
    #[arg(long)]
    list: bool,
    /// With --list: only images that hold this package, and in which version.
    #[arg(long, value_name = "NAME", requires = "list")]
    package: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    let done = if args.list { list(args, console) } else { write(args, console, &mut texts) };
    match done {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

/// Assembles the images and writes what they take.
fn write(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let images = assemble(&args.recipes, console, texts)?;
    // Of a policy in a registry it is written down which one it is.
    let policy = args.policy.floor(None, &args.recipes, &Arc::default(), texts)?.and_then(|floor| floor.pin);
    let mut files: BTreeMap<PathBuf, Vec<(Key, Taken)>> = BTreeMap::new();
    for (recipe, assembled) in &images {
        let Some((file, key)) = Key::of(recipe, &assembled.platform) else {
            return Err(usage("a recipe from standard input has no lock file".to_owned()));
        };
        let taken = lock::take(recipe, &assembled.tree, &assembled.inventory, None)?;
        files.entry(file).or_default().push((key, taken));
    }
    let mut documents = Vec::new();
    for (file, images) in files {
        let counts: Vec<String> = images.iter().map(|(_, taken)| counted(taken)).collect();
        let update = lock::update(&file, images, policy.as_ref())?;
        say(console, &file, &update, &counts);
        documents.push(document(&file, &update));
    }
    Ok(match args.format {
        Format::Text => ExitCode::SUCCESS,
        Format::Json => print_json(console, json!({ "locks": documents })),
    })
}

fn counted(taken: &Taken) -> String {
    let several = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    format!("{} of {}", several(taken.paths.len(), "path"), several(taken.packages.len(), "package"))
}

fn say(console: &Console, file: &Path, update: &Update, counts: &[String]) {
    let done = if update.written { "written" } else { "is as it was" };
    console.say(&format!("{} {done}", lock::shown(file)));
    for ((key, drift), count) in update.drifts.iter().zip(counts) {
        let says = match drift {
            None => format!("new, {count}"),
            Some(drift) if drift.is_empty() => count.clone(),
            Some(drift) => drift.counted(),
        };
        console.say(&format!("  {} ({}): {says}", key.recipe, key.platform));
        for line in drift.iter().flat_map(lock::Drift::lines) {
            console.say(&format!("    {line}"));
        }
    }
    for recipe in &update.dropped {
        console.say(&format!("  {recipe}: taken out, the recipe is not there"));
    }
}

fn document(file: &Path, update: &Update) -> Value {
    let image = |(key, drift): &(Key, Option<lock::Drift>)| {
        let change = |change: &lock::Change| {
            let path = change.path.as_ref().map(ToString::to_string);
            json!({ "sign": change.sign.mark().to_string(), "path": path, "says": change.says })
        };
        let changes = drift.as_ref().map(|drift| drift.changes.iter().map(change).collect::<Vec<_>>());
        json!({ "recipe": key.recipe, "platform": key.platform, "changes": changes })
    };
    json!({
        "file": lock::shown(file),
        "written": update.written,
        "images": update.drifts.iter().map(image).collect::<Vec<_>>(),
        "dropped": update.dropped,
    })
}

/// Lists what lock files say.
fn list(args: &Args, console: &Console) -> Result<ExitCode> {
    let mut rows = Vec::new();
    let (images, named): (Vec<PathBuf>, Vec<PathBuf>) =
        args.recipes.recipes.iter().cloned().partition(|it| is_image(it));
    let files = if named.is_empty() && !images.is_empty() { Vec::new() } else { lock_files(&named)? };
    for image in &images {
        let subject = Subject::parse(&image.to_string_lossy());
        for survey in subject.look(None, None, &args.recipes.registries, console, &mut Texts::default())? {
            rows.extend(packages_of(&survey, args.package.as_deref()));
        }
    }
    for file in files {
        let lock = Lock::read(&file)?.ok_or_else(|| no_lock(&file))?;
        for (key, taken) in &lock.images {
            rows.extend(packages(&file, key, taken, args.package.as_deref()));
        }
    }
    if args.format == Format::Json {
        let row = |row: &Row| {
            json!({ "package": row.package, "version": row.version, "image": row.image, "platform": row.platform,
                "paths": row.paths })
        };
        return Ok(print_json(console, json!({ "packages": rows.iter().map(row).collect::<Vec<_>>() })));
    }
    let cells = |row: &Row| vec![row.package.clone(), row.version.clone(), row.image.clone(), row.platform.clone()];
    let printed = console.print(&columns(&rows.iter().map(cells).collect::<Vec<_>>()));
    if let Some(name) = args.package.as_ref().filter(|_| rows.is_empty()) {
        console.say(&format!("no image holds files of {name}"));
    }
    Ok(printed)
}

/// A package in an image.
struct Row {
    package: String,
    version: String,
    image: String,
    platform: String,
    paths: Vec<String>,
}

/// Whether an argument of `--list` is an image that was built.
fn is_image(path: &Path) -> bool {
    let is_lock = path.join(FILE).is_file() || path.extension().is_some_and(|extension| extension == "lock");
    !is_lock && matches!(Subject::parse(&path.to_string_lossy()), Subject::Written(..))
}

fn is_called(name: &str, only: Option<&str>) -> bool {
    only.is_none_or(|only| name == only || name.split(':').next() == Some(only))
}

/// The packages of an image that was built, by the records in it.
fn packages_of(survey: &Survey, only: Option<&str>) -> Vec<Row> {
    let row = |(key, package): (&(String, String), &Package)| Row {
        package: survey::package_name(&survey.packages, key),
        version: package.version.clone(),
        image: survey.name.clone(),
        platform: survey.platform.clone(),
        paths: survey.owners.iter().filter(|(_, owner)| *owner == key).map(|(path, _)| path.to_string()).collect(),
    };
    survey.packages.iter().map(row).filter(|row| is_called(&row.package, only)).collect()
}

fn packages(file: &Path, key: &Key, taken: &Taken, only: Option<&str>) -> Vec<Row> {
    let row = |(name, version): (&String, &String)| {
        let of_it = taken.paths.iter().filter(|(_, fact)| fact.package.as_ref() == Some(name));
        let files = of_it.filter(|(_, fact)| matches!(fact.what, What::File { .. } | What::HardLink(_)));
        Row {
            package: name.clone(),
            version: version.clone(),
            image: key.recipe_beside(file).display().to_string(),
            platform: key.platform.clone(),
            paths: files.map(|(path, _)| path.to_string()).collect(),
        }
    };
    taken.packages.iter().filter(|(name, _)| is_called(name, only)).map(row).collect()
}

/// The lock files that the arguments name: themselves, or those beside what they name.
fn lock_files(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if named.is_empty() {
        let (here, workspace) = (PathBuf::from(FILE), Path::new("mkimage.toml"));
        let elsewhere = !here.is_file() && workspace.is_file();
        return Ok(vec![if elsewhere { beside(workspace)? } else { here }]);
    }
    let mut files = Vec::new();
    for path in named {
        let inside = path.join(FILE);
        let file = if path.is_dir() && inside.is_file() {
            inside
        } else if path.extension().is_some_and(|extension| extension == "lock") {
            path.clone()
        } else {
            beside(path)?
        };
        if !files.contains(&file) {
            files.push(file);
        }
    }
    Ok(files)
}

/// The lock file of a recipe or workspace.
fn beside(recipe: &Path) -> Result<PathBuf> {
    let loaded = RecipeArgs::of(recipe).load(&mut Texts::default())?;
    let mut places = loaded.iter().flat_map(|loaded| &loaded.recipes).filter_map(|recipe| recipe.lock.as_ref());
    places.next().map(|place| place.file.clone()).ok_or_else(|| no_lock(recipe))
}

fn no_lock(file: &Path) -> Error {
    Diagnostic::error(NOT_LOCKED, format!("there is no `{}`", lock::shown(file)))
        .help("`mkimage lock` writes it, for a recipe or a workspace")
        .into()
}
