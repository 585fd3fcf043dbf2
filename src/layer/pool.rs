//! Buffers for pieces on their way, of which there are only so many bytes: memory does not grow with the image.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::codec::Packed;
use super::fill::Raw;

/// How many bytes of pieces may be on their way for each thread, as they were read or, once that is no longer wanted,
/// compressed. Pieces are written in order: while one thread is at a large one, the others go on with what follows, and
/// must not run out of room before it is done.
const ROOM: usize = 4 << 20;
/// The same for an image of [`MANY`](super::MANY) entries, which are memory, too.
const LITTLE_ROOM: usize = 3 << 20;

/// The bytes of a piece, in a buffer that was lent for it.
#[derive(Debug, Default)]
pub(super) struct Lent {
    pub(super) raw: Raw,
    /// The size of the piece.
    size: usize,
}

/// Pieces to be done, in order, each with a buffer that is lent out. Who finds no room waits until some comes back:
/// that keeps the readers from running ahead.
pub(super) struct Pool {
    state: Mutex<State>,
    returned: Condvar,
    room: usize,
}

struct State {
    /// The piece that is begun next.
    next: usize,
    idle: Vec<Raw>,
    idle_packed: Vec<Packed>,
    /// Bytes of the pieces on their way, and of those that are compressed and wait.
    lent: usize,
    closed: bool,
}

impl Pool {
    pub(super) fn new(threads: usize, entries: usize) -> Self {
        let room = if entries < super::MANY { ROOM } else { LITTLE_ROOM };
        let state = State { next: 0, idle: Vec::new(), idle_packed: Vec::new(), lent: 0, closed: false };
        Self { state: Mutex::new(state), returned: Condvar::new(), room: threads.saturating_mul(room) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next piece, with a buffer for it; `None` after the last one, which has no size, and when the pool is closed.
    /// A piece is lent room before those behind it, and one always has some: none waits for ever.
    pub(super) fn take(&self, size_of: impl Fn(usize) -> Option<usize>) -> Option<(usize, Lent)> {
        let mut state = self.state();
        loop {
            let size = size_of(state.next).filter(|_| !state.closed)?;
            if let Some(lent) = state.lend(size, self.room) {
                return Some(lent);
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives back what several share, when the last one lets go.
    pub(super) fn release(&self, lent: Arc<Lent>) {
        let Some(Lent { raw, size }) = Arc::into_inner(lent) else { return };
        let mut state = self.state();
        state.lent -= size;
        let idle: usize = state.idle.iter().map(Raw::room).sum();
        if state.lent + idle + raw.room() <= self.room {
            state.idle.push(raw);
        }
        self.returned.notify_all();
    }

    /// A buffer to compress a piece into: one that was used before, where there is one.
    pub(super) fn packed(&self) -> Packed {
        let mut state = self.state();
        let largest = (0..state.idle_packed.len()).max_by_key(|&index| state.idle_packed[index].room());
        largest.map(|index| state.idle_packed.swap_remove(index)).unwrap_or_default()
    }

    /// Notes that a compressed piece waits from now on. It takes the room of what it was made of, which is let go.
    pub(super) fn keep(&self, packed: &Packed) {
        self.state().lent += packed.bytes().len();
    }

    /// Gives back what [`Pool::keep`] noted.
    pub(super) fn give_back(&self, packed: Packed) {
        let mut state = self.state();
        state.lent -= packed.bytes().len();
        let idle: usize = state.idle_packed.iter().map(Packed::used).sum();
        // What is compressed is smaller, but for what can't be.
        if idle + packed.used() <= self.room / 2 {
            state.idle_packed.push(packed);
        }
        self.returned.notify_all();
    }

    /// Lends nothing from now on: the work is over or failed.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.returned.notify_all();
    }
}

impl State {
    /// The next piece with a buffer for its size; `None` as long as there is no room for it.
    fn lend(&mut self, size: usize, room: usize) -> Option<(usize, Lent)> {
        if self.lent > 0 && self.lent + size > room {
            return None;
        }
        let piece = self.next;
        self.next += 1;
        self.lent += size;
        Some((piece, Lent { raw: self.fitting(size), size }))
    }

    /// An idle buffer: the smallest with room for so many bytes, or else the largest, which grows.
    fn fitting(&mut self, size: usize) -> Raw {
        let by_fit = |raw: &Raw| {
            let room = raw.room();
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
        let pool = Pool::new(1, 5);
        let (first, one) = pool.take(size_of).unwrap();
        let (second, two) = pool.take(size_of).unwrap();
        assert_eq!((first, second), (0, 1));
        assert!(pool.state().lend(10, pool.room).is_none(), "there is no room for it yet");
        std::thread::scope(|scope| {
            let third = scope.spawn(|| pool.take(size_of).unwrap());
            pool.release(Arc::new(one));
            let (piece, three) = third.join().unwrap();
            assert_eq!(piece, 2);
            pool.release(Arc::new(three));
        });
        pool.release(Arc::new(two));
        let (piece, four) = pool.take(size_of).unwrap();
        assert_eq!((piece, four.size), (3, 2 * ROOM));
        pool.release(Arc::new(four));
        assert_eq!(pool.take(size_of).unwrap().0, 4);
        assert!(pool.take(size_of).is_none());
    }

    #[test]
    fn a_piece_that_waits_to_be_written_takes_the_room_of_what_it_was_compressed_to() {
        let size_of = |piece: usize| [ROOM, ROOM / 2].get(piece).copied();
        let pool = Pool::new(1, 5);
        let (_, one) = pool.take(size_of).unwrap();
        let mut packed = pool.packed();
        packed.take_over(ROOM / 2 + 1, 0, 0, |_| Ok(())).unwrap();
        pool.keep(&packed);
        pool.release(Arc::new(one));
        assert!(pool.state().lend(ROOM / 2, pool.room).is_none(), "there is a byte too little room for it");
        pool.give_back(packed);
        assert_eq!(pool.state().lend(ROOM / 2, pool.room).unwrap().0, 1);
    }
}
