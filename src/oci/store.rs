//! Where images are kept in files: a layout folder, or an archive in one of its two forms.
//!
//! In: a path. Out: a [`Store`] that gives blobs by their names. Nothing is trusted: sizes are bounded, digests are
//! strict, and no name in a document leads out of the folder. What a registry holds is fetched into a folder when it is
//! asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entries::{BadTar, Entries, Kind};
use super::{Digest, LIMIT};

/// The most members that an archive may have.
const MOST_MEMBERS: usize = 100_000;

/// A place where images are kept.
#[derive(Debug)]
pub struct Store {
    name: String,
    path: PathBuf,
    files: Files,
    pub(super) only: Option<Only>,
    /// The tag of what is looked at alone.
    called: Option<String>,
}

/// The platform that is looked at alone, and how what an index says is held against it.
pub(super) type Only = (String, fn(&str, &str) -> bool);

/// Brings blobs into the folder of a store that were not there.
pub trait Fetch: std::fmt::Debug + Send + Sync {
    /// Brings one: whole, checked, under its own name.
    ///
    /// # Errors
    /// When it is not to be had.
    fn fetch(&self, digest: Digest) -> Result<(), crate::report::Error>;

    /// The names of all blobs that there are.
    ///
    /// # Errors
    /// When a document that lists them is not to be had.
    fn names(&self) -> Result<Vec<String>, crate::report::Error>;
}

#[derive(Debug)]
enum Files {
    Folder,
    Fetched(Box<dyn Fetch>),
    Archive { file: Arc<File>, members: BTreeMap<String, Member> },
}

#[derive(Debug, Clone)]
enum Member {
    Data {
        offset: u64,
        size: u64,
    },
    /// Docker before 25 stores a layer that two images share once, with links to it.
    Link(String),
}

/// Why a place can't be read as images. Completes "`PATH` ...".
#[derive(Debug, thiserror::Error)]
pub enum BadStore {
    /// The operating system refuses.
    #[error("can't be read: {}", crate::report::plain(.0))]
    Io(#[from] io::Error),
    /// What is to be fetched is not to be had.
    #[error("can't be fetched: {0}")]
    Remote(#[from] crate::report::Error),
    /// It is something else.
    #[error("is no OCI layout and no archive of an image")]
    NotAnImage,
    /// It is an archive, compressed as a whole.
    #[error("is compressed as a whole: decompress it first")]
    Compressed,
    /// The archive breaks its format.
    #[error("is an archive that {0}")]
    Tar(BadTar),
    /// The archive holds two members of one name.
    #[error("is an archive with two members called `{0}`")]
    Twice(String),
    /// The archive has too many members.
    #[error("is an archive with more than {MOST_MEMBERS} members")]
    TooMany,
    /// A file that is named in it is not there.
    #[error("lacks `{0}`")]
    Missing(String),
    /// Something else stands where a file belongs.
    #[error("has `{0}`, which is no file")]
    NotAFile(String),
    /// A document in it does not say what it has to.
    #[error("has a document that is not of its form, `{0}`")]
    Malformed(String),
    /// A document in it is too large.
    #[error("has a document of more than {LIMIT} bytes, `{0}`")]
    TooLarge(String),
}

/// A file of a store: its size, and its bytes as a stream.
#[derive(Debug, Clone)]
pub struct Stored {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl Store {
    /// Opens a layout folder or an archive.
    ///
    /// # Errors
    /// When it is neither, or can't be read.
    pub fn open(path: &Path) -> Result<Self, BadStore> {
        let files = if std::fs::metadata(path)?.is_dir() { Files::Folder } else { archive(path)? };
        let store =
            Self { name: path.display().to_string(), path: path.to_path_buf(), files, only: None, called: None };
        if store.has("index.json") || store.has("manifest.json") { Ok(store) } else { Err(BadStore::NotAnImage) }
    }

    /// A layout in a folder whose blobs are fetched when they are asked for.
    pub fn fetched(name: String, folder: PathBuf, source: Box<dyn Fetch>) -> Self {
        Self { name, path: folder, files: Files::Fetched(source), only: None, called: None }
    }

    /// The same with the images for one platform alone: what indexes list for others is not read. `is_it` holds what an
    /// index says, as `linux/arm64/v8`, against `platform`.
    #[must_use]
    pub fn narrowed(self, platform: String, is_it: fn(&str, &str) -> bool) -> Self {
        Self { only: Some((platform, is_it)), ..self }
    }

    /// The same with what is listed under one tag alone: an image, or those of one index.
    #[must_use]
    pub fn called(self, tag: String) -> Self {
        Self { called: Some(tag), ..self }
    }

    /// Whether something is looked at that is listed under these names, each a tag or one that ends in it.
    pub(super) fn is_called<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        let Some(tag) = &self.called else { return true };
        names.any(|name| has_tag(name, tag))
    }

    /// What the user calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its blobs are fetched when they are asked for.
    pub fn is_fetched(&self) -> bool {
        matches!(self.files, Files::Fetched(_))
    }

    /// The file that a blob is in alone, where it is in one; it may have to be fetched.
    ///
    /// # Errors
    /// When it is not there or can't be fetched.
    pub fn blob_path(&self, digest: Digest) -> Result<Option<PathBuf>, BadStore> {
        self.blob(digest)?;
        let is_folder = matches!(self.files, Files::Folder | Files::Fetched(_));
        Ok(is_folder.then(|| self.path.join(format!("blobs/sha256/{}", digest.hex()))))
    }

    /// Whether it is an OCI layout, be it in an archive; else it is what `docker save` writes.
    pub fn is_layout(&self) -> bool {
        self.has("index.json")
    }

    /// Whether a file of that name is there.
    pub fn has(&self, name: &str) -> bool {
        match &self.files {
            Files::Folder | Files::Fetched(_) => is_inner(name) && self.path.join(name).is_file(),
            Files::Archive { members, .. } => members.contains_key(name),
        }
    }

    /// A file by its name in the store.
    ///
    /// # Errors
    /// When it is not there or can't be read.
    pub fn file(&self, name: &str) -> Result<Stored, BadStore> {
        let missing = || BadStore::Missing(name.to_owned());
        match &self.files {
            Files::Folder | Files::Fetched(_) if is_inner(name) => {
                let path = self.path.join(name);
                if let (Files::Fetched(source), Some(hex)) = (&self.files, name.strip_prefix("blobs/sha256/"))
                    && !path.exists()
                {
                    source.fetch(format!("sha256:{hex}").parse().map_err(|_| missing())?)?;
                }
                // Who opens a FIFO waits for somebody who writes into it.
                let file = match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
                    result => result?,
                };
                let found = file.metadata()?;
                if !found.is_file() {
                    return Err(BadStore::NotAFile(name.to_owned()));
                }
                Ok(Stored { file: Arc::new(file), position: 0, end: found.len() })
            }
            Files::Folder | Files::Fetched(_) => Err(missing()),
            Files::Archive { file, members } => {
                let mut member = members.get(name).ok_or_else(missing)?;
                if let Member::Link(target) = member {
                    member = members.get(target).ok_or_else(missing)?;
                }
                match *member {
                    Member::Data { offset, size } => {
                        Ok(Stored { file: Arc::clone(file), position: offset, end: offset + size })
                    }
                    Member::Link(_) => Err(missing()),
                }
            }
        }
    }

    /// A blob by its digest. Its bytes are not checked.
    ///
    /// # Errors
    /// When it is not there or can't be read.
    pub fn blob(&self, digest: Digest) -> Result<Stored, BadStore> {
        self.file(&format!("blobs/sha256/{}", digest.hex()))
    }

    /// A document, whole.
    ///
    /// # Errors
    /// When it is not there, too large, or can't be read.
    pub fn document(&self, name: &str) -> Result<Vec<u8>, BadStore> {
        let mut file = self.file(name)?;
        if file.size() > LIMIT {
            return Err(BadStore::TooLarge(name.to_owned()));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The names of its blobs, well-formed or not.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn blob_names(&self) -> Result<Vec<String>, BadStore> {
        let prefix = "blobs/sha256/";
        let mut names: Vec<String> = match &self.files {
            Files::Fetched(source) => source.names()?,
            Files::Folder => std::fs::read_dir(self.path.join(prefix))?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<_>>()?,
            Files::Archive { members, .. } => {
                members.keys().filter_map(|name| name.strip_prefix(prefix)).map(str::to_owned).collect()
            }
        };
        names.sort();
        Ok(names)
    }
}

/// Whether a name that an image is listed under is a tag, or a whole name with this tag.
pub fn has_tag(name: &str, tag: &str) -> bool {
    name.strip_suffix(tag).is_some_and(|rest| rest.is_empty() || rest.ends_with(':'))
}

/// Whether a name stays inside the folder. Names come from documents.
fn is_inner(name: &str) -> bool {
    !name.is_empty()
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'))
}

/// Lists the members of an archive.
fn archive(path: &Path) -> Result<Files, BadStore> {
    let file = Arc::new(File::open(path)?);
    let size = file.metadata()?.len();
    let mut magic = [0; 4];
    let is_short = file.read_exact_at(&mut magic, 0).is_err();
    if magic.starts_with(&[0x1f, 0x8b]) || magic == [0x28, 0xb5, 0x2f, 0xfd] {
        return Err(BadStore::Compressed);
    }
    let mut members = BTreeMap::new();
    let mut skipped = 0;
    loop {
        // Data is skipped by its size, not read.
        let stream = Stored { file: Arc::clone(&file), position: skipped, end: size };
        let mut entries = Entries::new(stream);
        let entry = match entries.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(BadTar::Io(error)) => return Err(error.into()),
            Err(_) if members.is_empty() || is_short => return Err(BadStore::NotAnImage),
            Err(error) => return Err(BadStore::Tar(error)),
        };
        let offset = skipped + entries.position();
        skipped = (offset + entry.size).next_multiple_of(512);
        let name = String::from_utf8_lossy(entry.path.strip_prefix(b"./").unwrap_or(&entry.path)).into_owned();
        let member = match entry.kind {
            Kind::File => Member::Data { offset, size: entry.size },
            Kind::Symlink(target) | Kind::HardLink(target) => Member::Link(linked(&name, &target)),
            Kind::Directory | Kind::Special => continue,
        };
        if members.len() == MOST_MEMBERS {
            return Err(BadStore::TooMany);
        }
        if members.insert(name.clone(), member).is_some() {
            return Err(BadStore::Twice(name));
        }
    }
    Ok(Files::Archive { file, members })
}

/// Where a link in an archive leads: `../ID/layer.tar` from `OTHER/layer.tar`.
fn linked(name: &str, target: &[u8]) -> String {
    let target = String::from_utf8_lossy(target);
    match (target.strip_prefix("../"), name.split_once('/')) {
        (Some(rest), Some(_)) => rest.to_owned(),
        _ => target.into_owned(),
    }
}

impl Stored {
    /// How many bytes are left.
    pub fn size(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }

    /// The stream without its first bytes.
    #[must_use]
    pub fn skipping(mut self, bytes: u64) -> Self {
        self.position = self.position.saturating_add(bytes).min(self.end);
        self
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(usize::try_from(self.size()).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..count], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
