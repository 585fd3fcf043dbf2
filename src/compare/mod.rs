//! Two images that should be one: in what they differ, down to a field of a header or a range of bytes.
//!
//! In: an image and another one that was made from the same. Out: a line for each [`Difference`]. Both are read only.

use std::path::Path;

use serde_json::Value;

use crate::oci::{BadStore, Store, StoredImage};
use crate::output::{CORRUPT, UNREADABLE};
use crate::recipe::Platform;
use crate::report::{Code, Diagnostic, Error, Result};

mod bytes;
mod json;
mod layers;

/// An image is not what its recipe gives.
pub const DIFFERS: Code = Code("E0404");
/// It can't be said which image to compare.
pub const WHICH_IMAGE: Code = Code("E0405");

/// The most differences that are told.
const MOST_TOLD: usize = 60;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: `configuration`, `manifest`, `layer 2: /usr/bin/app`.
    pub place: String,
    /// What: `mode is 0755, rebuilt 0644`.
    pub says: String,
}

/// An image of a layout or archive.
#[derive(Debug)]
pub struct Opened {
    store: Store,
    image: StoredImage,
}

impl Opened {
    /// The image for a platform in what was opened at `path`; the one called `name` where there are several. A variant
    /// counts where the platform has one and an image is for it: else that of the image was found out, and is not the
    /// recipe's.
    ///
    /// # Errors
    /// When it can't be read, or it is not clear which one is meant.
    pub fn new(store: Store, path: &Path, platform: Option<&Platform>, name: Option<&str>) -> Result<Self> {
        let mut images = store.images().map_err(|error| unreadable(path, error))?;
        if let Some(platform) = platform {
            let is_it = |image: &StoredImage| image.platform() == platform.to_string();
            let of_machine = |image: &StoredImage| {
                image.config.get("architecture").and_then(Value::as_str) == Some(&platform.architecture)
            };
            let exact = images.iter().any(is_it);
            images.retain(|image| if exact { is_it(image) } else { of_machine(image) });
        }
        if images.len() > 1 {
            let called = |image: &StoredImage| image.names.iter().any(|own| Some(own.as_str()) == name);
            images.retain(called);
        }
        match (images.pop(), images.is_empty()) {
            (Some(image), true) => Ok(Self { store, image }),
            (None, _) => Err(which(path, "has no such image")),
            (Some(_), false) => Err(which(path, "has several images")),
        }
    }

    /// The names that it is listed under.
    pub fn names(&self) -> &[String] {
        &self.image.names
    }

    /// Its configuration.
    pub fn config(&self) -> &Value {
        &self.image.config
    }

    /// The media type of its first layer, where it has one.
    pub fn layer_type(&self) -> Option<&str> {
        self.image.layers.first()?.media_type.as_deref()
    }
}

fn unreadable(path: &Path, error: BadStore) -> Error {
    let code = match error {
        // What a registry says is told as it is.
        BadStore::Remote(error) => return error,
        BadStore::Missing(_) | BadStore::Malformed(_) => CORRUPT,
        _ => UNREADABLE,
    };
    Diagnostic::error(code, format!("`{}` {error}", path.display())).into()
}

fn which(path: &Path, why: &str) -> Error {
    Diagnostic::error(WHICH_IMAGE, format!("`{}` {why} for this recipe", path.display()))
        .help("name a layout or archive that holds the one image")
        .into()
}

/// In what an image differs from one that was made again: nothing when they are the same to the last byte.
///
/// # Errors
/// When one of them can't be read.
pub fn compare(image: &Opened, rebuilt: &Opened) -> Result<Vec<Difference>> {
    differences(image, rebuilt).map_err(|error| match error {
        BadStore::Remote(error) => error,
        error => Diagnostic::error(CORRUPT, format!("an image that is compared {error}")).into(),
    })
}

fn differences(image: &Opened, rebuilt: &Opened) -> Result<Vec<Difference>, BadStore> {
    let mut found = Vec::new();
    let (one, other) = (&image.image, &rebuilt.image);
    if let (Some(one), Some(other)) = (&one.manifest, &other.manifest) {
        if one.digest == other.digest {
            return Ok(found);
        }
        json::differences("manifest", &told(&one.document), &told(&other.document), &mut found);
    }
    json::differences("configuration", &told(&one.config), &told(&other.config), &mut found);
    if one.layers.len() != other.layers.len() {
        let says = format!("{} layers, rebuilt {}", one.layers.len(), other.layers.len());
        found.push(Difference { place: "image".to_owned(), says });
    }
    for (number, (one, other)) in one.layers.iter().zip(&other.layers).enumerate() {
        let place = format!("layer {}", number + 1);
        layers::differences(&place, (&image.store, one), (&rebuilt.store, other), &mut found)?;
    }
    if found.is_empty() && one.config_digest != other.config_digest {
        let says = "the same values, written otherwise".to_owned();
        found.push(Difference { place: "configuration".to_owned(), says });
    }
    if let (true, Some(_), Some(_)) = (found.is_empty(), &one.manifest, &other.manifest) {
        found.push(Difference { place: "manifest".to_owned(), says: "the same values, written otherwise".to_owned() });
    }
    Ok(found)
}

/// A document without what follows from others: digests and sizes of layers and of the configuration.
fn told(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.remove("rootfs");
        if let Some(config) = fields.get_mut("config").filter(|config| config.get("digest").is_some()) {
            without_digest(config);
        }
        if let Some(layers) = fields.get_mut("layers").and_then(Value::as_array_mut) {
            layers.iter_mut().for_each(without_digest);
        }
    }
    document
}

fn without_digest(descriptor: &mut Value) {
    if let Some(fields) = descriptor.as_object_mut() {
        fields.remove("digest");
        fields.remove("size");
    }
}

/// The error that differences are. `title` says what was compared.
pub fn differ(title: &str, differences: &[Difference]) -> Diagnostic {
    let count = match differences.len() {
        1 => "1 difference".to_owned(),
        count => format!("{count} differences"),
    };
    let told = differences.iter().take(MOST_TOLD);
    let mut lines: Vec<String> = told.map(|difference| format!("{}: {}", difference.place, difference.says)).collect();
    lines.extend(
        differences.len().checked_sub(MOST_TOLD).filter(|more| *more > 0).map(|more| format!("and {more} more")),
    );
    Diagnostic::error(DIFFERS, format!("{title}: {count}")).note(lines.join("\n"))
}
