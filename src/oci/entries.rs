//! Reading the tar archives that others made: layers, and images in one file.
//!
//! In: a stream. Out: its [`Entry`]s, one by one, with their data. What two programs would read in two ways is an
//! error, never repaired; memory does not grow with what the stream claims.

use std::io::{self, Read};

use super::number;
use super::pax::{self, Records};

/// The unit of tar.
const BLOCK: usize = 512;
/// The most bytes of a PAX header or a GNU long name: attributes have 64 KiB each at most, on Linux.
const MOST_EXTENDED: u64 = 1 << 20;

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name as it stands there: bytes, a folder's mostly with a `/` at its end.
    pub path: Vec<u8>,
    /// Its kind.
    pub kind: Kind,
    /// The twelve permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u64,
    /// Numeric group.
    pub gid: u64,
    /// Modification time, whole seconds since 1970.
    pub mtime: i64,
    /// Bytes of data.
    pub size: u64,
    /// Extended attributes, by name.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

/// The kinds of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// Another name of an earlier one.
    HardLink(Vec<u8>),
    /// A symbolic link with its text.
    Symlink(Vec<u8>),
    /// A folder.
    Directory,
    /// A device or FIFO.
    Special,
}

/// Why a stream is no archive that everyone reads in one way. Completes "the archive ...".
#[derive(Debug, thiserror::Error)]
pub enum BadTar {
    /// The stream itself can't be read.
    #[error("can't be read: {}", crate::report::plain(.0))]
    Io(#[from] io::Error),
    /// It ends in the middle.
    #[error("ends in the middle, at byte {at}")]
    CutOff {
        /// Where.
        at: u64,
    },
    /// A record breaks the format.
    #[error("has a record at byte {at} that {what}")]
    Bad {
        /// Where the record is.
        at: u64,
        /// What is wrong with it; completes "a record that ...".
        what: &'static str,
    },
}

/// The entries of an archive.
pub struct Entries<R> {
    stream: R,
    /// How many bytes were read.
    position: u64,
    /// Where the data of the current entry ends, and where its padding does.
    data_end: u64,
    next: u64,
    /// The header of the current entry.
    header: [u8; BLOCK],
}

impl<R: Read> Entries<R> {
    /// The entries of the archive in a stream.
    pub fn new(stream: R) -> Self {
        Self { stream, position: 0, data_end: 0, next: 0, header: [0; BLOCK] }
    }

    /// The next entry; `None` at the archive's end.
    ///
    /// # Errors
    /// When the stream can't be read, or is no archive that everyone reads in one way.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, BadTar> {
        let mut records = Records::default();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            self.skip_to(self.next)?;
            let at = self.position;
            let bad = |what| BadTar::Bad { at, what };
            let Some(header) = self.read_header(at)? else {
                let is_dangling = !records.is_empty() || long_name.is_some() || long_link.is_some();
                return if is_dangling { Err(bad("is not there, after one that extends it")) } else { Ok(None) };
            };
            match header[156] {
                b'x' if records.is_empty() => records = pax::parse(&self.extended(&header, at)?).map_err(bad)?,
                b'g' => {
                    if !pax::parse(&self.extended(&header, at)?).map_err(bad)?.is_comment() {
                        return Err(bad("changes all that follow"));
                    }
                }
                b'L' if long_name.is_none() => long_name = Some(until_nul(self.extended(&header, at)?)),
                b'K' if long_link.is_none() => long_link = Some(until_nul(self.extended(&header, at)?)),
                b'x' | b'L' | b'K' => return Err(bad("repeats another")),
                _ => {
                    let entry = entry(&header, &records, long_name, long_link).map_err(bad)?;
                    self.header = header;
                    self.expect_data(entry.size).ok_or_else(|| bad("has a size that is too large"))?;
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// The data of the entry that came last; what is not read of it is skipped.
    pub fn data(&mut self) -> Data<'_, R> {
        Data(self)
    }

    /// The header of the entry that came last, as it stands in the archive; what extends it is left out.
    pub fn header(&self) -> &[u8; BLOCK] {
        &self.header
    }

    /// Where the stream is: after [`Entries::next_entry`], at the first byte of the entry's data.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads to the stream's end. After an archive there are only zeros.
    ///
    /// # Errors
    /// When there is something else, or the stream can't be read.
    pub fn finish(mut self) -> Result<(), BadTar> {
        let mut buffer = [0; 8192];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) if buffer[..count].iter().all(|&byte| byte == 0) => self.position += count as u64,
                Ok(_) => return Err(BadTar::Bad { at: self.position, what: "stands behind the archive's end" }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A header that is sound; `None` for the zeros that end an archive.
    fn read_header(&mut self, at: u64) -> Result<Option<[u8; BLOCK]>, BadTar> {
        let mut header = [0; BLOCK];
        self.fill(&mut header)?;
        self.next = self.position;
        if header.iter().all(|&byte| byte == 0) {
            self.fill(&mut header)?;
            return if header.iter().all(|&byte| byte == 0) {
                Ok(None)
            } else {
                Err(BadTar::Bad { at, what: "is zeros in the middle of the archive" })
            };
        }
        let sum: u64 =
            header.iter().enumerate().map(|(i, &b)| u64::from(if (148..156).contains(&i) { b' ' } else { b })).sum();
        if number::unsigned(&header[148..156]) != Some(sum) {
            return Err(BadTar::Bad { at, what: "has a wrong checksum" });
        }
        if !matches!(&header[257..265], b"ustar\x0000" | b"ustar  \0") {
            return Err(BadTar::Bad { at, what: "is neither ustar's nor GNU's" });
        }
        Ok(Some(header))
    }

    /// The data of a header that extends the next one.
    fn extended(&mut self, header: &[u8; BLOCK], at: u64) -> Result<Vec<u8>, BadTar> {
        let size = number::unsigned(&header[124..136]).filter(|&size| size <= MOST_EXTENDED);
        let size = size.ok_or(BadTar::Bad { at, what: "has a size that is too large" })?;
        self.expect_data(size).ok_or(BadTar::Bad { at, what: "has a size that is too large" })?;
        let mut data = Vec::new();
        self.data().read_to_end(&mut data)?;
        if (data.len() as u64) < size {
            return Err(BadTar::CutOff { at: self.position });
        }
        Ok(data)
    }

    fn expect_data(&mut self, size: u64) -> Option<()> {
        self.data_end = self.position.checked_add(size)?;
        self.next = self.data_end.checked_next_multiple_of(BLOCK as u64)?;
        Some(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), BadTar> {
        let mut done = 0;
        while done < buffer.len() {
            match self.stream.read(&mut buffer[done..]) {
                Ok(0) => return Err(BadTar::CutOff { at: self.position }),
                Ok(count) => {
                    done += count;
                    self.position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn skip_to(&mut self, position: u64) -> Result<(), BadTar> {
        let mut buffer = [0; 8192];
        while self.position < position {
            let count = usize::try_from(position - self.position).unwrap_or(usize::MAX).min(buffer.len());
            self.fill(&mut buffer[..count])?;
        }
        Ok(())
    }
}

/// The data of an entry.
pub struct Data<'a, R>(&'a mut Entries<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.0.data_end.saturating_sub(self.0.position)).unwrap_or(usize::MAX);
        let count = buffer.len().min(rest);
        let count = self.0.stream.read(&mut buffer[..count])?;
        self.0.position += count as u64;
        Ok(count)
    }
}

/// An entry from its header and what extends it.
fn entry(
    header: &[u8; BLOCK],
    records: &Records,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
) -> Result<Entry, &'static str> {
    let is_gnu = header[263] == b' ';
    let field = |from: usize, to: usize| until_nul(header[from..to].to_vec());
    let mut path = field(0, 100);
    if !is_gnu && header[345] != 0 {
        path = [field(345, 500), b"/".to_vec(), path].concat();
    }
    // Of a GNU and a PAX name, some programs take the one and some the other.
    if (long_name.is_some() && records.path.is_some()) || (long_link.is_some() && records.link.is_some()) {
        return Err("has two long names");
    }
    let path = records.path.clone().or(long_name).unwrap_or(path);
    let link = records.link.clone().or(long_link).unwrap_or_else(|| field(157, 257));
    let size = number::unsigned(&header[124..136]).ok_or("has a size that is no number")?;
    let size = records.size.unwrap_or(size);
    let kind = match header[156] {
        b'0' | 0 if path.ends_with(b"/") => return Err("is a file with the name of a folder"),
        b'0' | 0 => Kind::File,
        b'1' => Kind::HardLink(link),
        b'2' => Kind::Symlink(link),
        b'3' | b'4' | b'6' => Kind::Special,
        b'5' => Kind::Directory,
        _ => return Err("is of a kind that not every program knows"),
    };
    if kind != Kind::File && size != 0 {
        return Err("has data, which its kind has not");
    }
    if path.is_empty() || path.contains(&0) {
        return Err("has no name");
    }
    let mode = number::unsigned(&header[100..108]).ok_or("has a mode that is no number")?;
    let owner = |from: usize, own: Option<u64>| own.or_else(|| number::unsigned(&header[from..from + 8]));
    Ok(Entry {
        path,
        kind,
        mode: (mode & 0o7777) as u32,
        uid: owner(108, records.uid).ok_or("has an owner that is no number")?,
        gid: owner(116, records.gid).ok_or("has a group that is no number")?,
        mtime: records.mtime.or_else(|| number::signed(&header[136..148])).ok_or("has a time that is no number")?,
        size,
        xattrs: records.xattrs.clone(),
    })
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = memchr::memchr(0, &bytes).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}
