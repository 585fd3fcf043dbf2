//! musl's loader: which objects it maps for a program, and where it finds them.
//!
//! Follows `load_library` and `load_deps`. Its rules are its own: `DT_SONAME` is never looked at, RUNPATH is inherited,
//! `LD_LIBRARY_PATH` comes first, the first file that opens is taken, and there is no cache and no version check.

use std::collections::HashMap;
use std::sync::Arc;

use super::mapping::{Asked, Context, Mapping, Opened, Start, base_name, parent};
use super::near;
use super::tree::{Looked, Place};
use super::{Because, Bytes, Found, Loaded, Missing, NearMiss, NotTaken, Refusal, Searched, Warning};
use crate::elf::{FileType, Object};
use crate::source::ContentId;

/// Names that begin so are the loader, which is libc: `lib` and one of these.
const RESERVED: [&[u8]; 7] = [b"c.", b"pthread.", b"rt.", b"m.", b"dl.", b"util.", b"xnet."];
/// Where the loader looks when no file says otherwise.
const DEFAULT_PATH: &[u8] = b"/lib:/usr/local/lib:/usr/lib";
const LONGEST_PATH_FILE: u64 = 64 << 10;
/// Longer paths do not fit its buffer and are passed over.
const LONGEST_PATH: usize = 511;

const MAIN: usize = 0;
const LOADER: usize = 1;

/// The loader's state for one program.
#[derive(Debug, Clone)]
pub(super) struct Process<'a> {
    context: Context<'a>,
    pub(super) map: Mapping,
    interp: Bytes,
    system_path: Bytes,
    inner: Vec<Inner>,
    by_short_name: HashMap<Bytes, usize>,
    by_file: HashMap<ContentId, usize>,
}

/// What the loader keeps of an object for its searches.
#[derive(Debug, Clone)]
struct Inner {
    /// Whether it was found by a search, and so has a short name.
    has_short_name: bool,
    /// RUNPATH or RPATH with its tokens replaced.
    path: Option<Bytes>,
}

/// What became of a search in one list of directories.
enum Searching {
    Done(Bytes, Arc<Place>),
    NotThere,
    /// An error that ends the whole search.
    Stopped,
}

impl<'a> Process<'a> {
    /// A process before its loader's first step.
    pub(super) fn new(context: Context<'a>, start: &Start, loader: Opened) -> Self {
        let system_path = system_path(context, &loader.path);
        let mut process = Self {
            context,
            map: Mapping::default(),
            interp: Arc::clone(&loader.path),
            system_path,
            inner: Vec::new(),
            by_short_name: HashMap::new(),
            by_file: HashMap::new(),
        };
        process.map.start(start);
        // Under AT_SECURE the program has no origin.
        let origin = (!context.secure).then(|| Arc::clone(&start.origin));
        process.add(origin.as_ref(), false);
        if let Ok(elf) = &loader.facts.elf {
            process.map.objects.push(Loaded {
                names: vec![Arc::clone(&loader.path)],
                path: Arc::clone(&loader.path),
                real: loader.real,
                content: loader.content,
                elf: Arc::clone(elf),
                found: Found::Interpreter,
                needed_by: None,
                because: Because::Requested,
            });
            process.add(None, false);
        }
        process.map.order.push(MAIN);
        process
    }

    /// Maps everything that is mapped before the program's first instruction.
    pub(super) fn start(&mut self) {
        let names = self.context.preload.split(|byte| b" :\t\n\r\x0b\x0c".contains(byte));
        let names: Vec<Bytes> = names.filter(|name| !name.is_empty()).map(Arc::from).collect();
        if !self.context.secure {
            for name in &names {
                let asked = Asked { by: MAIN, name, because: Because::Preload };
                if self.load(asked).is_none() {
                    self.note_missing(asked, true);
                }
            }
        }
        self.load_dependencies(0);
    }

    /// `load_deps`: breadth first; every name that leads nowhere is collected.
    fn load_dependencies(&mut self, first: usize) {
        let mut object = first;
        while let Some(loaded) = self.map.objects.get(object) {
            let elf = Arc::clone(&loaded.elf);
            // The loader's own dependencies are none.
            for name in elf.needed().filter(|_| object != LOADER) {
                let asked = Asked { by: object, name, because: Because::Needed };
                if self.load(asked).is_none() {
                    self.note_missing(asked, false);
                }
            }
            object += 1;
        }
    }

    /// What the program passes to `dlopen`, in its own context. What is not found is missing.
    pub(super) fn dlopen_all(&mut self, names: &[Vec<u8>]) {
        for name in names {
            let name: Bytes = Arc::from(name.as_slice());
            let asked = Asked { by: MAIN, name: &name, because: Because::Dlopen };
            if self.dlopen(asked).is_none() {
                self.note_missing(asked, false);
            }
        }
    }

    /// Maps an object and all that it needs into the process as it is.
    pub(super) fn dlopen(&mut self, asked: Asked<'_>) -> Option<usize> {
        let order = self.map.order.clone();
        let loaded = self.map.objects.len();
        let mapped = self.load(asked)?;
        self.load_dependencies(loaded);
        for object in &mut self.map.objects[loaded..] {
            object.because = asked.because;
        }
        self.map.order = order;
        Some(mapped)
    }

    /// `load_library`.
    fn load(&mut self, asked: Asked<'_>) -> Option<usize> {
        let name = asked.name;
        if name.is_empty() {
            return None;
        }
        if is_reserved(name) || **name == *self.interp {
            return Some(self.loader_as(name));
        }
        let (path, place, found) = if name.contains(&b'/') {
            match self.context.tree.look(name) {
                Looked::Found(place) => (self.context.tree.absolute(name).into(), place, Found::Path),
                _ => return None,
            }
        } else {
            if let Some(&known) = self.by_short_name.get(name) {
                return Some(known);
            }
            self.search(asked)?
        };
        let content = place.content.clone()?;
        if let Some(&known) = self.by_file.get(&content.id()) {
            if !name.contains(&b'/') && !self.inner[known].has_short_name {
                self.inner[known].has_short_name = true;
                let short: Bytes = Arc::from(base_name(&self.map.objects[known].path));
                self.by_short_name.entry(short).or_insert(known);
            }
            self.map.alias(name, Some(path), known);
            self.map.objects[known].names.push(Arc::clone(name));
            return Some(known);
        }
        let facts = self.context.tree.facts(&content);
        let elf = facts.elf.as_ref().ok().filter(|elf| refusal(elf).is_none())?;
        // A second libc is never mapped, musl's or another: the loader takes its place.
        let needs_libc = elf.needed().any(|name| is_reserved(name));
        if !needs_libc && self.context.tree.defines(&facts, &[b"__libc_start_main", b"stdin"]) {
            return Some(self.loader_as(name));
        }
        let object = self.map.objects.len();
        self.by_file.insert(content.id(), object);
        let has_short_name = !name.contains(&b'/');
        if has_short_name {
            self.by_short_name.entry(Arc::from(base_name(&path))).or_insert(object);
        }
        let origin = parent(&path);
        self.map.objects.push(Loaded {
            names: vec![Arc::clone(name)],
            path,
            real: place.real.clone(),
            content,
            elf: Arc::clone(elf),
            found,
            needed_by: Some(asked.by),
            because: asked.because,
        });
        self.map.order.push(object);
        self.add(Some(&origin), has_short_name);
        Some(object)
    }

    fn loader_as(&mut self, name: &Bytes) -> usize {
        if self.map.objects.len() <= LOADER {
            return MAIN;
        }
        if !self.map.order.contains(&LOADER) {
            self.map.order.push(LOADER);
        }
        let names = &mut self.map.objects[LOADER].names;
        if !names.contains(name) {
            names.push(Arc::clone(name));
            self.map.alias(name, None, LOADER);
        }
        LOADER
    }

    /// Keeps what searches need to know of the object that was mapped last.
    fn add(&mut self, origin: Option<&Bytes>, has_short_name: bool) {
        let object = self.inner.len();
        let dynamic = self.map.objects[object].elf.dynamic.as_ref();
        let text = dynamic.and_then(|dynamic| dynamic.runpath.clone().or_else(|| dynamic.rpath.clone()));
        let path =
            text.filter(|text| !text.is_empty()).and_then(|text| self.expand(object, &text, origin.map(|it| &**it)));
        self.inner.push(Inner { has_short_name, path });
    }

    /// `fixup_rpath`: `$ORIGIN` and `${ORIGIN}` as mere prefixes; any other `$` makes the whole path void.
    fn expand(&mut self, object: usize, text: &Bytes, origin: Option<&[u8]>) -> Option<Bytes> {
        let mut result = Vec::new();
        let mut rest: &[u8] = text;
        while let Some(dollar) = memchr::memchr(b'$', rest) {
            result.extend(&rest[..dollar]);
            let token = [b"$ORIGIN".as_slice(), b"${ORIGIN}"].into_iter().find(|it| rest[dollar..].starts_with(it))?;
            let Some(origin) = origin else {
                self.map.warn(Warning::SecureOrigin { object, path: Arc::clone(text) });
                return None;
            };
            result.extend(origin);
            rest = &rest[dollar + token.len()..];
        }
        result.extend(rest);
        for element in result.split(|byte| b":\n".contains(byte)) {
            if !element.is_empty() && !element.starts_with(b"/") {
                self.map.warn(Warning::RelativePath { object, path: Arc::from(element) });
            }
        }
        Some(Arc::from(result))
    }

    /// The lists of directories for a name, in order.
    fn lists(&self, by: usize) -> Vec<(Bytes, Found)> {
        let mut lists = Vec::new();
        if !self.context.secure && !self.context.library_path.is_empty() {
            lists.push((Arc::from(self.context.library_path), Found::LibraryPath));
        }
        let mut next = Some(by);
        while let Some(object) = next {
            let dynamic = self.map.objects[object].elf.dynamic.as_ref();
            let inherited = dynamic.is_some_and(|dynamic| dynamic.runpath.is_none());
            let found = if inherited { Found::Rpath(object) } else { Found::Runpath(object) };
            lists.extend(self.inner[object].path.as_ref().map(|path| (Arc::clone(path), found)));
            next = self.map.objects[object].needed_by;
        }
        lists.push((Arc::clone(&self.system_path), Found::SystemDirectory));
        lists
    }

    fn search(&self, asked: Asked<'_>) -> Option<(Bytes, Arc<Place>, Found)> {
        for (list, found) in self.lists(asked.by) {
            match self.search_in(&list, asked.name) {
                Searching::Done(path, place) => return Some((path, place, found)),
                Searching::NotThere => {}
                Searching::Stopped => return None,
            }
        }
        None
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
                Looked::Absent | Looked::Dangling | Looked::Unreadable(_) | Looked::TooLong => {}
                Looked::Loop => return Searching::Stopped,
            }
        }
        Searching::NotThere
    }

    fn note_missing(&mut self, asked: Asked<'_>, optional: bool) {
        let list = if optional { &self.map.missing_optional } else { &self.map.missing };
        if list.iter().any(|missing| missing.name == *asked.name) {
            return;
        }
        let mut searched = Vec::new();
        if asked.name.contains(&b'/') {
            searched.push(Searched { directory: parent(asked.name), entries: None, because: Found::Path });
        } else {
            for (list, because) in self.lists(asked.by) {
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
        let near = near::misses(self.context.tree, &search);
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
            self.search(asked).map(|(path, place, _)| (path, place))
        };
        let Some((path, place)) = found else { return Vec::new() };
        let because = match place.content.as_ref().map(|content| self.context.tree.facts(content)) {
            None => NotTaken::Refused(Refusal::Directory),
            Some(facts) => match &facts.elf {
                Ok(elf) => refusal(elf).map_or(NotTaken::Unreadable, NotTaken::Refused),
                Err(_) => NotTaken::Refused(Refusal::NotElf),
            },
        };
        vec![NearMiss { path, because }]
    }
}

/// `map_library`: no class, machine or version is looked at.
fn refusal(elf: &Object) -> Option<Refusal> {
    match elf.file_type {
        FileType::Executable | FileType::Dynamic if elf.dynamic.is_some() => None,
        FileType::Executable | FileType::Dynamic => Some(Refusal::NoDynamic),
        FileType::Relocatable | FileType::Core | FileType::Other(_) => Some(Refusal::Type),
    }
}

fn is_reserved(name: &[u8]) -> bool {
    name.strip_prefix(b"lib").is_some_and(|rest| RESERVED.iter().any(|reserved| rest.starts_with(reserved)))
}

fn directories(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| b":\n".contains(byte)).filter(|directory| !directory.is_empty())
}

/// The path file is looked up below the interpreter's prefix, and takes the place of what is built in.
fn system_path(context: Context<'_>, interp: &[u8]) -> Bytes {
    let folder = parent(interp);
    let prefix = if *folder == *b"/" { folder.clone() } else { parent(&folder) };
    let prefix = prefix.strip_suffix(b"/").unwrap_or(&prefix).to_vec();
    let name = base_name(interp).strip_prefix(b"ld-musl-").unwrap_or_default();
    let arch = &name[..memchr::memchr(b'.', name).unwrap_or(name.len())];
    let file = [&prefix, b"/etc/ld-musl-".as_slice(), arch, b".path"].concat();
    match context.tree.look(&file) {
        Looked::Absent | Looked::Dangling => Arc::from(DEFAULT_PATH),
        Looked::Found(place) => match place.content.as_ref().map(|content| content.read(LONGEST_PATH_FILE)) {
            Some(Ok(text)) => Arc::from(text),
            _ => Arc::from(b"".as_slice()),
        },
        _ => Arc::from(b"".as_slice()),
    }
}
