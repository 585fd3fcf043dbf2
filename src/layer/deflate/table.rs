//! A Huffman code as a table that says how far each symbol reaches, not what it means.

use super::Malformed;

/// How many bits one lookup decides on.
const INDEX: u8 = 11;
/// The longest code.
const LONGEST: u8 = 15;

/// What a symbol is to one who only walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Symbol {
    #[default]
    Invalid,
    /// A literal or a distance: nothing more follows.
    Plain,
    /// A length: a distance follows.
    Length,
    /// The block ends.
    End,
    /// The code is longer than the index.
    Long,
}

/// How far a symbol reaches: its code and its extra bits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Step {
    pub(super) bits: u8,
    pub(super) symbol: Symbol,
}

/// A Huffman code, by the first [`INDEX`] bits; longer codes by their length and value.
pub(super) struct Table {
    steps: Vec<Step>,
    long: [Long; LONGEST as usize + 1],
}

/// The codes of one length above the index.
#[derive(Default)]
struct Long {
    first_code: u16,
    steps: Vec<Step>,
}

impl Default for Table {
    fn default() -> Self {
        Self { steps: vec![Step::default(); 1 << INDEX], long: Default::default() }
    }
}

impl Table {
    /// Builds the table from the code lengths of the symbols (RFC 1951, 3.2.2). `kind` says what a symbol is and how
    /// many extra bits it has.
    pub(super) fn build(&mut self, lengths: &[u8], kind: fn(usize) -> Step) -> Result<(), Malformed> {
        let mut next = first_codes(lengths)?;
        self.steps.fill(Step::default());
        for (long, &first_code) in self.long.iter_mut().zip(&next) {
            long.first_code = first_code;
            long.steps.clear();
        }
        for (symbol, &length) in lengths.iter().enumerate().filter(|&(_, &length)| length > 0) {
            let code = &mut next[usize::from(length)];
            let kind = kind(symbol);
            self.enter(*code, length, Step { bits: kind.bits + length, symbol: kind.symbol });
            *code += 1;
        }
        Ok(())
    }

    fn enter(&mut self, code: u16, length: u8, step: Step) {
        let at = usize::from(reversed(code, length));
        if length <= INDEX {
            self.steps.iter_mut().skip(at).step_by(1 << length).for_each(|entry| *entry = step);
        } else {
            self.steps[at & ((1 << INDEX) - 1)].symbol = Symbol::Long;
            self.long[usize::from(length)].steps.push(step);
        }
    }

    /// The symbol that the bits begin with.
    #[inline]
    pub(super) fn look(&self, bits: u64) -> Step {
        let step = self.steps[(bits & ((1 << INDEX) - 1)) as usize];
        if step.symbol == Symbol::Long { self.look_long((bits & 0x7fff) as u16) } else { step }
    }

    #[cold]
    fn look_long(&self, bits: u16) -> Step {
        for length in INDEX + 1..=LONGEST {
            let code = reversed(bits & ((1 << length) - 1), length);
            let long = &self.long[usize::from(length)];
            if let Some(step) = code.checked_sub(long.first_code).and_then(|at| long.steps.get(usize::from(at))) {
                return *step;
            }
        }
        Step::default()
    }
}

/// The first code of each length; refuses lengths that no prefix code has.
fn first_codes(lengths: &[u8]) -> Result<[u16; LONGEST as usize + 1], Malformed> {
    let mut counts = [0u16; LONGEST as usize + 1];
    for &length in lengths.iter().filter(|&&length| length > 0) {
        *counts.get_mut(usize::from(length)).ok_or(Malformed)? += 1;
    }
    let mut first = [0u16; LONGEST as usize + 1];
    let mut code = 0u32;
    for length in 1..first.len() {
        code <<= 1;
        first[length] = u16::try_from(code).map_err(|_| Malformed)?;
        code += u32::from(counts[length]);
        if code > 1 << length {
            return Err(Malformed);
        }
    }
    Ok(first)
}

/// Codes are sent with their most significant bit first, against the order of all else.
pub(super) fn reversed(code: u16, length: u8) -> u16 {
    code.reverse_bits() >> (16 - length)
}
