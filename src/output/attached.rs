//! What refers to images, wherever it lies: beside a layout or archive, in the list of a layout, or in a registry.
//!
//! In: the digests of images. Out: their [`Referrer`]s, whole, held against their digests, with what refers to those.

use std::collections::BTreeSet;
use std::path::Path;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde_json::Value;

use super::verify::{bad_store, hash, open};
use super::{CORRUPT, Destination, attachments_of};
use crate::attest::Referrer;
use crate::oci::{self, Digest, Store};
use crate::registry::{Client, NOT_FOUND, Remote, Repository, WRONG_CONTENT};
use crate::report::{Diagnostic, Error, Result};

/// The largest attachment that is read.
pub(super) const LARGEST: u64 = 256 << 20;
/// The most referrers that are taken along.
const MOST: usize = 10_000;
/// What is found by a tag that is made of the image's digest, in the form that is older than `subject`.
const KINDS: [&str; 3] = ["sig", "att", "sbom"];

/// What is attached to images of a layout or archive: beside it in `NAME.att`, and in its own list.
///
/// # Errors
/// When something of it is missing, or is not what its digest says.
pub fn attached(path: &Path, store: &Store, images: &BTreeSet<Digest>) -> Result<Vec<Referrer>> {
    let place = Destination::Layout { path: path.to_owned(), tag: None };
    let beside = attachments_of(&place).filter(|path| path.join("index.json").is_file());
    let beside = beside.map(|path| open(&path)).transpose()?;
    let mut wanted = images.clone();
    let mut found: Vec<Referrer> = Vec::new();
    // What refers to a referrer comes with the next round.
    loop {
        let before = found.len();
        for store in beside.iter().chain(Some(store).filter(|store| store.is_layout() && !store.is_fetched())) {
            for one in listed(store, &wanted)? {
                if wanted.insert(one.digest()) {
                    found.push(one);
                }
            }
        }
        if found.len() == before || found.len() > MOST {
            return Ok(found);
        }
    }
}

/// Holds what is attached beside a layout or archive against its digests: every blob, also what nothing names; of some
/// images alone what refers to these. How many documents there are, and what is wrong with them.
///
/// # Errors
/// When it can't be read at all.
pub fn check_attached(path: &Path, images: Option<&BTreeSet<Digest>>) -> Result<(u64, Vec<Diagnostic>)> {
    let place = Destination::Layout { path: path.to_owned(), tag: None };
    let Some(beside) = attachments_of(&place).filter(|path| path.join("index.json").is_file()) else {
        return Ok((0, Vec::new()));
    };
    let store = open(&beside)?;
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut count = 0;
    for entry in list_of(&store)?["manifests"].as_array().into_iter().flatten() {
        let digest = |entry: &Value| entry["digest"].as_str()?.parse::<Digest>().ok();
        let Some(listed) = digest(entry) else { continue };
        let manifest: Value = blob(&store, listed).and_then(|bytes| oci::read(&bytes).ok()).unwrap_or_default();
        let about = subject(&manifest).or_else(|| Some(tagged(entry)?.0));
        // What is damaged does not tell what it is about.
        if images.zip(about).is_some_and(|(images, about)| !images.contains(&about)) {
            continue;
        }
        count += 1;
        let blobs = manifest["layers"].as_array().into_iter().flatten().chain([&manifest["config"]]);
        names.extend(blobs.filter_map(digest).chain([listed]).map(|digest| digest.hex()));
    }
    if images.is_none() {
        names.extend(store.blob_names().map_err(|error| bad_store(&store, error))?);
    }
    let names: Vec<String> = names.into_iter().collect();
    let check = |name: &String| match hash(&store, &format!("blobs/sha256/{name}")) {
        Ok((digest, _)) if digest.hex() == *name => None,
        Ok((digest, _)) => Some(corrupt(&store, &format!("has a blob `{name}` with the digest {digest}"))),
        Err(error) => Some(bad_store(&store, error)),
    };
    let wrong: Vec<Error> = names.par_iter().filter_map(check).collect();
    Ok((count, wrong.into_iter().flat_map(|error| error.0).collect()))
}

/// The list of a layout.
fn list_of(store: &Store) -> Result<Value> {
    let index = store.document("index.json").map_err(|error| bad_store(store, error))?;
    oci::read(&index).map_err(|_| corrupt(store, "has a list that is no JSON"))
}

/// What a layout lists that refers to one of these.
fn listed(store: &Store, wanted: &BTreeSet<Digest>) -> Result<Vec<Referrer>> {
    let index = list_of(store)?;
    let mut found = Vec::new();
    for entry in index["manifests"].as_array().into_iter().flatten() {
        let digest = entry["digest"].as_str().and_then(|text| text.parse::<Digest>().ok());
        let Some(digest) = digest.filter(|digest| !wanted.contains(digest)) else { continue };
        let Some(bytes) = blob(store, digest) else { continue };
        let Ok(manifest) = oci::read::<Value>(&bytes) else { continue };
        let (subject, tag) = match (subject(&manifest), tagged(entry)) {
            (Some(subject), _) => (subject, None),
            (None, Some((subject, tag))) => (subject, Some(tag)),
            (None, None) => continue,
        };
        if wanted.contains(&subject) {
            let get = |digest| {
                blob(store, digest)
                    .ok_or_else(|| corrupt(store, &format!("lacks `{digest}`, or has other bytes for it")))
            };
            let one = Referrer::read(bytes, subject, tag, &get)?;
            found.push(one.ok_or_else(|| corrupt(store, &format!("has `{digest}`, which is no manifest")))?);
        }
    }
    Ok(found)
}

/// What refers to images of a repository.
///
/// # Errors
/// When the registry does not give it.
pub fn referrers_in(client: &Client, repository: &Repository, images: &BTreeSet<Digest>) -> Result<Vec<Referrer>> {
    let mut queue: Vec<Digest> = images.iter().copied().collect();
    let mut seen = images.clone();
    let mut found: Vec<Referrer> = Vec::new();
    let get = |digest| client.blob_bytes(repository, digest, LARGEST);
    while let Some(subject) = queue.pop() {
        for one in client.referrers(repository, subject, None)? {
            if found.len() < MOST && seen.insert(one.digest) {
                let place = Remote { repository: repository.clone(), tag: None, digest: Some(one.digest) };
                let read = Referrer::read(client.manifest(&place)?.bytes, subject, None, &get)?;
                found.push(read.ok_or_else(|| no_manifest(&place))?);
                queue.push(one.digest);
            }
        }
        // Only images are named by tags.
        for kind in KINDS.iter().filter(|_| images.contains(&subject)) {
            let tag = format!("sha256-{}.{kind}", subject.hex());
            let place = Remote { repository: repository.clone(), tag: Some(tag.clone()), digest: None };
            match client.manifest(&place) {
                Ok(manifest) if seen.insert(manifest.digest) => {
                    let read = Referrer::read(manifest.bytes, subject, Some(tag), &get)?;
                    found.push(read.ok_or_else(|| no_manifest(&place))?);
                }
                Ok(_) => {}
                Err(error) if error.0.iter().any(|one| one.code == NOT_FOUND) => {}
                Err(error) => return Err(error),
            }
        }
    }
    found.sort_by_key(|one| (one.subject, one.digest()));
    Ok(found)
}

/// The image that a manifest is about by its own word.
pub(super) fn subject(manifest: &Value) -> Option<Digest> {
    manifest["subject"]["digest"].as_str()?.parse().ok()
}

/// The image that a listed manifest is about by its tag, `sha256-HEX.sig`, and the tag.
pub(super) fn tagged(entry: &Value) -> Option<(Digest, String)> {
    let tag = entry["annotations"][oci_spec::image::ANNOTATION_REF_NAME].as_str()?;
    let (hex, kind) = tag.strip_prefix("sha256-")?.split_once('.')?;
    let digest = format!("sha256:{hex}").parse().ok().filter(|_| KINDS.contains(&kind))?;
    Some((digest, tag.to_owned()))
}

/// A blob; `None` when it is missing, too large or not what its name says.
pub(super) fn blob(store: &Store, digest: Digest) -> Option<Vec<u8>> {
    let mut file = store.blob(digest).ok().filter(|file| file.size() <= LARGEST)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).ok()?;
    (Digest::of(&bytes) == digest).then_some(bytes)
}

fn no_manifest(place: &Remote) -> Error {
    Diagnostic::error(WRONG_CONTENT, format!("`{place}` refers to an image, and is no manifest")).into()
}

fn corrupt(store: &Store, what: &str) -> Error {
    Diagnostic::error(CORRUPT, format!("`{}` {what}", store.name())).into()
}
