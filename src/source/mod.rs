//! Where files come from: read-only trees addressed by absolute in-tree paths.
//!
//! In: a folder of this machine (`/` or a sysroot). Out: a [`Source`], which answers what stands at a path,
//! what a folder holds and what a file's bytes are. Nothing outside the folder is ever read, whatever links
//! say; nothing is ever written.

use std::io;

use crate::path::ImagePath;

mod asked;
mod content;
mod contents;
mod host;
mod lines;
pub mod ownership;
mod recording;
mod renewal;
mod resolve;
mod seen;

pub use crate::cache::Stamp;
pub use content::{Content, ContentId, Reader};
pub use contents::{Contents, Reread};
pub use host::Folder;
pub(crate) use lines::{Lines, Writer};
pub use recording::{Notes, Recorder};
pub use renewal::{Renewal, Twins};
pub(crate) use resolve::unreadable;
pub use resolve::{Link, Resolved, Unresolved, find, resolve, resolve_parent};
pub use seen::{Changed, Seen};

/// A read-only tree of files.
pub trait Source: Send + Sync {
    /// What stands at `path` itself, links not followed, in the last component or before it: a path whose
    /// parent is a link is not there. `None` when nothing is.
    ///
    /// # Errors
    /// When it could not be found out, as for want of permission.
    fn node(&self, path: &ImagePath) -> io::Result<Option<Node>>;

    /// The names in the folder at `path` with what stands there, sorted bytewise. Empty when there is no folder.
    ///
    /// # Errors
    /// When the folder is there and could not be read.
    fn list(&self, path: &ImagePath) -> io::Result<Vec<(Vec<u8>, Node)>>;

    /// The names in the folder at `path` that `fits` takes, sorted bytewise, for who does not ask what each of them is.
    /// Empty when there is no folder.
    ///
    /// # Errors
    /// When the folder is there and could not be read.
    fn names(&self, path: &ImagePath, fits: &dyn Fn(&[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
        Ok(self.list(path)?.into_iter().map(|(name, _)| name).filter(|name| fits(name)).collect())
    }

    /// What a person calls this tree, as `/` or `sysroots/bookworm`.
    fn describe(&self) -> String;
}

/// What stands at a path.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its kind, with what only that kind has.
    pub kind: NodeKind,
    /// The twelve permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
}

/// The kinds of things in a tree.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// A regular file.
    File(Content),
    /// A folder.
    Directory,
    /// A symbolic link, with its text as it stands.
    Symlink(Vec<u8>),
    /// A FIFO, socket or device: named, never opened.
    Special(&'static str),
}

impl Node {
    /// Whether it is a folder.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory)
    }

    /// The bytes, when it is a regular file.
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            NodeKind::File(content) => Some(content),
            _ => None,
        }
    }

    /// `file`, `folder`, `link`, `FIFO`, for messages.
    pub fn noun(&self) -> &'static str {
        match self.kind {
            NodeKind::File(_) => "file",
            NodeKind::Directory => "folder",
            NodeKind::Symlink(_) => "link",
            NodeKind::Special(what) => what,
        }
    }
}
