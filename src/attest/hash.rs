//! The hashes of files that nobody hashed yet: all of them in one pass, by all threads, each file once however many
//! names it has.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rayon::prelude::*;

use crate::oci::{Hasher, Hashes};
use crate::path::ImagePath;
use crate::report::{Error, Result};
use crate::source::{Content, ContentId};

/// How much is read at once.
const AT_ONCE: usize = 256 << 10;

/// The hashes of files, in their order, which is that of their paths. Those whose hashes are known are not read.
pub(super) fn hash(files: &[(&ImagePath, &Content)], mut known: Vec<(&ImagePath, Hashes)>) -> Result<Vec<Hashes>> {
    // Those of each layer are in order already, which this sort makes use of.
    known.sort_by_key(|(path, _)| *path);
    let mut known = known.into_iter().peekable();
    let mut all: Vec<Option<Hashes>> = Vec::with_capacity(files.len());
    for (path, _) in files {
        while known.next_if(|(earlier, _)| earlier < path).is_some() {}
        all.push(known.peek().filter(|(same, _)| same == path).map(|(_, hashes)| *hashes));
    }
    let mut unknown: BTreeMap<ContentId, Vec<usize>> = BTreeMap::new();
    for (place, (_, content)) in files.iter().enumerate().filter(|(place, _)| all[*place].is_none()) {
        unknown.entry(content.id()).or_default().push(place);
    }
    // Large ones first, so that none is left for the end.
    let mut work: Vec<Vec<usize>> = unknown.into_values().collect();
    work.sort_by_key(|places| std::cmp::Reverse(files[places[0]].1.size()));
    let read = work.into_par_iter().with_max_len(8).map_init(Vec::new, |buffer, places| {
        let (path, content) = files[places[0]];
        let hashes = of_content(content, buffer);
        hashes.map(|hashes| (places, hashes)).map_err(|error| Error::io("read", Path::new(&path.to_string()), &error))
    });
    for (places, hashes) in read.collect::<Result<Vec<_>>>()? {
        for place in places {
            all[place] = Some(hashes);
        }
    }
    all.into_iter().map(|found| found.ok_or_else(|| Error::internal("a file was not hashed"))).collect()
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
