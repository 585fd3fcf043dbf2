//! `mkimage build`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use mkimage::build::{self, Assembled, Built, Options, Packed, Session};
use mkimage::layer::Durability;
use mkimage::output::{Destination, Engine};
use mkimage::recipe::{Compression, Recipe};
use mkimage::report::{Diagnostic, Error, Result, Texts};

use super::console::Console;
use super::lock::LockArgs;
use super::recipes::{RecipeArgs, USAGE, compression, usage};
use super::{environment, lock, summary};

/// Build images from recipes.
///
/// Prints NAME@DIGEST for each image to standard output.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    recipes: RecipeArgs,
    /// Where images go, repeatable: DIR or oci:DIR[:TAG] (OCI layout), FILE.tar or oci-archive:FILE (for skopeo, Podman
    /// and `docker load`), docker-archive:FILE, rootfs:DIR, `-` (archive to standard output). Default: ./NAME.oci.
    #[arg(short, long, value_name = "DEST")]
    output: Vec<String>,
    /// Tag, repeatable, in place of the recipe's.
    #[arg(short, long, value_name = "TAG")]
    tag: Vec<String>,
    /// Compression of layers, in place of the recipe's: zstd[:1-19], gzip[:1-12] or none.
    #[arg(long, value_name = "HOW", value_parser = compression)]
    compression: Option<Compression>,
    /// Threads; by default one for each processor.
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Load the image into an engine: docker, podman, or the one that is there.
    #[arg(long, value_name = "ENGINE", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    load: Option<EngineName>,
    /// Also build TAG-debug: the same layers and one more with busybox.
    #[arg(long)]
    debug: bool,
    #[command(flatten)]
    lock: LockArgs,
    /// Do not wait until outputs are on the disk.
    #[arg(long)]
    no_fsync: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum EngineName {
    /// Whichever is there, Docker first.
    Auto,
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match build_all(args, console, &mut texts) {
        Ok(digests) => digests,
        Err(error) => console.fail(&error, &texts),
    }
}

fn build_all(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let loaded = args.recipes.load(&args.tag, args.compression, texts)?;
    for loaded in &loaded {
        console.show(&loaded.warnings, texts);
    }
    let recipes: Vec<Recipe> = loaded.into_iter().flat_map(|loaded| loaded.recipes).collect();
    let options = args.options()?;
    let engine = args.load.map(engine).transpose()?;
    let destinations = args.destinations(&recipes)?;
    let to_stdout = destinations.iter().flatten().any(|to| *to == Destination::Stdout);
    let session = Session::new(recipes.len());
    let images: Vec<(Recipe, Vec<Destination>)> = recipes.into_iter().zip(destinations).collect();
    let (mut lines, mut errors) = (String::new(), Vec::new());
    let work = |(recipe, destinations): &(Recipe, Vec<Destination>)| -> (Option<Assembled>, Result<Packed>) {
        let progress = console.building(&recipe.name.value);
        let assembled = match session.assemble(recipe, &options, &progress) {
            Ok(assembled) => assembled,
            Err(error) => return (None, Err(error)),
        };
        let places = (destinations.clone(), engine.clone());
        let packed = session.pack(recipe, &assembled, places, &options, &progress);
        (Some(assembled), packed)
    };
    let mut take = |recipe: &Recipe, places: &[Destination], assembled: Option<Assembled>, packed| -> Result<()> {
        if let Some(assembled) = &assembled {
            console.show(&assembled.notes, texts);
            console.show(&assembled.verdicts.warnings(console.detail()), texts);
            lock::say_drift(console, recipe, assembled);
            summary::read(console, assembled);
        }
        let packed: Packed = packed?;
        let Some(assembled) = assembled else { return Ok(()) };
        let progress = console.building(&recipe.name.value);
        let mut stdout = std::io::stdout().lock();
        let built = packed.place(&assembled, &mut stdout, &progress)?;
        drop(stdout);
        let places: Vec<String> = places.iter().map(ToString::to_string).collect();
        for built in &built {
            summary::say(console, built, &assembled, &places);
            lines.push_str(&digest_line(built));
        }
        Ok(())
    };
    build::in_order(&images, options.threads, work, |(recipe, places), (assembled, packed)| {
        errors.extend(take(recipe, places, assembled, packed).err().into_iter().flat_map(|error| error.0));
    });
    let printed = if to_stdout {
        lines.lines().for_each(|line| console.say(line));
        ExitCode::SUCCESS
    } else {
        console.print(&lines)
    };
    if errors.is_empty() { Ok(printed) } else { Err(Error(errors)) }
}

/// `NAME@sha256:...`, for what reads standard output.
fn digest_line(built: &Built) -> String {
    match (&built.image, built.names.first()) {
        (Some(image), Some(name)) => format!("{}@{}\n", name.name(), image.manifest.digest),
        _ => String::new(),
    }
}

impl Args {
    fn options(&self) -> Result<Options> {
        let created = environment::source_date_epoch()
            .map_err(|text| usage(format!("SOURCE_DATE_EPOCH is `{text}`, not a number of seconds since 1970")))?;
        let threads = self.jobs.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
        let durability = if self.no_fsync { Durability::Cached } else { Durability::Synced };
        Ok(Options {
            threads,
            created,
            ci: environment::in_ci(),
            suggestions: false,
            debug_twin: self.debug,
            durability,
            temporary: environment::temporary(),
            locks: self.lock.locks(),
        })
    }

    /// Where each recipe's image goes.
    fn destinations(&self, recipes: &[Recipe]) -> Result<Vec<Vec<Destination>>> {
        let given: Vec<Destination> = self.output.iter().map(|text| Destination::parse(text)).collect::<Result<_>>()?;
        if given.contains(&Destination::Stdout) && (recipes.len() > 1 || given.len() > 1 || self.debug) {
            let error = Diagnostic::error(USAGE, "standard output holds one image, and nothing else");
            return Err(error.help("give each image a file: `-o FILE.tar`").into());
        }
        if !given.is_empty() && recipes.len() > 1 && !given.iter().all(|to| matches!(to, Destination::Layout { .. })) {
            let error = Diagnostic::error(USAGE, format!("{} images do not go into one file", recipes.len()));
            return Err(error.help("one layout holds many images: `-o oci:DIR`; or build one recipe at a time").into());
        }
        let of = |recipe: &Recipe| -> Vec<Destination> {
            if given.is_empty() && self.load.is_none() {
                let name = recipe.name.value.rsplit('/').next().unwrap_or(&recipe.name.value);
                return vec![Destination::Layout { path: PathBuf::from(format!("{name}.oci")), tag: None }];
            }
            given.clone()
        };
        Ok(recipes.iter().map(of).collect())
    }
}

pub(super) fn engine(name: EngineName) -> Result<Engine> {
    let docker = || environment::program("docker").map(Engine::Docker);
    let podman = || environment::program("podman").map(Engine::Podman);
    let found = match name {
        EngineName::Docker => docker(),
        EngineName::Podman => podman(),
        EngineName::Auto => docker().or_else(podman),
    };
    let wanted = match name {
        EngineName::Docker => "`docker` is",
        EngineName::Podman => "`podman` is",
        EngineName::Auto => "neither `docker` nor `podman` is",
    };
    let not = if name == EngineName::Auto { "" } else { " not" };
    found.ok_or_else(|| {
        Error::from(Diagnostic::error(USAGE, format!("{wanted}{not} on PATH, so that nothing can be loaded")))
    })
}
