//! `mkimage test`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mkimage::recipe::{self, Input, Recipe, Test, load};
use mkimage::report::{Diagnostic, Error, Result, Texts};
use mkimage::run::{Image, Launcher, Running};
use mkimage::trial::{self, Outcome, Surroundings, Verdict};

use super::console::Console;
use super::format::print_json;
use super::recipes::{RecipeArgs, USAGE};
use super::registries::RegistryArgs;
use super::run::not_here;
use super::unpacked::{Entered, Workplace};
use super::{environment, images, interrupt};

/// Run the recipes' own tests, each in a network of its own.
///
/// Exits with 0 when all pass, with 1 when one fails.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    recipes: RecipeArgs,
    /// Test this layout, archive or `docker://NAME` in place of the recipe's image; oci:DIR:TAG for one of several
    /// images.
    #[arg(long, value_name = "IMAGE")]
    image: Option<PathBuf>,
    /// Only tests whose name contains this.
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Fail when a recipe has no test.
    #[arg(long)]
    require: bool,
    /// How many tests run at once; by default twice as many as there are processors.
    #[arg(short, long, value_name = "N")]
    jobs: Option<std::num::NonZeroUsize>,
    /// The runtime: runc, crun, bwrap or a path. Default: the first that works (`MKIMAGE_RUNTIME`).
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// Run the tests in containers of an engine, which are removed at the end.
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "runtime")]
    engine: Option<super::build::EngineName>,
    /// How to print. Default: text on a terminal, else tap.
    #[arg(long, value_enum, value_name = "FORM")]
    format: Option<Form>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// TAP 14.
    Tap,
    /// The XML of `JUnit`.
    Junit,
    /// One JSON document.
    Json,
    /// Lines for people.
    Text,
}

impl Args {
    /// Of each recipe for several platforms the one that is started here: for this machine, unless others are asked
    /// for.
    fn startable<'a>(&self, recipes: &'a [Recipe], console: &Console) -> Result<Vec<&'a Recipe>> {
        if !self.recipes.platform.is_empty() {
            return Ok(recipes.iter().collect());
        }
        let here = |parts: &'a [Recipe]| {
            let chosen = recipe::for_this_machine(parts).ok_or_else(|| not_here(parts))?;
            let platform = chosen.platform.as_ref().filter(|_| parts.len() > 1);
            if let Some(platform) = platform {
                let (name, count) = (&chosen.origin, parts.len());
                console.say(&format!("note: {name} is tested on {} alone, of {count} platforms", platform.value));
            }
            Ok(chosen)
        };
        recipe::by_index(recipes).map(here).collect()
    }

    /// Whether the tests run in namespaces that this process makes.
    pub(super) fn needs_namespaces(&self) -> bool {
        self.engine.is_none()
    }
}

pub(super) fn run(args: &Args, entered: &Entered, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match test_all(args, entered, console, &mut texts) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

fn test_all(args: &Args, entered: &Entered, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let loaded = args.recipes.load(texts)?;
    let loaded: Vec<Recipe> = loaded.into_iter().flat_map(|loaded| loaded.recipes).collect();
    let recipes = args.startable(&loaded, console)?;
    if args.image.is_some() && recipes.len() != 1 {
        return Err(Diagnostic::error(USAGE, "`--image` is tested by one recipe").into());
    }
    let without: Vec<&Recipe> = recipes.iter().copied().filter(|recipe| recipe.tests.is_empty()).collect();
    for recipe in &without {
        console.say(&format!("note: {} has no tests", recipe.origin));
    }
    if let Some(first) = without.first().filter(|_| args.require) {
        let error = Diagnostic::error(USAGE, format!("{} has no tests", first.origin));
        return Err(error.help("a test is `[[test]]` with what is run and what must come of it").into());
    }
    let workplace = match args.engine {
        Some(name) => Workplace::in_engine(entered, super::build::engine(name)?)?,
        None => Workplace::new(entered, args.runtime.as_deref())?,
    };
    if args.image.is_some() && workplace.is_engine() {
        return Err(Diagnostic::error(USAGE, "an engine tests what a recipe builds, not `--image`").into());
    }
    let registries = &args.recipes.registries;
    let bench = Tests { workplace, registries, console, built: Mutex::default(), next: AtomicUsize::new(0) };
    let mut jobs: Vec<(&Recipe, &Test, Arc<Image>)> = Vec::new();
    for &recipe in &recipes {
        let wanted = |test: &&Test| args.only.as_ref().is_none_or(|word| trial::name(test).contains(word.as_str()));
        let own: Vec<&Test> = recipe.tests.iter().filter(wanted).collect();
        // What is not started need not be built.
        if own.iter().all(|test| test.skip.is_some()) {
            let nothing = Image {
                name: recipe.origin.clone(),
                rootfs: PathBuf::new(),
                parameters: mkimage::run::Parameters::default(),
                writable: Vec::new(),
            };
            let nothing = Arc::new(nothing);
            jobs.extend(own.iter().map(|test| (recipe, *test, Arc::clone(&nothing))));
            continue;
        }
        let image = match &args.image {
            Some(path) => {
                let platform = recipe.platform.as_ref().map(|platform| &platform.value);
                bench.workplace.unpack(&images::open(path, &args.recipes.registries, console)?, platform)?
            }
            None => bench.workplace.build(recipe, console)?,
        };
        let image = Arc::new(image);
        jobs.extend(own.iter().map(|test| (recipe, *test, Arc::clone(&image))));
    }
    let outcomes = bench.run_all(&jobs, args.jobs.map(usize::from), texts);
    interrupt::settle();
    let failed = outcomes.iter().any(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
    let form = args.format.unwrap_or(if environment::stdout_is_terminal() { Form::Text } else { Form::Tap });
    let printed = match form {
        Form::Tap => console.print(&trial::tap(&outcomes)),
        Form::Junit => console.print(&trial::junit(&outcomes)),
        Form::Json => print_json(console, trial::json(&outcomes)),
        Form::Text => console.print(&trial::text(&outcomes)),
    };
    Ok(if failed { ExitCode::FAILURE } else { printed })
}

/// What results call a recipe: with its platform, where it has several.
fn called(recipe: &Recipe) -> String {
    match recipe.platform.as_ref().filter(|_| recipe.part.of > 1) {
        Some(platform) => format!("{} ({})", recipe.origin, platform.value),
        None => recipe.origin.clone(),
    }
}

/// All tests of a run, and the images that they need.
struct Tests<'a> {
    workplace: Workplace<'a>,
    registries: &'a RegistryArgs,
    console: &'a Console,
    /// Images of other recipes that tests ask for, each built once.
    built: Mutex<Vec<(PathBuf, Arc<Image>)>>,
    next: AtomicUsize,
}

impl Tests<'_> {
    fn run_all(&self, jobs: &[(&Recipe, &Test, Arc<Image>)], count: Option<usize>, texts: &Texts) -> Vec<Outcome> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicUsize::new(0);
        let outcomes: Mutex<Vec<(usize, Outcome)>> = Mutex::default();
        let worker = || {
            while let Some((index, (recipe, test, image))) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                jobs.get(index).map(|job| (index, job))
            } {
                // A network belongs to a thread, so each test has one.
                let ran = std::thread::scope(|scope| scope.spawn(|| trial::run(test, image, self)).join());
                let (verdict, time) = ran.unwrap_or_else(|_| {
                    (
                        Verdict::Failed(vec!["internal error: the test's thread panicked".to_owned()]),
                        std::time::Duration::ZERO,
                    )
                });
                let outcome = Outcome {
                    recipe: called(recipe),
                    name: trial::name(test),
                    place: texts.place(test.span),
                    verdict,
                    time,
                };
                outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((index, outcome));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..count.unwrap_or(2 * processors).min(jobs.len()) {
                scope.spawn(worker);
            }
        });
        let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by_key(|(index, _)| *index);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

impl Surroundings for Tests<'_> {
    fn image(&self, recipe: &Path) -> Result<Arc<Image>> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, image)) = built.iter().find(|(known, _)| known == recipe) {
            return Ok(Arc::clone(image));
        }
        let context = RecipeArgs::of(recipe).asking(self.registries).context()?;
        let loaded = load(&Input::Path(recipe.to_owned()), &context, &mut Texts::default())?;
        let Some(first) = recipe::for_this_machine(&loaded.recipes).or(loaded.recipes.first()) else {
            return Err(Error::from(Diagnostic::error(
                USAGE,
                format!("`{}` is no recipe of an image", recipe.display()),
            )));
        };
        let image = Arc::new(self.workplace.build(first, self.console)?);
        built.push((recipe.to_owned(), Arc::clone(&image)));
        Ok(image)
    }

    fn launcher(&self) -> Result<&Launcher> {
        self.workplace.launcher()
    }

    fn folder(&self) -> PathBuf {
        self.workplace.folder().join(format!("test-{}", self.next.fetch_add(1, Ordering::Relaxed)))
    }

    fn started(&self, program: &Running) {
        // Containers are removed by the place that they are started from.
        if let Some(process) = program.process().filter(|_| !self.workplace.is_engine()) {
            interrupt::end_with(process);
        }
    }
}
