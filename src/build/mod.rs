//! The stages put together: from a recipe to images in their places.
//!
//! [`assemble`] does everything that reads, and is `mkimage check`; [`write()`] packs what it found and puts it in its
//! places. The recipes of one process share what they read in a [`Session`], and [`in_order`] works on several at once.

use std::num::NonZeroUsize;

use crate::recipe::Recipe;
use crate::report::{Code, Result};

mod assemble;
mod closing;
mod documents;
mod etags;
mod evidence;
mod judge;
mod many;
mod memory;
mod objects;
mod packages;
mod plans;
mod platform;
mod scripts;
mod session;
mod shard;
mod stored;
mod together;
mod write;

pub use crate::closure::diagnose::WRONG_MACHINE;
pub use crate::closure::{Hardened, Protected};
pub use assemble::{Assembled, Figures, configuration};
pub use documents::{contents, provenance, subject};
pub use evidence::{Evidence, Explained, Named, Standing};
pub use many::in_order;
use memory::Inputs;
pub use memory::{Others, Pending, Recalled, Remembered, Renewed, Said, compressions};
pub use scripts::shell_scripts;
pub use session::{Session, Shared};
pub use shard::{Beside, beside, shares, weight};
pub use stored::{Stored, choose, stored, subject as stored_subject};
pub use together::into_layouts;
use write::Variant;
pub use write::{Built, Outputs, Packed, parameters, write};

/// The root can't be opened.
pub const NO_ROOT: Code = Code("E0215");
/// An output lies in a folder that the recipe copies.
pub const OUTPUT_IN_INPUT: Code = Code("E0276");
/// The entrypoint is not in the image.
pub const NO_ENTRYPOINT: Code = Code("E0216");
/// A library of a rule's addition can't be loaded, and the addition stays out.
pub const LEFT_OUT: Code = Code("E0254");
/// The root holds configuration of the entrypoint that the image does not.
pub const NO_CONFIGURATION: Code = Code("E0217");

/// What a web server serves has one constant time, of which the server makes a tag.
pub const SAME_TAG: Code = Code("E0256");

/// A file of `vex` can't be attached.
pub const BAD_VEX: Code = Code("E0704");

/// A layout or archive does not hold the one image that was asked for.
pub const NOT_ONE_IMAGE: Code = Code("E0700");

/// A package that is not installed in the root.
pub const NO_PACKAGE: Code = Code("E0218");
/// A name and tag that no registry takes.
pub const BAD_NAME: Code = Code("E0277");

/// What changed since a commit can't be found out.
pub const NO_CHANGES: Code = Code("E0520");
/// More jobs than a matrix of GitHub may have.
pub const TOO_MANY_JOBS: Code = Code("E0521");
/// An output for one platform is asked for several.
pub const SEVERAL_PLATFORMS: Code = Code("E0651");

/// What is asked of a build beside its recipe.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that read, compress and hash.
    pub threads: NonZeroUsize,
    /// Seconds since 1970 of the image's `created` (`SOURCE_DATE_EPOCH`), or 0.
    pub created: i64,
    /// Whether this runs in CI, where a build from the machine's own files is worth a warning.
    pub ci: bool,
    /// Whether what a person might want is looked for: optional rules that the image gives cause for, and libraries
    /// that objects name.
    pub suggestions: bool,
    /// Whether a twin with a shell is built, too (`TAG-debug`).
    pub debug_twin: bool,
    /// Which layers come with the hashes of their files.
    pub file_hashes: FileHashes,
    /// The key that signs what is written.
    pub signer: Option<std::sync::Arc<crate::attest::sign::PrivateKey>>,
    /// Whether outputs are flushed to the disk before they get their names.
    pub durability: crate::layer::Durability,
    /// What earlier builds found out. It changes no byte of an image.
    pub cache: Option<std::sync::Arc<crate::cache::Cache>>,
    /// Layers that registries keep for all who build; asked only beside a cache. It changes no byte of an image,
    /// either.
    pub remote: Option<std::sync::Arc<crate::layer::RemoteCache>>,
    /// Who is told what threads do, where somebody wants to see it.
    pub watch: Option<std::sync::Arc<dyn crate::layer::Watch>>,
    /// Where staging folders of standard output and engines go.
    pub temporary: std::path::PathBuf,
    /// The day on which waivers of the policy are looked at.
    pub today: crate::recipe::Date,
    /// Lock files, and how images are held against them.
    pub locks: std::sync::Arc<crate::lock::Locks>,
}

/// Which layers come with the hashes of their files, which cost time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileHashes {
    /// Those of images that have a document beside them with a list of files.
    OfListed,
    /// All.
    All,
}

/// Finds out everything about an image but its bytes: a [`Session`] of one.
///
/// # Errors
/// Whatever stops the build; all of a stage's findings at once.
pub fn assemble(recipe: &Recipe, options: &Options, progress: &dyn Progress) -> Result<Assembled> {
    Session::new(1).assemble(recipe, options, progress)
}

/// Told what a build is doing.
pub trait Progress: Sync {
    /// A stage begins.
    fn stage(&self, name: &str);

    /// The policy has spoken, also where it denies the image.
    fn judged(&self, platform: &crate::recipe::Platform, verdicts: &crate::policy::Verdicts) {
        let _ = (platform, verdicts);
    }

    /// The policy has spoken of what is only known once layers are packed: with what it says where it denies them.
    fn weighed(&self, platform: &crate::recipe::Platform, finding: Option<&crate::policy::Finding>) {
        let _ = (platform, finding);
    }

    /// A temporary folder was made: to be removed when the process is told to stop.
    fn staged(&self, path: &std::path::Path) {
        let _ = path;
    }
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: &str) {}
}
