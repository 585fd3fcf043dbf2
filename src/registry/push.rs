//! A whole image, or another artifact, on its way into a repository: blobs in parallel, then manifests, the index last
//! of them, then tags. Until the tags move nobody sees anything of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::authorization::Scope;
use super::client::{Client, Registry, lock};
use super::manifest::NotTaken;
use super::transport::Response;
use super::{Blob, IMMUTABLE, Manifest, Remote, Repository, Sent, WRONG_CONTENT};
use crate::oci::Digest;
use crate::report::{Diagnostic, Error, Result};

/// How many blobs are sent at once.
const PARALLEL: usize = 4;

/// A manifest or index that is pushed.
pub type Document = Manifest;

/// What is pushed.
#[derive(Debug, Clone, Default)]
pub struct Job<'a> {
    /// All blobs that the manifests name.
    pub blobs: Vec<Blob<'a>>,
    /// Manifests, each after those that it names: the last is what is tagged.
    pub documents: Vec<Document>,
    /// Tags; without any it is found by its digest alone.
    pub tags: Vec<String>,
    /// Repositories of the same registry that may have the blobs, too.
    pub sources: Vec<Repository>,
}

/// What may be done to tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rules {
    /// A tag that is there is moved.
    #[default]
    Move,
    /// A tag that is there stays, or has the digest already.
    Keep,
}

/// A tag that was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The tag.
    pub tag: String,
    /// The digest that it had before.
    pub before: Option<Digest>,
}

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the last document.
    pub digest: Digest,
    /// The tags that it has now.
    pub tags: Vec<Moved>,
    /// How many blobs were sent, and their bytes.
    pub sent: (usize, u64),
    /// How many were there.
    pub there: usize,
    /// How many were taken over from another repository.
    pub mounted: usize,
}

impl Client {
    /// Pushes to a repository.
    ///
    /// # Errors
    /// When the registry does not take all of it; then no tag has moved, but for those that were set before the one
    /// that was refused.
    pub fn push(&self, to: &Repository, job: &Job<'_>, rules: Rules) -> Result<Pushed> {
        let Some(root) = job.documents.last() else { return Err(Error::internal("nothing to push")) };
        let registry = self.registry(to)?;
        let tags = self.tags(&registry, to, job, root.digest, rules)?;
        let mut pushed = Pushed { digest: root.digest, tags: Vec::new(), sent: (0, 0), there: 0, mounted: 0 };
        self.push_blobs(to, job)?.count(&mut pushed);
        let mut mend = || self.push_blobs_anew(to, job).map(|counts| counts.count(&mut pushed));
        for document in &job.documents {
            let place = Remote { repository: to.clone(), tag: None, digest: Some(document.digest) };
            self.put(&registry, &place, document, &mut mend)?;
        }
        for moved in &tags {
            let place = Remote { repository: to.clone(), tag: Some(moved.tag.clone()), digest: None };
            if moved.before != Some(root.digest) {
                self.put(&registry, &place, root, &mut mend)?;
            }
            self.confirm(&registry, &place, root.digest)?;
        }
        Ok(Pushed { tags, ..pushed })
    }

    /// Gives a manifest that a repository has one more tag, with one request: for tags that many move, of which nobody
    /// minds who was the last.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn set_tag(&self, place: &Remote, document: &Document) -> Result<()> {
        let registry = self.registry(&place.repository)?;
        self.put(&registry, place, document, &mut || Ok(())).map(drop)
    }

    /// Writes a manifest, again while the registry says that it lacks a blob: it may have lost one that it took, or
    /// another client may be sending the same one at this moment, and a registry that keeps its links in plain files
    /// takes a link that is half written for none. Before each further try `mend` sees to it that all blobs are there.
    pub(super) fn put(
        &self,
        registry: &Registry,
        place: &Remote,
        document: &Document,
        mend: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Response> {
        let mut attempt = 1;
        loop {
            match self.put_manifest(registry, place, document, &[]) {
                Ok(response) => return Ok(response),
                Err(NotTaken::BlobUnknown(_)) if attempt < self.pace.tries => {
                    if attempt > 1 {
                        std::thread::sleep(self.pause(attempt - 1, None));
                    }
                    mend()?;
                    attempt += 1;
                }
                Err(other) => return Err(other.into_error()),
            }
        }
    }

    /// The tags and what they have now, before anything is sent.
    fn tags(
        &self,
        registry: &Registry,
        to: &Repository,
        job: &Job<'_>,
        digest: Digest,
        rules: Rules,
    ) -> Result<Vec<Moved>> {
        let scope = Scope::push(to);
        let mut moved = Vec::new();
        for tag in &job.tags {
            let place = Remote { repository: to.clone(), tag: Some(tag.clone()), digest: None };
            let before = self.digest_in(registry, &place, &scope, &format!("say what tag `{tag}` of `{to}` is"))?;
            if let Some(before) = before.filter(|before| rules == Rules::Keep && *before != digest) {
                return Err(Diagnostic::error(
                    IMMUTABLE,
                    format!("tag `{tag}` of `{to}` is there already, and is not moved"),
                )
                .note(format!("it is `{before}`, and would become `{digest}`"))
                .help("give the image a new tag, or leave `--immutable` out")
                .into());
            }
            moved.push(Moved { tag: tag.clone(), before });
        }
        Ok(moved)
    }

    /// Whether a tag has the digest that it was just given.
    fn confirm(&self, registry: &Registry, place: &Remote, digest: Digest) -> Result<()> {
        match self.digest_in(registry, place, &Scope::push(&place.repository), &format!("say what `{place}` is"))? {
            Some(found) if found == digest => Ok(()),
            found => {
                let found = found.map_or("not there".to_owned(), |found| format!("`{found}`"));
                Err(Diagnostic::error(WRONG_CONTENT, format!("`{place}` is {found} after it was pushed as `{digest}`"))
                    .help("another push may have moved it meanwhile: push again, or by another tag")
                    .into())
            }
        }
    }

    /// Brings the blobs of a job into a repository that was known to have them.
    pub(super) fn push_blobs_anew(&self, to: &Repository, job: &Job<'_>) -> Result<Counts> {
        job.blobs.iter().for_each(|blob| self.forget(to, blob.digest));
        self.push_blobs(to, job)
    }

    /// Brings the blobs of a job into a repository, several at once.
    pub(super) fn push_blobs(&self, to: &Repository, job: &Job<'_>) -> Result<Counts> {
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(Sent, u64)>> = Mutex::default();
        let failed: Mutex<Option<Error>> = Mutex::default();
        let worker = || {
            while let Some(blob) = job.blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if lock(&failed).is_some() {
                    return;
                }
                match self.push_blob(to, blob, job.sources.first()) {
                    Ok(sent) => lock(&done).push((sent, blob.size)),
                    Err(error) => {
                        lock(&failed).get_or_insert(error);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(job.blobs.len()) {
                scope.spawn(worker);
            }
        });
        if let Some(error) = lock(&failed).take() {
            return Err(error);
        }
        let done = std::mem::take(&mut *lock(&done));
        Ok(Counts(done))
    }
}

/// How blobs came into a repository, with their sizes.
pub(super) struct Counts(Vec<(Sent, u64)>);

impl Counts {
    fn count(self, pushed: &mut Pushed) {
        for (sent, size) in self.0 {
            match sent {
                Sent::There => pushed.there += 1,
                Sent::Mounted => pushed.mounted += 1,
                Sent::Uploaded => {
                    pushed.sent.0 += 1;
                    pushed.sent.1 += size;
                }
            }
        }
    }
}
