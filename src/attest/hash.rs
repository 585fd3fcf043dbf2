//! The hashes of files: all of them in one pass, by all threads, each file once however many names it has.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rayon::prelude::*;
use sha1::Digest as _;

use crate::oci::{Digest, Sha256};
use crate::path::ImagePath;
use crate::report::{Error, Result};
use crate::source::{Content, ContentId};

/// How much is read at once.
const AT_ONCE: usize = 256 << 10;

/// What identifies a file's bytes. SPDX asks for SHA-1 of every file; nothing here relies on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashes {
    /// SHA-256.
    pub sha256: Digest,
    /// SHA-1.
    pub sha1: [u8; 20],
}

/// Hashes files.
pub(super) fn hash(files: &[(&ImagePath, &Content)]) -> Result<BTreeMap<ContentId, Hashes>> {
    let mut distinct: BTreeMap<ContentId, (&ImagePath, &Content)> = BTreeMap::new();
    for (path, content) in files {
        distinct.entry(content.id()).or_insert((path, content));
    }
    // Large ones first, so that none is left for the end.
    let mut work: Vec<_> = distinct.into_iter().collect();
    work.sort_by_key(|(id, (_, content))| (std::cmp::Reverse(content.size()), *id));
    let hashed = work.into_par_iter().with_max_len(8).map_init(Vec::new, |buffer, (id, (path, content))| {
        let hashes = of_content(content, buffer);
        hashes.map(|hashes| (id, hashes)).map_err(|error| Error::io("read", Path::new(&path.to_string()), &error))
    });
    hashed.collect()
}

fn of_content(content: &Content, buffer: &mut Vec<u8>) -> io::Result<Hashes> {
    let reader = content.open()?;
    let (mut sha256, mut sha1) = (Sha256::default(), sha1::Sha1::new());
    let mut offset = 0;
    buffer.resize(AT_ONCE, 0);
    while offset < reader.size() {
        let count = usize::try_from(reader.size() - offset).unwrap_or(usize::MAX).min(AT_ONCE);
        reader.read_exact_at(&mut buffer[..count], offset)?;
        sha256.update(&buffer[..count]);
        sha1.update(&buffer[..count]);
        offset += count as u64;
    }
    reader.finish()?;
    Ok(Hashes { sha256: sha256.finish(), sha1: sha1.finalize().into() })
}
