//! Whole blobs, each under its digest, that outputs take over without writing them again.
//!
//! In: a file that was just written and hashed. Out: the same bytes under another name: blocks that two files share
//! where the file system can, else one more name of the file, else a copy. A file with several names can be changed
//! under any of them; so what `stat` said after the last link is kept beside the checksums of the blob's parts, and
//! where it says something else, the parts are read and checked before the blob is used.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Cache, Key, Stamp};
use crate::oci::Digest;
use crate::threads;

/// The kind of value that says what a blob is made of.
const KIND: &str = "blob";

/// A part of a blob: its size, and its CRC-32.
pub type Segment = (u32, u32);

/// What a blob is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segments(pub Vec<Segment>);

impl Segments {
    /// The size of the blob.
    pub fn size(&self) -> u64 {
        self.0.iter().map(|segment| u64::from(segment.0)).sum()
    }
}

/// What is kept of a blob.
#[derive(Debug, Clone)]
pub(super) struct Record {
    stamp: Stamp,
    /// Whether it was flushed to the disk.
    flushed: bool,
    segments: Segments,
}

/// How much is read at a time to check a part.
const CHUNK: usize = 256 << 10;

impl Cache {
    /// Keeps a file as the blob of a digest. `flushed` says that it is on the disk.
    pub fn keep_blob(&self, digest: &Digest, file: &Path, segments: &Segments, flushed: bool) {
        let path = self.blob_path(digest);
        let keep = || -> io::Result<()> {
            // Over what is there: that was not found to be sound, or another run was just as fast.
            let temporary = self.temporary_name();
            let placed = self.duplicate(file, &temporary, false).and_then(|()| std::fs::rename(&temporary, &path));
            if placed.is_err() {
                let _ = std::fs::remove_file(&temporary);
            }
            placed?;
            let stamp = Stamp::of(&std::fs::metadata(&path)?);
            self.put(KIND, digest.bytes(), &Record { stamp, flushed, segments: segments.clone() }.bytes());
            self.renamed.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
            Ok(())
        };
        // A blob that is not kept is packed again.
        let _ = keep();
    }

    /// Puts a blob at a path where nothing is, with the mode of a new file. Returns its size; `None` when it is not
    /// here or not what it was. `flush` wants it on the disk.
    pub fn bring_blob(&self, digest: &Digest, to: &Path, flush: bool, threads: usize) -> Option<u64> {
        let (file, before, now) = self.sound_blob(digest, flush, threads)?;
        let linked = self.duplicate(&self.blob_path(digest), to, flush);
        if linked.is_err() {
            let _ = std::fs::remove_file(to);
        }
        linked.ok()?;
        let (stamp, size) = (Stamp::of(&file.metadata().ok()?), now.segments.size());
        if stamp != before.stamp || now.flushed != before.flushed {
            self.note(digest, Record { stamp, ..now });
        }
        Some(size)
    }

    /// Does what [`Cache::bring_blob`] does of a blob that `stat` says something else of than the last time, as of one
    /// that was restored: it is read, and flushed where that is wanted. What is done here is not done again there.
    pub fn ready_blob(&self, digest: &Digest, flush: bool, threads: usize) {
        if let Some((_, before, now)) = self.sound_blob(digest, flush, threads)
            && (now.stamp, now.flushed) != (before.stamp, before.flushed)
        {
            self.note(digest, now);
        }
    }

    /// A blob that is what it was, with what was known of it and what is now; `None` when it is not here or something
    /// else.
    fn sound_blob(&self, digest: &Digest, flush: bool, threads: usize) -> Option<(File, Record, Record)> {
        let before = self.record(digest)?;
        let file = self.open_blob(digest)?;
        let stamp = Stamp::of(&file.metadata().ok()?);
        let trusted = stamp == before.stamp;
        if !trusted && !is_sound(&file, &before.segments, threads) {
            drop(file);
            let _ = std::fs::remove_file(self.blob_path(digest));
            return None;
        }
        let flushed = before.flushed && trusted || flush && file.sync_all().is_ok();
        let now = Record { stamp, flushed, segments: before.segments.clone() };
        Some((file, before, now))
    }

    /// Whether a file that is the blob of a digest by another name was changed under one of its names. A file that only
    /// got or lost a name is read once.
    pub fn is_spoilt(&self, digest: &Digest, path: &Path, threads: usize) -> bool {
        let Some(record) = self.record(digest) else { return false };
        let Ok(file) = File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(path) else { return false };
        let Ok(stamp) = file.metadata().map(|found| Stamp::of(&found)) else { return false };
        let is_same_file = (stamp.device, stamp.inode) == (record.stamp.device, record.stamp.inode);
        if !is_same_file || stamp == record.stamp {
            return false;
        }
        let is_sound = is_sound(&file, &record.segments, threads);
        if is_sound {
            self.note(digest, Record { stamp, flushed: false, segments: record.segments });
        }
        !is_sound
    }

    fn record(&self, digest: &Digest) -> Option<Record> {
        if let Some(known) = self.renamed.lock().unwrap_or_else(PoisonError::into_inner).get(digest) {
            return Some(known.clone());
        }
        Record::parse(&self.get(KIND, digest.bytes())?)
    }

    /// Remembers what `stat` says of a blob now.
    fn note(&self, digest: &Digest, record: Record) {
        self.renamed.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest, record);
    }

    /// Writes down what `stat` says of blobs after their last new name.
    pub(super) fn keep_renamed(&self) {
        let renamed = std::mem::take(&mut *self.renamed.lock().unwrap_or_else(PoisonError::into_inner));
        for (digest, record) in renamed {
            self.put(KIND, digest.bytes(), &record.bytes());
        }
    }

    /// The parts that a blob was written in.
    pub fn segments(&self, digest: &Digest) -> Option<Segments> {
        self.record(digest).map(|record| record.segments)
    }

    /// Opens a blob, to read pieces of it that are checked one by one.
    pub fn open_blob(&self, digest: &Digest) -> Option<File> {
        let path = self.blob_path(digest);
        let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(&path).ok()?;
        let found = file.metadata().ok()?;
        if found.is_file() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o002 == 0 {
            return Some(file);
        }
        // An output that shares the file was given to somebody else, who may have written anything to it.
        let _ = std::fs::remove_file(&path);
        None
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(digest.hex())
    }

    /// A name in the cache's folder that nobody has.
    fn temporary_name(&self) -> PathBuf {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.temporary().join(format!("blob-{}-{number}-{}-{}", std::process::id(), self.now.0, self.now.1))
    }

    /// Makes `to` hold the bytes of `from`.
    fn duplicate(&self, from: &Path, to: &Path, flush: bool) -> io::Result<()> {
        if !self.no_reflinks.load(Ordering::Relaxed) {
            let (source, target) = (File::open(from)?, File::create_new(to)?);
            if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
                return if flush { target.sync_all() } else { Ok(()) };
            }
            self.no_reflinks.store(true, Ordering::Relaxed);
            drop(target);
            std::fs::remove_file(to)?;
        }
        // A new name shows the old owner and mode, so that both must be what a new file would have.
        let found = std::fs::metadata(from)?;
        let folder = std::fs::metadata(to.parent().unwrap_or(to))?;
        let is_own = found.uid() == rustix::process::geteuid().as_raw();
        let in_cache = to.starts_with(&self.folder);
        if is_own && (in_cache || found.mode() & 0o666 == folder.mode() & 0o666) && std::fs::hard_link(from, to).is_ok()
        {
            return Ok(());
        }
        let (mut source, mut target) = (File::open(from)?, File::create_new(to)?);
        io::copy(&mut source, &mut target)?;
        if flush { target.sync_all() } else { Ok(()) }
    }
}

/// Reads a blob and checks its parts.
fn is_sound(file: &File, segments: &Segments, threads: usize) -> bool {
    if !file.metadata().is_ok_and(|found| found.len() == segments.size()) {
        return false;
    }
    let starts = segments.0.iter().scan(0u64, |at, segment| {
        let start = *at;
        *at += u64::from(segment.0);
        Some(start)
    });
    let parts: Vec<(u64, Segment)> = starts.zip(segments.0.iter().copied()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0; CHUNK];
        loop {
            let Some((start, segment)) = parts.get(next.fetch_add(1, Ordering::Relaxed)) else { return true };
            if !is_part_sound(file, *start, *segment, &mut buffer) {
                return false;
            }
        }
    };
    // Less than a few megabytes are read before a thread has begun.
    if threads < 2 || segments.size() < 4 << 20 {
        return work();
    }
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| threads::beside(scope, work)).collect();
        let own = work();
        others.into_iter().all(threads::Beside::outcome) && own
    })
}

fn is_part_sound(file: &File, start: u64, (size, expected): Segment, buffer: &mut [u8]) -> bool {
    let mut crc = crc32fast::Hasher::new();
    let mut done = 0;
    while done < size as usize {
        let want = buffer.len().min(size as usize - done);
        match file.read_at(&mut buffer[..want], start + done as u64) {
            Ok(0) => return false,
            Ok(count) => {
                crc.update(&buffer[..count]);
                done += count;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    crc.finalize() == expected
}

impl Record {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.stamp.bytes().to_vec();
        bytes.push(u8::from(self.flushed));
        for (size, crc) in &self.segments.0 {
            bytes.extend(size.to_le_bytes());
            bytes.extend(crc.to_le_bytes());
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (stamp, rest) = bytes.split_first_chunk::<48>()?;
        let (flushed, rest) = rest.split_first()?;
        let (parts, rest) = rest.as_chunks::<8>();
        rest.is_empty().then_some(())?;
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        let segments = parts.iter().map(|part| (number(&part[..4]), number(&part[4..]))).collect();
        Some(Self { stamp: Stamp::parse(stamp), flushed: *flushed == 1, segments: Segments(segments) })
    }
}

/// The digest that a file of the cache's blobs is named after.
pub(super) fn digest_of(name: &str) -> Option<Digest> {
    format!("sha256:{name}").parse().ok()
}

/// The value that stands for a blob.
pub(super) fn value_of(cache: &Cache, key: &Key) -> PathBuf {
    cache.value_path(KIND, key)
}
