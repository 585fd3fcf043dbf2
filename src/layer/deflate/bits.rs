//! The bits of a DEFLATE stream: the least significant of each byte first.

use super::Malformed;

/// A place in a stream of bits.
pub(super) struct Bits<'a> {
    stream: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(stream: &'a [u8]) -> Self {
        Self { stream, position: 0 }
    }

    /// How many bits were read.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// At least 57 of the bits that follow; zeros after the end.
    #[inline]
    pub(super) fn peek(&self) -> u64 {
        let start = self.position / 8;
        let word = match self.stream.get(start..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => u64::from_le_bytes(*bytes),
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

    /// The next bits, 16 at most, as a number.
    pub(super) fn take(&mut self, count: u8) -> Result<u16, Malformed> {
        let value = self.peek() & ((1 << count) - 1) & 0xffff;
        self.skip(usize::from(count))?;
        Ok(value as u16)
    }

    #[inline]
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
