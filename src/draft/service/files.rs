//! Files and folders that a recipe names whole, and what of them it can't.

use std::path::Path;

use super::{Finding, Unreadable};
use crate::path::ImagePath;
use crate::source::{NodeKind, resolve};

impl Finding<'_> {
    /// Adds a file or folder that is there, unless a folder that is taken holds it.
    pub(super) fn take(&mut self, path: &str) {
        let Some(node) = self.node(path) else { return };
        if self.out.files.keys().any(|taken| taken.ends_with('/') && path.starts_with(taken.as_str())) {
            return;
        }
        match node.kind {
            NodeKind::Directory if path.matches('/').count() >= 2 => self.take_folder(path),
            NodeKind::File(_) if node.mode & 0o004 != 0 => {
                self.out.files.insert(path.to_owned(), None);
            }
            NodeKind::File(_) if !is_key(path) => {
                self.out.files.insert(path.to_owned(), Some(Unreadable::Whole));
            }
            _ => {}
        }
    }

    /// A folder without what others may not read: that is named by itself unless it is a key, and a folder of nothing
    /// else is named whole.
    pub(super) fn take_folder(&mut self, path: &str) {
        let path = path.trim_end_matches('/');
        let Ok(found) = resolve(self.root, path.as_bytes()) else { return };
        let (mut exclude, mut any) = (Vec::new(), false);
        let mut open = vec![found.real.clone()];
        while let Some(folder) = open.pop() {
            for (name, node) in self.root.list(&folder).unwrap_or_default() {
                let below = folder.join(&name);
                let relative = String::from_utf8_lossy(below.below(&found.real).unwrap_or_default()).into_owned();
                match node.kind {
                    NodeKind::Directory if self.is_closed(&below) => {
                        self.out.files.insert(format!("{path}/{relative}/"), Some(Unreadable::Whole));
                        exclude.push(format!("{relative}/**"));
                    }
                    NodeKind::Directory => open.push(below),
                    NodeKind::Special(_) => exclude.push(literal(&relative)),
                    NodeKind::Symlink(_) if resolve(self.root, below.as_bytes()).is_err() => {
                        exclude.push(literal(&relative));
                    }
                    NodeKind::File(_) if node.mode & 0o004 == 0 || is_key(&relative) => {
                        if !is_key(&relative) {
                            self.out.files.insert(format!("{path}/{relative}"), Some(Unreadable::Whole));
                        }
                        exclude.push(literal(&relative));
                    }
                    _ => any = true,
                }
            }
        }
        if any {
            exclude.sort();
            self.out.files.retain(|known, why| why.is_some() || !known.starts_with(&format!("{path}/")));
            let why = (!exclude.is_empty()).then_some(Unreadable::Parts(exclude));
            self.out.files.insert(format!("{path}/"), why);
        }
    }

    /// Whether a folder has files, and others may read none of them: secrets, and what a program keeps for itself.
    fn is_closed(&self, folder: &ImagePath) -> bool {
        let (mut any, mut open) = (false, vec![folder.clone()]);
        while let Some(folder) = open.pop() {
            for (name, node) in self.root.list(&folder).unwrap_or_default() {
                let below = folder.join(&name);
                match node.kind {
                    NodeKind::Directory => open.push(below),
                    NodeKind::File(_) if node.mode & 0o004 == 0 && !is_key(&below.to_string()) => any = true,
                    _ => return false,
                }
            }
        }
        any
    }
}

/// A path as a glob that matches it alone.
pub(super) fn literal(path: &str) -> String {
    let escape = |c: char| if "*?[]{}\\".contains(c) { format!("\\{c}") } else { c.to_string() };
    path.chars().map(escape).collect()
}

/// Whether a file is a secret by its name.
fn is_key(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "key")
        || path.ends_with("_key")
        || path.contains("/private/")
        || path.starts_with("private/")
}
