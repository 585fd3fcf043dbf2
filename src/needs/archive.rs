//! glibc's `locale-archive`: bytes in, the files of one locale out, as `localedef --no-archive` would have written them.
//!
//! The format is glibc's `locale/locarchive.h`, in the byte order of the machine that it is for.

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

/// An archive whose header is sound.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    little_endian: bool,
    names: u32,
    slots: u32,
}

impl<'a> Archive<'a> {
    /// Reads the header; `None` when it is no archive.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let magic = bytes.first_chunk::<4>()?;
        let little_endian = match (u32::from_le_bytes(*magic), u32::from_be_bytes(*magic)) {
            (MAGIC, _) => true,
            (_, MAGIC) => false,
            _ => return None,
        };
        let archive = Self { bytes, little_endian, names: 0, slots: 0 };
        // struct locarhead: magic, serial, then offset, used, size of the hash table of names.
        let (names, slots) = (archive.word(8)?, archive.word(16)?);
        Some(Self { names, slots, ..archive })
    }

    /// The names of all locales, sorted.
    pub(super) fn names(&self) -> Vec<&'a [u8]> {
        let mut names: Vec<_> = self.entries().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    /// The files of a locale, by their paths below its folder.
    pub(super) fn locale(&self, name: &[u8]) -> Option<Vec<(&'static str, &'a [u8])>> {
        let (_, record) = self.entries().find(|(known, _)| *known == name)?;
        let mut files = Vec::new();
        for (number, path) in CATEGORIES {
            // struct locrecent: a count of references, then offset and length for each category.
            let at = record.checked_add(4 + 8 * u32::try_from(number).ok()?)?;
            let (offset, length) = (self.word(at)?, self.word(at.checked_add(4)?)?);
            let start = usize::try_from(offset).ok()?;
            files.push((path, self.bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)?));
        }
        Some(files)
    }

    /// Names and the offsets of their records. struct namehashent: hash, offset of the name, offset of the record,
    /// which is 0 in a free slot.
    fn entries(&self) -> impl Iterator<Item = (&'a [u8], u32)> {
        let slots = self.bytes.len() / 12;
        (0..self.slots).take(slots).filter_map(|slot| {
            let at = self.names.checked_add(slot.checked_mul(12)?)?;
            let (name, record) = (self.word(at.checked_add(4)?)?, self.word(at.checked_add(8)?)?);
            let name = self.bytes.get(usize::try_from(name).ok()?..)?;
            let name = name.get(..memchr::memchr(0, name)?)?;
            (record != 0).then_some((name, record))
        })
    }

    fn word(&self, offset: u32) -> Option<u32> {
        let word = self.bytes.get(usize::try_from(offset).ok()?..)?.first_chunk::<4>()?;
        Some(if self.little_endian { u32::from_le_bytes(*word) } else { u32::from_be_bytes(*word) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One locale, `xx`, whose categories hold their numbers: header, one slot, the name, the record, the data.
    fn archive() -> Vec<u8> {
        let record = (0..13).flat_map(|category| [184 + category, 1]);
        let header = [MAGIC, 0, 56, 1, 1, 68, 8, 8, 76, 108, 108, 0, 0, 0].into_iter().chain([7, 68, 76]);
        let words = |words: Vec<u32>| words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
        let record = words(std::iter::once(1).chain(record).collect());
        [words(header.collect()), b"xx\0\0\0\0\0\0".to_vec(), record, (0..13).collect()].concat()
    }

    #[test]
    fn damage_is_no_reason_to_panic() {
        let whole = archive();
        let read = |bytes: &[u8]| Archive::parse(bytes).and_then(|archive| Some(archive.locale(b"xx")?.len()));
        assert_eq!(read(&whole), Some(12));
        assert_eq!(Archive::parse(&whole).unwrap().locale(b"xx").unwrap()[11], ("LC_IDENTIFICATION", &[12][..]));
        for at in 0..whole.len() {
            read(&whole[..at]);
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                read(&damaged);
            }
        }
    }
}
