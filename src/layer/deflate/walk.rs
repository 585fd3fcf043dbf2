//! Walking the blocks of a stream, symbol by symbol, without decoding any data.
//!
//! Where a symbol begins is known only when the one before it was looked up, so one walk waits for memory at each step.
//! Several walks in turns, each through a part of the stream of its own, wait at the same time.

use super::Malformed;
use super::bits::{Bits, word_at};
use super::codes::Codes;
use super::table::{self, Step};

/// How many walks take turns. A fourth gains nothing: then the processor has no more to wait for.
pub(super) const LANES: usize = 3;

/// A walk from the beginning of a block on.
pub(super) struct Lane {
    /// Where the part of another lane begins: no further block is begun there or beyond.
    until: usize,
    /// Where the block begins that was entered last.
    pub(super) header: usize,
    /// Whether that block says that it is the last.
    pub(super) is_last: bool,
    /// How far this has come: between two blocks, up to where all before was walked.
    pub(super) position: usize,
    /// Where the table begins, in the steps of the codes, that the next symbol is looked up in.
    table: usize,
    codes: Codes,
}

impl Lane {
    pub(super) fn new(start: usize, until: usize) -> Self {
        Self { until, header: start, is_last: false, position: start, table: 0, codes: Codes::default() }
    }

    /// Goes on to the symbols of the next block that has any. False when there is none left to walk.
    fn enter(&mut self, stream: &[u8]) -> Result<bool, Malformed> {
        if self.position > stream.len() * 8 {
            return Err(Malformed);
        }
        while !self.is_last && self.position < self.until {
            let mut bits = Bits::new(stream, self.position);
            self.header = self.position;
            self.is_last = bits.take(1)? == 1;
            let kind = bits.take(2)?;
            match kind {
                0 => bits.skip_stored()?,
                1 => self.codes.set_fixed()?,
                2 => self.codes.read(&mut bits)?,
                _ => return Err(Malformed),
            }
            self.position = bits.position();
            if kind != 0 {
                self.table = 0;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Walks with all of the lanes, as far as each goes. Fails when one of them does.
pub(super) fn finish(stream: &[u8], lanes: &mut [Lane]) -> Result<(), Malformed> {
    let mut walking = Vec::with_capacity(lanes.len());
    for lane in lanes {
        if lane.enter(stream)? {
            walking.push(lane);
        }
    }
    loop {
        let at_end = match &mut walking[..] {
            [] => return Ok(()),
            [one] => block_end(stream, [one])?,
            [one, two] => block_end(stream, [one, two])?,
            [one, two, three, ..] => block_end(stream, [one, two, three])?,
        };
        if !walking[at_end].enter(stream)? {
            walking.swap_remove(at_end);
        }
    }
}

/// Walks the lanes in turns until one of them is at the end of its block. Says which one.
fn block_end<const N: usize>(stream: &[u8], mut lanes: [&mut Lane; N]) -> Result<usize, Malformed> {
    // These are to be in registers.
    let mut positions = lanes.each_ref().map(|lane| lane.position);
    let mut tables = lanes.each_ref().map(|lane| lane.table);
    let at_end = 'walk: loop {
        for lane in 0..N {
            let mut word = word_at(stream, positions[lane])?;
            for _ in 0..2 {
                let codes = &lanes[lane].codes;
                let mut step = codes.steps[tables[lane] | table::index(word)];
                if step.is_special() {
                    if step == Step::LONG {
                        step = codes.look_long(tables[lane], word);
                    }
                    if step == Step::INVALID {
                        return Err(Malformed);
                    }
                    if step.is_special() {
                        positions[lane] += step.bits();
                        break 'walk lane;
                    }
                }
                positions[lane] += step.bits();
                word = step.shift(word);
                tables[lane] = step.next_table();
            }
        }
    };
    for (lane, (position, table)) in lanes.iter_mut().zip(positions.into_iter().zip(tables)) {
        (lane.position, lane.table) = (position, table);
    }
    Ok(at_end)
}
