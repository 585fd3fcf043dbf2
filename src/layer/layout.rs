//! A layer's tar stream, laid out before any file is read.

use super::LayerPlan;
use super::piece::{self, Piece};
use super::record::Member;
use crate::tree::{Entry, Tree};

/// Pieces of at least this size keep a thread busy for a noticeable time.
const LARGE: u64 = 1 << 20;

/// The entries of a layer in the order of its stream, and the pieces that it is cut into.
pub(super) struct Layout<'a> {
    pub(super) plan: &'a LayerPlan,
    pub(super) members: Vec<Member<'a>>,
    pub(super) pieces: Vec<Piece>,
    pub(super) size: u64,
}

impl<'a> Layout<'a> {
    pub(super) fn new(tree: &'a Tree, plan: &'a LayerPlan, parent: &'a Entry) -> Self {
        let member = |path| Member::new(tree, path, tree.get(path).unwrap_or(parent));
        // The root needs no record: it is there in any container.
        let members: Vec<Member> = plan.paths.iter().filter(|path| !path.is_root()).map(member).collect();
        let pieces = piece::cut(&members);
        let size = pieces.iter().map(|piece| piece.bytes.end - piece.bytes.start).sum();
        Self { plan, members, pieces, size }
    }

    /// How many bytes follow its last large piece.
    pub(super) fn small_end(&self) -> u64 {
        let sizes = self.pieces.iter().rev().map(|piece| piece.bytes.end - piece.bytes.start);
        sizes.take_while(|size| *size < LARGE).sum()
    }

    /// How many entries are no folders.
    pub(super) fn files(&self) -> u64 {
        self.members.iter().filter(|member| !member.entry().is_directory()).count() as u64
    }
}
