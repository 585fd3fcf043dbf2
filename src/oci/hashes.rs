//! What identifies the bytes of a file in documents: SHA-256, and SHA-1, which SPDX 2.3 (section 8.4) asks of every
//! file. Both are made in one pass, while the bytes are in the processor's caches.

use sha1::Digest as _;

use super::abreast::{self, BLOCK, States};
use super::digest::{go_on, words};
use super::{Digest, Sha256};

/// The hashes of a file. Nothing here relies on SHA-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashes {
    /// SHA-256.
    pub sha256: Digest,
    /// SHA-1.
    pub sha1: [u8; 20],
}

impl Hashes {
    /// The hashes of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Both hashes while bytes come.
#[derive(Clone, Default)]
pub struct Hasher {
    sha256: Sha256,
    sha1: sha1::Sha1,
}

/// How much is given to one hash before the other has its turn: two blocks; one where three take turns. Each waits for
/// its own last step, so that a processor works on all of them when they come close enough; a third less time than one
/// after the other.
const TURN: usize = 128;

impl Hasher {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for turn in bytes.chunks(TURN) {
            self.sha256.update(turn);
            self.sha1.update(turn);
        }
    }

    /// Takes more bytes, which are the next of a stream that has a digest of its own, too.
    pub fn update_beside(&mut self, bytes: &[u8], stream: &mut Sha256) {
        let (blocks, rest) = bytes.as_chunks();
        let rest = if self.take_blocks(blocks, stream) { rest } else { bytes };
        for turn in rest.chunks(TURN / 2) {
            stream.update(turn);
            self.sha256.update(turn);
            self.sha1.update(turn);
        }
    }

    /// Takes whole blocks at once, where all three are between two blocks. `false` when nothing was taken.
    fn take_blocks(&mut self, blocks: &[[u8; BLOCK]], stream: &mut Sha256) -> bool {
        let is_between = |size: u64| size.is_multiple_of(BLOCK as u64);
        if blocks.is_empty() || !is_between(self.size()) || !is_between(stream.size()) {
            return false;
        }
        let (mut of_stream, mut of_file, mut sha1) = (stream.words(), self.sha256.words(), words(&self.sha1));
        let states = States { stream: &mut of_stream, file: &mut of_file, sha1: &mut sha1 };
        let taken = abreast::take(blocks, states);
        if taken {
            stream.go_on(&of_stream, blocks.len());
            self.sha256.go_on(&of_file, blocks.len());
            go_on(&mut self.sha1, &sha1, blocks.len());
        }
        taken
    }

    /// How many bytes it took.
    pub fn size(&self) -> u64 {
        self.sha256.size()
    }

    /// The hashes of all bytes taken.
    pub fn finish(self) -> Hashes {
        Hashes { sha256: self.sha256.finish(), sha1: self.sha1.finalize().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_the_whole() {
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut hasher = Hasher::default();
        for part in bytes.chunks(70_001) {
            hasher.update(part);
        }
        assert_eq!(hasher.size(), bytes.len() as u64);
        let whole: [u8; 20] = sha1::Sha1::digest(&bytes).into();
        assert_eq!(hasher.finish(), Hashes { sha256: Digest::of(&bytes), sha1: whole });
        assert_eq!(Hashes::of(b"abc").sha1[..4], [0xa9, 0x99, 0x3e, 0x36]);
    }

    #[test]
    fn a_file_of_a_stream_has_the_hashes_that_it_has_alone() {
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for (head, part) in [(4, 70_001), (512, 70_001), (512, 65_536), (512, 64), (512, 63), (0, 400_000), (64, 130)] {
            for size in [0, 1, 63, 64, 65, 128, 4_000, 400_000] {
                let (head, bytes) = (&bytes[..head], &bytes[..size]);
                let (mut hasher, mut stream) = (Hasher::default(), Sha256::default());
                stream.update(head);
                for part in bytes.chunks(part) {
                    hasher.update_beside(part, &mut stream);
                }
                assert_eq!((hasher.size(), stream.size()), (size as u64, (head.len() + size) as u64));
                let sha1: [u8; 20] = sha1::Sha1::digest(bytes).into();
                assert_eq!(hasher.finish(), Hashes { sha256: Digest::of(bytes), sha1 }, "{size} bytes in {part}");
                assert_eq!(stream.finish(), Digest::of(&[head, bytes].concat()), "{size} bytes in {part}");
            }
        }
    }
}
