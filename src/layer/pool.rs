//! A fixed number of buffers, so that memory does not grow with the image.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::codec::Packed;
use super::fill::Raw;

/// What one piece needs while it is on its way.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) raw: Raw,
    pub(super) packed: Packed,
}

/// Buffers that are lent out. Who finds none waits until one comes back: that keeps the readers from running ahead.
pub(super) struct Pool {
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    idle: Vec<Buffers>,
    /// How many more may be made.
    unmade: usize,
    closed: bool,
}

impl Pool {
    pub(super) fn new(count: usize) -> Self {
        let state = State { idle: Vec::new(), unmade: count, closed: false };
        Self { state: Mutex::new(state), returned: Condvar::new() }
    }

    /// Buffers for a piece; `None` when the pool is closed.
    pub(super) fn take(&self) -> Option<Buffers> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.closed {
                return None;
            }
            if let Some(buffers) = state.idle.pop() {
                return Some(buffers);
            }
            if state.unmade > 0 {
                state.unmade -= 1;
                return Some(Buffers::default());
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn give_back(&self, buffers: Buffers) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).idle.push(buffers);
        self.returned.notify_one();
    }

    /// Gives back what several share, when the last one lets go.
    pub(super) fn release(&self, buffers: Arc<Buffers>) {
        if let Some(buffers) = Arc::into_inner(buffers) {
            self.give_back(buffers);
        }
    }

    /// Lends nothing from now on: the work is over or failed.
    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.returned.notify_all();
    }
}
