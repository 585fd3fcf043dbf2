//! Layers that registries keep for all who build: `--cache-from` and `--cache-to`.
//!
//! In: the key of a layer, by content, or that of its name. Out: what a registry says that it was packed to, which
//! [`super::elsewhere`] holds against the files; and, the other way, entries for layers that were packed here. Whatever
//! is wrong with a registry means one warning and a build that does more itself, never an error, and never another byte
//! of an image's files. How these are compressed is the cache's: one that was filled otherwise gives blobs of other
//! digests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::entry::{self, Entry, MOST_TABLE, Part};
use super::{Durability, Effort, Layer, Staging};
use crate::cache::{Cache, Key, REMOTE_NOT_USED, hex};
use crate::oci::{Digest, MediaType};
use crate::registry::{
    BAD_NAME, Blob, Client, Content, Document, Elsewhere, Job, NOT_FOUND, Remote, Repository, Rules, WRONG_CONTENT,
};
use crate::report::{Diagnostic, Error, Result};
use crate::threads;

/// What stands before the key in tags, where the name of the cache has no tag.
const PREFIX: &str = "mkimage";
/// What stands between that and the key of a name.
const LAST: &str = "last-";
/// How many digits of such a key tags have: no more than any key has with what stands before it.
const NAME_DIGITS: usize = 32;
/// The longest tag, by the OCI distribution specification.
const LONGEST_TAG: usize = 128;
/// How many layers are added at once.
const PARALLEL: usize = 4;

/// The caches that a build asks, and those that it adds to.
#[derive(Debug)]
pub struct RemoteCache {
    client: Arc<Client>,
    /// Asks what a cache has.
    asking: Arc<Client>,
    trust: Trust,
    from: Vec<Depot>,
    to: Vec<Depot>,
    found: Mutex<BTreeMap<Key, (Repository, Entry)>>,
    /// Entries that are no good, to be written anew.
    stale: Mutex<BTreeSet<Key>>,
    warnings: Mutex<Vec<Diagnostic>>,
}

/// What is believed of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// A layer that a repository can take over is not looked into: who writes to the cache is trusted with its bytes.
    #[default]
    Writers,
    /// Every layer is fetched and compared with the files.
    Nobody,
}

/// A repository, and how its tags begin.
#[derive(Debug)]
struct Depot {
    repository: Repository,
    prefix: String,
    /// Held while it is asked for the first time: of many threads, one waits for what does not answer.
    state: Mutex<State>,
    warned: AtomicBool,
    /// What it has, as far as that is known.
    held: Mutex<BTreeSet<Key>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Answers,
    Broken,
}

/// What was added to caches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Published {
    /// How many entries.
    pub entries: usize,
    /// How many bytes were sent for them.
    pub sent: u64,
}

impl RemoteCache {
    /// Caches by their names. The tag of a name is what the tags of its entries begin with. `client` moves layers, the
    /// one that pushes images does, so that it knows where they are; `asking` asks what there is, and should not wait
    /// long for an answer that is worth less than the wait.
    ///
    /// # Errors
    /// When a name has a digest, or a tag so long that no key has room behind it.
    pub fn new(
        (client, asking): (&Arc<Client>, &Arc<Client>),
        from: &[Remote],
        to: &[Remote],
        trust: Trust,
    ) -> Result<Self> {
        let depots = |names: &[Remote]| names.iter().map(Depot::new).collect::<Result<Vec<_>>>();
        Ok(Self {
            client: Arc::clone(client),
            asking: Arc::clone(asking),
            trust,
            from: depots(from)?,
            to: depots(to)?,
            found: Mutex::default(),
            stale: Mutex::default(),
            warnings: Mutex::default(),
        })
    }

    /// What there is to be warned of since the last call, once for each cache.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        std::mem::take(&mut *lock(&self.warnings))
    }

    /// Whether there is a cache to ask.
    pub(super) fn is_asked(&self) -> bool {
        !self.from.is_empty()
    }

    /// Whether layers may stay where they are.
    pub(super) fn trusts_writers(&self) -> bool {
        self.trust == Trust::Writers
    }

    /// What the first cache that knows it says of a layer, and the repository that has it.
    pub(super) fn find(&self, key: &Key, media_type: &MediaType) -> Option<(Repository, Entry)> {
        if let Some(known) = lock(&self.found).get(key) {
            return Some(known.clone());
        }
        let found = self.from.iter().find_map(|depot| {
            let entry = self.ask(depot, Some(key), || self.entry(depot, key, media_type))??;
            Some((depot.repository.clone(), entry, depot))
        });
        let (repository, entry, depot) = found?;
        for to in self.to.iter().filter(|to| to.is_same(depot)) {
            lock(&to.held).insert(*key);
        }
        lock(&self.found).insert(*key, (repository.clone(), entry.clone()));
        Some((repository, entry))
    }

    fn entry(&self, depot: &Depot, key: &Key, media_type: &MediaType) -> Result<Option<Entry>> {
        let place = depot.place(key);
        let Some(manifest) = self.manifest(&place)? else { return Ok(None) };
        let wrong = || Error::from(Diagnostic::error(WRONG_CONTENT, format!("`{place}` is no entry for that layer")));
        Entry::parse(&manifest.bytes, Some(key), media_type).ok_or_else(wrong).map(Some)
    }

    fn manifest(&self, place: &Remote) -> Result<Option<Document>> {
        match self.asking.manifest(place) {
            Err(error) if is(&error, NOT_FOUND) => Ok(None),
            manifest => manifest.map(Some),
        }
    }

    /// What each cache in turn has of the layer that was added last under a name, for one that is packed as `key`.
    pub(super) fn predecessors<'a>(
        &'a self,
        name: &'a Key,
        key: &'a Key,
        media_type: &'a MediaType,
    ) -> impl Iterator<Item = (&'a Repository, Entry, Vec<Part>)> {
        self.from.iter().filter_map(move |depot| {
            let (entry, parts) = self.ask(depot, Some(key), || self.predecessor(depot, name, media_type))??;
            Some((&depot.repository, entry, parts))
        })
    }

    fn predecessor(&self, depot: &Depot, name: &Key, media_type: &MediaType) -> Result<Option<(Entry, Vec<Part>)>> {
        let place = depot.last(name);
        let wrong = || Error::from(Diagnostic::error(WRONG_CONTENT, format!("`{place}` is no entry of such a layer")));
        let Some(manifest) = self.manifest(&place)? else { return Ok(None) };
        let entry = Entry::parse(&manifest.bytes, None, media_type).ok_or_else(wrong)?;
        let table = self.client.blob_bytes(&depot.repository, entry.table, MOST_TABLE)?;
        let parts = entry::pieces(&table, entry.size, media_type).ok_or_else(wrong)?;
        Ok(Some((entry, parts)))
    }

    /// Fetches parts of a layer, of which nothing is known yet, into a file at their places. `None` when they are not
    /// to be had, or only with more than `most` bytes.
    pub(super) fn fetch_parts(
        &self,
        key: &Key,
        (from, entry): (&Repository, &Entry),
        (ranges, most): (&[Range<u64>], u64),
        to: (&File, &Path),
    ) -> Option<()> {
        let depot = self.from.iter().find(|depot| depot.repository == *from)?;
        let fetch = || self.client.blob_parts(from, entry.digest, (ranges, most), to);
        self.ask(depot, Some(key), fetch)?.then_some(())
    }

    /// Says that a piece is not what the files give.
    pub(super) fn refute_piece(&self, repository: &Repository) {
        if let Some(depot) = self.from.iter().find(|depot| depot.repository == *repository) {
            let what = "a layer says that it has a piece of these files, and gives another one";
            self.warn(depot, &Diagnostic::error(WRONG_CONTENT, what).into());
        }
    }

    /// Says that an entry is not what the files give.
    pub(super) fn refute(&self, repository: &Repository, key: &Key) {
        let what = format!("the entry of layer `{}` is not of these files", hex(key));
        self.forget(key);
        if let Some(depot) = self.from.iter().find(|depot| depot.repository == *repository) {
            self.warn(depot, &Diagnostic::error(WRONG_CONTENT, what).into());
        }
    }

    fn forget(&self, key: &Key) {
        lock(&self.found).remove(key);
        lock(&self.stale).insert(*key);
        for to in &self.to {
            lock(&to.held).remove(key);
        }
    }

    /// Whether all of these repositories have a layer now, each by itself or taken over, without a byte on the way.
    pub(super) fn take_over(&self, targets: &[Repository], entry: &Entry, from: &Repository) -> bool {
        let has = |to: &Repository| self.client.take_over(to, entry.digest, entry.size, from).unwrap_or(false);
        targets.iter().all(has)
    }

    /// A layer of an earlier build of which this machine no longer has the blob, for a repository that takes it over
    /// from a cache. `None` when no cache has just this one, or it is not taken over.
    pub fn lend(&self, layer: &Layer, to: &Repository) -> Option<Layer> {
        self.trusts_writers().then_some(())?;
        let (from, entry) = self.find(&layer.content?, &layer.media_type)?;
        let is_it = (entry.digest, entry.size, entry.diff_id) == (layer.digest, layer.size, layer.diff_id);
        (is_it && self.take_over(std::slice::from_ref(to), &entry, &from)).then_some(())?;
        let effort = Effort { layers_remote: 1, taken_over: entry.size, ..Effort::default() };
        Some(Layer { elsewhere: Some(self.elsewhere(&entry, &from)), effort, ..layer.clone() })
    }

    /// A layer that stays where it is.
    pub(super) fn elsewhere(&self, entry: &Entry, from: &Repository) -> Elsewhere {
        Elsewhere::new(&self.client, from, entry.digest, entry.size)
    }

    /// Fetches a layer into an empty file, and the sizes of its parts. `None` when it is not to be had.
    pub(super) fn fetch(
        &self,
        key: &Key,
        (from, entry): (&Repository, &Entry),
        file: &mut File,
        path: &Path,
    ) -> Option<Vec<u32>> {
        let depot = self.from.iter().find(|depot| depot.repository == *from)?;
        self.ask(depot, Some(key), || {
            let table = self.client.blob_bytes(from, entry.table, MOST_TABLE)?;
            self.elsewhere(entry, from).fetch(file, path)?;
            let wrong = || Error::from(Diagnostic::error(WRONG_CONTENT, format!("`{}` is no table", entry.table)));
            entry::sizes(&table).ok_or_else(wrong)
        })
    }

    /// Asks a cache. What it fails at by itself is the end of it for this run; what is wrong with one entry, or gone,
    /// is the end of that.
    fn ask<T>(&self, depot: &Depot, key: Option<&Key>, ask: impl FnOnce() -> Result<T>) -> Option<T> {
        let is_of_entry = |error: &Error| key.is_some() && (is(error, NOT_FOUND) || is(error, WRONG_CONTENT));
        let state_after = |asked: &Result<T>| match asked {
            Err(error) if !is_of_entry(error) => State::Broken,
            _ => State::Answers,
        };
        let mut state = lock(&depot.state);
        let asked = match *state {
            State::Broken => return None,
            State::Answers => {
                drop(state);
                let asked = ask();
                if state_after(&asked) == State::Broken {
                    *lock(&depot.state) = State::Broken;
                }
                asked
            }
            State::Unknown => {
                let asked = ask();
                *state = state_after(&asked);
                asked
            }
        };
        let error = match asked {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        if let Some(key) = key.filter(|_| is_of_entry(&error)) {
            self.forget(key);
        }
        // Registries are cleaned up: what is gone is no reason to complain.
        if !is(&error, NOT_FOUND) || key.is_none() {
            self.warn(depot, &error);
        }
        None
    }

    fn warn(&self, depot: &Depot, error: &Error) {
        if depot.warned.swap(true, Ordering::Relaxed) {
            return;
        }
        let why = error.0.first().map_or(String::new(), |first| format!(": {}", first.title));
        let mut warning = Diagnostic::warning(
            REMOTE_NOT_USED,
            format!("the layer cache `{}` is of no use here{why}", depot.repository),
        );
        if let Some(first) = error.0.first() {
            warning.notes.extend(first.notes.iter().cloned());
            warning.helps.extend(first.helps.iter().cloned());
        }
        lock(&self.warnings).push(warning.note("images are the same without it"));
    }

    /// Adds layers to the caches that are added to, where they lack them. `cache` has their blobs, and `temporary` is a
    /// folder for what is sent.
    pub fn publish(&self, layers: &[Layer], cache: &Cache, temporary: &Path) -> Published {
        let mut seen = BTreeSet::new();
        let layers = layers.iter().filter_map(|layer| layer.content.map(|key| (key, layer)));
        let layers: Vec<(Key, &Layer)> = layers.filter(|(key, _)| seen.insert(*key)).collect();
        let work: Vec<(&Depot, Key, &Layer)> =
            self.to.iter().flat_map(|depot| layers.iter().map(move |(key, layer)| (depot, *key, *layer))).collect();
        let staging: OnceLock<Result<Staging>> = OnceLock::new();
        let staging =
            || staging.get_or_init(|| Staging::new(temporary, "mkimage".as_ref(), Durability::Cached)).as_ref();
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Published::default()));
        threads::all_do(PARALLEL.min(work.len()), &|| {
            while let Some((depot, key, layer)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                let added = self.add(depot, key, layer, cache, &staging);
                let mut done = lock(&done);
                done.entries += added.entries;
                done.sent += added.sent;
            }
        });
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a layer to a cache, unless it is there.
    fn add<'s>(
        &self,
        depot: &Depot,
        key: &Key,
        layer: &Layer,
        cache: &Cache,
        staging: &impl Fn() -> Result<&'s Staging, &'s Error>,
    ) -> Published {
        let place = depot.place(key);
        let is_there =
            || -> Result<bool> { Ok(!lock(&self.stale).contains(key) && self.asking.digest_of(&place)?.is_some()) };
        if lock(&depot.held).contains(key) || self.ask(depot, None, is_there).unwrap_or(true) {
            return Published::default();
        }
        let parts = self.parts(key, layer, cache, staging).unwrap_or_else(|error| {
            self.warn(depot, &error);
            None
        });
        let Some((table, blob)) = parts else { return Published::default() };
        let content = match (&blob, &layer.elsewhere) {
            (Some(blob), _) => Content::File(blob),
            (None, Some(elsewhere)) => Content::Elsewhere(elsewhere),
            (None, None) => return Published::default(),
        };
        let manifest = entry::manifest(key, layer, &table);
        let job = Job {
            blobs: vec![
                Blob { digest: layer.digest, size: layer.size, content },
                Blob { digest: Digest::of(&table), size: table.len() as u64, content: Content::Bytes(&table) },
            ],
            documents: vec![Document {
                digest: Digest::of(&manifest),
                media_type: MediaType::ImageManifest.to_string(),
                bytes: manifest,
            }],
            tags: place.tag.into_iter().collect(),
            sources: Vec::new(),
        };
        let pushed = self.ask(depot, None, || self.client.push(&depot.repository, &job, Rules::Move));
        lock(&depot.held).insert(*key);
        if let (Some(_), Some(lineage)) = (&pushed, &layer.lineage) {
            // The last writer wins. Where the registry forbids moving tags, the next build merely finds fewer pieces.
            let _ = self.client.set_tag(&depot.last(&lineage.name), &job.documents[0]);
        }
        pushed.map_or_else(Published::default, |pushed| Published { entries: 1, sent: pushed.sent.1 })
    }

    /// The table of a layer, and its blob where this machine has it. `None` when neither this machine nor a cache does.
    fn parts<'s>(
        &self,
        key: &Key,
        layer: &Layer,
        cache: &Cache,
        staging: &impl Fn() -> Result<&'s Staging, &'s Error>,
    ) -> Result<Option<(Vec<u8>, Option<PathBuf>)>> {
        if layer.elsewhere.is_some() {
            let table = self.find(key, &layer.media_type).and_then(|(from, entry)| {
                let depot = self.from.iter().find(|depot| depot.repository == from)?;
                self.ask(depot, Some(key), || self.client.blob_bytes(&from, entry.table, MOST_TABLE))
            });
            return Ok(table.map(|table| (table, None)));
        }
        let Some(segments) = cache.segments(&layer.digest) else { return Ok(None) };
        let staging = staging().map_err(Clone::clone)?;
        let brought = staging.bring(cache, layer, 1);
        Ok(brought.map(|brought| {
            let pieces = layer.lineage.as_ref().map_or(&[][..], |lineage| &lineage.pieces);
            (entry::table(&segments, pieces), Some(brought.blob))
        }))
    }
}

impl Depot {
    fn new(name: &Remote) -> Result<Self> {
        let bad = |why: &str| -> Error {
            let error = Diagnostic::error(BAD_NAME, format!("`{name}` is no layer cache: it {why}"));
            error.help("name a repository, as `registry.example/team/cache`, with or without a tag").into()
        };
        if name.digest.is_some() {
            return Err(bad("has a digest"));
        }
        let prefix = name.tag.clone().unwrap_or_else(|| PREFIX.to_owned());
        if prefix.len() + 1 + 2 * size_of::<Key>() > LONGEST_TAG {
            return Err(bad("has a tag that leaves no room for keys behind it"));
        }
        Ok(Self {
            repository: name.repository.clone(),
            prefix,
            state: Mutex::new(State::Unknown),
            warned: AtomicBool::new(false),
            held: Mutex::default(),
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.repository == other.repository && self.prefix == other.prefix
    }

    fn place(&self, key: &Key) -> Remote {
        self.tagged(&hex(key))
    }

    /// The layer that was added last under the name of this key.
    fn last(&self, name: &Key) -> Remote {
        self.tagged(&format!("{LAST}{}", &hex(name)[..NAME_DIGITS]))
    }

    fn tagged(&self, end: &str) -> Remote {
        let tag = format!("{}-{end}", self.prefix);
        Remote { repository: self.repository.clone(), tag: Some(tag), digest: None }
    }
}

fn is(error: &Error, code: crate::report::Code) -> bool {
    error.0.iter().any(|diagnostic| diagnostic.code == code)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
