//! Threads that somebody waits for: threads of their own, beside rayon's, for what waits or holds a lock.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};

/// What a thread came to that was waited for; where it panicked, the caller does, with the same words.
pub fn outcome<T>(ended: thread::Result<T>) -> T {
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Work that a thread of its own does, or that the caller did.
pub struct Beside<'scope, T>(Doer<'scope, T>);

enum Doer<'scope, T> {
    Thread(ScopedJoinHandle<'scope, Option<T>>),
    Caller(Option<T>),
}

/// Has a thread of its own do some work; the caller, at once, where the system has no thread to give. So the work must
/// wait for nothing that comes later.
pub fn beside<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Beside<'scope, T> {
    let work = Arc::new(Mutex::new(Some(work)));
    let own = Arc::clone(&work);
    match thread::Builder::new().spawn_scoped(scope, move || once(&own)) {
        Ok(thread) => Beside(Doer::Thread(thread)),
        Err(_) => Beside(Doer::Caller(once(&work))),
    }
}

fn once<T, F: FnOnce() -> T>(work: &Mutex<Option<F>>) -> Option<T> {
    let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
    work.map(|work| work())
}

impl<T> Beside<'_, T> {
    /// What it came to.
    ///
    /// # Panics
    /// When the work did.
    pub fn outcome(self) -> T {
        let done = match self.0 {
            Doer::Thread(thread) => outcome(thread.join()),
            Doer::Caller(done) => done,
        };
        done.expect("work that was done once")
    }
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
