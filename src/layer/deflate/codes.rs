//! The two codes of a block.

use super::Malformed;
use super::bits::Bits;
use super::table::{self, LongCodes, SIZE, Step, reversed};

/// The order in which a header has the lengths of the codes of code lengths (RFC 1951, 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The codes of a block: of literals and lengths, and of distances.
pub(super) struct Codes {
    /// The table of literals and lengths, then that of distances.
    pub(super) steps: [Step; 2 * SIZE],
    long: [LongCodes; 2],
    lengths: Lengths,
}

impl Default for Codes {
    fn default() -> Self {
        Self { steps: [Step::INVALID; 2 * SIZE], long: Default::default(), lengths: Lengths::default() }
    }
}

impl Codes {
    /// The fixed codes (RFC 1951, 3.2.6).
    pub(super) fn set_fixed(&mut self) -> Result<(), Malformed> {
        self.lengths.set_fixed();
        self.build()
    }

    /// The codes that a dynamic block begins with.
    pub(super) fn read(&mut self, bits: &mut Bits) -> Result<(), Malformed> {
        self.lengths.read(bits)?;
        self.build()
    }

    fn build(&mut self) -> Result<(), Malformed> {
        let (literals, distances) = self.steps.split_at_mut(SIZE);
        let [long_literals, long_distances] = &mut self.long;
        table::build(literals, long_literals, self.lengths.literals(), literal)?;
        table::build(distances, long_distances, self.lengths.distances(), distance)
    }

    /// The symbol that a word begins with, whose code is longer than the index.
    #[cold]
    pub(super) fn look_long(&self, table: usize, word: u64) -> Step {
        self.long[table / SIZE].look(word)
    }
}

/// Extra bits of the length symbols, from 257 on (RFC 1951, 3.2.5).
const LENGTH_EXTRA: [u8; 29] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];

/// Extra bits of the distance symbols (RFC 1951, 3.2.5).
const DISTANCE_EXTRA: [u8; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];

/// What a symbol of the first code is: a literal, the end of the block, or a length.
fn literal(symbol: u16) -> Step {
    match symbol {
        0..256 => Step::PLAIN,
        256 => Step::END,
        _ => LENGTH_EXTRA.get(usize::from(symbol) - 257).map_or(Step::INVALID, |&bits| Step::LENGTH.longer(bits)),
    }
}

/// What a symbol of the second code is: a distance.
fn distance(symbol: u16) -> Step {
    DISTANCE_EXTRA.get(usize::from(symbol)).map_or(Step::INVALID, |&bits| Step::PLAIN.longer(bits))
}

/// All that the codes of one kind can use up: a code uses up half as much as one that is shorter by a bit.
const WHOLE: usize = 1 << 15;

/// The code lengths of all symbols of a block.
#[derive(Default)]
pub(super) struct Lengths {
    each: Vec<u8>,
    /// How many are those of literals and lengths.
    literals: usize,
    /// What these leave of [`WHOLE`], once they were read.
    rest: usize,
}

impl Lengths {
    fn literals(&self) -> &[u8] {
        &self.each[..self.literals]
    }

    /// Whether the codes of literals and lengths use up all there is, one of them for the end of the block.
    pub(super) fn are_whole(&self) -> bool {
        self.rest == 0 && self.literals()[256] > 0
    }

    fn distances(&self) -> &[u8] {
        &self.each[self.literals..]
    }

    fn set_fixed(&mut self) {
        self.each.clear();
        for (length, count) in [(8, 144), (9, 112), (7, 24), (8, 8), (5, 30)] {
            self.each.extend(std::iter::repeat_n(length, count));
        }
        self.literals = self.each.len() - 30;
    }

    /// Reads those that a dynamic block begins with (RFC 1951, 3.2.7): run-length encoded, in a code of their own.
    /// Fails as soon as the code of literals has more than there is, as it soon has where no block begins.
    pub(super) fn read(&mut self, bits: &mut Bits) -> Result<(), Malformed> {
        self.literals = usize::from(bits.take(5)?) + 257;
        let count = self.literals + usize::from(bits.take(5)?) + 1;
        let code = LengthCode::read(bits)?;
        self.each.clear();
        self.rest = WHOLE;
        while self.each.len() < count {
            let (value, repeat) = match code.take(bits)? {
                length @ 0..16 => (length, 1),
                16 => (*self.each.last().ok_or(Malformed)?, bits.take(2)? + 3),
                17 => (0, bits.take(3)? + 3),
                _ => (0, bits.take(7)? + 11),
            };
            let before = self.each.len();
            let after = before + usize::from(repeat);
            if value > 0 && before < self.literals {
                let literals = after.min(self.literals) - before;
                self.rest = self.rest.checked_sub(literals * (WHOLE >> value)).ok_or(Malformed)?;
            }
            self.each.resize(after, value);
        }
        if self.each.len() > count { Err(Malformed) } else { Ok(()) }
    }
}

/// The code of code lengths, of 19 symbols with codes of at most 7 bits: here it matters which symbol it is.
struct LengthCode {
    /// Symbol and length by the next seven bits; length 0 where no code begins so.
    symbols: [(u8, u8); 128],
}

impl LengthCode {
    fn read(bits: &mut Bits) -> Result<Self, Malformed> {
        let count = usize::from(bits.take(4)?) + 4;
        let mut lengths = [0; 19];
        for &symbol in ORDER.iter().take(count) {
            lengths[symbol] = (bits.take(3)? & 7) as u8;
        }
        Ok(Self::new(&lengths))
    }

    fn new(lengths: &[u8; 19]) -> Self {
        let mut symbols = [(0, 0); 128];
        let mut code = 0;
        for length in 1..=7u8 {
            for (symbol, _) in (0u8..).zip(lengths).filter(|(_, of)| **of == length) {
                let at = usize::from(reversed(code, length));
                symbols.iter_mut().skip(at).step_by(1 << length).for_each(|entry| *entry = (symbol, length));
                code += 1;
            }
            code <<= 1;
        }
        Self { symbols }
    }

    fn take(&self, bits: &mut Bits) -> Result<u8, Malformed> {
        let (symbol, length) = self.symbols[(bits.peek()? & 127) as usize];
        bits.skip(usize::from(length))?;
        if length == 0 { Err(Malformed) } else { Ok(symbol) }
    }
}
