//! Filling a piece: records are written anew, data is read from the files at the offsets that the piece covers.

use std::io;
use std::time::Duration;

use super::piece::{self, Piece, stream_size};
use super::record::Member;
use super::watch::{Activity, Watch};
use crate::source::Reader;

/// The bytes of a piece, in a buffer that is used for many.
#[derive(Debug, Default)]
pub(super) struct Raw {
    buffer: Vec<u8>,
    size: usize,
    /// The most that was used of it.
    used: usize,
}

impl Raw {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.size]
    }

    /// How many bytes of it were used, and are memory since.
    pub(super) fn room(&self) -> usize {
        self.used
    }

    /// Empties it, with room for `size` bytes.
    fn begin(&mut self, size: usize) {
        if self.buffer.len() < size {
            self.buffer = vec![0; piece::room_for(size)];
            self.used = 0;
        }
        self.used = self.used.max(size);
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
pub(super) struct Filler<'a> {
    head: Vec<u8>,
    watch: Option<&'a dyn Watch>,
    /// How long files were read for this piece, when somebody watches.
    reading: Duration,
}

impl<'a> Filler<'a> {
    pub(super) fn new(watch: Option<&'a dyn Watch>) -> Self {
        Self { watch, ..Self::default() }
    }

    /// Fills `raw` with the bytes of a piece.
    ///
    /// # Errors
    /// When a file can't be read or is no longer what it was when it was looked at.
    pub(super) fn fill(&mut self, members: &[Member], piece: &Piece, raw: &mut Raw) -> Result<(), Unreadable> {
        let Some(watch) = self.watch else { return self.fill_all(members, piece, raw) };
        let from = watch.now();
        self.reading = Duration::ZERO;
        let filled = self.fill_all(members, piece, raw);
        // Reads and records take turns file by file: shown one after the other.
        watch.did(Activity::Read, from, from + self.reading);
        watch.did(Activity::Tar, from + self.reading, watch.now());
        filled
    }

    fn fill_all(&mut self, members: &[Member], piece: &Piece, raw: &mut Raw) -> Result<(), Unreadable> {
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
            let from = self.watch.map(Watch::now);
            let reader: Reader = content.open_to_pack()?;
            reader.read_exact_at(raw.space(to_usize(end - start)), start - head)?;
            reader.finish()?;
            if let (Some(watch), Some(from)) = (self.watch, from) {
                self.reading += watch.now().saturating_sub(from);
            }
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
