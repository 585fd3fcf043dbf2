//! The spellings of a path: dpkg's lists say `/lib/x`, and where `/lib` is a link to `usr/lib` the file is
//! `/usr/lib/x`.

use std::collections::BTreeMap;

use crate::path::ImagePath;
use crate::report::Result;
use crate::source::{NodeKind, Source, resolve, unreadable};

/// The links that lists spell paths through. dpkg writes a path as the package has it, whatever links the root has
/// on the way; in practice these stand in `/` (merged `/usr`), `/usr` and `/var` (`/var/run`).
#[derive(Debug, Default)]
pub(super) struct Spelling {
    /// Link and the folder that it leads to; both real, with leading `/` and none at the end.
    links: Vec<(Vec<u8>, Vec<u8>)>,
}

/// More links than this to folders, in the three folders, and the root is not one that dpkg made.
const MOST_LINKS: usize = 64;

impl Spelling {
    /// Looks for the links.
    pub(super) fn of(source: &dyn Source) -> Result<Self> {
        let mut links = BTreeMap::new();
        for folder in ["/", "/usr", "/var"] {
            let Ok(folder) = ImagePath::new(folder) else { continue };
            for (name, node) in source.list(&folder).map_err(|error| unreadable(source, &folder, &error))? {
                let NodeKind::Symlink(_) = node.kind else { continue };
                let link = folder.join(&name);
                if let Ok(found) = resolve(source, link.as_bytes())
                    && found.node.is_directory()
                    && !found.real.is_root()
                {
                    links.insert(link.as_bytes().to_vec(), found.real.as_bytes().to_vec());
                }
            }
        }
        Ok(Self { links: links.into_iter().take(MOST_LINKS).collect() })
    }

    /// A path of a list as the root has it.
    pub(super) fn real(&self, path: &[u8]) -> Vec<u8> {
        for (link, folder) in &self.links {
            if let Some(rest) = path.strip_prefix(link.as_slice())
                && rest.starts_with(b"/")
            {
                return [folder, rest].concat();
            }
        }
        path.to_vec()
    }

    /// Every way to spell a path of the root, itself first.
    pub(super) fn all(&self, real: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let through = self.links.iter().filter_map(|(link, folder)| {
            let rest = real.strip_prefix(folder.as_slice()).filter(|rest| rest.starts_with(b"/"))?;
            Some([link, rest].concat())
        });
        std::iter::once(real.to_vec()).chain(through)
    }
}
