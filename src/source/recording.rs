//! What a build looked at in a folder of this machine, and whether it is still so.
//!
//! In: a [`Folder`], through a [`Recorder`] that notes each path that is asked for, found or not, and each folder that is
//! listed. Out: [`Seen`], questions with their answers in bytes that can be kept; asked again, each costs one `lstat`.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Mutex, PoisonError};

use super::host::{Folder, Look, Names};
use super::{Node, NodeKind, Source, Stamp};
use crate::oci::{Digest, Sha256};
use crate::path::ImagePath;

/// A folder as a [`Source`] that notes what is asked of it.
pub struct Recorder<'a> {
    folder: &'a Folder,
    notes: Option<Mutex<Notes>>,
}

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    paths: BTreeSet<ImagePath>,
    /// Folders that were listed with what each name in them is.
    lists: BTreeSet<ImagePath>,
    /// Folders of which only the names were asked.
    named: BTreeSet<ImagePath>,
    /// Something could not be found out, which may be otherwise the next time.
    failed: bool,
}

impl<'a> Recorder<'a> {
    /// Notes what is asked of a folder, where that is `wanted`.
    pub fn new(folder: &'a Folder, wanted: bool) -> Self {
        Self { folder, notes: wanted.then(Mutex::default) }
    }

    /// What was asked so far.
    pub fn notes(&self) -> Notes {
        self.notes
            .as_ref()
            .map(|notes| notes.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default()
    }

    fn note(&self, note: impl FnOnce(&mut Notes)) {
        if let Some(notes) = &self.notes {
            note(&mut notes.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Source for Recorder<'_> {
    fn node(&self, path: &ImagePath) -> io::Result<Option<Node>> {
        let found = self.folder.node(path);
        self.note(|notes| {
            notes.failed |= found.is_err();
            if !notes.paths.contains(path) {
                notes.paths.insert(path.clone());
            }
        });
        found
    }

    fn list(&self, path: &ImagePath) -> io::Result<Vec<(Vec<u8>, Node)>> {
        let found = self.folder.list(path);
        self.note(|notes| {
            notes.failed |= found.is_err();
            notes.paths.insert(path.clone());
            notes.lists.insert(path.clone());
        });
        found
    }

    fn names(&self, path: &ImagePath, fits: &dyn Fn(&[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
        let found = self.folder.names(path, fits);
        self.note(|notes| {
            notes.failed |= found.is_err();
            notes.paths.insert(path.clone());
            notes.named.insert(path.clone());
        });
        found
    }

    fn describe(&self) -> String {
        self.folder.describe()
    }
}

impl Notes {
    /// What both asked.
    #[must_use]
    pub fn and(mut self, other: Notes) -> Self {
        self.paths.extend(other.paths);
        self.lists.extend(other.lists);
        self.named.extend(other.named);
        self.failed |= other.failed;
        self
    }

    /// Whether something could not be found out, so that no answer says what the build got.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// The folders that were listed and hold so much that their answers are worth being kept by themselves, for all
    /// builds that list them.
    pub fn large_lists(&self, folder: &Folder) -> Vec<ImagePath> {
        self.lists.iter().filter(|list| is_large(folder, list)).cloned().collect()
    }

    /// All that was asked but what [`Notes::large_lists`] has.
    fn others(&self, folder: &Folder) -> BTreeSet<ImagePath> {
        let mut others = self.paths.clone();
        for list in &self.lists {
            let below = folder.known_names(list).unwrap_or_else(|_| Names::from([]));
            let below = below.iter().map(|name| list.join(name));
            if is_large(folder, list) {
                for path in below {
                    others.remove(&path);
                }
            } else {
                others.extend(below);
            }
        }
        // A folder that was listed may stand in another one that was.
        others.extend(self.lists.iter().cloned());
        with_parents(&others, folder)
    }
}

/// From how many names on a folder is a large one.
const LARGE: usize = 64;

fn is_large(folder: &Folder, list: &ImagePath) -> bool {
    folder.known_names(list).is_ok_and(|names| names.len() >= LARGE)
}

/// The paths and the folders above them. Of what is below something that is no folder, that alone says it all.
fn with_parents(paths: &BTreeSet<ImagePath>, folder: &Folder) -> BTreeSet<ImagePath> {
    let mut all = BTreeSet::new();
    let mut folders = HashMap::new();
    for path in paths {
        if path.parent().is_none_or(|parent| is_folder(&parent, folder, &mut folders, &mut all)) {
            all.insert(path.clone());
        }
    }
    all
}

/// Whether a path is a folder, as are all above it; notes the paths that say so, or the first that says otherwise.
fn is_folder(
    path: &ImagePath,
    folder: &Folder,
    known: &mut HashMap<ImagePath, bool>,
    all: &mut BTreeSet<ImagePath>,
) -> bool {
    if let Some(known) = known.get(path) {
        return *known;
    }
    let above = path.parent().is_none_or(|parent| is_folder(&parent, folder, known, all));
    let is = above && {
        all.insert(path.clone());
        folder.node(path).ok().flatten().is_some_and(|node| node.is_directory())
    };
    known.insert(path.clone(), is);
    is
}

/// What was looked at is no longer so, or might change without a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed;

/// The names in a folder.
struct Listing {
    digest: Digest,
    /// What `stat` said of the folder, when a later change of its names would show in it.
    stamp: Option<Stamp>,
}

impl Listing {
    /// The names that were given; `None` where there is no such folder.
    fn of(folder: &Folder, path: &ImagePath, is_settled: &dyn Fn(&Stamp) -> bool) -> Result<Option<Self>, Changed> {
        let known = folder.known_names(path).map_err(|_| Changed)?;
        let found = folder.look(path).map_err(|_| Changed)?;
        let Some(look) = found.filter(Look::is_directory) else {
            return if known.is_empty() { Ok(None) } else { Err(Changed) };
        };
        let digest = digest(&known);
        let stamp = Some(look.stamp).filter(is_settled);
        if stamp.is_none() && folder.names_now(path).map(|now| self::digest(&now)).ok() != Some(digest) {
            return Err(Changed);
        }
        Ok(Some(Self { digest, stamp }))
    }
}

fn digest(names: &[Vec<u8>]) -> Digest {
    let mut hash = Sha256::default();
    for name in names {
        hash.update(name);
        hash.update(&[0]);
    }
    hash.finish()
}

/// Questions to a folder and the answers that a build got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen(Vec<u8>);

/// The kinds of records in [`Seen`].
const ABSENT: u8 = 0;
const DIRECTORY: u8 = 1;
const LEAF: u8 = 2;
const LISTED: u8 = 3;
/// A listed folder whose time stamps may stay the same while it changes: its names are compared.
const NAMED: u8 = 4;

impl Seen {
    /// The answer to what a folder holds, and what all of that is; `None` where there is no such folder, which the answer
    /// to its path says.
    ///
    /// # Errors
    /// When it might change, or have changed, without a trace: a file that changed when the build began, or just before. `is_settled` says
    /// of which that is not so.
    pub fn list(
        folder: &Folder,
        path: &ImagePath,
        is_settled: &dyn Fn(&Stamp) -> bool,
    ) -> Result<Option<Self>, Changed> {
        let mut seen = Writer::default();
        let Some(listing) = Listing::of(folder, path, is_settled)? else { return Ok(None) };
        seen.listing(path, &listing);
        for name in folder.known_names(path).map_err(|_| Changed)?.iter() {
            seen.path(folder, &path.join(name), is_settled)?;
        }
        Ok(Some(Self(seen.bytes)))
    }

    /// The answers to all else that was asked.
    ///
    /// # Errors
    /// As of [`Seen::list`].
    pub fn others(folder: &Folder, notes: &Notes, is_settled: &dyn Fn(&Stamp) -> bool) -> Result<Self, Changed> {
        let mut seen = Writer::default();
        let small = notes.lists.iter().filter(|list| !is_large(folder, list));
        for path in small.chain(notes.named.difference(&notes.lists)) {
            if let Some(listing) = Listing::of(folder, path, is_settled)? {
                seen.listing(path, &listing);
            }
        }
        for path in notes.others(folder) {
            seen.path(folder, &path, is_settled)?;
        }
        Ok(Self(seen.bytes))
    }

    /// The bytes to keep.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes that were kept.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Asks everything again; whether every answer is the same. `remember` what is asked, where others will ask it, too.
    pub fn still_holds(&self, folder: &Folder, threads: usize, remember: bool) -> bool {
        let Some(questions) = self.questions() else { return false };
        let look = |path: &ImagePath| if remember { folder.look_once(path) } else { folder.look(path) };
        let holds = |questions: &[Question]| questions.iter().all(|question| question.holds(folder, &look));
        // A thread is not begun faster than a few hundred files are looked at.
        let share = questions.len().div_ceil(threads.max(1)).max(700);
        if questions.len() <= share {
            return holds(&questions);
        }
        std::thread::scope(|scope| {
            let mut parts = questions.chunks(share);
            let own = parts.next();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || holds(part))).collect();
            own.is_none_or(holds) & others.into_iter().all(|other| other.join().unwrap_or(false))
        })
    }

    /// `None` when the bytes are none of ours.
    fn questions(&self) -> Option<Vec<Question<'_>>> {
        let (mut questions, mut rest) = (Vec::new(), self.0.as_slice());
        let mut path: Vec<u8> = Vec::new();
        while !rest.is_empty() {
            let (head, after) = rest.split_first_chunk::<5>()?;
            let [same, size] = [[head[0], head[1]], [head[2], head[3]]].map(|two| usize::from(u16::from_le_bytes(two)));
            let (own, after) = after.split_at_checked(size)?;
            path.truncate(same);
            path.extend(own);
            let length = match head[4] {
                ABSENT => 0,
                DIRECTORY => DIRECTORY_ANSWER,
                LEAF => LEAF_ANSWER,
                LISTED | NAMED => 48 + 71,
                _ => return None,
            };
            let (answer, after) = after.split_at_checked(length)?;
            questions.push(Question { path: ImagePath::new(&path).ok()?, kind: head[4], answer });
            rest = after;
        }
        Some(questions)
    }
}

/// One question, and the answer that was given.
struct Question<'a> {
    path: ImagePath,
    kind: u8,
    answer: &'a [u8],
}

impl Question<'_> {
    fn holds(&self, folder: &Folder, look: &impl Fn(&ImagePath) -> io::Result<Option<Look>>) -> bool {
        let Ok(look) = look(&self.path) else { return false };
        let Some(look) = look else { return self.kind == ABSENT };
        match self.kind {
            DIRECTORY => look.is_directory() && answer(&self.path, &look) == self.answer,
            LEAF => !look.is_directory() && answer(&self.path, &look) == self.answer,
            LISTED | NAMED => {
                let (stamp, names) = self.answer.split_at(48);
                look.is_directory()
                    && (self.kind == LISTED && look.stamp.bytes() == stamp
                        || folder.names_now(&self.path).is_ok_and(|now| digest(&now).to_string().as_bytes() == names))
            }
            _ => false,
        }
    }
}

/// Writes answers down, each path by what it does not share with the one before it.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    before: Vec<u8>,
}

impl Writer {
    fn listing(&mut self, path: &ImagePath, listing: &Listing) {
        self.record(path, if listing.stamp.is_some() { LISTED } else { NAMED });
        self.bytes.extend(listing.stamp.map_or([0; 48], |stamp| stamp.bytes()));
        self.bytes.extend(listing.digest.to_string().as_bytes());
    }

    /// What the build was told of a path. What changed since then is found out by the next build.
    fn path(&mut self, folder: &Folder, path: &ImagePath, is_settled: &dyn Fn(&Stamp) -> bool) -> Result<(), Changed> {
        let Some(node) = folder.node(path).map_err(|_| Changed)? else {
            self.record(path, ABSENT);
            return Ok(());
        };
        let look = match &node.kind {
            NodeKind::File(content) => content.stamp().map(|stamp| Look::of_file(&node, stamp)),
            NodeKind::Directory if !path.is_root() => Some(Look::of_folder(&node)),
            _ => folder.look(path).map_err(|_| Changed)?.filter(|look| is_the_same(folder, path, &node, look)),
        };
        let look = look.ok_or(Changed)?;
        if look.is_directory() {
            self.record(path, DIRECTORY);
        } else if is_settled(&look.stamp) {
            self.record(path, LEAF);
        } else {
            return Err(Changed);
        }
        self.bytes.extend(answer(path, &look));
        Ok(())
    }

    /// Begins a record: what it shares with the path before it, the rest, the kind.
    fn record(&mut self, path: &ImagePath, kind: u8) {
        let path = path.as_bytes();
        let same = self.before.iter().zip(path).take_while(|(a, b)| a == b).count().min(usize::from(u16::MAX));
        let length = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
        self.bytes.extend(length(same));
        self.bytes.extend(length(path.len() - same));
        self.bytes.push(kind);
        self.bytes.extend(&path[same..]);
        path.clone_into(&mut self.before);
    }
}

const DIRECTORY_ANSWER: usize = 28;
const LEAF_ANSWER: usize = 60;

/// What counts of a folder is who may do what in it, and of the root which one it is; of all else, everything.
fn answer(path: &ImagePath, look: &Look) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LEAF_ANSWER);
    for number in [look.mode, look.uid, look.gid] {
        bytes.extend(number.to_le_bytes());
    }
    if look.is_directory() {
        let (device, inode) = if path.is_root() { (look.stamp.device, look.stamp.inode) } else { (0, 0) };
        bytes.extend(device.to_le_bytes());
        bytes.extend(inode.to_le_bytes());
    } else {
        bytes.extend(look.stamp.bytes());
    }
    bytes
}

/// Whether what stands there now is what the build was told.
fn is_the_same(folder: &Folder, path: &ImagePath, node: &Node, look: &Look) -> bool {
    let kind = match &node.kind {
        NodeKind::Directory => look.is_directory(),
        NodeKind::File(content) => content.stamp() == Some(look.stamp),
        NodeKind::Symlink(target) => folder.read_link(path).is_ok_and(|now| now == *target),
        NodeKind::Special(_) => !look.is_directory(),
    };
    kind && (node.mode, node.uid, node.gid) == (look.mode & 0o7777, look.uid, look.gid)
}
