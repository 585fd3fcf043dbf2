//! Holding a layer that somebody else packed against this machine's own files.
//!
//! In: a layer as it would be packed here and, where it was fetched, its blob. Out: the digest of the tar stream that
//! the files give, and whether every piece of the blob decompresses to the piece that they give. Nothing is compressed
//! for it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::codec::GZIP_HEAD;
use super::deflate;
use super::fill::{Filler, Raw};
use super::known::PieceCheck;
use super::layout::Layout;
use super::watch::{Activity, Watch, watched};
use crate::cache::Segment;
use crate::oci::{DiffId, Sha256};
use crate::recipe::Compression;

/// What was found out of a blob.
pub(super) struct Proof {
    pub(super) diff_id: DiffId,
    /// The parts of the blob.
    pub(super) segments: Vec<Segment>,
    /// What is kept of each piece but the last.
    pub(super) checks: Vec<PieceCheck>,
}

/// The digest of the tar stream that the files give.
///
/// # Errors
/// When a file can't be read.
pub(super) fn diff_id(layout: &Layout, watch: Option<&dyn Watch>) -> io::Result<DiffId> {
    let mut hash = Sha256::default();
    each_piece(layout, watch, |_, raw| {
        watched(watch, Activity::Hash, || hash.update(raw));
        Ok(true)
    })?;
    Ok(DiffId::new(hash.finish()))
}

/// Holds a blob, which was written in parts of these sizes, against the files. `None` when it is not of them.
///
/// # Errors
/// When a file or the blob can't be read.
pub(super) fn compare(
    layout: &Layout,
    compression: Compression,
    (blob, sizes): (&File, &[u32]),
    watch: Option<&dyn Watch>,
) -> io::Result<Option<Proof>> {
    let gzip = matches!(compression, Compression::Gzip(_));
    let ends = if gzip { 2 } else { 0 };
    let size: u64 = sizes.iter().map(|size| u64::from(*size)).sum();
    if sizes.len() != layout.pieces.len() + ends || size != blob.metadata()?.len() {
        return Ok(None);
    }
    let mut parts = Parts { blob, sizes: sizes.iter(), at: 0, segments: Vec::new(), bytes: Vec::new() };
    if gzip && parts.next(GZIP_HEAD.len())? != Some(&GZIP_HEAD[..]) {
        return Ok(None);
    }
    let (mut hash, mut crc, mut checks) = (Sha256::default(), crc32fast::Hasher::new(), Vec::new());
    let is_same = each_piece(layout, watch, |piece, raw| {
        let Some(part) = parts.next(most_packed(raw.len()))? else { return Ok(false) };
        let is_last = piece + 1 == layout.pieces.len();
        let same = watched(watch, Activity::Read, || unpacks_to(compression, part, is_last, raw));
        let mut own = crc32fast::Hasher::new();
        if gzip {
            own.update(raw);
            crc.combine(&own);
        }
        if !is_last {
            checks.push(PieceCheck { crc: own.finalize(), size: u32::try_from(raw.len()).unwrap_or(0) });
        }
        watched(watch, Activity::Hash, || hash.update(raw));
        Ok(same)
    })?;
    if !is_same {
        return Ok(None);
    }
    if gzip {
        let size = u32::try_from(layout.size & u64::from(u32::MAX)).unwrap_or(0);
        let end = [crc.finalize().to_le_bytes(), size.to_le_bytes()].concat();
        if parts.next(end.len())? != Some(&end[..]) {
            return Ok(None);
        }
    }
    Ok(Some(Proof { diff_id: DiffId::new(hash.finish()), segments: parts.segments, checks }))
}

/// The most bytes that a piece of this size is compressed to: no codec makes one much larger.
pub(super) fn most_packed(size: usize) -> usize {
    size + size / 8 + 1024
}

/// Whether a compressed piece is sound and decompresses to these bytes.
pub(super) fn unpacks_to(compression: Compression, packed: &[u8], is_last: bool, raw: &[u8]) -> bool {
    match compression {
        Compression::Gzip(_) => deflate::inflates_to(packed, is_last, raw),
        // It stops at one byte more than there should be.
        Compression::Zstd(_) => zstd::bulk::decompress(packed, raw.len() + 1).is_ok_and(|unpacked| unpacked == raw),
        Compression::None => packed == raw,
    }
}

/// Shows every piece of a layer to `look`, in order, as long as that says so. Returns whether it always did.
fn each_piece(
    layout: &Layout,
    watch: Option<&dyn Watch>,
    mut look: impl FnMut(usize, &[u8]) -> io::Result<bool>,
) -> io::Result<bool> {
    let (mut filler, mut raw) = (Filler::new(watch), Raw::default());
    for (number, piece) in layout.pieces.iter().enumerate() {
        filler.fill(&layout.members, piece, &mut raw).map_err(|unreadable| unreadable.error)?;
        if !look(number, raw.bytes())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The parts of a blob, one after the other.
struct Parts<'a> {
    blob: &'a File,
    sizes: std::slice::Iter<'a, u32>,
    at: u64,
    segments: Vec<Segment>,
    bytes: Vec<u8>,
}

impl Parts<'_> {
    /// The next part; `None` when it is larger than `most`, or there is none.
    fn next(&mut self, most: usize) -> io::Result<Option<&[u8]>> {
        let Some(size) = self.sizes.next().copied().filter(|size| *size as usize <= most) else { return Ok(None) };
        self.bytes.resize(size as usize, 0);
        self.blob.read_exact_at(&mut self.bytes, self.at)?;
        self.at += u64::from(size);
        self.segments.push((size, crc32fast::hash(&self.bytes)));
        Ok(Some(&self.bytes))
    }
}
