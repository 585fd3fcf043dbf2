//! Everything before packing: sources, selection, closure, rules, the whole tree, policy.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::closure::{Closure, Headers, Wanted};
use crate::inventory::{self, Inventory, Standing};
use crate::layer::{self, LayerPlan};
use crate::lock::{self, Drift, Frozen, Mode};
use crate::needs::{self, Learnt, Suggestion};
use crate::path::ImagePath;
use crate::policy::{self, Verdicts};
use crate::recipe::{Extra, Platform, Recipe, Verdict};
use crate::report::{Diagnostic, Error, Level, Result, Spanned};
use crate::rootfs::{self, Standard};
use crate::select::{self, Selection};
use crate::source::ownership::{Check, Database};
use crate::source::{Recorder, Source, resolve};
use crate::threads::beside;
use crate::tree::Tree;

use super::closing::Closing;
use super::etags::same_tags;
use super::evidence::{self, Evidence};
use super::judge::{self, Facts};
use super::packages::packages;
use super::platform::platform;
use super::scripts::shell_scripts_note;
use super::session::OpenRoot;
use super::{Inputs, NO_CONFIGURATION, NO_ENTRYPOINT, Options, Progress, Session, Shared};

/// An image before it is packed: everything that is known of it.
#[derive(Debug)]
pub struct Assembled {
    /// The tree as it will be packed.
    pub tree: Tree,
    /// What the recipe names.
    pub selection: Selection,
    /// What was asked of the loaders' rules.
    pub wanted: Vec<Wanted>,
    /// What the programs load; the first resolutions are those of `wanted`, in order.
    pub closure: Closure,
    /// The platform that it runs on.
    pub platform: Platform,
    /// Whose the files are that come from the root.
    pub inventory: Inventory,
    /// What the policy says of it; nothing is denied, but in what [`Session::examine`] gives.
    pub verdicts: Verdicts,
    /// Variables that rules set in the image's configuration.
    pub env: BTreeMap<String, String>,
    /// Optional rules that the image gives cause for, when they were asked for.
    pub suggestions: Vec<Suggestion>,
    /// What objects may load by name, when that was asked for: with the suggestions, or by the policy.
    pub evidence: Vec<Evidence>,
    /// What was read of ELF files, and can be asked for more.
    pub headers: Arc<Headers>,
    /// `Entrypoint`, its first word an absolute path.
    pub entrypoint: Vec<String>,
    /// The debug twin, where one is asked for: this image and a shell.
    pub debug: Option<Box<Assembled>>,
    /// What it has in common with other members of its workspace, where they share layers ([`Session::share`]).
    pub shared: Option<Arc<Shared>>,
    /// What was asked of roots for it, where that is remembered.
    pub(super) inputs: Inputs,
    /// Warnings and notes, in the order of the stages.
    pub notes: Vec<Diagnostic>,
    /// How what it takes from the root differs from what the lock file says; `None` when it was not held against one.
    pub drift: Option<Drift>,
}

/// What becomes of an image that the policy denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    Refused,
    Told,
}

/// What an image holds beside what is made for it, before anything is known of packages.
struct Closed<'a> {
    selection: Selection,
    closing: Closing<'a>,
    env: BTreeMap<String, String>,
    suggestions: Vec<Suggestion>,
    platform: Platform,
}

/// Finds out everything about an image but its bytes.
pub(super) fn assemble(
    recipe: &Recipe,
    options: &Options,
    progress: &dyn Progress,
    session: &Session,
    policy: Denied,
) -> Result<Assembled> {
    progress.stage("reading");
    let headers = session.headers();
    let known: (&Headers, &Learnt) = (headers, session.learnt());
    let (host, opened) = (session.host()?, session.root(recipe)?);
    let recording = session.memory().is_some();
    let (beside, taken) = (Recorder::new(&host.folder, recording), Recorder::new(&opened.folder, recording));
    let (host, root): (&dyn Source, &dyn Source) = (&beside, &taken);
    let close = |packages: &select::Packages| close(recipe, (root, host), packages, known, options, progress);
    let (closed, database) = beside_database(session, &opened, (recipe, root), close)?;
    let Closed { mut selection, mut closing, env, suggestions, platform } = closed;

    progress.stage("assembling");
    let mut tree = std::mem::take(&mut closing.tree);
    let compiled = rootfs::settle_compiled(&mut tree)?;
    let cache = closing.cache(&tree);
    let standard = Standard { accounts: &selection.accounts, cache: cache.as_deref() };
    rootfs::add_standard(&mut tree, root, &standard)?;
    let mut notes = selection.notes.clone();
    notes.append(&mut closing.notes);
    notes.extend(compiled);
    let (denied, remarks): (Vec<_>, Vec<_>) =
        closing.remarks(&selection).into_iter().partition(|remark| remark.level == Level::Error);
    if !denied.is_empty() {
        return Err(Error(denied));
    }
    notes.extend(remarks);
    // All of it is in the image's tree.
    selection.tree = Tree::default();

    progress.stage("looking up packages");
    // The check reads what the image loads, the inventory what the root's packages list: neither waits for the other.
    let take = || Inventory::take(recipe, &database, root, &tree, Check::default());
    let (inventory, checked) = rayon::join(take, || closing.self_check(&tree));
    checked?;
    let inventory = inventory?;
    for (path, entry) in inventory::records(&inventory, root, &tree)? {
        tree.place(path.clone(), entry).map_err(|error| Error::io("read", path.to_string().as_ref(), &error))?;
    }
    notes.extend(rootfs::finish(&mut tree, recipe)?);
    let mut entrypoint = entrypoint(recipe, &selection, &tree)?;
    notes.extend(without_configuration(&entrypoint, &tree, root));
    notes.extend(same_tags(&tree, recipe, &selection));
    notes.extend(shell_scripts_note(&closing.wanted, &closing.closure));
    if let Some(init) = selection.init.as_ref().filter(|_| !entrypoint.is_empty()) {
        entrypoint.splice(0..0, [init.to_string(), "--".to_owned()]);
    }
    let debug = if options.debug_twin { Some(debug_twin(recipe, options, progress, session)?) } else { None };
    let mut inputs = debug.as_ref().map(|twin| twin.inputs.clone()).unwrap_or_default();

    let asked = policy::verdict(&recipe.policy, &policy::DLOPEN).0 != Verdict::Allow;
    let evidence = if options.suggestions || asked {
        let (evidence, remarks) = closing.evidence(&tree)?;
        notes.extend(remarks);
        evidence
    } else {
        Vec::new()
    };
    let Closing { wanted, closure, .. } = closing;
    let facts = Facts {
        recipe,
        inventory: &inventory,
        headers,
        unexplained: &evidence::unexplained(&evidence),
        root,
        uid: selection.accounts.uid,
        ci: options.ci,
        today: options.today,
        searched: session.searched(),
    };
    let verdicts = judge::judge(&tree, &closure, &facts)?;
    progress.judged(&platform, &verdicts);
    let errors = verdicts.errors();
    if policy == Denied::Refused && !errors.is_empty() {
        return Err(Error(errors));
    }
    let drift = drift(recipe, &platform, &tree, &inventory, options)?;
    inputs.add(Path::new("/"), beside.into_notes());
    inputs.add(opened.folder.path(), taken.into_notes());
    Ok(Assembled {
        tree,
        selection,
        wanted,
        closure,
        platform,
        inventory,
        verdicts,
        env,
        suggestions,
        evidence,
        headers: Arc::clone(headers),
        entrypoint,
        debug,
        shared: None,
        inputs,
        notes,
        drift,
    })
}

/// Closes an image, and reads the package database of its root meanwhile: only a recipe that names packages waits for
/// it. Not by a thread of the pool: who waits for the pool there may be given another image's question for the same
/// database.
fn beside_database<'a>(
    session: &Session,
    opened: &OpenRoot,
    (recipe, root): (&Recipe, &dyn Source),
    close: impl FnOnce(&select::Packages) -> Result<Closed<'a>>,
) -> Result<(Closed<'a>, Arc<Database>)> {
    if !recipe.packages.is_empty() || opened.has_database() {
        let database = session.database(opened)?;
        return Ok((close(&packages(recipe, root, &database)?)?, database));
    }
    std::thread::scope(|scope| {
        let database = beside(scope, || {
            let database = session.database(opened);
            needs::prepare();
            database
        });
        let closed = close(&[]);
        Ok((closed?, database.outcome()?))
    })
}

/// What the recipe names, and what that takes to run.
fn close<'a>(
    recipe: &'a Recipe,
    (root, host): (&'a dyn Source, &dyn Source),
    packages: &select::Packages,
    known: (&'a Headers, &'a Learnt),
    options: &Options,
    progress: &dyn Progress,
) -> Result<Closed<'a>> {
    let selection = selected(recipe, root, host, packages, options)?;
    progress.stage("resolving");
    let mut closing = Closing::new(recipe, root, &selection, known);
    let owner = (selection.accounts.uid, selection.accounts.gid);
    let mut finder = closing.run(host, owner, &command(recipe, &selection))?;
    let env = closing.environment(&finder)?;
    let suggestions = if options.suggestions { closing.suggestions(&mut finder)? } else { Vec::new() };
    let platform = platform(recipe, &closing.wanted, &closing.closure, &closing.tree, known.0)?;
    Ok(Closed { selection, closing, env, suggestions, platform })
}

/// What the recipe names; of folders and packages of the root only what the lock file names, where that is asked.
fn selected(
    recipe: &Recipe,
    root: &dyn Source,
    host: &dyn Source,
    packages: &select::Packages,
    options: &Options,
) -> Result<Selection> {
    let Some(named) = options.locks.named(recipe)? else { return select::select(recipe, root, host, packages) };
    let mut packages = packages.to_vec();
    for (_, paths) in &mut packages {
        paths.retain(|path| named.contains(path));
    }
    select::select(recipe, &Frozen::new(root, named), host, &packages)
}

/// How an image differs from what its lock file says.
fn drift(
    recipe: &Recipe,
    platform: &Platform,
    tree: &Tree,
    inventory: &Inventory,
    options: &Options,
) -> Result<Option<Drift>> {
    let Some(before) = options.locks.of(recipe, platform)? else { return Ok(None) };
    let drift = Drift::between(&before, &lock::take(recipe, tree, inventory, options.cache.as_deref())?);
    match options.locks.mode() {
        mode @ (Mode::Locked | Mode::Frozen) if !drift.is_empty() => Err(drift.error(recipe, tree, mode)),
        _ => Ok(Some(drift)),
    }
}

/// The same image with busybox, whatever the policy says of shells.
fn debug_twin(
    recipe: &Recipe,
    options: &Options,
    progress: &dyn Progress,
    session: &Session,
) -> Result<Box<Assembled>> {
    let mut recipe = recipe.clone();
    let name = Spanned::new("busybox".to_owned(), recipe.span);
    recipe.extras.push(Extra { name, argument: None, removed: false });
    recipe.policy.rules.insert("shell".to_owned(), Spanned::new(Verdict::Allow, recipe.span));
    // The twin is no part of what the lock file says.
    let options = Options { debug_twin: false, locks: Arc::default(), ..options.clone() };
    assemble(&recipe, &options, progress, session, Denied::Refused).map(Box::new)
}

/// How much an image holds.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The platform that it runs on.
    pub platform: Platform,
    /// How many entries are no folders.
    pub files: usize,
    /// Bytes of all files.
    pub size: u64,
    /// The largest files, with their sizes.
    pub largest: Vec<(String, u64)>,
}

/// How many of the largest files are told.
const LARGEST: usize = 3;

impl Figures {
    /// Those of a tree.
    pub fn of(tree: &Tree, platform: &Platform) -> Self {
        let sizes = tree.iter().filter_map(|(path, entry)| Some((path, entry.content()?.size())));
        let mut sizes: Vec<(&ImagePath, u64)> = sizes.collect();
        let size = sizes.iter().map(|(_, size)| size).sum();
        sizes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let largest = sizes.iter().take(LARGEST).map(|(path, size)| (path.to_string(), *size)).collect();
        let files = tree.iter().filter(|(_, entry)| !entry.is_directory()).count();
        Self { platform: platform.clone(), files, size, largest }
    }
}

impl Assembled {
    /// How much it holds.
    pub fn figures(&self) -> Figures {
        Figures::of(&self.tree, &self.platform)
    }

    /// The layers that it will have.
    ///
    /// # Errors
    /// When a glob of the recipe's own list can't be read, or a file that several images may have in common.
    pub fn layers(&self, recipe: &Recipe) -> Result<Vec<LayerPlan>> {
        layer::plan_among(
            &self.tree,
            &recipe.layers,
            &|path| self.package_of(path),
            self.shared.as_ref().map(|shared| &shared.commons),
        )
    }

    /// The name of the package that owns a path of the image.
    pub fn package_of(&self, path: &ImagePath) -> Option<&str> {
        match self.inventory.standing(path) {
            Standing::Owned(package, _) => Some(&package.name),
            _ => None,
        }
    }
}

/// The command line as rules look at it: `entrypoint`, or else the first binary, then `cmd`.
fn command(recipe: &Recipe, selection: &Selection) -> Vec<String> {
    let word = |word: &Spanned<String>| word.value.clone();
    let Some(words) = &recipe.config.entrypoint else {
        let first = selection.programs.first().map(|program| program.path.to_string());
        return first.into_iter().chain(recipe.config.cmd.iter().flatten().map(word)).collect();
    };
    let named = |text: String| {
        let program = selection.programs.iter().find(|program| program.path.name() == text.as_bytes());
        program.map_or(text, |program| program.path.to_string())
    };
    words.iter().map(word).map(named).chain(recipe.config.cmd.iter().flatten().map(word)).collect()
}

/// What the image starts: the recipe's words, its first one found in the image, or else the first binary.
fn entrypoint(recipe: &Recipe, selection: &Selection, tree: &Tree) -> Result<Vec<String>> {
    let Some(words) = &recipe.config.entrypoint else {
        return Ok(selection.programs.first().map(|program| program.path.to_string()).into_iter().collect());
    };
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    let starts = |path: &str| {
        resolve(tree, path.as_bytes()).is_ok_and(|found| found.node.content().is_some() && found.node.mode & 0o111 != 0)
    };
    let by_name = selection.programs.iter().find(|program| program.path.name() == first.value.as_bytes());
    let found = if first.value.starts_with('/') {
        Some(first.value.clone()).filter(|path| starts(path))
    } else if let Some(program) = by_name {
        Some(program.path.to_string())
    } else {
        select::PATH.iter().map(|folder| format!("{folder}/{}", first.value)).find(|path| starts(path))
    };
    let Some(start) = found else {
        let names: Vec<String> = selection.programs.iter().map(|program| program.path.to_string()).collect();
        let mut error =
            Diagnostic::error(NO_ENTRYPOINT, format!("entrypoint `{}` is no program of the image", first.value))
                .at(first.span, "starts nothing");
        if !names.is_empty() {
            error = error.note(format!("the image has {}", names.join(", ")));
        }
        return Err(error.help("name it under `binaries`").into());
    };
    Ok(std::iter::once(start).chain(words[1..].iter().map(|word| word.value.clone())).collect())
}

/// The folder of the root's `/etc` that is called like a program, or like the service whose server it is.
pub fn configuration(program: &str, root: &dyn Source) -> Option<ImagePath> {
    let stem = program.split_once("-server").map_or(program, |(stem, _)| stem);
    [program, stem].into_iter().find_map(|name| {
        let folder = ImagePath::new(format!("/etc/{name}")).ok()?;
        root.node(&folder).ok()??.is_directory().then_some(folder)
    })
}

/// A service whose folder in the root's `/etc` has nothing in the image was probably not meant so.
fn without_configuration(entrypoint: &[String], tree: &Tree, root: &dyn Source) -> Option<Diagnostic> {
    let name = entrypoint.first()?.rsplit('/').next()?;
    let folder = configuration(name, root)?;
    if tree.below(&folder).next().is_some() {
        return None;
    }
    Some(
        Diagnostic::warning(NO_CONFIGURATION, format!("the root has `{folder}/`, the image has nothing of it"))
            .note(format!("`{name}` may look for its configuration there"))
            .help(format!("add `\"{folder}/\"` to `files`, or what of it the service needs")),
    )
}
