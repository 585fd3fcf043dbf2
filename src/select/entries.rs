//! `symlinks`, `dirs`, `writable`, `volumes` and `packages`.

use crate::path::ImagePath;
use crate::report::Spanned;
use crate::source::{NodeKind, resolve_parent};
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason};

use super::{Manner, Packages, Selector};

impl Selector<'_> {
    /// Links come first, so that other entries can be written through them.
    pub(super) fn links(&mut self) {
        for link in &self.recipe.symlinks {
            let rank = if link.inherited { Rank::Inherited } else { Rank::Recipe };
            let manner = Manner::new(rank, Cause::Key("symlinks"), link.path.span);
            let place = self.land(&link.path.value);
            self.place_link(place, &link.target.value, &manner);
        }
    }

    pub(super) fn dirs(&mut self) {
        for dir in &self.recipe.dirs {
            let rank = if dir.inherited { Rank::Inherited } else { Rank::Recipe };
            let mut manner = Manner::new(rank, Cause::Key("dirs"), dir.path.span);
            manner.owner = self.owner(dir.owner.as_ref());
            manner.dir_mode = dir.mode.as_ref().map(|mode| mode.value);
            let place = self.land(&dir.path.value);
            self.place_folder(place, &manner);
        }
        for path in &self.recipe.writable {
            self.own_folder(path, "writable");
        }
        for path in &self.recipe.config.volumes {
            self.own_folder(path, "volumes");
        }
    }

    /// A folder of the image's user, unless the recipe says what it is: then only its reason is noted.
    fn own_folder(&mut self, path: &Spanned<ImagePath>, key: &'static str) {
        let place = self.land(&path.value);
        let reason = Reason::new(Cause::Key(key), Some(path.span));
        match self.out.tree.get_mut(&place) {
            Some(there) if there.is_directory() && (there.rank >= Rank::Inherited || key == "volumes") => {
                there.reasons.push(reason);
            }
            Some(there) if there.is_directory() => {
                (there.uid, there.gid) = (self.out.accounts.uid, self.out.accounts.gid);
                there.rank = Rank::Inherited;
                there.reasons.push(reason);
            }
            _ => {
                let mut entry = Entry::new(EntryKind::Directory, 0o755, Rank::Inherited, reason);
                (entry.uid, entry.gid) = (self.out.accounts.uid, self.out.accounts.gid);
                self.place(place, entry);
            }
        }
    }

    /// Whole packages: each path that they own, as it is in the root.
    pub(super) fn packages(&mut self, packages: &Packages) {
        for (name, paths) in packages {
            let mut manner = Manner::new(Rank::Folder, Cause::Package(name.value.clone()), name.span);
            manner.libs = true;
            for path in paths {
                // A path that a package owns and that is gone was taken away on purpose, as documentation is.
                let Ok(found) = resolve_parent(self.root, path.as_bytes()) else { continue };
                for link in &found.links {
                    self.place_link(link.path.clone(), &link.target, &manner);
                }
                match &found.node.kind {
                    NodeKind::File(content) => self.place_file(found.real, &found.node, content, &manner),
                    NodeKind::Symlink(target) => self.place_link(found.real, target, &manner),
                    NodeKind::Directory => self.place_folder(found.real, &manner),
                    NodeKind::Special(_) => {}
                }
            }
        }
    }
}
