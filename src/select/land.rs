//! Where a path of the recipe really is in the image, when folders above it are links.

use crate::path::ImagePath;
use crate::source::NodeKind;
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason};

use super::Selector;

/// Links of the root that an image keeps though the recipe does not name them: those of a merged /usr, and /var's.
/// Other links of a build machine (say, /app to a checkout) say nothing of the image.
const STRUCTURE: [&str; 9] =
    ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libo32", "/var/run", "/var/lock"];

impl Selector<'_> {
    /// The path at which an entry for `path` stands: folders above it that are links, of the recipe or of the
    /// root's structure, are followed, and come along.
    pub(super) fn land(&mut self, path: &ImagePath) -> ImagePath {
        let mut here = ImagePath::root();
        let mut rest: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut budget = 40;
        while let Some(part) = rest.pop() {
            if part == b".." {
                here = here.parent().unwrap_or_else(ImagePath::root);
                continue;
            }
            let next = here.join(&part);
            // The last component is what is written; a link there is replaced, not followed.
            let target = if rest.is_empty() { None } else { self.structure_link(&next) };
            match target {
                Some(target) if budget > 0 => {
                    budget -= 1;
                    if target.first() == Some(&b'/') {
                        here = ImagePath::root();
                    }
                    let parts = target.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".");
                    rest.extend(parts.rev().map(<[u8]>::to_vec));
                }
                _ => here = next,
            }
        }
        here
    }

    /// The text of the link at `path`, if it is one that entries of the recipe are written through.
    fn structure_link(&mut self, path: &ImagePath) -> Option<Vec<u8>> {
        if let Some(entry) = self.out.tree.get(path) {
            return match &entry.kind {
                EntryKind::Symlink(target) => Some(target.clone()),
                _ => None,
            };
        }
        if !STRUCTURE.iter().any(|known| known.as_bytes() == path.as_bytes()) {
            return None;
        }
        let NodeKind::Symlink(target) = self.root.node(path).ok()??.kind else { return None };
        let reason = Reason::new(Cause::Parent, None);
        self.place(path.clone(), Entry::new(EntryKind::Symlink(target.clone()), 0o777, Rank::Parent, reason));
        Some(target)
    }
}
