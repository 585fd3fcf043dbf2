//! Buffers for pieces on their way, of which there are only so many bytes: memory does not grow with the image.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::codec::Packed;
use super::fill::Raw;

/// How many bytes of pieces may be on their way for each thread. Pieces are written in order: while one thread is at a
/// large one, the others go on with what follows, and must not run out of room before it is done.
const ROOM: usize = 3 << 20;

/// What one piece needs while it is on its way.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) raw: Raw,
    pub(super) packed: Packed,
    /// The size of the piece that they were lent for.
    size: usize,
}

/// Pieces to be done, in order, each with buffers that are lent out. Who finds no room waits until some comes back: that
/// keeps the readers from running ahead.
pub(super) struct Pool {
    state: Mutex<State>,
    returned: Condvar,
    room: usize,
}

struct State {
    /// The piece that is begun next.
    next: usize,
    idle: Vec<Buffers>,
    /// Bytes of the pieces on their way.
    lent: usize,
    closed: bool,
}

impl Pool {
    pub(super) fn new(threads: usize) -> Self {
        let state = State { next: 0, idle: Vec::new(), lent: 0, closed: false };
        Self { state: Mutex::new(state), returned: Condvar::new(), room: threads.saturating_mul(ROOM) }
    }

    /// The next piece, with buffers for it; `None` after the last one, which has no size, and when the pool is closed. A
    /// piece is lent room before those behind it, and one always has some: none waits for ever.
    pub(super) fn take(&self, size_of: impl Fn(usize) -> Option<usize>) -> Option<(usize, Buffers)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let piece = state.next;
            let size = size_of(piece).filter(|_| !state.closed)?;
            if state.lent == 0 || state.lent + size <= self.room {
                state.next += 1;
                state.lent += size;
                let buffers = state.fitting(size);
                return Some((piece, Buffers { size, ..buffers }));
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn give_back(&self, buffers: Buffers) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lent -= buffers.size;
        let idle: usize = state.idle.iter().map(|buffers| buffers.raw.room()).sum();
        if state.lent + idle + buffers.raw.room() <= self.room {
            state.idle.push(buffers);
        }
        self.returned.notify_all();
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

impl State {
    /// Idle buffers: the smallest with room for so many bytes, or else the largest, which grow.
    fn fitting(&mut self, size: usize) -> Buffers {
        let by_fit = |buffers: &Buffers| {
            let room = buffers.raw.room();
            if room >= size { (0, room) } else { (1, usize::MAX - room) }
        };
        let best = (0..self.idle.len()).min_by_key(|&index| by_fit(&self.idle[index]));
        best.map(|index| self.idle.swap_remove(index)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_bounds_what_is_on_its_way_and_a_piece_larger_than_it_goes_alone() {
        let sizes = [ROOM / 2, ROOM / 2, 10, 2 * ROOM, 1];
        let size_of = |piece: usize| sizes.get(piece).copied();
        let pool = Pool::new(1);
        let (first, one) = pool.take(size_of).unwrap();
        let (second, two) = pool.take(size_of).unwrap();
        assert_eq!((first, second), (0, 1));
        std::thread::scope(|scope| {
            let third = scope.spawn(|| pool.take(size_of).unwrap());
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!third.is_finished(), "there is no room for it yet");
            pool.give_back(one);
            let (piece, three) = third.join().unwrap();
            assert_eq!(piece, 2);
            pool.give_back(three);
        });
        pool.give_back(two);
        let (piece, four) = pool.take(size_of).unwrap();
        assert_eq!((piece, four.size), (3, 2 * ROOM));
        pool.give_back(four);
        assert_eq!(pool.take(size_of).unwrap().0, 4);
        assert!(pool.take(size_of).is_none());
    }
}
