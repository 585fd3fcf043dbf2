//! Absolute paths inside an image or a source root: bytes, normalised, never with `..`.

use std::borrow::Borrow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

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

impl fmt::Display for ImagePath {
    /// Escapes what a terminal should not see: control characters and bytes that are not UTF-8.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(&self.0))
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
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
    fn below_is_by_component() {
        let lib = ImagePath::new("/usr/lib").unwrap();
        assert_eq!(ImagePath::new("/usr/lib/a").unwrap().below(&lib), Some(b"a".as_slice()));
        assert_eq!(ImagePath::new("/usr/lib64").unwrap().below(&lib), None);
        assert_eq!(lib.parent().unwrap().parent().unwrap(), ImagePath::root());
    }
}
