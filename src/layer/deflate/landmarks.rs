//! Finding where blocks probably begin, somewhere in a stream.
//!
//! A dynamic block begins with codes, and a code must be complete: bits that were made for something else hardly ever
//! are. Still, bytes can be made so that they are, so what is found here is where to try, never a fact.

use super::Malformed;
use super::bits::{Bits, word_at};
use super::codes::Lengths;

/// Beyond this many bits a search is given up. Few blocks of libdeflate are as long.
const REACH: usize = 1 << 19;
/// A shorter stream, in bits, is walked before anything is found in it.
const SHORT: usize = 1 << 18;

/// Where blocks seem to begin that part a stream into `count` and one parts of about the same size; fewer, when some
/// are not found.
pub(super) fn spread(stream: &[u8], count: usize) -> Vec<usize> {
    let size = stream.len() * 8;
    // One that begins with a stored block has more of them, in all likelihood, and few symbols.
    if size < SHORT || stream[0] & 0b110 == 0 {
        return Vec::new();
    }
    let mut found: Vec<_> = (1..=count).filter_map(|part| next_block(stream, size / (count + 1) * part)).collect();
    found.dedup();
    found
}

/// Where a dynamic block that is not the last seems to begin, at a position or soon after it.
pub(super) fn next_block(stream: &[u8], from: usize) -> Option<usize> {
    let mut lengths = Lengths::default();
    (from / 8..(from + REACH) / 8).step_by(HEADS / 8).find_map(|start| {
        let word = u64::from_le_bytes(*stream.get(start..)?.first_chunk()?);
        let mut heads = heads(word);
        while heads != 0 {
            let position = start * 8 + heads.trailing_zeros() as usize;
            if is_header(stream, position, &mut lengths) {
                return Some(position);
            }
            heads &= heads - 1;
        }
        None
    })
}

/// How many positions [`heads`] decides on.
const HEADS: usize = 48;

/// At which bits of a word a header may begin: not the last block, dynamic (0, then 2 in two bits), neither number of
/// codes is beyond what DEFLATE has, which would be one with its four upper bits set, and there are codes for twelve
/// code lengths or more, as in any block of more than a few kinds of bytes.
fn heads(word: u64) -> u64 {
    let bit = |at: u32| word >> at;
    let too_many = |at| bit(at) & bit(at + 1) & bit(at + 2) & bit(at + 3);
    !bit(0) & !bit(1) & bit(2) & !too_many(4) & !too_many(9) & bit(16) & ((1 << HEADS) - 1)
}

/// Whether a header is at a position where one may begin: all of it reads, and its codes use up all there is.
fn is_header(stream: &[u8], position: usize, lengths: &mut Lengths) -> bool {
    has_whole_length_code(stream, position) == Ok(true)
        && lengths.read(&mut Bits::new(stream, position + 3)).is_ok()
        && lengths.are_whole()
}

/// Whether the code of code lengths uses up all there is: what decides on nearly all positions.
fn has_whole_length_code(stream: &[u8], position: usize) -> Result<bool, Malformed> {
    let count = 4 + (word_at(stream, position + 13)? & 15);
    let lengths = word_at(stream, position + 17)? & ((1 << (3 * count)) - 1);
    let share = |at: u32| u32::from(SHARES[(lengths >> at & 0xfff) as usize]);
    Ok(share(0) + share(12) + share(24) + share(36) + share(48) == 128)
}

/// What four lengths of three bits use up of a code, in parts of 128; 255 when it is more.
const SHARES: [u8; 1 << 12] = {
    let mut shares = [0; 1 << 12];
    let mut lengths = 0;
    while lengths < shares.len() {
        let mut rest = lengths;
        let mut share = 0u8;
        while rest > 0 {
            if rest & 7 > 0 {
                share = share.saturating_add(128 >> (rest & 7));
            }
            rest >>= 3;
        }
        shares[lengths] = share;
        lengths += 1;
    }
    shares
};
