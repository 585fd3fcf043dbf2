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
use crate::source::Content;
use crate::tree::Tree;

/// What became of pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recheck {
    /// Whether every piece has the same bytes as before.
    pub is_same: bool,
    /// How many bytes were read for it.
    pub read: u64,
}

/// Hashes the pieces of layers, where their hashes are not known by what `stat` says. `None` when something of a file that
/// `counts` may have changed, when a file can't be read, or when there is no cache.
pub fn recheck(
    tree: &Tree,
    layers: &[(LayerPlan, Vec<Key>)],
    compression: Compression,
    options: &Options,
    counts: &dyn Fn(&Content) -> bool,
) -> Option<Recheck> {
    let parent = parent_entry();
    let known = Known::new(options, compression)?;
    let layouts: Vec<Layout> = layers.iter().map(|(plan, _)| Layout::new(tree, plan, &parent)).collect();
    let keys: Vec<Keys> = layouts.iter().map(|layout| known.keys(layout)).collect();
    let these: Vec<(&Layout, &Keys)> = layouts.iter().zip(&keys).collect();
    let mut all = Recheck { is_same: true, read: 0 };
    for (((layout, keys), (_, before)), (now, read)) in
        these.iter().zip(layers).zip(hash_pieces(&known, &these, options).ok()?)
    {
        all.read += read;
        known.remember_stat(keys, &now, &known.content_key(&now));
        if now.len() != before.len() {
            return None;
        }
        let changed = layout.pieces.iter().zip(now.iter().zip(before)).filter(|(_, (now, before))| now != before);
        for (piece, _) in changed {
            all.is_same = false;
            let mut contents =
                layout.members[piece.members.clone()].iter().filter_map(|member| member.entry().content());
            if contents.any(counts) {
                return None;
            }
        }
    }
    Some(all)
}
