//! mkimage builds minimal OCI images from recipes: no daemon, no root, nothing executed, the same bytes every time.
//!
//! Each stage makes a plain value from those of earlier ones, in this order:
//!
//! ```text
//! recipe -> source -> tree -> select -> closure -> needs -> rootfs -> inventory -> policy -> lock
//!   -> layer -> image -> attest -> output
//! ```
//!
//! - [`recipe`]: TOML text to a [`recipe::Recipe`], every value with its place in the text.
//! - [`source`]: where files come from, read-only, and who owns them.
//! - [`tree`]: the image's tree while it is made; settles two entries for one path. It knows the reason of each path.
//! - [`select`]: what the recipe names, as paths of the image.
//! - [`closure`]: what the real loader would load for the programs among them.
//! - [`needs`]: what no ELF header names.
//! - [`rootfs`]: one tree from all of these, with what every image has.
//! - [`inventory`]: whose its files are, and the records by which scanners know it.
//! - [`policy`]: what of it is not allowed.
//! - [`lock`]: what it takes from the root, held against what it took before.
//! - [`layer`]: the tree as compressed tar archives; the parallel step.
//! - [`image`]: the configuration and the manifest.
//! - [`attest`]: documents about it: what is in it, where it comes from, signatures.
//! - [`output`]: a layout, an archive, a folder, an engine.
//! - [`run`]: an image started here by a runtime. Beside loading into an engine and asking programs that keep logins,
//!   the one place that starts a process.
//! - [`trial`]: the recipe's own tests of the image that was started so.
//!
//! [`mod@build`] puts them together and reads as this list. Around it:
//!
//! - [`explain`] says why an image holds what it holds, [`survey`] sees what any image is and holds, [`picture`] draws
//!   that.
//! - [`diff`] compares two images, [`compare`] two that should be one, [`page`] shows both in a browser.
//! - [`edit`] adds to a recipe's text, [`trace`] finds what a run used and an image lacks, [`draft`] writes first
//!   recipes.
//!
//! [`report`], [`path`], [`threads`], [`elf`], [`oci`], [`deb`], [`apk`], [`rpm`] and [`registry`], which asks
//! registries and the programs that keep logins for them, are leaves that know of no stage, and so is [`cache`], which
//! keeps what earlier runs found out. A stage names only what stands above it here; a test holds that.
//!
//! What holds everywhere: no stage reads the clock or the environment, prints, or executes anything; the one program
//! that is run and watched is the one that `mkimage trace` is given, by the command line. A file is looked at once, and
//! checked to be that one each time it is opened. Only the layer and output stages, the cache and `mkimage lock` write,
//! under temporary names until what they write is whole.

pub mod report;
pub mod path;
pub mod threads;
pub mod elf;
pub mod oci;
pub mod deb;
pub mod apk;
pub mod rpm;
pub mod registry;
pub mod cache;

pub mod recipe;
pub mod source;
pub mod tree;
pub mod select;
pub mod closure;
pub mod needs;
pub mod rootfs;
pub mod inventory;
pub mod policy;
pub mod lock;
pub mod layer;
pub mod image;
pub mod attest;
pub mod output;
pub mod run;
pub mod trial;

pub mod build;
pub mod explain;
pub mod survey;
pub mod picture;
pub mod diff;
pub mod page;
pub mod compare;
pub mod edit;
pub mod trace;
pub mod draft;

/// mkimage's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The modification time of everything in a layer, 1980-01-01T00:00:00Z: the earliest that ZIP files can hold, and
/// so the earliest that Python's `zipfile` takes.
pub const MTIME: i64 = 315_532_800;
