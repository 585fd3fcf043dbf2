//! Threads that somebody waits for: threads of their own, beside rayon's, for what waits or holds a lock.

use std::thread;

/// What a thread came to that was waited for; where it panicked, the caller does, with the same words.
pub fn outcome<T>(ended: thread::Result<T>) -> T {
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Has so many threads do some work: this one, and others that are new, fewer where the system has no more to give.
pub fn all_do(threads: usize, work: &(impl Fn() + Sync)) {
    thread::scope(|scope| {
        for _ in 1..threads {
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
}
