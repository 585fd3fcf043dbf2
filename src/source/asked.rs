//! What was asked of a file beside its kind, mode, owner and size: whether its bytes count, and which of its times.
//!
//! A file that is another one by what `stat` says, as after a checkout, is the same for a build when the answers to
//! these are. Packing asks nothing here: what it takes is held against the pieces that it packed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::cache::Key;
use crate::path::ImagePath;

/// What was asked of one file.
#[derive(Debug, Default)]
pub(super) struct Asked {
    read: AtomicBool,
    hash: OnceLock<Key>,
    facts: Mutex<Facts>,
}

/// What else was asked.
#[derive(Debug, Default, Clone)]
pub(super) struct Facts {
    /// Its modification time, in whole seconds.
    pub(super) time: bool,
    /// Whether it changed after some other files of the same folder.
    pub(super) after: BTreeMap<ImagePath, bool>,
    /// Extended attributes, by name.
    pub(super) attributes: BTreeSet<String>,
    /// Something that can't be asked again: no other file will do.
    pub(super) bound: bool,
}

impl Asked {
    /// Notes that its bytes count.
    pub(super) fn note_read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }

    /// Notes the bytes that were read, all of them.
    pub(super) fn note_bytes(&self, bytes: &[u8]) {
        self.hash.get_or_init(|| crate::cache::key_of(bytes));
    }

    /// Notes the hash of its bytes.
    pub(super) fn note_hash(&self, hash: Key) {
        self.hash.get_or_init(|| hash);
    }

    /// Whether its bytes count.
    pub(super) fn is_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    /// The hash of its bytes, where it was made.
    pub(super) fn hash(&self) -> Option<Key> {
        self.hash.get().copied()
    }

    /// What else was asked, to add to it.
    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
