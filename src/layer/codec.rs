//! Compressing pieces, each by itself, so that they join into one blob.
//!
//! In: the bytes of a piece. Out: a zstd frame, or a fragment of one DEFLATE stream. The bytes depend on the piece,
//! the codec and the level alone: one call for each piece, no state kept between two, exactly pinned codecs.

use std::io;

use libdeflater::{CompressionLvl, Compressor};

use super::{deflate, piece};
use crate::oci::MediaType;
use crate::recipe::Compression;

/// The head of a gzip member (RFC 1952): no name, no time, unknown system.
pub(super) const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The media type of a layer.
pub(super) fn media_type(compression: Compression) -> MediaType {
    match compression {
        Compression::Zstd(_) => MediaType::ImageLayerZstd,
        Compression::Gzip(_) => MediaType::ImageLayerGzip,
        Compression::None => MediaType::ImageLayer,
    }
}

/// The version of libdeflate that is pinned in Cargo.toml; it can't be asked.
pub(super) const LIBDEFLATE: &str = "1.26.1";

/// All that the bytes of a compressed piece depend on beside the piece: the rules of packing, the codec, its version
/// and its level.
pub(super) fn identity(compression: Compression) -> Vec<u8> {
    let codec = match compression {
        Compression::Zstd(level) => format!("zstd {} {level}", zstd::zstd_safe::version_string()),
        Compression::Gzip(level) => format!("libdeflate {LIBDEFLATE} {level}"),
        Compression::None => "none".to_owned(),
    };
    format!("{} {codec}", super::FORMAT).into_bytes()
}

/// A compressed piece, in a buffer that is used for many.
#[derive(Debug, Default)]
pub(super) struct Packed {
    buffer: Vec<u8>,
    size: usize,
    /// The most that was used of it.
    used: usize,
    /// The CRC-32 of the piece, which gzip wants.
    pub(super) crc: crc32fast::Hasher,
}

impl Packed {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.size]
    }

    /// How many bytes of its buffer were used, and are memory since.
    pub(super) fn used(&self) -> usize {
        self.used.max(self.size)
    }

    /// How many bytes its buffer has room for.
    pub(super) fn room(&self) -> usize {
        self.buffer.len()
    }

    /// Takes a piece that was compressed before: `read` fills in its bytes.
    ///
    /// # Errors
    /// That of `read`.
    pub(super) fn take_over(
        &mut self,
        size: usize,
        raw_crc: u32,
        raw_size: u32,
        read: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        read(&mut self.begin(size)[..size])?;
        self.size = size;
        self.crc = crc32fast::Hasher::new_with_initial_len(raw_crc, raw_size.into());
        Ok(())
    }

    /// Empties it, with room for `size` bytes.
    fn begin(&mut self, size: usize) -> &mut [u8] {
        self.used = self.used();
        self.size = 0;
        if self.buffer.len() < size {
            self.buffer = vec![0; piece::room_for(size)];
            self.used = 0;
        }
        &mut self.buffer
    }
}

/// Compresses pieces; one for each thread.
pub(super) enum Encoder {
    Zstd(zstd::bulk::Compressor<'static>),
    Gzip(Compressor),
    /// Pieces stay as they are.
    None,
}

impl Encoder {
    /// An encoder. A level that recipes can't ask for is taken as the nearest that they can.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Zstd(level) => {
                let mut compressor = zstd::bulk::Compressor::new(level.clamp(1, 19))?;
                compressor.include_checksum(false)?;
                compressor.include_contentsize(true)?;
                Self::Zstd(compressor)
            }
            Compression::Gzip(level) => {
                let level = CompressionLvl::new(level.clamp(1, 12)).map_err(|_| io::Error::other("no such level"))?;
                Self::Gzip(Compressor::new(level))
            }
            Compression::None => Self::None,
        })
    }

    /// Compresses a piece. `last` ends the stream where the codec's stream has an end.
    ///
    /// # Errors
    /// When the codec fails, which it does not on any input.
    pub(super) fn encode(&mut self, piece: &[u8], last: bool, packed: &mut Packed) -> io::Result<()> {
        match self {
            Self::Zstd(compressor) => {
                let room = packed.begin(zstd::zstd_safe::compress_bound(piece.len()));
                packed.size = compressor.compress_to_buffer(piece, room)?;
            }
            Self::Gzip(compressor) => {
                packed.crc = crc32fast::Hasher::new();
                packed.crc.update(piece);
                let bound = compressor.deflate_compress_bound(piece.len()) + deflate::SEAM;
                let room = packed.begin(bound);
                let size = compressor.deflate_compress(piece, room).map_err(io::Error::other)?;
                packed.size = if last { size } else { deflate::open_end(room, size).map_err(io::Error::other)? };
                debug_assert!(
                    deflate::inflates_to(packed.bytes(), last, piece),
                    "a fragment must inflate to its piece"
                );
            }
            Self::None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_in_keys_is_the_pinned_one() {
        let manifest = include_str!("../../Cargo.toml");
        assert!(manifest.contains(&format!("libdeflater = \"={}\"", super::LIBDEFLATE)));
    }
}
