//! The addresses that a registry is asked at: absolute, `http` or `https`, without names or passwords in them.

use std::fmt;
use std::net::IpAddr;

/// Where a request goes, and with it whose credentials it may carry: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Origin {
    pub(super) is_https: bool,
    /// In lower case; an IPv6 address in its brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Origin {
    /// Reads `HOST[:PORT]`.
    pub(super) fn parse(is_https: bool, authority: &str) -> Option<Self> {
        let default = if is_https { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, if port.is_empty() { default } else { number(port)? }),
            _ => (authority, default),
        };
        let is_address = host.starts_with('[') && host.ends_with(']');
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b) || (is_address && b"[]:".contains(&b));
        let host = (!host.is_empty() && host.bytes().all(fits)).then(|| host.to_ascii_lowercase())?;
        Some(Self { is_https, host, port })
    }

    /// The address, when the host is one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// The host, with a port that is not the scheme's own: what a registry is called.
    pub(super) fn place(&self) -> String {
        let text = self.to_string();
        text.split_once("://").map_or(text.as_str(), |(_, place)| place).to_owned()
    }

    /// Whether the host is this machine, by its name alone.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.address().is_some_and(|address| address.is_loopback())
    }
}

fn number(port: &str) -> Option<u16> {
    port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok())?
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, default) = if self.is_https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == default { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// An address. `Display` leaves out the query, which may hold a signature or a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) origin: Origin,
    /// From the first `/` on; without the query.
    path: String,
    query: Option<String>,
}

impl Url {
    pub(super) fn new(origin: &Origin, path: &str) -> Self {
        Self { origin: origin.clone(), path: path.to_owned(), query: None }
    }

    /// Reads an absolute address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let origin = Origin::parse(is_https, &rest[..end])?;
        Self::with(origin, &rest[end..])
    }

    /// What a `Location` says, seen from here.
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        let location = location.trim();
        if location.contains("://") && !location.starts_with(['/', '?']) {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", if self.origin.is_https { "https" } else { "http" }));
        }
        if location.starts_with('/') {
            return Self::with(self.origin.clone(), location);
        }
        let folder = self.path.rfind('/').map_or("/", |slash| &self.path[..=slash]);
        match location.strip_prefix('?') {
            Some(_) => Self::with(self.origin.clone(), &format!("{}{location}", self.path)),
            None => Self::with(self.origin.clone(), &format!("{folder}{location}")),
        }
    }

    fn with(origin: Origin, rest: &str) -> Option<Self> {
        let rest = rest.split('#').next().unwrap_or_default();
        // What is no printable ASCII could end the line of the request.
        if !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Self { origin, path, query })
    }

    /// With one more parameter; those that it has stay as they are.
    pub(super) fn and(mut self, name: &str, value: &str) -> Self {
        let pair = format!("{name}={}", escape(value));
        self.query = Some(match self.query.filter(|query| !query.is_empty()) {
            Some(query) => format!("{query}&{pair}"),
            None => pair,
        });
        self
    }

    /// All of it, for the request alone.
    pub(super) fn full(&self) -> String {
        match &self.query {
            Some(query) => format!("{}{}?{query}", self.origin, self.path),
            None => format!("{}{}", self.origin, self.path),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

/// A value of a query or form: what is not unreserved (RFC 3986), `/` and `:`, is escaped.
pub(super) fn escape(value: &str) -> String {
    use fmt::Write as _;
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_seen_from_where_they_were_given() {
        let base = Url::parse("https://Registry.example:443/v2/a/blobs/uploads/").unwrap();
        let joined = |location: &str| base.join(location).map(|url| url.full());
        assert_eq!(joined("/v2/x?_state=a%3D").unwrap(), "https://registry.example/v2/x?_state=a%3D");
        assert_eq!(joined("id?x=1").unwrap(), "https://registry.example/v2/a/blobs/uploads/id?x=1");
        assert_eq!(joined("?x=1").unwrap(), "https://registry.example/v2/a/blobs/uploads/?x=1");
        assert_eq!(joined("//other.example/x").unwrap(), "https://other.example/x");
        assert_eq!(joined("http://[::1]:5000/x#y").unwrap(), "http://[::1]:5000/x");
        for bad in [
            "https://user:word@host.example/",
            "ftp://host.example/",
            "https:///x",
            "/a b",
            "/a\r\nX: y",
            "http://h:99999/",
        ] {
            assert_eq!(joined(bad), None, "{bad}");
        }
        assert_eq!(
            base.join("/u?_state=a").unwrap().and("digest", "sha256:0").full(),
            "https://registry.example/u?_state=a&digest=sha256:0"
        );
    }

    #[test]
    fn queries_are_not_shown() {
        assert_eq!(Url::parse("https://s.example/x?sig=secret").unwrap().to_string(), "https://s.example/x");
    }
}
