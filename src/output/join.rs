//! Images that were built on several machines, joined under one index.
//!
//! In: layouts and archives, each with the images of some platforms. Out: one output with an index of all of them, the
//! same that one build for all these platforms has. Every blob is checked against its digest on its way.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::verify::bad_store;
use super::{CORRUPT, Destination, Push, Written, prepare, write};
use crate::image::{Document, Image, Images};
use crate::layer::{Durability, Effort, Layer, Staging};
use crate::oci::{Digest, MediaType, Reference, Sha256, Store, StoredImage, StoredLayer, StoredManifest};
use crate::recipe::Platform;
use crate::registry::{self, Blob, Content, Job, Remote};
use crate::report::{Code, Diagnostic, Error, Result};

/// Images that do not go into one index.
pub const NOT_JOINED: Code = Code("E0650");

/// Images that were joined.
#[derive(Debug)]
pub struct Joined {
    /// The images and their index.
    pub images: Images,
    /// Their name.
    pub name: Reference,
    /// What the output has to say.
    pub written: Written,
}

/// Joins the images of layouts and archives. `tag` chooses among several names that they have, and is that of the
/// result; without it they all have one name.
///
/// # Errors
/// When one can't be read or is not what its digests say, when two are for one platform, when they are not images of
/// one name; when the output can't be written.
pub fn join(
    to: &Destination,
    stores: &[(PathBuf, Store)],
    tag: Option<&str>,
    temporary: &Path,
    durability: Durability,
) -> Result<Joined> {
    let (parts, name) = parts(stores, tag)?;
    let staging = prepare(to, temporary, durability)?;
    let mut images = Vec::new();
    for part in &parts {
        images.push(part.copy(&staging)?);
    }
    let images = together(images)?;
    let written = write(to, staging, &images, std::slice::from_ref(&name))?;
    Ok(Joined { images, name, written })
}

/// Joins images in a registry: what is in it already, or in another repository of it, is not fetched.
///
/// # Errors
/// Those of [`join`]; when the registry does not take them. Nothing is tagged then.
pub fn join_into_registry(push: Push<'_>, to: &Remote, stores: &[(PathBuf, Store)], tags: &[String]) -> Result<Joined> {
    let tag = to.tag.as_deref().or_else(|| tags.first().map(String::as_str));
    let (parts, name) = parts(stores, tag)?;
    let mut images = Vec::new();
    for part in &parts {
        let (image, blobs) = part.listed()?;
        let media_type = MediaType::ImageManifest.to_string();
        let manifest =
            registry::Document { digest: image.manifest.digest, media_type, bytes: image.manifest.bytes.clone() };
        let from = part.path.to_str().filter(|name| Remote::is_meant(name)).map(Remote::parse).transpose()?;
        let sources = from.into_iter().map(|remote| remote.repository).collect();
        let job = Job { blobs, documents: vec![manifest], tags: Vec::new(), sources };
        push.client.push(&to.repository, &job, push.rules)?;
        images.push(image);
    }
    let images = together(images)?;
    let document = images.index().unwrap_or(&images.first().manifest);
    let media_type = images.descriptor().media_type().to_string();
    let root = registry::Document { digest: document.digest, media_type, bytes: document.bytes.clone() };
    let job = Job { blobs: Vec::new(), documents: vec![root], tags: tags.to_vec(), sources: Vec::new() };
    let pushed = push.client.push(&to.repository, &job, push.rules)?;
    let name = Reference::new(&to.repository.to_string(), name.tag()).map_err(Error::internal)?;
    Ok(Joined { images, name, written: super::registry::written(&to.repository, &pushed) })
}

/// The images of all stores, and the name that they have.
fn parts<'a>(stores: &'a [(PathBuf, Store)], tag: Option<&str>) -> Result<(Vec<Part<'a>>, Reference)> {
    let mut parts = Vec::new();
    for (path, store) in stores {
        parts.extend(Part::all(path, store, tag)?);
    }
    let name = agreed(&parts, tag)?;
    Ok((parts, name))
}

fn together(images: Vec<Image>) -> Result<Images> {
    let mut rest = images.into_iter();
    let first = rest.next().ok_or_else(|| Error::internal("images without any were joined"))?;
    Ok(Images::new(first, rest.collect()))
}

/// An image to be joined.
struct Part<'a> {
    path: &'a Path,
    store: &'a Store,
    image: StoredImage,
    manifest: StoredManifest,
    platform: Platform,
}

impl<'a> Part<'a> {
    /// The images of a layout or archive, those of one tag where it is given.
    fn all(path: &'a Path, store: &'a Store, tag: Option<&str>) -> Result<Vec<Self>> {
        let images = store.images().map_err(|error| bad_store(store, error))?;
        let there: BTreeSet<String> = images.iter().flat_map(|image| image.names.clone()).collect();
        let is_asked = |image: &StoredImage| tag.is_none_or(|tag| image.names.iter().any(|name| name == tag));
        let several = there.len() > 1;
        let chosen: Vec<StoredImage> = images.into_iter().filter(|image| !several || is_asked(image)).collect();
        if chosen.is_empty() {
            let there: Vec<String> = there.iter().map(|name| format!("`{name}`")).collect();
            let error = match tag.filter(|_| several) {
                Some(tag) => refused(format!("`{}` has no image called `{tag}`", path.display()))
                    .note(format!("it has {}", there.join(", "))),
                None => refused(format!("`{}` holds no image", path.display())),
            };
            return Err(error.into());
        }
        chosen.into_iter().map(|image| Self::new(path, store, image)).collect()
    }

    fn new(path: &'a Path, store: &'a Store, mut image: StoredImage) -> Result<Self> {
        let Some(manifest) = image.manifest.take() else {
            let title = format!(
                "`{}` is what `docker save` writes, without manifests that an index could list",
                path.display()
            );
            return Err(refused(title).help("build a layout or an archive: `-o DIR` or `-o FILE.tar`").into());
        };
        if manifest.media_type != MediaType::ImageManifest.to_string() {
            let title = format!("`{}` has a manifest of the type `{}`, not OCI's", path.display(), manifest.media_type);
            return Err(refused(title).help("skopeo copies it into one: `skopeo copy --format oci ...`").into());
        }
        let platform = image.platform().parse::<Platform>().map_err(|invalid| {
            let title = format!("`{}` has an image for `{}`", path.display(), image.platform().escape_debug());
            Error::from(refused(title).note(invalid.title))
        })?;
        Ok(Self { path, store, image, manifest, platform })
    }

    /// What its manifest says under a key of its annotations.
    fn annotation(&self, key: &str) -> Option<&str> {
        self.manifest.document.get("annotations")?.get(key)?.as_str()
    }

    /// Copies all that it consists of into a staging folder.
    fn copy(&self, staging: &Staging) -> Result<Image> {
        let layers = self.image.layers.iter().map(|layer| self.layer(layer, staging)).collect::<Result<_>>()?;
        self.documents(layers)
    }

    /// Its documents, and all blobs where they are; the image has no layers here.
    fn listed(&self) -> Result<(Image, Vec<Blob<'a>>)> {
        let image = self.documents(Vec::new())?;
        let mut seen = BTreeSet::new();
        let mut blobs = Vec::new();
        let layers = self.image.layers.iter().filter_map(|layer| Some((layer.digest?, layer.size)));
        for (digest, size) in layers.chain([(image.config.digest, image.config.bytes.len() as u64)]) {
            if seen.insert(digest) {
                let content = if self.store.is_fetched() {
                    Content::Kept(self.store, digest)
                } else {
                    Content::Stored(self.store.blob(digest).map_err(|error| bad_store(self.store, error))?)
                };
                blobs.push(Blob { digest, size, content });
            }
        }
        Ok((image, blobs))
    }

    fn documents(&self, layers: Vec<Layer>) -> Result<Image> {
        let manifest = self.document(self.manifest.digest)?;
        let Some(config) = self.image.config_digest else {
            return Err(Error::internal("a manifest without a configuration"));
        };
        let config = self.document(config)?;
        Ok(Image { platform: self.platform.clone(), config, manifest, layers })
    }

    fn document(&self, digest: Digest) -> Result<Document> {
        let file = format!("blobs/sha256/{}", digest.hex());
        let bytes = self.store.document(&file).map_err(|error| bad_store(self.store, error))?;
        if Digest::of(&bytes) != digest {
            return Err(self.corrupt(&file).into());
        }
        Ok(Document { bytes, digest })
    }

    fn layer(&self, layer: &StoredLayer, staging: &Staging) -> Result<Layer> {
        let (Some(digest), Some(diff_id), Some(media_type)) = (layer.digest, layer.diff_id, &layer.media_type) else {
            return Err(self.corrupt(&layer.file).into());
        };
        let blob = staging.blob(digest);
        if !blob.exists() {
            self.blob(layer, digest, &blob, staging.durability())?;
        }
        Ok(Layer {
            name: String::new(),
            media_type: MediaType::from(media_type.as_str()),
            digest,
            size: layer.size,
            diff_id,
            unpacked: 0,
            files: 0,
            blob,
            elsewhere: None,
            pieces: Vec::new(),
            content: None,
            lineage: None,
            hashes: Vec::new(),
            effort: Effort::default(),
        })
    }

    fn blob(&self, layer: &StoredLayer, digest: Digest, to: &Path, durability: Durability) -> Result<()> {
        let mut from = self.store.file(&layer.file).map_err(|error| bad_store(self.store, error))?;
        if from.size() != layer.size {
            return Err(self.corrupt(&layer.file).into());
        }
        let mut file = File::create_new(to).map_err(|error| Error::io("create", to, &error))?;
        let mut hash = Sha256::default();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = from.read(&mut buffer).map_err(|error| Error::io("read", self.path, &error))?;
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
            file.write_all(&buffer[..count]).map_err(|error| Error::io("write", to, &error))?;
        }
        if hash.finish() != digest {
            return Err(self.corrupt(&layer.file).into());
        }
        if durability == Durability::Synced {
            file.sync_all().map_err(|error| Error::io("flush", to, &error))?;
        }
        Ok(())
    }

    fn corrupt(&self, file: &str) -> Diagnostic {
        Diagnostic::error(CORRUPT, format!("`{file}` of `{}` is not what its digest says", self.path.display()))
            .help(format!("`mkimage verify {}` checks the whole of it", self.path.display()))
    }
}

/// The name that all of them have. Each platform is there once.
fn agreed(parts: &[Part<'_>], tag: Option<&str>) -> Result<Reference> {
    let mut errors = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let Some(other) = parts[..at].iter().find(|other| other.platform == part.platform) else { continue };
        let places = [other, part].map(|part| format!("`{}`", part.path.display())).join(" and ");
        errors.push(refused(format!("{places} both have an image for {}", part.platform)));
    }
    if let Some(first) = parts.first().filter(|_| errors.is_empty()) {
        for part in &parts[1..] {
            let title = oci_spec::image::ANNOTATION_TITLE;
            if part.annotation(title) != first.annotation(title) {
                let of = |part: &Part<'_>| {
                    part.annotation(title).map_or("without a title".to_owned(), |it| format!("`{it}`"))
                };
                errors.push(differ(first, part, &of));
            } else if tag.is_none() && part.image.names != first.image.names {
                let of = |part: &Part<'_>| match part.image.names.as_slice() {
                    [] => "without a name".to_owned(),
                    names => format!("`{}`", names.join("`, `")),
                };
                errors.push(differ(first, part, &of).help("`--tag` gives the result its own"));
            }
        }
    }
    if !errors.is_empty() {
        return Err(Error(errors));
    }
    name(parts, tag)
}

fn differ(first: &Part<'_>, other: &Part<'_>, of: &dyn Fn(&Part<'_>) -> String) -> Diagnostic {
    let (a, b) = (first.path.display(), other.path.display());
    refused(format!("`{a}` is {}, and `{b}` is {}", of(first), of(other)))
}

/// The full name where archives have it, else the title; with the tag.
fn name(parts: &[Part<'_>], tag: Option<&str>) -> Result<Reference> {
    let first = parts.first().ok_or_else(|| Error::internal("images without any were joined"))?;
    let full = |part: &Part<'_>| part.image.full_name.clone();
    let full = full(first).filter(|name| parts.iter().all(|part| full(part).as_ref() == Some(name)));
    let known = full.as_deref().and_then(|full| full.rsplit_once(':')).map(|(name, _)| name);
    let title = first.annotation(oci_spec::image::ANNOTATION_TITLE);
    let own = tag.or(first.image.names.first().map(String::as_str)).unwrap_or("latest");
    let usable = known.into_iter().chain(title).find_map(|name| Reference::new(name, own).ok());
    usable.map_or_else(|| Reference::new("image", own), Ok).map_err(|error| {
        Error::from(refused(format!("`{}` {error}", own.escape_debug())).help("`--tag` gives the result another one"))
    })
}

fn refused(title: String) -> Diagnostic {
    Diagnostic::error(NOT_JOINED, title)
}
