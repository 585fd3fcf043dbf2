//! What a person means by a path of the image: itself, one through links, or a name that only one file has.

use crate::path::{ImagePath, show};
use crate::report::{Diagnostic, Result};
use crate::source::resolve;
use crate::tree::Tree;

use super::{AMBIGUOUS, NOT_IN_IMAGE};

/// How many paths of similar name are offered.
const MOST_OFFERED: usize = 3;

/// How alike two names must be to be offered for one another.
const ALIKE: f64 = 0.8;

/// The path of the image that `text` stands for: a path of the tree, one that leads to one through links, or the name
/// of one file or link.
///
/// # Errors
/// When the image has no such path, with those that come near, or when a name is that of several.
pub fn find(tree: &Tree, text: &str) -> Result<ImagePath> {
    if !text.contains('/') {
        return by_name(tree, text);
    }
    let path = ImagePath::new(text).map_err(|error| absent(tree, text).note(format!("`{text}` {error}")))?;
    if tree.get(&path).is_some() || path.is_root() {
        return Ok(path);
    }
    match resolve(tree, path.as_bytes()) {
        // A path through a link of a folder, as `/lib/x` where `/lib` leads to `/usr/lib`: the last link stays one.
        Ok(found) => Ok(found
            .links
            .last()
            .filter(|link| link.path.name() == path.name())
            .map_or(found.real, |link| link.path.clone())),
        Err(_) => Err(absent(tree, text).into()),
    }
}

fn by_name(tree: &Tree, name: &str) -> Result<ImagePath> {
    let named: Vec<&ImagePath> =
        tree.iter().map(|(path, _)| path).filter(|path| path.name() == name.as_bytes()).collect();
    match named.as_slice() {
        [] => Err(absent(tree, name).into()),
        [path] => Ok((*path).clone()),
        several => {
            let title = format!("{} paths of the image are called `{name}`", several.len());
            let all = several.iter().fold(Diagnostic::error(AMBIGUOUS, title), |all, path| all.note(path.to_string()));
            Err(all.help("say which, with its folder").into())
        }
    }
}

fn absent(tree: &Tree, text: &str) -> Diagnostic {
    let mut error = Diagnostic::error(NOT_IN_IMAGE, format!("`{text}` is not in the image"));
    let near = near(tree, text);
    if !near.is_empty() {
        let near: Vec<String> = near.iter().map(|path| format!("`{path}`")).collect();
        error = error.help(format!("the image has {}", near.join(", ")));
    }
    error
}

/// Paths with the same or a similar name, the most alike first; of equally alike ones those in the most alike folder.
fn near(tree: &Tree, text: &str) -> Vec<ImagePath> {
    let (folder, name) = text.trim_end_matches('/').rsplit_once('/').unwrap_or(("", text));
    let name = &name.to_lowercase();
    if name.is_empty() {
        return Vec::new();
    }
    let alike = |path: &ImagePath| {
        let other = show(path.name()).to_lowercase();
        // `libz.so` stands for `libz.so.1.2.13`, `ssl` for `libssl.so.3`.
        let part = name.len() >= 3 && other.contains(name);
        let score = strsim::jaro_winkler(name, &other).max(if part { ALIKE } else { 0.0 });
        let place = path.parent().map_or(0.0, |parent| strsim::jaro_winkler(folder, &parent.to_string()));
        (score >= ALIKE).then(|| (score, place, path.clone()))
    };
    let files = tree.iter().filter(|(_, entry)| !entry.is_directory());
    let mut near: Vec<(f64, f64, ImagePath)> = files.filter_map(|(path, _)| alike(path)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)).then_with(|| a.2.cmp(&b.2)));
    near.into_iter().take(MOST_OFFERED).map(|(_, _, path)| path).collect()
}
