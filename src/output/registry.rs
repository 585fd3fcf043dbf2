//! Images into registries: from a build, or from a layout or archive that was written before.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::verify::bad_store;
use super::{CORRUPT, Written, attached};
use crate::attest::Referrer;
use crate::image::Images;
use crate::oci::{self, BadStore, Digest, MediaType, Reference, Store, StoredImage};
use crate::registry::{Blob, Client, Content, Document, Job, Pushed, Remote, Repository, Rules};
use crate::report::{Diagnostic, Error, Result};

/// How deep indexes may be nested.
const DEEPEST: usize = 4;

/// How an image that a build made is pushed.
#[derive(Debug, Clone, Copy)]
pub struct Push<'a> {
    /// Who pushes.
    pub client: &'a Client,
    /// What may be done to tags.
    pub rules: Rules,
}

/// Pushes an image, or an index of several, to a repository under its tags.
///
/// # Errors
/// When the registry does not take it.
pub fn push(push: Push<'_>, images: &Images, to: &Repository, tags: &[String]) -> Result<Pushed> {
    let mut seen = BTreeSet::new();
    let layers = images.layers().map(|layer| Blob {
        digest: layer.digest,
        size: layer.size,
        content: match &layer.elsewhere {
            Some(elsewhere) if !layer.blob.exists() => Content::Elsewhere(elsewhere),
            _ => Content::File(&layer.blob),
        },
    });
    let configs = images.iter().map(|image| Blob {
        digest: image.config.digest,
        size: image.config.bytes.len() as u64,
        content: Content::Bytes(&image.config.bytes),
    });
    let blobs = layers.chain(configs).filter(|blob| seen.insert(blob.digest)).collect();
    let manifests = images.iter().map(|image| (&image.manifest, image.descriptor().media_type().to_string()));
    let index = images.index().map(|index| (index, MediaType::ImageIndex.to_string()));
    let documents = manifests.chain(index).map(|(document, media_type)| Document {
        digest: document.digest,
        media_type,
        bytes: document.bytes.clone(),
    });
    let job = Job { blobs, documents: documents.collect(), tags: tags.to_vec(), sources: Vec::new() };
    push.client.push(to, &job, push.rules)
}

/// Pushes what refers to an image: by its subject, or under its tag, where what others put there stays.
///
/// # Errors
/// When the registry does not take it.
pub fn push_referrers(push: Push<'_>, to: &Repository, referrers: &[Referrer]) -> Result<()> {
    let tagged = referrers.iter().filter_map(|one| Some((one.tag.as_deref()?, one)));
    let merged = |one: &Referrer, there: Option<&[u8]>| match there {
        Some(there) => one.beside(there),
        None => Some(one.clone()),
    };
    push.client.push_beside(to, &tagged.collect::<Vec<_>>(), merged, job_of)?;
    for one in referrers.iter().filter(|one| one.tag.is_none()) {
        push.client.push_referrer(to, one.manifest.bytes(), job_of(one).blobs)?;
    }
    Ok(())
}

/// What is pushed of a referrer.
fn job_of(one: &Referrer) -> Job<'_> {
    let blobs = one.blobs.iter().map(|blob| {
        let bytes = blob.bytes();
        Blob { digest: blob.digest(), size: bytes.len() as u64, content: Content::Bytes(bytes) }
    });
    let document =
        Document { digest: one.digest(), media_type: one.media_type(), bytes: one.manifest.bytes().to_vec() };
    Job { blobs: blobs.collect(), documents: vec![document], tags: Vec::new(), sources: Vec::new() }
}

/// What is said of a push after a build.
pub(super) fn written(to: &Repository, pushed: &Pushed) -> Written {
    let mut notes = Vec::new();
    for moved in &pushed.tags {
        match moved.before {
            Some(before) if before != pushed.digest => {
                notes.push(format!("tag `{}` of `{to}` was {before}", moved.tag));
            }
            _ => {}
        }
    }
    Written { notes, pushed: Some((to.clone(), pushed.clone())) }
}

/// Where a build's image goes: the tag of the name, or else those of the image.
pub(super) fn tags_of(remote: &Remote, names: &[Reference]) -> Vec<String> {
    match &remote.tag {
        Some(tag) => vec![tag.clone()],
        None => names.iter().map(|name| name.tag().to_owned()).collect(),
    }
}

/// What refers to images, by their digests.
pub type Attached<'a> = dyn Fn(&BTreeSet<Digest>) -> Result<Vec<Referrer>> + 'a;

/// Pushes an image, or an index of several, that was written before. Of several entries the one is meant that has the
/// tag of `to`. What lies in a repository `from` of the same registry is taken over from there; of what lies in another
/// registry, only that is fetched which has to be sent. What `attached` gives for the manifests and indexes that are
/// pushed follows the image; it is asked before anything is sent.
///
/// # Errors
/// When the store can't be read, or the registry does not take it.
pub fn push_store(
    push: Push<'_>,
    store: &Store,
    from: Option<&Repository>,
    to: &Remote,
    tags: &[String],
    attached: &Attached<'_>,
) -> Result<(Pushed, Vec<Referrer>)> {
    let mut graph = Graph { store, documents: Vec::new(), blobs: Vec::new(), seen: BTreeSet::new() };
    if store.is_layout() {
        let index: Value = graph.json("index.json")?;
        let entry = choose(store, &index, to)?;
        graph.add(entry, 0)?;
    } else {
        let images = store.images().map_err(|error| bad_store(store, error))?;
        let [image] = images.as_slice() else {
            return Err(bad_choice(store, &images.iter().flat_map(|image| image.names.clone()).collect::<Vec<_>>()));
        };
        let (document, blobs) = docker(store, image)?;
        graph.documents.push(document);
        graph.blobs = blobs;
    }
    let referrers = attached(&graph.documents.iter().map(|document| document.digest).collect())?;
    let job = Job {
        blobs: graph.blobs,
        documents: graph.documents,
        tags: tags.to_vec(),
        sources: from.into_iter().cloned().collect(),
    };
    let pushed = push.client.push(&to.repository, &job, push.rules)?;
    push_referrers(push, &to.repository, &referrers)?;
    Ok((pushed, referrers))
}

/// The entry that is meant.
fn choose<'a>(store: &Store, index: &'a Value, to: &Remote) -> Result<&'a Value> {
    let entries: Vec<&Value> = index.get("manifests").and_then(Value::as_array).into_iter().flatten().collect();
    let name = |entry: &Value| Some(entry.get("annotations")?.get(super::index::REF_NAME)?.as_str()?.to_owned());
    let is_meant = |entry: &&&Value| {
        let name = name(entry).unwrap_or_default();
        to.tag.as_ref().is_some_and(|tag| oci::has_tag(&name, tag))
    };
    // What refers to an image may be listed beside it.
    let entries: Vec<&Value> = entries.into_iter().filter(|entry| store.lists(entry)).collect();
    let images: Vec<&Value> = entries.iter().copied().filter(|entry| !refers(store, entry)).collect();
    match if images.is_empty() { entries } else { images }.as_slice() {
        [only] => Ok(only),
        all => {
            let found: Vec<&&Value> = all.iter().filter(is_meant).collect();
            match found.as_slice() {
                [only] => Ok(only),
                _ => Err(bad_choice(store, &all.iter().filter_map(|entry| name(entry)).collect::<Vec<_>>())),
            }
        }
    }
}

/// Whether a listed manifest refers to another. What can't be read is told when it is pushed.
fn refers(store: &Store, entry: &Value) -> bool {
    let subject = || {
        let digest = entry.get("digest")?.as_str()?.parse::<Digest>().ok()?;
        let bytes = store.document(&format!("blobs/sha256/{}", digest.hex())).ok()?;
        attached::subject(&oci::read(&bytes).ok()?)
    };
    attached::tagged(entry).is_some() || subject().is_some()
}

fn bad_choice(store: &Store, names: &[String]) -> Error {
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", crate::path::show(name.as_bytes()))).collect();
    let error = Diagnostic::error(super::UNREADABLE, format!("`{}` does not hold one image", store.name()));
    let error = if names.is_empty() { error } else { error.note(format!("it holds {}", names.join(", "))) };
    error.help(format!("name one by its tag, `oci:{}:TAG`, or push under its own", store.name())).into()
}

/// A manifest or index with all that it names.
struct Graph<'a> {
    store: &'a Store,
    documents: Vec<Document>,
    blobs: Vec<Blob<'a>>,
    seen: BTreeSet<Digest>,
}

impl Graph<'_> {
    fn bad(&self, error: BadStore) -> Error {
        bad_store(self.store, error)
    }

    fn json(&self, name: &str) -> Result<Value> {
        let bytes = self.store.document(name).map_err(|error| self.bad(error))?;
        oci::read(&bytes).map_err(|_| self.bad(BadStore::Malformed(name.to_owned())))
    }

    fn corrupt(&self, what: &str) -> Error {
        Diagnostic::error(CORRUPT, format!("`{}` {what}", self.store.name()))
            .help(format!("`mkimage verify {}` checks the whole of it", self.store.name()))
            .into()
    }

    /// Adds what a descriptor names, children before parents.
    fn add(&mut self, entry: &Value, depth: usize) -> Result<()> {
        let (digest, size) = self.descriptor(entry)?;
        if !self.seen.insert(digest) {
            return Ok(());
        }
        if depth > DEEPEST {
            return Err(self.corrupt("nests indexes too deep"));
        }
        let bytes = self.store.document(&format!("blobs/sha256/{}", digest.hex())).map_err(|error| self.bad(error))?;
        if Digest::of(&bytes) != digest || bytes.len() as u64 != size {
            return Err(self.corrupt(&format!("has other bytes under `{digest}`")));
        }
        let document: Value = oci::read(&bytes).map_err(|_| self.bad(BadStore::Malformed(digest.to_string())))?;
        let list = |key: &str| document.get(key).and_then(Value::as_array).into_iter().flatten();
        for child in list("manifests") {
            self.add(child, depth + 1)?;
        }
        for blob in document.get("config").into_iter().chain(list("layers")) {
            self.blob(blob)?;
        }
        let own = |value: &Value| value.get("mediaType").and_then(Value::as_str).map(str::to_owned);
        let media_type = own(&document).or_else(|| own(entry));
        let media_type = media_type.ok_or_else(|| self.corrupt(&format!("does not say of what type `{digest}` is")))?;
        self.documents.push(Document { digest, media_type, bytes });
        Ok(())
    }

    fn blob(&mut self, entry: &Value) -> Result<()> {
        let (digest, size) = self.descriptor(entry)?;
        if !self.seen.insert(digest) {
            return Ok(());
        }
        if self.store.is_fetched() {
            self.blobs.push(Blob { digest, size, content: Content::Kept(self.store, digest) });
            return Ok(());
        }
        let stored = self.store.blob(digest).map_err(|error| self.bad(error))?;
        if stored.size() != size {
            return Err(
                self.corrupt(&format!("has {} bytes of `{digest}`, which is listed with {size}", stored.size()))
            );
        }
        self.blobs.push(Blob { digest, size, content: Content::Stored(stored) });
        Ok(())
    }

    fn descriptor(&self, entry: &Value) -> Result<(Digest, u64)> {
        let digest = entry.get("digest").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let size = entry.get("size").and_then(Value::as_u64);
        digest.zip(size).ok_or_else(|| self.corrupt("lists something without a good digest and size"))
    }
}

/// An image that `docker save` wrote has no manifest: one is made, of its configuration and layers as they are.
fn docker(store: &Store, image: &StoredImage) -> Result<(Document, Vec<Blob<'static>>)> {
    let bad = |error: BadStore| bad_store(store, error);
    let (mut blobs, mut layers, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for layer in &image.layers {
        let stored = store.file(&layer.file).map_err(bad)?;
        let mut hash = oci::Sha256::default();
        std::io::copy(&mut stored.clone(), &mut hash).map_err(|error| bad(error.into()))?;
        let (size, digest) = (stored.size(), hash.finish());
        let media_type = match layer.encoding {
            oci::Encoding::None => MediaType::ImageLayer,
            oci::Encoding::Gzip => MediaType::ImageLayerGzip,
            oci::Encoding::Zstd => MediaType::ImageLayerZstd,
        };
        layers.push(json!({ "mediaType": media_type.to_string(), "digest": digest, "size": size }));
        if seen.insert(digest) {
            blobs.push(Blob { digest, size, content: Content::Stored(stored) });
        }
    }
    let stored = store.file(&image.config_file).map_err(bad)?;
    let bytes = store.document(&image.config_file).map_err(bad)?;
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    blobs.push(Blob { digest, size, content: Content::Stored(stored) });
    let media_type = MediaType::ImageManifest.to_string();
    let manifest = oci::canonical(&json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": { "mediaType": MediaType::ImageConfig.to_string(), "digest": digest, "size": size },
        "layers": layers,
    }));
    Ok((Document { digest: Digest::of(&manifest), media_type, bytes: manifest }, blobs))
}
