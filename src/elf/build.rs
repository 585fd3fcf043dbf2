//! What compilers leave in a file about what they made it from: Go's build information, and the list of crates of
//! `cargo auditable`.

use std::io;

use goblin::elf::program_header::{PF_W, PF_X};

use super::Object;
use super::read::{ReadAt, Window};

/// `debug/buildinfo`: stands at a multiple of 16.
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// How much of a segment is looked through for it.
const BEGINNING: usize = 64 << 10;
/// The most that such a record may be long: a thousand modules take a hundred kilobytes.
const LONGEST: usize = 4 << 20;
/// Where the strings begin behind the magic bytes, in the form that Go writes since 1.18.
const INLINE_STRINGS: usize = 32;

/// What compilers left in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildRecords {
    /// Go's build information.
    pub go: Option<GoBuild>,
    /// The bytes of `.dep-v0`: JSON, compressed by zlib.
    pub crates: Option<Vec<u8>>,
}

/// Go's build information.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GoBuild {
    /// The compiler's version, as `go1.22.1`.
    pub version: String,
    /// The module of the main package.
    pub main: Option<GoModule>,
    /// The modules that it was built from, as replaced.
    pub modules: Vec<GoModule>,
}

/// A module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoModule {
    /// Its path.
    pub path: String,
    /// Its version, as `v1.2.3`; `(devel)` or empty for what was built from a work tree.
    pub version: String,
}

impl Object {
    /// What compilers left in the file. Records that are damaged are none.
    ///
    /// # Errors
    /// When the file could not be read.
    pub fn build_records<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<BuildRecords> {
        let mut records = BuildRecords::default();
        let names = self.section_names(reader)?;
        let sections = self.sections(reader)?;
        let mut window = Window::new(reader);
        let mut read = |wanted: &[u8]| -> io::Result<Option<Vec<u8>>> {
            let Some((_, section)) = names.iter().zip(&sections).find(|(name, _)| ***name == *wanted) else {
                return Ok(None);
            };
            let length = usize::try_from(section.sh_size).unwrap_or(usize::MAX).min(LONGEST);
            Ok(Some(window.up_to(section.sh_offset, length)?.to_vec()))
        };
        // Names and sections go together only where every section has a name.
        if names.len() == sections.len() {
            records.crates = read(b".dep-v0")?;
            records.go = read(b".go.buildinfo")?.and_then(|bytes| GoBuild::parse(&bytes));
        }
        if records.go.is_none() && (self.notes.go_build_id || names.is_empty()) {
            records.go = self.go_in_data(reader)?;
        }
        Ok(records)
    }

    fn go_in_data<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<Option<GoBuild>> {
        let Some(data) = self.loads.iter().find(|load| load.flags & (PF_W | PF_X) == PF_W) else { return Ok(None) };
        let mut window = Window::new(reader);
        let length = usize::try_from(data.file_size).unwrap_or(usize::MAX);
        let beginning = window.up_to(data.offset, length.min(BEGINNING))?;
        let Some(at) = beginning.chunks(16).position(|chunk| chunk.starts_with(MAGIC)) else { return Ok(None) };
        let bytes = window.up_to(data.offset + 16 * at as u64, (length - 16 * at).min(LONGEST))?;
        Ok(GoBuild::parse(bytes))
    }
}

impl GoBuild {
    /// Parses the record. That of Go before 1.18, which has addresses in place of texts, is passed over.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let flags = *bytes.strip_prefix(MAGIC)?.get(1)?;
        if flags & 2 == 0 {
            return None;
        }
        let mut rest = bytes.get(INLINE_STRINGS..)?;
        let version = text(&mut rest)?;
        let modules = text(&mut rest).unwrap_or_default();
        let mut build = Self { version: String::from_utf8_lossy(version).into_owned(), ..Self::default() };
        // Sixteen bytes stand before and behind, by which a debugger finds the text.
        let inner = modules.get(16..modules.len().saturating_sub(16)).unwrap_or_default();
        for line in String::from_utf8_lossy(inner).lines() {
            let mut words = line.split('\t');
            let kind = words.next().unwrap_or_default();
            let module = || {
                let path = words.next().filter(|path| !path.is_empty())?.to_owned();
                Some(GoModule { path, version: words.next().unwrap_or_default().to_owned() })
            };
            match kind {
                "mod" => build.main = { module }(),
                "dep" => build.modules.extend({ module }()),
                "=>" => {
                    if let (Some(last), Some(by)) = (build.modules.last_mut(), { module }()) {
                        *last = by;
                    }
                }
                _ => {}
            }
        }
        Some(build)
    }
}

/// A text with its length before it, as Go's `binary.PutUvarint` writes it.
fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0_usize;
    for (number, byte) in rest.iter().enumerate().take(5) {
        length |= usize::from(byte & 0x7f) << (7 * number);
        if byte & 0x80 == 0 {
            let text = rest.get(number + 1..(number + 1).checked_add(length)?)?;
            *rest = &rest[number + 1 + length..];
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(modules: &str) -> Vec<u8> {
        let mut bytes = [MAGIC, &[8, 2], &[0; 16]].concat();
        let framed = [&[0xaa; 16][..], modules.as_bytes(), &[0xbb; 16]].concat();
        for text in [b"go1.22.1".as_slice(), &framed] {
            let mut length = text.len();
            while length >= 0x80 {
                bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            bytes.push(u8::try_from(length).unwrap());
            bytes.extend_from_slice(text);
        }
        bytes
    }

    #[test]
    fn modules_are_read_as_replaced() {
        let text = "path\tx.example/app\nmod\tx.example/app\t(devel)\t\ndep\ta.example/b\tv1.0.0\th1:x\n\
            dep\tc.example/d\tv2.0.0\n=>\te.example/f\tv3.0.0\th1:y\nbuild\t-compiler=gc\n";
        let build = GoBuild::parse(&record(text)).unwrap();
        let module = |path: &str, version: &str| GoModule { path: path.to_owned(), version: version.to_owned() };
        assert_eq!((build.version.as_str(), build.main), ("go1.22.1", Some(module("x.example/app", "(devel)"))));
        assert_eq!(build.modules, [module("a.example/b", "v1.0.0"), module("e.example/f", "v3.0.0")]);
    }

    #[test]
    fn damaged_records_are_none_and_no_panic() {
        let whole = record("mod\tx\tv1\n");
        for end in 0..whole.len() {
            let _ = GoBuild::parse(&whole[..end]);
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let _ = GoBuild::parse(&bytes);
        }
    }
}
