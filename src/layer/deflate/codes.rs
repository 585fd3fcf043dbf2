//! The two codes of a block, and the walk over its symbols.

use super::Malformed;
use super::bits::Bits;
use super::table::{Step, Symbol, Table, reversed};

/// The codes of a block: of literals and lengths, and of distances.
#[derive(Default)]
pub(super) struct Codes {
    literals: Table,
    distances: Table,
    lengths: Vec<u8>,
}

impl Codes {
    /// The fixed codes (RFC 1951, 3.2.6).
    pub(super) fn set_fixed(&mut self) -> Result<(), Malformed> {
        let lengths = [[8; 144].as_slice(), &[9; 112], &[7; 24], &[8; 8]].concat();
        self.literals.build(&lengths, literal)?;
        self.distances.build(&[5; 30], distance)
    }

    /// The codes that a dynamic block begins with (RFC 1951, 3.2.7).
    pub(super) fn read(&mut self, bits: &mut Bits) -> Result<(), Malformed> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let literals = usize::from(bits.take(5)?) + 257;
        let distances = usize::from(bits.take(5)?) + 1;
        let count = usize::from(bits.take(4)?) + 4;
        let mut lengths = [0; 19];
        for &symbol in ORDER.iter().take(count) {
            lengths[symbol] = (bits.take(3)? & 7) as u8;
        }
        self.read_lengths(bits, &LengthCode::new(&lengths), literals + distances)?;
        let (of_literals, of_distances) = self.lengths.split_at(literals);
        self.literals.build(of_literals, literal)?;
        self.distances.build(of_distances, distance)
    }

    /// The code lengths of all symbols, run-length encoded, in a code of their own.
    fn read_lengths(&mut self, bits: &mut Bits, code: &LengthCode, count: usize) -> Result<(), Malformed> {
        self.lengths.clear();
        while self.lengths.len() < count {
            let (value, repeat) = match code.take(bits)? {
                length @ 0..16 => (length, 1),
                16 => (*self.lengths.last().ok_or(Malformed)?, bits.take(2)? + 3),
                17 => (0, bits.take(3)? + 3),
                _ => (0, bits.take(7)? + 11),
            };
            self.lengths.resize(self.lengths.len() + usize::from(repeat), value);
        }
        if self.lengths.len() > count { Err(Malformed) } else { Ok(()) }
    }

    /// Walks a block's symbols to its end.
    pub(super) fn walk(&self, bits: &mut Bits) -> Result<(), Malformed> {
        loop {
            let mut word = bits.peek();
            let mut used = 0;
            // At least 57 bits are there. A literal takes up to 15, a length and its distance up to 20 + 28.
            while used <= 57 - 15 {
                let step = self.literals.look(word);
                match step.symbol {
                    Symbol::Plain => {}
                    Symbol::End => return bits.skip(used + usize::from(step.bits)),
                    Symbol::Length if used > 57 - 48 => break,
                    Symbol::Length => {
                        let distance = self.distances.look(word >> step.bits);
                        if distance.symbol != Symbol::Plain {
                            return Err(Malformed);
                        }
                        used += usize::from(step.bits + distance.bits);
                        break;
                    }
                    Symbol::Invalid | Symbol::Long => return Err(Malformed),
                }
                used += usize::from(step.bits);
                word >>= step.bits;
            }
            bits.skip(used)?;
        }
    }
}

/// Extra bits of the length symbols, from 257 on (RFC 1951, 3.2.5).
const LENGTH_EXTRA: [u8; 29] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];

/// Extra bits of the distance symbols (RFC 1951, 3.2.5).
const DISTANCE_EXTRA: [u8; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];

/// What a symbol of the first code is: a literal, the end of the block, or a length.
fn literal(symbol: usize) -> Step {
    match symbol {
        0..256 => Step { bits: 0, symbol: Symbol::Plain },
        256 => Step { bits: 0, symbol: Symbol::End },
        _ => LENGTH_EXTRA.get(symbol - 257).map_or_else(Step::default, |&bits| Step { bits, symbol: Symbol::Length }),
    }
}

/// What a symbol of the second code is: a distance.
fn distance(symbol: usize) -> Step {
    DISTANCE_EXTRA.get(symbol).map_or_else(Step::default, |&bits| Step { bits, symbol: Symbol::Plain })
}

/// The code of code lengths, of 19 symbols with codes of at most 7 bits: here it matters which symbol it is.
struct LengthCode {
    /// Symbol and length by the next seven bits; length 0 where no code begins so.
    symbols: [(u8, u8); 128],
}

impl LengthCode {
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
        let (symbol, length) = self.symbols[(bits.peek() & 127) as usize];
        bits.skip(usize::from(length))?;
        if length == 0 { Err(Malformed) } else { Ok(symbol) }
    }
}
