//! Blobs: read into a file, held against digest and size, and gone on with where a connection broke.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::authorization::Scope;
use super::client::{Ask, Client, Trouble, is_passing, nothing};
use super::manifest::wrong_blob;
use super::transport::{Failure, Response, broken};
use super::url::Url;
use super::{Repository, WRONG_CONTENT};
use crate::oci::{Digest, Sha256};
use crate::report::{Diagnostic, Error, Result};

/// How often one transfer may break, even when some of it comes each time.
const MOST_BREAKS: u32 = 200;

/// How much of a blob is there.
struct Progress<'a> {
    file: &'a mut File,
    path: &'a Path,
    hash: Sha256,
}

impl Progress<'_> {
    fn done(&self) -> u64 {
        self.hash.size()
    }

    /// Takes what comes. A failure of the registry's is inside.
    fn take(&mut self, mut from: impl Read, most: u64) -> Result<Result<(), Failure>> {
        let mut buffer = vec![0; 256 << 10];
        while self.done() <= most {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(Ok(())),
                Ok(count) => {
                    self.hash.update(&buffer[..count]);
                    self.file.write_all(&buffer[..count]).map_err(|error| Error::io("write", self.path, &error))?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Err(broken(&error))),
            }
        }
        Ok(Ok(()))
    }

    fn restart(&mut self) -> Result<()> {
        self.hash = Sha256::default();
        let rewound = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        rewound.map(drop).map_err(|error| Error::io("write", self.path, &error))
    }
}

impl Client {
    /// Whether a repository has a blob.
    ///
    /// # Errors
    /// When the registry does not say.
    pub fn has_blob(&self, repository: &Repository, digest: Digest) -> Result<bool> {
        let registry = self.registry(repository)?;
        let (scope, what) = (Scope::pull(repository), format!("say whether it has blob `{digest}`"));
        let url = blob_url(&registry.origin, repository, digest);
        let ask = Ask { what: &what, method: "HEAD", url, scope: &scope, headers: Vec::new(), body: &nothing };
        let response = self.call(&registry, &ask)?;
        match response.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(&registry, &ask, response)),
        }
    }

    /// Reads a small blob whole.
    ///
    /// # Errors
    /// When the registry does not give it, or it is larger than `most` bytes.
    pub fn blob_bytes(&self, repository: &Repository, digest: Digest, most: u64) -> Result<Vec<u8>> {
        let mut file =
            tempfile::tempfile().map_err(|error| Error::io("create", "a temporary file".as_ref(), &error))?;
        self.fetch(repository, digest, Size::AtMost(most), &mut file, "a temporary file".as_ref())?;
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes));
        read.map_err(|error| Error::io("read", "a temporary file".as_ref(), &error))?;
        Ok(bytes)
    }

    /// Reads a blob of a known size into an empty file, which errors call `path`.
    ///
    /// # Errors
    /// When the registry does not give it, what it gives is not of that digest and size, or the file can't be written.
    pub fn blob(&self, repository: &Repository, digest: Digest, size: u64, file: &mut File, path: &Path) -> Result<()> {
        self.fetch(repository, digest, Size::Exactly(size), file, path)
    }

    /// Reads parts of a blob into a file, each to its place in the blob; errors call the file `path`. `ranges` ascend
    /// and are apart. **What comes is held against nothing**: the digest is that of the whole.
    ///
    /// A registry that knows no ranges gives all of the blob. Then it is read up to the end of the last range; `false`
    /// when that is at more than `most` bytes, and nothing is read.
    ///
    /// # Errors
    /// When the registry does not give them, or others, or the file can't be written.
    pub fn blob_parts(
        &self,
        repository: &Repository,
        digest: Digest,
        (ranges, most): (&[Range<u64>], u64),
        (file, path): (&File, &Path),
    ) -> Result<bool> {
        let registry = self.registry(repository)?;
        let (scope, what) = (Scope::pull(repository), format!("give parts of blob `{digest}` of `{repository}`"));
        let end = ranges.last().map_or(0, |last| last.end);
        for range in ranges {
            let mut at = range.start;
            let (mut attempt, mut breaks) = (1, 0);
            while at < range.end {
                let headers = vec![("Range", format!("bytes={at}-{}", range.end - 1))];
                let url = blob_url(&registry.origin, repository, digest);
                let ask = Ask { what: &what, method: "GET", url, scope: &scope, headers, body: &nothing };
                let before = at;
                let failure = match self.once(&registry, &ask) {
                    Ok(response) if is_passing(response.status) && attempt < self.pace.tries => {
                        std::thread::sleep(self.pause(attempt, Some(&response)));
                        attempt += 1;
                        continue;
                    }
                    Ok(response) if response.status == 206 => {
                        if range_start(&response) != Some(at) {
                            return Err(wrong_blob(repository, digest, "is given from another byte than asked for"));
                        }
                        save(response.into_reader(range.end - at), file, path, &mut at)?
                    }
                    Ok(response) if response.status == 200 => {
                        if end > most {
                            return Ok(false);
                        }
                        let mut whole = 0;
                        let saved = save(response.into_reader(end), file, path, &mut whole)?;
                        if whole == end {
                            return Ok(true);
                        }
                        saved
                    }
                    Ok(response) if response.status == 416 => {
                        return Err(wrong_blob(repository, digest, &format!("has no {} bytes", range.end)));
                    }
                    Ok(response) => return Err(self.refused(&registry, &ask, response)),
                    Err(Trouble::Broken(failure)) => Some(failure),
                    Err(Trouble::Final(error)) => return Err(error),
                };
                breaks += 1;
                let last = breaks >= MOST_BREAKS || (at == before && attempt >= self.pace.tries);
                match failure {
                    _ if at == range.end => {}
                    // Less than was asked for, in good order: registries may do that.
                    None if at > before && !last => attempt = 1,
                    failure if last => {
                        return Err(Self::gave_up(&ask, &failure.unwrap_or_else(Failure::cut), attempt.max(breaks)));
                    }
                    _ => {
                        attempt = if at > before { 1 } else { attempt };
                        std::thread::sleep(self.pause(attempt, None));
                        attempt += 1;
                    }
                }
            }
        }
        Ok(true)
    }

    fn fetch(&self, repository: &Repository, digest: Digest, size: Size, file: &mut File, path: &Path) -> Result<()> {
        let registry = self.registry(repository)?;
        let (scope, what) = (Scope::pull(repository), format!("give blob `{digest}` of `{repository}`"));
        let mut progress = Progress { file, path, hash: Sha256::default() };
        let (mut attempt, mut breaks) = (1, 0);
        loop {
            let before = progress.done();
            let headers = if before > 0 { vec![("Range", format!("bytes={before}-"))] } else { Vec::new() };
            let url = blob_url(&registry.origin, repository, digest);
            let ask = Ask { what: &what, method: "GET", url, scope: &scope, headers, body: &nothing };
            let failure = match self.once(&registry, &ask) {
                Ok(response) if is_passing(response.status) && attempt < self.pace.tries => {
                    std::thread::sleep(self.pause(attempt, Some(&response)));
                    attempt += 1;
                    continue;
                }
                Ok(response) => {
                    if !matches!(response.status, 200 | 206) {
                        return Err(self.refused(&registry, &ask, response));
                    }
                    if !continues(&response, before) {
                        progress.restart()?;
                    }
                    let told = response.length().map(|length| length + progress.done());
                    if let Some(told) = told.filter(|told| !size.fits(*told)) {
                        return Err(wrong_blob(
                            repository,
                            digest,
                            &format!("has {told} bytes, and is listed with {size}"),
                        ));
                    }
                    match progress.take(response.into_reader(u64::MAX), size.most())? {
                        Ok(()) if progress.done() > size.most() => {
                            return Err(wrong_blob(repository, digest, &format!("has more bytes than {size}")));
                        }
                        Ok(()) if size.fits(progress.done()) => return finish(progress, repository, digest),
                        // It ended too early, in good order: nobody said how long it is.
                        Ok(()) => Failure::cut(),
                        Err(failure) => failure,
                    }
                }
                Err(Trouble::Broken(failure)) => failure,
                Err(Trouble::Final(error)) => return Err(error),
            };
            breaks += 1;
            if progress.done() > before {
                attempt = 1;
            } else if attempt >= self.pace.tries {
                return Err(Self::gave_up(&ask, &failure, attempt));
            }
            if breaks >= MOST_BREAKS {
                return Err(Self::gave_up(&ask, &failure, breaks));
            }
            std::thread::sleep(self.pause(attempt, None));
            attempt += 1;
        }
    }
}

fn finish(progress: Progress<'_>, repository: &Repository, digest: Digest) -> Result<()> {
    let found = progress.hash.finish();
    if found == digest {
        return Ok(());
    }
    let error = Diagnostic::error(WRONG_CONTENT, format!("blob `{digest}` of `{repository}` has the digest `{found}`"));
    Err(error.note("the registry, or something before it, has other bytes under that name").into())
}

/// Writes what comes, from a place on, which goes along. A failure of the registry's is inside.
fn save(mut from: impl Read, file: &File, path: &Path, at: &mut u64) -> Result<Option<Failure>> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => {
                file.write_all_at(&buffer[..count], *at).map_err(|error| Error::io("write", path, &error))?;
                *at += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Some(broken(&error))),
        }
    }
}

/// Whether an answer goes on where the last one broke.
fn continues(response: &Response, from: u64) -> bool {
    from == 0 || (response.status == 206 && range_start(response) == Some(from))
}

/// The first byte of the part that an answer gives.
fn range_start(response: &Response) -> Option<u64> {
    response.header("content-range")?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

pub(super) fn blob_url(origin: &super::url::Origin, repository: &Repository, digest: Digest) -> Url {
    Url::new(origin, &format!("/v2/{}/blobs/{digest}", repository.path()))
}

/// What is known of a blob's size.
#[derive(Debug, Clone, Copy)]
enum Size {
    Exactly(u64),
    AtMost(u64),
}

impl Size {
    fn most(self) -> u64 {
        match self {
            Self::Exactly(size) | Self::AtMost(size) => size,
        }
    }

    fn fits(self, size: u64) -> bool {
        match self {
            Self::Exactly(exact) => size == exact,
            Self::AtMost(most) => size <= most,
        }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(size) => write!(f, "{size}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}
