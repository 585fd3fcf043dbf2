//! Taking items in order from threads that finish them in any order.
//!
//! Whoever brings an item also takes it, and those after it, as far as they are there: no thread of its own, and no
//! thread waits.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// A sink that gets items by their index, from 0 on.
pub(super) struct Ordered<T, S> {
    waiting: Mutex<Waiting<T>>,
    sink: Mutex<S>,
}

struct Waiting<T> {
    /// The index of the first of `items`.
    first: usize,
    items: VecDeque<Option<T>>,
}

impl<T, S> Ordered<T, S> {
    pub(super) fn new(sink: S) -> Self {
        Self { waiting: Mutex::new(Waiting { first: 0, items: VecDeque::new() }), sink: Mutex::new(sink) }
    }

    /// Brings an item. `take` gets what is in order; it runs on one thread at a time.
    pub(super) fn bring(&self, index: usize, item: T, mut take: impl FnMut(&mut S, T)) {
        lock(&self.waiting).put(index, item);
        loop {
            let mut sink = match self.sink.try_lock() {
                Ok(sink) => sink,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                // Who holds it looks again after letting go.
                Err(TryLockError::WouldBlock) => return,
            };
            while let Some(item) = { lock(&self.waiting).next() } {
                take(&mut sink, item);
            }
            drop(sink);
            if !lock(&self.waiting).is_ready() {
                return;
            }
        }
    }

    /// The sink, after all.
    pub(super) fn finish(self) -> S {
        self.sink.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Waiting<T> {
    fn put(&mut self, index: usize, item: T) {
        let at = index - self.first;
        if self.items.len() <= at {
            self.items.resize_with(at + 1, || None);
        }
        self.items[at] = Some(item);
    }

    fn is_ready(&self) -> bool {
        self.items.front().is_some_and(Option::is_some)
    }

    fn next(&mut self) -> Option<T> {
        let item = self.items.front_mut()?.take()?;
        self.items.pop_front();
        self.first += 1;
        Some(item)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_for_any_order_of_bringing() {
        let ordered = Ordered::new(Vec::new());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let ordered = &ordered;
                scope.spawn(move || {
                    for index in (thread..1000).step_by(4) {
                        ordered.bring(index, index, Vec::push);
                    }
                });
            }
        });
        assert_eq!(ordered.finish(), (0..1000).collect::<Vec<_>>());
    }
}
