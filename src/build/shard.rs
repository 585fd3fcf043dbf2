//! Recipes spread over machines that do not talk to one another, and the files of this machine that a recipe is made
//! of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::oci::Digest;
use crate::recipe::{FileSource, Origin, Recipe, Root};

/// How much fuller than the average a share may get before recipes go elsewhere, in percent.
const SLACK: u64 = 5;

/// The share, from 0, that each recipe belongs to. It depends on the names of the recipes and on what they say, never
/// on files, machines or the order: all machines come to the same result. Shares are about equal in [`weight`]; each
/// recipe has an order of preference among them of its own, so that one more recipe moves few others.
pub fn shares(recipes: &[&Recipe], of: usize) -> Vec<usize> {
    let of = of.max(1);
    let weights: Vec<u64> = recipes.iter().map(|recipe| weight(recipe)).collect();
    let identities: Vec<String> = recipes.iter().map(|recipe| identity(recipe)).collect();
    let fair = weights.iter().sum::<u64>().div_ceil(of as u64);
    let most = fair + fair * SLACK / 100 + 1;
    // The heavy ones first: the light ones fill what is left.
    let mut order: Vec<usize> = (0..recipes.len()).collect();
    order.sort_by_key(|&recipe| (std::cmp::Reverse(weights[recipe]), &identities[recipe]));
    let (mut loads, mut shares) = (vec![0_u64; of], vec![0; recipes.len()]);
    for recipe in order {
        let liked = (0..of).filter(|&share| loads[share] + weights[recipe] <= most);
        let liked = liked.max_by_key(|&share| preference(&identities[recipe], share));
        let share = liked.or_else(|| (0..of).min_by_key(|&share| loads[share])).unwrap_or(0);
        loads[share] += weights[recipe];
        shares[recipe] = share;
    }
    shares
}

/// How much work a recipe may be, from what it says alone: each program and library, each file, more for each folder,
/// package and extra.
pub fn weight(recipe: &Recipe) -> u64 {
    let is_folder = |source: &FileSource| match source {
        FileSource::Copied(from) => match &from.value {
            Origin::Root(path) | Origin::Beside { text: path, .. } => path.ends_with(b"/"),
            Origin::Name(_) => false,
        },
        FileSource::Text(_) => false,
    };
    let folders = recipe.files.iter().filter(|file| is_folder(&file.source)).count();
    let single = recipe.binaries.len() + recipe.libraries.len() + recipe.files.len() - folders;
    let many = folders + recipe.packages.len() + recipe.extras.len();
    4 + single as u64 + 4 * many as u64
}

/// What tells a recipe from others, on every machine.
fn identity(recipe: &Recipe) -> String {
    let tag = recipe.tags.first().map_or("", |tag| tag.value.as_str());
    let platform = recipe.platform.as_ref().map(|platform| platform.value.to_string()).unwrap_or_default();
    format!("{}\n{tag}\n{platform}", recipe.name.value)
}

fn preference(identity: &str, share: usize) -> String {
    Digest::of(format!("{identity}\n{share}").as_bytes()).hex()
}

/// A path of this machine that a recipe is made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beside {
    /// A file, or a folder with all that it holds.
    File(PathBuf),
    /// Everything whose path begins so: what stands before the first wildcard of a glob.
    Below(PathBuf),
}

/// The files of this machine that a recipe is made of, but for what comes from a root that is this machine itself: its
/// own file, those that it extends, its workspace's, the lock file; what it copies from beside it; a root that is
/// a folder.
pub fn beside(recipe: &Recipe) -> Vec<Beside> {
    let mut all = BTreeSet::new();
    for source in &recipe.sources {
        all.insert(Beside::File(source.clone()));
    }
    all.extend(recipe.lock.iter().map(|lock| Beside::File(lock.file.clone())));
    if let Root::Folder(path, _) = &recipe.root {
        all.insert(Beside::File(path.clone()));
    }
    let copied = recipe.files.iter().filter_map(|file| match &file.source {
        FileSource::Copied(from) => Some(&from.value),
        FileSource::Text(_) => None,
    });
    let origins = recipe.binaries.iter().map(|binary| &binary.from.value).chain(copied);
    let origins = origins.chain(recipe.libraries.iter().map(|library| &library.from.value));
    for origin in origins.chain(recipe.certificates.add.iter().map(|from| &from.value)) {
        let Origin::Beside { base, text } = origin else { continue };
        all.insert(origin_of(base, text));
    }
    all.into_iter().collect()
}

fn origin_of(base: &Path, text: &[u8]) -> Beside {
    use std::os::unix::ffi::OsStrExt;
    let path = |text: &[u8]| base.join(std::ffi::OsStr::from_bytes(text));
    match text.iter().position(|byte| b"*?[{\\".contains(byte)) {
        Some(wild) => Beside::Below(path(&text[..wild])),
        None => Beside::File(path(text)),
    }
}
