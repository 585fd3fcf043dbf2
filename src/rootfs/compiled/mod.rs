//! Compiled Python, in `__pycache__`: each file made one that Python takes in the image, or left out.
//!
//! Python takes a file that names its source by time only while the source has that time, and in an image every file
//! has the same one. A file that is up to date in the source gets a header that Python takes without a look at the
//! source (PEP 552, "unchecked"), with the hash of that source in it: the same bytes whatever the times were. A file
//! that Python would pass over stays out. Nothing is compiled here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rayon::prelude::*;

use super::io_error;
use crate::path::{ImagePath, PathSet, show};
use crate::report::{Code, Diagnostic, Result};
use crate::source::{Content, resolve};
use crate::tree::{Entry, EntryKind, Tree};

mod header;
mod siphash;

use header::{Check, Header, LENGTH};

/// Compiled Python that the image's Python would pass over.
pub const NOT_TAKEN: Code = Code("E0259");

/// The largest source or compiled file that is read.
const LARGEST: u64 = 64 << 20;

/// Why a file stays out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Stale,
    NoSource,
    OtherPython,
    Unusable,
}

enum Verdict {
    Keep,
    Rewrite(Vec<u8>),
    LeaveOut(Why),
}

/// Settles every compiled file of a tree. Returns a note of what was left out.
///
/// # Errors
/// When a file can't be read.
pub fn settle_compiled(tree: &mut Tree) -> Result<Option<Diagnostic>> {
    let (tags, folders) = (shipped(tree), plain_folders(tree));
    let paths: Vec<(&ImagePath, &Content)> = tree
        .iter()
        .filter(|(path, _)| is_compiled(path))
        .filter_map(|(path, it)| Some((path, it.content()?)))
        .collect();
    let judge = |(path, content): (&ImagePath, &Content)| {
        judge((tree, &folders), path, content, &tags)
            .map(|verdict| (path.clone(), verdict))
            .map_err(|error| io_error("read", path, &error))
    };
    let verdicts: Vec<(ImagePath, Verdict)> = paths.into_par_iter().map(judge).collect::<Result<_>>()?;
    let mut left_out: BTreeMap<Why, Vec<ImagePath>> = BTreeMap::new();
    for (path, verdict) in verdicts {
        match verdict {
            Verdict::Keep => {}
            Verdict::Rewrite(bytes) => {
                if let Some(entry) = tree.get_mut(&path) {
                    entry.kind = EntryKind::File(Content::bytes(bytes));
                }
            }
            Verdict::LeaveOut(why) => {
                tree.remove(&path);
                remove_empty(tree, &path);
                left_out.entry(why).or_default().push(path);
            }
        }
    }
    Ok(note(&left_out))
}

fn is_compiled(path: &ImagePath) -> bool {
    path.name().ends_with(b".pyc") && path.folder().is_some_and(|folder| folder.ends_with(b"/__pycache__"))
}

/// The tags of the interpreters in the image, as `cpython-311`; none when it has none, as a layer of modules.
fn shipped(tree: &Tree) -> BTreeSet<Vec<u8>> {
    let tag = |path: &ImagePath| {
        let name = path.name();
        let rest = name.strip_prefix(b"libpython3.").or_else(|| name.strip_prefix(b"python3."))?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = digits > 0 && matches!(rest.get(digits), None | Some(b'.'));
        whole.then(|| [b"cpython-3".as_slice(), &rest[..digits]].concat())
    };
    tree.iter().filter(|(_, entry)| entry.content().is_some()).filter_map(|(path, _)| tag(path)).collect()
}

/// The folders of modules that no link leads to: what stands in them in the tree is what a path leads to.
fn plain_folders(tree: &Tree) -> PathSet {
    let compiled = tree.iter().filter(|(path, entry)| entry.is_directory() && path.name() == b"__pycache__");
    // What the tree does not mention on the way is a folder there.
    let is_folder = |path: &[u8]| tree.at(path).is_none_or(Entry::is_directory);
    let is_plain = |folder: &ImagePath| is_folder(folder.as_bytes()) && folder.folders().all(is_folder);
    compiled.filter_map(|(path, _)| path.parent()).filter(is_plain).collect()
}

fn judge(
    (tree, folders): (&Tree, &PathSet),
    path: &ImagePath,
    content: &Content,
    tags: &BTreeSet<Vec<u8>>,
) -> io::Result<Verdict> {
    let Some((source, tag)) = names(path) else { return Ok(Verdict::LeaveOut(Why::NoSource)) };
    if !tags.is_empty() && tag.starts_with(b"cpython-") && !tags.contains(tag) {
        return Ok(Verdict::LeaveOut(Why::OtherPython));
    }
    let there = tree.get(&source).and_then(Entry::content);
    let there = there.filter(|_| source.folder().is_some_and(|folder| folders.contains(folder)));
    let found = if there.is_none() { resolve(tree, source.as_bytes()).ok() } else { None };
    let Some(source) = there.or_else(|| found.as_ref()?.node.content()) else {
        return Ok(Verdict::LeaveOut(Why::NoSource));
    };
    if content.size() < LENGTH as u64 {
        return Ok(Verdict::LeaveOut(Why::Unusable));
    }
    let mut head = [0; LENGTH];
    content.open()?.read_exact_at(&mut head, 0)?;
    let Some(header) = Header::parse(head) else { return Ok(Verdict::LeaveOut(Why::Unusable)) };
    if !header.fits(tag) {
        return Ok(Verdict::LeaveOut(Why::OtherPython));
    }
    match header.check {
        Check::None => Ok(Verdict::Keep),
        Check::Hash(hash) if hash == header.source_hash(&source.read(LARGEST)?) => Ok(Verdict::Keep),
        Check::Time { mtime, size } if is_of(source, mtime, size) => {
            let mut bytes = content.read(LARGEST)?;
            bytes[..LENGTH].copy_from_slice(&header.unchecked(&source.read(LARGEST)?));
            Ok(Verdict::Rewrite(bytes))
        }
        Check::Hash(_) | Check::Time { .. } => Ok(Verdict::LeaveOut(Why::Stale)),
    }
}

/// Whether a source has this time and size, each modulo 2^32. One that was made here was not what was compiled.
fn is_of(source: &Content, mtime: u32, size: u32) -> bool {
    let low = |value: i64| value.cast_unsigned() & u64::from(u32::MAX);
    let has_size = source.size() & u64::from(u32::MAX) == u64::from(size);
    has_size && source.time().is_some_and(|time| low(time) == u64::from(mtime))
}

/// The source and the tag of `DIR/__pycache__/MODULE.TAG.pyc` or `MODULE.TAG.opt-1.pyc`.
fn names(path: &ImagePath) -> Option<(ImagePath, &[u8])> {
    let stem = path.name().strip_suffix(b".pyc")?;
    let cut = |text: &[u8]| text.iter().rposition(|&byte| byte == b'.');
    let optimised = cut(stem).filter(|&dot| stem[dot..].starts_with(b".opt-"));
    let stem = optimised.map_or(stem, |dot| &stem[..dot]);
    let dot = cut(stem).filter(|&dot| dot > 0)?;
    let folder = path.parent()?.parent()?;
    Some((folder.join(&[&stem[..dot], b".py"].concat()), &stem[dot + 1..]))
}

/// Takes the folder of a file out that was its last.
fn remove_empty(tree: &mut Tree, path: &ImagePath) {
    let Some(folder) = path.parent() else { return };
    if tree.get(&folder).is_some_and(Entry::is_directory) && tree.below(&folder).nth(1).is_none() {
        tree.remove(&folder);
    }
}

fn note(left_out: &BTreeMap<Why, Vec<ImagePath>>) -> Option<Diagnostic> {
    let count: usize = left_out.values().map(Vec::len).sum();
    let files = if count == 1 { "file was" } else { "files were" };
    let title = format!("{count} compiled Python {files} left out: Python would pass them over");
    let mut note = Diagnostic::note_of(NOT_TAKEN, title);
    for (why, paths) in left_out {
        let first = paths.first().map_or_else(String::new, |path| show(path.as_bytes()));
        let because = match why {
            Why::Stale => "older or newer than their source",
            Why::NoSource => "without a source",
            Why::OtherPython => "for another Python than the image has",
            Why::Unusable => "in a form that only time would confirm, or in none",
        };
        note = note.note(format!("{} {because}, as `{first}`", paths.len()));
    }
    if left_out.contains_key(&Why::Stale) || left_out.contains_key(&Why::OtherPython) {
        note = note.help("`python -m compileall FOLDER`, by the Python that the image has, makes them anew");
    }
    (count > 0).then_some(note)
}
