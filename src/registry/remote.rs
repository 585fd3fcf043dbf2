//! `docker://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]`: what an image, or another artifact, is called in a registry.

use std::fmt;

use super::BAD_NAME;
use super::url::Origin;
use crate::oci::{Digest, Reference, is_tag};
use crate::report::{Diagnostic, Error, Result};

/// The word before a name of a registry.
pub const SCHEME: &str = "docker://";

/// The registry that a name without a host belongs to, and the host at which it answers.
const DEFAULT_REGISTRY: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A folder of a registry that holds blobs and manifests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    path: String,
}

impl Repository {
    /// `HOST[:PORT]`, as names have it.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path below the host.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host and port that are asked, with the scheme of TLS.
    pub(super) fn origin(&self) -> Result<Origin> {
        let host = if self.registry == DEFAULT_REGISTRY.0 { DEFAULT_REGISTRY.1 } else { &self.registry };
        Origin::parse(true, host).ok_or_else(|| Error::internal(format!("`{host}` is no host")))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// A name in a registry. `Display` has the scheme.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Remote {
    /// Where it is.
    pub repository: Repository,
    /// Its tag.
    pub tag: Option<String>,
    /// Its digest.
    pub digest: Option<Digest>,
}

impl Remote {
    /// Whether a text is meant to be the name of something in a registry.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Reads a name, with or without the scheme before it.
    ///
    /// # Errors
    /// When it does not follow the grammar.
    pub fn parse(text: &str) -> Result<Self> {
        let bare = text.strip_prefix(SCHEME).unwrap_or(text);
        let (name, digest) = match bare.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse::<Digest>();
                (name, Some(digest.map_err(|why| bad(text, &format!("has a digest that {why}")))?))
            }
            None => (bare, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        // One grammar for what a recipe names an image and for what a registry is asked for.
        let full = Reference::new(name, tag.unwrap_or("latest")).map_err(|why| bad(text, &why.to_string()))?.full();
        let full = full.strip_suffix(&format!(":{}", tag.unwrap_or("latest"))).unwrap_or(&full).to_owned();
        let Some((registry, path)) = full.split_once('/') else {
            return Err(Error::internal(format!("`{full}` has no host")));
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY.0 } else { registry };
        if Origin::parse(true, registry).is_none() {
            return Err(bad(text, "has no good port"));
        }
        let repository = Repository { registry: registry.to_owned(), path: path.to_owned() };
        Ok(Self { repository, tag: tag.map(str::to_owned), digest })
    }

    /// What a manifest is asked for by: its digest, its tag, or `latest`.
    pub(super) fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same, by its digest alone.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self { repository: self.repository.clone(), tag: None, digest: Some(digest) }
    }

    /// The same repository with a tag alone.
    ///
    /// # Errors
    /// When the text is no tag.
    pub fn tagged(&self, tag: &str) -> Result<Self> {
        if !is_tag(tag) {
            return Err(bad(&format!("{}:{tag}", self.repository), &crate::oci::BadReference::Tag.to_string()));
        }
        Ok(Self { repository: self.repository.clone(), tag: Some(tag.to_owned()), digest: None })
    }
}

fn bad(text: &str, why: &str) -> Error {
    Diagnostic::error(BAD_NAME, format!("`{}` {why}", crate::path::show(text.as_bytes())))
        .help("a name in a registry is `docker://registry.example/team/app:1.0`, with a tag, a digest or both")
        .into()
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_whole() {
        let digest = Digest::of(b"");
        for (text, full) in [
            ("docker://nginx", "docker://docker.io/library/nginx".to_owned()),
            ("docker://registry.example/a/b:1", "docker://registry.example/a/b:1".to_owned()),
            ("registry.example:5000/a/b", "docker://registry.example:5000/a/b".to_owned()),
            ("docker://localhost:5000/a:x_1", "docker://localhost:5000/a:x_1".to_owned()),
            (&format!("docker://[::1]:5000/a:1@{digest}"), format!("docker://[::1]:5000/a:1@{digest}")),
        ] {
            assert_eq!(Remote::parse(text).unwrap().to_string(), full);
        }
        for bad in [
            "docker://",
            "docker://A/b",
            "docker://h.example/a@sha256:0",
            "docker://h.example/a:",
            "docker://h.example/a/../b",
            "docker://h.example:70000/a",
            "docker://u:p@h.example/a",
        ] {
            assert!(Remote::parse(bad).is_err(), "{bad}");
        }
    }
}
