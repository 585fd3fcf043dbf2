//! Recall of an image whose files are others by inode and time, as in a checkout or with a cache that another machine
//! filled.
//!
//! In: what was seen and what was packed. Out: the same with the inodes and times of now, when modes, owners, sizes,
//! names, links and all bytes that the image follows from are the same. What the build looked into is read again and
//! hashed; what it packed, piece by piece. One thread first compares all that `stat` can tell, then reads; meanwhile
//! another hashes what was packed, until it is told that something else changed.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};

use crate::cache::{Key, key_of};
use crate::layer::{self, Recheck};
use crate::path::ImagePath;
use crate::source::{Contents, Renewal, Reread, Seen, Stamp, Twins};
use crate::threads::{Beside, beside};

use super::super::{Options, Session};
use super::{Memory, Own, PARCEL, Parcel, Part, Pending, Recalled, Record, Remembered, Saw};

/// A part that other images have, too, as it is now.
#[derive(Debug, Clone)]
pub(super) struct RenewedPart {
    now: Arc<Renewal>,
    contents: Arc<Contents>,
    /// By which these are kept.
    contents_key: Key,
}

/// What was seen of a root for several images, as it is now, and by which key its contents are kept.
pub(super) struct SharedNow {
    root: PathBuf,
    now: Arc<Renewal>,
    contents: Key,
}

/// An image that is what it was, though its files are others.
pub struct Renewed {
    /// The image.
    pub recalled: Recalled,
    /// To be kept once its outputs are in their places; `None` where files changed too lately to be known by their
    /// times.
    pub pending: Option<Pending>,
    /// How much was read to find it out, beside what is packed.
    pub reread: Reread,
    /// How many bytes of what is packed were.
    pub packed: u64,
    /// Working data, kept only so that the caller decides when to drop it.
    pub spent: Spent,
}

/// Something large that is of no use any longer.
pub struct Spent {
    _parcel: Parcel,
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
            let contents = Arc::new(self.contents(part)?);
            Some(RenewedPart { now: Arc::new(now), contents, contents_key: part.contents })
        };
        slot.get_or_init(ask).clone().filter(|now| now.contents_key == part.contents)
    }

    /// Writes down a part as it is now. What was made of its files is what it was, and is kept already.
    pub(super) fn put_now(&self, shared: &SharedNow) -> Part {
        let seen = self.put_once(super::INPUTS, &shared.root, shared.now.seen.bytes());
        Part { root: shared.root.clone(), seen, contents: shared.contents }
    }
}

impl Session {
    /// An image of which an earlier build with this cache knows all, when everything that it follows from is the same
    /// but for inodes and times of files.
    pub fn renew(&self, known: &Remembered, options: &Options) -> Option<Renewed> {
        let (memory, threads) = (self.memory()?, options.threads.get());
        let (record, seen) = Record::parse(&known.record)?;
        let parcel = memory.cache.get(PARCEL, &known.key)?;
        let (contents, parcel) = parse(&known.record, seen.len(), &parcel)?;
        let mut own: Vec<((PathBuf, Seen<'_>), Contents)> = seen.into_iter().zip(contents).collect();
        // Of little, as of what lies beside a recipe, it is found out soon whether it changed, and it does so most
        // often.
        own.sort_by_key(|((_, seen), _)| seen.bytes().len());
        let rest = own.split_off(own.partition_point(|((_, seen), _)| seen.bytes().len() < LITTLE));
        let little = self.renewed_own(memory, own, threads)?;

        let how = layer::Options {
            cache: options.cache.clone(),
            watch: options.watch.clone(),
            ..layer::Options::new(options.threads)
        };
        let (parent, parcel_now, recheck, stopped) =
            (layer::parent_entry(), OnceLock::new(), OnceLock::new(), AtomicBool::new(false));
        let packed = || -> Option<&Recheck> {
            let parcel: Option<&Parcel> = parcel_now.get_or_init(|| Parcel::parse(self, parcel, &stopped)).as_ref();
            let begin =
                || parcel.and_then(|now| Recheck::new(&now.tree, &now.layers, &parent, known.compression, &how));
            recheck.get_or_init(begin).as_ref()
        };
        let look = || {
            // The thread that reads asks for files, too.
            let others = threads.saturating_sub(1).max(1);
            let own = little.into_iter().chain(self.renewed_own(memory, rest, others)?).collect();
            let shared = record.inputs.iter().map(|part| memory.renewed_part(self, part, others));
            let shared = shared.collect::<Option<Vec<_>>>()?;
            self.held(own, &record.inputs, shared, threads)
        };
        // Blobs of a cache that was restored are checked, too, and flushed, for which a thread waits most of the time:
        // one begins with them while the others read, which help it when they are done.
        let (flush, blobs) =
            (options.durability == layer::Durability::Synced, record.outcome.layers().collect::<Vec<_>>());
        let next = AtomicUsize::new(0);
        let ready = || {
            while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed))
                && !stopped.load(Ordering::Relaxed)
            {
                memory.cache.ready_blob(blob, flush, 1);
            }
        };
        // What is packed is read while all else is asked: of another image that is in vain, but takes no longer.
        let held = std::thread::scope(|scope| {
            let read = || {
                packed()?.work(&stopped);
                ready();
                Some(())
            };
            let other = (threads > 1).then(|| beside(scope, read));
            let held = look();
            stopped.store(held.is_none(), Ordering::Relaxed);
            held.as_ref()?;
            if threads > 1 {
                let _ = beside(scope, ready);
            }
            for _ in 2..threads {
                let _ = beside(scope, read);
            }
            read()?;
            other.map_or(Some(()), Beside::outcome)?;
            held
        })?;
        let packed = recheck.into_inner()??.finish()?;
        let spent = Spent { _parcel: parcel_now.into_inner()?? };
        let Held { own, parts, reread, is_settled } = held;
        let recalled = record.outcome.clone().recall(&known.subject)?;
        let (documents, parcel) = (Vec::new(), Some(parcel.to_vec()));
        let saw = Saw::Before { shared: parts, own };
        let pending = Pending { key: known.key, outcome: record.outcome, documents, saw, parcel };
        Some(Renewed { recalled, pending: is_settled.then_some(pending), reread, packed, spent })
    }

    /// Whether all that was looked into and is not packed is the same, where all that `stat` says is so but for inodes
    /// and times.
    fn held(
        &self,
        own: Vec<(Own, Renewal)>,
        parts: &[Part],
        renewed: Vec<RenewedPart>,
        threads: usize,
    ) -> Option<Held> {
        let (mut moved, mut twins, mut is_settled) = (Moved::new(), Twins::default(), true);
        for (own, now) in &own {
            moved.entry(own.root.clone()).or_default().extend(now.moved.iter().cloned());
            twins.extend(&now.twins);
            is_settled &= now.is_settled;
        }
        for (part, RenewedPart { now, .. }) in parts.iter().zip(&renewed) {
            moved.entry(part.root.clone()).or_default().extend(now.moved.iter().cloned());
            twins.extend(&now.twins);
            is_settled &= now.is_settled;
        }
        if !twins.are_alike() {
            return None;
        }
        let own_contents = own.iter().map(|(own, _)| (&own.root, &own.contents));
        let shared_contents = parts.iter().zip(&renewed).map(|(part, now)| (&part.root, &*now.contents));
        let mut contents = own_contents.chain(shared_contents);
        let reread = contents.try_fold(Reread::default(), |mut reread, (root, contents)| {
            reread += contents.hold(&self.open(root, None).ok()?.folder, moved.get(root)?, threads)?;
            Some(reread)
        })?;
        let own = own.into_iter().map(|(own, _)| own).collect();
        let shared = |(part, now): (&Part, RenewedPart)| SharedNow {
            root: part.root.clone(),
            now: now.now,
            contents: part.contents,
        };
        Some(Held { own, parts: parts.iter().zip(renewed).map(shared).collect(), reread, is_settled })
    }

    fn renewed_own(
        &self,
        memory: &Memory,
        own: Vec<((PathBuf, Seen<'_>), Contents)>,
        threads: usize,
    ) -> Option<Vec<(Own, Renewal)>> {
        let is_settled = |stamp: &Stamp| memory.cache.is_settled(stamp);
        let renewed = own.into_iter().map(|((root, seen), contents)| {
            let mut now = seen.renewed(&self.open(&root, None).ok()?.folder, threads, &is_settled)?;
            let seen = std::mem::replace(&mut now.seen, Seen::new(Vec::new()));
            Some((Own { root, seen, contents }, now))
        });
        renewed.collect()
    }
}

/// What is the same but for inodes and times, as it is now.
struct Held {
    own: Vec<Own>,
    parts: Vec<SharedNow>,
    /// What was read to find it out.
    reread: Reread,
    is_settled: bool,
}

/// How many bytes of answers are asked anew before anything else is begun: a few hundred.
const LITTLE: usize = 16 << 10;
