//! What a build was told of a folder of this machine by `stat`, and whether it is still so.
//!
//! In: a [`Folder`] and [`Notes`] of what was asked of it. Out: [`Seen`], questions with their answers in bytes that
//! can be kept; asked again, each costs one `lstat`.

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::host::{Folder, Look};
use super::lines::{KIND, Lines, Writer};
use super::{Content, Node, NodeKind, Notes, Source, Stamp};
use crate::oci::{Digest, Sha256};
use crate::path::ImagePath;
use crate::threads;

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

pub(super) fn digest(names: &[Vec<u8>]) -> Digest {
    let mut hash = Sha256::default();
    for name in names {
        hash.update(name);
        hash.update(&[0]);
    }
    hash.finish()
}

/// Questions to a folder and the answers that a build got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<'a>(Cow<'a, [u8]>);

/// The kinds of records in [`Seen`].
pub(super) const ABSENT: u8 = 0;
pub(super) const DIRECTORY: u8 = 1;
pub(super) const LEAF: u8 = 2;
pub(super) const LISTED: u8 = 3;
/// A listed folder whose time stamps may stay the same while it changes: its names are compared.
pub(super) const NAMED: u8 = 4;

impl Seen<'static> {
    /// The answer to what a folder holds, and what all of that is; `None` where there is no such folder, which the
    /// answer to its path says.
    ///
    /// # Errors
    /// When it might change, or have changed, without a trace: a file that changed when the build began, or just
    /// before. `is_settled` says of which that is not so.
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
        Ok(Some(Self::new(seen.finish())))
    }

    /// The answers to all else that was asked, `others` of [`Notes::others`].
    ///
    /// # Errors
    /// As of [`Seen::list`].
    pub fn others(
        folder: &Folder,
        notes: &Notes,
        others: &[ImagePath],
        is_settled: &dyn Fn(&Stamp) -> bool,
    ) -> Result<Self, Changed> {
        let mut seen = Writer::default();
        for path in notes.small_lists(folder) {
            if let Some(listing) = Listing::of(folder, path, is_settled)? {
                seen.listing(path, &listing);
            }
        }
        for path in others {
            seen.path(folder, path, is_settled)?;
        }
        Ok(Self::new(seen.finish()))
    }
}

impl<'a> Seen<'a> {
    /// The bytes to keep.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes that were kept.
    pub fn new(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self(bytes.into())
    }

    /// Asks everything again; whether every answer is the same. `remember` what is asked, where others will ask it,
    /// too.
    pub fn still_holds(&self, folder: &Folder, threads: usize, remember: bool) -> bool {
        let look = |path: &ImagePath| if remember { folder.look_once(path) } else { folder.look(path) };
        // In a checkout all files are others: then no folder is listed in vain, and nothing else is taken apart.
        if let Some(Some(leaf)) = self.each().find(|question| question.as_ref().is_none_or(|one| one.kind == LEAF))
            && !leaf.holds(folder, &look)
        {
            return false;
        }
        let Some(questions) = self.questions() else { return false };
        // A thread is not begun faster than a few hundred files are looked at.
        in_parts(&questions, threads, 700, |(): &mut (), question| question.holds(folder, &look)).is_some()
    }

    /// `None` when the bytes are none of ours.
    pub(super) fn questions(&self) -> Option<Vec<Question<'_>>> {
        self.each().collect()
    }

    /// The questions one by one; `None` and no more where the bytes are none of ours.
    fn each(&self) -> impl Iterator<Item = Option<Question<'_>>> {
        let mut lines = Some(Lines::new(&self.0));
        std::iter::from_fn(move || {
            let question = Question::next(lines.as_mut().filter(|lines| !lines.is_done())?);
            if question.is_none() {
                lines = None;
            }
            Some(question)
        })
    }
}

/// Asks questions on several threads, each with something of its own that it begins with and adds to; a thread is worth
/// `least` of them. `None` once `ask` is not content with an answer: then no thread goes on.
pub(super) fn in_parts<P: Default + Send>(
    questions: &[Question],
    threads: usize,
    least: usize,
    ask: impl Fn(&mut P, &Question) -> bool + Sync,
) -> Option<Vec<P>> {
    let failed = AtomicBool::new(false);
    let ask_all = |questions: &[Question]| {
        let mut part = P::default();
        let content = questions.iter().all(|question| !failed.load(Ordering::Relaxed) && ask(&mut part, question));
        failed.fetch_or(!content, Ordering::Relaxed);
        content.then_some(part)
    };
    let mut shares = questions.chunks(questions.len().div_ceil(threads.max(1)).max(least));
    std::thread::scope(|scope| {
        let own = shares.next();
        let others: Vec<_> = shares.map(|share| threads::beside(scope, || ask_all(share))).collect();
        let own = own.map(ask_all);
        own.into_iter().chain(others.into_iter().map(threads::Beside::outcome)).collect()
    })
}

/// One question, and the answer that was given.
pub(super) struct Question<'a> {
    pub(super) path: ImagePath,
    pub(super) kind: u8,
    /// Where that is among the bytes.
    pub(super) kind_at: usize,
    /// Where its answer is among the bytes.
    pub(super) at: usize,
    pub(super) answer: &'a [u8],
}

impl<'a> Question<'a> {
    /// The next one of some lines.
    fn next(lines: &mut Lines<'a>) -> Option<Self> {
        let from = lines.at();
        let (path, kind) = lines.begin()?;
        let path = ImagePath::new(path).ok()?;
        let length = match kind {
            ABSENT => 0,
            DIRECTORY => DIRECTORY_ANSWER,
            LEAF => LEAF_ANSWER,
            LISTED | NAMED => LIST_ANSWER,
            _ => return None,
        };
        let at = lines.at();
        Some(Self { path, kind, kind_at: from + KIND, at, answer: lines.take(length)? })
    }

    fn holds(&self, folder: &Folder, look: &impl Fn(&ImagePath) -> io::Result<Option<Look>>) -> bool {
        let Ok(look) = look(&self.path) else { return false };
        let Some(look) = look else { return self.kind == ABSENT };
        match self.kind {
            DIRECTORY => look.is_directory() && answer(&self.path, &look) == self.answer,
            LEAF => !look.is_directory() && answer(&self.path, &look) == self.answer,
            LISTED | NAMED => {
                let (stamp, names) = self.answer.split_at(STAMP);
                look.is_directory()
                    && (self.kind == LISTED && look.stamp.bytes() == stamp
                        || folder.names_now(&self.path).is_ok_and(|now| digest(&now).to_string().as_bytes() == names))
            }
            _ => false,
        }
    }
}

impl Writer {
    fn listing(&mut self, path: &ImagePath, listing: &Listing) {
        self.line(path, if listing.stamp.is_some() { LISTED } else { NAMED });
        self.put(&listing.stamp.map_or([0; STAMP], |stamp| stamp.bytes()));
        self.put(listing.digest.to_string().as_bytes());
    }

    /// What the build was told of a path. What changed since then is found out by the next build.
    fn path(&mut self, folder: &Folder, path: &ImagePath, is_settled: &dyn Fn(&Stamp) -> bool) -> Result<(), Changed> {
        let Some(node) = folder.node(path).map_err(|_| Changed)? else {
            self.line(path, ABSENT);
            return Ok(());
        };
        let look = match &node.kind {
            NodeKind::File(Content::File(file)) => Some(Look::of_file(&node, file)),
            NodeKind::Directory if !path.is_root() => Some(Look::of_folder(&node)),
            _ => folder.look(path).map_err(|_| Changed)?.filter(|look| is_the_same(folder, path, &node, look)),
        };
        let look = look.ok_or(Changed)?;
        if look.is_directory() {
            self.line(path, DIRECTORY);
        } else if is_settled(&look.stamp) {
            self.line(path, LEAF);
        } else {
            return Err(Changed);
        }
        self.put(&answer(path, &look));
        Ok(())
    }
}

/// What `stat` says of a file, in bytes.
pub(super) const STAMP: usize = 48;
/// Before it, or alone: mode, owner and group.
pub(super) const ACCESS: usize = 12;
const DIRECTORY_ANSWER: usize = ACCESS + 16;
const LEAF_ANSWER: usize = ACCESS + STAMP;
const LIST_ANSWER: usize = STAMP + 71;

/// The bit in the mode of a file with several names: which of them are one file shows in the image.
pub(super) const SEVERAL: u32 = 1 << 31;

/// What counts of a folder is who may do what in it, and of the root which one it is; of all else, everything.
fn answer(path: &ImagePath, look: &Look) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LEAF_ANSWER);
    bytes.extend(access(look));
    if look.is_directory() {
        let (device, inode) = if path.is_root() { (look.stamp.device, look.stamp.inode) } else { (0, 0) };
        bytes.extend(device.to_le_bytes());
        bytes.extend(inode.to_le_bytes());
    } else {
        bytes.extend(look.stamp.bytes());
    }
    bytes
}

/// Mode, owner and group.
pub(super) fn access(look: &Look) -> [u8; ACCESS] {
    let several = if look.is_file() && look.links > 1 { SEVERAL } else { 0 };
    let mut bytes = [0; ACCESS];
    for (place, number) in bytes.chunks_exact_mut(4).zip([look.mode | several, look.uid, look.gid]) {
        place.copy_from_slice(&number.to_le_bytes());
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
