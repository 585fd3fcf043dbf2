//! Symbol versions: which an object requires of others (`DT_VERNEED`), and which it has itself (`DT_VERDEF`).

use std::io;
use std::sync::Arc;

use scroll::Pread;

use super::read::{LONGEST_NAME, ReadAt, Window};
use super::{Object, context};

/// The most records that are read of one kind: ten times what the largest libraries have.
const MOST_RECORDS: usize = 1 << 14;

/// The most bytes of names that are read for all records together.
const MOST_NAME_BYTES: usize = 4 << 20;

/// `vna_flags`, `vd_flags`: a reference that may stay unsatisfied.
const VER_FLG_WEAK: u16 = 2;
/// `vd_flags`: the name of the file itself.
const VER_FLG_BASE: u16 = 1;

/// What an object requires and has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions {
    /// What it requires, by file.
    pub needed: Vec<NeededFile>,
    /// What it has; None when it has no versions at all.
    pub defined: Option<Vec<Defined>>,
}

/// What is required of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededFile {
    /// `vn_file`: the name by which it was linked, its `DT_SONAME` then.
    pub file: Arc<[u8]>,
    /// The versions.
    pub versions: Vec<NeededVersion>,
}

/// A version that is required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededVersion {
    /// Its name, as `GLIBC_2.34`.
    pub name: Arc<[u8]>,
    /// `vna_hash`.
    pub hash: u32,
    /// Whether it may be missing.
    pub weak: bool,
}

/// A version that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined {
    /// Its name.
    pub name: Arc<[u8]>,
    /// `vd_hash`.
    pub hash: u32,
    /// Whether it is the name of the file itself.
    pub base: bool,
}

impl Versions {
    /// Whether a version is there: hash and name must be equal.
    pub fn has(&self, wanted: &NeededVersion) -> bool {
        let defined = self.defined.iter().flatten();
        defined.into_iter().any(|defined| defined.hash == wanted.hash && defined.name == wanted.name)
    }
}

impl Object {
    /// Reads which symbol versions it requires and has. What is damaged is left out.
    ///
    /// # Errors
    /// When the file could not be read.
    pub fn versions<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<Versions> {
        let mut versions = Versions::default();
        let Some(dynamic) = &self.dynamic else { return Ok(versions) };
        let Some(strings) = dynamic.strings.and_then(|address| self.offset_of(address)) else { return Ok(versions) };
        let mut records = Records {
            fields: Window::new(reader),
            strings: Window::new(reader),
            table: strings,
            endian: context(self.machine).le,
            left: MOST_RECORDS,
            name_bytes: 0,
        };
        if let Some(start) = dynamic.verneed.and_then(|address| self.offset_of(address)) {
            records.needed(start, &mut versions.needed)?;
        }
        if let Some(start) = dynamic.verdef.and_then(|address| self.offset_of(address)) {
            let mut defined = Vec::new();
            records.left = MOST_RECORDS;
            records.defined(start, &mut defined)?;
            versions.defined = Some(defined);
        }
        Ok(versions)
    }
}

/// The chains of version records. Both classes have the same layout; each link leads forward.
struct Records<'a, R: ReadAt + ?Sized> {
    fields: Window<'a, R>,
    strings: Window<'a, R>,
    table: u64,
    endian: scroll::Endian,
    left: usize,
    name_bytes: usize,
}

impl<R: ReadAt + ?Sized> Records<'_, R> {
    /// `Elf_Verneed`: `vn_version`, `vn_cnt` (u16), `vn_file`, `vn_aux`, `vn_next` (u32).
    fn needed(&mut self, start: u64, needed: &mut Vec<NeededFile>) -> io::Result<()> {
        let mut at = start;
        while let Some([_, file, aux, next]) = self.record(at, [0, 4, 8, 12])? {
            let Some(file) = self.name(file)? else { return Ok(()) };
            let mut versions = Vec::new();
            self.needed_versions(at.saturating_add(aux.into()), &mut versions)?;
            needed.push(NeededFile { file, versions });
            if next == 0 {
                break;
            }
            at = at.saturating_add(next.into());
        }
        Ok(())
    }

    /// `Elf_Vernaux`: `vna_hash` (u32), `vna_flags`, `vna_other` (u16), `vna_name`, `vna_next` (u32).
    fn needed_versions(&mut self, start: u64, versions: &mut Vec<NeededVersion>) -> io::Result<()> {
        let mut at = start;
        while let Some([hash, flags, name, next]) = self.record(at, [0, 4, 8, 12])? {
            let Some(name) = self.name(name)? else { return Ok(()) };
            versions.push(NeededVersion { name, hash, weak: self.half(flags, 0) & VER_FLG_WEAK != 0 });
            if next == 0 {
                break;
            }
            at = at.saturating_add(next.into());
        }
        Ok(())
    }

    /// `Elf_Verdef`: `vd_version`, `vd_flags`, `vd_ndx`, `vd_cnt` (u16), `vd_hash`, `vd_aux`, `vd_next` (u32); the
    /// first `Elf_Verdaux` (`vda_name`, `vda_next`) names it.
    fn defined(&mut self, start: u64, defined: &mut Vec<Defined>) -> io::Result<()> {
        let mut at = start;
        while let Some([flags, hash, aux, next]) = self.record(at, [0, 8, 12, 16])? {
            let aux = at.saturating_add(aux.into());
            let Some([name, ..]) = self.record(aux, [0, 0, 0, 0])? else { return Ok(()) };
            let Some(name) = self.name(name)? else { return Ok(()) };
            defined.push(Defined { name, hash, base: self.half(flags, 1) & VER_FLG_BASE != 0 });
            if next == 0 {
                break;
            }
            at = at.saturating_add(next.into());
        }
        Ok(())
    }

    /// Four 32-bit words of the record at `at`, or None where no more may or can be read.
    fn record(&mut self, at: u64, offsets: [usize; 4]) -> io::Result<Option<[u32; 4]>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let size = offsets.iter().max().map_or(0, |last| last + 4);
        let endian = self.endian;
        let Some(bytes) = self.fields.bytes(at, size)? else { return Ok(None) };
        Ok(Some(offsets.map(|offset| bytes.pread_with::<u32>(offset, endian).unwrap_or_default())))
    }

    /// The first or second half of two 16-bit fields that were read as one word.
    fn half(&self, word: u32, which: u32) -> u16 {
        let low = if self.endian.is_little() { which == 0 } else { which == 1 };
        let shifted = if low { word } else { word >> 16 };
        u16::try_from(shifted & 0xffff).unwrap_or_default()
    }

    fn name(&mut self, offset: u32) -> io::Result<Option<Arc<[u8]>>> {
        let name = self.strings.string(self.table.saturating_add(offset.into()), LONGEST_NAME)?.map(Arc::from);
        self.name_bytes += name.as_ref().map_or(0, |name: &Arc<[u8]>| name.len());
        Ok(name.filter(|_| self.name_bytes <= MOST_NAME_BYTES))
    }
}
