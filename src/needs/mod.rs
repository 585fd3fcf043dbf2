//! What no ELF header names: certificates, plugins, locales, time zones.
//!
//! In: what the image holds so far ([`Seen`]), the recipe's `extras` and `[certificates]`, and a table of rules
//! (`rules/`). Out: what to add, each with the rule as its reason ([`Needs`]). Reads the image laid over its root;
//! places nothing and resolves no library itself.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;

use crate::closure;
pub use crate::closure::Libc;
use crate::path::ImagePath;
use crate::recipe::{Certificates, Extra};
use crate::report::{Code, Diagnostic, Spanned};
use crate::source::Source;
use crate::tree::{Entry, Reason, Tree};

mod absent;
mod archive;
mod asked;
mod bring;
mod bringing;
mod busybox;
mod catalogue;
mod certificates;
mod distribution;
mod evidence;
mod find_library;
mod finder;
mod fips;
mod follow;
mod jars;
mod jks;
mod keystore;
mod learnt;
mod locale;
mod lookup;
mod nsswitch;
mod pam;
mod pem;
mod rules;
mod scan;
mod template;
mod trigger;
mod user_glob;
mod variables;
pub(crate) mod zip;

pub use catalogue::{Listing, catalogue};
pub use distribution::{Distribution, Family, glibc_version};
pub use finder::Finder;
pub use learnt::Learnt;

/// Reads the table of rules, which the first question does otherwise.
pub fn prepare() {
    LazyLock::force(&rules::TABLE);
}

/// `extras` names something that is not in the table, or says it wrongly.
pub const EXTRA: Code = Code("E0240");
/// The root does not hold what an extra or a rule needs.
pub const NOT_IN_ROOT: Code = Code("E0241");
/// A file of `[certificates]` or the root's bundle is no PEM file of certificates.
pub const CERTIFICATE: Code = Code("E0242");
/// A file that a rule has to look into can't be read.
pub const UNREADABLE: Code = Code("E0243");
/// Two entries of the recipe contradict each other.
pub const CONFLICT: Code = Code("E0244");
/// Configuration in the image names a file that neither the image nor the root has.
pub const NAMED: Code = Code("E0245");
/// The image has modules for FIPS mode.
pub const FIPS: Code = Code("E0247");

/// Libraries inside of jars, which are loaded from where they are unpacked.
pub const UNPACKED: Code = Code("E0246");

/// What a recipe asks for.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its `extras`.
    pub extras: &'a [Extra],
    /// Its `[certificates]`.
    pub certificates: &'a Certificates,
    /// Its `mounts`: what is given at run time, so that nothing is missing below.
    pub mounts: &'a [ImagePath],
    /// Its command line: `entrypoint`, then `cmd`, for configuration that is named there.
    pub command: &'a [String],
    /// Number and group of the image's user.
    pub owner: (u32, u32),
    /// The root, for certificates in it.
    pub root: &'a dyn Source,
    /// This machine's `/`, for certificates beside the recipe.
    pub host: &'a dyn Source,
}

/// The undefined dynamic symbols of an ELF file, without versions; empty when it has none.
pub type Imports<'a> = dyn Fn(&ImagePath) -> io::Result<closure::Imports> + 'a;

/// Variables by name, as a recipe sets them.
pub type Environment = BTreeMap<String, Spanned<String>>;

/// What the image holds so far.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// The image laid over its root.
    pub view: &'a dyn Source,
    /// The image alone.
    pub image: &'a Tree,
    /// Every ELF object that some program of the image loads, the programs themselves too.
    pub objects: &'a [Object],
    /// The programs, static ones too: paths in the image, without a link in them.
    pub programs: &'a [ImagePath],
    /// The programs that scripts of the image are run by, as `/usr/bin/python3.11`, without a link.
    pub interpreters: &'a [ImagePath],
    /// Asked once for each object at most.
    pub imports: &'a Imports<'a>,
    /// What was learnt of files of other images.
    pub learnt: &'a Learnt,
    /// The C library; `None` when all programs are static.
    pub libc: Option<Libc>,
    /// Whose files the root holds.
    pub family: Family,
    /// The recipe's `[env]`.
    pub env: &'a Environment,
}

/// An ELF object of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Where it is, without a link in the path.
    pub real: ImagePath,
    /// The names by which others ask for it.
    pub names: Vec<Vec<u8>>,
    /// `DT_SONAME`.
    pub soname: Option<Vec<u8>>,
}

/// What one round adds to what earlier rounds found.
#[derive(Debug, Default)]
pub struct Needs {
    /// What to bring, in an order that depends on the image and the table alone.
    pub additions: Vec<Addition>,
    /// What a person should know: a rule that applies and finds nothing in the root.
    pub notes: Vec<Diagnostic>,
}

/// One thing to bring.
#[derive(Debug, Clone)]
pub struct Addition {
    /// What.
    pub want: Want,
    /// Why: always a [`crate::tree::Cause::Rule`].
    pub reason: Reason,
    /// Whether programs fail without it. A library of an addition that is not required and can't load stays out.
    pub required: bool,
    /// The object in whose context ELF files of it are loaded, where one is known.
    pub by: Option<ImagePath>,
}

/// What to bring.
#[derive(Debug, Clone)]
pub enum Want {
    /// A file, link or folder of the view, at the same path, with every link on the way and, for a folder, all below.
    Copy(ImagePath),
    /// A folder of the view with all below but what the globs, relative to it, exclude.
    Folder {
        /// Its path.
        path: ImagePath,
        /// As in `files`: `X/**` drops `X` itself.
        exclude: Vec<String>,
    },
    /// An entry made here, at a path that no link leads through. Its rank is [`crate::tree::Rank::Need`], or
    /// [`crate::tree::Rank::Rewritten`] in place of a file from a folder of the recipe.
    Make(ImagePath, Entry),
    /// A library: to be found as the loader finds it when `by` asks for it at run time, and closed over in that
    /// context.
    Load {
        /// A name, or an absolute path in the view.
        name: Vec<u8>,
        /// The object that loads it, without a link in its path; `None` when the image has none yet.
        by: Option<ImagePath>,
    },
}

/// An optional rule whose trigger is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The extra's name.
    pub extra: String,
    /// What set it off, as `links libssl.so.3`.
    pub trigger: String,
    /// What the extra is for.
    pub note: String,
}

/// How much a rule matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Offered by `check`; added when the recipe asks.
    Optional,
    /// Usual functions fail without; added by itself.
    Recommended,
    /// The program fails without; added by itself.
    Required,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Optional => "optional",
            Self::Recommended => "recommended",
            Self::Required => "required",
        })
    }
}
