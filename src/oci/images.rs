//! The images of a store: from its index, or from what `docker save` lists.

use serde_json::Value;

use super::{BadStore, DiffId, Digest, Encoding, Store, read};

/// How deep indexes may be nested, and how many images they may list.
const DEEPEST: usize = 4;
const MOST_IMAGES: usize = 1000;

/// An image of a store: its documents, and where its layers are. Nothing is checked against a digest.
#[derive(Debug, Clone)]
pub struct StoredImage {
    /// The names that it is listed under.
    pub names: Vec<String>,
    /// The descriptor that lists its manifest; none where there is no manifest.
    pub manifest: Option<StoredManifest>,
    /// The file of its configuration.
    pub config_file: String,
    /// The digest that the manifest gives the configuration.
    pub config_digest: Option<Digest>,
    /// The configuration.
    pub config: Value,
    /// Its layers, bottom first.
    pub layers: Vec<StoredLayer>,
}

/// A manifest and how it is listed.
#[derive(Debug, Clone)]
pub struct StoredManifest {
    /// Its digest, as the index has it.
    pub digest: Digest,
    /// Its size, as the index has it.
    pub size: u64,
    /// Its media type, as the index has it.
    pub media_type: String,
    /// The document.
    pub document: Value,
}

/// A layer of a stored image.
#[derive(Debug, Clone)]
pub struct StoredLayer {
    /// Its file.
    pub file: String,
    /// Its media type; none in what `docker save` writes.
    pub media_type: Option<String>,
    /// How it is compressed.
    pub encoding: Encoding,
    /// The digest that the manifest gives it.
    pub digest: Option<Digest>,
    /// Its size, as the manifest has it; else that of its file.
    pub size: u64,
    /// The digest of its tar stream, as the configuration has it.
    pub diff_id: Option<DiffId>,
}

impl Store {
    /// Its images, those of nested indexes, too. Manifests that are of no image (signatures, SBOMs) are left out.
    ///
    /// # Errors
    /// When a document is missing or not of the form that it has to be.
    pub fn images(&self) -> Result<Vec<StoredImage>, BadStore> {
        let mut images = Vec::new();
        if self.is_layout() {
            let index: Value = self.json("index.json")?;
            self.collect(&index, "index.json", &[], 0, &mut images)?;
        } else {
            let list: Value = self.json("manifest.json")?;
            for entry in list.as_array().ok_or_else(|| malformed("manifest.json"))?.iter().take(MOST_IMAGES) {
                images.push(self.docker_image(entry)?);
            }
        }
        Ok(images)
    }

    fn json(&self, name: &str) -> Result<Value, BadStore> {
        read(&self.document(name)?).map_err(|_| malformed(name))
    }

    /// The images that an index lists.
    fn collect(
        &self,
        index: &Value,
        name: &str,
        names: &[String],
        depth: usize,
        images: &mut Vec<StoredImage>,
    ) -> Result<(), BadStore> {
        let entries = index.get("manifests").and_then(Value::as_array).ok_or_else(|| malformed(name))?;
        if depth > DEEPEST || images.len() + entries.len() > MOST_IMAGES {
            return Err(malformed(name));
        }
        for entry in entries {
            let (digest, size) = descriptor(entry).ok_or_else(|| malformed(name))?;
            let file = blob_file(digest);
            let document = self.json(&file)?;
            let mut names = names.to_vec();
            names.extend(ref_name(entry));
            let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            match (document.get("manifests").is_some(), document.get("layers").is_some()) {
                // What is both is read as the one by some programs and as the other by others (CVE-2021-41190).
                (true, true) => return Err(malformed(&file)),
                (true, false) => self.collect(&document, &file, &names, depth + 1, images)?,
                (false, _) if !is_image(&document) => {}
                (false, _) => {
                    let manifest = StoredManifest { digest, size, media_type: text(entry, "mediaType"), document };
                    images.push(self.image(names, manifest, &file)?);
                }
            }
        }
        Ok(())
    }

    fn image(&self, names: Vec<String>, manifest: StoredManifest, file: &str) -> Result<StoredImage, BadStore> {
        let bad = || malformed(file);
        let (config_digest, _) = manifest.document.get("config").and_then(descriptor).ok_or_else(bad)?;
        let config_file = blob_file(config_digest);
        let config = self.json(&config_file)?;
        let mut diff_ids = diff_ids(&config);
        let mut layers = Vec::new();
        for layer in manifest.document.get("layers").and_then(Value::as_array).ok_or_else(bad)? {
            let (digest, size) = descriptor(layer).ok_or_else(bad)?;
            let media_type = layer.get("mediaType").and_then(Value::as_str).ok_or_else(bad)?;
            let encoding = Encoding::of_media_type(media_type).ok_or_else(bad)?;
            layers.push(StoredLayer {
                file: blob_file(digest),
                media_type: Some(media_type.to_owned()),
                encoding,
                digest: Some(digest),
                size,
                diff_id: diff_ids.next(),
            });
        }
        drop(diff_ids);
        Ok(StoredImage {
            names,
            manifest: Some(manifest),
            config_file,
            config_digest: Some(config_digest),
            config,
            layers,
        })
    }

    /// An image that Docker's `manifest.json` lists.
    fn docker_image(&self, entry: &Value) -> Result<StoredImage, BadStore> {
        let bad = || malformed("manifest.json");
        let strings = |key: &str| -> Result<Vec<String>, BadStore> {
            match entry.get(key) {
                None | Some(Value::Null) => Ok(Vec::new()),
                Some(value) => read(value.to_string().as_bytes()).map_err(|_| bad()),
            }
        };
        let config_file = entry.get("Config").and_then(Value::as_str).ok_or_else(bad)?.to_owned();
        let config = self.json(&config_file)?;
        let mut diff_ids = diff_ids(&config);
        let mut layers = Vec::new();
        for file in strings("Layers")? {
            let mut stored = self.file(&file)?;
            let size = stored.size();
            let mut magic = [0; 4];
            let encoding = match std::io::Read::read_exact(&mut stored, &mut magic) {
                Ok(()) => Encoding::of_magic(&magic),
                Err(_) => Encoding::None,
            };
            layers.push(StoredLayer { file, media_type: None, encoding, digest: None, size, diff_id: diff_ids.next() });
        }
        drop(diff_ids);
        Ok(StoredImage {
            names: strings("RepoTags")?,
            manifest: None,
            config_file,
            config_digest: None,
            config,
            layers,
        })
    }
}

fn malformed(file: &str) -> BadStore {
    BadStore::Malformed(file.to_owned())
}

fn blob_file(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn descriptor(value: &Value) -> Option<(Digest, u64)> {
    Some((value.get("digest")?.as_str()?.parse().ok()?, value.get("size")?.as_u64()?))
}

fn ref_name(entry: &Value) -> Option<String> {
    let name = entry.get("annotations")?.get(oci_spec::image::ANNOTATION_REF_NAME)?.as_str()?;
    Some(name.to_owned())
}

/// Whether a manifest is of an image, not of a signature or SBOM that uses the same form.
fn is_image(manifest: &Value) -> bool {
    let config_type = manifest.get("config").and_then(|config| config.get("mediaType")).and_then(Value::as_str);
    matches!(
        config_type,
        Some("application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json")
    )
}

fn diff_ids(config: &Value) -> impl Iterator<Item = DiffId> + '_ {
    let list = config.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")).and_then(Value::as_array);
    list.into_iter().flatten().map_while(|id| id.as_str()?.parse().ok())
}
