//! Writing a layer's blob from its compressed pieces: digest, size and file in one pass.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::fs::Advice;

use super::codec::{GZIP_HEAD, Packed};
use super::watch::{Activity, Watch, watched};
use super::{Durability, Staging};
use crate::cache::Segment;
use crate::oci::{Digest, Sha256};
use crate::recipe::Compression;
use crate::report::{Error, Result};
use crate::threads::outcome;

/// A blob that is being written, under a temporary name.
pub(super) struct BlobWriter {
    file: File,
    path: PathBuf,
    compression: Compression,
    digest: Sha256,
    crc: crc32fast::Hasher,
    /// The size of the tar stream, of which gzip keeps the lower 32 bits.
    unpacked: u64,
    segments: Vec<Segment>,
    /// How many bytes are on their way to the disk, where they are flushed in the end.
    begun: Option<u64>,
}

/// How many bytes are sent on their way to the disk at once.
const EARLY: u64 = 1 << 20;

/// A blob under the name of its digest.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) path: PathBuf,
    /// Its head, pieces and end, as they were written.
    pub(super) segments: Vec<Segment>,
}

/// A blob that is being flushed to the disk: the thread that ended it goes on with what is next.
#[derive(Debug)]
#[must_use]
pub(super) struct Flush {
    waiting: Option<JoinHandle<io::Result<()>>>,
    path: PathBuf,
}

impl Flush {
    /// Begins to flush a file, on a thread that does nothing else; at once where the system has none to give.
    fn begin(file: File, path: &Path) -> Result<Self> {
        let file = Arc::new(file);
        let own = Arc::clone(&file);
        let waiting = std::thread::Builder::new().spawn(move || own.sync_all()).ok();
        let flush = Self { waiting, path: path.to_owned() };
        if flush.waiting.is_none() {
            file.sync_all().map_err(|error| Error::io("flush", path, &error))?;
        }
        Ok(flush)
    }

    /// Waits until the blob is on the disk.
    pub(super) fn wait(self) -> Result<()> {
        let Some(waiting) = self.waiting else { return Ok(()) };
        outcome(waiting.join()).map_err(|error| Error::io("flush", &self.path, &error))
    }
}

impl BlobWriter {
    pub(super) fn create(staging: &Staging, compression: Compression) -> Result<Self> {
        let path = staging.temporary("layer");
        let file = File::create_new(&path).map_err(|error| Error::io("create", &path, &error))?;
        let (digest, crc) = (Sha256::default(), crc32fast::Hasher::new());
        let begun = staging.is_flushed().then_some(0);
        let mut blob = Self { file, path, compression, digest, crc, unpacked: 0, segments: Vec::new(), begun };
        if matches!(compression, Compression::Gzip(_)) {
            blob.write(&GZIP_HEAD, None)?;
        }
        Ok(blob)
    }

    /// Adds a piece as it is.
    pub(super) fn add(&mut self, raw: &[u8], watch: Option<&dyn Watch>) -> Result<()> {
        self.unpacked += raw.len() as u64;
        self.write(raw, watch)
    }

    /// Adds a piece of `size` bytes that was compressed.
    pub(super) fn add_packed(&mut self, size: u64, packed: &Packed, watch: Option<&dyn Watch>) -> Result<()> {
        self.unpacked += size;
        if matches!(self.compression, Compression::Gzip(_)) {
            self.crc.combine(&packed.crc);
        }
        self.write(packed.bytes(), watch)
    }

    fn write(&mut self, bytes: &[u8], watch: Option<&dyn Watch>) -> Result<()> {
        watched(watch, Activity::Hash, || self.digest.update(bytes));
        self.segments.push((u32::try_from(bytes.len()).unwrap_or(u32::MAX), crc32fast::hash(bytes)));
        watched(watch, Activity::Write, || self.file.write_all(bytes)).map_err(|error| self.error("write", &error))?;
        self.hurry(EARLY);
        Ok(())
    }

    /// Has the kernel begin to write what it holds back, once that is so much: who flushes the blob in the end waits
    /// for less.
    fn hurry(&mut self, least: u64) {
        let Some(begun) = self.begun.filter(|begun| self.digest.size() - begun >= least) else { return };
        // What says that it is not wanted in memory begins to be written, on Linux, and stays there until it is. Where
        // it is nothing, nothing is lost.
        let size = NonZeroU64::new(self.digest.size() - begun);
        let _ = rustix::fs::fadvise(&self.file, begun, size, Advice::DontNeed);
        self.begun = Some(self.digest.size());
    }

    fn error(&self, verb: &str, error: &io::Error) -> Error {
        Error::io(verb, &self.path, error)
    }

    /// Ends the blob and gives it its name. Who wants it to last waits for its flush, where there is one.
    pub(super) fn finish(mut self, staging: &Staging, watch: Option<&dyn Watch>) -> Result<(Blob, Option<Flush>)> {
        if matches!(self.compression, Compression::Gzip(_)) {
            let size = u32::try_from(self.unpacked & u64::from(u32::MAX)).unwrap_or(0);
            let crc = self.crc.clone().finalize();
            self.write(&[crc.to_le_bytes(), size.to_le_bytes()].concat(), watch)?;
        }
        self.hurry(1);
        let size = self.digest.size();
        let digest = self.digest.finish();
        let path = staging.blob(digest);
        std::fs::rename(&self.path, &path).map_err(|error| Error::io("rename", &self.path, &error))?;
        let is_durable = staging.blob_durability() == Durability::Synced;
        let flush = if is_durable { Some(Flush::begin(self.file, &path)?) } else { None };
        Ok((Blob { digest, size, path, segments: self.segments }, flush))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_that_has_to_last_is_flushed_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for (durability, flushes) in [(Durability::Synced, true), (Durability::Cached, false)] {
            let staging = Staging::new(folder.path(), "image".as_ref(), durability).unwrap();
            let mut blob = BlobWriter::create(&staging, Compression::None).unwrap();
            blob.add(b"bytes", None).unwrap();
            let (blob, flush) = blob.finish(&staging, None).unwrap();
            assert_eq!(flush.is_some(), flushes);
            flush.map_or(Ok(()), Flush::wait).unwrap();
            assert_eq!(blob.path, staging.blob(Digest::of(b"bytes")));
            assert_eq!(std::fs::read(&blob.path).unwrap(), b"bytes");
        }
    }
}
