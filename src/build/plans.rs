//! What is packed of an image and its debug twin: the twin has the image's own layers, so that these are the same with
//! it and without, and one more with what it has beside or instead.

use super::Assembled;
use super::write::Variant;
use crate::layer::{self, Layer, LayerPlan, Staging};
use crate::recipe::{Compression, Recipe};
use crate::report::{Error, Result};
use crate::tree::Tree;

/// What is packed: the layers of the image and, above them, that of its debug twin.
pub(super) struct Plans<'a> {
    /// The image's.
    pub(super) tree: &'a Tree,
    /// The image's own.
    pub(super) layers: Vec<LayerPlan>,
    twin: Option<Twin<'a>>,
}

/// What a debug twin has more.
struct Twin<'a> {
    tree: &'a Tree,
    layer: LayerPlan,
    /// Whether it has something else at a path that the image has, too: package records name what the shell needs.
    differs: bool,
}

impl<'a> Plans<'a> {
    /// # Errors
    /// When the recipe's layers can't be followed, or a file of both images can't be read.
    pub(super) fn of(recipe: &Recipe, assembled: &'a Assembled) -> Result<Self> {
        let twin = assembled.debug.as_ref().map(|twin| Twin::of(&assembled.tree, &twin.tree)).transpose()?;
        Ok(Self { tree: &assembled.tree, layers: assembled.layers(recipe)?, twin })
    }

    /// Which images it gives.
    pub(super) fn variants(&self) -> impl Iterator<Item = Variant> + use<> {
        std::iter::once(Variant::Plain).chain(self.twin.as_ref().map(|_| Variant::Debug))
    }

    /// Packs the image's own layers and, above them, the twin's.
    ///
    /// # Errors
    /// As of [`layer::pack`].
    pub(super) fn pack(&self, compression: Compression, how: &layer::Options, staging: &Staging) -> Result<Vec<Layer>> {
        let mut layers = layer::pack(self.tree, &self.layers, compression, how, staging)?;
        if let Some(Twin { tree, layer, .. }) = &self.twin {
            layers.extend(layer::pack(tree, std::slice::from_ref(layer), compression, how, staging)?);
        }
        Ok(layers)
    }

    /// One tree with all layers of it, where there is one.
    pub(super) fn whole(&self) -> Option<(&Tree, Vec<LayerPlan>)> {
        match &self.twin {
            None => Some((self.tree, self.layers.clone())),
            Some(twin) if twin.differs => None,
            Some(twin) => Some((twin.tree, [&self.layers[..], std::slice::from_ref(&twin.layer)].concat())),
        }
    }
}

impl<'a> Twin<'a> {
    fn of(own: &Tree, tree: &'a Tree) -> Result<Self> {
        let (mut paths, mut differs) = (Vec::new(), false);
        for (path, entry) in tree.iter() {
            let there = own.get(path);
            let same = there.map_or(Ok(false), |there| there.same(entry));
            if same.map_err(|error| Error::io("read", path.to_string().as_ref(), &error))? {
                continue;
            }
            differs |= there.is_some();
            paths.push(path.clone());
            paths.extend(path.ancestors());
        }
        paths.sort();
        paths.dedup();
        Ok(Self { tree, layer: LayerPlan { name: "debug".to_owned(), paths }, differs })
    }
}
