//! Texts inside a file's bytes: which of some are there, and what stands between two of them.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;

use memchr::memmem;

use super::rules::Around;
use crate::source::Content;

/// What is looked at in one go: less than a processor's second cache.
const WINDOW: usize = 256 << 10;

/// The longest text that is taken out; no path is longer.
const LONGEST: usize = 4096;

/// Which of `needles` the file holds.
pub(super) fn which<'a>(content: &Content, needles: &[&'a str]) -> io::Result<BTreeSet<&'a str>> {
    let finders: Vec<_> = needles.iter().map(|needle| (*needle, memmem::Finder::new(needle))).collect();
    let mut found = BTreeSet::new();
    windows(content, &mut |window| {
        for (needle, finder) in &finders {
            if !found.contains(needle) && finder.find(window.bytes).is_some() {
                found.insert(*needle);
            }
        }
        if found.len() == finders.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}

/// What stands between two texts in the file, wherever both are, each once, in the file's order. The end of a string
/// is a NUL.
pub(super) fn between(content: &Content, around: &Around) -> io::Result<Vec<Vec<u8>>> {
    let (before, after) = (around.before.as_bytes(), around.after.as_bytes());
    let forward = memmem::Finder::new(if before.is_empty() { after } else { before });
    let mut found: Vec<Vec<u8>> = Vec::new();
    windows(content, &mut |window| {
        for hit in forward.find_iter(window.bytes) {
            let text = if before.is_empty() {
                window.string_before(hit).filter(|_| window.bytes.get(hit + after.len()) == Some(&0))
            } else {
                window.text_after(hit + before.len(), after)
            };
            if let Some(text) = text.filter(|text| !found.iter().any(|known| known == text)) {
                found.push(text.to_vec());
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// A piece of a file. Two that follow each other share more bytes than the longest text that is looked for, so that
/// what is cut off in one is whole in the other.
struct Window<'a> {
    bytes: &'a [u8],
    first: bool,
}

impl<'a> Window<'a> {
    /// The string that ends at `end`; none when it may begin before this piece.
    fn string_before(&self, end: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(end.saturating_sub(LONGEST)..end)?;
        match memchr::memrchr(0, bytes) {
            Some(nul) => bytes.get(nul + 1..),
            None => (self.first && end <= LONGEST).then_some(bytes),
        }
    }

    /// What stands from `start` up to `after`, or up to a NUL when that is empty.
    fn text_after(&self, start: usize, after: &[u8]) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(start..)?;
        let string = bytes.get(..memchr::memchr(0, bytes)?)?;
        let end = if after.is_empty() { string.len() } else { memmem::find(string, after)? };
        string.get(..end).filter(|text| text.len() <= LONGEST)
    }
}

type Look<'l> = dyn FnMut(Window<'_>) -> ControlFlow<()> + 'l;

fn windows(content: &Content, look: &mut Look<'_>) -> io::Result<()> {
    const SHARED: usize = 4 * LONGEST;
    let reader = content.open()?;
    let whole = usize::try_from(reader.size()).unwrap_or(usize::MAX);
    let mut buffer = vec![0; whole.min(WINDOW)];
    let mut offset = 0;
    loop {
        let mut held = 0;
        while held < buffer.len() {
            match reader.read_at(&mut buffer[held..], offset + held as u64)? {
                0 => break,
                more => held += more,
            }
        }
        let at_end = offset + held as u64 >= reader.size() || held < buffer.len();
        let window = Window { bytes: &buffer[..held], first: offset == 0 };
        if look(window).is_break() || at_end {
            return reader.finish();
        }
        offset += (held - SHARED) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_lies_across_two_windows() {
        for at in [0, 1, WINDOW - 30, WINDOW - 5, WINDOW, 2 * WINDOW - 4 * LONGEST - 10, 3 * WINDOW] {
            let mut bytes = vec![0; at];
            bytes.extend_from_slice(b"OPENSSLDIR: \"/usr/lib/ssl\"\0/usr/lib/gconv/gconv-modules.cache\0end");
            let content = Content::bytes(bytes);
            let around = |text: &str| Around::try_from(text.to_owned()).unwrap();
            let openssl = between(&content, &around("OPENSSLDIR: \"{}\"")).unwrap();
            assert_eq!(openssl, [b"/usr/lib/ssl".to_vec()], "at {at}");
            let gconv = between(&content, &around("{}/gconv-modules.cache")).unwrap();
            assert_eq!(gconv, [b"/usr/lib/gconv".to_vec()], "at {at}");
            assert_eq!(which(&content, &["OPENSSLDIR", "absent"]).unwrap(), BTreeSet::from(["OPENSSLDIR"]));
        }
    }
}
