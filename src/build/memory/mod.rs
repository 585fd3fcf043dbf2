//! What earlier builds looked at, and what came of it. When all of that is still so, the image is not built again.
//!
//! In: a recipe as it is now, and a cache. Out: the documents of its image and all that was said of it, after one look
//! at each file, link and folder that its build looked at or missed; or nothing, and then the image is built. The key
//! has all that is no file of a root: the recipe, its texts, options, the user. Whatever is in doubt is not remembered.
//!
//! Files that are others by inode or time, as in a checkout, are read and held against what was packed ([`renewal`]).

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use crate::attest::Document;
use crate::cache::{Cache, Key, KeyMaker};
use crate::layer::LayerPlan;
use crate::path::ImagePath;
use crate::recipe::{Compression, Recipe};
use crate::report::{Diagnostic, Texts};
use crate::source::{Changed, Contents, Folder, Notes, Seen, Stamp};
use crate::tree::Tree;

use super::{Assembled, Options, Packed, Session};

mod key;
mod outcome;
mod parcel;
mod renewal;
mod replay;

pub use key::Others;
use key::Subject;
use outcome::Outcome;
pub(super) use parcel::Parcel;
use parcel::{Ships, ships};
pub use renewal::Renewed;
use renewal::RenewedPart;
pub use replay::{Recalled, compressions};

/// The kind of values that say what a build looked at.
const INPUTS: &str = "inputs";
/// The kind of values that say what came of it.
const IMAGE: &str = "image";

/// The kind of values that say what was made of files beside what `stat` says of them.
const CONTENTS: &str = "contents";
/// The kind of values that say the same of an image's own inputs, and what was packed.
const PARCEL: &str = "parcel";

/// Up to this many paths, asking about all of them takes no noticeable time.
const FEW: usize = 300;

/// A part of what was seen that is written down by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    root: PathBuf,
    seen: Key,
    contents: Key,
}

/// The part that has a folder that was listed, where there is one.
type ListPart = Result<Option<Part>, Changed>;

/// What a session remembers of earlier ones.
pub(super) struct Memory {
    cache: Arc<Cache>,
    /// Which program this is: another one may make something else of the same.
    tool: String,
    /// Which parts of what was seen still hold: images share them, and each is asked once.
    held: Mutex<HashMap<Key, bool>>,
    /// The same of those that hold but for inodes and times.
    renewed: Mutex<HashMap<Key, Arc<OnceLock<Option<RenewedPart>>>>>,
    /// Parts that are written down already.
    kept: Mutex<HashSet<Key>>,
    /// Folders that were listed, as they are written down.
    lists: Mutex<HashMap<(PathBuf, ImagePath), ListPart>>,
}

/// What a build asked of the roots that it looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Inputs(Vec<(PathBuf, Arc<Notes>)>);

/// Parts of what was seen that are written down; `None` when some of it can't be.
pub(super) type Parts = Option<Vec<Part>>;

/// What was seen for one image.
struct Kept {
    /// Parts that other images may have, too: written down by themselves.
    shared: Vec<Part>,
    own: Vec<Own>,
}

/// What was seen of a root for one image alone.
struct Own {
    root: PathBuf,
    seen: Seen<'static>,
    contents: Contents,
}

/// What is kept of an image: the parts of what was seen, each with its root, and what came of it. Its own parts follow
/// it, of which it has the sizes.
#[derive(Serialize, Deserialize)]
struct Record {
    inputs: Vec<Part>,
    own: Vec<(PathBuf, usize)>,
    outcome: Outcome,
}

impl Record {
    fn new(inputs: Vec<Part>, own: &[Own], outcome: Outcome) -> Self {
        Self { inputs, own: own.iter().map(|own| (own.root.clone(), own.seen.bytes().len())).collect(), outcome }
    }

    fn bytes(&self, own: &[Own]) -> Option<Vec<u8>> {
        let head = serde_json::to_vec(self).ok()?;
        let mut bytes = (head.len() as u64).to_le_bytes().to_vec();
        bytes.extend(head);
        for own in own {
            bytes.extend(own.seen.bytes());
        }
        Some(bytes)
    }

    fn parse(bytes: &[u8]) -> Option<(Self, Vec<(PathBuf, Seen<'_>)>)> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (head, mut rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let record: Self = serde_json::from_slice(head).ok()?;
        let mut own = Vec::new();
        for (root, size) in &record.own {
            let (seen, after) = rest.split_at_checked(*size)?;
            own.push((root.clone(), Seen::new(seen)));
            rest = after;
        }
        Some((record, own))
    }
}

impl Inputs {
    /// Adds what was asked of a root.
    pub(super) fn add(&mut self, root: &Path, notes: Notes) {
        match self.0.iter_mut().find(|(known, _)| known == root) {
            Some((_, known)) => *known = Arc::new(Arc::unwrap_or_clone(std::mem::take(known)).and(notes)),
            None => self.0.push((root.to_owned(), Arc::new(notes))),
        }
    }

    /// Adds what another build asked.
    pub(super) fn extend(&mut self, other: Inputs) {
        for (root, notes) in other.0 {
            self.add(&root, Arc::unwrap_or_clone(notes));
        }
    }
}

impl Memory {
    pub(super) fn new(cache: Arc<Cache>, tool: &str) -> Self {
        let tool = tool.to_owned();
        Self {
            cache,
            tool,
            held: Mutex::default(),
            renewed: Mutex::default(),
            kept: Mutex::default(),
            lists: Mutex::default(),
        }
    }

    /// What is remembered, when all that it follows from is still so.
    fn get(&self, session: &Session, known: &Remembered, threads: usize) -> Option<Outcome> {
        let (record, own) = Record::parse(&known.record)?;
        let ask = |root: &Path, seen: &Seen| {
            session.open(root, None).is_ok_and(|root| seen.still_holds(&root.folder, threads, session.is_of_many()))
        };
        let holds = |part: &Part| self.holds(session, part, threads);
        if !own.iter().all(|(root, seen)| ask(root, seen)) || !record.inputs.iter().all(holds) {
            return None;
        }
        // Elsewhere, only what is said there will know the files.
        self.cache.touch(PARCEL, &known.key);
        Some(record.outcome)
    }

    fn holds(&self, session: &Session, part: &Part, threads: usize) -> bool {
        let known = |held: &Mutex<HashMap<Key, bool>>| {
            held.lock().unwrap_or_else(PoisonError::into_inner).get(&part.seen).copied()
        };
        if let Some(known) = known(&self.held) {
            return known;
        }
        let ask = || {
            let root = session.open(&part.root, None).ok()?;
            let seen = self.seen(part)?;
            self.cache.touch(CONTENTS, &part.contents);
            Some(seen.still_holds(&root.folder, threads, session.is_of_many()))
        };
        let holds = ask().unwrap_or(false);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(part.seen, holds);
        holds
    }

    fn seen(&self, part: &Part) -> Option<Seen<'static>> {
        let seen = self.cache.get(INPUTS, &part.seen)?;
        (part_key(INPUTS, &part.root, &seen) == part.seen).then(|| Seen::new(seen))
    }

    fn contents(&self, part: &Part) -> Option<Contents> {
        let contents = self.cache.get(CONTENTS, &part.contents)?;
        (part_key(CONTENTS, &part.root, &contents) == part.contents).then(|| Contents::new(contents))
    }

    /// Writes down what was seen, for several images.
    pub(super) fn keep(&self, session: &Session, inputs: &Inputs) -> Parts {
        let Kept { mut shared, own } = self.keep_shared(session, inputs, &Ships::new())?;
        shared.extend(own.iter().map(|own| self.put(&own.root, &own.seen, &own.contents)));
        Some(shared)
    }

    /// Writes down of what was seen what several images may have in common. `ships` has the files that are packed.
    fn keep_shared(&self, session: &Session, inputs: &Inputs, ships: &Ships) -> Option<Kept> {
        let (mut shared, mut own) = (Vec::new(), Vec::new());
        for (root, notes) in &inputs.0 {
            let open = session.open(root, None).ok().filter(|_| !notes.failed())?;
            let is_settled = |stamp: &Stamp| self.cache.is_settled(stamp);
            for list in notes.large_lists(&open.folder) {
                shared.extend(self.keep_list(root, &open.folder, &list).ok()?);
            }
            let others = notes.others(&open.folder);
            let seen = Seen::others(&open.folder, notes, &others, &is_settled).ok()?;
            let contents = Contents::of(&open.folder, notes, others, ships);
            own.push(Own { root: root.clone(), seen, contents });
        }
        Some(Kept { shared, own })
    }

    /// A large folder that was listed is the same for all images.
    fn keep_list(&self, root: &Path, folder: &Folder, list: &ImagePath) -> ListPart {
        let place = (root.to_owned(), list.clone());
        if let Some(known) = self.lists.lock().unwrap_or_else(PoisonError::into_inner).get(&place) {
            return known.clone();
        }
        let seen = Seen::list(folder, list, &|stamp| self.cache.is_settled(stamp));
        let kept = seen.map(|seen| seen.map(|seen| self.put(root, &seen, &Contents::of_list(folder, list))));
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).insert(place, kept.clone());
        kept
    }

    fn put(&self, root: &Path, seen: &Seen, contents: &Contents) -> Part {
        let seen = self.put_once(INPUTS, root, seen.bytes());
        let contents = self.put_once(CONTENTS, root, contents.bytes());
        Part { root: root.to_owned(), seen, contents }
    }

    /// Keeps what is known of a root, unless this session did so already: by which key.
    fn put_once(&self, kind: &str, root: &Path, bytes: &[u8]) -> Key {
        let key = part_key(kind, root, bytes);
        if self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(key) {
            self.cache.put(kind, &key, bytes);
        }
        key
    }

    /// Keeps what came of a build with what it follows from.
    fn keep_record(&self, pending: &Pending, inputs: Vec<Part>, own: &[Own]) -> Option<()> {
        let record = Record::new(inputs, own, pending.outcome.clone()).bytes(own)?;
        self.cache.put(IMAGE, &pending.key, &record);
        if let Some(parcel) = &pending.parcel {
            self.cache.put(PARCEL, &pending.key, &renewal::bytes(&record, own, parcel)?);
        }
        Some(())
    }
}

fn part_key(kind: &str, root: &Path, bytes: &[u8]) -> Key {
    use std::os::unix::ffi::OsStrExt;
    KeyMaker::new(kind).with(root.as_os_str().as_bytes()).with(bytes).finish()
}

impl Session {
    /// What remembers images, and under which key it has this one; `None` when it can't have it.
    fn remembering_key<'a>(
        &self,
        (recipe, others, texts): (&Recipe, Option<&Others>, &'a Texts),
        compressions: &[Compression],
        options: &Options,
    ) -> Option<(&Memory, Subject<'a>, Key)> {
        let memory = self.memory()?;
        let subject = Subject::of(recipe, texts);
        let key = subject.key((recipe, others), compressions, options, &memory.tool)?;
        Some((memory, subject, key))
    }

    /// What is remembered of an earlier build of the same recipe for the same compressions, for [`Session::recall`] and
    /// [`Session::renew`]. `others` are those with which it shares layers.
    pub fn remembered<'a>(
        &self,
        (recipe, others, texts): (&Recipe, Option<&Others>, &'a Texts),
        compressions: &[Compression],
        options: &Options,
    ) -> Option<Remembered<'a>> {
        let (memory, subject, key) = self.remembering_key((recipe, others, texts), compressions, options)?;
        let (record, compression) = (memory.cache.get(IMAGE, &key)?, *compressions.first()?);
        Some(Remembered { subject, key, compression, record })
    }

    /// What an earlier build came to, when nothing of what it looked at has changed.
    pub fn recall(&self, known: &Remembered, options: &Options) -> Option<Recalled> {
        self.memory()?.get(self, known, options.threads.get())?.recall(&known.subject)
    }

    /// What a build came to, to be kept by [`Session::remember`].
    pub fn outcome(
        &self,
        (recipe, others, texts): (&Recipe, Option<&Others>, &Texts),
        assembled: &Assembled,
        packed: &mut Packed,
        compressions: &[Compression],
        options: &Options,
    ) -> Option<Pending> {
        let Evidence { parcel, saw } = packed.take_evidence()?;
        let (_, subject, key) = self.remembering_key((recipe, others, texts), compressions, options)?;
        let images = packed.images(recipe)?;
        let outcome = Outcome::of(&subject, assembled, &images)?;
        let documents = images.iter().flat_map(|(.., beside)| beside.documents.iter().cloned()).collect();
        Some(Pending { key, outcome, documents, saw: Saw::Now(saw), parcel })
    }

    /// What an image is built from, which may be found out while it is packed and its documents are made: where an
    /// output then changes it, as one in a folder that was listed, the next build finds that out. `layers` are all
    /// those of the tree. `None` when it can't be kept.
    pub(super) fn evidence(
        &self,
        (recipe, assembled): (&Recipe, &Assembled),
        tree: &Tree,
        layers: &[LayerPlan],
    ) -> Option<Evidence> {
        let memory = self.memory()?;
        // What lies beside a recipe is often built the moment that it is written.
        if self.is_racy(memory, &assembled.inputs) {
            return None;
        }
        let saw = self.saw(memory, recipe, assembled, &ships(tree))?;
        Some(Evidence { parcel: Parcel::bytes(tree, layers), saw })
    }

    /// Whether a root of which little was asked has something that can't be known by what `stat` says of it, so that
    /// nothing can be kept of a build: to ask is worth it before what would be kept is made.
    fn is_racy(&self, memory: &Memory, inputs: &Inputs) -> bool {
        let is_settled = |stamp: &Stamp| memory.cache.is_settled(stamp);
        let little = inputs.0.iter().filter(|(_, notes)| notes.count() < FEW);
        little.into_iter().any(|(root, notes)| {
            let seen = |root: &Folder| Seen::others(root, notes, &notes.others(root), &is_settled);
            self.open(root, None).is_ok_and(|root| seen(&root.folder).is_err())
        })
    }

    /// What was seen for an image that is built; `ships` has the files that are packed.
    fn saw(&self, memory: &Memory, recipe: &Recipe, assembled: &Assembled, ships: &Ships) -> Option<Kept> {
        let mut kept = memory.keep_shared(self, &assembled.inputs, ships)?;
        kept.shared.extend(self.database_inputs(recipe)?);
        if let Some(shared) = &assembled.shared {
            kept.shared.extend(shared.kept(self, memory)?);
        }
        Some(kept)
    }

    /// Keeps an image for [`Session::recall`], with the documents that were made; it may be done while its outputs are
    /// put in their places. What was looked at for it is not looked at again.
    pub fn remember(&self, pending: &Pending) {
        let Some(memory) = self.memory() else { return };
        for document in &pending.documents {
            memory.cache.put(replay::DOCUMENT, &replay::document_key(document.digest()), document.bytes());
        }
        let (parts, own) = match &pending.saw {
            Saw::Now(Kept { shared, own }) => (shared.clone(), own),
            Saw::Before { shared, own } => (shared.iter().map(|part| memory.put_now(part)).collect(), own),
        };
        // What is not remembered is built again.
        let _ = memory.keep_record(pending, parts, own);
    }
}

/// What the cache has of an image, of which it is not known yet whether it is still so.
pub struct Remembered<'a> {
    subject: Subject<'a>,
    key: Key,
    /// The first of its compressions.
    compression: Compression,
    record: Vec<u8>,
}

/// What an image is built from, before it is kept.
pub(super) struct Evidence {
    /// What is packed, where that can be kept.
    parcel: Option<Vec<u8>>,
    saw: Kept,
}

impl Evidence {
    /// The same with the hashes of the pieces of each layer.
    pub(super) fn with_pieces(self, pieces: &[Vec<Key>]) -> Self {
        Self { parcel: self.parcel.map(|parcel| Parcel::with_pieces(parcel, pieces)), ..self }
    }
}

/// What a build came to, before it is kept.
pub struct Pending {
    key: Key,
    outcome: Outcome,
    /// What stands beside the image, where it was made.
    documents: Vec<Document>,
    saw: Saw,
    /// What was packed, where that can be kept.
    parcel: Option<Vec<u8>>,
}

/// What was seen for an image.
enum Saw {
    /// By this build.
    Now(Kept),
    /// By an earlier one, with the inodes and times of now.
    Before { shared: Vec<renewal::SharedNow>, own: Vec<Own> },
}

/// What was said of an image, for both of the ways in which warnings of the policy are told.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Warnings and notes, in the order of the stages.
    pub notes: Vec<Diagnostic>,
    /// Warnings of the policy, a line for each rule.
    pub brief: Vec<Diagnostic>,
    /// The same with every path.
    pub full: Vec<Diagnostic>,
}
