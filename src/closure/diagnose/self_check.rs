//! The image must load what the root loads: two closures compared.

use std::collections::{BTreeMap, BTreeSet};

use super::SELF_CHECK;
use crate::closure::{Closure, Fatal, Loaded, Missing, Resolution};
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
    let mut notes = Notes::default();
    notes.compare(&Run::own(root), &Run::own(image));
    let variants = root.variants.iter().chain(&image.variants).map(|variant| variant.name.as_str());
    for name in variants.collect::<BTreeSet<_>>() {
        notes.on = format!(" on processors of {name}");
        let of = |resolution: &Resolution| resolution.variants.iter().position(|variant| variant.name == name);
        let run = |resolution| of(resolution).map(|index| Run::variant(resolution, index)).unwrap_or_default();
        notes.compare(&run(root), &run(image));
    }
    if notes.all.is_empty() {
        return None;
    }
    let title = format!("`{}` would load other files in the image than in its root", show(&image.path));
    let diagnostic = Diagnostic::error(SELF_CHECK, title);
    Some(notes.all.into_iter().fold(diagnostic, Diagnostic::note))
}

/// What the program loads on some processor.
#[derive(Default)]
struct Run<'a> {
    /// The files that are loaded beside the file itself.
    files: BTreeMap<ContentId, String>,
    missing: &'a [Missing],
    version_errors: usize,
    /// Why it does not start there.
    fatal: Option<&'a Fatal>,
}

impl<'a> Run<'a> {
    fn own(resolution: &'a Resolution) -> Self {
        Self {
            files: files(resolution, &resolution.objects[resolution.own.min(resolution.objects.len())..]),
            missing: &resolution.missing,
            version_errors: resolution.version_errors.len(),
            fatal: resolution.fatal.as_ref(),
        }
    }

    fn variant(resolution: &'a Resolution, index: usize) -> Self {
        let variant = &resolution.variants[index];
        Self {
            files: files(resolution, &variant.objects),
            missing: &variant.missing,
            version_errors: variant.version_errors.len(),
            fatal: variant.fatal.as_ref(),
        }
    }
}

/// What is otherwise, and where.
#[derive(Default)]
struct Notes {
    all: Vec<String>,
    on: String,
}

impl Notes {
    fn add(&mut self, note: impl std::fmt::Display) {
        self.all.push(format!("{note}{}", self.on));
    }

    fn compare(&mut self, root: &Run<'_>, image: &Run<'_>) {
        for (id, path) in &root.files {
            if !image.files.contains_key(id) {
                self.add(format_args!("the root has {path}, the image does not load it"));
            }
        }
        for (id, path) in &image.files {
            if !root.files.contains_key(id) {
                self.add(format_args!("the image loads {path}, the root does not"));
            }
        }
        for missing in image.missing {
            if root.missing.iter().all(|known| known.name != missing.name) {
                self.add(format_args!("`{}` is not found in the image", show(&missing.name)));
            }
        }
        if let (None, Some(fatal)) = (root.fatal, image.fatal) {
            self.add(format_args!("in the image: {}: {}", show(&fatal.path), fatal.reason));
        }
        if image.version_errors > root.version_errors {
            self.add("symbol versions are missing in the image");
        }
    }
}

fn files(resolution: &Resolution, objects: &[Loaded]) -> BTreeMap<ContentId, String> {
    let others = objects.iter().filter(|object| object.path != resolution.path);
    others.map(|object| (object.content.id(), show(&object.path))).collect()
}
