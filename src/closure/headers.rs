//! ELF files by identity: contents in, what their headers, symbols and strings say out. Each file's headers are read
//! once for all closures that share them; nothing is kept of its bytes.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::{Bytes, FatalReason, Unreadable, glibc};
use crate::elf::{self, DlopenHints, Hardening, Object, ParseError, Versions};
use crate::source::{Content, ContentId, Reader, Stamp};

/// What is known of ELF files. Made once for a build and handed to each of its closures.
#[derive(Default)]
pub struct Headers {
    facts: Cells<Facts>,
    whole: Cells<Result<Box<[u8]>, Arc<str>>>,
    imports: Cells<Result<Imports, Arc<str>>>,
    /// What stands in loaders like a list of directories.
    directories: Cells<Vec<Vec<Bytes>>>,
    files_read: AtomicUsize,
    bytes_read: AtomicU64,
}

/// The names that a file asks other objects for.
pub type Imports = Arc<BTreeSet<Arc<[u8]>>>;

/// Which file, as it was when it was looked at: one that changed since is another.
type FileKey = (ContentId, Option<Stamp>);

/// Answers by file. Threads that ask for one at the same time wait for the first, so that nothing is read twice.
type Cells<V> = RwLock<HashMap<FileKey, Arc<OnceLock<Arc<V>>>>>;

/// What is known of a file.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) content: Content,
    pub(super) elf: Result<Arc<Object>, NoElf>,
    versions: OnceLock<Versions>,
}

/// Why a file is no ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoElf {
    /// It is shorter than a header.
    TooShort,
    /// It does not begin as one.
    Other,
    /// Its class is none that exists.
    Class,
    /// Its byte order is none that exists.
    Endian,
    /// It could not be read.
    Unreadable(Arc<str>),
}

impl NoElf {
    /// What that stands for where the file at `path` decides something; None when it is known to be no ELF file.
    pub(super) fn unreadable(&self, path: &[u8]) -> Option<FatalReason> {
        match self {
            Self::Unreadable(why) => {
                Some(FatalReason::Unreadable(Unreadable { place: Bytes::from(path), why: Arc::clone(why) }))
            }
            Self::TooShort | Self::Other | Self::Class | Self::Endian => None,
        }
    }
}

impl Headers {
    /// How many files were looked into.
    pub fn files_read(&self) -> usize {
        self.files_read.load(Ordering::Relaxed)
    }

    /// How many bytes were read of them.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// What a file's headers say; `None` when it is no ELF file.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn object(&self, content: &Content) -> io::Result<Option<Arc<Object>>> {
        match &self.facts(content).elf {
            Ok(object) => Ok(Some(Arc::clone(object))),
            Err(NoElf::Unreadable(why)) => Err(io::Error::other(why.to_string())),
            Err(NoElf::TooShort | NoElf::Other | NoElf::Class | NoElf::Endian) => Ok(None),
        }
    }

    /// The names that a file asks other objects for; none when it is no ELF file.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn imports(&self, content: &Content) -> io::Result<Imports> {
        let imports = once(&self.imports, content, || {
            let found = self.ask(content, |object, reader| object.imports(reader));
            found.map(Arc::new).map_err(|error| crate::report::plain(&error).into())
        });
        (*imports).clone().map_err(|why| io::Error::other(why.to_string()))
    }

    /// How a file is hardened; `None` when it is no ELF file.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn hardening(&self, content: &Content) -> io::Result<Option<Hardening>> {
        self.ask(content, |object, reader| object.hardening(reader).map(Some))
    }

    /// Whether a file was compiled by Go.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn is_go(&self, content: &Content) -> io::Result<bool> {
        self.ask(content, |object, reader| object.is_go(reader))
    }

    /// The version of the architecture that a file for 32-bit Arm needs; `None` when it does not say.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn arm_version(&self, content: &Content) -> io::Result<Option<u32>> {
        self.ask(content, |object, reader| object.arm_version(reader))
    }

    /// What a file may load by name; nothing when it is no ELF file.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn dlopen_hints(&self, content: &Content) -> io::Result<DlopenHints> {
        self.ask(content, |object, reader| object.dlopen_hints(reader))
    }

    /// What compilers left in a file about what it was made from; nothing when it is no ELF file.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn build_records(&self, content: &Content) -> io::Result<elf::BuildRecords> {
        self.ask(content, |object, reader| object.build_records(reader))
    }

    /// Asks for more than the headers; what is asked is not kept.
    fn ask<T: Default>(
        &self,
        content: &Content,
        question: impl FnOnce(&Object, &Counted<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.object(content)? {
            Some(object) => question(&object, &self.open(content)?),
            None => Ok(T::default()),
        }
    }

    /// What is known of a file. It is read at the first question.
    pub(super) fn facts(&self, content: &Content) -> Arc<Facts> {
        once(&self.facts, content, || {
            self.files_read.fetch_add(1, Ordering::Relaxed);
            let parsed = self.open(content).map_err(ParseError::Io).and_then(|reader| Object::parse(&reader));
            let elf = parsed.map(Arc::new).map_err(|error| match error {
                ParseError::TooShort => NoElf::TooShort,
                ParseError::NotElf => NoElf::Other,
                ParseError::Class => NoElf::Class,
                ParseError::Endian => NoElf::Endian,
                ParseError::Io(error) => NoElf::Unreadable(crate::report::plain(&error).into()),
            });
            Facts { content: content.clone(), elf, versions: OnceLock::new() }
        })
    }

    /// The symbol versions of a file.
    pub(super) fn versions<'f>(&self, facts: &'f Facts) -> &'f Versions {
        facts.versions.get_or_init(|| {
            let Ok(object) = &facts.elf else { return Versions::default() };
            let read = self.open(&facts.content).and_then(|reader| object.versions(&reader));
            // What can't be read now was read a moment ago: the file changed, which is found out when it is copied.
            read.unwrap_or_default()
        })
    }

    /// Whether a file defines every one of some dynamic symbols.
    pub(super) fn defines(&self, facts: &Facts, names: &[&[u8]]) -> bool {
        let Ok(object) = &facts.elf else { return false };
        let read = self.open(&facts.content).and_then(|reader| object.defines(&reader, names));
        read.unwrap_or(false)
    }

    /// All bytes of a file that is looked through whole, as a loader; or why not, as when it is longer than `limit`.
    /// Kept: there are few of them, and they are small.
    pub(super) fn whole(&self, content: &Content, limit: u64) -> Arc<Result<Box<[u8]>, Arc<str>>> {
        once(&self.whole, content, || {
            let bytes = content.read(limit).map_err(|error| crate::report::plain(&error))?;
            self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(bytes.into_boxed_slice())
        })
    }

    /// What stands in a loader like a list of directories.
    pub(super) fn directories(&self, content: &Content, loader: &[u8]) -> Arc<Vec<Vec<Bytes>>> {
        once(&self.directories, content, || glibc::directories_in(loader))
    }

    fn open(&self, content: &Content) -> io::Result<Counted<'_>> {
        Ok(Counted { reader: content.open()?, count: &self.bytes_read })
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Headers({} files, {} bytes)", self.files_read(), self.bytes_read())
    }
}

/// The answer for a file, found out at the first question.
fn once<V>(cells: &Cells<V>, content: &Content, find: impl FnOnce() -> V) -> Arc<V> {
    content.note_read();
    let key = (content.id(), content.stamp());
    let known = cells.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    let cell = known
        .unwrap_or_else(|| Arc::clone(cells.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_default()));
    Arc::clone(cell.get_or_init(|| Arc::new(find())))
}

impl elf::ReadAt for Reader {
    fn size(&self) -> u64 {
        Reader::size(self)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Reader::read_at(self, buffer, offset)
    }
}

/// A reader that counts.
struct Counted<'a> {
    reader: Reader,
    count: &'a AtomicU64,
}

impl elf::ReadAt for Counted<'_> {
    fn size(&self) -> u64 {
        self.reader.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.reader.read_at(buffer, offset)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
