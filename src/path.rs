//! Absolute paths inside an image or a source root: bytes, normalised, never with `..`.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, LazyLock};

use bstr::ByteSlice;

/// An absolute path inside an image or a source root. Bytes, not text; `/` between components, none empty,
/// none `.` or `..`, no NUL. Cheap to clone. Orders bytewise, so a folder comes before what it holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImagePath(Arc<[u8]>);

/// Why bytes are no [`ImagePath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It does not begin with `/`.
    #[error("is not absolute")]
    Relative,
    /// It has a `..` component.
    #[error("has a `..`")]
    ParentComponent,
    /// It has a NUL byte.
    #[error("has a NUL byte")]
    Nul,
    /// A component is longer than 255 bytes or the whole longer than 4095.
    #[error("is too long")]
    TooLong,
}

impl ImagePath {
    /// The root, `/`.
    pub fn root() -> Self {
        Self(Arc::from(b"/".as_slice()))
    }

    /// Normalises `//`, `/./` and a trailing `/`.
    ///
    /// # Errors
    /// When the bytes are not absolute, climb with `..`, hold a NUL or are longer than a kernel takes.
    pub fn new(path: impl AsRef<[u8]>) -> Result<Self, BadPath> {
        let path = path.as_ref();
        if path.first() != Some(&b'/') {
            return Err(BadPath::Relative);
        }
        if path.contains(&0) {
            return Err(BadPath::Nul);
        }
        let mut clean = Vec::with_capacity(path.len());
        for part in path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".") {
            if part == b".." {
                return Err(BadPath::ParentComponent);
            }
            if part.len() > 255 {
                return Err(BadPath::TooLong);
            }
            clean.push(b'/');
            clean.extend_from_slice(part);
        }
        if clean.is_empty() {
            clean.push(b'/');
        }
        if clean.len() > 4095 {
            return Err(BadPath::TooLong);
        }
        Ok(Self(clean.into()))
    }

    /// The bytes, beginning with `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes without the leading `/`: empty for the root.
    pub fn relative(&self) -> &[u8] {
        &self.0[1..]
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// This path with one more component. `name` must be a single name, as a directory listing gives it.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        debug_assert!(!name.is_empty() && !name.contains(&b'/') && name != b".." && name != b".");
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(if self.is_root() { b"" } else { &self.0 });
        path.push(b'/');
        path.extend_from_slice(name);
        Self(path.into())
    }

    /// This path with a relative path below it; normalised as by [`ImagePath::new`].
    ///
    /// # Errors
    /// As [`ImagePath::new`].
    pub fn join_path(&self, below: &[u8]) -> Result<Self, BadPath> {
        Self::new([self.as_bytes(), b"/", below].concat())
    }

    /// The folder that holds it; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        match self.0.rfind_byte(b'/') {
            Some(0) | None => Some(Self::root()),
            Some(cut) => Some(Self(self.0[..cut].into())),
        }
    }

    /// The bytes of [`ImagePath::parent`], by which maps of paths can be asked; `None` for the root.
    pub fn folder(&self) -> Option<&[u8]> {
        folder_of(&self.0)
    }

    /// The bytes of each folder above it, as [`ImagePath::ancestors`].
    pub fn folders(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::successors(self.folder(), |path| folder_of(path))
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        let cut = self.0.rfind_byte(b'/').map_or(0, |cut| cut + 1);
        &self.0[cut..]
    }

    /// The components from the top; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|part| !part.is_empty())
    }

    /// Whether it is `folder` or lies below it.
    pub fn is_within(&self, folder: &ImagePath) -> bool {
        self.below(folder).is_some()
    }

    /// The rest of it below `folder`, without a leading `/`: empty when they are the same.
    pub fn below(&self, folder: &ImagePath) -> Option<&[u8]> {
        if folder.is_root() {
            return Some(self.relative());
        }
        match self.0.strip_prefix(&*folder.0)? {
            [] => Some(b""),
            [b'/', rest @ ..] => Some(rest),
            _ => None,
        }
    }

    /// Every folder above it, from its parent up to and with `/`.
    pub fn ancestors(&self) -> impl Iterator<Item = ImagePath> {
        std::iter::successors(self.parent(), ImagePath::parent)
    }
}

/// The folder that holds what stands at a path.
fn folder_of(path: &[u8]) -> Option<&[u8]> {
    match path.rfind_byte(b'/') {
        _ if path.len() == 1 => None,
        Some(0) | None => Some(b"/"),
        Some(cut) => Some(&path[..cut]),
    }
}

/// A map of paths, for who asks it thousands of times. It has no order.
pub type PathMap<V> = HashMap<ImagePath, V, PathHash>;

/// A set of paths, as [`PathMap`].
pub type PathSet = HashSet<ImagePath, PathHash>;

/// Hashes paths word by word. It begins with the secret that every map of the process has, so that nobody can make a
/// root whose paths all collide.
#[derive(Debug, Clone, Copy)]
pub struct PathHash(u64);

impl Default for PathHash {
    fn default() -> Self {
        static SECRET: LazyLock<u64> = LazyLock::new(|| HashSet::<()>::new().hasher().hash_one(()));
        Self(*SECRET)
    }
}

impl BuildHasher for PathHash {
    type Hasher = PathHasher;

    fn build_hasher(&self) -> PathHasher {
        PathHasher(self.0)
    }
}

/// See [`PathHash`].
#[derive(Debug)]
pub struct PathHasher(u64);

impl PathHasher {
    /// Both halves of a product, in which every bit of the factor has its say.
    fn mix(&mut self, word: u64) {
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let (low, high) = (self.0 ^ word).carrying_mul(FACTOR, 0);
        self.0 = low ^ high;
    }
}

impl Hasher for PathHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    /// As `MurmurHash3` ends: every bit of the last words, too, has its say in those that a map goes by.
    fn finish(&self) -> u64 {
        let mut hash = self.0;
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    }
}

impl fmt::Display for ImagePath {
    /// Escapes what a terminal should not see: control characters and bytes that are not UTF-8.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(&self.0))
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Quoted, as keys that are made of it rely on.
        write!(f, "{:?}", self.to_string())
    }
}

impl Borrow<[u8]> for ImagePath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes as text for a person: UTF-8 as it is, control characters and other bytes as `\x1b`.
pub fn show(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        match chunk.valid() {
            plain if plain.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => text.push_str(plain),
            other => other.chars().for_each(|c| match c {
                c if c.is_control() => text.extend(c.escape_default()),
                c => text.push(c),
            }),
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_and_refuses() {
        assert_eq!(ImagePath::new("//usr/./bin/").unwrap().as_bytes(), b"/usr/bin");
        assert_eq!(ImagePath::new("/").unwrap(), ImagePath::root());
        assert_eq!(ImagePath::new("usr"), Err(BadPath::Relative));
        assert_eq!(ImagePath::new("/a/../b"), Err(BadPath::ParentComponent));
        assert_eq!(ImagePath::new("/a\0"), Err(BadPath::Nul));
    }

    #[test]
    fn folders_are_the_ancestors() {
        for path in ["/", "/a", "/usr/lib/x"] {
            let path = ImagePath::new(path).unwrap();
            let ancestors: Vec<ImagePath> = path.ancestors().collect();
            let folders: Vec<&[u8]> = path.folders().collect();
            assert_eq!(folders, ancestors.iter().map(ImagePath::as_bytes).collect::<Vec<_>>(), "{path}");
        }
    }

    #[test]
    fn a_map_of_paths_is_asked_by_bytes_and_spreads_them() {
        let paths: Vec<ImagePath> =
            (0..4096).map(|number| ImagePath::new(format!("/usr/lib/{number:04}.so")).unwrap()).collect();
        let map: PathMap<usize> = paths.iter().cloned().zip(0..).collect();
        assert!(paths.iter().enumerate().all(|(number, path)| map.get(path.as_bytes()) == Some(&number)));
        let low: HashSet<u64> = paths.iter().map(|path| PathHash::default().hash_one(path) % 65536).collect();
        let high: HashSet<u64> = paths.iter().map(|path| PathHash::default().hash_one(path) >> 48).collect();
        assert!(low.len() > 3500 && high.len() > 3500, "{} and {} of 4096", low.len(), high.len());
    }

    #[test]
    fn below_is_by_component() {
        let lib = ImagePath::new("/usr/lib").unwrap();
        assert_eq!(ImagePath::new("/usr/lib/a").unwrap().below(&lib), Some(b"a".as_slice()));
        assert_eq!(ImagePath::new("/usr/lib64").unwrap().below(&lib), None);
        assert_eq!(lib.parent().unwrap().parent().unwrap(), ImagePath::root());
    }
}
