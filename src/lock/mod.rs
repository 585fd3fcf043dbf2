//! What images take from their roots, written down in `mkimage.lock` and held against what they take now.
//!
//! In: a finished tree with its inventory, or the text of a lock file. Out: [`Taken`], the same of both, and the
//! difference of two. Recipes that others extend from registries are in it, too, by digest. Files from beside the
//! recipe are no part of it: they change with every commit. Only [`update`] writes, and only the lock file.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::oci::Digest;
use crate::path::ImagePath;
use crate::report::Code;

mod drift;
mod file;
mod frozen;
mod take;
mod text;

pub use drift::{Change, Drift, Sign};
pub use file::{Lock, Locks, Update, update};
pub use frozen::{Frozen, named};
pub use take::take;

/// An image takes something else from its root than the lock file says.
pub const DRIFT: Code = Code("E0401");
/// There is no lock file, or it does not know the image.
pub const NOT_LOCKED: Code = Code("E0402");
/// The lock file can't be read.
pub const UNREADABLE: Code = Code("E0403");

/// What one image takes from its root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The packages that it has files of, with their versions. A package that is there for several architectures is
    /// called `NAME:ARCHITECTURE`.
    pub packages: BTreeMap<String, String>,
    /// What it has, by path in the image.
    pub paths: BTreeMap<ImagePath, Fact>,
    /// The recipes of registries that its recipe extends, by name, with the digests of their manifests.
    pub extends: BTreeMap<String, Digest>,
}

/// What stands at one path of an image and comes from the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub what: What,
    /// Where it stands in the root, when that is elsewhere.
    pub from: Option<ImagePath>,
    /// The package that owns it, one of [`Taken::packages`].
    pub package: Option<String>,
    /// Why it is in the image, as `needed by /usr/bin/nginx`. No part of what is compared.
    pub reason: String,
}

/// The kinds of facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A file.
    File {
        /// Of its bytes.
        digest: Digest,
        /// How many there are.
        size: u64,
        /// What the image makes of its permissions.
        access: Access,
    },
    /// Another name of a file of the image.
    HardLink(ImagePath),
    /// A link, with its text.
    Symlink(Vec<u8>),
    /// A folder that is empty, or has other permissions than folders have by themselves.
    Folder(Access),
}

/// Who may do what with a file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The twelve permission bits.
    pub mode: u32,
    /// Numeric owner and group.
    pub owner: (u32, u32),
    /// The attribute that holds file capabilities.
    pub capabilities: Option<Vec<u8>>,
}

/// How an image is held against the lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Not at all.
    #[default]
    Ignored,
    /// What differs is told.
    Reported,
    /// It must not differ.
    Locked,
    /// It must not differ, and what folders of the root hold beyond it stays out.
    Frozen,
}

/// The image of a recipe for a platform: its key in a lock file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The recipe's path, relative to the lock file's folder.
    pub recipe: String,
    /// The platform, as `linux/amd64`.
    pub platform: String,
}

/// A lock file, for messages.
pub fn shown(file: &Path) -> String {
    file.strip_prefix(".").unwrap_or(file).display().to_string()
}

impl Key {
    /// The key of a recipe's image and the file that has it; none where a recipe has no file of its own.
    pub fn of(recipe: &crate::recipe::Recipe, platform: &crate::recipe::Platform) -> Option<(PathBuf, Self)> {
        let place = recipe.lock.as_ref()?;
        Some((place.file.clone(), Self { recipe: place.name.clone(), platform: platform.to_string() }))
    }

    /// Where the recipe is, for messages: its path as it is seen from where the lock file's is.
    pub fn recipe_beside(&self, file: &Path) -> PathBuf {
        let mut seen = PathBuf::new();
        let folder = file.parent().unwrap_or(Path::new(""));
        for part in folder.join(&self.recipe).components() {
            let inside = matches!(seen.components().next_back(), Some(Component::Normal(_)));
            match part {
                Component::ParentDir if inside => seen = seen.parent().map(Path::to_owned).unwrap_or_default(),
                Component::CurDir => {}
                part => seen.push(part),
            }
        }
        seen
    }
}
