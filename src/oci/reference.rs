//! Image names: `[HOST[:PORT]/]PATH` and a tag, and the full form that engines keep them under.

use std::fmt;

/// The registry that a name without a host belongs to, as Docker, containerd and Podman have it.
const DEFAULT_HOST: &str = "docker.io";

/// The folder of names without one on that registry.
const DEFAULT_FOLDER: &str = "library";

/// An image name with a tag. `Display` is as it was written, `registry.example/acme/nginx:1.2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    name: String,
    tag: String,
}

/// Why a text is no image name or tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// The name does not follow the grammar.
    #[error("is no image name: lower-case letters, digits, `.`, `_`, `-` between `/`, with a host before them or none")]
    Name,
    /// The tag does not follow the grammar.
    #[error("is no tag: letters, digits, `_`, `.`, `-`, at most 128, not `.` or `-` first")]
    Tag,
}

impl Reference {
    /// Checks a name and a tag.
    ///
    /// # Errors
    /// When one of them does not follow the distribution specification's grammar.
    pub fn new(name: &str, tag: &str) -> Result<Self, BadReference> {
        let (host, path) = split_host(name);
        let host_is_good = host.is_none_or(is_host);
        if !host_is_good || path.is_empty() || name.len() > 255 || !path.split('/').all(is_path_component) {
            return Err(BadReference::Name);
        }
        if !is_tag(tag) {
            return Err(BadReference::Tag);
        }
        Ok(Self { name: name.to_owned(), tag: tag.to_owned() })
    }

    /// The name without the tag, as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The full form that engines keep a name under, `docker.io/library/nginx:latest` for `nginx:latest`.
    pub fn full(&self) -> String {
        match split_host(&self.name) {
            (Some(_), _) => self.to_string(),
            (None, path) if path.contains('/') => format!("{DEFAULT_HOST}/{self}"),
            (None, _) => format!("{DEFAULT_HOST}/{DEFAULT_FOLDER}/{self}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

/// Whether a text is a tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128 && text.starts_with(word) && text.chars().all(|c| word(c) || c == '.' || c == '-')
}

/// The first component is a host when it looks like one: with a dot or a port, or `localhost`.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
        _ => (None, name),
    }
}

fn is_host(host: &str) -> bool {
    let (address, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, port)) => (address, Some(port.strip_prefix(':').unwrap_or("bad"))),
        None => host.split_once(':').map_or((host, None), |(address, port)| (address, Some(port))),
    };
    let port_is_good = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let is_ipv6 = host.starts_with('[') && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
    port_is_good && (is_ipv6 || address.split('.').all(label))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(part: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut gaps = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|gap| !gap.is_empty());
    part.bytes().next().is_some_and(word)
        && part.bytes().last().is_some_and(word)
        && gaps.all(|gap| matches!(gap, "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_form() {
        let full = |name: &str| Reference::new(name, "1").unwrap().full();
        assert_eq!(full("nginx"), "docker.io/library/nginx:1");
        assert_eq!(full("acme/nginx"), "docker.io/acme/nginx:1");
        assert_eq!(full("registry.example/acme/nginx"), "registry.example/acme/nginx:1");
        assert_eq!(full("localhost:5000/x"), "localhost:5000/x:1");
        assert_eq!(full("[::1]:5000/x"), "[::1]:5000/x:1");
    }

    #[test]
    fn grammar() {
        for good in ["a", "a--b", "a.b/c__d", "h.example:1/a", "localhost/a"] {
            assert!(Reference::new(good, "v1.0_x-y").is_ok(), "{good}");
        }
        for bad in ["", "A", "a//b", "/a", "a/", "-a", "a..b", "a___b", "h.example:/a", "h:x/a", "-h.example/a", "a b"]
        {
            assert_eq!(Reference::new(bad, "1"), Err(BadReference::Name), "{bad}");
        }
        for bad in ["", ".a", "-a", "a b", "a:b", &"x".repeat(129)] {
            assert_eq!(Reference::new("a", bad), Err(BadReference::Tag), "{bad}");
        }
    }
}
