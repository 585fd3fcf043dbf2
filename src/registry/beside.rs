//! Tags that many write, each beside what others put there: signatures under `sha256-HEX.sig`, the form that is older
//! than referrers. Nothing in a registry adds to a tag, so that what was written is read again until it stays.

use super::client::{Client, Registry, lock};
use super::manifest::NotTaken;
use super::{Document, Job, Remote, Repository, WRONG_CONTENT};
use crate::report::{Diagnostic, Error, Result};

/// How often a tag is written anew when others write it, too.
pub(super) const MOST_ROUNDS: u32 = 20;

/// The part of the pause after a failed request that others are given to overwrite what was written: a tenth of a
/// second.
const SHARE: u32 = 5;

impl Client {
    /// Writes what a tag is to be, in place of what it was by its `etag`. Registries that know this condition refuse
    /// what another writer has overtaken, which is no failure: the tag is read again in any case.
    pub(super) fn put_over(
        &self,
        registry: &Registry,
        place: &Remote,
        document: &Document,
        etag: Option<String>,
    ) -> Result<(), NotTaken> {
        let condition = etag.map(|etag| ("If-Match", etag));
        match self.put_manifest(registry, place, document, condition.as_slice()) {
            Ok(_) | Err(NotTaken::Overtaken(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Writes each of `all` under its tag, beside what is there. `merged` makes one of both, and `None` when all of it
    /// is there; `job` is what has to be pushed of that, whose last document is tagged. All tags are read again
    /// together.
    ///
    /// # Errors
    /// When the registry does not take it, or others overwrite it again and again.
    pub fn push_beside<T>(
        &self,
        to: &Repository,
        all: &[(&str, &T)],
        merged: impl Fn(&T, Option<&[u8]>) -> Option<T>,
        job: impl for<'t> Fn(&'t T) -> Job<'t>,
    ) -> Result<()> {
        let registry = self.registry(to)?;
        // What is long on its way goes first: between reading a tag and writing it others should have no time.
        for (_, own) in all {
            self.push_blobs(to, &job(own))?;
        }
        let mut left = all.to_vec();
        for round in 0..MOST_ROUNDS {
            let mut written = Vec::new();
            for (tag, own) in left {
                let place = Remote { repository: to.clone(), tag: Some(tag.to_owned()), digest: None };
                // Threads of this process wait for one another.
                let turn = self.turn(&place);
                let _turn = lock(&turn);
                let found = self.found(self.manifest_and_etag(&place))?;
                let Some(both) = merged(own, found.as_ref().map(|(manifest, _)| manifest.bytes.as_slice())) else {
                    continue;
                };
                let job = job(&both);
                let Some(document) = job.documents.last() else { return Err(Error::internal("nothing to push")) };
                self.push_blobs(to, &job)?;
                match self.put_over(&registry, &place, document, found.and_then(|(_, etag)| etag)) {
                    Ok(()) => {}
                    Err(NotTaken::BlobUnknown(_)) if round + 1 < MOST_ROUNDS => drop(self.push_blobs_anew(to, &job)?),
                    Err(other) => return Err(other.into_error()),
                }
                written.push((tag, own));
            }
            left = written;
            if left.is_empty() {
                return Ok(());
            }
            // Who had read before this was written writes within a moment; whoever was lost by that sees it then.
            std::thread::sleep(self.pause(1, None) / SHARE * (round + 1).min(4));
        }
        let tags: Vec<String> = left.iter().map(|(tag, _)| format!("`{tag}`")).collect();
        Err(Diagnostic::error(
            WRONG_CONTENT,
            format!("{} of `{to}` are written by others again and again", tags.join(", ")),
        )
        .help("push again in a while")
        .into())
    }
}
