//! Manifests and tags: read, asked for, written. A manifest is what its digest says, or an error.

use super::authorization::Scope;
use super::client::{Ask, Client, Registry, nothing};
use super::refusal::said;
use super::transport::{Body, Response};
use super::url::Url;
use super::{NOT_FOUND, Remote, Repository, WRONG_CONTENT};
use crate::oci::{Digest, LIMIT, MediaType};
use crate::report::{Diagnostic, Error, Result};

/// What is taken as a manifest, the widest first.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or an index, as a registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its media type: its own word, else the registry's.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why a manifest was not taken.
pub(super) enum NotTaken {
    /// The registry lacks a blob that the manifest names.
    BlobUnknown(Error),
    /// Something else is there than the request said.
    Overtaken(Error),
    /// Another reason.
    Other(Error),
}

impl NotTaken {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::BlobUnknown(error) | Self::Overtaken(error) | Self::Other(error) => error,
        }
    }
}

impl Client {
    /// Reads a manifest by the digest of a name, else by its tag (`latest` without).
    ///
    /// # Errors
    /// When the registry does not give it, or gives something else.
    pub fn manifest(&self, remote: &Remote) -> Result<Manifest> {
        self.manifest_and_etag(remote).map(|(manifest, _)| manifest)
    }

    /// The same, with the registry's word for this state of a tag.
    pub(super) fn manifest_and_etag(&self, remote: &Remote) -> Result<(Manifest, Option<String>)> {
        let registry = self.registry(&remote.repository)?;
        let (scope, what) = (Scope::pull(&remote.repository), format!("give `{remote}`"));
        let ask = Ask {
            what: &what,
            method: "GET",
            url: manifest_url(&registry, remote),
            scope: &scope,
            headers: vec![("Accept", ACCEPTED.to_owned())],
            body: &nothing,
        };
        let mut attempt = 1;
        loop {
            let response = self.call(&registry, &ask)?;
            if response.status != 200 {
                return Err(self.refused(&registry, &ask, response));
            }
            let told = response.header("docker-content-digest").map(str::to_owned);
            let etag = response.header("etag").map(str::to_owned);
            let listed =
                response.header("content-type").map(|text| text.split(';').next().unwrap_or(text).trim().to_owned());
            let bytes = match response.into_bytes(LIMIT) {
                Ok(bytes) => {
                    bytes.ok_or_else(|| wrong(remote, &format!("is a manifest of more than {LIMIT} bytes")))?
                }
                Err(_) if attempt < self.pace.tries => {
                    std::thread::sleep(self.pause(attempt, None));
                    attempt += 1;
                    continue;
                }
                Err(failure) => return Err(Self::gave_up(&ask, &failure, attempt)),
            };
            return check(remote, bytes, told.as_deref(), listed).map(|manifest| (manifest, etag));
        }
    }

    /// The digest that a tag has now, `None` when it is not there.
    ///
    /// # Errors
    /// When the registry does not say.
    pub fn digest_of(&self, remote: &Remote) -> Result<Option<Digest>> {
        let registry = self.registry(&remote.repository)?;
        let (scope, what) = (Scope::pull(&remote.repository), format!("say what `{remote}` is"));
        self.digest_in(&registry, remote, &scope, &what)
    }

    pub(super) fn digest_in(
        &self,
        registry: &Registry,
        remote: &Remote,
        scope: &Scope,
        what: &str,
    ) -> Result<Option<Digest>> {
        let headers = vec![("Accept", ACCEPTED.to_owned())];
        let ask = Ask { what, method: "HEAD", url: manifest_url(registry, remote), scope, headers, body: &nothing };
        let response = self.call(registry, &ask)?;
        match (response.status, response.header("docker-content-digest").map(str::parse)) {
            (200, Some(Ok(digest))) => Ok(Some(digest)),
            (404, _) => Ok(None),
            (401 | 403, _) => Err(self.refused(registry, &ask, response)),
            // Registries that know no HEAD, or say no digest.
            _ => match self.manifest(remote) {
                Ok(manifest) => Ok(Some(manifest.digest)),
                Err(error) if error.0.iter().any(|diagnostic| diagnostic.code == NOT_FOUND) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// Writes a manifest under its digest or a tag. The headers of the answer are given back.
    pub(super) fn put_manifest(
        &self,
        registry: &Registry,
        to: &Remote,
        manifest: &Manifest,
        headers: &[(&'static str, String)],
    ) -> Result<Response, NotTaken> {
        let what = match &to.tag {
            Some(tag) if to.digest.is_none() => format!("tag `{}` in `{}`", tag, to.repository),
            _ => format!("take manifest `{}` into `{}`", manifest.digest, to.repository),
        };
        let scope = Scope::push(&to.repository);
        let mut all = vec![("Content-Type", manifest.media_type.clone())];
        all.extend(headers.iter().cloned());
        let ask = Ask {
            what: &what,
            method: "PUT",
            url: manifest_url(registry, to),
            scope: &scope,
            headers: all,
            body: &|| Ok(Body::Bytes(&manifest.bytes)),
        };
        let response = self.call(registry, &ask).map_err(NotTaken::Other)?;
        if !matches!(response.status, 200..=202) {
            let status = response.status;
            let (codes, words) = said(response);
            let error = self.refused_with(registry, &what, "PUT", &ask.url.to_string(), &scope, status, &words);
            let lacks = codes.iter().any(|code| code == "MANIFEST_BLOB_UNKNOWN" || code == "BLOB_UNKNOWN");
            return Err(match status {
                _ if lacks => NotTaken::BlobUnknown(error),
                412 => NotTaken::Overtaken(error),
                _ => NotTaken::Other(error),
            });
        }
        match response.header("docker-content-digest") {
            Some(told) if told != manifest.digest.to_string() => {
                let told = crate::path::show(told.as_bytes());
                Err(NotTaken::Other(wrong(to, &format!("was taken as `{told}`, and is `{}`", manifest.digest))))
            }
            _ => Ok(response),
        }
    }
}

pub(super) fn manifest_url(registry: &Registry, remote: &Remote) -> Url {
    Url::new(&registry.origin, &format!("/v2/{}/manifests/{}", remote.repository.path(), remote.wanted()))
}

pub(super) fn wrong(remote: &Remote, what: &str) -> Error {
    Diagnostic::error(WRONG_CONTENT, format!("`{remote}` {what}")).into()
}

pub(super) fn wrong_blob(repository: &Repository, digest: Digest, what: &str) -> Error {
    Diagnostic::error(WRONG_CONTENT, format!("blob `{digest}` of `{repository}` {what}")).into()
}

/// Holds what came against what was asked for and what the registry says of it.
fn check(remote: &Remote, bytes: Vec<u8>, told: Option<&str>, listed: Option<String>) -> Result<Manifest> {
    let digest = Digest::of(&bytes);
    if let Some(wanted) = remote.digest.filter(|wanted| *wanted != digest) {
        return Err(wrong(remote, &format!("has the digest `{digest}`, and not `{wanted}`")));
    }
    if let Some(told) = told.filter(|told| remote.digest.is_none() && *told != digest.to_string()) {
        let told = crate::path::show(told.as_bytes());
        return Err(wrong(remote, &format!("has the digest `{digest}`, and the registry says `{told}`")));
    }
    let document: serde_json::Value =
        crate::oci::read(&bytes).map_err(|_| wrong(remote, "is a manifest that is no JSON"))?;
    if !document.is_object() {
        return Err(wrong(remote, "is a manifest that is no JSON object"));
    }
    let own = document.get("mediaType").and_then(serde_json::Value::as_str).map(str::to_owned);
    if let (Some(own), Some(listed)) = (&own, &listed)
        && own != listed
    {
        return Err(wrong(
            remote,
            &format!(
                "calls itself `{}`, and the registry calls it `{}`",
                crate::path::show(own.as_bytes()),
                crate::path::show(listed.as_bytes())
            ),
        ));
    }
    let fallback = || {
        let is_index = document.get("manifests").is_some();
        if is_index { MediaType::ImageIndex } else { MediaType::ImageManifest }.to_string()
    };
    let media_type = own
        .or(listed.filter(|listed| listed.contains("manifest") || listed.contains("index")))
        .unwrap_or_else(fallback);
    Ok(Manifest { digest, media_type, bytes })
}
