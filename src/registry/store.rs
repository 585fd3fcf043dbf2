//! An image of a registry as a [`Store`], as if it were a layout: what is asked for is fetched, and nothing else.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Client, lock};
use super::manifest::wrong;
use super::{Manifest, Remote};
use crate::oci::{self, Digest, Fetch, Store};
use crate::report::{Error, Result};

/// How deep indexes may be nested.
const DEEPEST: usize = 4;

/// What a document lists under a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    Manifest(u64),
    Blob(u64),
}

/// Fetches into a folder.
#[derive(Debug)]
struct Fetcher {
    client: Arc<Client>,
    remote: Remote,
    root: Digest,
    folder: TempDir,
    listed: Mutex<BTreeMap<Digest, Listed>>,
}

/// Opens an image of a registry: its manifest or index is read, all else when it is asked for. The folder is a
/// temporary one, for what is fetched.
///
/// # Errors
/// When the registry does not give the manifest, or the folder can't be written.
pub fn open(client: &Arc<Client>, remote: &Remote, folder: TempDir) -> Result<Store> {
    let manifest = client.manifest(remote)?;
    let path = folder.path().to_owned();
    let blobs = path.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).map_err(|error| Error::io("create", &blobs, &error))?;
    let name = remote.to_string();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": oci::MediaType::ImageIndex.to_string(),
        "manifests": [{
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": manifest.bytes.len(),
            "annotations": { oci_spec::image::ANNOTATION_REF_NAME: name.strip_prefix(super::SCHEME).unwrap_or(&name) },
        }],
    });
    write(&path.join("index.json"), &oci::canonical(&index))?;
    write(&path.join("oci-layout"), &oci::canonical(&json!({ "imageLayoutVersion": "1.0.0" })))?;
    let fetcher = Fetcher {
        client: Arc::clone(client),
        remote: remote.clone(),
        root: manifest.digest,
        folder,
        listed: Mutex::default(),
    };
    fetcher.learn(&manifest)?;
    write(&fetcher.place(manifest.digest), &manifest.bytes)?;
    Ok(Store::fetched(name, path, Box::new(fetcher)))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|error| Error::io("write", path, &error))
}

impl Fetcher {
    fn place(&self, digest: Digest) -> PathBuf {
        self.folder.path().join("blobs/sha256").join(digest.hex())
    }

    /// Keeps what a document lists. Two sizes for one digest can't both be true.
    fn learn(&self, manifest: &Manifest) -> Result<()> {
        let remote = self.remote.at(manifest.digest);
        let document: Value =
            oci::read(&manifest.bytes).map_err(|_| wrong(&remote, "is a manifest that is no JSON"))?;
        let mut listed = lock(&self.listed);
        for (digest, entry) in entries(&document) {
            let (Some(digest), Some(entry)) = (digest, entry) else {
                return Err(wrong(&remote, "lists something without a good digest and size"));
            };
            if listed.insert(digest, entry).is_some_and(|before| before != entry) {
                return Err(wrong(&remote, &format!("lists `{digest}` in two ways")));
            }
        }
        Ok(())
    }

    fn walk(&self, digest: Digest, depth: usize, all: &mut Vec<String>) -> Result<()> {
        all.push(digest.hex());
        let path = self.place(digest);
        if !path.exists() {
            self.fetch(digest)?;
        }
        let bytes = std::fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
        let document: Value =
            oci::read(&bytes).map_err(|_| wrong(&self.remote.at(digest), "is a manifest that is no JSON"))?;
        for (digest, entry) in entries(&document) {
            match (digest, entry) {
                (Some(digest), Some(Listed::Manifest(_))) if depth < DEEPEST => self.walk(digest, depth + 1, all)?,
                (Some(digest), _) => all.push(digest.hex()),
                (None, _) => {}
            }
        }
        Ok(())
    }
}

impl Fetch for Fetcher {
    fn fetch(&self, digest: Digest) -> Result<()> {
        let listed = lock(&self.listed).get(&digest).copied();
        let path = self.place(digest);
        match listed {
            None => Err(wrong(&self.remote, &format!("does not list `{digest}`"))),
            Some(Listed::Manifest(size)) => {
                let remote = self.remote.at(digest);
                let manifest = self.client.manifest(&remote)?;
                if manifest.bytes.len() as u64 != size {
                    let what = format!("has {} bytes, and is listed with {size}", manifest.bytes.len());
                    return Err(wrong(&remote, &what));
                }
                self.learn(&manifest)?;
                write(&path, &manifest.bytes)
            }
            Some(Listed::Blob(size)) => {
                let temporary = tempfile::NamedTempFile::new_in(self.folder.path());
                let temporary = temporary.map_err(|error| Error::io("write", self.folder.path(), &error))?;
                let mut file: File =
                    temporary.reopen().map_err(|error| Error::io("write", temporary.path(), &error))?;
                self.client.blob(&self.remote.repository, digest, size, &mut file, temporary.path())?;
                temporary.persist(&path).map(drop).map_err(|error| Error::io("rename", &path, &error.error))
            }
        }
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        self.walk(self.root, 0, &mut all)?;
        all.sort();
        all.dedup();
        Ok(all)
    }
}

/// The descriptors of a manifest or index.
fn entries(document: &Value) -> impl Iterator<Item = (Option<Digest>, Option<Listed>)> + '_ {
    let list = |key: &str| document.get(key).and_then(Value::as_array).into_iter().flatten();
    let manifests = list("manifests").map(|entry| (entry, true));
    let blobs = document.get("config").into_iter().chain(list("layers")).map(|entry| (entry, false));
    manifests.chain(blobs).map(|(entry, is_manifest)| {
        let digest = entry.get("digest").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let size = entry.get("size").and_then(Value::as_u64);
        (digest, size.map(if is_manifest { Listed::Manifest } else { Listed::Blob }))
    })
}
