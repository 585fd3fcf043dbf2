//! Filling a piece: records are written anew, data is read from the files at the offsets that the piece covers. Where
//! only the hash of a piece is wanted, it goes through a small buffer.

use std::io;
use std::time::Duration;

use super::piece::{self, Piece, stream_size};
use super::record::Member;
use super::watch::{Activity, Watch};
use crate::cache::{ContentKey, Key};
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
}

/// Where the bytes of a piece go, one after the other.
trait Sink {
    /// Room for the next `size` bytes, or for the first of them. It is filled before more is asked for.
    fn space(&mut self, size: usize) -> &mut [u8];

    fn zeros(&mut self, mut size: usize) {
        while size > 0 {
            let space = self.space(size);
            space.fill(0);
            size -= space.len();
        }
    }

    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space(bytes.len());
            let (now, later) = bytes.split_at(space.len());
            space.copy_from_slice(now);
            bytes = later;
        }
    }
}

impl Sink for Raw {
    fn space(&mut self, size: usize) -> &mut [u8] {
        let start = self.size;
        self.size += size;
        &mut self.buffer[start..start + size]
    }
}

/// How much is hashed at a time: it is still in a processor's own cache then, and is no memory to speak of.
const WINDOW: usize = 128 << 10;

/// The hash of the bytes that go through it.
#[derive(Default)]
struct Window<'a> {
    buffer: Vec<u8>,
    size: usize,
    hash: ContentKey,
    watch: Option<&'a dyn Watch>,
    /// How long it took, when somebody watches.
    hashing: Duration,
}

impl Sink for Window<'_> {
    fn space(&mut self, size: usize) -> &mut [u8] {
        if self.size == self.buffer.len() {
            self.empty();
        }
        let start = self.size;
        self.size += size.min(self.buffer.len() - start);
        &mut self.buffer[start..self.size]
    }
}

impl Window<'_> {
    fn empty(&mut self) {
        let from = self.watch.map(Watch::now);
        self.hash.update(&self.buffer[..self.size]);
        self.size = 0;
        if let (Some(watch), Some(from)) = (self.watch, from) {
            self.hashing += watch.now().saturating_sub(from);
        }
    }

    fn finish(&mut self) -> Key {
        self.empty();
        std::mem::take(&mut self.hash).finish()
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
    /// The buffer of [`Filler::hash`].
    buffer: Vec<u8>,
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

    /// The hash of the bytes of a piece.
    ///
    /// # Errors
    /// As [`Filler::fill`].
    pub(super) fn hash(&mut self, members: &[Member], piece: &Piece) -> Result<Key, Unreadable> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(WINDOW, 0);
        let mut window = Window { buffer, watch: self.watch, ..Window::default() };
        let from = self.watch.map(Watch::now);
        self.reading = Duration::ZERO;
        let filled = self.put_all(members, piece, &mut window);
        let hash = window.finish();
        if let (Some(watch), Some(from)) = (self.watch, from) {
            let read = from + self.reading;
            watch.did(Activity::Read, from, read);
            watch.did(Activity::Hash, read, read + window.hashing);
            watch.did(Activity::Tar, read + window.hashing, watch.now());
        }
        self.buffer = window.buffer;
        filled.map(|()| hash)
    }

    fn fill_all(&mut self, members: &[Member], piece: &Piece, raw: &mut Raw) -> Result<(), Unreadable> {
        raw.begin(piece.size());
        self.put_all(members, piece, raw)
    }

    fn put_all(&mut self, members: &[Member], piece: &Piece, raw: &mut impl Sink) -> Result<(), Unreadable> {
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
    fn part(&mut self, member: &Member, from: u64, to: u64, raw: &mut impl Sink) -> io::Result<()> {
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
            let mut at = start;
            while at < end {
                let space = raw.space(to_usize(end - at));
                reader.read_exact_at(space, at - head)?;
                at += space.len() as u64;
            }
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

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::super::{LayerPlan, parent_entry};
    use super::*;
    use crate::cache::key_of;
    use crate::path::ImagePath;
    use crate::source::Content;
    use crate::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

    #[test]
    fn a_piece_has_the_hash_of_its_bytes_however_they_meet_the_window() {
        let entry = |size: usize| {
            let bytes: Vec<u8> = (0..=250).cycle().take(size).collect();
            let reason = Reason::new(Cause::Generated("a test"), None);
            Entry::new(EntryKind::File(Content::bytes(bytes)), 0o644, Rank::Generated, reason)
        };
        // A record ends where the window does, just before, just behind; a file is larger than several of it.
        let sizes = [WINDOW - 512, 1, 0, WINDOW - 1536, WINDOW + 1, 511, 512, 513, 5 * WINDOW + 7, 3 << 20];
        let tree: Tree = sizes
            .iter()
            .enumerate()
            .map(|(number, size)| (ImagePath::new(format!("/file{number}")).unwrap(), entry(*size)))
            .collect();
        let plan = LayerPlan { name: "all".to_owned(), paths: tree.iter().map(|(path, _)| path.clone()).collect() };
        let parent = parent_entry();
        let layout = Layout::new(&tree, &plan, &parent);
        assert!(layout.pieces.len() > 3);
        let (mut filler, mut raw) = (Filler::default(), Raw::default());
        for piece in &layout.pieces {
            filler.fill(&layout.members, piece, &mut raw).unwrap();
            assert_eq!(filler.hash(&layout.members, piece).unwrap(), key_of(raw.bytes()), "{piece:?}");
        }
    }
}
