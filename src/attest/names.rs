//! Names by which others know a component: package URLs, CPE names, and UUIDs that are made of a text.

use std::fmt::Write as _;

use sha1::Digest as _;

use crate::oci::Hex;

/// A package URL: `pkg:TYPE/NAMESPACE/NAME@VERSION?QUALIFIERS`.
#[derive(Debug, Clone, Default)]
pub(super) struct Purl<'a> {
    /// Its type, as `deb`.
    pub(super) kind: &'a str,
    /// Segments before the name; may be empty.
    pub(super) namespace: &'a str,
    /// The name.
    pub(super) name: &'a str,
    /// The version; may be empty.
    pub(super) version: &'a str,
    /// Keys and values. Empty values are left out, the others sorted.
    pub(super) qualifiers: &'a [(&'a str, &'a str)],
}

impl std::fmt::Display for Purl<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pkg:{}/", self.kind)?;
        for part in self.namespace.split('/').filter(|part| !part.is_empty()) {
            write!(f, "{}/", percent(part))?;
        }
        f.write_str(&percent(self.name))?;
        if !self.version.is_empty() {
            write!(f, "@{}", percent(self.version))?;
        }
        let mut qualifiers: Vec<_> = self.qualifiers.iter().filter(|(_, value)| !value.is_empty()).collect();
        qualifiers.sort_unstable();
        for (number, (key, value)) in qualifiers.into_iter().enumerate() {
            write!(f, "{}{key}={}", if number == 0 { '?' } else { '&' }, percent(value))?;
        }
        Ok(())
    }
}

/// All bytes but letters, digits and `.-_~` as `%XX`.
fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A CPE 2.3 name of an application. Its vendor is a guess, as everyone's is that is not taken from the dictionary: the
/// product's own name.
pub(super) fn cpe(product: &str, version: &str) -> String {
    let (product, version) = (cpe_word(&product.to_ascii_lowercase()), cpe_word(version));
    format!("cpe:2.3:a:{product}:{product}:{version}:*:*:*:*:*:*:*")
}

/// A word of a CPE name. What the pattern of both SBOM formats does not take, even behind a backslash, is left out.
fn cpe_word(text: &str) -> String {
    let mut word = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || "-._".contains(c) => word.push(c),
            c if "\\*?!\"#$%&'()+,/:;<=>@[]^`{|}~".contains(c) => word.extend(['\\', c]),
            _ => {}
        }
    }
    if word.is_empty() { "*".to_owned() } else { word }
}

/// dpkg's version without epoch and Debian's revision: what the makers of the program call it.
pub(super) fn upstream_version(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.rsplit_once('-').map_or(version, |(upstream, _)| upstream)
}

/// A UUID of version 5 (RFC 9562), in a name space of mkimage's own.
pub(super) fn uuid(text: &str) -> String {
    const SPACE: [u8; 16] = *b"mkimage.document";
    let hash = sha1::Sha1::new().chain_update(SPACE).chain_update(text).finalize();
    let mut bytes: [u8; 16] = *hash.first_chunk().expect("SHA-1 has 20 bytes");
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = Hex(&bytes).to_string();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls() {
        let qualifiers = [("distro", "debian-12"), ("arch", "amd64"), ("upstream", "")];
        let purl =
            Purl { kind: "deb", namespace: "debian", name: "libstdc++6", version: "1:2~a+b", qualifiers: &qualifiers };
        assert_eq!(purl.to_string(), "pkg:deb/debian/libstdc%2B%2B6@1%3A2~a%2Bb?arch=amd64&distro=debian-12");
        let purl = Purl { kind: "npm", namespace: "@scope", name: "x", ..Purl::default() };
        assert_eq!(purl.to_string(), "pkg:npm/%40scope/x");
    }

    #[test]
    fn cpe_names() {
        assert_eq!(cpe("libstdc++6", "12.2~rc1+x"), r"cpe:2.3:a:libstdc\+\+6:libstdc\+\+6:12.2\~rc1\+x:*:*:*:*:*:*:*");
        assert_eq!(cpe("a b", ""), "cpe:2.3:a:ab:ab:*:*:*:*:*:*:*:*");
        assert_eq!(upstream_version("1:2.3-4-5"), "2.3-4");
        assert_eq!(upstream_version("2.3"), "2.3");
    }

    #[test]
    fn uuids_are_of_version_5() {
        let uuid = uuid("x");
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "5"));
        assert_eq!(uuid, super::uuid("x"));
        assert_ne!(uuid, super::uuid("y"));
    }
}
