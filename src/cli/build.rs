//! `mkimage build`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use mkimage::build::{
    self, Assembled, Built, Figures, FileHashes, Options, Others, Packed, Pending, Recalled, Renewed, Session, Shared,
};
use mkimage::compare;
use mkimage::layer::Durability;
use mkimage::output::{self, Destination, Engine, Push, StorageTool};
use mkimage::recipe::{Compression, Context, Loaded, Recipe};
use mkimage::registry::{Client, NO_TAG, Remote, Rules};
use mkimage::report::{Diagnostic, Error, Result, Texts};
use mkimage::tree::Tree;

use super::cache::CacheArgs;
use super::console::Console;
use super::fleet::{Choice, Chosen};
use super::judging::{JudgeArgs, Reports};
use super::lock::LockArgs;
use super::rebuild::{self, Again};
use super::recipes::{self, RecipeArgs, USAGE, compression, usage};
use super::remote_cache::RemoteCacheArgs;
use super::{environment, keys, lock, metadata, places, remote_cache, summary};

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
    /// and `docker load`), docker-archive:FILE, rootfs:DIR, `docker://NAME` (registry),
    /// containers-storage:[NAME[:TAG]] (Podman's store), `-` (archive to standard output).
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
    judge: JudgeArgs,
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
    #[command(flatten)]
    remote_cache: RemoteCacheArgs,
    /// Write a page that shows what each thread did when; by default mkimage-timings.html.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "mkimage-timings.html")]
    timings: Option<PathBuf>,
    #[command(flatten)]
    twice: TwiceArgs,
    /// Do not wait until outputs are on the disk.
    #[arg(long)]
    no_fsync: bool,
}

/// Building twice.
#[derive(Debug, clap::Args)]
struct TwiceArgs {
    /// Build twice, the second time under other conditions, and fail when the images differ.
    #[arg(long)]
    check: bool,
    /// Take the entries of recipes from the last to the first: of no effect on images, which --check makes sure of.
    #[arg(long, hide = true)]
    reversed: bool,
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
    let (mut texts, reports) = (Texts::default(), Reports::default());
    let done = args.judge.check().and_then(|()| build_all(args, console, &mut texts, &reports));
    // What was judged is reported, also where it was denied.
    let reported = args.judge.write(&reports, &texts);
    match (done, reported) {
        (Ok(code), Ok(())) => code,
        (Ok(_), Err(error)) | (Err(error), Ok(())) => console.fail(&error, &texts),
        (Err(error), Err(Error(more))) => console.fail(&Error([error.0, more].concat()), &texts),
    }
}

fn build_all(args: &Args, console: &Console, texts: &mut Texts, reports: &Reports) -> Result<ExitCode> {
    if args.timings.is_some() {
        console.time();
    }
    let locks = args.lock.locks();
    let context =
        Context { tags: args.tag.clone(), compression: args.compression, ..args.recipes.held_context(&locks)? };
    let mut loaded = args.recipes.load_in(&context, texts)?;
    args.judge.lay(&mut loaded, &args.recipes, &locks, texts)?;
    for loaded in &loaded {
        console.show(&loaded.warnings, texts);
    }
    if args.twice.reversed {
        for loaded in &mut loaded {
            let members = loaded.workspace.iter_mut().flat_map(|workspace| &mut workspace.members);
            loaded.recipes.iter_mut().chain(members).for_each(reverse);
        }
    }
    let mut options = Options { locks, ..args.options(console)? };
    let engine = args.engine()?;
    let chosen = args.chosen.of(&loaded, console)?;
    let destinations = args.destinations(&chosen)?;
    // The second build of --check goes to layouts that nobody reads.
    if !args.twice.reversed {
        places::distinct(&chosen, &destinations, engine.as_ref(), args.debug)?;
    }
    let to_stdout = destinations.iter().flatten().any(|to| *to == Destination::Stdout);
    let is_remote = |to: &Destination| matches!(to, Destination::Registry(_));
    let asks = destinations.iter().flatten().any(is_remote) || args.remote_cache.is_given();
    let client = asks.then(|| args.recipes.registries.client()).transpose()?;
    if args.remote_cache.is_given() {
        options.remote = Some(args.remote_cache.open(&args.recipes.registries)?);
    }
    let session = Session::new(loaded.iter().map(Loaded::len).sum());
    // Of an image that is recalled no verdicts are known.
    let remembered = options.cache.as_ref().filter(|_| !args.judge.is_reported());
    let session = session.remembering(remembered, &environment::this_program());
    let shared: Vec<OnceLock<Result<Option<Arc<Shared>>>>> = loaded.iter().map(|_| OnceLock::new()).collect();
    let others: Vec<OnceLock<Option<Others>>> = loaded.iter().map(|_| OnceLock::new()).collect();
    let mut jobs = Vec::new();
    for (chosen, destinations) in chosen.into_iter().zip(destinations) {
        let (loaded, shared, others) = (&loaded[chosen.loaded], &shared[chosen.loaded], &others[chosen.loaded]);
        jobs.push(Job { recipe: chosen.recipe, loaded, shared, others, destinations, engine: engine.as_ref() });
    }
    let client = client.as_deref();
    let surroundings = Surroundings { args, session: &session, client, options: &options, console, texts, reports };
    let (mut lines, mut errors, mut metadata, mut rows) = (String::new(), Vec::new(), Vec::new(), String::new());
    // What is done of the images for one index.
    let mut parts = Vec::new();
    let mut take = |job: &Job, made: Result<Made>| -> Result<()> {
        let part = job.recipe.part;
        if part.number == 0 {
            parts.clear();
        }
        parts.push(made?.tell(job, &surroundings)?);
        if part.number + 1 < part.of || parts.len() < part.of {
            return Ok(());
        }
        for built in place(std::mem::take(&mut parts), job, &surroundings)? {
            lines.push_str(&digest_line(&built));
            metadata.extend(metadata::of(job.recipe, &built));
            rows.push_str(&metadata::rows(&built));
        }
        Ok(())
    };
    let make = |job: &Job| job.make(&surroundings);
    build::in_order(&jobs, options.threads, make, |mut done| {
        build::into_layouts(done.iter_mut().filter_map(|(job, made)| made.as_mut().ok()?.packed(job)));
        for (job, made) in done {
            if let Err(error) = take(job, made) {
                // What stops all members of a workspace is told once.
                let news: Vec<_> = error.0.into_iter().filter(|one| !errors.contains(one)).collect();
                errors.extend(news);
            }
        }
    });
    if errors.is_empty() && args.twice.check {
        args.build_again(&jobs, &lines, console)?;
    }
    if let Some(path) = args.metadata_file.as_ref().filter(|_| errors.is_empty()) {
        metadata::write(path, &metadata)?;
    }
    metadata::summarise(&rows)?;
    session.leave();
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

/// What all images of a run are made with.
struct Surroundings<'a> {
    args: &'a Args,
    session: &'a Session,
    client: Option<&'a Client>,
    options: &'a Options,
    console: &'a Console,
    texts: &'a Texts,
    reports: &'a Reports,
}

impl Surroundings<'_> {
    /// Is done with something of an image. To take a large one apart takes milliseconds, and the end of the process
    /// gives its memory back at once; where other images come, they can have it.
    fn leave<T>(&self, done: T) {
        if self.session.is_of_many() {
            drop(done);
        } else {
            std::mem::forget(done);
        }
    }
}

/// One image to build.
struct Job<'a> {
    recipe: &'a Recipe,
    loaded: &'a Loaded,
    /// What the members of its workspace have in common, found out once an image has to be built.
    shared: &'a OnceLock<Result<Option<Arc<Shared>>>>,
    others: &'a OnceLock<Option<Others>>,
    destinations: Vec<Destination>,
    engine: Option<&'a Engine>,
}

/// An image that only has to be placed, or could not be packed.
enum Made {
    Built(Box<Assembled>, Result<Packed>, Option<Box<Pending>>),
    /// One of which nothing has changed.
    Recalled(Box<Recalled>, Packed),
    /// One of which nothing has changed but what `stat` says of its files.
    Renewed(Box<Renewed>, Packed),
}

impl Job<'_> {
    /// All but what is done in order.
    fn make(&self, with: &Surroundings) -> Result<Made> {
        let progress = with.reports.hearing(self.recipe, with.console.building(&self.recipe.name.value));
        let how = build::compressions(self.recipe, &self.destinations);
        let how = how.filter(|_| self.engine.is_none());
        let workspace = self.loaded.workspace.as_ref().filter(|workspace| workspace.shared_layers);
        let find = || workspace.map(|workspace| Others::of(&workspace.members, with.texts));
        let others = self.others.get_or_init(find).as_ref();
        let subject = (self.recipe, others, with.texts);
        let known = how.as_ref().and_then(|how| with.session.remembered(subject, how, with.options));
        if let Some(known) = &known
            && let Some(recalled) = with.session.recall(known, with.options)
            && let Some(packed) =
                recalled.clone().pack(with.session, self.recipe, &self.destinations, with.options, &progress)?
        {
            return Ok(Made::Recalled(Box::new(recalled), packed));
        }
        if let Some(known) = &known
            && let Some(renewed) = with.session.renew(known, with.options)
            && let Some(packed) =
                renewed.recalled.clone().pack(with.session, self.recipe, &self.destinations, with.options, &progress)?
        {
            return Ok(Made::Renewed(Box::new(renewed), packed));
        }
        // A build wants the memory for itself.
        drop(known);
        self.destinations.iter().try_for_each(output::check)?;
        let find = || recipes::shared(with.session, self.loaded, with.options, with.console);
        let shared = self.shared.get_or_init(find).clone()?;
        let mut assembled = with.session.assemble(self.recipe, with.options, &progress)?;
        assembled.shared = shared;
        let places = (self.destinations.clone(), self.engine.cloned());
        let mut packed = with.session.pack(self.recipe, &assembled, places, with.options, &progress);
        let pending = how
            .as_ref()
            .zip(packed.as_mut().ok())
            .and_then(|(how, packed)| with.session.outcome(subject, &assembled, packed, how, with.options));
        let pending = pending.map(Box::new);
        // What was assembled is also told of an image that could not be packed.
        Ok(Made::Built(Box::new(assembled), packed, pending))
    }
}

/// An image, or that for one platform, of which everything is told but where it went.
struct Part {
    figures: Figures,
    tree: Tree,
    packed: Packed,
    pending: Option<Box<Pending>>,
}

impl Made {
    /// The image, where it is packed and goes to its places as it is: not one of several for an index.
    fn packed(&mut self, job: &Job) -> Option<&mut Packed> {
        match self {
            Self::Built(_, packed, _) => packed.as_mut().ok(),
            Self::Recalled(_, packed) | Self::Renewed(_, packed) => Some(packed),
        }
        .filter(|_| job.recipe.part.of == 1)
    }

    /// Tells what is to be told of it.
    fn tell(self, job: &Job, with: &Surroundings) -> Result<Part> {
        let Surroundings { console, texts, .. } = with;
        match self {
            Self::Built(assembled, packed, pending) => {
                console.show(&assembled.notes, texts);
                console.show(&assembled.verdicts.warnings(console.detail()), texts);
                lock::say_drift(console, job.recipe, &assembled);
                summary::read(console, &assembled);
                let (figures, mut rest) = (assembled.figures(), *assembled);
                let tree = std::mem::take(&mut rest.tree);
                with.leave(rest);
                Ok(Part { figures, tree, packed: packed?, pending })
            }
            Self::Recalled(recalled, packed) => {
                summary::recalled(console, &recalled.said, texts);
                summary::figures(console, 0, 0);
                Ok(Part { figures: recalled.figures, tree: Tree::default(), packed, pending: None })
            }
            Self::Renewed(renewed, packed) => {
                let Renewed { recalled, pending, reread, packed: again, spent } = *renewed;
                with.leave(spent);
                summary::recalled(console, &recalled.said, texts);
                summary::reread(console, reread, again);
                let pending = pending.map(Box::new);
                Ok(Part { figures: recalled.figures, tree: Tree::default(), packed, pending })
            }
        }
    }
}

/// Puts an image, or those for one index, in its places.
fn place(parts: Vec<Part>, job: &Job, with: &Surroundings) -> Result<Vec<Built>> {
    let (mut figures, mut trees, mut packed, mut pending) = (Vec::new(), Vec::new(), Vec::new(), None);
    for part in parts {
        figures.push(part.figures);
        trees.push(part.tree);
        packed.push(part.packed);
        pending = part.pending;
    }
    let progress = with.console.building(&job.recipe.name.value);
    let mut stdout = std::io::stdout().lock();
    let push = with.client.map(|client| Push { client, rules: with.args.rules() });
    let packed = Packed::joined(packed, with.options)?;
    let layers = packed.layers();
    let built = std::thread::scope(|scope| {
        if let Some(pending) = &pending {
            scope.spawn(|| with.session.remember(pending));
        }
        packed.place(&trees[0], &mut stdout, push, &progress)
    });
    drop(stdout);
    if let (Ok(_), Some(remote), Some(cache)) = (&built, &with.options.remote, &with.options.cache) {
        remote_cache::publish(remote, &layers, cache, with.console);
    }
    if let Some(client) = with.client {
        with.args.recipes.registries.say_warnings(client, with.console);
    }
    let built = built?;
    let places: Vec<String> = job.destinations.iter().map(ToString::to_string).collect();
    for built in &built {
        summary::say(with.console, built, &figures, &places);
    }
    with.leave(trees);
    Ok(built)
}

/// `NAME@sha256:...`, for what reads standard output.
fn digest_line(built: &Built) -> String {
    match (&built.images, built.names.first()) {
        (Some(images), Some(name)) => format!("{}@{}\n", name.name(), images.digest()),
        _ => String::new(),
    }
}

/// Lists in which no entry counts more than another, the other way round.
fn reverse(recipe: &mut Recipe) {
    recipe.libraries.reverse();
    recipe.files.reverse();
    recipe.packages.reverse();
    recipe.dirs.reverse();
    recipe.writable.reverse();
    recipe.symlinks.reverse();
    recipe.config.ports.reverse();
    recipe.config.volumes.reverse();
}

impl Args {
    /// Builds all images once more, and compares.
    fn build_again(&self, jobs: &[Job], lines: &str, console: &Console) -> Result<()> {
        let mut options: Vec<std::ffi::OsString> =
            self.tag.iter().flat_map(|tag| ["--tag".into(), tag.into()]).collect();
        let threads = self.options(console)?.threads.get();
        // The second images are in layouts, which are not compressed as other outputs are.
        let mut first = jobs.iter().filter_map(|job| {
            Some(job.destinations.first()?.compression(job.recipe.compression.as_ref().map(|asked| asked.value)))
        });
        let same = first.next().filter(|how| first.all(|other| other == *how));
        let compression = same.or(self.compression);
        options.extend(compression.into_iter().flat_map(|how| ["--compression".into(), how.to_string().into()]));
        options.extend(self.debug.then(|| "--debug".into()));
        options.extend(self.chosen.words().into_iter().map(Into::into));
        let (folder, again) = Again { recipes: &self.recipes, options, threads }.build()?;
        if again == lines {
            console.say("built twice: the same images");
            return Ok(());
        }
        let mut errors = Vec::new();
        for job in jobs {
            let rebuilt = folder.path().join(rebuild::layout_of(job.recipe));
            if let Some(place) = job.destinations.first() {
                errors.extend(rebuild::compared(job.recipe, place, &rebuilt)?);
            }
        }
        if errors.is_empty() {
            let said = format!("the first build gave\n{lines}the second one\n{again}");
            errors.push(Diagnostic::error(compare::DIFFERS, "two builds gave different images").note(said.trim_end()));
        }
        Err(Error(errors))
    }

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
            file_hashes: FileHashes::OfListed,
            debug_twin: self.debug,
            signer: self.sign_key.as_deref().map(keys::private).transpose()?.map(std::sync::Arc::new),
            durability,
            cache: self.cache.open(console),
            remote: None,
            watch: console.watch(),
            temporary: environment::temporary(),
            today: environment::today(),
            locks: std::sync::Arc::default(),
        })
    }

    /// Where each recipe's image goes.
    fn destinations(&self, recipes: &[Chosen]) -> Result<Vec<Vec<Destination>>> {
        let given = self.output.iter().filter(|text| !text.starts_with(STORAGE));
        let given: Vec<Destination> = given.map(|text| Destination::parse(text)).collect::<Result<_>>()?;
        let count = recipes.iter().filter(|chosen| chosen.recipe.part.number == 0).count();
        if given.contains(&Destination::Stdout) && (count > 1 || given.len() > 1 || self.debug) {
            let error = Diagnostic::error(USAGE, "standard output holds one image, and nothing else");
            return Err(error.help("give each image a file: `-o FILE.tar`").into());
        }
        places::take(count, &given)?;
        let of = |recipe: &Recipe| -> Result<Vec<Destination>> {
            let mut all = given.clone();
            for to in all.iter().filter(|to| matches!(to, Destination::Registry(remote) if remote.tag.is_none())) {
                tagged(recipe, &to.to_string())?;
            }
            if self.push.push {
                all.push(own_registry(recipe)?);
            }
            if all.is_empty() && self.load.is_none() && !self.output.iter().any(|text| text.starts_with(STORAGE)) {
                all.push(Destination::Layout { path: PathBuf::from(rebuild::layout_of(recipe)), tag: None });
            }
            Ok(all)
        };
        recipes.iter().map(|chosen| of(chosen.recipe)).collect()
    }

    /// The engine that images are loaded into: that of `--load`, or the store that `-o containers-storage:` names.
    fn engine(&self) -> Result<Option<Engine>> {
        let mut stores = self.output.iter().filter_map(|text| text.strip_prefix(STORAGE));
        let Some(store) = stores.next() else { return self.load.map(engine).transpose() };
        if stores.next().is_some() || self.load.is_some() {
            let error = Diagnostic::error(USAGE, "an image is loaded into one engine or store at once");
            return Err(error.help("run it again for the other one: nothing is built twice").into());
        }
        let (name, tag) = match store.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (store, None),
        };
        if self.debug && tag.is_some() {
            return Err(usage(format!("`-o {STORAGE}{store}` names one image, and --debug makes two")));
        }
        let name = (!name.is_empty()).then(|| (name.to_owned(), tag));
        let found = StorageTool::ALL.iter().find_map(|(tool, name)| Some((*tool, environment::program(name)?)));
        found.map(|(tool, program)| Some(Engine::Storage { tool, program, name })).ok_or_else(|| {
            let title = format!("`{STORAGE}` is written by skopeo, podman or buildah, and none of them is on PATH");
            let help = "install one of them, or write an archive with `-o FILE.tar` and load that where it is";
            Diagnostic::error(USAGE, title).help(help).into()
        })
    }

    /// What may be done to tags of registries.
    fn rules(&self) -> Rules {
        if self.push.immutable { Rules::Keep } else { Rules::Move }
    }
}

/// The word of `-o` for the store that Podman, Buildah and CRI-O share.
const STORAGE: &str = "containers-storage:";

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
