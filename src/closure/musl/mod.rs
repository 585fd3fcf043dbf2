//! musl's loader: which objects it maps for a program, and where it finds them.
//!
//! Follows `load_library` and `load_deps`. Its rules are its own: `DT_SONAME` is never looked at, RUNPATH is inherited,
//! `LD_LIBRARY_PATH` comes first, the first file that opens is taken, and there is no cache and no version check.

use std::collections::HashMap;
use std::sync::Arc;

use super::headers::NoElf;
use super::mapping::{Asked, Context, Mapping, Opened, Start, base_name, parent, unreadable};
use super::notes::FollowsNotes;
use super::tree::Looked;
use super::{Because, Bytes, Found, Loaded, Refusal, Unreadable, Warning};
use crate::elf::{FileType, Object};
use crate::source::ContentId;

/// Names that begin so are the loader, which is libc: `lib` and one of these.
const RESERVED: [&[u8]; 7] = [b"c.", b"pthread.", b"rt.", b"m.", b"dl.", b"util.", b"xnet."];

mod search;

use search::SystemPath;

const MAIN: usize = 0;
const LOADER: usize = 1;

/// The loader's state for one program.
#[derive(Debug, Clone)]
pub(super) struct Process<'a> {
    context: Context<'a>,
    pub(super) map: Mapping,
    interp: Bytes,
    system: SystemPath,
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

impl<'a> Process<'a> {
    /// A process before its loader's first step.
    pub(super) fn new(context: Context<'a>, start: &Start, loader: Opened) -> Self {
        let (system, unread) = match SystemPath::read(context, &loader.path) {
            Ok(system) => (system, None),
            Err(place) => (SystemPath::default(), Some(place)),
        };
        let mut process = Self {
            context,
            map: Mapping::default(),
            interp: Arc::clone(&loader.path),
            system,
            inner: Vec::new(),
            by_short_name: HashMap::new(),
            by_file: HashMap::new(),
        };
        process.map.start(start);
        if let Some(place) = unread {
            process.map.note_unreadable(&unreadable(place, MAIN));
        }
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

    /// The file in which its loader read where to search.
    pub(super) fn path_file(&self) -> Option<Bytes> {
        self.system.file.clone()
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
                Looked::Unreadable(place) => return self.cannot_read(place, asked.by),
                Looked::Absent | Looked::Dangling | Looked::Loop | Looked::TooLong => return None,
            }
        } else {
            if let Some(&known) = self.by_short_name.get(name) {
                return Some(known);
            }
            match self.search(asked) {
                Ok(found) => found?,
                Err(place) => return self.cannot_read(place, asked.by),
            }
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
        if let Err(NoElf::Unreadable(why)) = &facts.elf {
            return self.cannot_read(Unreadable { place: path, why: Arc::clone(why) }, asked.by);
        }
        let elf = facts.elf.as_ref().ok().filter(|elf| self.refusal(elf).is_none())?;
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

    /// What can't be read stands against the program, whoever asked.
    fn cannot_read<T>(&mut self, place: Unreadable, by: usize) -> Option<T> {
        self.map.note_unreadable(&unreadable(place, by));
        None
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
}

impl FollowsNotes for Process<'_> {
    fn map(&mut self) -> &mut Mapping {
        &mut self.map
    }

    /// Whoever calls `dlopen`, the program is asked for.
    fn asker(_: usize) -> usize {
        MAIN
    }

    fn offered(&mut self, asked: Asked<'_>) -> Option<Bytes> {
        if asked.name.contains(&b'/') {
            let is_file = matches!(self.context.tree.look(asked.name), Looked::Found(place) if place.content.is_some());
            return is_file.then(|| self.context.tree.absolute(asked.name).into());
        }
        self.search(asked).ok().flatten().map(|(path, ..)| path)
    }

    fn load_later(&mut self, asked: Asked<'_>) -> Option<usize> {
        self.dlopen(asked)
    }

    fn note_not_found(&mut self, asked: Asked<'_>, optional: bool) {
        self.note_missing(asked, optional);
    }
}

impl Process<'_> {
    /// `map_library`: no machine or version is looked at. Nor are class and byte order, but a header of others makes no
    /// sense where the loader's own is expected.
    pub(super) fn refusal(&self, elf: &Object) -> Option<Refusal> {
        let own = self.map.objects[MAIN].elf.machine;
        match elf.file_type {
            _ if elf.machine.endian != own.endian => Some(Refusal::Endian),
            _ if elf.machine.class != own.class => Some(Refusal::Type),
            FileType::Executable | FileType::Dynamic if elf.dynamic.is_some() => None,
            FileType::Executable | FileType::Dynamic => Some(Refusal::NoDynamic),
            FileType::Relocatable | FileType::Core | FileType::Other(_) => Some(Refusal::Type),
        }
    }
}

fn is_reserved(name: &[u8]) -> bool {
    name.strip_prefix(b"lib").is_some_and(|rest| RESERVED.iter().any(|reserved| rest.starts_with(reserved)))
}
