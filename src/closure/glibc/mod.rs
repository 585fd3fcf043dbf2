//! glibc's loader: which objects it maps for a program, in which order, and where it finds them.
//!
//! Follows `_dl_map_object` and `_dl_map_object_deps` step by step. A [`Process`] is the loader's state; it can be kept
//! and cloned to see what a `dlopen` would do next.

use std::collections::HashMap;
use std::sync::Arc;

use super::accept;
use super::headers::Facts;
use super::mapping::{Asked, Context, Mapping, Opened, Start, not_taken, parent, refused, unreadable};
use super::near;
use super::token::{self, PathList, Tokens, Trusted};
use super::tree::Looked;
use super::{Because, Bytes, Fatal, FatalReason, Found, Loaded, Missing, NearMiss, Unreadable, Warning};
use crate::elf::DependencyKind;
use crate::source::ContentId;

mod check;
mod directories;
mod install;
mod later;
mod order;
mod search;

pub(super) use install::{Install, Processor};

use order::Order;

/// What stands in the bytes of a loader like a list of directories, each with a slash at the end.
pub(in crate::closure) fn directories_in(loader: &[u8]) -> Vec<Vec<Bytes>> {
    let owned = |run: Vec<&[u8]>| run.into_iter().map(Bytes::from).collect();
    directories::runs(loader).into_iter().map(owned).collect()
}

/// The program's index; the loader's, which is always the second.
const MAIN: usize = 0;
const LOADER: usize = 1;

/// The loader's state for one program.
#[derive(Debug, Clone)]
pub(super) struct Process<'a> {
    context: Context<'a>,
    install: Arc<Install>,
    pub(super) map: Mapping,
    /// What is known of each object beside what the mapping tells.
    inner: Vec<Inner>,
    /// The objects in the order of `l_next`, in which names are compared.
    list: Vec<usize>,
    by_name: HashMap<Bytes, Vec<usize>>,
    by_soname: HashMap<Bytes, Vec<usize>>,
    by_file: HashMap<ContentId, usize>,
    library_path: Arc<PathList>,
    /// Whether `$PLATFORM` was met, so that another processor may load something else.
    pub(super) platform_met: bool,
}

/// What the loader keeps of an object for its searches.
#[derive(Debug, Clone)]
struct Inner {
    facts: Arc<Facts>,
    /// `l_loader`: the object that asked first.
    loader: Option<usize>,
    origin: Option<Bytes>,
    rpath: Option<Arc<PathList>>,
    runpath: Option<Arc<PathList>>,
}

impl<'a> Process<'a> {
    /// A process before its loader's first step.
    pub(super) fn new(context: Context<'a>, install: Arc<Install>, start: &Start, loader: Opened) -> Self {
        let mut process = Self {
            context,
            install,
            map: Mapping::default(),
            inner: Vec::new(),
            list: Vec::new(),
            by_name: HashMap::new(),
            by_soname: HashMap::new(),
            by_file: HashMap::new(),
            library_path: Arc::default(),
            platform_met: false,
        };
        process.map.start(start);
        process.add(Arc::clone(&start.facts), None, Some(Arc::clone(&start.origin)));
        process.claim(MAIN, &Arc::from(b"".as_slice()));
        process.add_loader(loader);
        if !context.secure && !context.library_path.is_empty() {
            process.library_path = Arc::new(process.path_list(MAIN, context.library_path, b":;"));
        }
        process
    }

    /// The loader is known by the path that the program names and by its own `DT_SONAME`. It is never compared by file.
    fn add_loader(&mut self, loader: Opened) {
        let Ok(elf) = &loader.facts.elf else { return };
        self.map.objects.push(Loaded {
            names: vec![Arc::clone(&loader.path)],
            path: Arc::clone(&loader.path),
            real: loader.real,
            content: loader.content,
            elf: Arc::clone(elf),
            found: Found::Interpreter,
            needed_by: None,
            because: Because::Requested,
        });
        self.add(Arc::clone(&loader.facts), None, None);
        self.claim(LOADER, &loader.path);
    }

    /// The version of this glibc, where its loader states it.
    pub(super) fn version(&self) -> Option<(u32, u32)> {
        self.install.version
    }

    /// The directories that are searched last, each with a slash at the end.
    pub(super) fn system_directories(&self) -> &[Bytes] {
        &self.install.directories
    }

    /// Maps everything that is mapped before the program's first instruction.
    pub(super) fn start(&mut self) -> Result<(), Fatal> {
        let untouched = (!self.audit_names().is_empty()).then(|| self.clone());
        let preloads = self.preload()?;
        let order = [MAIN].into_iter().chain(preloads).collect();
        self.map.order = self.map_dependencies(order, 0)?;
        self.check_versions(0);
        if let Some(untouched) = untouched {
            self.audit(&untouched);
        }
        self.check_relations();
        Ok(())
    }

    /// Maps preloads for the program. One that fails is only reported.
    fn preload(&mut self) -> Result<Vec<usize>, Fatal> {
        let mut names: Vec<(Bytes, Because)> = Vec::new();
        let environment = self.context.preload.split(|byte| b" :".contains(byte));
        // Under AT_SECURE a name with a slash is dropped.
        let usable = |name: &&[u8]| !(name.is_empty() || self.context.secure && name.contains(&b'/'));
        names.extend(environment.filter(usable).map(|name| (Arc::from(name), Because::Preload)));
        names.extend(self.preload_file()?.into_iter().map(|name| (name, Because::PreloadFile)));
        let mut mapped = Vec::new();
        for (name, because) in names {
            let asked = Asked { by: MAIN, name: &name, because };
            match self.map(asked) {
                Ok(Some(object)) if object > LOADER && !mapped.contains(&object) => mapped.push(object),
                Ok(Some(_)) => {}
                Ok(None) => self.note_missing(asked, Vec::new(), true),
                Err(fatal) => self.note_refused(asked, &fatal, true),
            }
        }
        Ok(mapped)
    }

    /// `/etc/ld.so.preload`: names between blanks and colons, comments to the end of the line.
    fn preload_file(&self) -> Result<Vec<Bytes>, Fatal> {
        const PATH: &[u8] = b"/etc/ld.so.preload";
        const LONGEST: u64 = 64 << 10;
        let place = match self.context.tree.look(PATH) {
            Looked::Found(place) => place,
            Looked::Unreadable(place) => return Err(unreadable(place, MAIN)),
            Looked::Absent | Looked::Dangling | Looked::Loop | Looked::TooLong => return Ok(Vec::new()),
        };
        let Some(content) = &place.content else { return Ok(Vec::new()) };
        let text = content.read(LONGEST).map_err(|error| unreadable(Unreadable::new(PATH, &error), MAIN))?;
        let without_comments =
            text.split(|&byte| byte == b'\n').filter_map(|line| line.split(|&byte| byte == b'#').next());
        let names = without_comments.flat_map(|line| line.split(|byte| b" \t:".contains(byte)));
        Ok(names.filter(|name| !name.is_empty()).map(Arc::from).collect())
    }

    /// `_dl_map_object_deps`: breadth first over the objects of `order`, which becomes the order of lookup. Each
    /// object's dependencies go to the end; its filtees and auxiliaries go before it, and are the next to be looked at.
    /// Objects below `loaded` were seen to before.
    fn map_dependencies(&mut self, order: Vec<usize>, loaded: usize) -> Result<Vec<usize>, Fatal> {
        let mut order = Order::new(order, loaded);
        while let Some(object) = order.next() {
            let mut place = order.place;
            let elf = Arc::clone(&self.map.objects[object].elf);
            for dependency in elf.dynamic.iter().flat_map(|dynamic| &dynamic.dependencies) {
                let Some(mapped) = self.map_dependency(object, dependency.kind, &dependency.name)? else { continue };
                let is_new = order.mark(mapped);
                if dependency.kind == DependencyKind::Needed {
                    order.list.extend(is_new.then_some(mapped));
                } else if order.insert(place, mapped, is_new) {
                    place += 1;
                    self.list.retain(|&listed| listed != mapped);
                    let before = self.list.iter().position(|&listed| listed == object);
                    self.list.insert(before.unwrap_or(self.list.len()), mapped);
                }
            }
        }
        Ok(order.list)
    }

    /// Maps what one entry of a dynamic section asks for. None when there is nothing to map.
    fn map_dependency(&mut self, by: usize, kind: DependencyKind, name: &Bytes) -> Result<Option<usize>, Fatal> {
        if **name == *self.install.port.vdso {
            return Ok(None);
        }
        let because = match kind {
            DependencyKind::Needed => Because::Needed,
            DependencyKind::Filter => Because::Filter,
            DependencyKind::Auxiliary => Because::Auxiliary,
        };
        let mut expanded = None;
        if token::has_token(name) {
            let path = Arc::clone(&self.map.objects[by].path);
            let fatal = Fatal { path, reason: FatalReason::Token(Arc::clone(name)), needed_by: Some(by) };
            if self.context.secure {
                return Err(fatal);
            }
            match self.expand(by, name) {
                Some(text) => expanded = Some(text),
                // Without a value for its token a needed object is passed over in silence.
                None if kind == DependencyKind::Auxiliary => return Err(fatal),
                None => return Ok(None),
            }
        }
        let asked = Asked { by, name: expanded.as_ref().unwrap_or(name), because };
        match self.map(asked) {
            Ok(Some(mapped)) => Ok(Some(mapped)),
            Ok(None) => {
                self.note_missing(asked, Vec::new(), kind == DependencyKind::Auxiliary);
                Ok(None)
            }
            Err(fatal) if kind == DependencyKind::Auxiliary => {
                self.note_refused(asked, &fatal, true);
                Ok(None)
            }
            Err(fatal) => Err(fatal),
        }
    }

    /// `_dl_map_object`: an object that is known by the name, or a file that is opened for it. None when there is none.
    fn map(&mut self, asked: Asked<'_>) -> Result<Option<usize>, Fatal> {
        if let Some(known) = self.known(asked.name) {
            return Ok(Some(known));
        }
        let Some(opened) = self.open(asked)? else { return Ok(None) };
        if let Some(&known) = self.by_file.get(&opened.content.id()) {
            self.alias(known, asked.name, Some(opened.path));
            return Ok(Some(known));
        }
        let Ok(elf) = &opened.facts.elf else { return Ok(None) };
        if let Some(refusal) = accept::refusal(elf, asked.because.is_dlopen()) {
            return Err(refused(&opened.path, refusal, asked.by));
        }
        let object = self.map.objects.len();
        let origin = parent(&self.context.tree.absolute(&opened.path));
        self.by_file.insert(opened.content.id(), object);
        self.map.objects.push(Loaded {
            names: vec![Arc::clone(asked.name)],
            path: opened.path,
            real: opened.real,
            content: opened.content,
            elf: Arc::clone(elf),
            found: opened.found,
            needed_by: Some(asked.by),
            because: asked.because,
        });
        self.add(Arc::clone(&opened.facts), Some(asked.by), Some(origin));
        self.claim(object, asked.name);
        let path = Arc::clone(&self.map.objects[object].path);
        self.claim(object, &path);
        Ok(Some(object))
    }

    /// The first object in the list that has a name, or whose `DT_SONAME` it is.
    fn known(&mut self, name: &Bytes) -> Option<usize> {
        let by_name = self.by_name.get(name).into_iter().flatten();
        let by_soname = self.by_soname.get(name).into_iter().flatten();
        let all = by_name.map(|&object| (object, true)).chain(by_soname.map(|&object| (object, false)));
        let rank = |object: usize| self.list.iter().position(|&listed| listed == object);
        let several = self.by_name.get(name).map_or(0, Vec::len) + self.by_soname.get(name).map_or(0, Vec::len) > 1;
        let (object, named) =
            if several { all.min_by_key(|&(object, named)| (rank(object), !named)) } else { all.last() }?;
        if !named {
            self.alias(object, name, None);
        }
        Some(object)
    }

    /// Notes that an object was asked for by another name, for which a path was opened or not.
    fn alias(&mut self, object: usize, name: &Bytes, path: Option<Bytes>) {
        self.map.alias(name, path, object);
        self.map.objects[object].names.push(Arc::clone(name));
        self.claim(object, name);
    }

    /// Gives an object one more name.
    fn claim(&mut self, object: usize, name: &Bytes) {
        let claims = self.by_name.entry(Arc::clone(name)).or_default();
        if !claims.contains(&object) {
            claims.push(object);
        }
    }

    /// Keeps what searches need to know of the object that was mapped last.
    fn add(&mut self, facts: Arc<Facts>, loader: Option<usize>, origin: Option<Bytes>) {
        let object = self.inner.len();
        self.list.push(object);
        self.inner.push(Inner { facts, loader, origin, rpath: None, runpath: None });
        let elf = Arc::clone(&self.map.objects[object].elf);
        let Some(dynamic) = &elf.dynamic else { return };
        if let Some(soname) = &dynamic.soname {
            self.by_soname.entry(Arc::clone(soname)).or_default().push(object);
        }
        if object == LOADER {
            return;
        }
        let list = |process: &mut Self, text: &Option<Bytes>| {
            text.as_ref().map(|text| Arc::new(process.path_list(object, text, b":")))
        };
        self.inner[object].rpath = list(self, &dynamic.rpath);
        self.inner[object].runpath = list(self, &dynamic.runpath);
    }

    /// A list of directories that stands in an object.
    fn path_list(&mut self, object: usize, text: &[u8], separators: &[u8]) -> PathList {
        let list = token::split(text, separators, &self.tokens(object));
        if token::has_platform(text) {
            self.platform_met = true;
            self.map.warn(Warning::PlatformToken { object });
        }
        for directory in list.directories.iter().filter(|directory| !directory.starts_with(b"/")) {
            self.map.warn(Warning::RelativePath { object, path: Arc::clone(directory) });
        }
        if self.context.secure {
            for path in &list.dropped {
                self.map.warn(Warning::SecureOrigin { object, path: Arc::clone(path) });
            }
        }
        list
    }

    fn expand(&mut self, object: usize, text: &[u8]) -> Option<Bytes> {
        if token::has_platform(text) {
            self.platform_met = true;
            self.map.warn(Warning::PlatformToken { object });
        }
        token::expand(text, &self.tokens(object)).filter(|text| !text.is_empty()).map(Arc::from)
    }

    fn tokens(&self, object: usize) -> Tokens<'_> {
        let trusted = Trusted { directories: &self.install.directories, is_program: object == MAIN };
        Tokens {
            origin: self.inner.get(object).and_then(|inner| inner.origin.as_deref()),
            lib: &self.install.lib,
            platform: self.install.platform.map(str::as_bytes),
            trusted: self.context.secure.then_some(trusted),
        }
    }

    /// Keeps that nothing was found, with what was tried.
    fn note_missing(&mut self, asked: Asked<'_>, near: Vec<NearMiss>, optional: bool) {
        if !self.map.is_newly_missing(asked.name, optional) {
            return;
        }
        let searched = self.searched(asked);
        let near = if near.is_empty() && self.map.wants_near_misses() {
            near::misses(self.context.tree, &self.near_search(asked))
        } else {
            near
        };
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

    fn note_refused(&mut self, asked: Asked<'_>, fatal: &Fatal, optional: bool) {
        let near = NearMiss { path: Arc::clone(&fatal.path), because: not_taken(fatal) };
        self.note_missing(asked, vec![near], optional);
    }
}
