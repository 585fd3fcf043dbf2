//! What a build made of files beside what `stat` says of them: their bytes, the texts of links, times where these
//! count.
//!
//! In: a [`Folder`] and [`Notes`] of what was asked of it. Out: [`Contents`], in bytes that can be kept; where files
//! are others than those that were seen, they are read again and held against it. What a build looked at by name alone
//! is not read.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::host::Folder;
use super::lines::{Lines, Writer};
use super::{Content, ContentId, NodeKind, Notes, Source};
use crate::cache::{Key, key_of};
use crate::path::ImagePath;
use crate::threads;

/// What files have to be for a build, beside what [`Seen`](super::Seen) says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents(Vec<u8>);

/// What was read again to find out that nothing changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reread {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl std::ops::AddAssign for Reread {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// A link, with its text.
const LINK: u8 = 0;
/// A file whose bytes were looked into, with their hash.
const READ: u8 = 1;
/// A file whose modification time counts.
const TIME: u8 = 2;
/// A file with which those of the next lines were compared.
const LIST: u8 = 3;
/// Whether a file changed after that.
const AFTER: u8 = 4;
/// A file with an extended attribute: its name, and the hash of its value where it has one.
const ATTRIBUTE: u8 = 5;
/// A file in whose place no other will do.
const BOUND: u8 = 6;

/// A larger file that was looked into but does not ship is not read again to know it by its bytes.
const LARGEST: u64 = 16 << 20;

impl Contents {
    /// Of the links in a folder that was listed.
    pub fn of_list(folder: &Folder, list: &ImagePath) -> Self {
        let mut contents = Writer::default();
        for name in folder.known_names(list).iter().flat_map(|names| names.iter()) {
            link(&mut contents, folder, &list.join(name));
        }
        Self(contents.finish())
    }

    /// Of all else that was asked, `others` of [`Notes::others`], and of files in folders that were listed. Files that
    /// `ships` has, under whichever of their names, are left to who packs them.
    pub fn of(folder: &Folder, notes: &Notes, mut others: Vec<ImagePath>, ships: &HashSet<ContentId>) -> Self {
        let mut contents = Writer::default();
        for path in &others {
            link(&mut contents, folder, path);
        }
        for list in notes.large_lists(folder) {
            let names = folder.known_names(&list);
            others.extend(names.iter().flat_map(|names| names.iter()).map(|name| list.join(name)));
        }
        let file = |path: ImagePath| file(folder, &path).map(|file| (path, file));
        let files: Vec<(ImagePath, Content)> = others.into_iter().filter_map(file).collect();
        files.par_iter().for_each(|(_, content)| hash(content, ships));
        let mut lists: BTreeMap<ImagePath, Vec<(ImagePath, bool)>> = BTreeMap::new();
        for (path, content) in files {
            let Content::File(host) = &content else { continue };
            let facts = host.asked.facts().clone();
            for name in &facts.attributes {
                let Some(value) = attribute(&content, name) else {
                    contents.line(&path, BOUND);
                    continue;
                };
                contents.line(&path, ATTRIBUTE);
                contents.put_counted(name.as_bytes());
                contents.put_counted(&value);
            }
            if facts.time {
                contents.line(&path, TIME);
                contents.put(&host.stamp.mtime.0.to_le_bytes());
            }
            let is_wanted = host.asked.is_read() && !ships.contains(&content.id());
            match host.asked.hash() {
                _ if facts.bound => contents.line(&path, BOUND),
                _ if !is_wanted => {}
                Some(hash) => {
                    contents.line(&path, READ);
                    contents.put(&hash);
                }
                None => contents.line(&path, BOUND),
            }
            for (list, after) in facts.after {
                lists.entry(list).or_default().push((path.clone(), after));
            }
        }
        for (list, files) in lists {
            contents.line(&list, LIST);
            for (path, after) in files {
                contents.line(&path, AFTER);
                contents.put(&[u8::from(after)]);
            }
        }
        Self(contents.finish())
    }

    /// The bytes to keep.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes that were kept.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Whether files that are others than those that were seen are the same for the build. `None` when one is not.
    pub fn hold(&self, folder: &Folder, moved: &HashSet<ImagePath>, threads: usize) -> Option<Reread> {
        let questions = self.questions(moved)?;
        let (next, failed, all) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(Reread::default()));
        let work = || {
            let (mut reread, mut buffer) = (Reread::default(), Vec::new());
            while let Some(question) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
                if failed.load(Ordering::Relaxed) {
                    return;
                }
                if !question.holds(folder, &mut buffer, &mut reread).unwrap_or(false) {
                    failed.store(true, Ordering::Relaxed);
                }
            }
            *all.lock().unwrap_or_else(PoisonError::into_inner) += reread;
        };
        threads::all_do(threads.min(questions.len() / 100 + 1), &work);
        let reread = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        (!failed.into_inner()).then_some(reread)
    }

    /// Those of moved files. `None` when the bytes are none of ours.
    fn questions(&self, moved: &HashSet<ImagePath>) -> Option<Vec<Question<'_>>> {
        let (mut lines, mut questions) = (Lines::new(&self.0), Vec::new());
        let mut list: Option<(ImagePath, bool)> = None;
        while !lines.is_done() {
            let (path, kind) = lines.begin()?;
            let path = ImagePath::new(path).ok()?;
            let mut is_moved = moved.contains(&path);
            let asked = match kind {
                LINK => Asked::Link(lines.take_counted()?),
                READ => Asked::Hash(*lines.take(32)?.first_chunk()?),
                TIME => Asked::Time(i64::from_le_bytes(*lines.take(8)?.first_chunk()?)),
                LIST => {
                    list = Some((path, is_moved));
                    continue;
                }
                AFTER => {
                    let (list, list_moved) = list.clone()?;
                    is_moved |= list_moved;
                    Asked::After(list, lines.take(1)? == [1])
                }
                ATTRIBUTE => Asked::Attribute(lines.take_counted()?, lines.take_counted()?),
                BOUND => Asked::Bound,
                _ => return None,
            };
            if is_moved {
                questions.push(Question { path, asked });
            }
        }
        Some(questions)
    }
}

/// What a moved file was asked.
struct Question<'a> {
    path: ImagePath,
    asked: Asked<'a>,
}

enum Asked<'a> {
    Link(&'a [u8]),
    Hash(Key),
    Time(i64),
    After(ImagePath, bool),
    Attribute(&'a [u8], &'a [u8]),
    Bound,
}

impl Question<'_> {
    fn holds(&self, folder: &Folder, buffer: &mut Vec<u8>, reread: &mut Reread) -> Option<bool> {
        if let Asked::Link(text) = self.asked {
            return Some(folder.node(&self.path).ok()??.kind.link() == Some(text));
        }
        let content = file(folder, &self.path)?;
        Some(match &self.asked {
            Asked::Hash(hash) => {
                *reread += Reread { files: 1, bytes: content.size() };
                content.hash_now(buffer).ok()? == *hash
            }
            Asked::Time(time) => content.stamp()?.mtime.0 == *time,
            Asked::After(list, after) => content.stamp()?.is_after(&file(folder, list)?.stamp()?) == *after,
            Asked::Attribute(name, hash) => attribute(&content, std::str::from_utf8(name).ok()?)? == *hash,
            Asked::Link(_) | Asked::Bound => false,
        })
    }
}

fn link(contents: &mut Writer, folder: &Folder, path: &ImagePath) {
    if let Some(node) = folder.node(path).ok().flatten()
        && let Some(text) = node.kind.link()
    {
        contents.line(path, LINK);
        contents.put_counted(text);
    }
}

/// Makes the hash of a file that was looked into and does not ship, where reading did not make it.
fn hash(content: &Content, ships: &HashSet<ContentId>) {
    let Content::File(file) = content else { return };
    let is_wanted = file.asked.is_read() && !ships.contains(&content.id()) && content.size() <= LARGEST;
    if is_wanted
        && file.asked.hash().is_none()
        && let Ok(hash) = content.hash_now(&mut Vec::new())
    {
        file.asked.note_hash(hash);
    }
}

fn file(folder: &Folder, path: &ImagePath) -> Option<Content> {
    folder.node(path).ok()??.content().cloned()
}

/// The hash of an attribute's value; empty where there is none. `None` when it can't be found out.
fn attribute(content: &Content, name: &str) -> Option<Vec<u8>> {
    content.xattr(name).ok().map(|value| value.map(|value| key_of(&value).to_vec()).unwrap_or_default())
}

impl NodeKind {
    fn link(&self) -> Option<&[u8]> {
        match self {
            Self::Symlink(text) => Some(text),
            _ => None,
        }
    }
}
