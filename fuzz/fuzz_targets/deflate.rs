//! Any bytes as a DEFLATE stream, and as what is compressed to fragments that are joined.
#![no_main]

#[path = "../../src/layer/deflate/mod.rs"]
mod deflate;

use std::io::Read;

use libdeflater::{CompressionLvl, Compressor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = deflate::open_end(&mut [bytes, &[0; deflate::SEAM]].concat(), bytes.len());
    let _ = deflate::inflates_to(bytes, true, bytes);

    // Many times the same, but for some bits: large enough that several walks go through it.
    let piece: Vec<u8> = (0..=255).flat_map(|mask| bytes.iter().map(move |byte| byte ^ mask)).collect();
    let level = bytes.first().map_or(1, |first| i32::from(first % 12) + 1);
    let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap());
    let mut stream = vec![0; compressor.deflate_compress_bound(piece.len()) + deflate::SEAM];
    let size = compressor.deflate_compress(&piece, &mut stream).unwrap();
    let size = deflate::open_end(&mut stream, size).unwrap();
    stream.truncate(size);
    assert!(deflate::inflates_to(&stream, false, &piece));

    let joined = [&stream[..], &stream, &[0b011, 0]].concat();
    let mut out = Vec::new();
    flate2::read::DeflateDecoder::new(&joined[..]).read_to_end(&mut out).unwrap();
    assert!(out == piece.repeat(2));
});
