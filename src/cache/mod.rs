//! What earlier runs found out, kept in a folder: small values by key, layers' blobs by digest, facts about files by
//! what `stat` says of them.
//!
//! In: keys that name all that a value depends on. Out: the value, or nothing. Whatever is wrong with the folder (a
//! full disk, a value that a killed run or a bad disk broke, another process that prunes) means that nothing is found:
//! a slower build, never an error and never another byte of output. Each value carries a checksum, is checked when it
//! is used, and appears whole under its name or not at all. Nothing here knows what the values mean.

use crate::oci::{Digest, Hashes};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use crate::report::{Code, plain};

mod blobs;
mod keep;
mod log;
mod stamp;

pub use blobs::{Segment, Segments};
pub use keep::{Damage, Keep, Pruned, Usage};
pub use stamp::{Stamp, Time};

use blobs::Record;
use log::Log;

/// The cache folder is not used: it is not safe, or can't be made.
pub const NOT_USED: Code = Code("E0500");

/// A layer cache in a registry can't be used, or has an entry that is no good.
pub const REMOTE_NOT_USED: Code = Code("E0501");

/// What a value is found by: a BLAKE3 hash of all that it depends on.
pub type Key = [u8; 32];

/// The folder inside the cache's for what this version can read. Another layout gets another number.
const VERSION: &str = "v1";

/// How many bytes of a value's file are its checksum.
const CHECK: usize = 16;

/// The size of a record that lives as long as a blob: it begins with the blob's digest, and the rest is the caller's.
pub const PLACE: usize = 64;

/// An open cache. Cheap to share between threads.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    now: Time,
    facts: Log<32>,
    places: Log<PLACE>,
    /// Of blobs that got another name in this run: written down at its end. A run that is killed before only means that
    /// they are read once more.
    renamed: Mutex<BTreeMap<Digest, Record>>,
    /// Whether the file system shares blocks between files; unknown ones are asked once.
    no_reflinks: AtomicBool,
}

/// Why a folder is not used as a cache.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Somebody else could have put values into it.
    #[error("it belongs to another user")]
    Foreign,
    /// Anybody in its group, or anybody at all, could put values into it.
    #[error("others may write to it")]
    Open,
    /// It can't be made or read.
    #[error("it can't be used: {}", plain(.0))]
    Io(#[from] io::Error),
}

/// Makes the key of a value from what it depends on.
#[derive(Debug, Clone)]
pub struct KeyMaker {
    hasher: blake3::Hasher,
    /// What is not hashed yet: many small parts at once take a fraction of the time that they take one by one.
    waiting: Vec<u8>,
}

/// How much waits to be hashed at most. From 16 KiB on BLAKE3 has all lanes of a processor's vectors to do.
const MOST_WAITING: usize = 32 << 10;

impl KeyMaker {
    /// Begins a key. `domain` keeps keys of different things apart.
    pub fn new(domain: &str) -> Self {
        Self { hasher: blake3::Hasher::new(), waiting: Vec::new() }.with(domain.as_bytes())
    }

    /// Adds bytes, and where they end.
    #[must_use]
    pub fn with(mut self, bytes: &[u8]) -> Self {
        self.put(bytes);
        self
    }

    /// Adds bytes, and where they end.
    pub fn put(&mut self, bytes: &[u8]) {
        self.add(&(bytes.len() as u64).to_le_bytes());
        self.add(bytes);
    }

    /// Adds what `stat` says of a file.
    pub fn put_stamp(&mut self, stamp: &Stamp) {
        self.add(&stamp.bytes());
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.waiting.len() + bytes.len() > MOST_WAITING {
            self.hasher.update(&self.waiting);
            self.waiting.clear();
        }
        if bytes.len() > MOST_WAITING {
            self.hasher.update(bytes);
        } else {
            self.waiting.extend_from_slice(bytes);
        }
    }

    /// The key.
    pub fn finish(mut self) -> Key {
        *self.hasher.update(&self.waiting).finalize().as_bytes()
    }
}

/// The key of bytes themselves.
pub fn key_of(bytes: &[u8]) -> Key {
    *blake3::hash(bytes).as_bytes()
}

/// Makes [`key_of`] of bytes that come in parts.
#[derive(Debug, Default)]
pub struct ContentKey(blake3::Hasher);

impl ContentKey {
    /// Adds the next part.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The key of all parts.
    pub fn finish(&self) -> Key {
        *self.0.finalize().as_bytes()
    }
}

impl Cache {
    /// Opens a cache folder, and makes it where it is not there. `now` is the time by the clock: a file that changed at
    /// that time or later may change once more without another time stamp, and is not known by it.
    ///
    /// # Errors
    /// When the folder can't be used, or somebody else could have put values into it.
    pub fn open(folder: &Path, now: Time) -> Result<Self, Refused> {
        let private = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
        private(folder)?;
        check_owner(folder)?;
        let versioned = folder.join(VERSION);
        for part in ["values", "blobs", "tmp"] {
            let path = versioned.join(part);
            if !path.is_dir() {
                private(&path)?;
            }
        }
        check_owner(&versioned)?;
        let tag = folder.join("CACHEDIR.TAG");
        if !tag.exists() {
            // For programs that make backups; who can't write it can't write the cache either.
            let _ = std::fs::write(&tag, "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of mkimage.\n");
        }
        Ok(Self {
            facts: Log::new(versioned.join("facts")),
            places: Log::new(versioned.join("places")),
            renamed: Mutex::default(),
            folder: versioned,
            now,
            no_reflinks: AtomicBool::new(false),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// A value. `kind` is a word for what it is, of letters and `-`.
    pub fn get(&self, kind: &str, key: &Key) -> Option<Vec<u8>> {
        let path = self.value_path(kind, key);
        let mut file = File::open(&path).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let value = bytes.split_off(CHECK.min(bytes.len()));
        if bytes != check(kind, key, &value) {
            // It can only be in the way.
            let _ = std::fs::remove_file(&path);
            return None;
        }
        used(&file);
        Some(value)
    }

    /// Notes that a value was used by somebody who did not have to read it.
    pub fn touch(&self, kind: &str, key: &Key) {
        if let Ok(file) = File::open(self.value_path(kind, key)) {
            used(&file);
        }
    }

    /// Keeps a value, in place of what was there.
    pub fn put(&self, kind: &str, key: &Key, value: &[u8]) {
        let path = self.value_path(kind, key);
        let bytes = [&check(kind, key, value)[..], value].concat();
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(self.temporary())?;
            file.write_all(&bytes)?;
            match file.persist(&path) {
                Err(error) if error.error.kind() == io::ErrorKind::NotFound => {
                    DirBuilder::new().recursive(true).mode(0o700).create(self.folder.join("values").join(kind))?;
                    error.file.persist(&path)?;
                }
                result => drop(result?),
            }
            Ok(())
        };
        // A value that is not kept is made again.
        let _ = write();
    }

    /// A fact: 32 bytes that follow from what the key names. Facts are many and small, and lie together.
    pub fn fact(&self, key: &Key) -> Option<Key> {
        self.facts.get(key)
    }

    /// Keeps a fact, from the next [`Cache::flush`] on for other processes.
    pub fn keep_fact(&self, key: &Key, fact: &Key) {
        self.facts.put(key, fact);
    }

    /// Where a piece of a blob is, or what else is kept as long as a blob is.
    pub fn place(&self, key: &Key) -> Option<[u8; PLACE]> {
        self.places.get(key)
    }

    /// Keeps the place of a piece, as [`Cache::keep_fact`].
    pub fn keep_place(&self, key: &Key, place: &[u8; PLACE]) {
        self.places.put(key, place);
    }

    /// The SHA-256 digest of a file of which `stat` says this.
    pub fn file_digest(&self, stamp: &Stamp) -> Option<Digest> {
        self.fact(&file_key(SHA256, stamp)).map(Digest::from_bytes)
    }

    /// Keeps the SHA-256 digest of a file, unless it changed so lately that it may change again unseen.
    pub fn keep_file_digest(&self, stamp: &Stamp, digest: Digest) {
        if self.is_settled(stamp) {
            self.keep_fact(&file_key(SHA256, stamp), digest.bytes());
        }
    }

    /// All hashes of a file, as [`Cache::file_digest`].
    pub fn file_hashes(&self, stamp: &Stamp) -> Option<Hashes> {
        let sha1 = self.fact(&file_key(SHA1, stamp))?;
        Some(Hashes { sha256: self.file_digest(stamp)?, sha1: *sha1.first_chunk()? })
    }

    /// Keeps all hashes of a file, as [`Cache::keep_file_digest`].
    pub fn keep_file_hashes(&self, stamp: &Stamp, hashes: &Hashes) {
        if self.is_settled(stamp) {
            self.keep_fact(&file_key(SHA256, stamp), hashes.sha256.bytes());
            // A fact has 32 bytes, SHA-1 has 20.
            let mut padded = [0; 32];
            padded[..20].copy_from_slice(&hashes.sha1);
            self.keep_fact(&file_key(SHA1, stamp), &padded);
        }
    }

    /// Whether any later change of the file would show in its time stamps: it did not change at the time of this run or
    /// just before (git calls other ones racy).
    pub fn is_settled(&self, stamp: &Stamp) -> bool {
        stamp.is_before(self.now)
    }

    /// Writes down facts and places; also done when the cache goes.
    pub fn flush(&self) {
        self.facts.flush();
        self.places.flush();
    }

    fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    fn value_path(&self, kind: &str, key: &Key) -> PathBuf {
        let mut path = self.folder.join("values");
        path.push(kind);
        path.push(hex(key));
        path
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.flush();
        self.keep_renamed();
    }
}

/// What is known of a file, in the keys of facts.
const SHA256: &str = "file";
const SHA1: &str = "file sha1";

fn file_key(hash: &str, stamp: &Stamp) -> Key {
    let mut key = KeyMaker::new(hash);
    key.put_stamp(stamp);
    key.finish()
}

fn check(kind: &str, key: &Key, value: &[u8]) -> [u8; CHECK] {
    let full = KeyMaker::new(kind).with(key).with(value).finish();
    let mut check = [0; CHECK];
    check.copy_from_slice(&full[..CHECK]);
    check
}

/// Notes by its time that a file of the cache was used: what was not for the longest time goes first.
fn used(file: &File) {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let _ = rustix::fs::futimens(file, &Timestamps { last_access: omit, last_modification: now });
}

fn check_owner(folder: &Path) -> Result<(), Refused> {
    let found = std::fs::metadata(folder)?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(Refused::Foreign);
    }
    // Members of the user's own group are a matter of many a umask, and of trust.
    if found.mode() & 0o002 != 0 { Err(Refused::Open) } else { Ok(()) }
}

/// The key of [`hex`].
pub fn key_of_hex(text: &str) -> Option<Key> {
    Some(*blake3::Hash::from_hex(text).ok()?.as_bytes())
}

/// A key in hexadecimal, as names of files and tags have it.
pub fn hex(key: &Key) -> String {
    blake3::Hash::from_bytes(*key).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_hash_of_its_parts_whatever_their_sizes() {
        let most = MOST_WAITING;
        for sizes in
            [vec![], vec![0], vec![1; 9], vec![most - 20, 3, 17, 1], vec![most, 1, most + 1, 1], vec![700; 300]]
        {
            let (mut key, mut all) = (KeyMaker::new("domain"), 6u64.to_le_bytes().to_vec());
            all.extend(b"domain");
            for (number, size) in sizes.iter().enumerate() {
                let part = vec![u8::try_from(number % 251).unwrap(); *size];
                key.put(&part);
                all.extend((part.len() as u64).to_le_bytes());
                all.extend(part);
            }
            assert_eq!(key.finish(), key_of(&all), "{sizes:?}");
        }
    }
}
