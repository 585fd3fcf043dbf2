//! The hashes of files that nobody hashed yet: all of them in one pass, by all threads, each file once however many names it has.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use rayon::prelude::*;

use crate::oci::{Hasher, Hashes};
use crate::path::ImagePath;
use crate::report::{Error, Result};
use crate::source::{Content, ContentId};

/// How much is read at once.
const AT_ONCE: usize = 256 << 10;

/// Hashes files, but for those whose hashes are known.
pub(super) fn hash(
    files: &[(&ImagePath, &Content)],
    known: &BTreeMap<ImagePath, Hashes>,
) -> Result<HashMap<ContentId, Hashes>> {
    let mut all: HashMap<ContentId, Hashes> = HashMap::with_capacity(files.len());
    let mut distinct: BTreeMap<ContentId, (&ImagePath, &Content)> = BTreeMap::new();
    for (path, content) in files {
        if let Some(hashes) = known.get(*path) {
            all.insert(content.id(), *hashes);
        } else {
            distinct.entry(content.id()).or_insert((path, content));
        }
    }
    distinct.retain(|id, _| !all.contains_key(id));
    // Large ones first, so that none is left for the end.
    let mut work: Vec<_> = distinct.into_iter().collect();
    work.sort_by_key(|(id, (_, content))| (std::cmp::Reverse(content.size()), *id));
    let hashed = work.into_par_iter().with_max_len(8).map_init(Vec::new, |buffer, (id, (path, content))| {
        let hashes = of_content(content, buffer);
        hashes.map(|hashes| (id, hashes)).map_err(|error| Error::io("read", Path::new(&path.to_string()), &error))
    });
    let hashed: Vec<(ContentId, Hashes)> = hashed.collect::<Result<_>>()?;
    all.extend(hashed);
    Ok(all)
}

fn of_content(content: &Content, buffer: &mut Vec<u8>) -> io::Result<Hashes> {
    let reader = content.open()?;
    let mut hasher = Hasher::default();
    let mut offset = 0;
    buffer.resize(AT_ONCE, 0);
    while offset < reader.size() {
        let count = usize::try_from(reader.size() - offset).unwrap_or(usize::MAX).min(AT_ONCE);
        reader.read_exact_at(&mut buffer[..count], offset)?;
        hasher.update(&buffer[..count]);
        offset += count as u64;
    }
    reader.finish()?;
    Ok(hasher.finish())
}
