//! The hashes of each file of a layer, for documents that list files: found out while the layer is packed, or
//! remembered.
//!
//! They are made in the order of the stream, together with the stream's own digest: the processor works on all three at
//! once, which takes a fifth less time than one after the other.

use rayon::prelude::*;

use super::layout::Layout;
use super::piece::stream_size;
use super::record::Member;
use crate::cache::Cache;
use crate::oci::{Hasher, Hashes, Sha256};
use crate::path::ImagePath;
use crate::report::{Error, Result};
use crate::source::Content;

/// The hashes of a layer's files while its pieces come, in order.
pub(super) struct Digests<'a> {
    /// By place among the members.
    found: Vec<Option<Hashes>>,
    /// Of the file that goes on in the next piece.
    begun: Hasher,
    cache: Option<&'a Cache>,
}

impl<'a> Digests<'a> {
    /// Those that the cache has need not be made.
    pub(super) fn new(layout: &Layout, cache: Option<&'a Cache>) -> Self {
        let known = |member: &Member| remembered(member.entry().content()?, cache);
        Self { found: layout.members.iter().map(known).collect(), begun: Hasher::default(), cache }
    }

    /// Takes the next piece, and gives it to the stream's digest, too.
    pub(super) fn take(&mut self, layout: &Layout, number: usize, raw: &[u8], stream: &mut Sha256) {
        let piece = &layout.pieces[number];
        let (mut done, mut at) = (0, 0);
        for index in piece.members.clone() {
            let member = &layout.members[index];
            let data = at + member.head_size() as u64..at + member.head_size() as u64 + member.data();
            at += stream_size(member);
            let is_wanted = member.entry().content().is_some() && self.found[index].is_none();
            // Of a file in several pieces, the part in this one; its records may be in another.
            let part = data.start.max(piece.bytes.start)..data.end.min(piece.bytes.end);
            if !is_wanted || part.start > part.end {
                continue;
            }
            let [from, to] = [part.start, part.end].map(|place| within(place - piece.bytes.start, raw));
            stream.update(&raw[done..from]);
            self.begun.update_beside(&raw[from..to], stream);
            done = to;
            if data.end <= piece.bytes.end {
                let hashes = std::mem::take(&mut self.begun).finish();
                keep(member, &hashes, self.cache);
                self.found[index] = Some(hashes);
            }
        }
        stream.update(&raw[done..]);
    }

    /// The hashes by path, after the last piece.
    pub(super) fn finish(self, layout: &Layout) -> Vec<(ImagePath, Hashes)> {
        let all = layout.members.iter().zip(self.found);
        all.filter_map(|(member, hashes)| Some((member.path().clone(), hashes?))).collect()
    }
}

/// A place in a piece.
fn within(place: u64, raw: &[u8]) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX).min(raw.len())
}

/// The hashes of the files of a layer that was not packed: remembered, or by reading.
pub(super) fn of_layer(layout: &Layout, cache: Option<&Cache>) -> Result<Vec<(ImagePath, Hashes)>> {
    let of_member = |member: &Member| -> Result<Option<(ImagePath, Hashes)>> {
        let Some(content) = member.entry().content() else { return Ok(None) };
        if let Some(hashes) = remembered(content, cache) {
            return Ok(Some((member.path().clone(), hashes)));
        }
        let hashes = read(content).map_err(|error| super::pack::unreadable(member, &error))?;
        keep(member, &hashes, cache);
        Ok(Some((member.path().clone(), hashes)))
    };
    let all: Vec<Option<(ImagePath, Hashes)>> =
        layout.members.par_iter().map(of_member).collect::<Result<_, Error>>()?;
    Ok(all.into_iter().flatten().collect())
}

fn remembered(content: &Content, cache: Option<&Cache>) -> Option<Hashes> {
    cache?.file_hashes(&content.stamp()?)
}

fn keep(member: &Member, hashes: &Hashes, cache: Option<&Cache>) {
    if let (Some(cache), Some(stamp)) = (cache, member.entry().content().and_then(Content::stamp)) {
        cache.keep_file_hashes(&stamp, hashes);
    }
}

fn read(content: &Content) -> std::io::Result<Hashes> {
    let mut hasher = Hasher::default();
    content.each_part(|part| hasher.update(part))?;
    Ok(hasher.finish())
}
