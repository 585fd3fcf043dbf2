//! The bytes of one file, described now and read later: a file of a folder, or bytes made in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::asked::Asked;
use super::host::FolderHandle;
use crate::cache::{self, Key, Stamp};
use crate::path::ImagePath;

/// How much of a file is read at a time when only its hash is wanted.
const LARGEST_READ: u64 = 1 << 20;

/// Where a file's bytes are. Cheap to clone; nothing is held open.
#[derive(Clone)]
pub enum Content {
    /// Bytes made here, as a generated account file.
    Bytes(Arc<[u8]>),
    /// A regular file of a folder, known by what it was when it was looked at.
    File(Arc<HostFile>),
}

/// A regular file of a folder.
pub struct HostFile {
    pub(super) folder: Arc<FolderHandle>,
    pub(super) path: ImagePath,
    pub(super) stamp: Stamp,
    pub(super) links: u64,
    pub(super) asked: Asked,
}

/// Which file: equal for two names of one inode, and for clones of one [`Content`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContentId {
    /// Device and inode.
    Inode(u64, u64),
    /// The address of bytes in memory: distinct while any clone lives.
    Memory(usize),
}

/// The most that [`Content::each_part`] reads at once.
const PART: usize = 128 << 10;

impl Content {
    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(Arc::from(bytes.into()))
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file) => file.stamp.size,
        }
    }

    /// Which file this is.
    pub fn id(&self) -> ContentId {
        match self {
            Self::Bytes(bytes) => ContentId::Memory(bytes.as_ptr().addr()),
            Self::File(file) => ContentId::Inode(file.stamp.device, file.stamp.inode),
        }
    }

    /// What the file was when it was looked at; `None` for bytes in memory.
    pub fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Bytes(_) => None,
            Self::File(file) => Some(file.stamp),
        }
    }

    /// Its modification time in whole seconds; `None` for bytes in memory. What hangs on it does so for good: a build
    /// that asked is not taken for one of a file with another time.
    pub fn time(&self) -> Option<i64> {
        match self {
            Self::Bytes(_) => None,
            Self::File(file) => {
                file.asked.facts().time = true;
                Some(file.stamp.mtime.0)
            }
        }
    }

    /// Whether its content or its state changed after those of another file; `None` where one of them is in memory. The
    /// state's time also tells of a file that was given an old time.
    pub fn is_after(&self, other: &Content) -> Option<bool> {
        let (Self::File(own), Self::File(other)) = (self, other) else { return None };
        let after = own.stamp.is_after(&other.stamp);
        let mut facts = own.asked.facts();
        if Arc::ptr_eq(&own.folder, &other.folder) {
            facts.after.insert(other.path.clone(), after);
        } else {
            facts.bound = true;
        }
        Some(after)
    }

    /// Notes that something is made of its time that can't be found out again.
    pub(crate) fn bind(&self) {
        if let Self::File(file) = self {
            file.asked.facts().bound = true;
        }
    }

    /// Notes that its bytes count, where what was read of them before is known.
    pub fn note_read(&self) {
        if let Self::File(file) = self {
            file.asked.note_read();
        }
    }

    /// The folder of this machine that it was looked at in; `None` for bytes in memory.
    pub fn folder(&self) -> Option<&std::path::Path> {
        match self {
            Self::Bytes(_) => None,
            Self::File(file) => Some(file.folder.path()),
        }
    }

    /// How many names the inode has; 1 for bytes in memory.
    pub fn links(&self) -> u64 {
        match self {
            Self::Bytes(_) => 1,
            Self::File(file) => file.links,
        }
    }

    /// Where it is on this machine, for messages; `None` for bytes in memory.
    pub fn host_path(&self) -> Option<std::path::PathBuf> {
        match self {
            Self::Bytes(_) => None,
            Self::File(file) => Some(file.folder.host_path(&file.path)),
        }
    }

    /// Its path in the folder that it was looked at in; `None` for bytes in memory.
    pub fn place(&self) -> Option<&ImagePath> {
        match self {
            Self::Bytes(_) => None,
            Self::File(file) => Some(&file.path),
        }
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// When it can't be opened, or is no longer the file that was looked at.
    pub fn open(&self) -> io::Result<Reader> {
        let reader = self.open_unchecked()?;
        reader.finish()?;
        Ok(reader)
    }

    /// Opens it for somebody who reads and then asks [`Reader::finish`] whether it was the file that was looked at: a
    /// question less for each of many small files.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open_unchecked(&self) -> io::Result<Reader> {
        self.note_read();
        self.open_to_pack()
    }

    /// As [`Content::open_unchecked`], for what takes the bytes into the image as they are and asks nothing of them.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open_to_pack(&self) -> io::Result<Reader> {
        match self {
            Self::Bytes(bytes) => Ok(Reader::Bytes(Arc::clone(bytes))),
            Self::File(file) => Ok(Reader::File { handle: file.folder.open_file(&file.path)?, stamp: file.stamp }),
        }
    }

    /// Reads it whole.
    ///
    /// # Errors
    /// As [`Content::open`]; also when it is larger than `limit` bytes or changes while it is read.
    pub fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(&mut bytes, limit)?;
        Ok(bytes)
    }

    /// Reads it whole into a buffer, in place of what is there.
    ///
    /// # Errors
    /// As [`Content::read`].
    pub fn read_into(&self, buffer: &mut Vec<u8>, limit: u64) -> io::Result<()> {
        if self.size() > limit {
            return Err(io::Error::other(format!("is larger than {limit} bytes")));
        }
        let reader = self.open_unchecked()?;
        let size = usize::try_from(self.size()).map_err(io::Error::other)?;
        if buffer.is_empty() {
            // Room that comes as zeros from the system costs no time.
            *buffer = vec![0; size];
        } else {
            buffer.resize(size, 0);
        }
        reader.read_exact_at(buffer, 0)?;
        reader.finish()?;
        if let Self::File(file) = self {
            file.asked.note_bytes(buffer);
        }
        Ok(())
    }

    /// Gives all of its bytes, in parts, from the first to the last.
    ///
    /// # Errors
    /// When it can't be read, or is no longer what it was when it was looked at.
    pub fn each_part(&self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let reader = self.open()?;
        let room = usize::try_from(reader.size()).map_or(PART, |size| size.clamp(1, PART));
        let (mut buffer, mut offset) = (vec![0; room], 0);
        loop {
            match reader.read_at(&mut buffer, offset)? {
                0 => return reader.finish(),
                count => {
                    take(&buffer[..count]);
                    offset += count as u64;
                }
            }
        }
    }

    /// The hash of its bytes as they are now, by which other builds know them.
    pub(super) fn hash_now(&self, buffer: &mut Vec<u8>) -> io::Result<Key> {
        let (reader, mut hash, mut at) = (self.open_to_pack()?, cache::ContentKey::default(), 0);
        while at < reader.size() {
            let part = usize::try_from((reader.size() - at).min(LARGEST_READ)).map_err(io::Error::other)?;
            if buffer.len() < part {
                buffer.resize(part, 0);
            }
            reader.read_exact_at(&mut buffer[..part], at)?;
            hash.update(&buffer[..part]);
            at += part as u64;
        }
        reader.finish()?;
        Ok(hash.finish())
    }

    /// The value of an extended attribute, as `security.capability`.
    ///
    /// # Errors
    /// When the file system refuses for another reason than the attribute's absence.
    pub fn xattr(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Bytes(_) => Ok(None),
            Self::File(file) => {
                file.asked.facts().attributes.insert(name.to_owned());
                file.folder.xattr(&file.path, name)
            }
        }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::File(file) => write!(f, "File({}, {})", file.path, file.stamp.size),
        }
    }
}

/// An open [`Content`].
#[derive(Debug)]
pub enum Reader {
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
    /// An open file; [`Reader::finish`] checks it to be the one that was looked at.
    File {
        /// The open file.
        handle: File,
        /// What it was when it was looked at.
        stamp: Stamp,
    },
}

impl Reader {
    /// Size in bytes, as it was when the file was looked at.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { stamp, .. } => stamp.size,
        }
    }

    /// Reads up to `buffer.len()` bytes from `offset`; 0 at the end.
    ///
    /// # Errors
    /// The operating system's.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let count = buffer.len().min(bytes.len() - start);
                buffer[..count].copy_from_slice(&bytes[start..start + count]);
                Ok(count)
            }
            Self::File { handle, .. } => loop {
                match handle.read_at(buffer, offset) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return result,
                }
            },
        }
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// When the file is shorter ("changed while it was read"), or the operating system's.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_at(&mut buffer[done..], offset + done as u64)? {
                0 => return Err(changed()),
                count => done += count,
            }
        }
        Ok(())
    }

    /// Checks, after the last read, that the file is still what it was when it was looked at.
    ///
    /// # Errors
    /// When it changed.
    pub fn finish(&self) -> io::Result<()> {
        match self {
            Self::Bytes(_) => Ok(()),
            Self::File { handle, stamp } => {
                if FolderHandle::stamp_of(handle)? == *stamp {
                    Ok(())
                } else {
                    Err(changed())
                }
            }
        }
    }
}

fn changed() -> io::Error {
    io::Error::other("changed while it was read")
}
