//! The images of a store: from its index, or from what `docker save` lists.

use serde_json::Value;

use super::{BadStore, DiffId, Digest, Encoding, Store, read};

/// The annotation from which containerd and Podman take the full name.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// How deep indexes may be nested, and how many entries they may have in all.
const DEEPEST: usize = 4;
const MOST_IMAGES: usize = 1000;

/// An image of a store: its documents, and where its layers are. Nothing is checked against a digest.
#[derive(Debug, Clone)]
pub struct StoredImage {
    /// The names that it is listed under.
    pub names: Vec<String>,
    /// Its full name, where the index has it as containerd and Podman read it.
    pub full_name: Option<String>,
    /// The index for several platforms that lists it, if one does.
    pub index: Option<Digest>,
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
    /// The platform, as the index has it.
    pub platform: Option<String>,
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
    /// The digest of its tar stream, as the configuration has it; none where that has no SHA-256 digest for it.
    pub diff_id: Option<DiffId>,
}

impl StoredImage {
    /// `linux/amd64`, `linux/arm/v7`, as the configuration says it.
    pub fn platform(&self) -> String {
        platform(&self.config)
    }
}

/// What is known of the entries that lead to an index or a manifest.
#[derive(Debug, Clone, Default)]
struct Listed {
    names: Vec<String>,
    full_name: Option<String>,
    index: Option<Digest>,
}

/// What was read of indexes, so that those which list one another in many ways end.
#[derive(Debug, Default)]
struct Bound {
    depth: usize,
    entries: usize,
}

impl Store {
    /// Its images, those of nested indexes, too. Manifests that are of no image (signatures, SBOMs) are left out, and
    /// those which are listed for another platform or under another tag than the one that is looked at.
    ///
    /// # Errors
    /// When a document is missing or not of the form that it has to be.
    pub fn images(&self) -> Result<Vec<StoredImage>, BadStore> {
        let mut images = Vec::new();
        if self.is_layout() {
            let index: Value = self.json("index.json")?;
            self.collect(&index, "index.json", &Listed::default(), &mut Bound::default(), &mut images)?;
        } else {
            let list: Value = self.json("manifest.json")?;
            for entry in list.as_array().ok_or_else(|| malformed("manifest.json"))?.iter().take(MOST_IMAGES) {
                let image = self.docker_image(entry)?;
                if self.is_called(image.names.iter().map(String::as_str)) {
                    images.push(image);
                }
            }
        }
        Ok(images)
    }

    fn json(&self, name: &str) -> Result<Value, BadStore> {
        read(&self.document(name)?).map_err(|_| malformed(name))
    }

    /// Whether an entry may lead to an image for the platform that is looked at.
    fn is_looked_at(&self, entry: &Value) -> bool {
        let (Some((wanted, is_it)), Some(said)) = (&self.only, entry.get("platform")) else { return true };
        is_it(&platform(said), wanted)
    }

    /// Whether an entry of a layout's own list is looked at, by its tag.
    pub fn lists(&self, entry: &Value) -> bool {
        let name = annotation(entry, oci_spec::image::ANNOTATION_REF_NAME);
        self.is_called(name.as_deref().into_iter())
    }

    /// The images that an index lists.
    fn collect(
        &self,
        index: &Value,
        name: &str,
        above: &Listed,
        bound: &mut Bound,
        images: &mut Vec<StoredImage>,
    ) -> Result<(), BadStore> {
        let entries = index.get("manifests").and_then(Value::as_array).ok_or_else(|| malformed(name))?;
        bound.entries += entries.len();
        if bound.depth > DEEPEST || bound.entries > MOST_IMAGES {
            return Err(malformed(name));
        }
        // What an index lists has that one's name.
        let is_inner = bound.depth > 0;
        let is_called = |entry: &Value| is_inner || self.lists(entry);
        for entry in entries.iter().filter(|entry| !attests(entry) && self.is_looked_at(entry) && is_called(entry)) {
            let (digest, size) = descriptor(entry).ok_or_else(|| malformed(name))?;
            let file = blob_file(digest);
            let document = self.json(&file)?;
            let mut listed = above.clone();
            listed.names.extend(annotation(entry, oci_spec::image::ANNOTATION_REF_NAME));
            listed.full_name = annotation(entry, CONTAINERD_NAME).or(listed.full_name);
            let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            match (document.get("manifests").is_some(), document.get("layers").is_some()) {
                // What is both is read as the one by some programs and as the other by others (CVE-2021-41190).
                (true, true) => return Err(malformed(&file)),
                (true, false) => {
                    listed.index = Some(digest);
                    bound.depth += 1;
                    self.collect(&document, &file, &listed, bound, images)?;
                    bound.depth -= 1;
                }
                (false, _) if !is_image(&document) => {}
                (false, _) => {
                    let platform = entry.get("platform").map(platform);
                    let media_type = text(entry, "mediaType");
                    let manifest = StoredManifest { digest, size, media_type, platform, document };
                    images.push(self.image(listed, manifest, &file)?);
                }
            }
        }
        Ok(())
    }

    fn image(&self, listed: Listed, manifest: StoredManifest, file: &str) -> Result<StoredImage, BadStore> {
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
                diff_id: diff_ids.next().flatten(),
            });
        }
        drop(diff_ids);
        Ok(StoredImage {
            names: listed.names,
            full_name: listed.full_name,
            index: listed.index,
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
            layers.push(StoredLayer {
                file,
                media_type: None,
                encoding,
                digest: None,
                size,
                diff_id: diff_ids.next().flatten(),
            });
        }
        drop(diff_ids);
        Ok(StoredImage {
            names: strings("RepoTags")?,
            full_name: None,
            index: None,
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

fn annotation(entry: &Value, key: &str) -> Option<String> {
    Some(entry.get("annotations")?.get(key)?.as_str()?.to_owned())
}

/// `os`, `architecture` and `variant` of a configuration, or of the platform of a descriptor.
fn platform(value: &Value) -> String {
    let words = ["os", "architecture", "variant"].map(|key| value.get(key).and_then(Value::as_str));
    words.into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// Whether a manifest is of an image, not of a signature or SBOM that uses the same form.
fn is_image(manifest: &Value) -> bool {
    let config_type = manifest.get("config").and_then(|config| config.get("mediaType")).and_then(Value::as_str);
    matches!(
        config_type,
        Some("application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json")
    )
}

/// Whether an entry says of itself that it attests another one: as `BuildKit` says it, or by a tag of cosign's. Its
/// form is that of an image.
fn attests(entry: &Value) -> bool {
    let tag = annotation(entry, oci_spec::image::ANNOTATION_REF_NAME).unwrap_or_default();
    let kind = tag.strip_prefix("sha256-").and_then(|rest| rest.split_once('.')).map(|(_, kind)| kind);
    matches!(kind, Some("sig" | "att" | "sbom"))
        || annotation(entry, "vnd.docker.reference.type").as_deref() == Some("attestation-manifest")
}

/// By layer; none where a text is no SHA-256 digest.
fn diff_ids(config: &Value) -> impl Iterator<Item = Option<DiffId>> + '_ {
    let list = config.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")).and_then(Value::as_array);
    list.into_iter().flatten().map(|id| id.as_str()?.parse().ok())
}
