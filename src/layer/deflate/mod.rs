//! Joining DEFLATE streams (RFC 1951) into one.
//!
//! In: a whole stream as libdeflate makes it. Out: the same with its last block no longer marked as the last, and an
//! empty stored block after it that ends on a byte, so that another stream can follow. libdeflate has no flush and
//! does not say where its last block begins, so its blocks are walked symbol by symbol, without decoding any data.

mod bits;
mod codes;
mod table;

use bits::Bits;
use codes::Codes;

/// How many bytes [`open_end`] may add.
pub(super) const SEAM: usize = 5;

/// A stream that ends early or breaks a rule of DEFLATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("internal error: a DEFLATE stream does not parse")]
pub(super) struct Malformed;

/// Opens the end of the stream in `buffer[..size]`, in place. Returns its new size.
///
/// # Errors
/// When the stream does not parse, or the buffer has no room for [`SEAM`] bytes more.
pub(super) fn open_end(buffer: &mut [u8], size: usize) -> Result<usize, Malformed> {
    let (last_header, end) = last_block(buffer.get(..size).ok_or(Malformed)?)?;
    buffer[last_header / 8] &= !(1 << (last_header % 8));
    // Three zero bits are the header of a stored block that is not the last; then up to the next byte, and no bytes.
    let seam = (end + 3).div_ceil(8);
    let seam_bytes = buffer.get_mut(size..seam + 4).ok_or(Malformed)?;
    seam_bytes.fill(0);
    buffer[seam + 2..seam + 4].fill(0xff);
    Ok(seam + 4)
}

/// Where the header of the last block is, and where the block ends, in bits.
fn last_block(stream: &[u8]) -> Result<(usize, usize), Malformed> {
    let mut bits = Bits::new(stream);
    let mut codes = Codes::default();
    loop {
        let header = bits.position();
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => bits.skip_stored()?,
            1 => {
                codes.set_fixed()?;
                codes.walk(&mut bits)?;
            }
            2 => {
                codes.read(&mut bits)?;
                codes.walk(&mut bits)?;
            }
            _ => return Err(Malformed),
        }
        if is_last {
            return Ok((header, bits.position()));
        }
    }
}

/// Whether a fragment is a sound part of a DEFLATE stream and inflates to `piece`. One that ends the stream must be the
/// last, and nothing may stand behind its end: what follows it in a blob would not be reached.
pub(super) fn inflates_to(fragment: &[u8], last: bool, piece: &[u8]) -> bool {
    // An empty block that is the last ends what is open.
    let end: &[u8] = if last { b"" } else { &[0b011, 0] };
    let whole = [fragment, end].concat();
    let ends_there = last_block(&whole)
        .is_ok_and(|(header, end)| if last { end.div_ceil(8) == fragment.len() } else { header == fragment.len() * 8 });
    let mut out = vec![0; piece.len() + 1];
    ends_there
        && libdeflater::Decompressor::new().deflate_decompress(&whole, &mut out) == Ok(piece.len())
        && out[..piece.len()] == *piece
}

#[cfg(test)]
mod tests {
    use super::*;
    use libdeflater::{CompressionLvl, Compressor};
    use std::io::Read;

    /// Bytes of several kinds: text, runs, noise, so that blocks of every type and long codes come up.
    fn sample(seed: u32, size: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        let mut out = Vec::new();
        while out.len() < size {
            let count = (next() % 3000) as usize;
            match next() % 5 {
                0 => out.extend((0..count).map(|_| next().to_le_bytes()[1])),
                1 => out.extend(std::iter::repeat_n(next().to_le_bytes()[1], count)),
                2 => out.extend((0..count).map(|_| b"etaoin shrdlu"[(next().trailing_zeros() % 13) as usize])),
                3 => out.extend((0..count).map(|_| next().leading_zeros().to_le_bytes()[0])),
                _ => {
                    let from = next() as usize % (out.len() + 1);
                    let to = (from + count).min(out.len());
                    out.extend_from_within(from..to);
                }
            }
        }
        out.truncate(size);
        out
    }

    fn fragment(level: u8, piece: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::new(level.into()).unwrap());
        let mut out = vec![0; compressor.deflate_compress_bound(piece.len()) + SEAM];
        let size = compressor.deflate_compress(piece, &mut out).unwrap();
        let size = open_end(&mut out, size).unwrap();
        out.truncate(size);
        out
    }

    #[test]
    fn fragments_join_at_every_level() {
        for level in 1..=12u8 {
            let pieces: Vec<Vec<u8>> = [0, 1, 2, 100, 9_000, 70_000, 400_000]
                .iter()
                .zip(16 * u32::from(level)..)
                .map(|(&size, seed)| sample(seed, size))
                .collect();
            let mut stream: Vec<u8> = pieces.iter().flat_map(|piece| fragment(level, piece)).collect();
            stream.extend([0b011, 0]);
            let mut out = Vec::new();
            // Another inflater than the one that `inflates_to` asks.
            flate2::read::DeflateDecoder::new(&stream[..]).read_to_end(&mut out).unwrap();
            assert_eq!(out, pieces.concat(), "level {level}");
        }
    }

    #[test]
    fn a_fragment_that_ends_the_stream_is_the_last() {
        let piece = sample(3, 9_000);
        let open = fragment(6, &piece);
        let closed = [&open[..], &[0b011, 0]].concat();
        assert!(inflates_to(&open, false, &piece) && inflates_to(&closed, true, &piece));
        assert!(!inflates_to(&closed, false, &piece), "what follows would be lost");
        assert!(!inflates_to(&open, true, &piece), "it has no end");
        assert!(!inflates_to(&[&closed[..], b"more"].concat(), true, &piece), "more behind the end");
    }

    #[test]
    fn a_broken_stream_is_an_error() {
        let good = {
            let piece = sample(7, 2_000);
            let mut compressor = Compressor::new(CompressionLvl::new(6).unwrap());
            let mut out = vec![0; compressor.deflate_compress_bound(piece.len())];
            let size = compressor.deflate_compress(&piece, &mut out).unwrap();
            out.truncate(size);
            out
        };
        assert!(last_block(&good).is_ok());
        for cut in 0..good.len() {
            assert_eq!(last_block(&good[..cut]), Err(Malformed));
        }
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            // It may parse or not; it may not panic or run on.
            let _ = last_block(&bad);
        }
    }
}
