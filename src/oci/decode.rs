//! Decompressing layers.

use std::io::{self, BufReader, Read};

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
}

impl Encoding {
    /// What a media type says, be it OCI's or Docker's; `None` for one of no layer that can be read.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        let kinds =
            ["application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar"];
        let suffix = kinds.iter().find_map(|kind| media_type.strip_prefix(kind));
        match suffix.or_else(|| media_type.strip_prefix("application/vnd.docker.image.rootfs.diff.tar"))? {
            "" => Some(Self::None),
            "+gzip" | ".gzip" => Some(Self::Gzip),
            "+zstd" | ".zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// What the first four bytes say.
    pub fn of_magic(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The stream without its compression: all members, all frames.
    ///
    /// # Errors
    /// When there is no memory for the decoder.
    pub fn decoder<'a>(self, stream: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(stream),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 16, stream))),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(stream)?),
        })
    }
}
