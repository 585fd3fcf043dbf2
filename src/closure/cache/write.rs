//! A cache file from its entries: the new format alone, the same bytes for the same entries.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::file::compare;
use super::{EXTENSION_MAGIC, HEADER_SIZE, HWCAP_EXTENSION, MAGIC, TAG_GLIBC_HWCAPS};
use crate::closure::Bytes;
use crate::elf::Endian;

/// A library in a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name that is looked up: `DT_SONAME`.
    pub name: Bytes,
    /// Where it is.
    pub path: Bytes,
    /// Which loaders take it (`FLAG_ELF_LIBC6` and the machine).
    pub flags: i32,
    /// For a file below `glibc-hwcaps`: the name of its directory there.
    pub level: Option<String>,
    /// The processor level that the file asks for, 0 for none.
    pub isa_level: u64,
}

/// A cache of these entries, in the byte order of the loader that will read it. Among entries of one name those for
/// levels come first; plain ones keep their order, of which the first counts.
///
/// # Panics
/// When the entries take more than 4 GiB.
pub fn write(entries: &[Entry], endian: Endian) -> Vec<u8> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|a, b| order(a, b));
    let levels: BTreeSet<&str> = entries.iter().filter_map(|entry| entry.level.as_deref()).collect();
    let strings_at = HEADER_SIZE + sorted.len() * super::ENTRY_SIZE;
    let mut strings = Strings { start: strings_at, bytes: Vec::new(), known: BTreeMap::new() };

    let mut table = Vec::new();
    for entry in &sorted {
        let level = entry.level.as_deref().and_then(|level| levels.iter().position(|known| *known == level));
        let hwcap = level.map_or(0, |index| HWCAP_EXTENSION | entry.isa_level << 32 | index as u64);
        word(&mut table, endian, entry.flags.cast_unsigned());
        word(&mut table, endian, strings.offset(&entry.name));
        word(&mut table, endian, strings.offset(&entry.path));
        word(&mut table, endian, 0);
        long(&mut table, endian, hwcap);
    }
    let level_names: Vec<u32> = levels.iter().map(|level| strings.offset(level.as_bytes())).collect();
    let strings_size = strings.bytes.len();
    let extension_at = (strings_at + strings_size).next_multiple_of(4);
    let extension = extension(&level_names, extension_at, endian);

    let mut cache = MAGIC.to_vec();
    word(&mut cache, endian, small(sorted.len()));
    word(&mut cache, endian, small(strings_size));
    cache.extend([if endian == Endian::Little { 2 } else { 3 }, 0, 0, 0]);
    word(&mut cache, endian, if extension.is_empty() { 0 } else { small(extension_at) });
    cache.extend([0; 12]);
    cache.extend(table);
    cache.extend(strings.bytes);
    if !extension.is_empty() {
        cache.resize(extension_at, 0);
        cache.extend(extension);
    }
    cache
}

fn order(a: &Entry, b: &Entry) -> Ordering {
    // Names that are equal as numbers but not as text must not depend on the order of the input.
    let by_name = compare(&b.name, &a.name);
    let by_level = || match (&a.level, &b.level) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    by_name.then_with(|| b.flags.cmp(&a.flags)).then_with(by_level)
}

/// The directory of extensions, with the one section that loaders read; empty where there are no levels.
fn extension(level_names: &[u32], at: usize, endian: Endian) -> Vec<u8> {
    let mut bytes = Vec::new();
    if level_names.is_empty() {
        return bytes;
    }
    word(&mut bytes, endian, EXTENSION_MAGIC);
    word(&mut bytes, endian, 1);
    word(&mut bytes, endian, TAG_GLIBC_HWCAPS);
    word(&mut bytes, endian, 0);
    word(&mut bytes, endian, small(at + 24));
    word(&mut bytes, endian, small(level_names.len() * 4));
    for &offset in level_names {
        word(&mut bytes, endian, offset);
    }
    bytes
}

/// NUL-terminated strings, each once.
struct Strings<'a> {
    start: usize,
    bytes: Vec<u8>,
    known: BTreeMap<&'a [u8], u32>,
}

impl<'a> Strings<'a> {
    /// The offset from the start of the file.
    fn offset(&mut self, text: &'a [u8]) -> u32 {
        if let Some(&known) = self.known.get(text) {
            return known;
        }
        let offset = small(self.start + self.bytes.len());
        self.bytes.extend(text);
        self.bytes.push(0);
        self.known.insert(text, offset);
        offset
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("a cache of less than 4 GiB")
}

fn word(bytes: &mut Vec<u8>, endian: Endian, value: u32) {
    bytes.extend(if endian == Endian::Little { value.to_le_bytes() } else { value.to_be_bytes() });
}

fn long(bytes: &mut Vec<u8>, endian: Endian, value: u64) {
    bytes.extend(if endian == Endian::Little { value.to_le_bytes() } else { value.to_be_bytes() });
}
