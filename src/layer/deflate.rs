//! Joining DEFLATE streams (RFC 1951) into one.
//!
//! In: a whole stream as libdeflate makes it. Out: the same with its last block no longer marked as the last, and an
//! empty stored block after it that ends on a byte, so that another stream can follow. libdeflate has no flush and
//! does not say where its last block begins, so its blocks are walked symbol by symbol, without decoding any data.

/// How many bytes [`open_end`] may add.
pub(super) const SEAM: usize = 5;

/// A stream that ends early or breaks a rule of DEFLATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("internal error: a DEFLATE stream does not parse")]
pub(super) struct Malformed;

/// Opens the end of the stream in `buffer[..size]`, in place. Returns its new size.
///
/// # Errors
/// When the stream does not parse, or the buffer has no room for [`SEAM`] bytes more.
pub(super) fn open_end(buffer: &mut [u8], size: usize) -> Result<usize, Malformed> {
    let (last_header, end) = last_block(buffer.get(..size).ok_or(Malformed)?)?;
    buffer[last_header / 8] &= !(1 << (last_header % 8));
    // Three zero bits are the header of a stored block that is not the last; then up to the next byte, and no bytes.
    let seam = (end + 3).div_ceil(8);
    let seam_bytes = buffer.get_mut(size..seam + 4).ok_or(Malformed)?;
    seam_bytes.fill(0);
    buffer[seam + 2..seam + 4].fill(0xff);
    Ok(seam + 4)
}

/// Where the header of the last block is, and where the block ends, in bits.
fn last_block(stream: &[u8]) -> Result<(usize, usize), Malformed> {
    let mut bits = Bits { stream, position: 0 };
    let mut codes = Codes::default();
    loop {
        let header = bits.position;
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => bits.skip_stored()?,
            1 => {
                codes.set_fixed()?;
                codes.walk(&mut bits)?;
            }
            2 => {
                codes.read(&mut bits)?;
                codes.walk(&mut bits)?;
            }
            _ => return Err(Malformed),
        }
        if is_last {
            return Ok((header, bits.position));
        }
    }
}

/// A stream of bits, the least significant of each byte first.
struct Bits<'a> {
    stream: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    /// At least 57 of the bits that follow; zeros after the end.
    #[inline]
    fn peek(&self) -> u64 {
        let start = self.position / 8;
        let word = match self.stream.get(start..start + 8) {
            Some(bytes) => u64::from_le_bytes(bytes.try_into().expect("eight bytes")),
            None => self.peek_near_end(start),
        };
        word >> (self.position % 8)
    }

    #[cold]
    fn peek_near_end(&self, start: usize) -> u64 {
        let mut bytes = [0; 8];
        let rest = self.stream.get(start..).unwrap_or_default();
        bytes[..rest.len()].copy_from_slice(rest);
        u64::from_le_bytes(bytes)
    }

    fn take(&mut self, count: u32) -> Result<usize, Malformed> {
        let value = self.peek() & ((1 << count) - 1);
        self.skip(count as usize)?;
        usize::try_from(value).map_err(|_| Malformed)
    }

    #[inline]
    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        self.position += count;
        if self.position > self.stream.len() * 8 { Err(Malformed) } else { Ok(()) }
    }

    /// A stored block: up to the next byte, its length, that length's complement, its bytes.
    fn skip_stored(&mut self) -> Result<(), Malformed> {
        self.position = self.position.next_multiple_of(8);
        let length = self.take(16)?;
        if length ^ self.take(16)? != 0xffff {
            return Err(Malformed);
        }
        self.skip(length * 8)
    }
}

/// How many bits one lookup decides on.
const INDEX: u32 = 11;
/// The longest code.
const LONGEST: usize = 15;
/// The symbol that ends a block.
const END_OF_BLOCK: usize = 256;

/// What a symbol is to one who only walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Symbol {
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
struct Step {
    bits: u8,
    symbol: Symbol,
}

/// A Huffman code, by the first [`INDEX`] bits; longer codes by their length and value.
struct Table {
    steps: Vec<Step>,
    /// For each length above the index: the first code, and the steps of its codes in order.
    long: [(usize, Vec<Step>); LONGEST + 1],
}

/// The two codes of a block.
#[derive(Default)]
struct Codes {
    literals: Table,
    distances: Table,
    lengths: Vec<u8>,
}

impl Default for Table {
    fn default() -> Self {
        Self { steps: vec![Step::default(); 1 << INDEX], long: Default::default() }
    }
}

impl Table {
    /// Builds the table from the code lengths of the symbols (RFC 1951, 3.2.2).
    fn build(&mut self, lengths: &[u8], kind: fn(usize) -> Step) -> Result<(), Malformed> {
        let mut counts = [0usize; LONGEST + 1];
        for &length in lengths {
            counts[usize::from(length)] += 1;
        }
        counts[0] = 0;
        let mut next = [0usize; LONGEST + 2];
        for length in 1..=LONGEST {
            next[length + 1] = (next[length] + counts[length]) << 1;
            if next[length] + counts[length] > 1 << length {
                return Err(Malformed);
            }
        }
        self.steps.fill(Step::default());
        for (length, long) in self.long.iter_mut().enumerate() {
            long.0 = next[length];
            long.1.clear();
        }
        for (symbol, &length) in lengths.iter().enumerate().filter(|&(_, &length)| length > 0) {
            let code = next[usize::from(length)];
            next[usize::from(length)] += 1;
            let kind = kind(symbol);
            self.enter(code, length, Step { bits: kind.bits + length, symbol: kind.symbol });
        }
        Ok(())
    }

    fn enter(&mut self, code: usize, length: u8, step: Step) {
        // Codes are sent with their most significant bit first, against the order of all else.
        let reversed = code.reverse_bits() >> (usize::BITS - u32::from(length));
        if u32::from(length) <= INDEX {
            for entry in self.steps.iter_mut().skip(reversed).step_by(1 << length) {
                *entry = step;
            }
        } else {
            self.steps[reversed & ((1 << INDEX) - 1)].symbol = Symbol::Long;
            self.long[usize::from(length)].1.push(step);
        }
    }

    #[inline]
    fn look(&self, bits: u64) -> Step {
        let step = self.steps[(bits & ((1 << INDEX) - 1)) as usize];
        if step.symbol == Symbol::Long { self.look_long(bits) } else { step }
    }

    #[cold]
    fn look_long(&self, bits: u64) -> Step {
        let reversed = bits.reverse_bits();
        for length in INDEX as usize + 1..=LONGEST {
            let code = (reversed >> (64 - length)) as usize;
            let (first, steps) = &self.long[length];
            if let Some(step) = code.checked_sub(*first).and_then(|at| steps.get(at)) {
                return *step;
            }
        }
        Step::default()
    }
}

impl Codes {
    /// The fixed codes (RFC 1951, 3.2.6).
    fn set_fixed(&mut self) -> Result<(), Malformed> {
        let lengths: Vec<u8> = (0..288)
            .map(|symbol| match symbol {
                0..144 => 8,
                144..256 => 9,
                256..280 => 7,
                _ => 8,
            })
            .collect();
        self.literals.build(&lengths, literal)?;
        self.distances.build(&[5; 30], distance)
    }

    /// The codes that a dynamic block begins with (RFC 1951, 3.2.7).
    fn read(&mut self, bits: &mut Bits) -> Result<(), Malformed> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let literals = bits.take(5)? + 257;
        let distances = bits.take(5)? + 1;
        let count = bits.take(4)? + 4;
        let mut lengths = [0; 19];
        for &symbol in &ORDER[..count] {
            lengths[symbol] = u8::try_from(bits.take(3)?).map_err(|_| Malformed)?;
        }
        self.read_lengths(bits, &lengths, literals + distances)?;
        let (of_literals, of_distances) = self.lengths.split_at(literals);
        self.literals.build(of_literals, literal)?;
        self.distances.build(of_distances, distance)
    }

    /// The code lengths of all symbols, themselves in a code.
    fn read_lengths(&mut self, bits: &mut Bits, code: &[u8; 19], count: usize) -> Result<(), Malformed> {
        // The symbols matter here, not only how long they are: a plain search, 19 symbols at most.
        let code = SmallCode::new(code);
        self.lengths.clear();
        while self.lengths.len() < count {
            let (value, repeat) = match code.take(bits)? {
                length @ 0..16 => (length, 1),
                16 => (*self.lengths.last().ok_or(Malformed)?, bits.take(2)? + 3),
                17 => (0, bits.take(3)? + 3),
                _ => (0, bits.take(7)? + 11),
            };
            self.lengths.resize(self.lengths.len() + repeat, value);
        }
        if self.lengths.len() > count { Err(Malformed) } else { Ok(()) }
    }

    /// Walks a block's symbols to its end.
    fn walk(&self, bits: &mut Bits) -> Result<(), Malformed> {
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

/// A literal, the end of the block, or a length with its extra bits (RFC 1951, 3.2.5).
fn literal(symbol: usize) -> Step {
    match symbol {
        0..END_OF_BLOCK => Step { bits: 0, symbol: Symbol::Plain },
        END_OF_BLOCK => Step { bits: 0, symbol: Symbol::End },
        257..265 | 285 => Step { bits: 0, symbol: Symbol::Length },
        265..285 => Step { bits: ((symbol - 261) / 4) as u8, symbol: Symbol::Length },
        _ => Step::default(),
    }
}

/// A distance with its extra bits (RFC 1951, 3.2.5).
fn distance(symbol: usize) -> Step {
    match symbol {
        0..4 => Step { bits: 0, symbol: Symbol::Plain },
        4..30 => Step { bits: (symbol / 2 - 1) as u8, symbol: Symbol::Plain },
        _ => Step::default(),
    }
}

/// The code of code lengths: at most 19 symbols of at most 7 bits.
struct SmallCode {
    symbols: [(u8, u8); 128],
}

impl SmallCode {
    fn new(lengths: &[u8; 19]) -> Self {
        let mut symbols = [(0, 0); 128];
        let mut code = 0usize;
        for length in 1..=7u8 {
            for symbol in (0..19u8).filter(|&symbol| lengths[usize::from(symbol)] == length) {
                let reversed = code.reverse_bits() >> (usize::BITS - u32::from(length));
                for entry in symbols.iter_mut().skip(reversed).step_by(1 << length) {
                    *entry = (symbol, length);
                }
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

/// Whether a fragment is a sound part of a DEFLATE stream and inflates to `piece`.
pub(super) fn inflates_to(fragment: &[u8], last: bool, piece: &[u8]) -> bool {
    // An empty block that is the last ends what is open.
    let end: &[u8] = if last { b"" } else { &[0b011, 0] };
    let mut out = vec![0; piece.len() + 1];
    let result = libdeflater::Decompressor::new().deflate_decompress(&[fragment, end].concat(), &mut out);
    result == Ok(piece.len()) && out[..piece.len()] == *piece
}

#[cfg(test)]
mod tests {
    use super::*;
    use libdeflater::{CompressionLvl, Compressor};
    use std::io::Read;

    /// Bytes of several kinds: text, runs, noise, so that blocks of every type and long codes come up.
    fn sample(seed: u32, size: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        let mut out = Vec::new();
        while out.len() < size {
            let count = (next() % 3000) as usize;
            match next() % 5 {
                0 => out.extend((0..count).map(|_| (next() >> 9) as u8)),
                1 => out.extend(std::iter::repeat_n((next() >> 9) as u8, count)),
                2 => out.extend((0..count).map(|_| b"etaoin shrdlu"[(next().trailing_zeros() % 13) as usize])),
                3 => out.extend((0..count).map(|_| next().leading_zeros() as u8)),
                _ => {
                    let from = next() as usize % (out.len() + 1);
                    let to = (from + count).min(out.len());
                    out.extend_from_within(from..to);
                }
            }
        }
        out.truncate(size);
        out
    }

    fn fragment(level: i32, piece: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap());
        let mut out = vec![0; compressor.deflate_compress_bound(piece.len()) + SEAM];
        let size = compressor.deflate_compress(piece, &mut out).unwrap();
        let size = open_end(&mut out, size).unwrap();
        out.truncate(size);
        out
    }

    #[test]
    fn fragments_join_at_every_level() {
        for level in 1..=12 {
            let pieces: Vec<Vec<u8>> = [0, 1, 2, 100, 9_000, 70_000, 400_000]
                .iter()
                .enumerate()
                .map(|(seed, &size)| sample(seed as u32 + level as u32 * 16, size))
                .collect();
            let mut stream: Vec<u8> = pieces.iter().flat_map(|piece| fragment(level, piece)).collect();
            stream.extend([0b011, 0]);
            let mut out = Vec::new();
            // Another inflater than the one that `inflates_to` asks.
            flate2::read::DeflateDecoder::new(&stream[..]).read_to_end(&mut out).unwrap();
            assert_eq!(out, pieces.concat(), "level {level}");
        }
    }

    #[test]
    fn a_broken_stream_is_an_error() {
        let good = {
            let piece = sample(7, 20_000);
            let mut compressor = Compressor::new(CompressionLvl::new(6).unwrap());
            let mut out = vec![0; compressor.deflate_compress_bound(piece.len())];
            let size = compressor.deflate_compress(&piece, &mut out).unwrap();
            out.truncate(size);
            out
        };
        for cut in 0..good.len() {
            assert_eq!(last_block(&good[..cut]), Err(Malformed));
        }
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            // It may parse or not; it may not panic or run on.
            let _ = last_block(&bad);
        }
    }
}
