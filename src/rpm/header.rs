//! A package's header: an index of tags, and the data that they name.

use memchr::memchr;

/// The largest header that is read: that of a package with a hundred thousand files.
const LARGEST: usize = 64 << 20;
/// The most tags.
const MOST_TAGS: usize = 0xffff;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const VENDOR: u32 = 1011;
const LICENSE: u32 = 1014;
const PACKAGER: u32 = 1015;
const URL: u32 = 1020;
const ARCHITECTURE: u32 = 1022;
const FILE_DIGESTS: u32 = 1035;
const FILE_FLAGS: u32 = 1037;
const SOURCE_RPM: u32 = 1044;
const DIRECTORY_INDEXES: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const DIRECTORY_NAMES: u32 = 1118;
const FILE_DIGEST_ALGORITHM: u32 = 5011;

const INT32: u32 = 4;
/// `RPMFILE_CONFIG`, and `RPMFILE_GHOST` for what only the package database knows.
const IS_CONFIGURATION: u32 = 1;
const IS_GHOST: u32 = 1 << 6;

/// A package's header.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path, without leading `/`.
    pub path: Vec<u8>,
    /// What the package records of its content; links and folders have nothing.
    pub digest: Option<Digest>,
    /// Whether an administrator may change it.
    pub is_configuration: bool,
}

/// A digest of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// MD5, as old packages have it.
    Md5([u8; 16]),
    /// SHA-256.
    Sha256([u8; 32]),
}

impl<'a> Header<'a> {
    /// Parses the index; `None` when it is no header.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
        let (tags, size) = (word(0)?, word(4)?);
        if tags > MOST_TAGS || bytes.len() > LARGEST {
            return None;
        }
        let (index, data) = bytes.get(8..)?.split_at_checked(16 * tags)?;
        Some(Self { index, data: data.get(..size)? })
    }

    /// Its name.
    pub fn name(self) -> Option<&'a str> {
        self.text(NAME)
    }

    /// Epoch, version and release, as `1:2.0-3.fc40`.
    pub fn version(self) -> Option<String> {
        let epoch = self.numbers(EPOCH).first().filter(|epoch| **epoch != 0).map(|epoch| format!("{epoch}:"));
        Some(format!("{}{}-{}", epoch.unwrap_or_default(), self.text(VERSION)?, self.text(RELEASE)?))
    }

    /// Its architecture, as `x86_64`; a public key in the database has none.
    pub fn architecture(self) -> Option<&'a str> {
        self.text(ARCHITECTURE)
    }

    /// The file of the source package, as `x-2.0-3.fc40.src.rpm`.
    pub fn source_rpm(self) -> Option<&'a str> {
        self.text(SOURCE_RPM)
    }

    /// Its licence.
    pub fn licence(self) -> Option<&'a str> {
        self.text(LICENSE)
    }

    /// Its home page.
    pub fn url(self) -> Option<&'a str> {
        self.text(URL)
    }

    /// Who made it.
    pub fn vendor(self) -> Option<&'a str> {
        self.text(VENDOR).or_else(|| self.text(PACKAGER))
    }

    /// Its files, links and folders, but for those that no package brings.
    pub fn files(self) -> Vec<File> {
        let folders: Vec<&[u8]> = self.texts(DIRECTORY_NAMES);
        let (indexes, flags) = (self.numbers(DIRECTORY_INDEXES), self.numbers(FILE_FLAGS));
        let digests = self.texts(FILE_DIGESTS);
        let algorithm = self.numbers(FILE_DIGEST_ALGORITHM).first().copied().unwrap_or(1);
        let file = |(place, name): (usize, &[u8])| {
            let folder = folders.get(*indexes.get(place)? as usize)?;
            let flags = flags.get(place).copied().unwrap_or_default();
            let digest = digests.get(place).and_then(|digits| digest(algorithm, digits));
            let path = [folder.strip_prefix(b"/").unwrap_or(folder), name].concat();
            let is_configuration = flags & IS_CONFIGURATION != 0;
            (flags & IS_GHOST == 0).then_some(File { path, digest, is_configuration })
        };
        self.texts(BASE_NAMES).into_iter().enumerate().filter_map(file).collect()
    }

    /// The type, the data from its beginning on, and the count of a tag.
    fn tag(self, wanted: u32) -> Option<(u32, &'a [u8], usize)> {
        let entry = self.index.chunks_exact(16).find(|entry| number(entry, 0) == Some(wanted))?;
        let offset = number(entry, 8)? as usize;
        Some((number(entry, 4)?, self.data.get(offset..)?, number(entry, 12)? as usize))
    }

    fn text(self, tag: u32) -> Option<&'a str> {
        let text = self.texts(tag).first().copied()?;
        std::str::from_utf8(text).ok().filter(|text| !text.is_empty())
    }

    fn texts(self, tag: u32) -> Vec<&'a [u8]> {
        let Some((_, mut data, count)) = self.tag(tag).filter(|(kind, ..)| matches!(kind, 6 | 8 | 9)) else {
            return Vec::new();
        };
        let mut texts = Vec::new();
        while texts.len() < count
            && let Some(end) = memchr(0, data)
        {
            texts.push(&data[..end]);
            data = &data[end + 1..];
        }
        texts
    }

    fn numbers(self, tag: u32) -> Vec<u32> {
        let Some((INT32, data, count)) = self.tag(tag) else { return Vec::new() };
        data.as_chunks().0.iter().take(count).map(|word| u32::from_be_bytes(*word)).collect()
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// PGP's numbers of algorithms: 1 is MD5, 8 is SHA-256.
fn digest(algorithm: u32, digits: &[u8]) -> Option<Digest> {
    match algorithm {
        1 => bytes(digits).map(Digest::Md5),
        8 => bytes(digits).map(Digest::Sha256),
        _ => None,
    }
}

fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut all = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in all.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of some tags: number, type, count, data.
    fn header(tags: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
        let (mut index, mut data) = (Vec::new(), Vec::new());
        for (tag, kind, count, bytes) in tags {
            let offset = u32::try_from(data.len()).unwrap();
            index.extend([*tag, *kind, offset, *count].map(u32::to_be_bytes).concat());
            data.extend_from_slice(bytes);
        }
        let sizes = [u32::try_from(tags.len()).unwrap(), u32::try_from(data.len()).unwrap()];
        [sizes.map(u32::to_be_bytes).concat(), index, data].concat()
    }

    #[test]
    fn names_and_files() {
        let bytes = header(&[
            (NAME, 6, 1, b"x\0"),
            (VERSION, 6, 1, b"2.0\0"),
            (RELEASE, 6, 1, b"3.fc40\0"),
            (EPOCH, INT32, 1, &[0, 0, 0, 1]),
            (ARCHITECTURE, 6, 1, b"x86_64\0"),
            (DIRECTORY_NAMES, 8, 2, b"/etc/\0/usr/bin/\0"),
            (BASE_NAMES, 8, 3, b"x.conf\0x\0gone\0"),
            (DIRECTORY_INDEXES, INT32, 3, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
            (FILE_FLAGS, INT32, 3, &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 64]),
            (FILE_DIGESTS, 8, 3, b"\x0000ff00ff00ff00ff00ff00ff00ff00ff\0\0"),
        ]);
        let found = Header::parse(&bytes).unwrap();
        assert_eq!(found.version().as_deref(), Some("1:2.0-3.fc40"));
        let files = found.files();
        assert_eq!(files.len(), 2);
        assert_eq!((files[0].path.as_slice(), files[0].is_configuration), (b"etc/x.conf".as_slice(), true));
        let digest: [u8; 16] = [0, 255].repeat(8).try_into().unwrap();
        assert_eq!((files[1].path.as_slice(), files[1].digest), (b"usr/bin/x".as_slice(), Some(Digest::Md5(digest))));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0xff;
            let _ = Header::parse(&bad).map(|header| (header.files(), header.version()));
            let _ = Header::parse(&bytes[..at]).map(Header::files);
        }
    }
}
