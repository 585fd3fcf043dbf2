//! Where glibc looks for a name, and what it opens there.

use std::sync::Arc;

use super::super::accept::{self, Asker, Verdict};
use super::super::cache::{self, CacheFile};
use super::super::mapping::{Asked, Opened, refused, unreadable};
use super::super::near;
use super::super::token::PathList;
use super::super::tree::{Directory, Looked, Place};
use super::super::{Because, Bytes, Fatal, Found, NearMiss, NotTaken, Refusal, Searched, Unreadable};
use super::{MAIN, Process};

/// `DF_1_NODEFLIB`.
const NODEFLIB: u64 = 0x800;
const SETUID: u32 = 0o4000;

/// One of the places in which a name is searched.
enum Step {
    List(Arc<PathList>, Found),
    Cache,
    SystemDirectories,
}

/// What became of one list of directories.
enum Searching {
    Done(Opened),
    NotThere,
}

impl Process<'_> {
    /// Opens the file for a name. What can't be read on the way stands against the program, whoever asked.
    pub(in crate::closure) fn open(&mut self, asked: Asked<'_>) -> Result<Option<Opened>, Fatal> {
        let opened = self.search(asked);
        if let Err(fatal) = &opened {
            self.map.note_unreadable(fatal);
        }
        opened
    }

    /// The path itself when a slash is in the name, else the first file that the search gives.
    pub(super) fn search(&mut self, asked: Asked<'_>) -> Result<Option<Opened>, Fatal> {
        if asked.name.contains(&b'/') {
            let Some(path) = self.expand(asked.by, asked.name) else { return Ok(None) };
            let looked = self.context.tree.look(&path);
            return self.verify(&looked, asked.by, Found::Path, || self.context.tree.absolute(&path).into());
        }
        for step in self.steps(asked) {
            let found = match step {
                Step::List(list, found) => self.open_in(&list.directories, asked, &found)?,
                Step::SystemDirectories => self.open_in(&self.install.directories, asked, &Found::SystemDirectory)?,
                Step::Cache => self.open_cached(asked)?,
            };
            if let Searching::Done(opened) = found {
                return Ok(Some(opened));
            }
        }
        Ok(None)
    }

    /// The places in which a name is searched for an object, in order.
    fn steps(&self, asked: Asked<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut push = |list: &Option<Arc<PathList>>, found| match list {
            Some(list) if !list.directories.is_empty() => {
                steps.push(Step::List(Arc::clone(list), found));
                true
            }
            _ => false,
        };
        let inner = &self.inner[asked.by];
        if inner.runpath.is_none() {
            let mut program_done = false;
            let mut by = Some(asked.by);
            while let Some(object) = by {
                program_done |= push(&self.inner[object].rpath, Found::Rpath(object)) && object == MAIN;
                by = self.inner[object].loader;
            }
            if !program_done {
                push(&self.inner[MAIN].rpath, Found::Rpath(MAIN));
            }
        }
        push(&Some(Arc::clone(&self.library_path)), Found::LibraryPath);
        push(&inner.runpath, Found::Runpath(asked.by));
        if !self.needs_setuid(asked.because) {
            steps.push(Step::Cache);
        }
        if self.flags_1(asked.by) & NODEFLIB == 0 {
            steps.push(Step::SystemDirectories);
        }
        steps
    }

    fn flags_1(&self, object: usize) -> u64 {
        self.map.objects[object].elf.dynamic.as_ref().map_or(0, |dynamic| dynamic.flags_1)
    }

    /// Under `AT_SECURE` only files with the setuid bit are preloaded, and not by the cache.
    fn needs_setuid(&self, because: Because) -> bool {
        self.context.secure && because == Because::Preload
    }

    /// `open_path`: each directory with its subdirectories for the processor, then the next.
    fn open_in(&self, directories: &[Bytes], asked: Asked<'_>, found: &Found) -> Result<Searching, Fatal> {
        let tree = self.context.tree;
        for directory in directories {
            if self.directory(directory, asked)?.is_none() {
                continue;
            }
            for below in &self.install.subdirectories {
                let prefix = [directory, below.as_slice()].concat();
                let Some(place) = self.directory(&prefix, asked)? else { continue };
                let looked = tree.look_in(&place, asked.name);
                let is_setuid = match &looked {
                    Looked::Found(place) => place.mode & SETUID != 0,
                    Looked::Unreadable(_) => true,
                    _ => false,
                };
                if self.needs_setuid(asked.because) && !is_setuid {
                    continue;
                }
                let path = || tree.absolute(&[prefix.as_slice(), asked.name].concat()).into();
                if let Some(opened) = self.verify(&looked, asked.by, found.clone(), path)? {
                    return Ok(Searching::Done(opened));
                }
                // An error of another kind than "not there" or "not allowed" gives this list up.
                if below.is_empty() && matches!(looked, Looked::Loop | Looked::TooLong) {
                    return Ok(Searching::NotThere);
                }
            }
        }
        Ok(Searching::NotThere)
    }

    fn directory(&self, path: &[u8], asked: Asked<'_>) -> Result<Option<Arc<Directory>>, Fatal> {
        self.context.tree.directory(path).map_err(|place| unreadable(place, asked.by))
    }

    fn open_cached(&self, asked: Asked<'_>) -> Result<Searching, Fatal> {
        let Some(path) = self.install.cached(asked.name) else { return Ok(Searching::NotThere) };
        if self.flags_1(asked.by) & NODEFLIB != 0 && self.install.is_below_system_directory(&path) {
            return Ok(Searching::NotThere);
        }
        let looked = self.context.tree.look(&path);
        let opened = self.verify(&looked, asked.by, Found::Cache, || Arc::clone(&path))?;
        Ok(opened.map_or(Searching::NotThere, Searching::Done))
    }

    /// `open_verify`: the file that a path led to, when the loader takes it.
    fn verify(
        &self,
        looked: &Looked,
        by: usize,
        found: Found,
        path: impl FnOnce() -> Bytes,
    ) -> Result<Option<Opened>, Fatal> {
        let place = match looked {
            Looked::Found(place) => place,
            Looked::Unreadable(place) => return Err(unreadable(place.clone(), by)),
            Looked::Absent | Looked::Dangling | Looked::Loop | Looked::TooLong => return Ok(None),
        };
        match self.verdict(place) {
            Verdict::Unreadable(why) => Err(unreadable(Unreadable { place: path(), why }, by)),
            Verdict::Refuse(refusal) => Err(refused(&path(), refusal, by)),
            Verdict::Skip(_) => Ok(None),
            Verdict::Take => {
                let Some(content) = &place.content else { return Ok(None) };
                let facts = self.context.tree.facts(content);
                let (real, content) = (place.real.clone(), content.clone());
                Ok(Some(Opened { path: path(), real, content, facts, found }))
            }
        }
    }

    fn verdict(&self, place: &Place) -> Verdict {
        let Some(content) = &place.content else {
            let refusal = if place.is_directory { Refusal::Directory } else { Refusal::TooShort };
            return Verdict::Refuse(refusal);
        };
        let facts = self.context.tree.facts(content);
        let program = &self.map.objects[MAIN].elf;
        accept::verify(&facts, Asker { program, skips_other_machines: self.install.skips_other_machines })
    }

    /// The directories that are searched for a name, for a person to read.
    pub(super) fn searched(&self, asked: Asked<'_>) -> Vec<Searched> {
        if asked.name.contains(&b'/') {
            return vec![Searched { directory: super::parent(asked.name), entries: None, because: Found::Path }];
        }
        let mut searched = Vec::new();
        for step in self.steps(asked) {
            let (directories, because) = match &step {
                Step::List(list, found) => (list.directories.as_slice(), found.clone()),
                Step::SystemDirectories => (self.install.directories.as_slice(), Found::SystemDirectory),
                Step::Cache => {
                    searched.extend(self.install.cache().map(|it| Searched {
                        directory: Arc::from(cache::PATH),
                        entries: Some(it.len()),
                        because: Found::Cache,
                    }));
                    continue;
                }
            };
            let each = |directory: &Bytes| Searched {
                directory: Arc::clone(directory),
                entries: None,
                because: because.clone(),
            };
            searched.extend(directories.iter().map(each));
        }
        searched
    }

    /// What a person would look at next when a name was not found.
    pub(super) fn near_search(&self, asked: Asked<'_>) -> near::Search {
        let mut seen = Vec::new();
        let mut directories = Vec::new();
        for searched in self.searched(asked) {
            if searched.because != Found::Cache {
                seen.extend(self.skipped_in(&searched.directory, asked.name));
                directories.push(searched.directory);
            }
        }
        let cached = self.install.cache().into_iter().flat_map(CacheFile::entries);
        let same_stem = cached.filter(|(name, _)| near::same_stem(name, asked.name));
        seen.extend(same_stem.map(|(name, path)| {
            let because = if *name == **asked.name { NotTaken::Elsewhere } else { NotTaken::OtherVersion };
            NearMiss { path: Arc::from(path), because }
        }));
        near::Search {
            name: Arc::clone(asked.name),
            asker: super::parent(&self.map.objects[asked.by].path),
            directories,
            seen,
        }
    }

    /// Files of the name in one directory that were not taken, and why.
    fn skipped_in(&self, directory: &Bytes, name: &Bytes) -> Vec<NearMiss> {
        let tree = self.context.tree;
        let levels = self.install.port.levels.iter().map(|level| (format!("glibc-hwcaps/{level}/"), Some(*level)));
        let mut skipped = Vec::new();
        for (below, level) in levels.chain([(String::new(), None)]) {
            let path: Bytes = [directory, below.as_bytes(), name].concat().into();
            let because = match (tree.look(&path), level) {
                (Looked::Found(place), level) => match (self.verdict(&place), level) {
                    (Verdict::Take, Some(level)) => NotTaken::Level(level.to_owned()),
                    (Verdict::Skip(because), None) => because,
                    _ => continue,
                },
                (Looked::Dangling | Looked::Loop, None) => NotTaken::Dangling,
                (Looked::Unreadable(_), None) => NotTaken::Unreadable,
                _ => continue,
            };
            skipped.push(NearMiss { path, because });
        }
        skipped
    }
}
