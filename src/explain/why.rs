//! Everything there is to say of one path of an image.

use std::collections::BTreeSet;

use crate::build::Assembled;
use crate::inventory::Standing;
use crate::path::ImagePath;
use crate::recipe::Recipe;
use crate::report::{Error, Result};
use crate::source::resolve;
use crate::tree::{Chain, Entry, EntryKind, Rank};

use super::graph::{Asker, Graph, Reach};

/// What there is to say of a path.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// The path.
    pub path: ImagePath,
    /// What stands there.
    pub entry: &'a Entry,
    /// Where it leads in the image, when it is a link.
    pub leads_to: Option<ImagePath>,
    /// Every reason, the one that placed it first.
    pub reasons: Vec<Because>,
    /// Objects of the image that name it among their needs, in no chain of `reasons`.
    pub also_needed_by: Vec<ImagePath>,
    /// Whose it is; none where the root has no package database.
    pub standing: Option<Standing<'a>>,
    /// The layer that it goes into; none for a folder that is in several.
    pub layer: Option<String>,
}

/// One reason of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Because {
    /// From a line of the recipe to the path.
    pub chain: Chain,
    /// Whether it would have put something else there, which what stands there replaced.
    pub outranked: bool,
}

/// Explains a path of an image, as [`super::find`] gives it.
///
/// # Errors
/// When the recipe's own list of layers can't be read.
pub fn explain<'a>(recipe: &Recipe, assembled: &'a Assembled, path: &ImagePath) -> Result<Explanation<'a>> {
    let tree = &assembled.tree;
    let Some(entry) = tree.get(path) else { return Err(Error::internal(format!("`{path}` has no entry"))) };
    let leads_to = match entry.kind {
        EntryKind::Symlink(_) => resolve(tree, path.as_bytes()).ok().map(|found| found.real),
        _ => None,
    };
    let chains = tree.chains(recipe, path).into_iter();
    let reasons: Vec<Because> = chains.map(|(chain, outranked)| Because { chain, outranked }).collect();
    let told: BTreeSet<&ImagePath> =
        reasons.iter().flat_map(|because| &because.chain.steps).map(|step| &step.path).collect();
    let askers = Graph::of(tree, &assembled.closure, Reach::Everything).askers(path);
    let also_needed_by = askers.into_iter().filter_map(|asker| match asker {
        Asker::File(asker) if !told.contains(&asker) => Some(asker),
        _ => None,
    });
    Ok(Explanation {
        path: path.clone(),
        entry,
        leads_to,
        also_needed_by: also_needed_by.collect(),
        standing: assembled.inventory.has_database().then(|| assembled.inventory.standing(path)),
        layer: layer_of(recipe, assembled, path, entry)?,
        reasons,
    })
}

fn layer_of(recipe: &Recipe, assembled: &Assembled, path: &ImagePath, entry: &Entry) -> Result<Option<String>> {
    if entry.rank == Rank::Parent {
        return Ok(None);
    }
    let plans = assembled.layers(recipe)?;
    // A folder is in each layer that holds something of it, before all in the one it was assigned to.
    let holding = plans.into_iter().filter(|plan| plan.paths.binary_search(path).is_ok());
    let mut names = holding.map(|plan| plan.name);
    Ok(match (names.next(), names.next()) {
        (Some(name), None) => Some(name),
        _ => None,
    })
}
