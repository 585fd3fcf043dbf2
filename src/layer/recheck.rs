//! Whether files are those that layers were packed of, by the hashes of the pieces.
//!
//! In: a tree, how it is spread over layers, and the hashes that its pieces had. Out: whether they have them now; what is
//! known of a file by what `stat` says is not read. Nothing is compressed, and nothing is written but facts in the cache.

use super::known::{Keys, Known};
use super::layout::Layout;
use super::pack::hash_pieces;
use super::{LayerPlan, Options, parent_entry};
use crate::cache::Key;
use crate::recipe::Compression;
use crate::tree::Tree;

/// Hashes the pieces of layers, where their hashes are not known by what `stat` says: how many bytes were read for it.
/// `None` when a piece has not the bytes that it had, when a file can't be read, or when there is no cache.
pub fn recheck(
    tree: &Tree,
    layers: &[(LayerPlan, Vec<Key>)],
    compression: Compression,
    options: &Options,
) -> Option<u64> {
    let parent = parent_entry();
    let known = Known::new(options, compression)?;
    let layouts: Vec<Layout> = layers.iter().map(|(plan, _)| Layout::new(tree, plan, &parent)).collect();
    let keys: Vec<Keys> = layouts.iter().map(|layout| known.keys(layout)).collect();
    let these: Vec<(&Layout, &Keys)> = layouts.iter().zip(&keys).collect();
    let (mut is_same, mut all) = (true, 0);
    for ((keys, (_, before)), (now, read)) in keys.iter().zip(layers).zip(hash_pieces(&known, &these, options).ok()?) {
        known.remember_stat(keys, &now, &known.content_key(&now));
        is_same &= now == *before;
        all += read;
    }
    is_same.then_some(all)
}
