//! Lines about paths, in bytes that can be kept: each has its path by what it does not share with the one before it, a
//! byte for its kind, and what the kind has to say.

use std::io::{self, Write};

use crate::path::ImagePath;

/// Where in a line its kind is.
pub(super) const KIND: usize = 4;

/// Writes lines.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    before: Vec<u8>,
}

impl Writer {
    /// Begins a line.
    pub(crate) fn line(&mut self, path: &ImagePath, kind: u8) {
        let path = path.as_bytes();
        let same = self.before.iter().zip(path).take_while(|(a, b)| a == b).count().min(usize::from(u16::MAX));
        let length = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
        self.bytes.extend(length(same));
        self.bytes.extend(length(path.len() - same));
        self.bytes.push(kind);
        self.bytes.extend(&path[same..]);
        path.clone_into(&mut self.before);
    }

    /// Adds to the line.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Adds bytes, and before them how many.
    pub(crate) fn put_counted(&mut self, bytes: &[u8]) {
        self.bytes.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend(bytes);
    }

    /// Writes what there is so far, and lets go of it.
    pub(crate) fn drain(&mut self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// All lines.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads lines.
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    path: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, path: Vec::new() }
    }

    /// Whether there is no further line.
    pub(crate) fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Begins with the next line: its path and its kind. `None` when the bytes are no lines.
    pub(crate) fn begin(&mut self) -> Option<(&[u8], u8)> {
        let head = self.take(5)?;
        let [same, size] = [[head[0], head[1]], [head[2], head[3]]].map(|two| usize::from(u16::from_le_bytes(two)));
        let own = self.take(size)?;
        self.path.truncate(same);
        self.path.extend(own);
        Some((&self.path, head[KIND]))
    }

    /// The next bytes of the line.
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    /// What [`Writer::put_counted`] added.
    pub(crate) fn take_counted(&mut self) -> Option<&'a [u8]> {
        let count = u32::from_le_bytes(*self.take(4)?.first_chunk()?);
        self.take(usize::try_from(count).ok()?)
    }

    /// How many bytes are before this place.
    pub(crate) fn at(&self) -> usize {
        self.at
    }
}
