//! Filling a piece: records are written anew, data is read from the files at the offsets that the piece covers.

use std::io;

use super::piece::{Piece, stream_size};
use super::record::Member;
use crate::source::Reader;

/// The bytes of a piece, in a buffer that is used for many.
#[derive(Debug, Default)]
pub(super) struct Raw {
    buffer: Vec<u8>,
    size: usize,
}

impl Raw {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.size]
    }

    /// Empties it, with room for `size` bytes. Room that was not used yet costs no memory.
    fn begin(&mut self, size: usize) {
        if self.buffer.len() < size {
            self.buffer = vec![0; size];
        }
        self.size = 0;
    }

    fn space(&mut self, size: usize) -> &mut [u8] {
        let start = self.size;
        self.size += size;
        &mut self.buffer[start..start + size]
    }

    fn zeros(&mut self, size: usize) {
        self.space(size).fill(0);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.space(bytes.len()).copy_from_slice(bytes);
    }
}

/// Why a piece could not be filled: which member's file, and what the system said.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) member: usize,
    pub(super) error: io::Error,
}

/// Fills pieces; one for each thread.
#[derive(Debug, Default)]
pub(super) struct Filler {
    head: Vec<u8>,
}

impl Filler {
    /// Fills `raw` with the bytes of a piece.
    ///
    /// # Errors
    /// When a file can't be read or is no longer what it was when it was looked at.
    pub(super) fn fill(&mut self, members: &[Member], piece: &Piece, raw: &mut Raw) -> Result<(), Unreadable> {
        raw.begin(piece.size());
        if piece.is_last() {
            raw.zeros(piece.size());
            return Ok(());
        }
        let mut base = 0;
        for index in piece.members.clone() {
            let member = &members[index];
            let length = stream_size(member);
            let from = piece.bytes.start.saturating_sub(base);
            let to = (piece.bytes.end - base).min(length);
            self.part(member, from, to, raw).map_err(|error| Unreadable { member: index, error })?;
            base += length;
        }
        Ok(())
    }

    /// Adds the bytes `from..to` of a member: of its records, its data and its padding.
    fn part(&mut self, member: &Member, from: u64, to: u64, raw: &mut Raw) -> io::Result<()> {
        self.head.clear();
        member.write_head(&mut self.head);
        let head = self.head.len() as u64;
        let data = head + member.data();
        if from < head {
            raw.put(&self.head[to_usize(from)..to_usize(to.min(head))]);
        }
        let (start, end) = (from.max(head), to.min(data));
        if start < end
            && let Some(content) = member.entry().content()
        {
            let reader: Reader = content.open()?;
            reader.read_exact_at(raw.space(to_usize(end - start)), start - head)?;
            reader.finish()?;
        }
        if to > data {
            raw.zeros(to_usize(to - from.max(data)));
        }
        Ok(())
    }
}

/// Offsets inside a piece, which fits into memory.
fn to_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
