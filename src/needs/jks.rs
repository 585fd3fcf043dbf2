//! Java's own form of a keystore (JKS, version 2), as far as certificates that are trusted go: bytes to entries and
//! back.
//!
//! What is written depends on the entries alone: sorted by alias, one date for all. Private keys are not read, and
//! the digest of what is read is not checked: its password is not known.

use sha1::{Digest, Sha1};

use super::pem::Certificate;

const MAGIC: u32 = 0xfeed_feed;
const TRUSTED: u32 = 2;
const PRIVATE_KEY: u32 = 1;
/// What every JRE's own keystore is closed with, and Java tries by itself.
const PASSWORD: &str = "changeit";
/// What the JDK's `JavaKeyStore` has between the password and the data.
const WHITENER: &[u8] = b"Mighty Aphrodite";

/// A certificate that is trusted, by its name in the keystore.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trusted {
    /// Unique in its keystore; in Java's own UTF-8, as it stands there.
    pub(super) alias: Vec<u8>,
    /// What it names.
    pub(super) certificate: Certificate,
}

/// Why bytes that begin as a keystore are none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("ends in the middle of an entry")]
    Short,
    #[error("has an entry of an unknown kind")]
    Kind,
    #[error("is of version {0}")]
    Version(u32),
}

/// The trusted certificates of a keystore; `None` when the bytes are of another form, as PKCS#12 is.
pub(super) fn read(bytes: &[u8]) -> Option<Result<Vec<Trusted>, Fault>> {
    let body = bytes.strip_prefix(&MAGIC.to_be_bytes())?;
    Some(entries(&mut Bytes(body)))
}

fn entries(bytes: &mut Bytes<'_>) -> Result<Vec<Trusted>, Fault> {
    let version = bytes.word()?;
    if !matches!(version, 1 | 2) {
        return Err(Fault::Version(version));
    }
    // Version 1 says no kind of certificate: all are X.509.
    let certificate = |bytes: &mut Bytes<'_>| {
        let kind = if version == 2 { bytes.text()? } else { b"X.509" };
        Ok((kind.to_vec(), bytes.block()?.to_vec()))
    };
    let mut found = Vec::new();
    for _ in 0..bytes.word()? {
        let kind = bytes.word()?;
        let alias = bytes.text()?.to_vec();
        bytes.take(8)?;
        match kind {
            TRUSTED => {
                let (kind, der) = certificate(bytes)?;
                if kind == b"X.509" || kind == b"X509" {
                    found.push(Trusted { alias, certificate: Certificate(der) });
                }
            }
            PRIVATE_KEY => {
                bytes.block()?;
                for _ in 0..bytes.word()? {
                    certificate(bytes)?;
                }
            }
            _ => return Err(Fault::Kind),
        }
    }
    Ok(found)
}

/// A keystore of these certificates, their dates all `seconds` since 1970.
pub(super) fn write(mut trusted: Vec<Trusted>, seconds: i64) -> Vec<u8> {
    trusted.sort();
    trusted.dedup_by(|second, first| second.alias == first.alias);
    // An alias has 16 bits for its length; what was read or made here is shorter.
    trusted.retain(|one| u16::try_from(one.alias.len()).is_ok());
    let mut bytes = Vec::new();
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    bytes.extend(MAGIC.to_be_bytes());
    bytes.extend(2_u32.to_be_bytes());
    bytes.extend(count(trusted.len()));
    for Trusted { alias, certificate: Certificate(der) } in &trusted {
        bytes.extend(TRUSTED.to_be_bytes());
        text(&mut bytes, alias);
        bytes.extend((seconds * 1000).to_be_bytes());
        text(&mut bytes, b"X.509");
        bytes.extend(count(der.len()));
        bytes.extend_from_slice(der);
    }
    let digest = digest(&bytes);
    bytes.extend(digest);
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(text);
}

/// What closes a keystore: a digest with the password, in UTF-16, before the data.
fn digest(data: &[u8]) -> [u8; 20] {
    let mut sha1 = Sha1::new();
    for unit in PASSWORD.encode_utf16() {
        sha1.update(unit.to_be_bytes());
    }
    sha1.update(WHITENER);
    sha1.update(data);
    sha1.finalize().into()
}

/// Bytes that are taken from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Fault::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn word(&mut self) -> Result<u32, Fault> {
        let (word, rest) = self.0.split_first_chunk().ok_or(Fault::Short)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*word))
    }

    /// A text after its length in 16 bits.
    fn text(&mut self) -> Result<&'a [u8], Fault> {
        let (length, rest) = self.0.split_first_chunk().ok_or(Fault::Short)?;
        self.0 = rest;
        self.take(usize::from(u16::from_be_bytes(*length)))
    }

    /// Bytes after their length in 32 bits.
    fn block(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.word()?;
        self.take(usize::try_from(length).map_err(|_| Fault::Short)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(alias: &str, der: &[u8]) -> Trusted {
        Trusted { alias: alias.as_bytes().to_vec(), certificate: Certificate(der.to_vec()) }
    }

    #[test]
    fn writes_what_java_writes() {
        let bytes = write(vec![trusted("b", b"two"), trusted("a", b"one")], 1);
        let expected = [
            b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x02".as_slice(),
            b"\0\0\0\x02\0\x01a\0\0\0\0\0\0\x03\xe8\0\x05X.509\0\0\0\x03one",
            b"\0\0\0\x02\0\x01b\0\0\0\0\0\0\x03\xe8\0\x05X.509\0\0\0\x03two",
        ];
        let (data, digest) = bytes.split_at(bytes.len() - 20);
        assert_eq!(data, expected.concat());
        // As `sha1sum` gives it for the password in UTF-16, the phrase and the data.
        let hex = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert_eq!(hex, "5a516cd2b940508cf21dda0c184e8b24230af137");
        assert_eq!(read(&bytes).unwrap().unwrap(), [trusted("a", b"one"), trusted("b", b"two")]);
    }

    #[test]
    fn reads_past_private_keys_and_stops_where_the_bytes_do() {
        let key = b"\0\0\0\x01\0\x01k\0\0\0\0\0\0\0\0\0\0\0\x02xx\0\0\0\x01\0\x05X.509\0\0\0\x01c";
        let other = b"\0\0\0\x02\0\x01o\0\0\0\0\0\0\0\0\0\x03PGP\0\0\0\x01c";
        let one = b"\0\0\0\x02\0\x01a\0\0\0\0\0\0\0\0\0\x05X.509\0\0\0\x03one";
        let bytes =
            [b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x03".as_slice(), key, other, one, b"twenty bytes of hash"].concat();
        assert_eq!(read(&bytes).unwrap().unwrap(), [trusted("a", b"one")]);
        for end in 4..bytes.len() - 20 {
            assert_eq!(read(&bytes[..end]).unwrap(), Err(Fault::Short), "{end}");
        }
        let old = b"\xfe\xed\xfe\xed\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\x01a\0\0\0\0\0\0\0\0\0\0\0\x03one";
        assert_eq!(read(old).unwrap().unwrap(), [trusted("a", b"one")]);
        assert_eq!(read(b"\xfe\xed\xfe\xed\0\0\0\x09").unwrap(), Err(Fault::Version(9)));
        let unknown = b"\xfe\xed\xfe\xed\0\0\0\x02\xff\xff\xff\xff\0\0\0\x07\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(read(unknown).unwrap(), Err(Fault::Kind));
        assert!(read(b"0\x82\x01\x02").is_none() && read(b"").is_none());
    }
}
