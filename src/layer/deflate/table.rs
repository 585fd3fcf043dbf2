//! A Huffman code as a table that says how far each symbol reaches, not what it means.

use super::Malformed;
use super::bits::WORD;

/// How many bits one lookup decides on.
const INDEX: u8 = 11;
/// How many entries a table has.
pub(super) const SIZE: usize = 1 << INDEX;
/// The longest code.
const LONGEST: u8 = 15;
/// The most symbols of one code: 256 literals, the end of a block and 31 lengths by what a header can say.
const MOST_SYMBOLS: usize = 288;

/// How far a symbol reaches, and what comes next: in a byte, so that the tables of several blocks stay in the
/// processor's nearest cache. The low six bits are the number of bits of its code and extra bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step(u8);

impl Step {
    /// A literal or a distance: a literal or a length comes next.
    pub(super) const PLAIN: Self = Self(0);
    /// A length: a distance comes next.
    pub(super) const LENGTH: Self = Self(0x40);
    /// The block ends. It is special, as are the next two.
    pub(super) const END: Self = Self(0x80);
    /// The code is longer than the index.
    pub(super) const LONG: Self = Self(0xc0);
    /// No code begins so, or the symbol has no meaning.
    pub(super) const INVALID: Self = Self(0xff);

    /// The most bits that two steps take, one after the other: a length with its extra bits, and a distance.
    const MOST_OF_TWO: u8 = 15 + 5 + 15 + 13;

    /// With so many bits more.
    pub(super) fn longer(self, bits: u8) -> Self {
        if self == Self::INVALID { self } else { Self(self.0 + bits) }
    }

    /// Whether it is not a literal, a length or a distance that the table decides on.
    pub(super) fn is_special(self) -> bool {
        self.0 >= Self::END.0
    }

    pub(super) fn bits(self) -> usize {
        usize::from(self.0 & 0x3f)
    }

    /// What is left of a word after this.
    pub(super) fn shift(self, word: u64) -> u64 {
        // It takes the low six bits of the number alone, as the processor does.
        word.wrapping_shr(self.0.into())
    }

    /// Where the table of what comes next begins: that of distances is behind that of literals and lengths.
    pub(super) fn next_table(self) -> usize {
        usize::from(self.0 & Self::LENGTH.0) * (SIZE / usize::from(Self::LENGTH.0))
    }
}

// A walk takes two steps in each word.
const _: () = assert!(Step::MOST_OF_TWO <= WORD);

/// The codes of one length that is above the index: consecutive numbers.
#[derive(Default)]
struct Long {
    first_code: u16,
    steps: Vec<Step>,
}

/// The codes that are longer than the index, by their lengths.
#[derive(Default)]
pub(super) struct LongCodes([Long; LONGEST as usize + 1]);

impl LongCodes {
    /// The symbol that a word begins with.
    pub(super) fn look(&self, word: u64) -> Step {
        for length in INDEX + 1..=LONGEST {
            let code = reversed((word & 0xffff) as u16 & ((1 << length) - 1), length);
            let long = &self.0[usize::from(length)];
            if let Some(step) = code.checked_sub(long.first_code).and_then(|at| long.steps.get(usize::from(at))) {
                return *step;
            }
        }
        Step::INVALID
    }
}

/// Where a table has the symbol that a word begins with.
#[inline]
pub(super) fn index(word: u64) -> usize {
    (word & ((1 << INDEX) - 1)) as usize
}

/// Fills a table of [`SIZE`] steps from the code lengths of the symbols (RFC 1951, 3.2.2), and the codes that are too
/// long for it. `kind` says what a symbol is and how many extra bits it has.
pub(super) fn build(
    steps: &mut [Step],
    long: &mut LongCodes,
    lengths: &[u8],
    kind: fn(u16) -> Step,
) -> Result<(), Malformed> {
    let (symbols, counts) = in_order(lengths)?;
    let mut symbols = &symbols[..];
    let mut code = 0u16;
    steps[0] = Step::INVALID;
    for (length, &count) in (1..).zip(&counts[1..]) {
        let (of_length, longer) = symbols.split_at(count.into());
        symbols = longer;
        code <<= 1;
        if code + count > 1 << length {
            return Err(Malformed);
        }
        let of_length = of_length.iter().map(|&symbol| kind(symbol).longer(length));
        if length <= INDEX {
            // What fewer bits say they say whichever bit follows; the codes of this length are where they say nothing.
            let (fewer, more) = steps.split_at_mut(1 << (length - 1));
            more[..fewer.len()].copy_from_slice(fewer);
            (code..).zip(of_length).for_each(|(code, step)| steps[usize::from(reversed(code, length))] = step);
        } else {
            (code..code + count).for_each(|code| steps[index(reversed(code, length).into())] = Step::LONG);
            let long = &mut long.0[usize::from(length)];
            long.first_code = code;
            long.steps.clear();
            long.steps.extend(of_length);
        }
        code += count;
    }
    Ok(())
}

/// The symbols that have a code, in the order of their codes, and how many codes there are of each length.
fn in_order(lengths: &[u8]) -> Result<([u16; MOST_SYMBOLS], [u16; LONGEST as usize + 1]), Malformed> {
    let mut counts = [0; LONGEST as usize + 1];
    for &length in lengths.iter().filter(|&&length| length > 0) {
        *counts.get_mut(usize::from(length)).ok_or(Malformed)? += 1;
    }
    let mut next = [0; LONGEST as usize + 1];
    for length in 1..next.len() {
        next[length] = next[length - 1] + usize::from(counts[length - 1]);
    }
    let mut symbols = [0; MOST_SYMBOLS];
    for (symbol, &length) in (0..).zip(lengths).filter(|&(_, &length)| length > 0) {
        let at = &mut next[usize::from(length)];
        *symbols.get_mut(*at).ok_or(Malformed)? = symbol;
        *at += 1;
    }
    Ok((symbols, counts))
}

/// Codes are sent with their most significant bit first, against the order of all else.
pub(super) fn reversed(code: u16, length: u8) -> u16 {
    code.reverse_bits() >> (16 - length)
}
