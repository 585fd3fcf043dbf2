//! An image that need not be built: its outputs are left alone where they hold it already, or are written from the
//! layers that the cache keeps.

use std::path::{Path, PathBuf};

use crate::attest::{Blob, Document};
use crate::cache::{Key, KeyMaker};
use crate::image::{Image, Images};
use crate::oci::{Digest, Reference};
use crate::output::{self, Attaching, Destination};
use crate::recipe::{Compression, Recipe};
use crate::report::{Result, Span};

use super::super::documents::{self, Beside};
use super::super::write::{self, Made, Packed, Place, Staged, Variant, names};
use super::super::{Figures, Options, Progress, Session};
use super::Said;

/// The kind of values that are documents about images.
pub(super) const DOCUMENT: &str = "document";

/// An image of an earlier build of which nothing has changed.
#[derive(Debug, Clone)]
pub struct Recalled {
    /// What was said of it.
    pub said: Said,
    /// How much it holds.
    pub figures: Figures,
    /// Folders of this machine that it copies.
    pub(super) folders: Vec<(PathBuf, Span)>,
    pub(super) images: Vec<RecalledImage>,
}

/// One image of an earlier build.
#[derive(Debug, Clone)]
pub(super) struct RecalledImage {
    /// Its compression in words.
    pub(super) compression: String,
    pub(super) variant: Variant,
    pub(super) image: Image,
    /// The documents that were made of it: media type, predicate type and digest.
    pub(super) documents: Vec<(String, String, Digest)>,
    /// The manifests of all that refers to it.
    pub(super) referrers: Vec<Digest>,
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
                let known = self.images.iter().find(|one| one.compression == how && one.variant == *variant);
                let Some(known) = known else { return Ok(None) };
                let Some(beside) = known.beside(&to, recipe, names, options)? else { return Ok(None) };
                let mut image = known.image.clone();
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
                let attaching = Attaching::begin(&to, &beside.referrers, options.durability)?;
                if let Some(attaching) = &attaching {
                    progress.staged(attaching.staging());
                }
                let (place, durability) = (Place::Destination(to), options.durability);
                let images = Images::from(image);
                ready.push(Staged { place, variant: *variant, made, durability, images, beside, attaching });
            }
        }
        let has_place = ready.iter().any(|staged| staged.place.has_attachments());
        Ok(Some(Packed::new(names, ready, documents::notes(recipe, options, has_place))))
    }
}

impl RecalledImage {
    /// What is to be put beside an output of it; nothing where it stands there already. `None` when the cache lacks a
    /// document.
    fn beside(
        &self,
        to: &Destination,
        recipe: &Recipe,
        names: &[Reference],
        options: &Options,
    ) -> Result<Option<Beside>> {
        let has_place = Place::Destination(to.clone()).has_attachments();
        if self.referrers.is_empty() || !has_place || output::has_attached(to, &self.referrers) {
            // Elsewhere they may be wanted again.
            if let Some(cache) = &options.cache {
                for (.., digest) in &self.documents {
                    cache.touch(DOCUMENT, &document_key(*digest));
                }
            }
            return Ok(Some(Beside::default()));
        }
        let read = |(media_type, predicate_type, digest): &(String, String, Digest)| {
            let bytes = options.cache.as_ref()?.get(DOCUMENT, &document_key(*digest))?;
            let blob = Blob::new(bytes);
            (blob.digest() == *digest).then(|| Document {
                media_type: media_type.clone(),
                predicate_type: predicate_type.clone(),
                blob,
            })
        };
        let Some(all) = self.documents.iter().map(read).collect::<Option<Vec<_>>>() else { return Ok(None) };
        documents::again(recipe, &self.image, names, all, options.signer.as_deref()).map(Some)
    }
}

/// The key of a document in the cache.
pub(super) fn document_key(digest: Digest) -> Key {
    KeyMaker::new(DOCUMENT).with(digest.bytes()).finish()
}

/// The compressions that outputs want, each once; `None` where one of them takes more than an image and what stands
/// beside it, as folders of files do, and where the image is one of several in an index.
pub fn compressions(recipe: &Recipe, destinations: &[Destination]) -> Option<Vec<Compression>> {
    if recipe.part.of > 1 {
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
