//! A folder of blobs that nobody else looks at, until the output takes them over.

use std::path::{Path, PathBuf};

use crate::report::Result;

/// Whether what is written must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Files and folders are flushed to the disk before they get their final names.
    #[default]
    Synced,
    /// The operating system writes when it likes: for tests and throw-away machines.
    Cached,
}

/// A private temporary folder, removed when dropped. Its name is `.NAME.tmp.PID.RANDOM`, and it is locked while its
/// maker lives: what a killed run left behind is removed by the next one for the same output.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    durability: Durability,
}

impl Staging {
    /// Makes one in a folder, for an output called `name`; removes those of dead processes for the same output.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new(_folder: &Path, _name: &std::ffi::OsStr, _durability: Durability) -> Result<Self> {
        todo!()
    }

    /// Where it is: to be removed when the process is told to stop.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether what is written must survive a power cut.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Takes over blobs of another one, by link where the file system can.
    ///
    /// # Errors
    /// When a blob can't be read or written.
    pub fn adopt(&self, _layers: &[super::Layer]) -> Result<Vec<super::Layer>> {
        todo!()
    }
}
