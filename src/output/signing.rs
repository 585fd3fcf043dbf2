//! Images of a layout or archive as they are signed, and what is attached to them.

use serde_json::Value;

use super::attached::{blob, tagged};
use super::verify::bad_store;
use super::{CORRUPT, Destination, attached, attachments_of};
use crate::oci::{self, Digest, MediaType, Store};
use crate::report::{Diagnostic, Error, Result};

/// What a signature is of: an image's manifest, or an index of several platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signable {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// The full name that it is listed under, where there is one.
    pub name: Option<String>,
    /// The tag that it is listed under.
    pub tag: Option<String>,
}

/// What of a store is signed: the entry under `tag`, or the only one, and below an index every manifest. Empty when
/// there is no such entry, or more than one.
///
/// # Errors
/// When it can't be read.
pub fn signable(store: &Store, tag: Option<&str>) -> Result<Vec<Signable>> {
    let corrupt =
        || Error::from(Diagnostic::error(CORRUPT, format!("`{}` has an index that can't be read", store.name())));
    let read = |name: &str| -> Result<Value> {
        let bytes = store.document(name).map_err(|error| bad_store(store, error))?;
        oci::read(&bytes).map_err(|_| corrupt())
    };
    if !store.is_layout() {
        return Ok(Vec::new());
    }
    let index = read("index.json")?;
    let annotation = |entry: &Value, key: &str| entry["annotations"][key].as_str().map(str::to_owned);
    let one = |entry: &Value| {
        Some(Signable {
            digest: entry["digest"].as_str()?.parse().ok()?,
            size: entry["size"].as_u64()?,
            media_type: entry["mediaType"].as_str()?.to_owned(),
            name: annotation(entry, "io.containerd.image.name"),
            tag: annotation(entry, oci_spec::image::ANNOTATION_REF_NAME),
        })
    };
    let all: Vec<Signable> = index["manifests"].as_array().into_iter().flatten().filter_map(one).collect();
    let mut found: Vec<Signable> =
        all.into_iter().filter(|entry| tag.is_none() || entry.tag.as_deref() == tag).collect();
    if found.len() != 1 {
        return Ok(Vec::new());
    }
    let lists = "application/vnd.docker.distribution.manifest.list.v2+json";
    if found[0].media_type == MediaType::ImageIndex.to_string() || found[0].media_type == lists {
        let nested = read(&format!("blobs/sha256/{}", found[0].digest.hex()))?;
        let (name, tag) = (found[0].name.clone(), found[0].tag.clone());
        let inner = nested["manifests"].as_array().into_iter().flatten().filter_map(one);
        found.extend(inner.map(|entry| Signable { name: name.clone(), tag: tag.clone(), ..entry }));
    }
    Ok(found)
}

/// What stands beside an output.
pub struct Attachments {
    store: Store,
    /// Which image each manifest is about, and its bytes.
    manifests: Vec<(Digest, Vec<u8>)>,
}

impl Attachments {
    /// Opens what is attached to an output; `None` when nothing is.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn open(to: &Destination) -> Result<Option<Self>> {
        let Some(path) = attachments_of(to).filter(|path| path.join("index.json").is_file()) else { return Ok(None) };
        let store = super::verify::open(&path)?;
        let mut manifests = Vec::new();
        let index: Option<Value> = store.document("index.json").ok().and_then(|bytes| oci::read(&bytes).ok());
        for entry in index.iter().filter_map(|index| index["manifests"].as_array()).flatten() {
            let digest = entry["digest"].as_str().and_then(|text| text.parse::<Digest>().ok());
            let Some(bytes) = digest.and_then(|digest| blob(&store, digest)) else { continue };
            let subject = oci::read::<Value>(&bytes).ok().as_ref().and_then(attached::subject);
            if let Some(subject) = subject.or_else(|| Some(tagged(entry)?.0)) {
                manifests.push((subject, bytes));
            }
        }
        Ok(Some(Self { store, manifests }))
    }

    /// The manifests about an image.
    pub fn about(&self, image: Digest) -> Vec<Vec<u8>> {
        self.manifests.iter().filter(|(subject, _)| *subject == image).map(|(_, bytes)| bytes.clone()).collect()
    }

    /// A blob; `None` when it is missing, too large or not what its name says.
    pub fn blob(&self, digest: Digest) -> Option<Vec<u8>> {
        blob(&self.store, digest)
    }
}
