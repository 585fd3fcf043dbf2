//! The stages put together: from a recipe to images in their places.
//!
//! [`assemble`] does everything that reads; [`write`] packs what it found and writes it. `mkimage check` is the
//! first alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::closure::{self, Closure, Privilege, Wanted};
use crate::elf;
use crate::image::{self, Image};
use crate::layer::{self, LayerPlan};
use crate::needs::{self, Distribution};
use crate::oci::Digest;
use crate::output::{self, Destination};
use crate::path::ImagePath;
use crate::recipe::{self, Platform, Recipe, Root};
use crate::report::{Code, Diagnostic, Error, Result, Span};
use crate::rootfs::{self, Standard};
use crate::select::{self, Selection};
use crate::source::{Content, ContentId, Folder, Source, resolve};
use crate::tree::{Overlay, Rank, Tree};

/// What is asked of a build beside its recipe.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that read, compress and hash.
    pub threads: NonZeroUsize,
    /// Seconds since 1970 of the image's `created` (SOURCE_DATE_EPOCH), or 0.
    pub created: i64,
    /// Whether this runs in CI, where a build from the machine's own files is worth a warning.
    pub ci: bool,
}

/// An image before it is packed: everything that is known of it.
#[derive(Debug)]
pub struct Assembled {
    /// The tree as it will be packed.
    pub tree: Tree,
    /// What the recipe names.
    pub selection: Selection,
    /// What was asked of the loader's rules, in the order of [`Closure::resolutions`].
    pub wanted: Vec<Wanted>,
    /// What the programs load.
    pub closure: Closure,
    /// The platform that it runs on.
    pub platform: Platform,
    /// Warnings and notes, in the order of the stages.
    pub notes: Vec<Diagnostic>,
}
