//! One blob on its way into a repository: looked for, taken over from another repository, or sent; gone on with where
//! the connection broke.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::authorization::Scope;
use super::client::{Ask, Client, Registry, Trouble, is_passing, lock, nothing, onward};
use super::manifest::wrong_blob;
use super::pull::blob_url;
use super::refusal::said;
use super::transport::{Body, Failure, Response};
use super::url::Url;
use super::{Elsewhere, Repository};
use crate::oci::{BadStore, Digest, Store, Stored};
use crate::report::{Error, Result};

/// How much is sent at once to a registry that does not take a blob whole.
const CHUNK: u64 = 32 << 20;
/// How often one blob may break, even when the registry has more of it each time.
const MOST_BREAKS: u32 = 200;

/// A blob that a repository is to have.
#[derive(Debug, Clone)]
pub struct Blob<'a> {
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
    /// Where they are.
    pub content: Content<'a>,
}

/// Where the bytes of a blob are.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// Here.
    Bytes(&'a [u8]),
    /// In a file that holds nothing else.
    File(&'a Path),
    /// In a file of a layout or archive.
    Stored(Stored),
    /// In another registry, from where it is fetched if it has to be sent.
    Kept(&'a Store, Digest),
    /// In another repository, from where it is fetched if it has to be sent.
    Elsewhere(&'a Elsewhere),
}

impl Content<'_> {
    fn open(&self, from: u64) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Bytes(bytes) => {
                Box::new(bytes.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default())
            }
            Self::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(from))?;
                Box::new(file)
            }
            Self::Stored(stored) => Box::new(stored.clone().skipping(from)),
            Self::Kept(store, digest) => match store.blob(*digest) {
                Ok(stored) => Box::new(stored.skipping(from)),
                Err(BadStore::Io(error)) => return Err(error),
                Err(error) => return Err(io::Error::other(error.to_string())),
            },
            Self::Elsewhere(elsewhere) => {
                let mut file = tempfile::tempfile()?;
                let fetched = elsewhere.fetch(&mut file, "a temporary file".as_ref());
                fetched.map_err(|error| io::Error::other(error.to_string()))?;
                file.seek(SeekFrom::Start(from))?;
                Box::new(file)
            }
        })
    }
}

/// How a repository came to a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It had it.
    There,
    /// It took it over from another repository of the registry.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// A reader that keeps its own failure apart from those of the connection.
struct Watched<'a> {
    inner: Box<dyn Read + 'a>,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let kind = error.kind();
            *lock(&self.failed) = Some(error);
            kind.into()
        })
    }
}

/// An upload that a registry has begun.
struct Session {
    location: Url,
    /// How much of the blob it has.
    offset: u64,
    /// The smallest chunk that it takes, but for the last.
    least: u64,
}

/// What came of sending.
enum Step {
    Done,
    /// It can be gone on with, if the registry still knows it.
    Broken(String),
    /// It can't: a new one is to be begun.
    Lost(String),
    /// It does not take blobs whole.
    InChunks,
}

impl Client {
    /// Gives a repository a blob.
    ///
    /// # Errors
    /// When the registry does not take it, or its bytes can't be read.
    pub fn push_blob(&self, repository: &Repository, blob: &Blob<'_>, from: Option<&Repository>) -> Result<Sent> {
        let registry = self.registry(repository)?;
        let sent =
            Upload { client: self, registry: &registry, repository, blob, scope: Scope::push(repository) }.run(from)?;
        self.remember(repository, blob.digest);
        Ok(sent)
    }

    /// Has a repository take a blob over from another one of its registry. Says whether it has it now; nothing is sent.
    ///
    /// # Errors
    /// When the registry does not say what it has.
    pub fn take_over(&self, repository: &Repository, digest: Digest, size: u64, from: &Repository) -> Result<bool> {
        let registry = self.registry(repository)?;
        let blob = Blob { digest, size, content: Content::Bytes(&[]) };
        let upload =
            Upload { client: self, registry: &registry, repository, blob: &blob, scope: Scope::push(repository) };
        let is_other = from.registry() == repository.registry() && from != repository;
        // Who has it already says so as well.
        let mounted = is_other.then(|| upload.mount(from));
        if matches!(mounted, Some(Ok(()))) {
            self.remember(from, digest);
        } else {
            if let Some(Err(Some(session))) = mounted {
                upload.abort(&session);
            }
            if !upload.is_there()? {
                return Ok(false);
            }
        }
        self.remember(repository, digest);
        Ok(true)
    }
}

/// The sending of one blob.
struct Upload<'a> {
    client: &'a Client,
    registry: &'a Registry,
    repository: &'a Repository,
    blob: &'a Blob<'a>,
    scope: Scope,
}

impl Upload<'_> {
    fn run(&self, from: Option<&Repository>) -> Result<Sent> {
        if self.client.is_known(self.repository, self.blob.digest) || self.is_there()? {
            return Ok(Sent::There);
        }
        let known = self.client.elsewhere(self.repository, self.blob.digest);
        let from = from
            .or(known.as_ref())
            .filter(|from| from.registry() == self.repository.registry() && *from != self.repository);
        if let Some(from) = from {
            match self.mount(from) {
                Ok(()) => return Ok(Sent::Mounted),
                Err(session) => return self.send(session).map(|()| Sent::Uploaded),
            }
        }
        self.send(None).map(|()| Sent::Uploaded)
    }

    fn what(&self) -> String {
        format!("take blob `{}` into `{}`", self.blob.digest, self.repository)
    }

    fn ask<'b>(
        &'b self,
        what: &'b str,
        method: &'static str,
        url: Url,
        body: &'b dyn Fn() -> Result<Body<'b>>,
    ) -> Ask<'b> {
        Ask { what, method, url, scope: &self.scope, headers: Vec::new(), body }
    }

    /// Whether the repository has it. What can't be said by HEAD is found out by sending.
    fn is_there(&self) -> Result<bool> {
        let what = self.what();
        let ask = self.ask(&what, "HEAD", blob_url(&self.registry.origin, self.repository, self.blob.digest), &nothing);
        let response = self.client.call(self.registry, &ask)?;
        match response.status {
            200 => Ok(response.length().is_none_or(|length| length == 0 || length == self.blob.size)),
            401 => Err(self.client.refused(self.registry, &ask, response)),
            _ => Ok(false),
        }
    }

    /// Asks the registry to take the blob over from another of its repositories. Without that it may have begun an
    /// upload instead.
    fn mount(&self, from: &Repository) -> Result<(), Option<Session>> {
        let what = self.what();
        let scope = Scope { also: vec![from.path().to_owned()], ..self.scope.clone() };
        let url = self.uploads().and("mount", &self.blob.digest.to_string()).and("from", from.path());
        let mut ask = self.ask(&what, "POST", url, &nothing);
        ask.scope = &scope;
        // Who may not read there, or asks a registry that knows no such thing, sends.
        let Ok(response) = self.client.call(self.registry, &ask) else { return Err(None) };
        match response.status {
            201 => Ok(()),
            202 => Err(self.session(&ask, &response).ok()),
            _ => Err(None),
        }
    }

    fn uploads(&self) -> Url {
        Url::new(&self.registry.origin, &format!("/v2/{}/blobs/uploads/", self.repository.path()))
    }

    fn begin(&self) -> Result<Session> {
        let what = self.what();
        let ask = self.ask(&what, "POST", self.uploads(), &nothing);
        let response = self.client.call(self.registry, &ask)?;
        match response.status {
            200..=202 => self.session(&ask, &response),
            _ => Err(self.client.refused(self.registry, &ask, response)),
        }
    }

    fn session(&self, ask: &Ask<'_>, response: &Response) -> Result<Session> {
        let Some(location) = response.header("location") else {
            return Err(wrong_blob(
                self.repository,
                self.blob.digest,
                "can't be sent: the registry does not say where to",
            ));
        };
        let least = response.header("oci-chunk-min-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Session { location: onward(&ask.url, location, ask)?, offset: 0, least })
    }

    fn send(&self, begun: Option<Session>) -> Result<()> {
        let pace = self.client.pace;
        let (mut session, mut in_chunks, mut attempt, mut furthest) = (begun, false, 1, 0);
        for _ in 0..MOST_BREAKS {
            let mut current = match session.take() {
                Some(session) => session,
                None => self.begin()?,
            };
            let step = if in_chunks {
                let chunk = CHUNK.max(current.least);
                self.chunks(&mut current, chunk)
            } else if current.offset == 0 {
                self.whole(&mut current)
            } else {
                let rest = self.blob.size - current.offset;
                self.chunks(&mut current, rest.max(1))
            }
            .inspect_err(|_| self.abort(&current))?;
            let why = match step {
                Step::Done => return Ok(()),
                Step::InChunks if in_chunks => "does not take chunks, either".to_owned(),
                Step::InChunks => {
                    in_chunks = true;
                    continue;
                }
                Step::Broken(why) => {
                    // The answer may be all that was lost.
                    if self.is_there().unwrap_or(false) {
                        return Ok(());
                    }
                    std::thread::sleep(self.client.pause(attempt, None));
                    session = self.resume(current);
                    why
                }
                Step::Lost(why) => {
                    std::thread::sleep(self.client.pause(attempt, None));
                    why
                }
            };
            let offset = session.as_ref().map_or(0, |session| session.offset);
            attempt = if offset > furthest { 1 } else { attempt + 1 };
            furthest = furthest.max(offset);
            if attempt > pace.tries {
                if let Some(session) = &session {
                    self.abort(session);
                }
                return Err(self.gave_up(&why, attempt - 1));
            }
        }
        Err(self.gave_up("breaks the connection again and again", MOST_BREAKS))
    }

    fn gave_up(&self, why: &str, attempts: u32) -> Error {
        let host = self.repository.registry();
        let error = crate::report::Diagnostic::error(super::UNREACHABLE, format!("`{host}` {why}"));
        error
            .note(format!("asked to {}, {attempts} times without getting further", self.what()))
            .help("pushing again goes on with what is still missing")
            .into()
    }

    /// Where the registry stands in an upload; `None` when it no longer knows it.
    fn resume(&self, session: Session) -> Option<Session> {
        let what = self.what();
        let ask = self.ask(&what, "GET", session.location.clone(), &nothing);
        let response = self.client.call(self.registry, &ask).ok()?;
        if !matches!(response.status, 200..=204) {
            return None;
        }
        let location = match response.header("location") {
            Some(location) => onward(&ask.url, location, &ask).ok()?,
            None => session.location,
        };
        // `0-0` is said of nothing as well as of one byte.
        let end = response
            .header("range")
            .and_then(|range| range.trim_start_matches("bytes=").rsplit('-').next()?.parse().ok());
        let offset = end.filter(|end: &u64| *end > 0).map_or(0, |end| end + 1);
        (offset <= self.blob.size).then_some(Session { location, offset, least: session.least })
    }

    /// Sends all of it in one request.
    fn whole(&self, session: &mut Session) -> Result<Step> {
        let url = session.location.clone().and("digest", &self.blob.digest.to_string());
        self.transfer("PUT", url, 0, self.blob.size, session)
    }

    /// Sends the rest in chunks, and ends the upload.
    fn chunks(&self, session: &mut Session, chunk: u64) -> Result<Step> {
        while session.offset < self.blob.size {
            let count = chunk.min(self.blob.size - session.offset);
            let before = session.offset;
            match self.transfer("PATCH", session.location.clone(), before, count, session)? {
                Step::Done => session.offset = before + count,
                other => return Ok(other),
            }
        }
        let url = session.location.clone().and("digest", &self.blob.digest.to_string());
        self.transfer("PUT", url, self.blob.size, 0, session)
    }

    fn transfer(&self, method: &'static str, url: Url, from: u64, count: u64, session: &mut Session) -> Result<Step> {
        let what = self.what();
        let failed: Arc<Mutex<Option<io::Error>>> = Arc::default();
        let body = || {
            let unreadable = |error: io::Error| Error::io("read", self.blob.digest.to_string().as_ref(), &error);
            let inner = self.blob.content.open(from).map_err(unreadable)?;
            let reader = Watched { inner: Box::new(inner.take(count)), failed: Arc::clone(&failed) };
            Ok(Body::Stream { reader: Box::new(reader), size: count })
        };
        let mut ask = self.ask(&what, method, url, &body);
        ask.headers = vec![("Content-Type", "application/octet-stream".to_owned())];
        if method == "PATCH" {
            ask.headers.push(("Content-Range", format!("{from}-{}", from + count - 1)));
        }
        let answer = self.client.once(self.registry, &ask);
        if let Some(error) = lock(&failed).take() {
            return Err(Error::io("read", self.blob.digest.to_string().as_ref(), &error));
        }
        let response = match answer {
            Ok(response) => response,
            Err(Trouble::Broken(failure)) => return Ok(Step::Broken(failure.to_string())),
            Err(Trouble::Final(error)) => return Err(error),
        };
        self.step(&ask, response, session)
    }

    fn step(&self, ask: &Ask<'_>, response: Response, session: &mut Session) -> Result<Step> {
        match response.status {
            200..=204 => {
                if ask.method == "PATCH" {
                    if let Some(location) = response.header("location") {
                        session.location = onward(&ask.url, location, ask)?;
                    }
                    return Ok(Step::Done);
                }
                match response.header("docker-content-digest") {
                    Some(told) if told != self.blob.digest.to_string() => {
                        let told = crate::path::show(told.as_bytes());
                        Err(wrong_blob(self.repository, self.blob.digest, &format!("was taken as `{told}`")))
                    }
                    _ => Ok(Step::Done),
                }
            }
            status if is_passing(status) => {
                // The registry said how long to wait; the pause of a broken connection follows.
                if response.header("retry-after").is_some() {
                    std::thread::sleep(self.client.pause(1, Some(&response)));
                }
                let (_, words) = said(response);
                let words = if words.is_empty() { String::new() } else { format!(": {words}") };
                Ok(Step::Broken(format!("answers with {status}{words}")))
            }
            404 => Ok(Step::Lost("forgets uploads that it has begun".to_owned())),
            416 => Ok(Step::Lost("does not go on where it says that it stands".to_owned())),
            405 | 411 | 413 if session.offset == 0 && ask.method == "PUT" && self.blob.size > 0 => Ok(Step::InChunks),
            _ => Err(self.client.refused(self.registry, ask, response)),
        }
    }

    /// Tells the registry that an upload will not be ended.
    fn abort(&self, session: &Session) {
        let what = self.what();
        let ask = self.ask(&what, "DELETE", session.location.clone(), &nothing);
        // It forgets them by itself, too.
        let _ = self.client.once(self.registry, &ask);
    }
}

impl Failure {
    /// A body that ended before its time.
    pub(super) fn cut() -> Self {
        super::transport::broken(&io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ends too early"))
    }
}
