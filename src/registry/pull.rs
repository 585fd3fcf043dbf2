//! Blobs: read into a file, held against digest and size, and gone on with where a connection broke.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
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

/// Whether an answer goes on where the last one broke.
fn continues(response: &Response, from: u64) -> bool {
    let range = response.header("content-range").and_then(|range| range.strip_prefix("bytes "));
    let start = range.and_then(|range| range.split('-').next()?.parse().ok());
    from == 0 || (response.status == 206 && start == Some(from))
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
