//! Texts inside a file's bytes: whether they are there, and what stands after or before them. One pass for all.

use std::collections::BTreeSet;
use std::io;

use memchr::memmem;
use rayon::prelude::*;

use super::bringing::Around;
use crate::source::{Content, Reader};

/// What is looked at in one go: less than a processor's second cache.
const WINDOW: u64 = 256 << 10;

/// What one thread takes.
const PIECE: u64 = 8 << 20;

/// The longest text that is taken out; no path is longer.
const LONGEST: usize = 4096;

/// What was found of one text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Hit {
    /// Whether the fixed part is there at all.
    pub(super) there: bool,
    /// What stands in the gap, where it is first there whole.
    pub(super) text: Option<Vec<u8>>,
}

/// Looks for each text. The end of a string is a NUL; a text with nothing before the gap ends its string.
pub(super) fn scan(content: &Content, texts: &[&Around]) -> io::Result<Vec<Hit>> {
    let needles: Vec<_> = texts.iter().map(|around| Needle::new(around)).collect();
    let reader = content.open()?;
    let pieces: Vec<u64> = (0..reader.size().div_ceil(PIECE)).map(|index| index * PIECE).collect();
    let found: Vec<Vec<Hit>> =
        pieces.par_iter().map(|&start| piece(&reader, start, &needles)).collect::<io::Result<_>>()?;
    reader.finish()?;
    let mut hits = vec![Hit::default(); needles.len()];
    for piece in found {
        hits.iter_mut().zip(piece).for_each(|(hit, later)| hit.join(later));
    }
    Ok(hits)
}

/// Every text between two NULs that begins as an absolute path, those in lists with colons each by itself, if `wanted`.
pub(super) fn paths(content: &Content, wanted: &dyn Fn(&[u8]) -> bool) -> io::Result<BTreeSet<Vec<u8>>> {
    let reader = content.open()?;
    let (mut found, mut buffer, mut offset) = (BTreeSet::new(), Vec::new(), 0);
    let begin = memmem::Finder::new(b"/");
    while offset < reader.size() {
        let length = WINDOW.min(reader.size() - offset);
        buffer.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        reader.read_exact_at(&mut buffer, offset)?;
        let mut done = 0;
        for place in begin.find_iter(&buffer) {
            let starts = place.checked_sub(1).is_some_and(|before| matches!(buffer[before], 0 | b':' | b';'));
            if place < done || !starts {
                continue;
            }
            let rest = &buffer[place..buffer.len().min(place + LONGEST)];
            let Some(end) = rest.iter().position(|byte| matches!(byte, 0 | b':' | b';')) else { continue };
            let text = &rest[..end];
            if wanted(text) && !text.iter().any(u8::is_ascii_control) {
                found.insert(text.to_vec());
            }
            done = place + end;
        }
        if offset + length >= reader.size() {
            break;
        }
        offset += length - LONGEST as u64;
    }
    reader.finish()?;
    Ok(found)
}

impl Hit {
    fn join(&mut self, later: Hit) {
        self.there |= later.there;
        self.text = self.text.take().or(later.text);
    }
}

struct Needle<'a> {
    around: &'a Around,
    finder: memmem::Finder<'a>,
}

impl<'a> Needle<'a> {
    fn new(around: &'a Around) -> Self {
        let fixed = if around.before.is_empty() { &around.after } else { &around.before };
        Self { around, finder: memmem::Finder::new(fixed) }
    }

    /// Looks through a window; `at_start` when it is the file's first.
    fn look(&self, window: &[u8], at_start: bool, hit: &mut Hit) {
        let (before, after) = (self.around.before.as_bytes(), self.around.after.as_bytes());
        for place in self.finder.find_iter(window) {
            hit.there = true;
            let text = if before.is_empty() {
                let ends = window.get(place + after.len()) == Some(&0);
                string_before(window, place, at_start).filter(|_| ends)
            } else {
                text_after(window, place + before.len(), after)
            };
            if let Some(text) = text {
                hit.text = Some(text.to_vec());
                return;
            }
        }
    }
}

/// Looks through one piece, window by window. Each window shares more bytes with the last than the longest text has,
/// on both sides of a fixed part, so that what is cut off in one is whole in the other.
fn piece(reader: &Reader, start: u64, needles: &[Needle<'_>]) -> io::Result<Vec<Hit>> {
    const SHARED: u64 = 4 * LONGEST as u64;
    let mut hits = vec![Hit::default(); needles.len()];
    let end = (start + PIECE).min(reader.size());
    let mut offset = start.saturating_sub(SHARED);
    let mut buffer = Vec::new();
    while offset < end {
        let length = WINDOW.min(reader.size() - offset);
        buffer.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        reader.read_exact_at(&mut buffer, offset)?;
        for (needle, hit) in needles.iter().zip(&mut hits).filter(|(_, hit)| hit.text.is_none()) {
            needle.look(&buffer, offset == 0, hit);
        }
        if hits.iter().all(|hit| hit.text.is_some()) || offset + length >= reader.size() {
            break;
        }
        offset += length - SHARED;
    }
    Ok(hits)
}

/// The string that ends at `end`; none when it may begin before the window.
fn string_before(window: &[u8], end: usize, at_start: bool) -> Option<&[u8]> {
    let bytes = window.get(end.saturating_sub(LONGEST)..end)?;
    match memchr::memrchr(0, bytes) {
        Some(nul) => bytes.get(nul + 1..),
        None => (at_start && end <= LONGEST).then_some(bytes),
    }
}

/// What stands from `start` up to `after`, or up to a NUL when that is empty.
fn text_after<'a>(window: &'a [u8], start: usize, after: &[u8]) -> Option<&'a [u8]> {
    let bytes = window.get(start..)?;
    let string = bytes.get(..memchr::memchr(0, bytes.get(..bytes.len().min(LONGEST))?)?)?;
    let end = if after.is_empty() { string.len() } else { memmem::find(string, after)? };
    string.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_lies_across_windows_and_pieces() {
        let window = usize::try_from(WINDOW).unwrap();
        let piece = usize::try_from(PIECE).unwrap();
        let arounds = ["OPENSSLDIR: \"{}\"", "{}/gconv-modules.cache", "absent{}", "end{}"]
            .map(|text| Around::try_from(text.to_owned()).unwrap());
        for at in [0, 1, window - 30, window - 5, window, 2 * window - 4 * LONGEST - 10, piece - 40, piece - 20, piece]
        {
            let mut bytes = vec![0; at];
            bytes.extend_from_slice(b"OPENSSLDIR: \"/usr/lib/ssl\"\0/usr/lib/gconv/gconv-modules.cache\0end");
            let hits = scan(&Content::bytes(bytes), &arounds.each_ref()).unwrap();
            let whole = |text: &[u8]| Hit { there: true, text: Some(text.to_vec()) };
            let expected =
                [whole(b"/usr/lib/ssl"), whole(b"/usr/lib/gconv"), Hit::default(), Hit { there: true, text: None }];
            assert_eq!(hits, expected, "at {at}");
        }
    }
}
