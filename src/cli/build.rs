//! `mkimage build`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use mkimage::build::{self, Assembled, Built, Options, Packed, Session};
use mkimage::layer::{Commons, Durability};
use mkimage::output::{Destination, Engine, Push};
use mkimage::recipe::{Compression, Loaded, Recipe};
use mkimage::registry::{NO_TAG, Remote, Rules};
use mkimage::report::{Diagnostic, Error, Result, Texts};

use super::cache::CacheArgs;
use super::console::Console;
use super::fleet::{Choice, Chosen};
use super::lock::LockArgs;
use super::recipes::{RecipeArgs, USAGE, commons, compression, usage};
use super::registries::RegistryArgs;
use super::{environment, keys, lock, metadata, summary};

/// Build images from recipes.
///
/// Prints NAME@DIGEST for each image to standard output.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    recipes: RecipeArgs,
    #[command(flatten)]
    chosen: Choice,
    /// Where images go, repeatable: DIR or oci:DIR[:TAG] (OCI layout), FILE.tar or oci-archive:FILE (for skopeo, Podman
    /// and `docker load`), docker-archive:FILE, rootfs:DIR, `docker://NAME` (registry), `-` (archive to standard output).
    /// Default: ./NAME.oci.
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
    #[command(flatten)]
    push: PushArgs,
    /// Also build TAG-debug: the same layers and one more with busybox.
    #[arg(long)]
    debug: bool,
    #[command(flatten)]
    lock: LockArgs,
    /// Write what was built to this file, as JSON: names, digests, platforms, layers, sizes.
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Sign the image, its SBOMs and its provenance with this private key: a file, or `env://NAME`.
    #[arg(long, value_name = "KEY")]
    sign_key: Option<String>,
    #[command(flatten)]
    cache: CacheArgs,
    /// Write a page that shows what each thread did when; by default mkimage-timings.html.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "mkimage-timings.html")]
    timings: Option<PathBuf>,
    /// Do not wait until outputs are on the disk.
    #[arg(long)]
    no_fsync: bool,
}

/// Pushing what is built.
#[derive(Debug, clap::Args)]
struct PushArgs {
    /// Push the image to the registry of its name, under each of its tags.
    #[arg(long)]
    push: bool,
    /// Refuse to move a tag that a registry has already.
    #[arg(long)]
    immutable: bool,
    #[command(flatten)]
    registries: RegistryArgs,
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
    if args.timings.is_some() {
        console.time();
    }
    let loaded = args.recipes.load(&args.tag, args.compression, texts)?;
    for loaded in &loaded {
        console.show(&loaded.warnings, texts);
    }
    let options = args.options(console)?;
    let engine = args.load.map(engine).transpose()?;
    let chosen = args.chosen.of(&loaded, console)?;
    let destinations = args.destinations(&chosen)?;
    let to_stdout = destinations.iter().flatten().any(|to| *to == Destination::Stdout);
    let is_remote = |to: &Destination| matches!(to, Destination::Registry(_));
    let client = destinations.iter().flatten().any(is_remote).then(|| args.push.registries.client()).transpose()?;
    let session = Session::new(loaded.iter().map(Loaded::len).sum());
    let (mut lines, mut errors, mut metadata, mut rows) = (String::new(), Vec::new(), Vec::new(), String::new());
    // What is done of the images for one index.
    let mut parts: Vec<(Assembled, Packed)> = Vec::new();
    let mut jobs = Vec::new();
    let mut wanted = chosen.into_iter().zip(destinations).peekable();
    for (place, loaded) in loaded.iter().enumerate() {
        let own: Vec<_> = std::iter::from_fn(|| wanted.next_if(|(chosen, _)| chosen.loaded == place)).collect();
        match commons(&session, loaded, !own.is_empty(), &options, console) {
            Ok(commons) => jobs.extend(own.into_iter().map(|(chosen, destinations)| Job {
                recipe: chosen.recipe,
                destinations,
                engine: engine.as_ref(),
                commons: commons.clone(),
            })),
            Err(error) => errors.extend(error.0),
        }
    }
    let work = |job: &Job| job.pack(&session, &options, console);
    let mut take = |job: &Job, (assembled, packed): (Option<Assembled>, Result<Packed>)| -> Result<()> {
        if let Some(assembled) = &assembled {
            console.show(&assembled.notes, texts);
            console.show(&assembled.verdicts.warnings(console.detail()), texts);
            lock::say_drift(console, job.recipe, assembled);
            summary::read(console, assembled);
        }
        let part = job.recipe.part;
        if part.number == 0 {
            parts.clear();
        }
        parts.extend(assembled.zip(Some(packed?)));
        if part.number + 1 < part.of || parts.len() < part.of {
            return Ok(());
        }
        let (assembled, packed): (Vec<Assembled>, Vec<Packed>) = parts.drain(..).unzip();
        let progress = console.building(&job.recipe.name.value);
        let mut stdout = std::io::stdout().lock();
        let push = client.as_deref().map(|client| Push { client, rules: args.rules() });
        let built = Packed::joined(packed)?.place(&assembled[0], &mut stdout, push, &progress);
        drop(stdout);
        if let Some(client) = &client {
            args.push.registries.say_warnings(client, console);
        }
        let built = built?;
        let places: Vec<String> = job.destinations.iter().map(ToString::to_string).collect();
        for built in &built {
            summary::say(console, built, &assembled, &places);
            lines.push_str(&digest_line(built));
            metadata.extend(metadata::of(job.recipe, built));
            rows.push_str(&metadata::rows(built));
        }
        Ok(())
    };
    build::in_order(&jobs, options.threads, work, |job, done| {
        errors.extend(take(job, done).err().into_iter().flat_map(|error| error.0));
    });
    if let Some(path) = args.metadata_file.as_ref().filter(|_| errors.is_empty()) {
        metadata::write(path, &metadata)?;
    }
    metadata::summarise(&rows)?;
    let printed = if to_stdout {
        lines.lines().for_each(|line| console.say(line));
        ExitCode::SUCCESS
    } else {
        console.print(&lines)
    };
    if let Some(path) = &args.timings {
        errors.extend(console.write_times(path).err().into_iter().flat_map(|error| error.0));
    }
    if errors.is_empty() { Ok(printed) } else { Err(Error(errors)) }
}

/// One image to build.
struct Job<'a> {
    recipe: &'a Recipe,
    destinations: Vec<Destination>,
    engine: Option<&'a Engine>,
    commons: Option<Arc<Commons>>,
}

impl Job<'_> {
    /// All but what is done in order. What was assembled is also told of an image that could not be packed.
    fn pack(&self, session: &Session, options: &Options, console: &Console) -> (Option<Assembled>, Result<Packed>) {
        let progress = console.building(&self.recipe.name.value);
        let assembled = match session.assemble(self.recipe, options, &progress) {
            Ok(assembled) => Assembled { commons: self.commons.clone(), ..assembled },
            Err(error) => return (None, Err(error)),
        };
        let places = (self.destinations.clone(), self.engine.cloned());
        let packed = session.pack(self.recipe, &assembled, places, options, &progress);
        (Some(assembled), packed)
    }
}

/// `NAME@sha256:...`, for what reads standard output.
fn digest_line(built: &Built) -> String {
    match (&built.images, built.names.first()) {
        (Some(images), Some(name)) => format!("{}@{}\n", name.name(), images.digest()),
        _ => String::new(),
    }
}

impl Args {
    fn options(&self, console: &Console) -> Result<Options> {
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
            signer: self.sign_key.as_deref().map(keys::private).transpose()?.map(std::sync::Arc::new),
            durability,
            cache: self.cache.open(console),
            watch: console.watch(),
            temporary: environment::temporary(),
            locks: self.lock.locks(),
        })
    }

    /// Where each recipe's image goes.
    fn destinations(&self, recipes: &[Chosen]) -> Result<Vec<Vec<Destination>>> {
        let given: Vec<Destination> = self.output.iter().map(|text| Destination::parse(text)).collect::<Result<_>>()?;
        let count = recipes.iter().filter(|chosen| chosen.recipe.part.number == 0).count();
        if given.contains(&Destination::Stdout) && (count > 1 || given.len() > 1 || self.debug) {
            let error = Diagnostic::error(USAGE, "standard output holds one image, and nothing else");
            return Err(error.help("give each image a file: `-o FILE.tar`").into());
        }
        if !given.is_empty() && count > 1 && !given.iter().all(|to| matches!(to, Destination::Layout { .. })) {
            let error = Diagnostic::error(USAGE, format!("{count} images do not go into one file"));
            return Err(error.help("one layout holds many images: `-o oci:DIR`; or build one recipe at a time").into());
        }
        let of = |recipe: &Recipe| -> Result<Vec<Destination>> {
            let mut all = given.clone();
            for to in all.iter().filter(|to| matches!(to, Destination::Registry(remote) if remote.tag.is_none())) {
                tagged(recipe, &to.to_string())?;
            }
            if self.push.push {
                all.push(own_registry(recipe)?);
            }
            if all.is_empty() && self.load.is_none() {
                let name = recipe.name.value.rsplit('/').next().unwrap_or(&recipe.name.value);
                all.push(Destination::Layout { path: PathBuf::from(format!("{name}.oci")), tag: None });
            }
            Ok(all)
        };
        recipes.iter().map(|chosen| of(chosen.recipe)).collect()
    }

    /// What may be done to tags of registries.
    fn rules(&self) -> Rules {
        if self.push.immutable { Rules::Keep } else { Rules::Move }
    }
}

/// The registry of a recipe's name. A name without a host is no address of one that the user chose.
fn own_registry(recipe: &Recipe) -> Result<Destination> {
    tagged(recipe, "--push")?;
    let name = &recipe.name.value;
    let first = name.split('/').next().unwrap_or_default();
    if !name.contains('/') || !(first.contains(['.', ':']) || first == "localhost") {
        return Err(Diagnostic::error(USAGE, format!("`{name}` names no registry that `--push` could push to"))
            .at(recipe.name.span, "as `registry.example/team/app`")
            .help(format!(
                "put the registry before the name, or push elsewhere with `-o docker://registry.example/{name}`"
            ))
            .into());
    }
    Ok(Destination::Registry(Remote::parse(name)?))
}

/// Nothing is pushed as `latest` that nobody called so.
fn tagged(recipe: &Recipe, asked: &str) -> Result<()> {
    if recipe.tags.iter().any(|tag| tag.span != recipe.span) {
        return Ok(());
    }
    Err(Diagnostic::error(NO_TAG, format!("`{asked}` needs a tag for {}", recipe.origin))
        .help("say which with `--tag 1.0`, or `tags` in the recipe; `--tag latest` if that is meant")
        .into())
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
