//! A cache file and the search in it.

use std::cmp::Ordering;

use scroll::{Endian, Pread};

use super::{
    ENTRY_SIZE, EXTENSION_MAGIC, HEADER_SIZE, HWCAP_EXTENSION, ISA_LEVEL_MASK, MAGIC, OLD_ENTRY_SIZE, OLD_HEADER_SIZE,
    OLD_MAGIC, TAG_GLIBC_HWCAPS,
};

/// The most levels that are known by name. There are fewer than ten.
const MOST_LEVELS: usize = 1024;

/// A cache file, checked only as far as glibc checks it: offsets are looked at when they are used.
#[derive(Debug)]
pub(in crate::closure) struct CacheFile {
    data: Vec<u8>,
    endian: Endian,
    entries: usize,
    entry_size: usize,
    count: usize,
    /// From where keys and values are counted.
    strings: usize,
    /// Names of directories below `glibc-hwcaps`, by index.
    levels: Vec<Vec<u8>>,
}

/// What a loader takes from a cache.
#[derive(Debug, Clone, Copy)]
pub(in crate::closure) struct Query<'a> {
    /// Flags of the entries that are for it, the usual ones first.
    pub(in crate::closure) flags: &'a [i32],
    /// The levels that count, the best first.
    pub(in crate::closure) levels: &'a [&'a str],
    /// How many levels its processor has above the baseline.
    pub(in crate::closure) height: u64,
    /// Bits of a legacy hwcap that may be set.
    pub(in crate::closure) legacy: u64,
}

/// One entry, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Raw {
    flags: i32,
    key: u32,
    value: u32,
    hwcap: u64,
}

impl CacheFile {
    /// Parses a cache for a loader of this byte order. None where that would not use it.
    pub(in crate::closure) fn parse(data: Vec<u8>, endian: Endian) -> Option<Self> {
        if data.starts_with(MAGIC) {
            return Self::new_format(data, endian, 0);
        }
        if !data.starts_with(OLD_MAGIC) {
            return None;
        }
        let count = usize::try_from(data.pread_with::<u32>(12, endian).ok()?).ok()?;
        if (data.len() - OLD_HEADER_SIZE.min(data.len())) / OLD_ENTRY_SIZE < count {
            return None;
        }
        let end = OLD_HEADER_SIZE + count * OLD_ENTRY_SIZE;
        let new_header = end.next_multiple_of(8);
        if data.get(new_header..).is_some_and(|rest| rest.starts_with(MAGIC)) {
            return Self::new_format(data, endian, new_header);
        }
        let (entries, entry_size, levels) = (OLD_HEADER_SIZE, OLD_ENTRY_SIZE, Vec::new());
        Some(Self { data, endian, entries, entry_size, count, strings: end, levels })
    }

    fn new_format(data: Vec<u8>, endian: Endian, base: usize) -> Option<Self> {
        let flags = *data.get(base + 28)?;
        let expected = if endian.is_little() { 2 } else { 3 };
        if flags & 3 != 0 && flags & 3 != expected {
            return None;
        }
        let count = usize::try_from(data.pread_with::<u32>(base + 20, endian).ok()?).ok()?;
        let entries = base + HEADER_SIZE;
        if data.len().checked_sub(entries)? / ENTRY_SIZE < count {
            return None;
        }
        let extension = data.pread_with::<u32>(base + 32, endian).ok()?;
        let levels = levels(&data, endian, usize::try_from(extension).ok()?).unwrap_or_default();
        Some(Self { data, endian, entries, entry_size: ENTRY_SIZE, count, strings: base, levels })
    }

    /// How many entries there are.
    pub(in crate::closure) fn len(&self) -> usize {
        self.count
    }

    /// Every name with its path, in file order.
    pub(in crate::closure) fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.count).filter_map(|index| {
            let raw = self.raw(index)?;
            Some((self.string(raw.key)?, self.string(raw.value)?))
        })
    }

    /// The path that a loader takes for a name: `search_cache` of glibc. Entries are sorted in descending order; those
    /// for levels stand before the plain ones of a name.
    pub(in crate::closure) fn lookup(&self, name: &[u8], query: &Query<'_>) -> Option<&[u8]> {
        let (mut left, mut right) = (0, self.count);
        while left < right {
            let middle = usize::midpoint(left, right);
            match compare(name, self.string(self.raw(middle)?.key)?) {
                Ordering::Less => left = middle + 1,
                Ordering::Greater => right = middle,
                Ordering::Equal => {
                    let first = (0..middle).rev().take_while(|&index| self.is_for(index, name)).last();
                    return self.best(first.unwrap_or(middle), name, query);
                }
            }
        }
        None
    }

    fn is_for(&self, index: usize, name: &[u8]) -> bool {
        let key = self.raw(index).and_then(|raw| self.string(raw.key));
        key.is_some_and(|key| compare(name, key) == Ordering::Equal)
    }

    /// The best of the entries for a name, of which `first` is the first.
    fn best(&self, first: usize, name: &[u8], query: &Query<'_>) -> Option<&[u8]> {
        let mut best = None;
        let mut best_rank = usize::MAX;
        for index in (first..self.count).take_while(|&index| self.is_for(index, name)) {
            let raw = self.raw(index)?;
            let (true, Some(path)) = (query.flags.contains(&raw.flags), self.string(raw.value)) else { continue };
            if self.entry_size == ENTRY_SIZE && is_level(raw.hwcap) {
                let rank = self.rank(raw.hwcap, query);
                if let Some(rank) = rank.filter(|&rank| rank < best_rank) {
                    (best, best_rank) = (Some(path), rank);
                }
                continue;
            }
            if self.entry_size == ENTRY_SIZE && best.is_some() {
                break;
            }
            if raw.hwcap & !query.legacy != 0 {
                continue;
            }
            best = Some(path);
            if query.flags.first() == Some(&raw.flags) {
                break;
            }
        }
        best
    }

    /// The rank of an entry for a level among those that count, best 0.
    fn rank(&self, hwcap: u64, query: &Query<'_>) -> Option<usize> {
        if (hwcap >> 32) & ISA_LEVEL_MASK > query.height {
            return None;
        }
        let level = self.levels.get(usize::try_from(hwcap & 0xffff_ffff).ok()?)?;
        query.levels.iter().position(|active| active.as_bytes() == level)
    }

    fn raw(&self, index: usize) -> Option<Raw> {
        let at = self.entries + index * self.entry_size;
        let word = |offset| self.data.pread_with::<u32>(at + offset, self.endian).ok();
        let hwcap = if self.entry_size == ENTRY_SIZE { self.data.pread_with(at + 16, self.endian).ok()? } else { 0 };
        Some(Raw { flags: word(0)?.cast_signed(), key: word(4)?, value: word(8)?, hwcap })
    }

    fn string(&self, offset: u32) -> Option<&[u8]> {
        let text = self.data.get(self.strings.checked_add(usize::try_from(offset).ok()?)?..)?;
        Some(&text[..memchr::memchr(0, text)?])
    }
}

fn is_level(hwcap: u64) -> bool {
    (hwcap >> 32) & !ISA_LEVEL_MASK == HWCAP_EXTENSION >> 32
}

/// The names of the extension `glibc-hwcaps`. All offsets are from the start of the file.
fn levels(data: &[u8], endian: Endian, extension: usize) -> Option<Vec<Vec<u8>>> {
    let word = |offset: usize| data.pread_with::<u32>(offset, endian).ok();
    if extension == 0 || word(extension)? != EXTENSION_MAGIC {
        return None;
    }
    let sections = usize::try_from(word(extension + 4)?).ok()?;
    // Each section takes 16 bytes: a wrong count ends at the end of the file.
    let section = (0..sections.min(data.len() / 16)).map(|index| extension + 8 + 16 * index);
    let at = section.take_while(|&at| word(at).is_some()).find(|&at| word(at) == Some(TAG_GLIBC_HWCAPS))?;
    let (offset, size) = (usize::try_from(word(at + 8)?).ok()?, usize::try_from(word(at + 12)?).ok()?);
    let names = (0..(size.min(data.len()) / 4).min(MOST_LEVELS)).map_while(|index| {
        let text = data.get(usize::try_from(word(offset.checked_add(4 * index)?)?).ok()?..)?;
        Some(text[..memchr::memchr(0, text)?.min(255)].to_vec())
    });
    Some(names.collect())
}

/// `_dl_cache_libcmp`: byte by byte, but runs of digits as 32-bit numbers, so that `libq.so.01` equals `libq.so.1`.
pub(in crate::closure) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let digits = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit);
        match (digits(a), digits(b)) {
            (true, true) => match number(&mut a).cmp(&number(&mut b)) {
                Ordering::Equal => {}
                other => return other,
            },
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => match (a.split_first(), b.split_first()) {
                (Some((x, rest_a)), Some((y, rest_b))) if x == y => (a, b) = (rest_a, rest_b),
                // Bytes are signed there, and the end is a zero.
                (x, y) => {
                    let value = |it: Option<(&u8, &[u8])>| it.map_or(0, |(byte, _)| byte.cast_signed());
                    return value(x).cmp(&value(y));
                }
            },
        }
        if a.is_empty() && b.is_empty() {
            return Ordering::Equal;
        }
    }
}

fn number(text: &mut &[u8]) -> i32 {
    let mut value = 0_i32;
    while let Some((digit, rest)) = text.split_first().filter(|(digit, _)| digit.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
        *text = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_runs_of_digits_as_numbers() {
        assert_eq!(compare(b"libq.so.01", b"libq.so.1"), Ordering::Equal);
        assert_eq!(compare(b"libr.so.9", b"libr.so.10"), Ordering::Less);
        assert_eq!(compare(b"libz.so", b"libz.so.1"), Ordering::Less);
        assert_eq!(compare(b"lib1", b"libz"), Ordering::Greater);
        assert_eq!(compare(b"", b""), Ordering::Equal);
    }
}
