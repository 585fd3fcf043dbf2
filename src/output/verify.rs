//! Checking a layout, an archive, or an image of a registry: that everything is what its digest says, and that all
//! parts fit together.
//!
//! In: a [`Store`]. Out: a [`Report`] of all that is wrong. Layers are read to their last byte, in parallel.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde_json::Value;

use super::images_for;
use super::layer_check::Tree;
use super::{CORRUPT, UNREADABLE};
use crate::oci::{BadStore, DiffId, Digest, Encoding, Entries, Sha256, Store, StoredImage, StoredLayer};
use crate::recipe::Platform;
use crate::report::{Diagnostic, Error, Result, plain};

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many images there are.
    pub images: u64,
    /// How many files were hashed.
    pub blobs: u64,
    /// How many bytes of them.
    pub bytes: u64,
    /// How many entries their layers have.
    pub entries: u64,
    /// The manifests of the images.
    pub manifests: BTreeSet<Digest>,
    /// What is wrong: errors, and warnings for what is only unusual.
    pub findings: Vec<Diagnostic>,
}

/// Checks all images of a store: every blob against its name, size and digest, every layer against its `diff_id`, the
/// documents against each other, and the tar archives for what programs would read in different ways.
///
/// # Errors
/// When it can't be read as images at all. What is wrong with the images is in the report.
pub fn verify(store: &Store) -> Result<Report> {
    verify_for(store, &[])
}

/// The same of the images for some platforms alone, and of what these name; of all without any.
///
/// # Errors
/// As of [`verify`]; when a platform has no image.
pub fn verify_for(store: &Store, platforms: &[Platform]) -> Result<Report> {
    let images = if platforms.is_empty() {
        store.images().map_err(|error| bad_store(store, error))?
    } else {
        let distinct: BTreeSet<&Platform> = platforms.iter().collect();
        let found: Vec<_> = distinct.into_iter().map(|one| images_for(store, Some(one))).collect::<Result<_>>()?;
        found.concat()
    };
    let manifests = images.iter().filter_map(|image| Some(image.manifest.as_ref()?.digest)).collect();
    let report = Report { images: images.len() as u64, manifests, ..Report::default() };
    let mut check = Check { store, report };
    if platforms.is_empty() {
        check.blobs(&store.blob_names().unwrap_or_default());
        check.indexes("index.json", &mut BTreeSet::new());
    } else {
        check.blobs(&named(&images));
    }
    for image in &images {
        check.image(image);
    }
    check.layers(&images);
    if images.is_empty() {
        check.wrong("it holds no image");
    }
    Ok(check.report)
}

/// Opens a layout or archive for a user.
///
/// # Errors
/// When it can't be read as images.
pub fn open(path: &Path) -> Result<Store> {
    Store::open(path).map_err(|error| bad(&path.display().to_string(), error))
}

/// The error for a store that can't be read.
pub(super) fn bad_store(store: &Store, error: BadStore) -> Error {
    bad(store.name(), error)
}

fn bad(name: &str, error: BadStore) -> Error {
    let code = match error {
        // What a registry says is told as it is.
        BadStore::Remote(error) => return error,
        BadStore::Missing(_) | BadStore::Malformed(_) => CORRUPT,
        _ => UNREADABLE,
    };
    Diagnostic::error(code, format!("`{name}` {error}")).into()
}

struct Check<'a> {
    store: &'a Store,
    report: Report,
}

impl Check<'_> {
    fn wrong(&mut self, what: impl Into<String>) {
        self.report.findings.push(Diagnostic::error(CORRUPT, what));
    }

    /// Every blob is what its name says, also those that no image names.
    fn blobs(&mut self, names: &[String]) {
        if !self.store.is_layout() {
            return;
        }
        match self.store.document("oci-layout").map(|bytes| crate::oci::read::<Value>(&bytes)) {
            Ok(Ok(marker)) if marker.get("imageLayoutVersion").is_some_and(|version| version == "1.0.0") => {}
            Ok(_) => self.wrong("`oci-layout` is of another version"),
            Err(error) => self.wrong(format!("it {error}")),
        }
        let hashed: Vec<_> =
            names.par_iter().map(|name| (name, hash(self.store, &format!("blobs/sha256/{name}")))).collect();
        for (name, hashed) in hashed {
            match hashed {
                Ok((digest, size)) => {
                    self.report.blobs += 1;
                    self.report.bytes += size;
                    if digest.hex() != *name {
                        self.wrong(format!("blob `{name}` has the digest {digest}"));
                    }
                }
                Err(error) => self.wrong(format!("blob `{name}` {error}")),
            }
        }
    }

    /// Indexes inside of indexes are as they are listed.
    fn indexes(&mut self, file: &str, seen: &mut BTreeSet<Digest>) {
        let document = self.store.document(file).ok().and_then(|bytes| crate::oci::read::<Value>(&bytes).ok());
        let entries = document.as_ref().and_then(|index| index.get("manifests")?.as_array()).into_iter().flatten();
        for entry in entries {
            let digest = entry.get("digest").and_then(|digest| digest.as_str()?.parse::<Digest>().ok());
            let Some(digest) = digest.filter(|digest| seen.insert(*digest)) else { continue };
            let nested = format!("blobs/sha256/{}", digest.hex());
            let Ok(bytes) = self.store.document(&nested) else { continue };
            let Ok(Value::Object(index)) = crate::oci::read(&bytes) else { continue };
            if !index.contains_key("manifests") {
                continue;
            }
            if entry.get("size").and_then(Value::as_u64) != Some(bytes.len() as u64) {
                self.wrong(format!("index `{nested}` has {} bytes, and is listed with another size", bytes.len()));
            }
            if index.get("mediaType").is_some_and(|own| entry.get("mediaType") != Some(own)) {
                self.wrong(format!("index `{nested}` is listed as something else"));
            }
            self.indexes(&nested, seen);
        }
    }

    /// The documents of an image fit together.
    fn image(&mut self, image: &StoredImage) {
        let name = called(image);
        if let Some(manifest) = &image.manifest {
            let file = format!("blobs/sha256/{}", manifest.digest.hex());
            self.size(&file, manifest.size, &format!("the manifest of {name}"));
            let own_type = manifest.document.get("mediaType").and_then(Value::as_str);
            if own_type.is_some_and(|own| own != manifest.media_type) {
                self.wrong(format!("the manifest of {name} is listed as `{}`", manifest.media_type));
            }
            let own = image.platform();
            if let Some(listed) = manifest.platform.as_ref().filter(|listed| differ(listed, &own)) {
                self.wrong(format!("{name} is listed for {listed}, and its configuration is for {own}"));
            }
            let config_size = manifest.document.get("config").and_then(|config| config.get("size")?.as_u64());
            self.size(&image.config_file, config_size.unwrap_or(0), &format!("the configuration of {name}"));
        } else {
            self.docker_config(image, &name);
        }
        for key in ["architecture", "os"] {
            if !image.config.get(key).is_some_and(Value::is_string) {
                self.wrong(format!("the configuration of {name} has no `{key}`"));
            }
        }
        let listed = image.config.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")).and_then(Value::as_array);
        for (number, id) in (1..).zip(listed.into_iter().flatten()) {
            if id.as_str().is_none_or(|id| id.parse::<DiffId>().is_err()) {
                self.wrong(format!("diff_id {number} of {name} is `{id}`, which is no SHA-256 digest"));
            }
        }
        let diff_ids = listed.map_or(0, Vec::len);
        if diff_ids != image.layers.len() {
            self.wrong(format!("{name} has {} layers and {diff_ids} diff_ids", image.layers.len()));
        }
        let history = image.config.get("history").and_then(Value::as_array);
        let made = |step: &&Value| step.get("empty_layer").is_none_or(|empty| empty != true);
        if let Some(steps) = history.map(|steps| steps.iter().filter(made).count()).filter(|&steps| steps != diff_ids) {
            self.wrong(format!("{name} has {diff_ids} layers and a history of {steps}"));
        }
    }

    /// In Docker's form, the configuration's file is called by its digest.
    fn docker_config(&mut self, image: &StoredImage, name: &str) {
        let stem = image.config_file.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        match hash(self.store, &image.config_file) {
            Ok((digest, size)) => {
                self.report.blobs += 1;
                self.report.bytes += size;
                if stem.len() == 64 && digest.hex() != stem {
                    self.wrong(format!("the configuration of {name} has the digest {digest}, and is called `{stem}`"));
                }
            }
            Err(error) => self.wrong(format!("the configuration of {name} {error}")),
        }
    }

    fn size(&mut self, file: &str, size: u64, what: &str) {
        match self.store.file(file) {
            Ok(stored) if stored.size() == size => {}
            Ok(stored) => self.wrong(format!("{what} has {} bytes, and is listed with {size}", stored.size())),
            Err(error) => self.wrong(format!("{what} {error}")),
        }
    }

    /// Reads each layer once, however many images have it.
    fn layers(&mut self, images: &[StoredImage]) {
        let mut layers: BTreeMap<&str, (&StoredLayer, BTreeSet<String>)> = BTreeMap::new();
        for image in images {
            for (number, layer) in image.layers.iter().enumerate() {
                let (known, called) = layers.entry(&layer.file).or_insert_with(|| (layer, BTreeSet::new()));
                called.insert(format!("layer {} of {}", number + 1, self::called(image)));
                if (known.diff_id, known.size, &known.media_type) != (layer.diff_id, layer.size, &layer.media_type) {
                    self.report
                        .findings
                        .push(Diagnostic::error(CORRUPT, format!("`{}` is two different layers", layer.file)));
                }
            }
        }
        let layers: Vec<_> = layers.into_values().collect();
        let read: Vec<_> = layers.par_iter().map(|(layer, _)| read_layer(self.store, layer)).collect();
        for ((layer, called), read) in layers.iter().zip(read) {
            let called = called.iter().next().map(String::as_str).unwrap_or_default();
            if layer.digest.is_none() {
                self.report.blobs += 1;
                self.report.bytes += layer.size;
            }
            self.report.entries += read.entries;
            for (is_error, what) in read.findings {
                let what = format!("{called} {what}");
                let diagnostic =
                    if is_error { Diagnostic::error(CORRUPT, what) } else { Diagnostic::warning(CORRUPT, what) };
                self.report.findings.push(diagnostic);
            }
        }
    }
}

/// What a file has for a digest, and its size.
pub(super) fn hash(store: &Store, file: &str) -> Result<(Digest, u64), BadStore> {
    let mut hash = Sha256::default();
    let size = io::copy(&mut store.file(file)?, &mut hash)?;
    Ok((hash.finish(), size))
}

/// The names of the blobs that images are made of, and of the indexes that list them.
fn named(images: &[StoredImage]) -> Vec<String> {
    let blobs = images.iter().flat_map(|image| {
        let documents = [image.index, image.manifest.as_ref().map(|one| one.digest), image.config_digest];
        documents.into_iter().chain(image.layers.iter().map(|layer| layer.digest)).flatten()
    });
    blobs.collect::<BTreeSet<Digest>>().iter().map(Digest::hex).collect()
}

/// Whether two platforms are not one: a variant that only one of them says is no difference.
fn differ(listed: &str, own: &str) -> bool {
    let parts = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
    parts(listed).iter().zip(&parts(own)).any(|(listed, own)| listed != own)
}

/// What a person calls an image.
fn called(image: &StoredImage) -> String {
    match (image.names.first(), &image.manifest) {
        (Some(name), _) => format!("`{}`", name.escape_debug()),
        (None, Some(manifest)) => format!("`{}`", manifest.digest),
        (None, None) => "an image without a name".to_owned(),
    }
}

/// What reading a layer found. A finding completes "layer 1 of ..."; an error, or only unusual.
#[derive(Default)]
struct LayerReport {
    entries: u64,
    findings: Vec<(bool, String)>,
}

fn read_layer(store: &Store, layer: &StoredLayer) -> LayerReport {
    let mut report = LayerReport::default();
    match read_stream(store, layer, &mut report) {
        Ok(found) => {
            if let Some(diff_id) = layer.diff_id.filter(|diff_id| diff_id.digest() != found.diff_id) {
                report.findings.push((true, format!("unpacks to {}, and its diff_id is {diff_id}", found.diff_id)));
            }
            if found.size != layer.size {
                report.findings.push((true, format!("has {} bytes, and is listed with {}", found.size, layer.size)));
            }
        }
        Err(BadStore::Io(error)) => {
            let kind = match layer.encoding {
                Encoding::None => "can't be read",
                Encoding::Gzip => "is no sound gzip stream",
                Encoding::Zstd => "is no sound zstd stream",
            };
            report.findings.push((true, format!("{kind}: {}", plain(&error))));
        }
        Err(error) => report.findings.push((true, error.to_string())),
    }
    report
}

struct Found {
    diff_id: Digest,
    size: u64,
}

/// Reads a layer to its end: the compressed stream is counted, the tar stream is hashed and its entries looked at.
fn read_stream(store: &Store, layer: &StoredLayer, report: &mut LayerReport) -> Result<Found, BadStore> {
    let file = store.file(&layer.file)?;
    let size = file.size();
    let mut hash = Sha256::default();
    {
        let mut stream = Tee { stream: layer.encoding.decoder(file)?, hash: &mut hash };
        let mut tree = Tree::default();
        let mut entries = Entries::new(&mut stream);
        let ended = loop {
            match entries.next_entry() {
                Ok(Some(entry)) => tree.take(&entry),
                Ok(None) => break entries.finish(),
                Err(error) => break Err(error),
            }
        };
        match ended {
            Err(crate::oci::BadTar::Io(error)) => return Err(error.into()),
            Err(error) => report.findings.push((true, format!("is an archive that {error}"))),
            Ok(()) => {}
        }
        // The digest is of all bytes, also of those behind a broken record.
        io::copy(&mut stream, &mut io::sink())?;
        report.entries = tree.len();
        report.findings.extend(tree.findings());
    }
    Ok(Found { diff_id: hash.finish(), size })
}

/// Hashes what is read through it.
struct Tee<'a, R> {
    stream: R,
    hash: &'a mut Sha256,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}
