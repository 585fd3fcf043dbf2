//! The header of a compiled Python file (PEP 552): read, judged against its source, written anew.

use super::siphash::siphash;

/// What stands before the code: the magic number, flags, and two words.
pub(super) const LENGTH: usize = 16;
/// Flags: found by a hash of the source, not by its time.
const HASH: u32 = 1;
/// Flags: the hash is to be compared with the source at every import.
const CHECKED: u32 = 2;
/// The first magic number whose files have flags: Python 3.7's first.
const FLAGS_SINCE: u16 = 3390;
/// The first magic number of 3.11, which hashes by SipHash-1-3 where earlier ones used SipHash-2-4.
const SIPHASH_13_SINCE: u16 = 3450;

/// The magic numbers of `CPython`'s releases, by the minor version in the names of their files.
const RELEASES: [(&[u8], u16); 8] = [
    (b"37", 3394),
    (b"38", 3413),
    (b"39", 3425),
    (b"310", 3439),
    (b"311", 3495),
    (b"312", 3531),
    (b"313", 3571),
    (b"314", 3627),
];

/// How Python decides whether the file is up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// By the source's modification time and size, each modulo 2^32.
    Time { mtime: u32, size: u32 },
    /// By a hash of the source, compared at every import.
    Hash([u8; 8]),
    /// Not at all.
    None,
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    magic: [u8; 4],
    pub(super) check: Check,
}

impl Header {
    /// Reads the first bytes of a file; none when no Python since 3.7 takes them.
    pub(super) fn parse(head: [u8; LENGTH]) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let magic = [head[0], head[1], head[2], head[3]];
        if !magic.ends_with(b"\r\n") || u16::from_le_bytes([magic[0], magic[1]]) < FLAGS_SINCE {
            return None;
        }
        let mut hash = [0; 8];
        hash.copy_from_slice(&head[8..]);
        let check = match word(4) {
            0 => Check::Time { mtime: word(8), size: word(12) },
            HASH => Check::None,
            flags if flags == HASH | CHECKED => Check::Hash(hash),
            _ => return None,
        };
        Some(Self { magic, check })
    }

    /// Whether the interpreter that looks for files of this tag, as `cpython-311`, takes the magic number. Of tags that
    /// are not known, as those of later releases, nothing is said.
    pub(super) fn fits(&self, tag: &[u8]) -> bool {
        let Some(version) = tag.strip_prefix(b"cpython-") else { return true };
        RELEASES.iter().find(|(known, _)| *known == version).is_none_or(|(_, magic)| *magic == self.number())
    }

    /// What `importlib.util.source_hash` gives for a source.
    pub(super) fn source_hash(&self, source: &[u8]) -> [u8; 8] {
        let key = u64::from(u32::from_le_bytes(self.magic));
        let (compression, finish) = if self.number() >= SIPHASH_13_SINCE { (1, 3) } else { (2, 4) };
        siphash(compression, finish, key, source).to_le_bytes()
    }

    /// A header that Python takes without looking at the source.
    pub(super) fn unchecked(&self, source: &[u8]) -> [u8; LENGTH] {
        let mut head = [0; LENGTH];
        head[..4].copy_from_slice(&self.magic);
        head[4..8].copy_from_slice(&HASH.to_le_bytes());
        head[8..].copy_from_slice(&self.source_hash(source));
        head
    }

    fn number(&self) -> u16 {
        u16::from_le_bytes([self.magic[0], self.magic[1]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `_imp.source_hash(importlib.util._RAW_MAGIC_NUMBER, ..)` gives in each release.
    #[test]
    fn hashes_sources_as_each_release_does() {
        let print = b"print(1)\n".repeat(5);
        for (magic, expected) in [
            (3394, ["85ee0caabd83b6a7", "a51f4c64305197fb", "3af19f64447f61ac", "545ee040149d80d3"]),
            (3439, ["8cc0cd2525e7fd27", "3f75554bda1e742f", "b849ee5673b9ef96", "44ffd0370b18e871"]),
            (3495, ["738d9cd5d5e87f73", "fa30db0730dcbf07", "34289d744291b0e4", "dc60134d10ae1add"]),
            (3571, ["27ec6d312f93b814", "4edf51a8923be584", "e0c23e34a5a68379", "fee16a833397a59c"]),
        ] {
            let mut head = [0; LENGTH];
            head[..2].copy_from_slice(&u16::to_le_bytes(magic));
            head[2..4].copy_from_slice(b"\r\n");
            let header = Header::parse(head).unwrap();
            for (source, expected) in [b"".as_slice(), b"a", b"12345678", &print].into_iter().zip(expected) {
                let hash = format!("{:016x}", u64::from_be_bytes(header.source_hash(source)));
                assert_eq!(hash, expected, "{magic} {source:?}");
            }
        }
    }
}
