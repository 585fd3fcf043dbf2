//! Rules about single files: what they are, their bits, whose they are.

use super::rules::{CAPABILITIES, SETUID, SHELL, UNOWNED, WORLD_WRITABLE};
use super::{Finding, Hit, Judge};
use crate::inventory::Standing;
use crate::path::ImagePath;
use crate::source::resolve;
use crate::tree::{Beginning, Cause, Entry, EntryKind, Rank};

const SHELLS: [&[u8]; 12] =
    [b"sh", b"bash", b"dash", b"ash", b"ksh", b"mksh", b"zsh", b"csh", b"tcsh", b"fish", b"busybox", b"toybox"];

fn is_shell_name(path: &ImagePath) -> bool {
    SHELLS.contains(&path.name())
}

impl Judge<'_> {
    pub(super) fn shell(&self) -> Option<Finding> {
        self.asks(&SHELL)?;
        let shells = self.tree.iter().filter(|(path, entry)| self.is_shell(path, entry));
        let mut shells: Vec<(&ImagePath, &Entry)> = shells.collect();
        // A shell itself says more than a link to it.
        shells.sort_by_key(|(_, entry)| entry.content().is_none());
        let shells = shells.into_iter().map(|(path, _)| (path.clone(), String::new())).collect();
        let mut finding = self.found(&SHELL, shells)?;
        let copied = |hit: &Hit| matches!(hit.chain.beginning, Beginning::Folder(_));
        if finding.hits.first().is_some_and(copied) {
            finding.helps.push("name the programs that the service needs under `binaries`".to_owned());
        }
        Some(finding)
    }

    /// Whether it is a program that has a shell's name, here or where it was copied from, or another name of one.
    fn is_shell(&self, path: &ImagePath, entry: &Entry) -> bool {
        let named = |path: &ImagePath, entry: &Entry| {
            let copied_from = entry.content().and_then(|content| content.place());
            is_shell_name(path) || copied_from.is_some_and(is_shell_name)
        };
        match &entry.kind {
            EntryKind::Directory => false,
            EntryKind::File(_) => entry.mode & 0o111 != 0 && named(path, entry),
            EntryKind::HardLink(target) => {
                let target = self.tree.get(target).map(|entry| (target, entry));
                let named = target.is_some_and(|(target, entry)| named(target, entry));
                entry.mode & 0o111 != 0 && (is_shell_name(path) || named)
            }
            EntryKind::Symlink(_) => {
                let Ok(found) = resolve(self.tree, path.as_bytes()) else { return false };
                let program = found.node.content().is_some() && found.node.mode & 0o111 != 0;
                program && (is_shell_name(path) || self.tree.get(&found.real).is_some_and(|e| named(&found.real, e)))
            }
        }
    }

    pub(super) fn setuid(&self) -> Option<Finding> {
        let mut finding = self.about_paths(&SETUID, |_, entry| {
            let set = entry.content().is_some() && entry.mode & 0o6000 != 0;
            set.then(|| format!("mode {:04o}", entry.mode))
        })?;
        finding.helps.push("without a `mode` of its own a file loses these bits".to_owned());
        Some(finding)
    }

    pub(super) fn world_writable(&self) -> Option<Finding> {
        let mut finding = self.about_paths(&WORLD_WRITABLE, |_, entry| {
            let open = match entry.kind {
                EntryKind::Directory => entry.mode & 0o1002 == 0o002,
                EntryKind::File(_) => entry.mode & 0o002 != 0,
                EntryKind::HardLink(_) | EntryKind::Symlink(_) => false,
            };
            open.then(|| format!("mode {:04o}", entry.mode))
        })?;
        let folder = finding.hits.iter().find(|hit| self.tree.get(&hit.path).is_some_and(Entry::is_directory));
        if let Some(hit) = folder {
            let help = format!("`writable = [\"{}\"]` makes a folder that belongs to the image's user", hit.path);
            finding.helps.push(help);
        }
        Some(finding)
    }

    pub(super) fn capabilities(&self) -> Option<Finding> {
        let mut finding = self.about_paths(&CAPABILITIES, |_, entry| {
            entry.xattrs.iter().any(|(name, _)| name == "security.capability").then(String::new)
        })?;
        let note = "`drop: [ALL]` makes such a program fail to start, and no_new_privs makes its capabilities void";
        finding.notes.push(note.to_owned());
        finding.helps.push("a port above 1023 needs no capability".to_owned());
        Some(finding)
    }

    pub(super) fn unowned(&self) -> Option<Finding> {
        let mut finding = self.about_paths(&UNOWNED, |path, entry| match self.facts.inventory.standing(path) {
            // A rule brings what maintainer scripts make, as the CA bundle, and knows what it is.
            _ if entry.rank == Rank::Generated || is_by_rule(entry) || entry.content().is_none() => None,
            Standing::Unowned if !self.is_compiled_python(path) => Some("no package owns it".to_owned()),
            Standing::Changed(package) => Some(format!("is not what the package {} installed", package.name)),
            _ => None,
        })?;
        if !self.facts.inventory.has_database() {
            finding.notes.push("the root has no package database".to_owned());
        }
        Some(finding)
    }

    /// Whether it is what `py3compile` made from a package's module: `X/__pycache__/NAME.cpython-311.pyc` of
    /// `X/NAME.py`.
    fn is_compiled_python(&self, path: &ImagePath) -> bool {
        let Some(folder) = path.parent().filter(|folder| folder.name() == b"__pycache__") else { return false };
        let Some(stem) = path.name().strip_suffix(b".pyc").and_then(|name| name.split(|&b| b == b'.').next()) else {
            return false;
        };
        let module = folder.parent().map(|folder| folder.join(&[stem, b".py"].concat()));
        module.is_some_and(|module| matches!(self.facts.inventory.standing(&module), Standing::Owned(..)))
    }
}

fn is_by_rule(entry: &Entry) -> bool {
    entry.reasons.first().is_some_and(|reason| matches!(reason.cause, Cause::Rule { .. }))
}
