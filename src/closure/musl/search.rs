//! Where musl looks for a name.

use std::sync::Arc;

use super::super::mapping::{Asked, Context, base_name, parent};
use super::super::near;
use super::super::tree::{Looked, Place};
use super::super::{Because, Bytes, Found, Missing, NearMiss, NotTaken, Refusal, Searched, Unreadable};
use super::Process;

/// Where the loader looks when no file says otherwise.
const DEFAULT_PATH: &[u8] = b"/lib:/usr/local/lib:/usr/lib";
const LONGEST_PATH_FILE: u64 = 64 << 10;
/// Longer paths do not fit its buffer and are passed over.
const LONGEST_PATH: usize = 511;

/// What became of a search in one list of directories.
enum Searching {
    Done(Bytes, Arc<Place>),
    NotThere,
    /// An error that ends the whole search.
    Stopped,
    /// Nobody can tell.
    Unreadable(Unreadable),
}

impl Process<'_> {
    /// The lists of directories for a name, in order. Nobody asks for a preload: the program's own path is not for it,
    /// nor for what it needs.
    fn lists(&self, asked: Asked<'_>) -> Vec<(Bytes, Found)> {
        let mut lists = Vec::new();
        if !self.context.secure && !self.context.library_path.is_empty() {
            lists.push((Arc::from(self.context.library_path), Found::LibraryPath));
        }
        let is_asked_for = |because| because != Because::Preload;
        let mut next = is_asked_for(asked.because).then_some(asked.by);
        while let Some(object) = next {
            let dynamic = self.map.objects[object].elf.dynamic.as_ref();
            let inherited = dynamic.is_some_and(|dynamic| dynamic.runpath.is_none());
            let found = if inherited { Found::Rpath(object) } else { Found::Runpath(object) };
            lists.extend(self.inner[object].path.as_ref().map(|path| (Arc::clone(path), found)));
            let loaded = &self.map.objects[object];
            next = loaded.needed_by.filter(|_| is_asked_for(loaded.because));
        }
        lists.push((Arc::clone(&self.system.list), Found::SystemDirectory));
        lists
    }

    pub(super) fn search(&self, asked: Asked<'_>) -> Result<Option<(Bytes, Arc<Place>, Found)>, Unreadable> {
        for (list, found) in self.lists(asked) {
            match self.search_in(&list, asked.name) {
                Searching::Done(path, place) => return Ok(Some((path, place, found))),
                Searching::NotThere => {}
                Searching::Stopped => return Ok(None),
                Searching::Unreadable(place) => return Err(place),
            }
        }
        Ok(None)
    }

    /// `path_open`: the first file that opens, whatever it is.
    fn search_in(&self, list: &[u8], name: &[u8]) -> Searching {
        for directory in directories(list) {
            let path = [directory, b"/", name].concat();
            if path.len() > LONGEST_PATH {
                continue;
            }
            match self.context.tree.look(&path) {
                Looked::Found(place) => return Searching::Done(self.context.tree.absolute(&path).into(), place),
                Looked::Absent | Looked::Dangling | Looked::TooLong => {}
                Looked::Unreadable(place) => return Searching::Unreadable(place),
                Looked::Loop => return Searching::Stopped,
            }
        }
        Searching::NotThere
    }

    pub(super) fn note_missing(&mut self, asked: Asked<'_>, optional: bool) {
        if !self.map.is_newly_missing(asked.name, optional) {
            return;
        }
        let mut searched = Vec::new();
        if asked.name.contains(&b'/') {
            searched.push(Searched { directory: parent(asked.name), entries: None, because: Found::Path });
        } else {
            for (list, because) in self.lists(asked) {
                let each =
                    |directory| Searched { directory: Arc::from(directory), entries: None, because: because.clone() };
                searched.extend(directories(&list).map(each));
            }
        }
        let search = near::Search {
            name: Arc::clone(asked.name),
            asker: parent(&self.map.objects[asked.by].path),
            directories: searched.iter().map(|searched| Arc::clone(&searched.directory)).collect(),
            seen: self.unusable(asked),
        };
        let near = if self.map.wants_near_misses() { near::misses(self.context.tree, &search) } else { Vec::new() };
        let missing = Missing {
            name: Arc::clone(asked.name),
            needed_by: asked.by,
            because: asked.because,
            searched,
            near,
            provided_by: None,
        };
        if optional { self.map.missing_optional.push(missing) } else { self.map.missing.push(missing) }
    }

    /// The file that was found first and can't be mapped.
    fn unusable(&self, asked: Asked<'_>) -> Vec<NearMiss> {
        let found = if asked.name.contains(&b'/') {
            match self.context.tree.look(asked.name) {
                Looked::Found(place) => Some((Arc::clone(asked.name), place)),
                _ => None,
            }
        } else {
            self.search(asked).ok().flatten().map(|(path, place, _)| (path, place))
        };
        let Some((path, place)) = found else { return Vec::new() };
        let because = match place.content.as_ref().map(|content| self.context.tree.facts(content)) {
            None => NotTaken::Refused(Refusal::Directory),
            Some(facts) => match &facts.elf {
                Ok(elf) => self.refusal(elf).map_or(NotTaken::Unreadable, NotTaken::Refused),
                Err(_) => NotTaken::Refused(Refusal::NotElf),
            },
        };
        vec![NearMiss { path, because }]
    }
}

pub(super) fn directories(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| b":\n".contains(byte)).filter(|directory| !directory.is_empty())
}

/// Where the loader looks last.
#[derive(Debug, Clone, Default)]
pub(super) struct SystemPath {
    /// The list of directories.
    list: Bytes,
    /// The file that it stands in, where that is not built in.
    pub(super) file: Option<Bytes>,
}

impl SystemPath {
    /// The path file is looked up below the interpreter's prefix, and takes the place of what is built in.
    pub(super) fn read(context: Context<'_>, interp: &[u8]) -> Result<Self, Unreadable> {
        let folder = parent(interp);
        let prefix = if *folder == *b"/" { folder.clone() } else { parent(&folder) };
        let prefix = prefix.strip_suffix(b"/").unwrap_or(&prefix).to_vec();
        let name = base_name(interp).strip_prefix(b"ld-musl-").unwrap_or_default();
        let arch = &name[..memchr::memchr(b'.', name).unwrap_or(name.len())];
        let file = [&prefix, b"/etc/ld-musl-".as_slice(), arch, b".path"].concat();
        let place = match context.tree.look(&file) {
            Looked::Absent | Looked::Dangling => return Ok(Self { list: Arc::from(DEFAULT_PATH), file: None }),
            Looked::Found(place) => place,
            Looked::Unreadable(place) => return Err(place),
            Looked::Loop | Looked::TooLong => return Ok(Self::default()),
        };
        let Some(text) = &place.content else { return Ok(Self::default()) };
        let list = text.read(LONGEST_PATH_FILE).map_err(|error| Unreadable::new(&file, &error))?;
        Ok(Self { list: list.into(), file: Some(file.into()) })
    }
}
