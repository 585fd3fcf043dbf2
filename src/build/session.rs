//! What the builds of one process share: opened roots, their package databases, what was read of ELF files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use crate::cache::{Cache, Key, KeyMaker};
use crate::closure::Headers;
use crate::layer::{self, Commons, Staging};
use crate::needs::Learnt;
use crate::output::{self, Destination, Engine, Places};
use crate::policy::{self, Searched};
use crate::recipe::{Layers, Recipe, Root};
use crate::report::{Diagnostic, Error, Result, Span, plain};
use crate::source::ownership::Database;
use crate::source::{Content, ContentId, Folder, Notes, Recorder};
use crate::tree::Tree;

use super::assemble::Denied;
use super::memory::{Inputs, Memory, Parts};
use super::write::{self, Packed};
use super::{Assembled, NO_ROOT, Options, Progress, Silent, assemble, in_order};

/// An image with fewer bytes that none before it had leaves other threads to the images beside it.
const LARGE: u64 = 2 << 20;

/// What the builds of one process share. Nothing of it shows in an image: a build of one recipe is a session of one.
///
/// A root is looked at as it was when a recipe of the session first asked. What changes afterwards is found out when
/// it is read, and is then an error.
#[derive(Default)]
pub struct Session {
    roots: Mutex<BTreeMap<PathBuf, Arc<OpenRoot>>>,
    headers: Arc<Headers>,
    learnt: Learnt,
    searched: Searched,
    /// Whether many recipes come, of which several ask the same.
    many: bool,
    /// Members of a workspace that were assembled to find out what they have in common, until each is asked for.
    members: Mutex<Members>,
    /// What brings little that is new is packed beside others, one that brings much by all threads: so what images have
    /// in common is packed once, for the first of them, and memory does not grow with the recipes.
    packing: RwLock<()>,
    /// The files that were packed.
    packed: Mutex<HashSet<ContentId>>,
    /// Where many images go.
    places: Places,
    memory: Option<Memory>,
}

/// How many entries of members' trees are kept at most: what goes beyond it is assembled twice rather than remembered.
const MOST_ENTRIES: usize = 50_000;

#[derive(Default)]
struct Members {
    assembled: HashMap<Key, Assembled>,
    /// Of all their trees.
    entries: usize,
}

/// A root that was opened, with its package database once it is asked for.
pub(super) struct OpenRoot {
    pub(super) folder: Folder,
    /// With what it was read from. The database itself goes when nobody will ask it again.
    database: Mutex<Option<(Option<Arc<Database>>, Notes)>>,
    /// What the database was read from, as it is written down.
    database_inputs: OnceLock<Parts>,
}

impl OpenRoot {
    /// Whether its package database was read already.
    pub(super) fn has_database(&self) -> bool {
        self.database.try_lock().is_ok_and(|known| known.as_ref().is_some_and(|known| known.0.is_some()))
    }
}

/// What the members of a workspace have in common.
pub struct Shared {
    pub(super) commons: Commons,
    /// What was asked of roots to find it out.
    inputs: Inputs,
    kept: OnceLock<Parts>,
}

impl Shared {
    /// What was asked, as it is written down once for all members.
    pub(super) fn kept(&self, session: &Session, memory: &Memory) -> Parts {
        self.kept.get_or_init(|| memory.keep(session, &self.inputs)).clone()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.commons.fmt(f)
    }
}

impl Session {
    /// A session in which so many recipes are built.
    pub fn new(recipes: usize) -> Self {
        Self { many: recipes > 1, ..Self::default() }
    }

    /// Also knows earlier sessions by a cache. `tool` says which program this is, so that what another one made of the
    /// same is not taken for what this one would.
    #[must_use]
    pub fn remembering(mut self, cache: Option<&Arc<Cache>>, tool: &str) -> Self {
        self.memory = cache.map(|cache| Memory::new(Arc::clone(cache), tool));
        self
    }

    /// Ends it as the process exits: freeing what is known of each file of its roots would take milliseconds, and the
    /// process returns all memory anyway.
    pub fn leave(self) {
        std::mem::forget(self.roots);
    }

    /// Whether many recipes come, of which several ask the same.
    pub fn is_of_many(&self) -> bool {
        self.many
    }

    pub(super) fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// Finds out everything about an image but its bytes.
    ///
    /// # Errors
    /// Whatever stops the build; all of a stage's findings at once.
    pub fn assemble(&self, recipe: &Recipe, options: &Options, progress: &dyn Progress) -> Result<Assembled> {
        if let Some(assembled) = self.member(recipe, options) {
            progress.judged(&assembled.platform, &assembled.verdicts);
            return Ok(assembled);
        }
        assemble::assemble(recipe, options, progress, self, Denied::Refused)
    }

    /// A member of a workspace that was assembled before.
    fn member(&self, recipe: &Recipe, options: &Options) -> Option<Assembled> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if members.assembled.is_empty() || options.suggestions || options.debug_twin {
            return None;
        }
        let assembled = members.assembled.remove(&member_key(recipe))?;
        members.entries -= assembled.tree.len();
        Some(assembled)
    }

    fn keep_member(&self, recipe: &Recipe, assembled: Assembled) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = members.entries + assembled.tree.len();
        if entries <= MOST_ENTRIES {
            members.entries = entries;
            members.assembled.insert(member_key(recipe), assembled);
        }
    }

    /// As [`Session::assemble`], for a look: what the policy denies stays among the verdicts.
    ///
    /// # Errors
    /// Whatever else stops the build.
    pub fn examine(&self, recipe: &Recipe, options: &Options, progress: &dyn Progress) -> Result<Assembled> {
        assemble::assemble(recipe, options, progress, self, Denied::Told)
    }

    /// Finds out what the members of a workspace have in common, for [`Assembled::shared`]. Their policies have no say
    /// in it: what is denied to a member is an error of that member alone.
    ///
    /// # Errors
    /// Whatever stops a member: without it, the layers of the others would be other ones.
    pub fn share(&self, members: &[Recipe], options: &Options, progress: &dyn Progress) -> Result<Shared> {
        let options = Options { suggestions: false, debug_twin: false, ..options.clone() };
        let (mut commons, mut inputs, mut errors) = (Commons::default(), Inputs::default(), Vec::new());
        let members: Vec<&Recipe> = members.iter().filter(|recipe| matches!(recipe.layers, Layers::Auto)).collect();
        let assemble = |recipe: &&Recipe| {
            if let Ok(assembled) = assemble::assemble(recipe, &options, &Silent, self, Denied::Refused) {
                return Ok((assembled, true));
            }
            let lenient = Recipe { policy: policy::allow_all(recipe), ..(*recipe).clone() };
            assemble::assemble(&lenient, &options, progress, self, Denied::Refused).map(|assembled| (assembled, false))
        };
        let mut add = |recipe: &Recipe, (assembled, is_allowed): (Assembled, bool)| {
            inputs.extend(assembled.inputs.clone());
            commons.add(&assembled.tree)?;
            if is_allowed {
                self.keep_member(recipe, assembled);
            }
            Ok(())
        };
        in_order(&members, options.threads, assemble, |done: Vec<(&&Recipe, Result<(Assembled, bool)>)>| {
            for (recipe, assembled) in done {
                let added: Result<()> = assembled.and_then(|assembled| add(recipe, assembled));
                errors.extend(added.err().into_iter().flat_map(|error| error.0));
            }
        });
        if errors.is_empty() {
            Ok(Shared { commons: commons.finish(), inputs, kept: OnceLock::new() })
        } else {
            Err(Error(errors))
        }
    }

    /// Packs an image for all its outputs; see [`Packed::place`].
    ///
    /// # Errors
    /// When a file can't be read, or an output can't be written.
    pub fn pack(
        &self,
        recipe: &Recipe,
        assembled: &Assembled,
        (destinations, engine): (Vec<Destination>, Option<Engine>),
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Packed> {
        self.let_go(recipe);
        let (_alone, _beside);
        let mut how = layer::Options {
            cache: options.cache.clone(),
            remote: options.remote.clone(),
            image: Some(format!("{} {}", recipe.name.value, assembled.platform)),
            watch: options.watch.clone(),
            ..layer::Options::new(options.threads)
        };
        // Held until it is known who packs: another image with the same files then finds them packed.
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        if self.many && news(&assembled.tree, options, &mut packed) < LARGE {
            how.threads = std::num::NonZeroUsize::MIN;
            _beside = self.packing.read().unwrap_or_else(PoisonError::into_inner);
        } else {
            _alone = self.packing.write().unwrap_or_else(PoisonError::into_inner);
        }
        drop(packed);
        write::pack(self, (recipe, assembled), (destinations, engine), &how, options, progress)
    }

    /// The staging folder for an image's output.
    pub(super) fn prepare(&self, to: &Destination, options: &Options) -> Result<Staging> {
        let (temporary, durability) = (&options.temporary, options.durability);
        if self.many {
            self.places.prepare(to, temporary, durability)
        } else {
            output::prepare(to, temporary, durability)
        }
    }

    /// What was read of ELF files, for all closures.
    pub(super) fn headers(&self) -> &Arc<Headers> {
        &self.headers
    }

    /// What rules learnt of files, for all images.
    pub(super) fn learnt(&self) -> &Learnt {
        &self.learnt
    }

    /// What the policy found in files, for all images.
    pub(super) fn searched(&self) -> &Searched {
        &self.searched
    }

    /// This machine as a root.
    pub(super) fn host(&self) -> Result<Arc<OpenRoot>> {
        self.open(Path::new("/"), None)
    }

    /// The root that a recipe names.
    pub(super) fn root(&self, recipe: &Recipe) -> Result<Arc<OpenRoot>> {
        match &recipe.root {
            Root::Host => self.host(),
            Root::Folder(path, span) => self.open(path, *span),
        }
    }

    pub(super) fn open(&self, path: &Path, span: Option<Span>) -> Result<Arc<OpenRoot>> {
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = roots.get(path) {
            return Ok(Arc::clone(known));
        }
        let folder = Folder::open(path).map_err(|error| no_root(path, span, &error))?;
        let root = Arc::new(OpenRoot { folder, database: Mutex::default(), database_inputs: OnceLock::new() });
        roots.insert(path.to_owned(), Arc::clone(&root));
        Ok(root)
    }

    /// The packages of a root.
    pub(super) fn database(&self, root: &OpenRoot) -> Result<Arc<Database>> {
        let mut known = root.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((Some(database), _)) = &*known {
            return Ok(Arc::clone(database));
        }
        let recorder = Recorder::new(&root.folder, self.memory.is_some());
        let database = Database::open(&recorder)?;
        let database = if self.many { database.for_many() } else { database };
        database.read_lists(&recorder)?;
        let database = Arc::new(database);
        *known = Some((Some(Arc::clone(&database)), recorder.into_notes()));
        Ok(database)
    }

    /// Lets go of the packages of a recipe's root, where no other image asks for them: the list of all their files is
    /// megabytes, which packing wants for its buffers.
    fn let_go(&self, recipe: &Recipe) {
        let Some(root) = self.root(recipe).ok().filter(|_| !self.many) else { return };
        if let Some((database, _)) = root.database.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *database = None;
        }
    }

    /// What the package database of a recipe's root was read from, as it is written down.
    pub(super) fn database_inputs(&self, recipe: &Recipe) -> Parts {
        let root = self.root(recipe).ok()?;
        let keep = || {
            let mut known = root.database.lock().unwrap_or_else(PoisonError::into_inner);
            let notes = known.as_mut().map(|(_, notes)| std::mem::take(notes))?;
            drop(known);
            let mut inputs = Inputs::default();
            inputs.add(root.folder.path(), notes);
            self.memory()?.keep(self, &inputs)
        };
        root.database_inputs.get_or_init(keep).clone()
    }
}

/// How many bytes of an image are in none that was packed before, from where the cache has them.
fn news(tree: &Tree, options: &Options, packed: &mut HashSet<ContentId>) -> u64 {
    let contents = tree.iter().filter_map(|(_, entry)| entry.content());
    contents.filter(|content| packed.insert(content.id()) || options.cache.is_none()).map(Content::size).sum()
}

/// What tells recipes of one process apart: all that each says, and where.
fn member_key(recipe: &Recipe) -> Key {
    KeyMaker::new("member").with(format!("{recipe:?}").as_bytes()).finish()
}

fn no_root(path: &Path, span: Option<Span>, error: &std::io::Error) -> Error {
    let title = format!("cannot open the root `{}`: {}", path.display(), plain(error));
    Diagnostic::error(NO_ROOT, title)
        .at_some(span, "asked for here")
        .help("`root` names a folder that holds a whole system, as debootstrap or an unpacked image gives")
        .into()
}
