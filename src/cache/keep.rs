//! What a cache holds, whether it is sound, and letting go of what was not used for the longest time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirEntry, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::blobs::{digest_of, value_of};
use super::{Cache, Key, PLACE, Time, check, used};
use crate::oci::{Digest, Sha256};

/// How much a cache holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blobs of layers.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Values.
    pub values: u64,
    /// Bytes of values and facts.
    pub value_bytes: u64,
}

/// What to keep of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// What was used last, up to so many bytes in all.
    Bytes(u64),
    /// What was used since the last time that this was asked; all of it the first time.
    Used,
    /// Nothing.
    Nothing,
}

/// What was let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many values and blobs.
    pub removed: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Something in a cache that is not what it was. It was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
}

/// After how many seconds a temporary file is one of a killed run.
const STALE: i64 = 3600;

/// A value, and the blob that it stands for.
struct Item {
    used: Time,
    files: Vec<PathBuf>,
    bytes: u64,
}

impl Cache {
    /// How much it holds.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn usage(&self) -> io::Result<Usage> {
        let mut usage = Usage::default();
        for (_, found) in self.blob_files()? {
            usage.blobs += 1;
            usage.blob_bytes += found.size();
        }
        for (_, found) in self.value_files()? {
            usage.values += 1;
            usage.value_bytes += found.size();
        }
        usage.value_bytes += self.log_bytes("facts") + self.log_bytes("places");
        Ok(usage)
    }

    fn log_bytes(&self, name: &str) -> u64 {
        std::fs::metadata(self.folder.join(name)).map_or(0, |found| found.size())
    }

    /// Reads everything and removes what is not what it was.
    ///
    /// # Errors
    /// When the folder can't be read or written.
    pub fn verify(&self) -> io::Result<Vec<Damage>> {
        let mut damage = Vec::new();
        let mut bad = |path: PathBuf| -> io::Result<()> {
            remove(&path)?;
            damage.push(Damage { path });
            Ok(())
        };
        for (path, _) in self.value_files()? {
            if !is_value_sound(&path) {
                bad(path)?;
            }
        }
        for (path, _) in self.blob_files()? {
            let expected = path.file_name().and_then(|name| digest_of(&name.to_string_lossy()));
            let found = digest_of_file(&path);
            if found.is_err() || found.ok() != expected {
                bad(path)?;
            }
        }
        if self.facts.broken() > 0 {
            self.facts.retain(|_, _| true)?;
            damage.push(Damage { path: self.folder.join("facts") });
        }
        if self.places.broken() > 0 {
            self.places.retain(|_, _| true)?;
            damage.push(Damage { path: self.folder.join("places") });
        }
        Ok(damage)
    }

    /// Lets go of what is not to be kept, of what killed runs left, and of blobs that nothing stands for.
    ///
    /// # Errors
    /// When the folder can't be read or written.
    pub fn prune(&self, keep: Keep) -> io::Result<Pruned> {
        let before = self.usage()?;
        self.remove_stale()?;
        let mut items = self.items()?;
        items.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.files.cmp(&b.files)));
        let since = self.last_asked();
        // What `stat` said of files is found out again soonest.
        let facts = self.log_bytes("facts");
        let no_facts = matches!(keep, Keep::Bytes(most) if facts > most / 2);
        let mut bytes = self.log_bytes("places") + if no_facts { 0 } else { facts };
        for item in items {
            bytes += item.bytes;
            let stays = match keep {
                Keep::Bytes(most) => bytes <= most,
                Keep::Used => since.is_none_or(|since| item.used >= since),
                Keep::Nothing => false,
            };
            if !stays {
                item.files.iter().try_for_each(|path| remove(path))?;
            }
        }
        let held: BTreeSet<Digest> = self.blob_files()?.iter().filter_map(|(path, _)| name_of(path)).collect();
        match keep {
            // What `stat` said of files here says nothing elsewhere.
            Keep::Used | Keep::Nothing => self.facts.retain(|_, _| false)?,
            Keep::Bytes(_) if no_facts => self.facts.retain(|_, _| false)?,
            Keep::Bytes(_) => {}
        }
        self.places.retain(|_, place| held.contains(&Digest::from_bytes(first(place))))?;
        if keep == Keep::Used {
            used(&File::create(self.marker())?);
        }
        let after = self.usage()?;
        let removed = (before.blobs + before.values).saturating_sub(after.blobs + after.values);
        let bytes = (before.blob_bytes + before.value_bytes).saturating_sub(after.blob_bytes + after.value_bytes);
        Ok(Pruned { removed, bytes })
    }

    /// The file whose time is that of the last [`Keep::Used`].
    fn marker(&self) -> PathBuf {
        self.folder.join("pruned")
    }

    fn last_asked(&self) -> Option<Time> {
        std::fs::metadata(self.marker()).ok().map(|found| mtime(&found))
    }

    /// Values, those of blobs with their blobs; blobs without a value are removed.
    fn items(&self) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut values: BTreeMap<PathBuf, Metadata> = self.value_files()?.into_iter().collect();
        for (path, found) in self.blob_files()? {
            let value = name_of(&path).map(|digest| value_of(self, digest.bytes()));
            if let Some((value, about)) = value.and_then(|value| values.remove_entry(&value)) {
                items.push(Item { used: mtime(&about), bytes: found.size() + about.size(), files: vec![value, path] });
            } else {
                remove(&path)?;
            }
        }
        items.extend(values.into_iter().map(|(path, found)| Item {
            used: mtime(&found),
            bytes: found.size(),
            files: vec![path],
        }));
        Ok(items)
    }

    fn remove_stale(&self) -> io::Result<()> {
        for entry in list(&self.temporary())? {
            if entry.metadata().is_ok_and(|found| found.mtime() + STALE < self.now.0) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn blob_files(&self) -> io::Result<Vec<(PathBuf, Metadata)>> {
        files(&self.folder.join("blobs"))
    }

    fn value_files(&self) -> io::Result<Vec<(PathBuf, Metadata)>> {
        let kinds = list(&self.folder.join("values"))?;
        let mut all = Vec::new();
        for kind in kinds.iter().filter(|kind| kind.file_type().is_ok_and(|kind| kind.is_dir())) {
            all.extend(files(&kind.path())?);
        }
        Ok(all)
    }
}

fn mtime(found: &Metadata) -> Time {
    (found.mtime(), u32::try_from(found.mtime_nsec()).unwrap_or(0))
}

fn first(place: &[u8; PLACE]) -> [u8; 32] {
    place.first_chunk().copied().unwrap_or_default()
}

fn name_of(blob: &Path) -> Option<Digest> {
    digest_of(&blob.file_name()?.to_string_lossy())
}

fn digest_of_file(path: &Path) -> io::Result<Digest> {
    let mut digest = Sha256::default();
    io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(digest.finish())
}

fn is_value_sound(path: &Path) -> bool {
    let sound = || -> Option<bool> {
        let kind = path.parent()?.file_name()?.to_str()?;
        let key: Key = super::key_of_hex(path.file_name()?.to_str()?)?;
        let bytes = std::fs::read(path).ok()?;
        let (found, value) = bytes.split_at_checked(super::CHECK)?;
        Some(found == check(kind, &key, value))
    };
    sound().unwrap_or(false)
}

/// Another process may have been faster.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn list(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

fn files(folder: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut all = Vec::new();
    for entry in list(folder)? {
        match entry.metadata() {
            Ok(found) if found.is_file() => all.push((entry.path(), found)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(all)
}
