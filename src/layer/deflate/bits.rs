//! The bits of a DEFLATE stream: the least significant of each byte first.

use super::Malformed;

/// How many bits of [`word_at`] are those of the stream, wherever it begins.
pub(super) const WORD: u8 = 57;

/// At least [`WORD`] of the bits from a position on; zeros after the end, beyond which no position may be.
#[inline]
pub(super) fn word_at(stream: &[u8], position: usize) -> Result<u64, Malformed> {
    let start = position / 8;
    let word = match stream.get(start..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => word_near_end(stream, start)?,
    };
    Ok(word >> (position % 8))
}

#[cold]
fn word_near_end(stream: &[u8], start: usize) -> Result<u64, Malformed> {
    let mut bytes = [0; 8];
    let rest = stream.get(start..).ok_or(Malformed)?;
    bytes[..rest.len()].copy_from_slice(rest);
    Ok(u64::from_le_bytes(bytes))
}

/// A place in a stream of bits.
pub(super) struct Bits<'a> {
    stream: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(stream: &'a [u8], position: usize) -> Self {
        Self { stream, position }
    }

    /// How many bits of the stream lie before.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The bits that follow, as [`word_at`] has them.
    pub(super) fn peek(&self) -> Result<u64, Malformed> {
        word_at(self.stream, self.position)
    }

    /// The next bits, 16 at most, as a number.
    pub(super) fn take(&mut self, count: u8) -> Result<u16, Malformed> {
        let value = self.peek()? & ((1 << count) - 1) & 0xffff;
        self.skip(usize::from(count))?;
        Ok(value as u16)
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        self.position += count;
        if self.position > self.stream.len() * 8 { Err(Malformed) } else { Ok(()) }
    }

    /// Skips the rest of a stored block: up to the next byte, its length, that length's complement, its bytes.
    pub(super) fn skip_stored(&mut self) -> Result<(), Malformed> {
        self.position = self.position.next_multiple_of(8);
        let length = self.take(16)?;
        if length != !self.take(16)? {
            return Err(Malformed);
        }
        self.skip(usize::from(length) * 8)
    }
}
