//! Referrers: manifests that say of another one, their subject, what it is (signatures, SBOMs). Registries of version
//! 1.1 list them; for others the list is an index under a tag that is made of the subject's digest, which clients keep.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::authorization::Scope;
use super::beside::MOST_ROUNDS;
use super::client::{Ask, Client, Registry, lock, nothing};
use super::manifest::NotTaken;
use super::url::Url;
use super::{Blob, Document, Job, Remote, Repository, WRONG_CONTENT};
use crate::oci::{self, Digest, LIMIT, MediaType};
use crate::report::{Diagnostic, Error, Result};

/// How many pages of a list are read.
const MOST_PAGES: usize = 100;

/// A manifest that refers to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
    /// The media type of its manifest.
    pub media_type: String,
    /// What it is, as `application/spdx+json`.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Client {
    /// Pushes a manifest whose `subject` is in the repository, with its blobs. A registry that does not list referrers
    /// by itself gets the list under its tag. Returns the manifest's digest.
    ///
    /// # Errors
    /// When the manifest names no subject, or the registry does not take it.
    pub fn push_referrer(&self, to: &Repository, manifest: &[u8], blobs: Vec<Blob<'_>>) -> Result<Digest> {
        let document: Value = oci::read(manifest).map_err(Error::internal)?;
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let subject = document.get("subject").and_then(|subject| text(subject, "digest")?.parse::<Digest>().ok());
        let subject = subject.ok_or_else(|| Error::internal("a referrer without a subject"))?;
        let media_type = text(&document, "mediaType").unwrap_or_else(|| MediaType::ImageManifest.to_string());
        let digest = Digest::of(manifest);
        let own = Document { digest, media_type, bytes: manifest.to_vec() };
        let job = Job { blobs, documents: Vec::new(), tags: Vec::new(), sources: Vec::new() };
        self.push_blobs(to, &job)?;
        let registry = self.registry(to)?;
        let place = Remote { repository: to.clone(), tag: None, digest: Some(digest) };
        let response = self.put(&registry, &place, &own, &mut || self.push_blobs_anew(to, &job).map(drop))?;
        // "OCI-Subject" says that the registry keeps the list (distribution specification, "Pushing Manifests with
        // Subject").
        if response.header("oci-subject").is_none() {
            self.list_under_tag(&registry, to, subject, &own, &document)?;
        }
        Ok(digest)
    }

    /// The referrers of a manifest: all, or those of one type.
    ///
    /// # Errors
    /// When the registry does not say.
    pub fn referrers(
        &self,
        repository: &Repository,
        subject: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>> {
        let registry = self.registry(repository)?;
        let listed = if let Some(listed) = self.listed(&registry, repository, subject)? {
            listed
        } else {
            let index = self.found(self.manifest(&tag_of(repository, subject)))?;
            index.map(|index| entries(&index.bytes)).transpose()?.unwrap_or_default()
        };
        let mut found: Vec<Referrer> = listed.iter().filter_map(referrer).collect();
        found.retain(|one| artifact_type.is_none_or(|wanted| one.artifact_type.as_deref() == Some(wanted)));
        found.sort_by_key(|one| one.digest);
        found.dedup_by_key(|one| one.digest);
        Ok(found)
    }

    /// What the registry itself lists, page by page; `None` when it knows no such list.
    fn listed(&self, registry: &Registry, repository: &Repository, subject: Digest) -> Result<Option<Vec<Value>>> {
        let scope = Scope::pull(repository);
        let what = format!("list what refers to `{subject}` in `{repository}`");
        let mut url = Url::new(&registry.origin, &format!("/v2/{}/referrers/{subject}", repository.path()));
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            let headers = vec![("Accept", MediaType::ImageIndex.to_string())];
            let ask = Ask { what: &what, method: "GET", url: url.clone(), scope: &scope, headers, body: &nothing };
            let response = self.call(registry, &ask)?;
            match response.status {
                200 if response
                    .header("content-type")
                    .is_some_and(|kind| kind.starts_with("application/vnd.oci.image.index")) => {}
                // Pages of other servers, and what is not known there.
                200 | 400 | 404 | 405 | 406 | 501 => return Ok(None),
                _ => return Err(self.refused(registry, &ask, response)),
            }
            let next = response.header("link").and_then(next).map(str::to_owned);
            let bytes = response.into_bytes(LIMIT).map_err(|failure| Self::gave_up(&ask, &failure, 1))?;
            let bytes = bytes.ok_or_else(|| too_long(repository, subject))?;
            all.extend(entries(&bytes)?);
            match next.map(|next| url.join(&next)) {
                Some(Some(next)) if next.origin == registry.origin => url = next,
                _ => return Ok(Some(all)),
            }
        }
        Err(too_long(repository, subject))
    }

    /// Adds a manifest to the index under the subject's tag. Others may do the same at the same time: what was written
    /// is read again after a moment, and written again until it is there.
    fn list_under_tag(
        &self,
        registry: &Registry,
        to: &Repository,
        subject: Digest,
        own: &Document,
        document: &Value,
    ) -> Result<()> {
        let place = tag_of(to, subject);
        // Threads of this process wait for one another.
        let turn = self.turn(&place);
        let _turn = lock(&turn);
        for round in 0..MOST_ROUNDS {
            let found = self.found(self.manifest_and_etag(&place))?;
            let mut list =
                found.as_ref().map(|(manifest, _)| entries(&manifest.bytes)).transpose()?.unwrap_or_default();
            let is_own = |entry: &Value| entry.get("digest").and_then(Value::as_str) == Some(&own.digest.to_string());
            if list.iter().any(is_own) {
                return Ok(());
            }
            list.push(descriptor(own, document));
            list.sort_by_key(|entry| entry.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned());
            let media_type = MediaType::ImageIndex.to_string();
            let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": list });
            let bytes = oci::canonical(&index);
            let index = Document { digest: Digest::of(&bytes), media_type, bytes };
            match self.put_over(registry, &place, &index, found.and_then(|(_, etag)| etag)) {
                Ok(()) => {}
                // Another writer may be sending one of the listed manifests anew at this moment.
                Err(NotTaken::BlobUnknown(_)) if round + 1 < MOST_ROUNDS => {}
                Err(other) => return Err(other.into_error()),
            }
            // Who had read before this was written writes within a moment; whoever was lost by that sees it then.
            std::thread::sleep(self.pause(1, None) * (round + 1).min(4));
        }
        Err(Diagnostic::error(WRONG_CONTENT, format!("`{place}` is written by others again and again"))
            .note(format!("it is to list `{}`", own.digest))
            .help("push again in a while")
            .into())
    }

    /// `None` for what is not there.
    #[expect(clippy::unused_self, reason = "reads as a part of the request")]
    pub(super) fn found<T>(&self, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.0.iter().any(|diagnostic| diagnostic.code == super::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `sha256-HEX` (distribution specification, "Referrers Tag Schema").
fn tag_of(repository: &Repository, subject: Digest) -> Remote {
    Remote { repository: repository.clone(), tag: Some(format!("sha256-{}", subject.hex())), digest: None }
}

fn too_long(repository: &Repository, subject: Digest) -> Error {
    Diagnostic::error(WRONG_CONTENT, format!("`{repository}` lists too much that refers to `{subject}`")).into()
}

/// The entries of an index.
fn entries(index: &[u8]) -> Result<Vec<Value>> {
    let index: Value = oci::read(index).unwrap_or_default();
    match index.get("manifests") {
        Some(Value::Array(entries)) => Ok(entries.clone()),
        Some(Value::Null) => Ok(Vec::new()),
        _ => Err(Diagnostic::error(WRONG_CONTENT, "what should list referrers is no image index").into()),
    }
}

fn referrer(entry: &Value) -> Option<Referrer> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let annotations = entry.get("annotations").and_then(Value::as_object).into_iter().flatten();
    Some(Referrer {
        digest: text("digest")?.parse().ok()?,
        size: entry.get("size")?.as_u64()?,
        media_type: text("mediaType")?,
        artifact_type: text("artifactType"),
        annotations: annotations.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
    })
}

/// The entry of a referrer: its type is its own `artifactType`, else that of its configuration.
fn descriptor(own: &Document, document: &Value) -> Value {
    let config_type = document.get("config").and_then(|config| config.get("mediaType"));
    let mut entry = json!({ "mediaType": own.media_type, "digest": own.digest, "size": own.bytes.len() });
    if let Some(artifact_type) = document.get("artifactType").or(config_type) {
        entry["artifactType"] = artifact_type.clone();
    }
    if let Some(annotations) = document.get("annotations") {
        entry["annotations"] = annotations.clone();
    }
    entry
}

/// `<...>; rel="next"`
fn next(link: &str) -> Option<&str> {
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then_some(address)
}
