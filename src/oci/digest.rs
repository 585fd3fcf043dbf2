//! SHA-256 digests: of blobs as they are stored ([`Digest`]) and of layers uncompressed ([`DiffId`]).

use std::fmt;
use std::io;
use std::str::FromStr;

use sha2::Digest as _;
use sha2::digest::common::hazmat::SerializableState;

use super::abreast::BLOCK;

/// The digest of a blob as it is stored and sent. Nothing but `sha256:` and 64 lower-case hexadecimal digits parses,
/// so that a digest from a document can be made into a file name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The digest of a layer's tar stream, uncompressed: the same whatever the compression.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiffId(Digest);

/// A text that is no SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not `sha256:` and 64 lower-case hexadecimal digits")]
pub struct BadDigest;

impl Digest {
    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The digest whose 32 bytes these are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits: the blob's name in a layout.
    pub fn hex(&self) -> String {
        Hex(&self.0).to_string()
    }
}

/// How many bytes are made into digits at a time: the longest hash here.
const AT_ONCE: usize = 32;

/// Bytes as lower-case hexadecimal digits: those of a hash, of which lists of files have thousands.
#[derive(Debug, Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl Hex<'_> {
    fn each<E>(self, mut take: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        for bytes in self.0.chunks(AT_ONCE) {
            let mut digits = [0; 2 * AT_ONCE];
            take(Self::digits(bytes, &mut digits))?;
        }
        Ok(())
    }

    fn digits<'d>(bytes: &[u8], digits: &'d mut [u8; 2 * AT_ONCE]) -> &'d str {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        std::str::from_utf8(&digits[..2 * bytes.len()]).unwrap_or_default()
    }
}

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.each(|digits| f.write_str(digits))
    }
}

impl serde::Serialize for Hex<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.len() > AT_ONCE {
            return serializer.collect_str(self);
        }
        serializer.serialize_str(Self::digits(self.0, &mut [0; 2 * AT_ONCE]))
    }
}

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64).ok_or(BadDigest)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, BadDigest> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(BadDigest),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<Digest> for oci_spec::image::Digest {
    fn from(digest: Digest) -> Self {
        oci_spec::image::Sha256Digest::from_str(&digest.hex()).expect("64 hexadecimal digits").into()
    }
}

impl TryFrom<&oci_spec::image::Digest> for Digest {
    type Error = BadDigest;

    fn try_from(digest: &oci_spec::image::Digest) -> Result<Self, BadDigest> {
        digest.as_ref().parse()
    }
}

impl DiffId {
    /// Takes the digest of an uncompressed layer.
    pub fn new(digest: Digest) -> Self {
        Self(digest)
    }

    /// The digest, as the blob's would be if it were stored uncompressed.
    pub fn digest(self) -> Digest {
        self.0
    }
}

impl FromStr for DiffId {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        text.parse().map(Self)
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl serde::Serialize for DiffId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A digest and a count of what was written to it.
#[derive(Clone, Default)]
pub struct Sha256 {
    state: sha2::Sha256,
    size: u64,
}

impl Sha256 {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Its state between two blocks.
    pub(super) fn words(&self) -> [u32; 8] {
        words(&self.state)
    }

    /// Goes on with the state after so many more blocks.
    pub(super) fn go_on(&mut self, state: &[u32; 8], blocks: usize) {
        go_on(&mut self.state, state, blocks);
        self.size += (blocks * BLOCK) as u64;
    }

    /// How many bytes it took.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> Digest {
        Digest(self.state.finalize().into())
    }
}

/// The words of a hash's state between two blocks: they come first where the crates write it down, in little-endian.
pub(super) fn words<const N: usize>(hash: &impl SerializableState) -> [u32; N] {
    let state = hash.serialize();
    let mut words = state.as_chunks().0.iter();
    std::array::from_fn(|_| words.next().map_or(0, |word| u32::from_le_bytes(*word)))
}

/// Lets a hash go on with the state after so many more blocks, which the crates count behind its words.
pub(super) fn go_on<const N: usize>(hash: &mut impl SerializableState, state: &[u32; N], blocks: usize) {
    let mut written = hash.serialize();
    let (words, rest) = written.split_at_mut(4 * N);
    for (place, word) in words.as_chunks_mut().0.iter_mut().zip(state) {
        *place = word.to_le_bytes();
    }
    if let Some(count) = rest.first_chunk_mut() {
        *count = (u64::from_le_bytes(*count) + blocks as u64).to_le_bytes();
    }
    *hash = SerializableState::deserialize(&written).expect("a state that was written down");
}

impl io::Write for Sha256 {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_strict_form_parses() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b""), empty.parse().unwrap());
        assert_eq!(Digest::of(b"").to_string(), empty);
        for bad in ["", "sha256:", "sha256:../../x", &empty[..70], &empty.to_uppercase(), &format!("{empty}0")] {
            assert_eq!(bad.parse::<Digest>(), Err(BadDigest), "{bad}");
        }
        assert_eq!(format!("sha256:{}", "é".repeat(32)).parse::<Digest>(), Err(BadDigest));
    }
}
