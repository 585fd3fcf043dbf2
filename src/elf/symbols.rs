//! Symbol tables: the dynamic one, which loaders read, and for static programs the one that linkers leave.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use goblin::elf::section_header::{SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, SectionHeader};
use goblin::elf::sym::{Sym, sym32, sym64};
use scroll::Pread;

use super::read::{LONGEST_NAME, ReadAt, Window};
use super::{Class, Object};

/// The most symbols of one table that are looked at.
const MOST_SYMBOLS: u64 = 1 << 22;
/// The most bytes of names that are kept of one object: ten times what the largest libraries ask for. Names may lie in
/// each other, so that the file's size bounds nothing.
const MOST_NAME_BYTES: usize = 64 << 20;
/// How much of a table is read at once.
const TABLE_AT_ONCE: usize = 64 << 10;
/// How much of the names is read at once.
const NAMES_AT_ONCE: usize = 256 << 10;

/// A symbol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol {
    /// Its name, without a version.
    pub name: Arc<[u8]>,
    /// Whether it is only referred to, and another object must have it.
    pub undefined: bool,
}

/// Which symbols are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that it has.
    Defined,
    /// Those that another object must have.
    Undefined,
    /// All.
    Any,
}

/// Where a symbol table is.
struct Table {
    offset: u64,
    count: u64,
    names: u64,
}

impl Object {
    /// The names that it asks other objects for: undefined dynamic symbols.
    ///
    /// # Errors
    /// When the file could not be read, or has names beyond all measure.
    pub fn imports<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<BTreeSet<Arc<[u8]>>> {
        let (mut names, mut bytes) = (BTreeSet::new(), 0_usize);
        // A large library defines a hundred times as many as it asks for: their names are not read.
        self.dynamic_symbols(reader, Which::Undefined, &|_| true, &mut |symbol| {
            if bytes <= MOST_NAME_BYTES && !names.contains(&symbol.name) {
                bytes += symbol.name.len();
                names.insert(symbol.name);
            }
        })?;
        if bytes > MOST_NAME_BYTES {
            let many = format!("its symbols have more than {MOST_NAME_BYTES} bytes of names");
            return Err(io::Error::new(io::ErrorKind::InvalidData, many));
        }
        Ok(names)
    }

    /// Whether it defines every one of these dynamic symbols.
    ///
    /// # Errors
    /// When the file could not be read.
    pub fn defines<R: ReadAt + ?Sized>(&self, reader: &R, names: &[&[u8]]) -> io::Result<bool> {
        let mut found = BTreeSet::new();
        self.dynamic_symbols(reader, Which::Defined, &|name| names.contains(&name), &mut |symbol| {
            found.insert(symbol.name);
        })?;
        Ok(found.len() == names.len())
    }

    /// Hands over those of some dynamic symbols whose name `wanted` accepts.
    pub(super) fn dynamic_symbols<R: ReadAt + ?Sized>(
        &self,
        reader: &R,
        which: Which,
        wanted: &dyn Fn(&[u8]) -> bool,
        take: &mut dyn FnMut(Symbol),
    ) -> io::Result<()> {
        match self.dynamic_table(reader)? {
            Some(table) => self.read_table(reader, &table, which, wanted, take),
            None => Ok(()),
        }
    }

    /// Hands over the symbols that a linker left for debuggers. False when they were stripped.
    pub(super) fn linker_symbols<R: ReadAt + ?Sized>(
        &self,
        reader: &R,
        wanted: &dyn Fn(&[u8]) -> bool,
        take: &mut dyn FnMut(Symbol),
    ) -> io::Result<bool> {
        let sections = self.sections(reader)?;
        let Some(section) = sections.iter().find(|section| section.sh_type == SHT_SYMTAB) else { return Ok(false) };
        let Some(names) = usize::try_from(section.sh_link).ok().and_then(|link| sections.get(link)) else {
            return Ok(true);
        };
        let table =
            Table { offset: section.sh_offset, count: section.sh_size / self.symbol_size(), names: names.sh_offset };
        self.read_table(reader, &table, Which::Any, wanted, take)?;
        Ok(true)
    }

    /// The section headers; none when they are stripped or damaged.
    pub(super) fn sections<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<Vec<SectionHeader>> {
        let Some(headers) = self.section_headers else { return Ok(Vec::new()) };
        let context = self.context();
        let count = usize::from(headers.count);
        let mut window = Window::new(reader);
        let Some(bytes) = window.bytes(headers.offset, count * SectionHeader::size(context))? else {
            return Ok(Vec::new());
        };
        let mut sections = Vec::with_capacity(count);
        let mut offset = 0;
        for _ in 0..count {
            match bytes.gread_with(&mut offset, context) {
                Ok(section) => sections.push(section),
                Err(_) => return Ok(Vec::new()),
            }
        }
        Ok(sections)
    }

    /// The names of the section headers' sections.
    pub(super) fn section_names<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<Vec<Arc<[u8]>>> {
        let sections = self.sections(reader)?;
        let names = self.section_headers.and_then(|headers| sections.get(usize::from(headers.names)));
        let Some(names) = names else { return Ok(Vec::new()) };
        let mut window = Window::new(reader);
        let mut found = Vec::new();
        for section in &sections {
            let offset = names.sh_offset.saturating_add(u64::try_from(section.sh_name).unwrap_or(u64::MAX));
            found.extend(window.string(offset, 256)?.map(Arc::from));
        }
        Ok(found)
    }

    fn symbol_size(&self) -> u64 {
        match self.machine.class {
            Class::Elf32 => sym32::SIZEOF_SYM as u64,
            Class::Elf64 => sym64::SIZEOF_SYM as u64,
        }
    }

    /// No tag holds the number of dynamic symbols: it comes from a hash table, or from what lies behind the symbols.
    fn dynamic_table<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<Option<Table>> {
        let Some(dynamic) = &self.dynamic else { return Ok(None) };
        let offset = dynamic.symbols.and_then(|address| self.offset_of(address));
        let names = dynamic.strings.and_then(|address| self.offset_of(address));
        let (Some(offset), Some(names)) = (offset, names) else { return Ok(None) };
        let mut window = Window::new(reader);
        let mut count = None;
        if let Some(hash) = dynamic.hash.and_then(|address| self.offset_of(address)) {
            count = self.word(&mut window, hash.saturating_add(4))?.map(u64::from);
        }
        if count.is_none()
            && let Some(hash) = dynamic.gnu_hash.and_then(|address| self.offset_of(address))
        {
            count = self.count_by_gnu_hash(&mut window, hash)?;
        }
        if count.is_none() {
            // Objects that export nothing have an empty hash table that does not tell.
            let section = self.sections(reader)?.into_iter().find(|section| section.sh_type == SHT_DYNSYM);
            count = section.filter(|section| section.sh_offset == offset).map(|it| it.sh_size / self.symbol_size());
        }
        let behind = names.checked_sub(offset).map(|bytes| bytes / self.symbol_size());
        Ok(count.or(behind).map(|count| Table { offset, count, names }))
    }

    /// `DT_GNU_HASH`: nbuckets, symoffset, `bloom_size`, `bloom_shift`, the filter, the buckets, then for each symbol
    /// from symoffset on its hash, whose lowest bit ends a chain. None when the table is empty.
    fn count_by_gnu_hash<R: ReadAt + ?Sized>(&self, window: &mut Window<'_, R>, table: u64) -> io::Result<Option<u64>> {
        let mut head = [0; 3];
        for (index, field) in head.iter_mut().enumerate() {
            let Some(word) = self.word(window, table.saturating_add(4 * index as u64))? else { return Ok(None) };
            *field = u64::from(word);
        }
        let [buckets, first, bloom] = head;
        let bloom_word = if self.machine.class == Class::Elf64 { 8 } else { 4 };
        let bucket_table = table.saturating_add(16).saturating_add(bloom * bloom_word);
        let mut last = 0;
        for index in 0..buckets.min(MOST_SYMBOLS) {
            let Some(bucket) = self.word(window, bucket_table.saturating_add(4 * index))? else { return Ok(None) };
            last = last.max(u64::from(bucket));
        }
        if last < first || first == 0 {
            return Ok(None);
        }
        let chains = bucket_table.saturating_add(4 * buckets);
        while last - first < MOST_SYMBOLS {
            match self.word(window, chains.saturating_add(4 * (last - first)))? {
                Some(hash) if hash & 1 == 0 => last += 1,
                Some(_) => return Ok(Some(last + 1)),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    fn word<R: ReadAt + ?Sized>(&self, window: &mut Window<'_, R>, offset: u64) -> io::Result<Option<u32>> {
        let endian = self.context().le;
        Ok(window.bytes(offset, 4)?.and_then(|bytes| bytes.pread_with(0, endian).ok()))
    }

    fn read_table<R: ReadAt + ?Sized>(
        &self,
        reader: &R,
        table: &Table,
        which: Which,
        wanted: &dyn Fn(&[u8]) -> bool,
        take: &mut dyn FnMut(Symbol),
    ) -> io::Result<()> {
        let size = self.symbol_size();
        let in_file = reader.size().saturating_sub(table.offset) / size;
        let count = table.count.min(in_file).min(MOST_SYMBOLS);
        let mut window = Window::new(reader);
        let step = usize::try_from(size).unwrap_or(usize::MAX);
        // Names are read in the order of the file: a large table would be read again and again otherwise.
        let mut names: Vec<(u32, bool)> = Vec::new();
        // The first symbol is always empty.
        for index in 1..count {
            let at = table.offset.saturating_add(index * size);
            if window.held(at, step).is_none() {
                window.fill(at, TABLE_AT_ONCE)?;
            }
            let Some(bytes) = window.held(at, step) else { break };
            let Ok(symbol) = bytes.pread_with::<Sym>(0, self.context()) else { break };
            let undefined = u32::try_from(symbol.st_shndx).ok() == Some(SHN_UNDEF);
            if which == if undefined { Which::Defined } else { Which::Undefined } {
                continue;
            }
            names.extend(u32::try_from(symbol.st_name).ok().filter(|&name| name != 0).map(|name| (name, undefined)));
        }
        names.sort_unstable();
        for (name, undefined) in names {
            let at = table.names.saturating_add(name.into());
            if window.held(at, 256).is_none() {
                window.fill(at, NAMES_AT_ONCE)?;
            }
            let Some(name) = window.string(at, LONGEST_NAME)? else { continue };
            if wanted(name) {
                take(Symbol { name: Arc::from(name), undefined });
            }
        }
        Ok(())
    }
}
