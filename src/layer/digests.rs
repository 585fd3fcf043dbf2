//! The hashes of each file of a layer, for documents that list files: found out while the layer is packed, or remembered.
//!
//! A file that lies in one piece is hashed with it, by the thread that read it. The parts of a larger one take their turns,
//! as a layer's pieces do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::layout::Layout;
use super::ordered::Ordered;
use super::piece::stream_size;
use super::pool::{Buffers, Pool};
use super::record::Member;
use crate::cache::Cache;
use crate::oci::{Hasher, Hashes};
use crate::path::ImagePath;
use crate::report::{Error, Result};
use crate::source::Content;

/// How much is read of a file at a time when nothing else is done with it.
const CHUNK: usize = 256 << 10;

/// The hashes of a layer's files while it is packed.
pub(super) struct Digests {
    /// By place among the members.
    found: Mutex<BTreeMap<usize, Hashes>>,
    /// Files that lie in several pieces: the first of these, and what takes them in order.
    large: BTreeMap<usize, (usize, Ordered<Arc<Buffers>, Hasher>)>,
}

impl Digests {
    /// Those that the cache has need not be made.
    pub(super) fn new(layout: &Layout, cache: Option<&Cache>) -> Self {
        let known = |(index, member): (usize, &Member)| Some((index, remembered(member.entry().content()?, cache)?));
        let found: BTreeMap<usize, Hashes> = layout.members.iter().enumerate().filter_map(known).collect();
        let mut large = BTreeMap::new();
        for (number, piece) in layout.pieces.iter().enumerate().filter(|(_, piece)| piece.members.len() == 1) {
            let member = piece.members.start;
            let is_part = piece.bytes.end - piece.bytes.start < stream_size(&layout.members[member]);
            if is_part && !found.contains_key(&member) {
                large.entry(member).or_insert_with(|| (number, Ordered::new(Hasher::default())));
            }
        }
        Self { found: Mutex::new(found), large }
    }

    /// Takes a piece that was read.
    pub(super) fn take(&self, layout: &Layout, number: usize, buffers: &Arc<Buffers>, pool: &Pool) {
        let piece = &layout.pieces[number];
        if piece.is_last() {
            return;
        }
        if let Some((first, chain)) = self.large.get(&piece.members.start) {
            let member = &layout.members[piece.members.start];
            chain.bring(number - first, Arc::clone(buffers), |digest, buffers| {
                // Each part is the same but for its place, which its size and the file's tell.
                let at = digest.size();
                let head = if at == 0 { member.head_size() } else { 0 };
                let bytes = buffers.raw.bytes();
                let rest = usize::try_from(member.data() - at).unwrap_or(usize::MAX);
                let end = head.saturating_add(rest).min(bytes.len());
                digest.update(&bytes[head.min(end)..end]);
                pool.release(buffers);
            });
            return;
        }
        let mut at = 0;
        for index in piece.members.clone() {
            let member = &layout.members[index];
            let head = at + member.head_size();
            if member.entry().content().is_some() && !self.lock().contains_key(&index) {
                let end = head + usize::try_from(member.data()).unwrap_or(usize::MAX);
                let hashes = Hashes::of(&buffers.raw.bytes()[head..end]);
                self.lock().insert(index, hashes);
            }
            at += usize::try_from(stream_size(member)).unwrap_or(usize::MAX);
        }
    }

    /// The hashes by path, after the last piece.
    pub(super) fn finish(self, layout: &Layout, cache: Option<&Cache>) -> Vec<(ImagePath, Hashes)> {
        let mut found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.extend(self.large.into_iter().map(|(member, (_, chain))| (member, chain.finish().finish())));
        found.into_iter().map(|(index, hashes)| named(&layout.members[index], hashes, cache)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Hashes>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hashes of the files of a layer that was not packed: remembered, or by reading.
pub(super) fn of_layer(layout: &Layout, cache: Option<&Cache>) -> Result<Vec<(ImagePath, Hashes)>> {
    let of_member = |member: &Member| -> Result<Option<(ImagePath, Hashes)>> {
        let Some(content) = member.entry().content() else { return Ok(None) };
        let hashes = match remembered(content, cache) {
            Some(hashes) => hashes,
            None => read(content).map_err(|error| super::pack::unreadable(member, &error))?,
        };
        Ok(Some(named(member, hashes, cache)))
    };
    let all: Vec<Option<(ImagePath, Hashes)>> =
        layout.members.par_iter().map(of_member).collect::<Result<_, Error>>()?;
    Ok(all.into_iter().flatten().collect())
}

fn remembered(content: &Content, cache: Option<&Cache>) -> Option<Hashes> {
    cache?.file_hashes(&content.stamp()?)
}

fn named(member: &Member, hashes: Hashes, cache: Option<&Cache>) -> (ImagePath, Hashes) {
    if let (Some(cache), Some(stamp)) = (cache, member.entry().content().and_then(Content::stamp)) {
        cache.keep_file_hashes(&stamp, &hashes);
    }
    (member.path().clone(), hashes)
}

fn read(content: &Content) -> std::io::Result<Hashes> {
    let reader = content.open()?;
    let (mut hasher, mut buffer) = (Hasher::default(), vec![0; CHUNK]);
    loop {
        match reader.read_at(&mut buffer, hasher.size())? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    reader.finish()?;
    Ok(hasher.finish())
}
