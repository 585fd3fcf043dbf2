//! The dynamic section: what an object needs and is called, in file order where loaders go by it.

use std::io;
use std::sync::Arc;

use goblin::elf::dynamic::{self as tag, Dyn};
use scroll::Pread;

use super::read::{LONGEST_NAME, ReadAt, Window};
use super::{Class, Object, Span};

/// `DT_AUXILIARY`: a library to look up symbols in first, if it is there.
const DT_AUXILIARY: u64 = 0x7fff_fffd;
/// `DT_FILTER`: a library to look up symbols in instead.
const DT_FILTER: u64 = 0x7fff_ffff;
/// `DT_RELR`: relative relocations in the packed form.
const DT_RELR: u64 = 36;

/// The most entries that are read: thirty times the longest list that is known to be loaded by anything.
const MOST_ENTRIES: usize = 1 << 16;
/// The most bytes of names that are read for all dependencies together.
const MOST_NAME_BYTES: usize = 4 << 20;
/// The longest list of directories, audit libraries or the like.
const LONGEST_LIST: usize = 64 << 10;
/// Strings that lie within so many bytes are read at once.
const STRINGS_AT_ONCE: u64 = 64 << 10;

/// What a dynamic section says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether a tag is there")]
pub struct Dynamic {
    /// `DT_NEEDED`, `DT_FILTER` and `DT_AUXILIARY` in file order.
    pub dependencies: Vec<Dependency>,
    /// `DT_SONAME`.
    pub soname: Option<Arc<[u8]>>,
    /// `DT_RPATH`; None when `DT_RUNPATH` is there, which takes its place even when empty.
    pub rpath: Option<Arc<[u8]>>,
    /// `DT_RUNPATH`.
    pub runpath: Option<Arc<[u8]>>,
    /// `DT_AUDIT`.
    pub audit: Option<Arc<[u8]>>,
    /// `DT_DEPAUDIT`.
    pub depaudit: Option<Arc<[u8]>>,
    /// `DT_FLAGS`.
    pub flags: u64,
    /// `DT_FLAGS_1`.
    pub flags_1: u64,
    /// Whether there is a `DT_BIND_NOW`.
    pub bind_now: bool,
    /// Whether there is a `DT_TEXTREL`.
    pub textrel: bool,
    /// Whether there is a `DT_JMPREL`: relocations that may be bound lazily.
    pub jmprel: bool,
    /// Whether there is a `DT_DEBUG`, which linkers write for programs only.
    pub debug: bool,
    /// Whether there is a `DT_RELR`.
    pub relr: bool,
    /// Whether some of it is not known: it lies outside the file, or is longer than is read.
    pub damaged: bool,
    pub(super) strings: Option<u64>,
    pub(super) symbols: Option<u64>,
    pub(super) hash: Option<u64>,
    pub(super) gnu_hash: Option<u64>,
    pub(super) verneed: Option<u64>,
    pub(super) verdef: Option<u64>,
}

/// An object that another needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// In which way.
    pub kind: DependencyKind,
    /// The name or path.
    pub name: Arc<[u8]>,
}

/// In which way an object needs another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DependencyKind {
    /// `DT_NEEDED`.
    Needed,
    /// `DT_FILTER`.
    Filter,
    /// `DT_AUXILIARY`.
    Auxiliary,
}

/// Offsets into the string table that stand in the section, before they are read.
#[derive(Default)]
struct Offsets {
    dependencies: Vec<(DependencyKind, u64)>,
    soname: Option<u64>,
    rpath: Option<u64>,
    runpath: Option<u64>,
    audit: Option<u64>,
    depaudit: Option<u64>,
}

/// Reads a dynamic section.
pub(super) fn read<R: ReadAt + ?Sized>(window: &mut Window<'_, R>, object: &Object, span: Span) -> io::Result<Dynamic> {
    let mut dynamic = Dynamic::default();
    let mut offsets = Offsets::default();
    let complete = read_entries(window, object, span, |entry| note(&mut dynamic, &mut offsets, &entry))?;
    let intact = read_strings(window, object, &mut dynamic, &offsets)?;
    dynamic.damaged = !(complete && intact);
    Ok(dynamic)
}

/// Hands over each entry up to `DT_NULL`. False when that did not come.
fn read_entries<R: ReadAt + ?Sized>(
    window: &mut Window<'_, R>,
    object: &Object,
    span: Span,
    mut take: impl FnMut(Dyn),
) -> io::Result<bool> {
    let size = match object.machine.class {
        Class::Elf32 => tag::dyn32::SIZEOF_DYN,
        Class::Elf64 => tag::dyn64::SIZEOF_DYN,
    };
    let entries = usize::try_from(span.size / size as u64).unwrap_or(usize::MAX);
    let mut offset = span.offset;
    for _ in 0..entries.min(MOST_ENTRIES) {
        let Some(bytes) = window.bytes(offset, size)? else { return Ok(false) };
        let Ok(entry) = bytes.pread_with::<Dyn>(0, object.context()) else { return Ok(false) };
        if entry.d_tag == tag::DT_NULL {
            return Ok(true);
        }
        take(entry);
        let Some(next) = offset.checked_add(size as u64) else { return Ok(false) };
        offset = next;
    }
    // A section that ends without DT_NULL is followed by zeros in memory more often than not.
    Ok(entries <= MOST_ENTRIES)
}

/// Of tags that stand once the last occurrence counts, as in both loaders.
fn note(dynamic: &mut Dynamic, offsets: &mut Offsets, entry: &Dyn) {
    let value = entry.d_val;
    match entry.d_tag {
        tag::DT_NEEDED => offsets.dependencies.push((DependencyKind::Needed, value)),
        DT_FILTER => offsets.dependencies.push((DependencyKind::Filter, value)),
        DT_AUXILIARY => offsets.dependencies.push((DependencyKind::Auxiliary, value)),
        tag::DT_SONAME => offsets.soname = Some(value),
        tag::DT_RPATH => offsets.rpath = Some(value),
        tag::DT_RUNPATH => offsets.runpath = Some(value),
        tag::DT_AUDIT => offsets.audit = Some(value),
        tag::DT_DEPAUDIT => offsets.depaudit = Some(value),
        tag::DT_FLAGS => dynamic.flags = value,
        tag::DT_FLAGS_1 => dynamic.flags_1 = value,
        tag::DT_BIND_NOW => dynamic.bind_now = true,
        tag::DT_TEXTREL => dynamic.textrel = true,
        tag::DT_JMPREL => dynamic.jmprel = true,
        tag::DT_DEBUG => dynamic.debug = true,
        DT_RELR => dynamic.relr = true,
        tag::DT_STRTAB => dynamic.strings = Some(value),
        tag::DT_SYMTAB => dynamic.symbols = Some(value),
        tag::DT_HASH => dynamic.hash = Some(value),
        tag::DT_GNU_HASH => dynamic.gnu_hash = Some(value),
        tag::DT_VERNEED => dynamic.verneed = Some(value),
        tag::DT_VERDEF => dynamic.verdef = Some(value),
        _ => {}
    }
}

/// Reads the strings at the offsets. False when one of them is not there.
fn read_strings<R: ReadAt + ?Sized>(
    window: &mut Window<'_, R>,
    object: &Object,
    dynamic: &mut Dynamic,
    offsets: &Offsets,
) -> io::Result<bool> {
    let singles = [offsets.soname, offsets.rpath, offsets.runpath, offsets.audit, offsets.depaudit];
    let all = || offsets.dependencies.iter().map(|&(_, offset)| offset).chain(singles.into_iter().flatten());
    let (Some(first), Some(last)) = (all().min(), all().max()) else { return Ok(true) };
    let Some(table) = dynamic.strings.and_then(|address| object.offset_of(address)) else { return Ok(false) };
    if last - first < STRINGS_AT_ONCE
        && let Some(start) = table.checked_add(first)
    {
        let count = usize::try_from(last - first).unwrap_or_default() + 256;
        window.fill(start, count)?;
    }
    let mut intact = true;
    let mut string = |offset: u64, longest| -> io::Result<Option<Arc<[u8]>>> {
        let string = match table.checked_add(offset) {
            Some(offset) => window.string(offset, longest)?.map(Arc::from),
            None => None,
        };
        intact &= string.is_some();
        Ok(string)
    };
    let mut single = |offset: Option<u64>| offset.map_or(Ok(None), |offset| string(offset, LONGEST_LIST));
    dynamic.soname = single(offsets.soname)?;
    dynamic.rpath = single(offsets.rpath)?;
    dynamic.runpath = single(offsets.runpath)?;
    dynamic.audit = single(offsets.audit)?;
    dynamic.depaudit = single(offsets.depaudit)?;
    if dynamic.runpath.is_some() {
        dynamic.rpath = None;
    }
    let mut bytes = 0;
    for &(kind, offset) in &offsets.dependencies {
        let Some(name) = string(offset, LONGEST_NAME)? else { continue };
        bytes += name.len();
        if bytes > MOST_NAME_BYTES {
            return Ok(false);
        }
        dynamic.dependencies.push(Dependency { kind, name });
    }
    Ok(intact)
}
