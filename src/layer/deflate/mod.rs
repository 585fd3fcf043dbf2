//! Joining DEFLATE streams (RFC 1951) into one.
//!
//! In: a whole stream as libdeflate makes it. Out: the same with its last block no longer marked as the last, and an
//! empty stored block after it that ends on a byte, so that another stream can follow. libdeflate has no flush and
//! does not say where its last block begins, so its blocks are walked symbol by symbol, without decoding any data.
//!
//! The walk begins at the first bit. It could be shorter: whatever looks like the header of the last block, and decodes
//! to the end of the piece, is that nearly always. But bytes can be made for which it is not, literals that come to the
//! same bits as a header of their own codes, and no look at the bits behind it tells. So later blocks are guessed only
//! to walk from several at once, and a guess counts when the walk up to it ends exactly there.

mod bits;
mod codes;
mod landmarks;
mod table;
mod walk;

use std::iter;

use walk::{LANES, Lane};

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
    let guessed = landmarks::spread(stream, LANES - 1);
    let last = match walk_from(stream, &guessed) {
        Ok(Some(last)) => last,
        Err(malformed) if guessed.is_empty() => return Err(malformed),
        // A guess was wrong.
        _ => walk_from(stream, &[])?.ok_or(Malformed)?,
    };
    Ok((last.header, last.position))
}

/// Walks from the beginning and from blocks further on, at once. Returns the walk that met the end; none when one of
/// the others does not end exactly where the next begins.
fn walk_from(stream: &[u8], further: &[usize]) -> Result<Option<Lane>, Malformed> {
    let starts = iter::once(0).chain(further.iter().copied());
    let ends = further.iter().copied().chain([usize::MAX]);
    let mut lanes: Vec<Lane> = starts.zip(ends).map(|(start, end)| Lane::new(start, end)).collect();
    walk::finish(stream, &mut lanes)?;
    let last = lanes.pop();
    let meet = lanes.iter().zip(further).all(|(lane, start)| lane.position == *start && !lane.is_last);
    Ok(last.filter(|_| meet))
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
        let mut out = compressed(level, piece);
        let size = out.len();
        out.resize(size + SEAM, 0xaa);
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

    fn compressed(level: u8, piece: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::new(level.into()).unwrap());
        let mut out = vec![0; compressor.deflate_compress_bound(piece.len())];
        let size = compressor.deflate_compress(piece, &mut out).unwrap();
        out.truncate(size);
        out
    }

    /// Where a walk from the first bit alone ends.
    fn walked(stream: &[u8]) -> Result<(usize, usize), Malformed> {
        let last = walk_from(stream, &[])?.ok_or(Malformed)?;
        Ok((last.header, last.position))
    }

    fn noise(seed: u32, size: usize) -> Vec<u8> {
        let mut state = u64::from(seed) + 1;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..size).map(|_| next()).collect()
    }

    #[test]
    fn several_walks_end_where_one_does() {
        // As programs have them: an address, a kind, and what is there.
        let relocations: Vec<u8> = (0..25_000_u64)
            .flat_map(|number| [0x4_0000 + 24 * number, 8, 0x1000 + number * 37 % 0x1_0000])
            .flat_map(u64::to_le_bytes)
            .collect();
        let text = include_bytes!("mod.rs").repeat(60);
        let packed = compressed(6, &sample(1, 3_000_000));
        let kinds: [(&str, &[u8]); 5] = [
            ("relocations", &relocations),
            ("text", &text),
            ("many kinds", &sample(2, 600_000)),
            ("noise", &noise(3, 600_000)),
            ("compressed", &packed[..600_000]),
        ];
        for (kind, piece) in kinds {
            // Each of libdeflate's ways to choose matches.
            for level in [1, 3, 6, 9, 12] {
                let stream = compressed(level, piece);
                assert_eq!(last_block(&stream), walked(&stream), "{kind}, level {level}");
                let guessed = landmarks::spread(&stream, LANES - 1);
                let together = walk_from(&stream, &guessed).map(|last| last.is_some());
                assert_eq!(together, Ok(true), "{kind}, level {level}: guesses of what is there are right");
                if kind == "many kinds" {
                    assert_eq!(guessed.len(), LANES - 1, "{kind}, level {level}");
                }
            }
        }
    }

    #[test]
    fn blocks_inside_of_a_block_mislead_nobody() {
        // What is compressed once more is stored as it is, so that its blocks are there to be found.
        let bait = compressed(9, &sample(4, 4_000_000));
        for level in [1, 6] {
            let piece = [&sample(5, 400_000)[..], &bait, &sample(6, 200_000)].concat();
            let stream = compressed(level, &piece);
            let guessed = landmarks::spread(&stream, LANES - 1);
            assert!(!guessed.is_empty(), "level {level}: it is a bait");
            assert!(!matches!(walk_from(&stream, &guessed), Ok(Some(_))), "level {level}: it is taken");
            assert_eq!(last_block(&stream), walked(&stream), "level {level}");
            assert!(inflates_to(&fragment(level, &piece), false, &piece), "level {level}");
        }
    }

    #[test]
    fn a_guess_counts_when_the_walk_before_it_ends_there() {
        let bait = compressed(6, &sample(4, 100_000));
        let block = landmarks::next_block(&bait, 8).unwrap();
        let length = u16::try_from(bait.len()).unwrap();
        let before = [&fragment(6, &sample(5, 100_000))[..], &[0], &length.to_le_bytes(), &(!length).to_le_bytes()];
        let stream = [&before.concat()[..], &bait, &compressed(6, &sample(6, 100_000))].concat();
        let start = before.concat().len() * 8;
        let behind = start + bait.len() * 8;
        let ends_with =
            |guessed: &[usize]| walk_from(&stream, guessed).unwrap().map(|last| (last.header, last.position));
        assert_eq!(ends_with(&[start + block]), None, "a block inside of a stored one");
        assert_eq!(ends_with(&[start + block, behind]), None, "and a true one behind");
        assert_eq!(ends_with(&[behind]), Some(walked(&stream).unwrap()));
    }

    #[test]
    fn a_stream_that_goes_on_behind_its_end_ends_there_all_the_same() {
        let behind = compressed(6, &sample(8, 600_000));
        // One that ends at the end of a byte, so that another block is found there.
        let mut ends = (60_000..).map(|size| compressed(6, &sample(9, behind.len() / 2 + size)));
        let closed = ends.find(|closed| walked(closed).is_ok_and(|(_, end)| end == closed.len() * 8)).unwrap();
        let size = closed.len() * 8;
        let stream = [closed, behind].concat();
        assert!(walk_from(&stream, &[size]).is_ok_and(|last| last.is_none()), "the end comes before the guess");
        assert_eq!(last_block(&stream).unwrap().1, size);
    }

    #[test]
    fn what_is_broken_is_so_for_several_walks_as_for_one() {
        let good = compressed(6, &sample(10, 600_000));
        assert_eq!(landmarks::spread(&good, LANES - 1).len(), LANES - 1);
        for at in (0..good.len()).step_by(good.len() / 40) {
            assert_eq!(last_block(&good[..at]), Err(Malformed), "cut at {at}");
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            assert_eq!(last_block(&bad), walked(&bad), "flipped at {at}");
        }
    }

    #[test]
    fn a_broken_stream_is_an_error() {
        let good = compressed(6, &sample(7, 2_000));
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
