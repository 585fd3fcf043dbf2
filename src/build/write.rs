//! Packing what was assembled, and putting it in its places.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cache::Key;
use crate::image::{self, Image, Images};
use crate::layer::{self, Durability, Layer, Staging};
use crate::oci::Reference;
use crate::output::{self, Attaching, Destination, Engine, Push};
use crate::path::ImagePath;
use crate::policy::{self, Verdicts};
use crate::recipe::{Compression, Config, Platform, Recipe};
use crate::registry::{Pushed, Repository};
use crate::report::{Diagnostic, Error, Result, Span, Spanned};
use crate::threads;
use crate::tree::Tree;

use super::documents::{self, Beside, Documents, index_signatures};
use super::memory::Evidence;
use super::plans::Plans;
use super::{Assembled, BAD_NAME, FileHashes, OUTPUT_IN_INPUT, Options, Progress, SEVERAL_PLATFORMS, Session};

/// Where an image goes.
pub struct Outputs<'a> {
    /// Places, in order.
    pub destinations: Vec<Destination>,
    /// An engine to load it into.
    pub engine: Option<Engine>,
    /// How registries are pushed to.
    pub push: Option<Push<'a>>,
    /// Where [`Destination::Stdout`] leads.
    pub stdout: &'a mut dyn Write,
}

/// An image that was written.
#[derive(Debug)]
pub struct Built {
    /// Its names.
    pub names: Vec<Reference>,
    /// The image as its first output has it, or those of an index; `None` when it only went into a folder of files.
    pub images: Option<Images>,
    /// What the outputs have to say.
    pub notes: Vec<String>,
    /// What was pushed, and where to.
    pub pushed: Vec<(Repository, Pushed)>,
}

/// An image for one output while it is made.
struct Making {
    place: Place,
    variant: Variant,
    compression: Compression,
    staging: Staging,
    layers: Vec<Layer>,
}

#[derive(Clone)]
pub(super) enum Place {
    Destination(Destination),
    Engine(Engine),
}

impl Place {
    /// Whether its layers can be kept for it.
    fn keeps_layers(&self) -> bool {
        matches!(self, Self::Destination(_))
    }

    /// Whether documents can stand beside it.
    pub(super) fn has_attachments(&self) -> bool {
        let Self::Destination(to) = self else { return false };
        matches!(to, Destination::Registry(_)) || output::attachments_of(to).is_some()
    }
}

/// Which of the images that one recipe gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// The image itself.
    Plain,
    /// Its twin with a shell.
    Debug,
}

/// An image that is packed for all its outputs, in staging folders beside them.
pub struct Packed {
    /// By variant: the image itself, and its debug twin where there is one.
    pub(super) names: Vec<Vec<Reference>>,
    pub(super) ready: Vec<Staged>,
    folders: Vec<(PathBuf, Staging)>,
    /// What is to be said of documents.
    notes: Vec<String>,
    /// What is kept of it; of a recalled image nothing.
    evidence: Option<Evidence>,
}

/// An image, or those for several platforms, packed for one output.
pub(super) struct Staged {
    pub(super) place: Place,
    pub(super) variant: Variant,
    pub(super) made: Made,
    pub(super) durability: Durability,
    pub(super) images: Images,
    pub(super) beside: Beside,
    /// What stands beside it, where that is written already.
    pub(super) attaching: Option<Attaching>,
}

/// An image for one place.
pub(super) enum Made {
    /// Its layers are in a staging folder.
    Staged(Staging),
    /// The place holds it already, and has this to say.
    There(output::Written),
    /// So it does, with what refers to it, since others were put there with it.
    Together(output::Written),
}

/// Packs an image once for each compression that its outputs want, and writes it to all of them. Nothing appears
/// under an output's name before everything is packed.
///
/// # Errors
/// When a file can't be read, or an output can't be written.
pub fn write(
    recipe: &Recipe,
    assembled: &Assembled,
    outputs: Outputs<'_>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Vec<Built>> {
    let Outputs { destinations, engine, push, stdout } = outputs;
    let packed = Session::new(1).pack(recipe, assembled, (destinations, engine), options, progress)?;
    packed.place(&assembled.tree, stdout, push, progress)
}

/// Looks at all outputs, then packs for them.
pub(super) fn pack(
    session: &Session,
    (recipe, assembled): (&Recipe, &Assembled),
    (destinations, engine): (Vec<Destination>, Option<Engine>),
    how: &layer::Options,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Packed> {
    outside_inputs(&assembled.selection.folders, &destinations)?;
    one_platform(recipe, &destinations)?;
    let plans = Plans::of(recipe, assembled)?;
    let (folders, places) = split(destinations);
    let places: Vec<Place> = places.into_iter().map(Place::Destination).chain(engine.map(Place::Engine)).collect();
    let mut pending = Vec::new();
    for place in &places {
        for variant in plans.variants() {
            let made = prepare(session, (place, variant), recipe, options)?;
            progress.staged(made.staging.path());
            pending.push(made);
        }
    }
    let mut rootfs = Vec::new();
    for path in folders {
        let to = Destination::Rootfs(path.clone());
        let staging = output::prepare(&to, &options.temporary, options.durability)?;
        progress.staged(staging.path());
        rootfs.push((path, staging));
    }

    progress.stage("packing");
    let attached = pending.iter().any(|one| one.place.has_attachments());
    let listed = attached && Documents::list_files(recipe, options);
    let how = &layer::Options { file_hashes: listed || options.file_hashes == FileHashes::All, ..how.clone() };
    let mut documents = Documents::new(recipe, assembled, options);
    let is_kept = recipe.part.of == 1 && rootfs.is_empty() && pending.iter().all(|one| one.place.keeps_layers());
    let whole = plans.whole().filter(|_| is_kept);
    let keep = || session.evidence((recipe, assembled), whole.as_ref()?.0, &whole.as_ref()?.1);
    // Of many images others are at work meanwhile, and a large one wants the memory.
    let beside = !session.is_of_many() && options.threads.get() > 1 && plans.tree.len() < layer::MANY;
    // Threads of their own: packing waits for threads of its own, too, which none of rayon's may do with locks in hand.
    let (packed, outlined, evidence) = std::thread::scope(|scope| {
        let outlined = listed.then(|| threads::beside(scope, || documents.outline(plans.variants())));
        let evidence = beside.then(|| threads::beside(scope, keep));
        let packed = pack_all(&mut pending, &plans, how);
        let outlined = outlined.map_or(Ok(()), threads::Beside::outcome);
        (packed, outlined, evidence.and_then(threads::Beside::outcome))
    });
    packed.and(outlined)?;
    within_limit((recipe, &assembled.platform), &pending, progress)?;
    let names: Vec<_> = plans.variants().map(|variant| names(recipe, variant)).collect::<Result<_>>()?;
    let notes = documents::notes(recipe, options, attached);
    // The debug twin has all layers.
    let all = pending.iter().max_by_key(|one| one.layers.len());
    let pieces: Option<Vec<Vec<Key>>> = all.map(|all| all.layers.iter().map(|layer| layer.pieces.clone()).collect());
    let evidence = if beside { evidence } else { keep() };
    let evidence = evidence.zip(pieces).map(|(evidence, pieces)| evidence.with_pieces(&pieces));
    let one = |Making { place, variant, compression, staging, layers }: Making| -> Result<Staged> {
        let image = describe(recipe, assembled, variant, layers, options)?;
        let beside = if place.has_attachments() {
            documents.of(variant, &image, &names[variant as usize], compression)?
        } else {
            Beside::default()
        };
        let durability = staging.durability();
        let attaching = match &place {
            // What refers to an index of several images is not known yet.
            Place::Destination(to) if recipe.part.of == 1 => Attaching::begin(to, &beside.referrers, durability)?,
            _ => None,
        };
        if let Some(attaching) = &attaching {
            progress.staged(attaching.staging());
        }
        let (made, images) = (Made::Staged(staging), image.into());
        Ok(Staged { place, variant, made, durability, images, beside, attaching })
    };
    let ready = pending.into_iter().map(one).collect::<Result<_>>()?;
    Ok(Packed { ready, names, folders: rootfs, notes, evidence })
}

/// How a place wants layers compressed.
pub(super) fn compression(to: &Destination, recipe: &Recipe) -> Compression {
    to.compression(recipe.compression.as_ref().map(|asked| asked.value))
}

impl Packed {
    /// Images that are ready for their outputs.
    pub(super) fn new(names: Vec<Vec<Reference>>, ready: Vec<Staged>, notes: Vec<String>) -> Self {
        Self { names, ready, folders: Vec::new(), notes, evidence: None }
    }

    /// Its images, with what stands beside them; `None` when one of them is not for a place that keeps its layers.
    pub(super) fn images(&self, recipe: &Recipe) -> Option<Vec<(Compression, Variant, &Image, &Beside)>> {
        let known = |staged: &'_ Staged| match &staged.place {
            Place::Destination(to) => Some(compression(to, recipe)),
            Place::Engine(_) => None,
        };
        let images = self.ready.iter().map(|staged| {
            let Staged { variant, images, beside, .. } = staged;
            Some((known(staged)?, *variant, images.first(), beside))
        });
        images.collect::<Option<Vec<_>>>().filter(|_| self.folders.is_empty())
    }

    /// What is kept of it, for the one who keeps it.
    pub(super) fn take_evidence(&mut self) -> Option<Evidence> {
        self.evidence.take()
    }

    /// Puts the images that one recipe gives for several platforms together: each output gets an index of them, which
    /// is signed where its images are.
    ///
    /// # Errors
    /// When a blob can't be written.
    pub fn joined(parts: Vec<Self>, options: &Options) -> Result<Self> {
        let mut parts = parts.into_iter();
        let mut joined = parts.next().ok_or_else(|| Error::internal("an index of no image"))?;
        let others: Vec<Self> = parts.collect();
        for (at, ready) in joined.ready.iter_mut().enumerate() {
            // What is there already is an image for one platform.
            let Made::Staged(staging) = &ready.made else { continue };
            let mut further = Vec::new();
            for other in others.iter().filter_map(|other| other.ready.get(at)) {
                let image = other.images.first();
                further.push(Image { layers: staging.adopt(&image.layers)?, ..image.clone() });
                ready.beside.referrers.extend(other.beside.referrers.iter().cloned());
            }
            ready.images = Images::new(ready.images.first().clone(), further);
            if let Some(key) = options.signer.as_deref().filter(|_| ready.place.has_attachments()) {
                let names = &joined.names[ready.variant as usize];
                ready.beside.referrers.append(&mut index_signatures(&ready.images, names, key)?);
            }
        }
        joined.notes.extend(others.into_iter().flat_map(|other| other.notes));
        joined.notes.sort();
        joined.notes.dedup();
        Ok(joined)
    }

    /// All its layers, in each compression that they have.
    pub fn layers(&self) -> Vec<Layer> {
        self.ready.iter().flat_map(|staged| staged.images.layers()).cloned().collect()
    }

    /// Puts everything in its places, one after the other.
    ///
    /// # Errors
    /// When an output can't be written.
    pub fn place(
        self,
        tree: &Tree,
        stdout: &mut dyn Write,
        push: Option<Push<'_>>,
        progress: &dyn Progress,
    ) -> Result<Vec<Built>> {
        progress.stage("writing");
        let mut built: Vec<Built> = self
            .names
            .into_iter()
            .map(|names| Built { names, images: None, notes: Vec::new(), pushed: Vec::new() })
            .collect();
        built[0].notes.extend(self.notes);
        for (path, staging) in self.folders {
            built[0].notes.extend(output::write_rootfs(&path, tree, staging)?.notes);
        }
        for Staged { place, variant, made, durability, images, beside: Beside { referrers, .. }, attaching } in
            self.ready
        {
            let built = &mut built[variant as usize];
            let to = match &place {
                Place::Destination(to) => Some(to).filter(|_| !matches!(made, Made::Together(_))),
                Place::Engine(_) => None,
            };
            // Before the image: what refers to nothing yet harms nobody.
            let guard = match (to, attaching) {
                (Some(_), Some(attaching)) => Some(attaching.finish()?),
                (Some(to), None) => output::attach(to, &referrers, durability)?,
                (None, _) => None,
            };
            let written = match (&place, made) {
                (_, Made::There(written) | Made::Together(written)) => written,
                (Place::Engine(engine), Made::Staged(staging)) => {
                    output::load(engine, &images, &built.names, &staging)?
                }
                (Place::Destination(Destination::Stdout), Made::Staged(_)) => {
                    output::stream(stdout, &images, &built.names)?;
                    output::Written::default()
                }
                (Place::Destination(Destination::Registry(to)), Made::Staged(_)) => {
                    let push = push.ok_or_else(|| Error::internal("nobody to push with"))?;
                    let written = output::write_registry(to, push, &images, &built.names)?;
                    output::push_referrers(push, &to.repository, &referrers)?;
                    written
                }
                (Place::Destination(to), Made::Staged(staging)) => output::write(to, staging, &images, &built.names)?,
            };
            if let Some(to) = to {
                output::prune(to, [&images], durability, guard)?;
            }
            built.notes.extend(written.notes);
            built.pushed.extend(written.pushed);
            built.images.get_or_insert(images);
        }
        Ok(built)
    }
}

fn split(destinations: Vec<Destination>) -> (Vec<PathBuf>, Vec<Destination>) {
    let (mut folders, mut places) = (Vec::new(), Vec::new());
    for destination in destinations {
        match destination {
            Destination::Rootfs(path) => folders.push(path),
            other => places.push(other),
        }
    }
    (folders, places)
}

fn prepare(
    session: &Session,
    (place, variant): (&Place, Variant),
    recipe: &Recipe,
    options: &Options,
) -> Result<Making> {
    let place = match (place, variant) {
        (Place::Destination(to), Variant::Debug) => Place::Destination(twin(to)?),
        _ => place.clone(),
    };
    // Engines are given the archive that `docker save` writes, which each of them reads; it need not be small.
    let (to, compression) = match &place {
        Place::Destination(to) => (to, compression(to, recipe)),
        Place::Engine(_) => (&Destination::Stdout, Compression::None),
    };
    let staging = session.prepare(to, options)?;
    Ok(Making { place, variant, compression, staging, layers: Vec::new() })
}

/// Packs for the first output of each compression; the others take over its blobs.
fn pack_all(pending: &mut [Making], plans: &Plans<'_>, how: &layer::Options) -> Result<()> {
    let mut packed: Vec<(Compression, usize, Vec<Layer>)> = Vec::new();
    let places: Vec<(Compression, Place)> = pending.iter().map(|this| (this.compression, this.place.clone())).collect();
    for (index, this) in pending.iter_mut().enumerate() {
        let known = packed.iter().find(|(compression, ..)| *compression == this.compression);
        let all = if let Some((_, _, layers)) = known {
            layers.clone()
        } else {
            let how = layer::Options { targets: targets(&places, this.compression), ..how.clone() };
            let layers = plans.pack(this.compression, &how, &this.staging)?;
            packed.push((this.compression, index, layers.clone()));
            layers
        };
        let count = if this.variant == Variant::Plain { plans.layers.len() } else { all.len() };
        let own = packed.iter().any(|(_, owner, _)| *owner == index);
        this.layers = if own { all[..count].to_vec() } else { this.staging.adopt(&all[..count])? };
    }
    Ok(())
}

/// The repositories that layers of a compression go to, when they go to nothing else.
fn targets(places: &[(Compression, Place)], compression: Compression) -> Vec<Repository> {
    let of_place = |(_, place): &(Compression, Place)| match place {
        Place::Destination(Destination::Registry(remote)) => Some(remote.repository.clone()),
        _ => None,
    };
    let all = places.iter().filter(|(other, _)| *other == compression).map(of_place);
    let mut all: Vec<Repository> = all.collect::<Option<_>>().unwrap_or_default();
    all.sort();
    all.dedup();
    all
}

/// Holds what was packed against the policy's limit, before anything appears under an output's name. The archive for an
/// engine is no download.
fn within_limit((recipe, platform): (&Recipe, &Platform), pending: &[Making], progress: &dyn Progress) -> Result<()> {
    let Some(limit) = policy::download_limit(&recipe.policy) else { return Ok(()) };
    let download = |this: &&Making| this.variant == Variant::Plain && matches!(this.place, Place::Destination(_));
    for this in pending.iter().filter(download) {
        let layers: Vec<(u64, &str)> = this.layers.iter().map(|layer| (layer.size, layer.name.as_str())).collect();
        let finding = policy::max_download(&limit, &layers);
        progress.weighed(platform, finding.as_ref());
        if let Some(finding) = finding {
            return Err(Error(Verdicts { findings: vec![finding], ..Verdicts::default() }.errors()));
        }
    }
    Ok(())
}

/// Where the debug twin goes: into the same layout, under its own tag; beside an archive, with `-debug` in its name.
pub(super) fn twin(to: &Destination) -> Result<Destination> {
    let beside = |path: &Path| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let ending = path.extension().map_or(String::new(), |ending| format!(".{}", ending.to_string_lossy()));
        path.with_file_name(format!("{stem}-debug{ending}"))
    };
    Ok(match to {
        Destination::Layout { path, tag } => {
            Destination::Layout { path: path.clone(), tag: tag.as_ref().map(|tag| format!("{tag}-debug")) }
        }
        Destination::Archive { path, tag } => {
            Destination::Archive { path: beside(path), tag: tag.as_ref().map(|tag| format!("{tag}-debug")) }
        }
        Destination::DockerArchive(path) => Destination::DockerArchive(beside(path)),
        Destination::Registry(remote) => match &remote.tag {
            Some(tag) => Destination::Registry(remote.tagged(&format!("{tag}-debug"))?),
            None => to.clone(),
        },
        Destination::Rootfs(_) | Destination::Stdout => {
            return Err(Error::internal("a debug twin has no place of its own"));
        }
    })
}

/// The configuration that an image will have, as JSON, but for its layers.
///
/// # Errors
/// When the recipe has a value that a configuration can't hold.
pub fn parameters(recipe: &Recipe, assembled: &Assembled, options: &Options) -> Result<serde_json::Value> {
    let image = describe(recipe, assembled, Variant::Plain, Vec::new(), options)?;
    serde_json::from_slice(&image.config.bytes).map_err(Error::internal)
}

/// The documents of an image.
fn describe(
    recipe: &Recipe,
    assembled: &Assembled,
    variant: Variant,
    layers: Vec<Layer>,
    options: &Options,
) -> Result<Image> {
    let accounts = &assembled.selection.accounts;
    let title = recipe.name.value.rsplit('/').next().unwrap_or(&recipe.name.value);
    let names = names(recipe, variant)?;
    let env = &assembled.env;
    let bundle = env.get("SSL_CERT_FILE").and_then(|path| ImagePath::new(path).ok());
    let facts = image::Facts {
        platform: &assembled.platform,
        user: &format!("{}:{}", accounts.uid, accounts.gid),
        entrypoint: assembled.selection.programs.first().map(|program| &program.path),
        created: options.created,
        title,
        version: names.first().map_or("latest", Reference::tag),
        ca_bundle: bundle.as_ref(),
        locale: env.get("LANG").map(String::as_str),
        variables: env,
    };
    image::describe(layers, &config(recipe, assembled), &facts)
}

/// The names of an image: the recipe's with each of its tags.
pub(super) fn names(recipe: &Recipe, variant: Variant) -> Result<Vec<Reference>> {
    let suffix = if variant == Variant::Debug { "-debug" } else { "" };
    let name = |tag: &Spanned<String>| {
        let full = format!("{}{suffix}", tag.value);
        Reference::new(&recipe.name.value, &full).map_err(|error| {
            Diagnostic::error(BAD_NAME, format!("`{}:{full}` {error}", recipe.name.value)).at(tag.span, "here").into()
        })
    };
    recipe.tags.iter().map(name).collect()
}

/// The recipe's configuration, with the entrypoint found in the image and, where one is wanted, the init before it.
fn config(recipe: &Recipe, assembled: &Assembled) -> Config {
    let mut config = recipe.config.clone();
    if config.entrypoint.is_some() || assembled.selection.init.is_some() {
        let words = assembled.entrypoint.iter().map(|word| Spanned::new(word.clone(), recipe.span));
        config.entrypoint = Some(words.collect());
    }
    config
}

/// A folder of files is that of one machine.
fn one_platform(recipe: &Recipe, destinations: &[Destination]) -> Result<()> {
    let folder = destinations.iter().find(|to| matches!(to, Destination::Rootfs(_)));
    let Some(to) = folder.filter(|_| recipe.part.of > 1) else { return Ok(()) };
    let title = format!("output `{to}` holds the files of one platform, and the recipe is for {}", recipe.part.of);
    Err(Diagnostic::error(SEVERAL_PLATFORMS, title)
        .at_some(recipe.platform.as_ref().map(|platform| platform.span), "one of them")
        .help("choose one with `--platform`")
        .into())
}

/// An output inside a folder that the recipe copies would be copied by the next build.
pub(super) fn outside_inputs(folders: &[(PathBuf, Span)], destinations: &[Destination]) -> Result<()> {
    for to in destinations {
        let (Destination::Layout { path, .. }
        | Destination::Archive { path, .. }
        | Destination::DockerArchive(path)
        | Destination::Rootfs(path)) = to
        else {
            continue;
        };
        let path = output::real_place(path);
        let inside = folders.iter().find(|(folder, _)| path.starts_with(folder));
        if let Some((folder, span)) = inside.filter(|_| path.extension().is_none_or(|ending| ending != "oci")) {
            return Err(Diagnostic::error(
                OUTPUT_IN_INPUT,
                format!("output `{}` lies in `{}`, which the image copies", path.display(), folder.display()),
            )
            .at(*span, "copies the folder")
            .help("write it elsewhere with `-o`")
            .into());
        }
    }
    Ok(())
}
