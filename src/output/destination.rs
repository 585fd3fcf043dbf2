//! The words of `-o`: what kind of output, and where.

use std::fmt;
use std::path::PathBuf;

use crate::recipe::Compression;
use crate::report::Result;

/// Where an image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// An OCI layout: `DIR`, `oci:DIR[:TAG]`.
    Layout {
        /// The folder.
        path: PathBuf,
        /// The name of the entry; the image's first tag when absent.
        tag: Option<String>,
    },
    /// One archive that every engine reads: `FILE.tar`, `oci-archive:FILE[:TAG]`.
    Archive {
        /// The file.
        path: PathBuf,
        /// The name of the entry; the image's first tag when absent.
        tag: Option<String>,
    },
    /// An archive in the form of `docker save`: `docker-archive:FILE`.
    DockerArchive(PathBuf),
    /// A folder of files: `rootfs:DIR`.
    Rootfs(PathBuf),
    /// The archive that every engine reads, to standard output: `-`.
    Stdout,
}

impl Destination {
    /// Reads the words of `-o`.
    ///
    /// # Errors
    /// When they name no kind of output of this version.
    pub fn parse(_text: &str) -> Result<Self> {
        todo!()
    }

    /// The compression of its layers: what was asked for where its readers can read it, else its own default.
    pub fn compression(&self, _asked: Option<Compression>) -> Compression {
        todo!()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
