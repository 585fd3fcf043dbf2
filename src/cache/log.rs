//! Many small facts in one file: records of one size, each with its checksum, added at the end.
//!
//! In: keys and values of fixed sizes. Out: the last value that was added for a key. The file is read whole at the
//! first question and written once, at the end, under a lock. A record that a killed process left half written is cut
//! off by the next writer, and a broken one is as if it were not there.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;

use super::Key;

/// The size from which a log is begun anew with its younger half.
const MOST: u64 = 32 << 20;

/// A log of values of `N` bytes.
#[derive(Debug)]
pub(super) struct Log<const N: usize> {
    path: PathBuf,
    state: Mutex<State<N>>,
}

#[derive(Debug)]
struct State<const N: usize> {
    /// What the file holds; `None` until it was read.
    known: Option<HashMap<Key, [u8; N]>>,
    /// What this process adds.
    added: Vec<u8>,
}

impl<const N: usize> Log<N> {
    /// A key, a value, a checksum.
    const RECORD: usize = 32 + N + 4;

    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::new(State { known: None, added: Vec::new() }) }
    }

    pub(super) fn get(&self, key: &Key) -> Option<[u8; N]> {
        self.loaded().known.as_ref()?.get(key).copied()
    }

    pub(super) fn put(&self, key: &Key, value: &[u8; N]) {
        let mut state = self.loaded();
        let known = state.known.get_or_insert_default();
        if known.insert(*key, *value) != Some(*value) {
            state.added.extend(record(key, value));
        }
    }

    fn loaded(&self) -> MutexGuard<'_, State<N>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.known.is_none() {
            let bytes = std::fs::read(&self.path).unwrap_or_default();
            state.known = Some(bytes.chunks_exact(Self::RECORD).filter_map(parse).collect());
        }
        state
    }

    /// Adds to the file what is new.
    pub(super) fn flush(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let added = std::mem::take(&mut state.added);
        if !added.is_empty() {
            // What is not written is found out again.
            let _ = self.append(&added);
        }
    }

    fn append(&self, added: &[u8]) -> io::Result<()> {
        let mut file = self.lock()?;
        let size = file.metadata()?.size();
        let whole = size - size % Self::RECORD as u64;
        if size != whole {
            file.set_len(whole)?;
        }
        if whole + added.len() as u64 > MOST {
            return self.replace(|_, _| true, Some(MOST / 2), added);
        }
        file.write_all(added)
    }

    /// Keeps only the records that `keep` wants.
    pub(super) fn retain(&self, keep: impl FnMut(&Key, &[u8; N]) -> bool) -> io::Result<()> {
        let _lock = self.lock()?;
        self.replace(keep, None, &[])
    }

    /// Writes the file anew, under the lock. Of what it held, the last `most` bytes at most.
    fn replace(&self, mut keep: impl FnMut(&Key, &[u8; N]) -> bool, most: Option<u64>, added: &[u8]) -> io::Result<()> {
        let bytes = std::fs::read(&self.path)?;
        let records = bytes.chunks_exact(Self::RECORD);
        let skip =
            most.map_or(0, |most| records.len().saturating_sub(usize::try_from(most).unwrap_or(0) / Self::RECORD));
        let kept: Vec<u8> = records
            .skip(skip)
            .filter(|record| parse::<N>(record).is_some_and(|(key, value)| keep(&key, &value)))
            .flatten()
            .copied()
            .collect();
        let folder = self.path.parent().unwrap_or(&self.path);
        let mut file = tempfile::NamedTempFile::new_in(folder.join("tmp"))?;
        file.write_all(&kept)?;
        file.write_all(added)?;
        file.persist(&self.path)?;
        Ok(())
    }

    /// Opens the file for adding, once nobody else does.
    fn lock(&self) -> io::Result<File> {
        loop {
            let file = File::options().create(true).append(true).mode(0o600).open(&self.path)?;
            rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
            let (open, there) = (file.metadata()?, std::fs::metadata(&self.path));
            // It may have been written anew while it was waited for.
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino())) {
                return Ok(file);
            }
        }
    }

    /// How many records can't be read.
    pub(super) fn broken(&self) -> usize {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        let records = bytes.chunks_exact(Self::RECORD);
        let rest = usize::from(!records.remainder().is_empty());
        records.filter(|record| parse::<N>(record).is_none()).count() + rest
    }
}

fn record<const N: usize>(key: &Key, value: &[u8; N]) -> Vec<u8> {
    let mut record = [&key[..], &value[..]].concat();
    let check = crc32fast::hash(&record);
    record.extend(check.to_le_bytes());
    record
}

fn parse<const N: usize>(record: &[u8]) -> Option<(Key, [u8; N])> {
    let (data, check) = record.split_last_chunk::<4>()?;
    let (key, value) = data.split_first_chunk::<32>()?;
    (crc32fast::hash(data).to_le_bytes() == *check).then_some(())?;
    Some((*key, value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        [number; 32]
    }

    #[test]
    fn a_torn_or_broken_record_is_as_if_it_were_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let open = || Log::<4>::new(path.clone());
        let fill = |from: u8, to: u8| {
            let log = open();
            (from..to).for_each(|number| log.put(&key(number), &[number; 4]));
            log.flush();
        };
        fill(0, 5);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            fill(5, 6);
            let log = open();
            let expected = cut / Log::<4>::RECORD;
            assert_eq!((0..5).filter(|number| log.get(&key(*number)).is_some()).count(), expected, "cut at {cut}");
            assert_eq!(log.get(&key(5)), Some([5; 4]), "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let log = open();
            let found: Vec<u8> = (0..5).filter(|number| log.get(&key(*number)) == Some([*number; 4])).collect();
            assert_eq!(found.len(), 4, "bit at {at}: {found:?}");
            assert_eq!(log.broken(), 1);
        }
    }

    #[test]
    fn eight_writers_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::thread::scope(|scope| {
            for writer in 0..8u8 {
                let path = path.clone();
                scope.spawn(move || {
                    for round in 0..16 {
                        let log = Log::<4>::new(path.clone());
                        log.put(&key(writer * 16 + round), &[writer; 4]);
                        log.flush();
                    }
                });
            }
        });
        let log = Log::<4>::new(path);
        for number in 0..128u8 {
            assert_eq!(log.get(&key(number)), Some([number / 16; 4]));
        }
    }
}
