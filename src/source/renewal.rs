//! Whether what a build was told by `stat` is so but for inodes and times, as after a checkout or in a restored folder.
//!
//! In: [`Seen`]. Out: the same with the inodes and times of now, and which files are not the ones that were seen. Of
//! these [`Contents`](super::Contents) says what else has to be so.

use std::io;

use super::host::{Folder, Look};
use super::seen::{ABSENT, ACCESS, DIRECTORY, LEAF, LISTED, NAMED, Question, SEVERAL, STAMP, access, digest, in_parts};
use super::{Content, NodeKind, Seen, Source, Stamp};
use crate::path::ImagePath;

/// What was seen, as it is now.
#[derive(Debug)]
pub struct Renewal {
    /// The same answers, with the inodes and times of now.
    pub seen: Seen<'static>,
    /// Files and links that are others than those that were seen.
    pub moved: Vec<ImagePath>,
    /// Files, as they were and as they are.
    pub twins: Twins,
    /// Whether any later change would show.
    pub is_settled: bool,
}

/// Files by device and inode, as they were and as they are: names of one file have to stay that, and no others may
/// become it.
#[derive(Debug, Clone, Default)]
pub struct Twins(Vec<[File; 2]>);

/// Device, inode, and whether it has several names.
type File = (u64, u64, bool);

impl Twins {
    /// Adds those of another part.
    pub fn extend(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    /// Whether the same names are the same file, before and now.
    pub fn are_alike(mut self) -> bool {
        let mut agree = |own: usize| {
            let other = 1 - own;
            self.0.sort_unstable_by_key(|twins| twins[own]);
            self.0.windows(2).all(|pair| {
                let is_one = |side: usize| (pair[0][side].0, pair[0][side].1) == (pair[1][side].0, pair[1][side].1);
                // Whether it has several names only shows where two of them were seen.
                !is_one(own) || is_one(other) && pair.iter().all(|twins| twins[own].2 == twins[other].2)
            })
        };
        agree(0) && agree(1)
    }
}

/// What came of one question.
#[derive(Default)]
struct Part {
    /// Places of answers, and what to put there.
    news: Vec<(usize, Vec<u8>)>,
    /// Places of the kinds of listings that are known by their names alone from now on.
    named: Vec<usize>,
    moved: Vec<ImagePath>,
    twins: Vec<[File; 2]>,
    /// Whether something may change once more without another time.
    is_racy: bool,
}

impl Seen<'_> {
    /// Asks everything again; `None` when an answer is another one in more than inodes and times.
    pub fn renewed(
        &self,
        folder: &Folder,
        threads: usize,
        is_settled: &(dyn Fn(&Stamp) -> bool + Sync),
    ) -> Option<Renewal> {
        let take = |part: &mut Part, question: &Question| part.take(question, folder, is_settled).unwrap_or(false);
        // As many as a thread is worth.
        let parts = in_parts(&self.questions()?, threads, 300, take)?;
        let mut bytes = self.bytes().to_vec();
        let (mut moved, mut twins, mut is_settled) = (Vec::new(), Vec::new(), true);
        for part in parts {
            for (at, new) in part.news {
                bytes.get_mut(at..at + new.len())?.copy_from_slice(&new);
            }
            for at in part.named {
                *bytes.get_mut(at)? = NAMED;
            }
            moved.extend(part.moved);
            twins.extend(part.twins);
            is_settled &= !part.is_racy;
        }
        Some(Renewal { seen: Seen::new(bytes), moved, twins: Twins(twins), is_settled })
    }
}

impl Part {
    /// Whether the answer is the same but for inodes and times.
    fn take(&mut self, question: &Question, folder: &Folder, is_settled: &dyn Fn(&Stamp) -> bool) -> io::Result<bool> {
        if question.kind == LEAF {
            return self.leaf(question, folder, is_settled);
        }
        let Some(look) = folder.look(&question.path)? else { return Ok(question.kind == ABSENT) };
        match question.kind {
            DIRECTORY => {
                if question.path.is_root() {
                    let root = [look.stamp.device.to_le_bytes(), look.stamp.inode.to_le_bytes()];
                    self.news.push((question.at + ACCESS, root.concat()));
                }
                Ok(look.is_directory() && access(&look) == question.answer[..ACCESS])
            }
            LISTED | NAMED => {
                let (stamp, names) = question.answer.split_at(STAMP);
                if !look.is_directory() || question.kind == LISTED && look.stamp.bytes() == stamp {
                    return Ok(look.is_directory());
                }
                if question.kind == LISTED && !is_settled(&look.stamp) {
                    self.named.push(question.kind_at);
                }
                self.news.push((question.at, look.stamp.bytes().to_vec()));
                Ok(digest(&folder.names_now(&question.path)?).to_string().as_bytes() == names)
            }
            _ => Ok(false),
        }
    }

    fn leaf(&mut self, question: &Question, folder: &Folder, is_settled: &dyn Fn(&Stamp) -> bool) -> io::Result<bool> {
        let (before, stamp) = question.answer.split_at(ACCESS);
        let Some(stamp) = stamp.first_chunk() else { return Ok(false) };
        let was = Stamp::parse(stamp);
        let node = folder.node(&question.path)?;
        let look = match node.as_ref().map(|node| (node, &node.kind)) {
            Some((node, NodeKind::File(Content::File(file)))) => Look::of_file(node, file),
            Some((_, NodeKind::Symlink(_) | NodeKind::Special(_))) => match folder.look(&question.path)? {
                Some(look) if !look.is_file() => look,
                _ => return Ok(false),
            },
            _ => return Ok(false),
        };
        let now = access(&look);
        let is_alike = plain_mode(before) == plain_mode(&now) && before[4..] == now[4..];
        if !is_alike || look.is_directory() || look.stamp.size != was.size {
            return Ok(false);
        }
        if look.is_file() {
            let of = |stamp: &Stamp, access: &[u8]| (stamp.device, stamp.inode, mode(access) & SEVERAL != 0);
            self.twins.push([of(&was, before), of(&look.stamp, &now)]);
        }
        if look.stamp != was {
            self.moved.push(question.path.clone());
            self.is_racy |= !is_settled(&look.stamp);
            self.news.push((question.at, [&now[..], &look.stamp.bytes()].concat()));
        }
        Ok(true)
    }
}

fn mode(access: &[u8]) -> u32 {
    access.first_chunk().copied().map_or(0, u32::from_le_bytes)
}

/// The mode without the word that several names are one file.
fn plain_mode(access: &[u8]) -> u32 {
    mode(access) & !SEVERAL
}
