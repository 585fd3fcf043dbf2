//! An image that need not be built: its outputs are left alone where they hold it already, or are written from the
//! layers that the cache keeps.

use std::path::{Path, PathBuf};

use crate::image::{Image, Images};
use crate::oci::Digest;
use crate::output::{self, Destination};
use crate::recipe::{Compression, Recipe};
use crate::report::{Result, Span};

use super::super::write::{self, Made, Packed, Place, Staged, Variant, names};
use super::super::{Figures, Options, Progress, Session};
use super::Said;

/// An image of an earlier build of which nothing has changed.
#[derive(Debug, Clone)]
pub struct Recalled {
    /// What was said of it.
    pub said: Said,
    /// How much it holds.
    pub figures: Figures,
    /// Folders of this machine that it copies.
    pub(super) folders: Vec<(PathBuf, Span)>,
    /// By compression, in words, and variant.
    pub(super) images: Vec<(String, Variant, Image)>,
}

impl Recalled {
    /// Readies the image for its outputs. `None` when the cache lacks a layer that one of them needs.
    ///
    /// # Errors
    /// When an output can't be written, or lies in a folder that the recipe copies.
    pub fn pack(
        self,
        session: &Session,
        recipe: &Recipe,
        destinations: &[Destination],
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Option<Packed>> {
        write::outside_inputs(&self.folders, destinations)?;
        let variants = std::iter::once(Variant::Plain).chain(options.debug_twin.then_some(Variant::Debug));
        let variants: Vec<Variant> = variants.collect();
        let names = variants.iter().map(|variant| names(recipe, *variant)).collect::<Result<Vec<_>>>()?;
        let mut ready = Vec::new();
        for to in destinations {
            for (variant, names) in variants.iter().zip(&names) {
                let to = if *variant == Variant::Debug { write::twin(to)? } else { to.clone() };
                let how = format!("{:?}", write::compression(&to, recipe));
                let image = self.images.iter().find(|(known, one, _)| *known == how && one == variant);
                let Some((.., image)) = image else { return Ok(None) };
                let mut image = image.clone();
                let Some(cache) = &options.cache else { return Ok(None) };
                // An output's file may be the cache's, too, and was then changed with it.
                let is_sound = |digest: &Digest, path: &Path| !cache.is_spoilt(digest, path, options.threads.get());
                let made = if let Some(written) = output::holds(&to, &Images::from(image.clone()), names, &is_sound) {
                    Made::There(written)
                } else {
                    let staging = session.prepare(&to, options)?;
                    progress.staged(staging.path());
                    for layer in &mut image.layers {
                        let lend = || match (&to, &options.remote) {
                            (Destination::Registry(remote), Some(caches)) => caches.lend(layer, &remote.repository),
                            _ => None,
                        };
                        let brought = staging.bring(cache, layer, options.threads.get());
                        let Some(brought) = brought.or_else(lend) else { return Ok(None) };
                        *layer = brought;
                    }
                    Made::Staged(staging)
                };
                let (place, durability) = (Place::Destination(to), options.durability);
                let images = Images::from(image);
                ready.push(Staged { place, variant: *variant, made, durability, images, referrers: Vec::new() });
            }
        }
        Ok(Some(Packed::new(names, ready)))
    }
}

/// The compressions that outputs want, each once; `None` where one of them takes more than an image's configuration,
/// manifest and layers, as SBOMs and folders of files do, and where the image is one of several in an index.
pub fn compressions(recipe: &Recipe, destinations: &[Destination], options: &Options) -> Option<Vec<Compression>> {
    let has_documents = !recipe.sbom.is_empty() || !recipe.vex.is_empty() || recipe.provenance;
    if has_documents || options.signer.is_some() || recipe.part.of > 1 {
        return None;
    }
    let mut all = Vec::new();
    for to in destinations {
        if matches!(to, Destination::Rootfs(_)) {
            return None;
        }
        let compression = write::compression(to, recipe);
        if !all.contains(&compression) {
            all.push(compression);
        }
    }
    Some(all)
}
