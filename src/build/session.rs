//! What the builds of one process share: opened roots, their package databases, what was read of ELF files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::closure::Headers;
use crate::layer::{self, Commons};
use crate::output::{Destination, Engine};
use crate::policy;
use crate::recipe::{Layers, Recipe, Root};
use crate::report::{Diagnostic, Error, Result, Span, plain};
use crate::source::ownership::Database;
use crate::source::{Content, Folder};
use crate::tree::Tree;

use super::assemble::Denied;
use super::write::{self, Packed};
use super::{Assembled, NO_ROOT, Options, Progress, assemble, in_order};

/// An image of which fewer bytes are packed leaves other threads to the images beside it.
const LARGE: u64 = 8 << 20;

/// What the builds of one process share. Nothing of it shows in an image: a build of one recipe is a session of one.
///
/// A root is looked at as it was when a recipe of the session first asked. What changes afterwards is found out when
/// it is read, and is then an error.
#[derive(Default)]
pub struct Session {
    roots: Mutex<BTreeMap<PathBuf, Arc<OpenRoot>>>,
    headers: Arc<Headers>,
    /// Whether many recipes come: worth an index of what all packages own.
    many: bool,
    /// Small images are packed beside one another, a large one by all threads: memory does not grow with the recipes.
    packing: RwLock<()>,
}

/// A root that was opened, with its package database once it is asked for.
pub(super) struct OpenRoot {
    pub(super) folder: Folder,
    database: Mutex<Option<Arc<Database>>>,
}

impl Session {
    /// A session in which so many recipes are built.
    pub fn new(recipes: usize) -> Self {
        Self { many: recipes > 1, ..Self::default() }
    }

    /// Finds out everything about an image but its bytes.
    ///
    /// # Errors
    /// Whatever stops the build; all of a stage's findings at once.
    pub fn assemble(&self, recipe: &Recipe, options: &Options, progress: &dyn Progress) -> Result<Assembled> {
        assemble::assemble(recipe, options, progress, self, Denied::Refused)
    }

    /// As [`Session::assemble`], for a look: what the policy denies stays among the verdicts.
    ///
    /// # Errors
    /// Whatever else stops the build.
    pub fn examine(&self, recipe: &Recipe, options: &Options, progress: &dyn Progress) -> Result<Assembled> {
        assemble::assemble(recipe, options, progress, self, Denied::Told)
    }

    /// Finds out what the members of a workspace have in common, for [`Assembled::commons`]. Their policies have no say
    /// in it: what is denied to a member is an error of that member alone.
    ///
    /// # Errors
    /// Whatever stops a member: without it, the layers of the others would be other ones.
    pub fn share(&self, members: &[Recipe], options: &Options, progress: &dyn Progress) -> Result<Commons> {
        let options = Options { suggestions: false, debug_twin: false, ..options.clone() };
        let (mut commons, mut errors) = (Commons::default(), Vec::new());
        let members: Vec<&Recipe> = members.iter().filter(|recipe| matches!(recipe.layers, Layers::Auto)).collect();
        let tree = |recipe: &&Recipe| {
            let lenient = Recipe { policy: policy::allow_all(recipe), ..(*recipe).clone() };
            self.assemble(&lenient, &options, progress).map(|assembled| assembled.tree)
        };
        in_order(&members, options.threads, tree, |_, tree: Result<Tree>| {
            errors.extend(tree.and_then(|tree| commons.add(&tree)).err().into_iter().flat_map(|error| error.0));
        });
        if errors.is_empty() { Ok(commons.finish()) } else { Err(Error(errors)) }
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
        let size: u64 = assembled.tree.iter().filter_map(|(_, entry)| entry.content()).map(Content::size).sum();
        let (_alone, _beside);
        let mut how = layer::Options {
            cache: options.cache.clone(),
            watch: options.watch.clone(),
            ..layer::Options::new(options.threads)
        };
        if self.many && size < LARGE {
            how.threads = std::num::NonZeroUsize::MIN;
            _beside = self.packing.read().unwrap_or_else(PoisonError::into_inner);
        } else {
            _alone = self.packing.write().unwrap_or_else(PoisonError::into_inner);
        }
        write::pack(recipe, assembled, (destinations, engine), &how, options, progress)
    }

    /// What was read of ELF files, for all closures.
    pub(super) fn headers(&self) -> &Arc<Headers> {
        &self.headers
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

    fn open(&self, path: &Path, span: Option<Span>) -> Result<Arc<OpenRoot>> {
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = roots.get(path) {
            return Ok(Arc::clone(known));
        }
        let folder = Folder::open(path).map_err(|error| no_root(path, span, &error))?;
        let root = Arc::new(OpenRoot { folder, database: Mutex::default() });
        roots.insert(path.to_owned(), Arc::clone(&root));
        Ok(root)
    }

    /// The packages of a root.
    pub(super) fn database(&self, root: &OpenRoot) -> Result<Arc<Database>> {
        let mut known = root.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*known {
            return Ok(Arc::clone(database));
        }
        let mut database = Database::open(&root.folder)?;
        if self.many {
            database.index(&root.folder)?;
        }
        Ok(Arc::clone(known.insert(Arc::new(database))))
    }
}

fn no_root(path: &Path, span: Option<Span>, error: &std::io::Error) -> Error {
    let title = format!("cannot open the root `{}`: {}", path.display(), plain(error));
    Diagnostic::error(NO_ROOT, title)
        .at_some(span, "asked for here")
        .help("`root` names a folder that holds a whole system, as debootstrap or an unpacked image gives")
        .into()
}
