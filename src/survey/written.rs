//! The survey of an image that was written, from nothing but itself.

use std::collections::BTreeMap;

use super::web::needed;
use super::{Layer, Object, Survey, Web, judged, packages, settings};
use crate::oci::Store;
use crate::output::{self, Examined};
use crate::path::{ImagePath, show};
use crate::report::Result;

impl Survey {
    /// The images of a store.
    ///
    /// # Errors
    /// When it can't be read as images.
    pub fn of_written(store: &Store) -> Result<Vec<Self>> {
        output::examine(store)?.into_iter().map(|image| Self::of(store, image)).collect()
    }

    fn of(store: &Store, image: Examined) -> Result<Self> {
        let Examined { info, contents, objects, closure, mut dlopen } = image;
        let mut objects: BTreeMap<ImagePath, Object> = objects
            .into_iter()
            .map(|hardened| {
                let path = hardened.path.clone();
                let needs = hardened.object.needed().map(|name| (show(name), None)).collect();
                (path.clone(), Object { needs, dlopen: dlopen.remove(&path).unwrap_or_default(), hardened })
            })
            .collect();
        needed(&closure, &mut objects);
        let (packages, owners) = packages::packages(&contents)?;
        let web = Web::seen(&info, &contents, &closure, &owners);
        let findings = judged::judged(&info, &contents, &objects, &owners)?;
        let layers = info.layers.iter().zip(&contents.layers).enumerate().map(|(number, (layer, unpacked))| {
            let history = layer.created_by.as_deref().unwrap_or_default();
            let name = history.strip_prefix("mkimage: ").filter(|name| !name.is_empty());
            Layer {
                name: name.map_or_else(|| format!("layer {}", number + 1), str::to_owned),
                digest: layer.digest,
                diff_id: layer.diff_id,
                encoding: layer.encoding,
                size: layer.size,
                files: unpacked.files,
                unpacked: unpacked.bytes,
            }
        });
        Ok(Self {
            name: name(store, &info),
            digest: info.digest,
            id: info.id,
            platform: info.platform.clone(),
            settings: settings::settings(&info),
            layers: layers.collect(),
            files: contents.facts,
            packages,
            owners,
            objects,
            findings,
            web,
            told: None,
        })
    }
}

/// `nginx:1.27`: the title that the image has and its tag, or else where it lies.
fn name(store: &Store, info: &output::ImageInfo) -> String {
    let tag = info.names.first();
    let label = |key: &str| info.config.get("Labels")?.get(key)?.as_str().map(str::to_owned);
    match (label(oci_spec::image::ANNOTATION_TITLE), tag) {
        (_, Some(tag)) if tag.contains(['/', ':']) => tag.clone(),
        (Some(title), Some(tag)) => format!("{title}:{tag}"),
        (Some(title), None) => title,
        (None, Some(tag)) => format!("{}:{tag}", store.name()),
        (None, None) => store.name().to_owned(),
    }
}
