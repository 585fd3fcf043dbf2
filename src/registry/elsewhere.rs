//! A blob that a repository has, and that is fetched only when somebody wants its bytes.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::{Client, Repository};
use crate::oci::Digest;
use crate::report::Result;

/// A blob of a repository.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    client: Arc<Client>,
    /// The repository that has it.
    pub repository: Repository,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

impl Elsewhere {
    /// A blob of which a repository says that it has it.
    pub fn new(client: &Arc<Client>, repository: &Repository, digest: Digest, size: u64) -> Self {
        Self { client: Arc::clone(client), repository: repository.clone(), digest, size }
    }

    /// Fetches it into an empty file, which errors call `path`.
    ///
    /// # Errors
    /// When the registry does not give it, what it gives is not of that digest and size, or the file can't be written.
    pub fn fetch(&self, file: &mut File, path: &Path) -> Result<()> {
        self.client.blob(&self.repository, self.digest, self.size, file, path)?;
        // Other repositories of the registry can take it over from there.
        self.client.remember(&self.repository, self.digest);
        Ok(())
    }
}
