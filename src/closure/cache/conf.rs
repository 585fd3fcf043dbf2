//! `ld.so.conf`: the directories that `ldconfig` looks into.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use super::make::list;
use crate::closure::tree::{Looked, Tree};
use crate::closure::{Bytes, Headers};
use crate::source::Source;

/// The file that names the directories.
const CONF: &[u8] = b"/etc/ld.so.conf";
/// How deep files may include each other.
const DEEPEST_INCLUDE: usize = 16;
/// The longest configuration file that is read.
const LONGEST_CONF: u64 = 1 << 20;
/// The most paths that a pattern may match.
const MOST_MATCHES: usize = 10_000;

/// The directories that `/etc/ld.so.conf` and the files that it includes name, in order, as they are written.
pub fn configured_directories(source: &dyn Source) -> Vec<Bytes> {
    let headers = Headers::default();
    let mut conf = Conf { tree: &Tree::new(source, &headers, b"/"), seen: BTreeSet::new(), directories: Vec::new() };
    conf.read(CONF, 0);
    conf.directories
}

struct Conf<'a> {
    tree: &'a Tree<'a>,
    /// Files that were read. A second time they would add nothing, and `ldconfig` runs for ever on a circle.
    seen: BTreeSet<Vec<u8>>,
    directories: Vec<Bytes>,
}

impl Conf<'_> {
    /// Lines of directories; `include` takes patterns, relative to the folder of the file; `hwcap` is of the past.
    fn read(&mut self, path: &[u8], depth: usize) {
        if depth > DEEPEST_INCLUDE || !self.seen.insert(path.to_vec()) {
            return;
        }
        let Looked::Found(place) = self.tree.look(path) else { return };
        let Some(text) = place.content.as_ref().and_then(|content| content.read(LONGEST_CONF).ok()) else { return };
        let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            let mut words = line.split(blank).filter(|word| !word.is_empty());
            match words.next() {
                Some(b"include") => {
                    for pattern in words {
                        self.include(path, pattern, depth);
                    }
                }
                None | Some(b"hwcap") => {}
                // The whole line is the directory, with the blanks in it; behind `=` stands a type of library.
                Some(_) => self.add(line.split(|&byte| byte == b'=').next().unwrap_or_default()),
            }
        }
    }

    fn include(&mut self, path: &[u8], pattern: &[u8], depth: usize) {
        let folder = path.get(..memchr::memrchr(b'/', path).unwrap_or(0)).unwrap_or_default();
        let pattern = if pattern.starts_with(b"/") { pattern.to_vec() } else { [folder, b"/", pattern].concat() };
        for file in glob(self.tree, &pattern) {
            self.read(&file, depth + 1);
        }
    }

    fn add(&mut self, directory: &[u8]) {
        let directory = directory.trim_ascii();
        let end = directory.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        if end > 0 {
            self.directories.push(Arc::from(&directory[..end]));
        }
    }
}

/// The paths that match a pattern, sorted bytewise as in the C locale.
fn glob(tree: &Tree<'_>, pattern: &[u8]) -> Vec<Vec<u8>> {
    let mut found = vec![Vec::new()];
    for part in pattern.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for folder in &found {
            if !part.iter().any(|byte| b"*?[\\".contains(byte)) {
                next.push([folder, b"/".as_slice(), part].concat());
                continue;
            }
            let Some(matcher) = matcher(part) else { continue };
            let at = if folder.is_empty() { b"/" } else { folder.as_slice() };
            for (name, _) in list(tree, at) {
                let hidden = name.starts_with(b".") && !part.starts_with(b".");
                if !hidden && matcher.is_match(OsStr::from_bytes(&name)) {
                    next.push([folder, b"/".as_slice(), &name].concat());
                }
            }
        }
        next.truncate(MOST_MATCHES);
        found = next;
    }
    found.sort();
    found
}

fn matcher(pattern: &[u8]) -> Option<GlobMatcher> {
    let pattern = std::str::from_utf8(pattern).ok()?;
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build().ok()?;
    Some(glob.compile_matcher())
}
