//! ZIP archives as Java reads them, by the central directory at their end: an open file in, members by name out.
//!
//! Checks no checksum and trusts no number in the archive: what lies outside of the file, or is larger than the caller
//! wants, is a fault.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;

use crate::source::Reader;

/// The largest directory that is read: a member takes about a hundred bytes.
const LARGEST_DIRECTORY: u64 = 64 << 20;
/// The end of the directory with the longest comment, and what ZIP64 has before it.
const LONGEST_END: u64 = 22 + 0xffff + 20;

/// An archive and its members.
pub(crate) struct Archive<'a> {
    reader: &'a Reader,
    /// Where the archive begins: something else may stand before it, as a start script.
    start: u64,
    /// Its members, in their order.
    pub(crate) members: Vec<Member>,
}

/// A member. Those of 4 GiB and more are not listed.
pub(crate) struct Member {
    /// Its path, as the archive has it.
    pub(crate) name: Vec<u8>,
    deflated: bool,
    packed: u64,
    /// How large it is, as the archive says.
    size: u64,
    header: u64,
}

impl<'a> Archive<'a> {
    /// Reads the directory.
    ///
    /// # Errors
    /// When the file is no whole archive, or can't be read.
    pub(crate) fn open(reader: &'a Reader) -> io::Result<Self> {
        let length = reader.size().min(LONGEST_END);
        let tail_at = reader.size() - length;
        let tail = read(reader, tail_at, length)?;
        let end = memchr::memmem::rfind(&tail, b"PK\x05\x06").ok_or_else(|| fault("has no directory"))?;
        let record = tail.get(end..end + 22).ok_or_else(|| fault("ends in its directory's end"))?;
        let (mut size, mut offset) = (u64::from(word(record, 12)), u64::from(word(record, 16)));
        let mut after = tail_at + end as u64;
        if let Some(wide) =
            end.checked_sub(20).and_then(|at| tail.get(at..end)).filter(|it| it.starts_with(b"PK\x06\x07"))
        {
            // What stands before the archive is not in its numbers: the record is looked for where it usually stands.
            let usual = after.checked_sub(20 + 56).ok_or_else(|| fault("ends in its directory's end"))?;
            let places = [usual, long(wide, 8)];
            let found = places.iter().find_map(|at| Some((*at, read(reader, *at, 56).ok()?)));
            let found = found.filter(|(_, record)| record.starts_with(b"PK\x06\x06"));
            let (at, record) = found.ok_or_else(|| fault("has no ZIP64 directory where it says"))?;
            (size, offset, after) = (long(&record, 40), long(&record, 48), at);
        }
        let at = after.checked_sub(size).ok_or_else(|| fault("has a directory larger than itself"))?;
        let start = at.checked_sub(offset).ok_or_else(|| fault("has its directory elsewhere"))?;
        if size > LARGEST_DIRECTORY {
            return Err(fault("has a directory beyond all measure"));
        }
        Ok(Self { reader, start, members: members(&read(reader, at, size)?)? })
    }

    /// Opens a member for reading. Reading ends after `limit` bytes.
    ///
    /// # Errors
    /// When the member is not where the directory says, or is larger.
    pub(crate) fn read(&self, member: &Member, limit: u64) -> io::Result<Box<dyn Read + '_>> {
        if member.size > limit {
            return Err(fault("has a member that is too large"));
        }
        let header = self.start.checked_add(member.header).ok_or_else(|| fault("has a member beyond its end"))?;
        let fixed = read(self.reader, header, 30)?;
        if !fixed.starts_with(b"PK\x03\x04") {
            return Err(fault("has no member where its directory says"));
        }
        let at = header + 30 + u64::from(half(&fixed, 26)) + u64::from(half(&fixed, 28));
        let packed = Part { reader: self.reader, at, end: at.saturating_add(member.packed) };
        Ok(if member.deflated {
            Box::new(DeflateDecoder::new(io::BufReader::with_capacity(1 << 16, packed)).take(limit))
        } else {
            Box::new(packed.take(limit))
        })
    }
}

/// The members that a directory lists.
fn members(mut directory: &[u8]) -> io::Result<Vec<Member>> {
    let mut members = Vec::new();
    while directory.starts_with(b"PK\x01\x02") {
        let fixed = directory.get(..46).ok_or_else(|| fault("ends in its directory"))?;
        let (name, extra, comment) = (half(fixed, 28), half(fixed, 30), half(fixed, 32));
        let end = 46 + usize::from(name) + usize::from(extra) + usize::from(comment);
        let text = directory.get(46..46 + usize::from(name)).ok_or_else(|| fault("ends in its directory"))?;
        let (packed, size, header) = (word(fixed, 20), word(fixed, 24), word(fixed, 42));
        let method = half(fixed, 10);
        let encrypted = half(fixed, 8) & 1 != 0;
        if matches!(method, 0 | 8) && !encrypted && ![packed, size, header].contains(&u32::MAX) {
            members.push(Member {
                name: text.to_vec(),
                deflated: method == 8,
                packed: packed.into(),
                size: size.into(),
                header: header.into(),
            });
        }
        directory = directory.get(end..).ok_or_else(|| fault("ends in its directory"))?;
    }
    Ok(members)
}

/// Some bytes of a file, one after the other.
struct Part<'a> {
    reader: &'a Reader,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let done = self.reader.read_at(&mut buffer[..count], self.at)?;
        self.at += done as u64;
        Ok(done)
    }
}

fn read(reader: &Reader, at: u64, length: u64) -> io::Result<Vec<u8>> {
    if at.checked_add(length).is_none_or(|end| end > reader.size()) {
        return Err(fault("names a place beyond its end"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    reader.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

fn fault(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A number at a place of a record whose length was checked; little-endian.
fn bytes<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
    record.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn half(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes(record, at))
}

fn word(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes(record, at))
}

fn long(record: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes(record, at))
}
