//! Many recipes: worked on by several threads, taken in order.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Does `work` for each item on several threads, and gives what comes of it to `take` on this one, in the order of the
/// items: all that is done by then at once. No more than sixteen times as many items as threads are under way: memory
/// does not grow with their number.
pub fn in_order<I: Sync, T: Send>(
    items: &[I],
    threads: NonZeroUsize,
    work: impl Fn(&I) -> T + Sync,
    mut take: impl FnMut(Vec<(&I, T)>),
) {
    let share = threads.get() / items.len().clamp(1, threads.get());
    let threads = threads.get().min(items.len());
    if threads <= 1 {
        for item in items {
            take(vec![(item, work(item))]);
        }
        return;
    }
    let line = Line { state: Mutex::new(State::default()), moved: Condvar::new(), most: AHEAD * threads };
    std::thread::scope(|scope| {
        let _guard = Closing(&line);
        let work_on = || {
            let _guard = Closing(&line);
            let _pool = own_pool(share);
            while let Some(number) = line.begin(items.len()) {
                line.bring(number, work(&items[number]));
            }
        };
        let begun = (0..threads).filter(|_| std::thread::Builder::new().spawn_scoped(scope, work_on).is_ok()).count();
        let mut rest = items.iter();
        if begun == 0 {
            // The system has no thread to give.
            return rest.for_each(|item| take(vec![(item, work(item))]));
        }
        while !rest.as_slice().is_empty() {
            let Some(done) = line.fetch() else { return };
            take(rest.by_ref().zip(done).collect());
        }
    });
}

/// Gives this thread a pool of its own with its share of the threads, so that what is done in parallel for its items
/// does not queue behind the small parts of all others. Without one, it does.
fn own_pool(share: usize) -> Option<ThreadPool> {
    ThreadPoolBuilder::new().num_threads(share).use_current_thread().build().ok()
}

/// How many items may be under way for each thread: done, so that several are taken at once, or being done.
const AHEAD: usize = 16;

/// Items on their way.
struct Line<T> {
    state: Mutex<State<T>>,
    moved: Condvar,
    most: usize,
}

struct State<T> {
    begun: usize,
    taken: usize,
    done: BTreeMap<usize, T>,
    /// Someone panicked: nobody waits any longer, and the scope passes the panic on.
    closed: bool,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self { begun: 0, taken: 0, done: BTreeMap::new(), closed: false }
    }
}

impl<T> Line<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next item to begin with, once there is room for it.
    fn begin(&self, items: usize) -> Option<usize> {
        let full =
            |state: &mut State<T>| !state.closed && state.begun < items && state.begun - state.taken >= self.most;
        let mut state = self.moved.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if state.closed || state.begun == items {
            return None;
        }
        state.begun += 1;
        Some(state.begun - 1)
    }

    fn bring(&self, number: usize, done: T) {
        self.lock().done.insert(number, done);
        self.moved.notify_all();
    }

    /// What came of the next item, once it is there, and of those behind it that are there, too.
    fn fetch(&self) -> Option<Vec<T>> {
        let absent = |state: &mut State<T>| !state.closed && !state.done.contains_key(&state.taken);
        let mut state = self.moved.wait_while(self.lock(), absent).unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        let mut number = state.taken;
        while let Some(done) = state.done.remove(&number) {
            all.push(done);
            number += 1;
        }
        state.taken = number;
        self.moved.notify_all();
        (!all.is_empty()).then_some(all)
    }
}

/// Ends the waiting of all others when a thread panics.
struct Closing<'a, T>(&'a Line<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().closed = true;
            self.0.moved.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn takes_in_order_and_never_runs_far_ahead() {
        let items: Vec<usize> = (0..200).collect();
        for threads in [1, 2, 7] {
            let (ahead, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let work = |item: &usize| {
                most.fetch_max(ahead.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                if item.is_multiple_of(7) {
                    std::thread::yield_now();
                }
                item * 2
            };
            let mut taken = Vec::new();
            in_order(&items, NonZeroUsize::new(threads).unwrap(), work, |done| {
                ahead.fetch_sub(done.len(), Ordering::SeqCst);
                taken.extend(done.iter().map(|(item, done)| (**item, *done)));
            });
            assert_eq!(taken, items.iter().map(|item| (*item, item * 2)).collect::<Vec<_>>());
            assert!(most.into_inner() <= 2 * AHEAD * threads);
        }
    }

    #[test]
    fn a_panic_ends_it() {
        let items: Vec<usize> = (0..50).collect();
        let work = |item: &usize| assert_ne!(*item, 20, "on purpose");
        let all = || in_order(&items, NonZeroUsize::new(3).unwrap(), work, |_| {});
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(all)).is_err());
        let take = |done: Vec<(&usize, ())>| assert!(done.iter().all(|(item, ())| **item != 20), "on purpose");
        let all = || in_order(&items, NonZeroUsize::new(3).unwrap(), |_| (), take);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(all)).is_err());
    }
}
