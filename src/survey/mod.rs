//! What an image is and holds, as plain values that can be compared, drawn and printed: from a layout or archive
//! alone, or with what its recipe knows of it.
//!
//! In: an image that was written, and perhaps the recipe that it was built from. Out: a [`Survey`]. The same image
//! gives the same survey, wherever it lies.

use std::collections::{BTreeMap, BTreeSet};

use crate::closure::Hardened;
use crate::oci::{DiffId, Digest, Encoding};
use crate::output::Fact;
use crate::path::ImagePath;
use crate::recipe::Verdict;

mod judged;
mod packages;
mod settings;
mod told;
mod web;
mod written;

pub use told::Told;
pub use web::{Edge, Node, Web};

/// What an image is and holds.
#[derive(Debug)]
pub struct Survey {
    /// What a person calls it: its name with a tag, or else the place where it lies.
    pub name: String,
    /// The digest of its manifest; none in what `docker save` writes.
    pub digest: Option<Digest>,
    /// Its ID: the digest of its configuration.
    pub id: Digest,
    /// `linux/amd64`.
    pub platform: String,
    /// Every setting of its configuration and every annotation, by a name that tells it apart: `env PATH`, `label X`.
    pub settings: BTreeMap<String, String>,
    /// Its layers, bottom first.
    pub layers: Vec<Layer>,
    /// Everything that it holds.
    pub files: BTreeMap<ImagePath, Fact>,
    /// The packages whose files it holds, by name and architecture.
    pub packages: BTreeMap<(String, String), Package>,
    /// The package of each path that has one.
    pub owners: BTreeMap<ImagePath, (String, String)>,
    /// Its ELF files.
    pub objects: BTreeMap<ImagePath, Object>,
    /// What breaks a rule.
    pub findings: Vec<Finding>,
    /// Who brings what, as the image alone tells.
    pub web: Web,
    /// What only its recipe tells.
    pub told: Option<Told>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What its history says that it is.
    pub name: String,
    /// The digest of its blob; none in what `docker save` writes.
    pub digest: Option<Digest>,
    /// The digest of its tar stream.
    pub diff_id: Option<DiffId>,
    /// How it is compressed.
    pub encoding: Encoding,
    /// The size of its blob.
    pub size: u64,
    /// Entries that are no folders.
    pub files: u64,
    /// Bytes of its files.
    pub unpacked: u64,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its version.
    pub version: String,
    /// The source package that it was built from.
    pub source: String,
    /// The version of that.
    pub source_version: String,
    /// How many of its files and links the image holds.
    pub files: u64,
    /// Bytes of these.
    pub size: u64,
}

/// An ELF file.
#[derive(Debug, Clone)]
pub struct Object {
    /// How it is hardened.
    pub hardened: Hardened,
    /// What it needs, by name, and what is loaded for it.
    pub needs: BTreeMap<String, Option<ImagePath>>,
    /// Libraries that it names for loading.
    pub dlopen: BTreeSet<String>,
}

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// Its code.
    pub code: String,
    /// What follows.
    pub verdict: Verdict,
    /// What is wrong, in one line.
    pub summary: String,
    /// The paths that break it, with what is the matter.
    pub paths: Vec<(ImagePath, String)>,
}

impl Survey {
    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.values().map(|fact| fact.size).sum()
    }

    /// Bytes of all blobs of layers.
    pub fn download(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// How many entries are no folders.
    pub fn count(&self) -> usize {
        self.files.values().filter(|fact| fact.kind != crate::oci::Kind::Directory).count()
    }

    /// Who brings what: as the recipe tells where there is one.
    pub fn best_web(&self) -> &Web {
        self.told.as_ref().map_or(&self.web, |told| &told.web)
    }

    /// What breaks a rule: by the recipe's own policy where there is one.
    pub fn verdicts(&self) -> &[Finding] {
        self.told.as_ref().map_or(&self.findings, |told| &told.findings)
    }
}

/// A package as a person calls it: with the architecture where that is needed to tell two apart.
pub fn package_name(packages: &BTreeMap<(String, String), Package>, key: &(String, String)) -> String {
    let several = packages.keys().filter(|(name, _)| *name == key.0).count() > 1;
    if several { format!("{}:{}", key.0, key.1) } else { key.0.clone() }
}
