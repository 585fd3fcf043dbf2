//! Breaking a cache bit by bit, between builds.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should fail")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// After so long a file's time stamps are trusted.
const SETTLED: Duration = Duration::from_millis(120);

/// What is gone when a build meets a broken cache: the less there is, the more it asks of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The output is there, and a build that is told that nothing changed leaves it.
    Nothing,
    /// Its blobs come from the cache.
    Output,
    /// The stages run, and its layers are known by what is packed in them.
    OutputAndRecord,
}

/// Flips a bit in bytes of every file of the cache that `build` leaves in `folder/cache`, one at a time and `most` of a
/// file at most, evenly spread. Each time the build has to print what it printed at first and to leave the same layout
/// in `folder/out.oci`. Returns how many bytes there were, and how many bits were flipped.
pub(crate) fn flip(folder: &Path, gone: Gone, most: usize, build: impl Fn() -> String) -> (usize, usize) {
    let (cache, output) = (folder.join("cache"), folder.join("out.oci"));
    let record = cache.join("v1/values/image");
    std::thread::sleep(SETTLED);
    let wanted = (build(), contents(&output));
    let files = contents(&cache);
    for part in ["values/image", "values/inputs", "values/blob", "blobs", "facts", "places"] {
        let part = cache.join("v1").join(part);
        assert!(files.keys().any(|path| path.starts_with(&part)), "nothing in {}", part.display());
    }
    let mut flipped = 0;
    for (path, whole) in &files {
        for at in (0..whole.len()).step_by(whole.len().div_ceil(most).max(1)) {
            let mut broken = whole.clone();
            broken[at] ^= 1 << (at % 8);
            // In place, as a program that opened it would: the output may have the file, too.
            fs::write(path, broken).unwrap();
            let parts: &[&Path] = match gone {
                Gone::Nothing => &[],
                Gone::Output => &[&output],
                Gone::OutputAndRecord => &[&output, &record],
            };
            parts.iter().filter(|part| part.exists()).for_each(|part| fs::remove_dir_all(part).unwrap());
            let came = (build(), contents(&output));
            assert!(came == wanted, "byte {at} of {}, gone: {gone:?}\n{}", path.display(), came.0);
            flipped += 1;
        }
        fs::write(path, whole).unwrap();
    }
    (files.values().map(Vec::len).sum(), flipped)
}

/// All files below a folder, with what they hold.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.append(&mut contents(&path));
        } else {
            all.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    all
}
