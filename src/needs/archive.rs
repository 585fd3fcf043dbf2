//! glibc's `locale-archive`: bytes in, the files of one locale out, as `localedef --no-archive` would have written
//! them.
//!
//! The format is glibc's `locale/locarchive.h`, in the byte order of the machine that it is for.

use std::io;

use crate::source::Reader;

/// The categories by their numbers in the archive; 6 is `LC_ALL`, which has no file.
const CATEGORIES: [(usize, &str); 12] = [
    (0, "LC_CTYPE"),
    (1, "LC_NUMERIC"),
    (2, "LC_TIME"),
    (3, "LC_COLLATE"),
    (4, "LC_MONETARY"),
    (5, "LC_MESSAGES/SYS_LC_MESSAGES"),
    (7, "LC_PAPER"),
    (8, "LC_NAME"),
    (9, "LC_ADDRESS"),
    (10, "LC_TELEPHONE"),
    (11, "LC_MEASUREMENT"),
    (12, "LC_IDENTIFICATION"),
];

/// `AR_MAGIC` of locarchive.h.
const MAGIC: u32 = 0xde02_0109;

/// glibc's largest archive has some thousand names; the largest file of a locale has 3 MB.
const MOST_NAMES: u32 = 1 << 16;
const LONGEST_NAME: u64 = 256;
const LARGEST_FILE: u64 = 64 << 20;

/// The files of a locale by their paths below its folder.
pub(super) type Files = Vec<(&'static str, Vec<u8>)>;

/// An archive whose header is sound.
pub(super) struct Archive<'a> {
    reader: &'a Reader,
    little_endian: bool,
    /// Names and the offsets of their records.
    entries: Vec<(Vec<u8>, u64)>,
}

impl<'a> Archive<'a> {
    /// Reads the table of names; `None` when it is no archive.
    pub(super) fn open(reader: &'a Reader) -> io::Result<Option<Self>> {
        let mut archive = Self { reader, little_endian: true, entries: Vec::new() };
        // struct locarhead: magic, serial, then offset, used, size of the hash table of names.
        let Some(header) = archive.bytes(0, 20)? else { return Ok(None) };
        if archive.word(&header, 0) != Some(MAGIC) {
            archive.little_endian = false;
        }
        let (magic, table, slots) = (archive.word(&header, 0), archive.word(&header, 2), archive.word(&header, 4));
        let (Some(MAGIC), Some(table), Some(slots)) = (magic, table, slots) else { return Ok(None) };
        let Some(table) = archive.bytes(table.into(), 12 * u64::from(slots.min(MOST_NAMES)))? else { return Ok(None) };
        for slot in table.chunks_exact(12) {
            // struct namehashent: hash, offset of the name, offset of the record, which is 0 in a free slot.
            let (Some(name), Some(record @ 1..)) = (archive.word(slot, 1), archive.word(slot, 2)) else { continue };
            let longest = LONGEST_NAME.min(reader.size().saturating_sub(name.into()));
            let Some(name) = archive.bytes(name.into(), longest)? else { continue };
            if let Some(end) = memchr::memchr(0, &name) {
                archive.entries.push((name[..end].to_vec(), record.into()));
            }
        }
        archive.entries.sort();
        Ok(Some(archive))
    }

    /// The names of all locales, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|(name, _)| name.as_slice())
    }

    /// The files of a locale.
    pub(super) fn locale(&self, name: &[u8]) -> io::Result<Option<Files>> {
        let Some((_, record)) = self.entries.iter().find(|(known, _)| known == name) else { return Ok(None) };
        // struct locrecent: a count of references, then offset and length for each category.
        let Some(record) = self.bytes(*record, 4 + 8 * 13)? else { return Ok(None) };
        let mut files = Vec::new();
        for (number, path) in CATEGORIES {
            let place = (self.word(&record, 1 + 2 * number), self.word(&record, 2 + 2 * number));
            let (Some(offset), Some(length)) = place else { return Ok(None) };
            let Some(bytes) = self.bytes(offset.into(), length.into())? else { return Ok(None) };
            files.push((path, bytes));
        }
        Ok(Some(files))
    }

    /// Bytes of the archive; `None` where it ends before, or for more than a file of a locale has.
    fn bytes(&self, offset: u64, length: u64) -> io::Result<Option<Vec<u8>>> {
        if length > LARGEST_FILE || offset + length > self.reader.size() {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.reader.read_exact_at(&mut bytes, offset)?;
        Ok(Some(bytes))
    }

    /// A word of some bytes, by its number.
    fn word(&self, bytes: &[u8], number: usize) -> Option<u32> {
        let word = bytes.get(4 * number..)?.first_chunk::<4>()?;
        Some(if self.little_endian { u32::from_le_bytes(*word) } else { u32::from_be_bytes(*word) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Content;

    /// One locale, `xx`, whose categories hold their numbers: header, one slot, the name, the record, the data.
    fn archive() -> Vec<u8> {
        let record = (0..13).flat_map(|category| [184 + category, 1]);
        let header = [MAGIC, 0, 56, 1, 1, 68, 8, 8, 76, 108, 108, 0, 0, 0].into_iter().chain([7, 68, 76]);
        let words = |words: Vec<u32>| words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
        let record = words(std::iter::once(1).chain(record).collect());
        [words(header.collect()), b"xx\0\0\0\0\0\0".to_vec(), record, (0..13).collect()].concat()
    }

    /// What stands in the file of the last category.
    fn last_file(bytes: &[u8]) -> Option<Vec<u8>> {
        let reader = Content::bytes(bytes).open().unwrap();
        let files = Archive::open(&reader).unwrap()?.locale(b"xx").unwrap()?;
        assert_eq!(files.len(), 12);
        files.into_iter().find(|(path, _)| *path == "LC_IDENTIFICATION").map(|(_, bytes)| bytes)
    }

    #[test]
    fn damage_is_no_reason_to_panic() {
        let whole = archive();
        assert_eq!(last_file(&whole), Some(vec![12]));
        for at in 0..whole.len() {
            last_file(&whole[..at]);
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                last_file(&damaged);
            }
        }
    }
}
