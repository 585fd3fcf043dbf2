//! Which distribution a root holds: `os-release` in, names and family out; and glibc's version from its own bytes.

use std::io;

use super::bringing::Around;
use super::scan;
use crate::source::{self, Content, Source, Unresolved};

/// Distributions that lay out their files alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Debian, Ubuntu and what comes of them.
    Debian,
    /// Fedora, RHEL and what comes of them.
    Fedora,
    /// Alpine, Wolfi and others with apk.
    Alpine,
    /// Any other.
    Other,
}

/// What `os-release` says. Texts are as the file has them, quotes and backslashes taken off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution {
    /// `ID`, as `debian`; `linux` when absent.
    pub id: String,
    /// `ID_LIKE`, word by word.
    pub id_like: Vec<String>,
    /// `NAME`, as `Debian GNU/Linux`; `Linux` when absent.
    pub name: String,
    /// `PRETTY_NAME`.
    pub pretty_name: Option<String>,
    /// `VERSION_ID`, as `12`; a rolling distribution has none.
    pub version_id: Option<String>,
}

/// `os-release` is a few hundred bytes.
const LARGEST_OS_RELEASE: u64 = 1 << 16;

impl Distribution {
    /// Reads a root's `/etc/os-release`, or `/usr/lib/os-release` where that is not there; `None` without either.
    ///
    /// # Errors
    /// When a file is there and can't be read.
    pub fn of(root: &dyn Source) -> io::Result<Option<Self>> {
        for path in ["/etc/os-release", "/usr/lib/os-release"] {
            match source::resolve(root, path.as_bytes()) {
                Ok(found) => {
                    if let Some(content) = found.node.content() {
                        return Ok(Some(Self::parse(&content.read(LARGEST_OS_RELEASE)?)));
                    }
                }
                Err(Unresolved::Unreadable { error, .. }) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Reads the text of an `os-release` file. Lines that are no assignment are passed over, as systemd does.
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut found = Self { id: "linux".to_owned(), name: "Linux".to_owned(), ..Self::default() };
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = unquote(value);
            match key {
                "ID" if !value.is_empty() => found.id = value,
                "ID_LIKE" => found.id_like = value.split_whitespace().map(str::to_owned).collect(),
                "NAME" if !value.is_empty() => found.name = value,
                "PRETTY_NAME" => found.pretty_name = Some(value).filter(|value| !value.is_empty()),
                "VERSION_ID" => found.version_id = Some(value).filter(|value| !value.is_empty()),
                _ => {}
            }
        }
        found
    }

    /// The family, by `ID` and then by the words of `ID_LIKE`.
    pub fn family(&self) -> Family {
        let known = |id: &str| match id {
            "debian" | "ubuntu" => Some(Family::Debian),
            "fedora" | "rhel" | "centos" | "amzn" | "azurelinux" | "mariner" => Some(Family::Fedora),
            "alpine" | "wolfi" | "chainguard" | "postmarketos" => Some(Family::Alpine),
            _ => None,
        };
        std::iter::once(&self.id).chain(&self.id_like).find_map(|id| known(id)).unwrap_or(Family::Other)
    }
}

/// glibc's version, as its libc.so.6 states it: `GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.`
///
/// # Errors
/// When the file can't be read.
pub fn glibc_version(libc: &Content) -> io::Result<Option<(u32, u32)>> {
    let banner = Around { before: "GNU C Library ".to_owned(), after: "\n".to_owned() };
    let hits = scan::scan(libc, &[&banner])?;
    Ok(hits.iter().find_map(|hit| {
        let (_, version) = std::str::from_utf8(hit.text.as_ref()?).ok()?.rsplit_once(" release version ")?;
        let mut numbers = version.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }))
}

/// Takes off a shell's quotes and backslashes, as `os-release(5)` allows them.
fn unquote(value: &str) -> String {
    let (value, quote) = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => (value[1..].strip_suffix(quote).unwrap_or(&value[1..]), Some(quote)),
        _ => (value, None),
    };
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quote != Some('\'') => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quotes_and_finds_the_family_by_likeness() {
        let text = b"# c\nNAME=\"Acme \\\"One\\\"\"\nID=acme\nID_LIKE='rocky rhel fedora'\nVERSION_ID=\nbroken\n";
        let found = Distribution::parse(text);
        assert_eq!(found.name, "Acme \"One\"");
        assert_eq!(found.version_id, None);
        assert_eq!(found.family(), Family::Fedora);
        assert_eq!(Distribution::parse(b"").family(), Family::Other);
    }

    #[test]
    fn reads_glibc_s_banner() {
        let version = |banner: &str| glibc_version(&Content::bytes(banner)).unwrap();
        let debian = "\0GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\nCopyright\0";
        assert_eq!(version(debian), Some((2, 36)));
        assert_eq!(version("GNU C Library (GNU libc) development release version 2.41.9000.\n\0"), Some((2, 41)));
        assert_eq!(version("no banner"), None);
    }
}
