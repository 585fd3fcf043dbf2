//! Telling somebody who has a clock what the threads that pack are doing. Nobody listens unless asked to.

use std::fmt::Debug;
use std::time::Duration;

/// What a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Activity {
    /// Reading files, or pieces out of the cache.
    Read,
    /// Hashing tar streams, pieces, files and blobs.
    Hash,
    /// Writing tar records around what was read.
    Tar,
    /// Compressing.
    Compress,
    /// Writing blobs, and waiting until they are on the disk.
    Write,
}

/// Somebody with a clock.
pub trait Watch: Debug + Send + Sync {
    /// The time since the run began.
    fn now(&self) -> Duration;

    /// This thread did something from one time to another.
    fn did(&self, what: Activity, from: Duration, to: Duration);
}

/// Does some work, and tells of it.
pub(super) fn watched<T>(watch: Option<&dyn Watch>, what: Activity, work: impl FnOnce() -> T) -> T {
    let Some(watch) = watch else { return work() };
    let from = watch.now();
    let done = work();
    watch.did(what, from, watch.now());
    done
}
