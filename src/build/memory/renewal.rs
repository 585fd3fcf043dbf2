//! Recall of an image whose files are others by inode and time, as in a checkout or with a cache that another machine filled.
//!
//! In: what was seen and what was packed. Out: the same with the inodes and times of now, when modes, owners, sizes, names,
//! links and all bytes that the image follows from are the same. What the build looked into is read again and hashed; what
//! it packed, piece by piece. All that `stat` says is asked before anything is read.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError};

use crate::cache::key_of;
use crate::layer;
use crate::path::ImagePath;
use crate::recipe::{Compression, Recipe};
use crate::report::Texts;
use crate::source::{Contents, Reread, Seen, Stamp, Twins};

use super::super::{Options, Session};
use super::{Kept, Memory, Others, Own, PARCEL, Parcel, Part, Pending, Recalled, Record, Saw};

/// A part that other images have, too, as it is now.
#[derive(Debug, Clone)]
pub(super) struct RenewedPart {
    part: Part,
    contents: Contents,
    moved: Arc<[ImagePath]>,
    twins: Arc<Twins>,
    is_settled: bool,
}

/// An image that is what it was, though its files are others.
pub struct Renewed {
    /// The image.
    pub recalled: Recalled,
    /// To be kept once its outputs are in their places; `None` where files changed too lately to be known by their times.
    pub pending: Option<Pending>,
    /// How much was read to find it out, beside what is packed.
    pub reread: Reread,
    /// How many bytes of what is packed were.
    pub packed: u64,
}

/// Files that are not those that were seen, by root.
type Moved = HashMap<PathBuf, HashSet<ImagePath>>;

/// The value that holds what was made of an image's own files, and what was packed. It belongs to one record.
pub(super) fn bytes(record: &[u8], own: &[Own], parcel: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = key_of(record).to_vec();
    for part in own.iter().map(|own| own.contents.bytes()).chain([parcel]) {
        bytes.extend(u64::try_from(part.len()).ok()?.to_le_bytes());
        bytes.extend(part);
    }
    Some(bytes)
}

/// The contents of so many parts, and the parcel.
fn parse<'a>(record: &[u8], own: usize, bytes: &'a [u8]) -> Option<(Vec<Contents>, &'a [u8])> {
    let (key, mut rest) = bytes.split_first_chunk()?;
    let mut part = || {
        let (length, after) = rest.split_first_chunk()?;
        let (part, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        rest = after;
        Some(part)
    };
    let contents = (0..own).map(|_| Some(Contents::new(part()?.to_vec()))).collect::<Option<_>>()?;
    let parcel = part()?;
    (*key == key_of(record) && rest.is_empty()).then_some((contents, parcel))
}

impl Memory {
    /// A part as it is now; `None` when more than inodes and times changed. Images share it, and it is asked once.
    fn renewed_part(&self, session: &Session, part: &Part, threads: usize) -> Option<RenewedPart> {
        let slot: Arc<OnceLock<Option<RenewedPart>>> = {
            let mut known = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(part.seen).or_default())
        };
        let ask = || {
            let root = session.open(&part.root, None).ok()?;
            let is_settled = |stamp: &Stamp| self.cache.is_settled(stamp);
            let now = self.seen(part)?.renewed(&root.folder, threads, &is_settled)?;
            let contents = self.contents(part)?;
            let moved = now.moved.into();
            let part = self.put(&part.root, &now.seen, &contents);
            Some(RenewedPart { part, contents, moved, twins: Arc::new(now.twins), is_settled: now.is_settled })
        };
        slot.get_or_init(ask).clone().filter(|now| now.part.contents == part.contents)
    }
}

impl Session {
    /// An image of which an earlier build with this cache knows all, when everything that it follows from is the same but
    /// for inodes and times of files.
    pub fn renew(
        &self,
        recipe: &Recipe,
        others: Option<&Others>,
        texts: &Texts,
        compressions: &[Compression],
        options: &Options,
    ) -> Option<Renewed> {
        let (memory, subject, key) = self.remembered((recipe, others, texts), compressions, options)?;
        let threads = options.threads.get();
        let bytes = memory.cache.get(super::IMAGE, &key)?;
        let (record, seen) = Record::parse(&bytes)?;
        let parcel = memory.cache.get(PARCEL, &key)?;
        let (contents, parcel) = parse(&bytes, seen.len(), &parcel)?;

        // All that takes no reading first.
        let own = self.renewed_own(memory, seen, contents, threads)?;
        let parts = record.inputs.iter().map(|part| memory.renewed_part(self, part, threads));
        let parts = parts.collect::<Option<Vec<_>>>()?;
        let (mut moved, mut twins, mut is_settled) = (Moved::new(), Twins::default(), true);
        for (own, now) in &own {
            moved.entry(own.root.clone()).or_default().extend(now.moved.iter().cloned());
            twins.extend(&now.twins);
            is_settled &= now.is_settled;
        }
        for part in &parts {
            moved.entry(part.part.root.clone()).or_default().extend(part.moved.iter().cloned());
            twins.extend(&part.twins);
            is_settled &= part.is_settled;
        }
        if !twins.are_alike() {
            return None;
        }
        let own_contents = own.iter().map(|(own, _)| (&own.root, &own.contents));
        let shared_contents = parts.iter().map(|part| (&part.part.root, &part.contents));
        let contents: Vec<_> = own_contents.chain(shared_contents).collect();
        let hold = || {
            contents.iter().try_fold(Reread::default(), |mut reread, (root, contents)| {
                reread += contents.hold(&self.open(root, None).ok()?.folder, moved.get(*root)?, threads)?;
                Some(reread)
            })
        };
        let (reread, parcel_now) = std::thread::scope(|scope| {
            let beside = (threads > 1).then(|| scope.spawn(|| Parcel::parse(self, parcel)));
            let reread = hold()?;
            let parcel_now = beside.map_or_else(|| Parcel::parse(self, parcel), |thread| thread.join().ok()?)?;
            Some((reread, parcel_now))
        })?;
        let how = layer::Options {
            cache: options.cache.clone(),
            watch: options.watch.clone(),
            ..layer::Options::new(options.threads)
        };
        let packed = layer::recheck(&parcel_now.tree, &parcel_now.layers, *compressions.first()?, &how)?;
        let recalled = record.outcome.clone().recall(&subject)?;
        let kept = Kept {
            shared: parts.into_iter().map(|part| part.part).collect(),
            own: own.into_iter().map(|(own, _)| own).collect(),
        };
        let (documents, parcel) = (Vec::new(), Some(parcel.to_vec()));
        let pending = Pending { key, outcome: record.outcome, documents, saw: Saw::Before(kept), parcel };
        Some(Renewed { recalled, pending: is_settled.then_some(pending), reread, packed })
    }

    fn renewed_own(
        &self,
        memory: &Memory,
        seen: Vec<(PathBuf, Seen)>,
        contents: Vec<Contents>,
        threads: usize,
    ) -> Option<Vec<(Own, crate::source::Renewal)>> {
        let is_settled = |stamp: &Stamp| memory.cache.is_settled(stamp);
        let renewed = seen.into_iter().zip(contents).map(|((root, seen), contents)| {
            let now = seen.renewed(&self.open(&root, None).ok()?.folder, threads, &is_settled)?;
            Some((Own { root, seen: now.seen.clone(), contents }, now))
        });
        renewed.collect()
    }
}
