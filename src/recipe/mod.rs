//! Recipes: TOML text to [`Recipe`]s, merged with what they extend, variables filled in, every value with its place.
//!
//! All mistakes of a recipe, of the files that it extends and of the members of a workspace are reported in one run.
//! Reads recipe files only: never the root, the environment (it asks [`Context::env`]), registries (it asks
//! [`Context::fetch`]) or what the recipe names.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::oci::Digest;
use crate::report::{Code, Diagnostic, Result};

mod model;
mod trial;
mod document;
mod guess;
mod decode;
mod words;
mod kinds;
mod tables;
mod keys;
mod trial_keys;
mod schema;
mod values;
mod vars;
mod resolve;
mod files;
mod workspace;
mod load;
mod describe;

pub use describe::describe;
pub use load::{load, load_floor, publishable, unknown_settings};
pub use model::*;
pub use schema::schema;
pub use trial::{Call, Expect, FileCheck, HttpCheck, Test, TextCheck};
pub use values::Invalid;
pub use values::RULES;
pub(crate) use values::civil;

/// A recipe cannot be read: not there, too large, not text.
pub const UNREADABLE: Code = Code("E0100");
/// The text is not TOML.
pub const SYNTAX: Code = Code("E0101");
/// A key that no table of this name has.
pub const KEY: Code = Code("E0102");
/// A value of another type than the key takes.
pub const TYPE: Code = Code("E0103");
/// A key of the recipe below another table's header.
pub const SWALLOWED: Code = Code("E0104");
/// A variable that is not set, or has no value here.
pub const VARIABLE: Code = Code("E0105");
/// A value that its key does not take.
pub const VALUE: Code = Code("E0106");
/// A key that has to be there, or keys that exclude one another.
pub const MISSING: Code = Code("E0107");
/// `extends` that leads nowhere, or in a circle.
pub const EXTENDS: Code = Code("E0108");
/// A workspace that cannot be.
pub const WORKSPACE: Code = Code("E0109");
/// A key or a value that a later version will know.
pub const LATER: Code = Code("E0110");
/// A user or group that the image does not have.
pub const ACCOUNT: Code = Code("E0111");
/// An item to take away (`!item`) that was not inherited.
pub const REMOVAL: Code = Code("E0112");
/// A path beside a recipe of a registry, which has no folder.
pub const NO_FOLDER: Code = Code("E0113");

/// What the name of a recipe in a registry begins with.
pub const REMOTE: &str = "docker://";

/// What to load.
#[derive(Debug, Clone)]
pub enum Input {
    /// A recipe, a workspace, or a folder that holds one of them as `mkimage.toml`.
    Path(PathBuf),
    /// A recipe's file with another text than it has: what would be if it were changed so.
    Changed {
        /// The file.
        path: PathBuf,
        /// The text.
        text: Vec<u8>,
    },
    /// A recipe's text from elsewhere; its relative paths are taken from `folder`.
    Text {
        /// What a person calls it, as `-`.
        name: String,
        /// The text.
        text: Vec<u8>,
        /// The folder that relative paths are taken from.
        folder: PathBuf,
    },
}

/// How a recipe learns the value of an environment variable that its `[vars]` name.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// How recipes of registries are had: this stage knows of none.
pub type Fetch = Box<dyn Fn(&Wanted<'_>) -> Result<Fetched> + Send + Sync>;

/// A recipe of a registry that another one extends, or a policy.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its name, with the scheme: `docker://registry.example/acme/base:1`.
    pub name: &'a str,
    /// The place in a lock file of the recipe that was asked for, where it has one.
    pub lock: Option<&'a LockPlace>,
}

/// A recipe that came from a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its text.
    pub text: Vec<u8>,
}

/// What the caller lays over a recipe.
pub struct Context {
    /// Variables (`--set`), over those of `[vars]`.
    pub set: Vec<(String, String)>,
    /// The environment.
    pub env: Environment,
    /// The root to take (`--root`) in place of `root` or `[roots]`.
    pub root: Option<PathBuf>,
    /// The platforms to build for, in place of `platforms`; none: those of the recipe.
    pub platforms: Vec<Platform>,
    /// Tags in place of `tags`; none: those of the recipe.
    pub tags: Vec<String>,
    /// The compression in place of `compression`.
    pub compression: Option<Compression>,
    /// Whether a recipe looks for the workspace that it is a member of, in the folders above it.
    pub workspace: bool,
    /// How `docker://NAME` under `extends` is read; `None`: not at all.
    pub fetch: Option<Fetch>,
}

impl Default for Context {
    /// Nothing is laid over, the environment is empty, workspaces are looked for, registries are not asked.
    fn default() -> Self {
        Self {
            set: Vec::new(),
            env: Box::new(|_| None),
            root: None,
            platforms: Vec::new(),
            tags: Vec::new(),
            compression: None,
            workspace: true,
            fetch: None,
        }
    }
}

/// What an [`Input`] holds.
#[derive(Debug)]
pub struct Loaded {
    /// The recipes to build: one, or all members of a workspace that have a name; each as often as it has platforms.
    pub recipes: Vec<Recipe>,
    /// The workspace that they belong to.
    pub workspace: Option<Workspace>,
    /// The variables that the recipes have or ask for: those that `--set` may set. See [`unknown_settings`].
    pub variables: BTreeSet<String>,
    /// What should be said and is no error.
    pub warnings: Vec<Diagnostic>,
}

impl Loaded {
    /// How many recipes have to be looked at: those to build, and where layers are shared all that share them.
    pub fn len(&self) -> usize {
        self.workspace.as_ref().map_or(0, |workspace| workspace.members.len()).max(self.recipes.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A workspace: recipes that share defaults and, when it says so, layers.
#[derive(Debug)]
pub struct Workspace {
    /// Its file.
    pub file: PathBuf,
    /// Whether files that several members have go into common layers (`shared-layers = true`).
    pub shared_layers: bool,
    /// Every member that has a name, in the order of their paths: what a plan over the workspace is made from. Only
    /// loaded when the workspace itself was asked for or `shared_layers` is set.
    pub members: Vec<Recipe>,
}

/// Reads a size as recipes have it: `1048576`, `25MB`, `24MiB`.
///
/// # Errors
/// Why it is none, and what to write instead.
pub fn parse_size(text: &str) -> Result<u64, Invalid> {
    values::size(text)
}
