//! Positioned reading, and a window over a file that keeps the last piece read.

use std::io;

use memchr::memchr;

/// Bytes that can be read at any place.
pub trait ReadAt {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// Reads up to `buffer.len()` bytes from `offset`; 0 at the end.
    ///
    /// # Errors
    /// The operating system's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// What is read at once when less is asked for: header and program headers of nearly every file.
const AT_ONCE: usize = 4096;

/// The longest string that is read. No loader opens a longer path; lists of paths may be longer and are read apart.
pub(super) const LONGEST_NAME: usize = 4096;

/// A reader with the last piece read kept.
pub(super) struct Window<'a, R: ReadAt + ?Sized> {
    reader: &'a R,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a, R: ReadAt + ?Sized> Window<'a, R> {
    pub(super) fn new(reader: &'a R) -> Self {
        Self { reader, start: 0, bytes: Vec::new() }
    }

    /// `count` bytes from `offset`; `None` where the file ends before.
    pub(super) fn bytes(&mut self, offset: u64, count: usize) -> io::Result<Option<&[u8]>> {
        if self.held(offset, count).is_none() {
            self.fill(offset, count.max(AT_ONCE))?;
        }
        Ok(self.held(offset, count))
    }

    /// What there is from `offset` on, up to `count` bytes.
    pub(super) fn up_to(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let rest = self.reader.size().saturating_sub(offset);
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(count);
        Ok(self.bytes(offset, count)?.unwrap_or_default())
    }

    /// Replaces what is kept by `count` bytes from `offset`, or as many as there are.
    pub(super) fn fill(&mut self, offset: u64, count: usize) -> io::Result<()> {
        let rest = self.reader.size().saturating_sub(offset);
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(count);
        self.bytes.resize(count, 0);
        self.start = offset;
        let mut done = 0;
        while done < count {
            match self.reader.read_at(&mut self.bytes[done..], offset + done as u64)? {
                0 => break,
                more => done += more,
            }
        }
        self.bytes.truncate(done);
        Ok(())
    }

    /// The bytes from `offset` to the next NUL, or to the end of the file where there is none. `None` when `offset`
    /// lies beyond the end, or the string is longer than `longest`.
    pub(super) fn string(&mut self, offset: u64, longest: usize) -> io::Result<Option<&[u8]>> {
        if offset >= self.reader.size() {
            return Ok(None);
        }
        let mut length = 64.min(longest);
        while memchr(0, self.held_from(offset)).is_none() {
            let found = self.up_to(offset, length)?;
            if found.len() < length || memchr(0, found).is_some() {
                break;
            }
            if length > longest {
                return Ok(None);
            }
            length = (length * 8).min(longest + 1);
        }
        let text = self.held_from(offset);
        let text = &text[..memchr(0, text).unwrap_or(text.len())];
        Ok((text.len() <= longest).then_some(text))
    }

    pub(super) fn held(&self, offset: u64, count: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(count)?)
    }

    fn held_from(&self, offset: u64) -> &[u8] {
        let from = offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.bytes.get(from..)).unwrap_or_default()
    }
}
