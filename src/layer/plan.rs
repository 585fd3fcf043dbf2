//! Which path goes into which layer: what changes together lies together, what changes seldom comes first.

use crate::path::ImagePath;
use crate::recipe::Layers;
use crate::report::Result;
use crate::tree::Tree;

/// One layer to pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPlan {
    /// What it holds, as `shared libraries`.
    pub name: String,
    /// Its entries, sorted, with every folder above each of them.
    pub paths: Vec<ImagePath>,
}

/// Spreads a tree over at most ten layers, none of them empty. `package_of` names the package that owns a path.
///
/// # Errors
/// When a glob of the recipe's own list can't be read.
pub fn plan<'a>(
    _tree: &Tree,
    _layers: &Layers,
    _package_of: &dyn Fn(&ImagePath) -> Option<&'a str>,
) -> Result<Vec<LayerPlan>> {
    todo!()
}
