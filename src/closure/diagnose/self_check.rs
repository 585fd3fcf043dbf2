//! The image must load what the root loads: two closures compared.

use std::collections::BTreeMap;

use super::SELF_CHECK;
use crate::closure::{Closure, Resolution};
use crate::path::show;
use crate::report::Diagnostic;
use crate::source::ContentId;

/// What the closure of an assembled image has otherwise than that of its root: other files for a program, or something
/// missing. Both must be of the same things in the same order; where a file stands does not matter, which one it is
/// does.
pub fn self_check(root: &Closure, image: &Closure) -> Vec<Diagnostic> {
    let pairs = root.resolutions.iter().zip(&image.resolutions);
    pairs.filter_map(|(root, image)| difference(root, image)).collect()
}

fn difference(root: &Resolution, image: &Resolution) -> Option<Diagnostic> {
    let (wanted, found) = (files(root), files(image));
    let mut notes = Vec::new();
    for (id, path) in &wanted {
        if !found.contains_key(id) {
            notes.push(format!("the root has {path}, the image does not load it"));
        }
    }
    for (id, path) in &found {
        if !wanted.contains_key(id) {
            notes.push(format!("the image loads {path}, the root does not"));
        }
    }
    for missing in &image.missing {
        if root.missing.iter().all(|known| known.name != missing.name) {
            notes.push(format!("`{}` is not found in the image", show(&missing.name)));
        }
    }
    if let (None, Some(fatal)) = (&root.fatal, &image.fatal) {
        notes.push(format!("in the image: {}: {}", show(&fatal.path), fatal.reason));
    }
    if image.version_errors.len() > root.version_errors.len() {
        notes.push("symbol versions are missing in the image".to_owned());
    }
    if notes.is_empty() {
        return None;
    }
    let title = format!("`{}` would load other files in the image than in its root", show(&image.path));
    let diagnostic = Diagnostic::error(SELF_CHECK, title);
    Some(notes.into_iter().fold(diagnostic, Diagnostic::note))
}

/// The files that are loaded beside the file itself.
fn files(resolution: &Resolution) -> BTreeMap<ContentId, String> {
    let objects = resolution.objects.iter().skip(resolution.own);
    let others = objects.filter(|object| object.path != resolution.path);
    others.map(|object| (object.content.id(), show(&object.path))).collect()
}
