//! From a path to a resolution: what the file is, which loader it has, and what that maps.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::accept;
use super::glibc::{self, Install, Processor};
use super::headers::{Facts, NoElf};
use super::loader::{Chosen, is_musl_loader, is_unsupported_loader, libc_of};
use super::machine::{self, Port};
use super::mapping::{Asked, Context, Mapping, Start, parent};
use super::musl;
use super::notes::FollowsNotes;
use super::script;
use super::tree::{Looked, Place, Tree};
use super::{
    Because, Bytes, Fatal, FatalReason, Foreign, Kind, Libc, Options, Privilege, Refusal, Resolution, Role, Wanted,
};
use crate::elf::{FileType, Machine, Object, Shape};
use crate::path::ImagePath;

/// `e_machine` of data in ELF clothing, as Guile's compiled files.
const EM_NONE: u16 = 0;
/// Everything that resolutions share.
pub(super) struct Engine<'a> {
    pub(super) tree: &'a Tree<'a>,
    pub(super) options: &'a Options,
    installs: RwLock<HashMap<InstallKey, Result<Arc<Install>, FatalReason>>>,
}

/// A loader's file, the machine with its flags, and the processor.
type InstallKey = (ImagePath, Machine, u32, Processor);

/// The program by which libraries and plugins are judged that name no loader themselves.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) loader: Bytes,
    pub(super) libc: Libc,
    pub(super) elf: Arc<Object>,
}

/// A process at its end, kept for what is loaded into it later.
#[derive(Debug, Clone)]
pub(super) enum Process<'a> {
    Glibc(Box<glibc::Process<'a>>),
    Musl(Box<musl::Process<'a>>),
}

impl<'a> Engine<'a> {
    pub(super) fn new(tree: &'a Tree<'a>, options: &'a Options) -> Self {
        Self { tree, options, installs: RwLock::default() }
    }

    /// Resolves one path; with the process at its end when there is one.
    pub(super) fn resolve(
        &'a self,
        wanted: &Wanted,
        reference: Option<&Reference>,
        host: Option<&Process<'a>>,
    ) -> (Resolution, Option<Process<'a>>) {
        let mut resolution = Resolution::of(&wanted.path);
        let process = self.fill(&mut resolution, wanted, reference, host);
        match process {
            Ok(process) => (resolution, process),
            Err(reason) => {
                resolution.stop(reason);
                (resolution, None)
            }
        }
    }

    fn fill(
        &'a self,
        resolution: &mut Resolution,
        wanted: &Wanted,
        reference: Option<&Reference>,
        host: Option<&Process<'a>>,
    ) -> Result<Option<Process<'a>>, FatalReason> {
        if wanted.role == Role::Library && !wanted.path.contains(&b'/') {
            let name = Arc::clone(&resolution.path);
            resolution.path = self.find_library(&name, reference)?.ok_or(FatalReason::NotThere)?;
        }
        let place = match self.tree.look(&resolution.path) {
            Looked::Found(place) => place,
            Looked::Unreadable(place) => return Err(FatalReason::Unreadable(place)),
            Looked::Absent | Looked::Dangling | Looked::Loop | Looked::TooLong => return Err(FatalReason::NotThere),
        };
        resolution.real = Some(place.real.clone());
        resolution.kind = Kind::Data;
        let is_plugin = matches!(wanted.role, Role::Plugin { .. });
        let Some(content) = &place.content else {
            return if is_plugin { Ok(None) } else { Err(FatalReason::Refused(Refusal::Directory)) };
        };
        let facts = self.tree.facts(content);
        let elf = match &facts.elf {
            Ok(elf) if elf.machine.number == EM_NONE => return not_loadable(wanted.role, Refusal::Type),
            Ok(elf) => Arc::clone(elf),
            Err(why @ NoElf::Unreadable(_)) => return why.unreadable(&resolution.path).map_or(Ok(None), Err),
            Err(_) if wanted.role == Role::Program => {
                script::read(self.tree, self.options, &place, resolution)?;
                return Ok(None);
            }
            Err(NoElf::TooShort) => return not_loadable(wanted.role, Refusal::TooShort),
            Err(_) => return not_loadable(wanted.role, Refusal::NotElf),
        };
        resolution.elf = Some(Arc::clone(&elf));
        resolution.interp.clone_from(&elf.interp);
        resolution.kind = kind(&elf);
        if resolution.kind == Kind::Data {
            return not_loadable(wanted.role, Refusal::Type);
        }
        if !is_plugin && let Some(refusal) = accept::damage(&elf) {
            return Err(FatalReason::Refused(refusal));
        }
        if is_plugin && let Some(foreign) = self.foreign(&elf, reference) {
            resolution.kind = Kind::Foreign(foreign);
            return Ok(None);
        }
        if matches!(resolution.kind, Kind::Static | Kind::StaticPie) {
            return Ok(None);
        }
        match host {
            Some(host) if elf.interp.is_none() => {
                host.clone().load_plugin(resolution);
                Ok(None)
            }
            _ => self.load(resolution, wanted, &place, &facts, reference),
        }
    }

    /// Loads a dynamic program or a library that is looked at alone.
    fn load(
        &'a self,
        resolution: &mut Resolution,
        wanted: &Wanted,
        place: &Place,
        facts: &Arc<Facts>,
        reference: Option<&Reference>,
    ) -> Result<Option<Process<'a>>, FatalReason> {
        let (Ok(elf), Some(file)) = (&facts.elf, &place.content) else { return Ok(None) };
        if elf.interp.is_none() && elf.dynamic.as_ref().is_none_or(|dynamic| dynamic.dependencies.is_empty()) {
            // Nothing to find: no loader is needed to see that.
            let mut map = Mapping::default();
            map.start(&self.start_of(resolution, place, file, facts, elf));
            map.order.push(0);
            map.into_resolution(resolution);
            return Ok(None);
        }
        let chosen = self.choose(elf, reference)?;
        if let (Kind::Dynamic, Some(interp), false) = (resolution.kind, &elf.interp, chosen.is_executable) {
            return Err(FatalReason::InterpreterNotExecutable(Arc::clone(interp)));
        }
        resolution.loader = Some(chosen.loader.clone());
        let start = self.start_of(resolution, place, file, facts, elf);
        let context = Context {
            tree: self.tree,
            library_path: &self.options.library_path,
            preload: if chosen.preload.is_empty() { &self.options.preload } else { chosen.preload },
            secure: wanted.privilege == Privilege::Secure,
        };
        let run = Run { engine: self, context, start: &start, chosen: &chosen, dlopen: &wanted.dlopen };
        let (process, fatal) = run.on(None)?;
        if let Some(loader) = &mut resolution.loader {
            match &process {
                Process::Glibc(process) => {
                    loader.libc = Libc::Glibc(process.version());
                    loader.directories = process.system_directories().to_vec();
                }
                Process::Musl(process) => loader.path_file = process.path_file(),
            }
        }
        process.map().clone().into_resolution(resolution);
        resolution.fatal = fatal;
        self.add_variants(resolution, &run, &process);
        Ok(Some(process))
    }

    fn start_of(
        &self,
        resolution: &Resolution,
        place: &Place,
        content: &crate::source::Content,
        facts: &Arc<Facts>,
        elf: &Arc<Object>,
    ) -> Start {
        let path: Bytes = self.tree.absolute(&resolution.path).into();
        // The kernel resolves a program's path; a library keeps the one by which it is opened.
        let origin = if resolution.kind == Kind::Library { parent(&path) } else { parent(place.real.as_bytes()) };
        let (real, content, facts, elf) = (place.real.clone(), content.clone(), Arc::clone(facts), Arc::clone(elf));
        Start { path, real, content, facts, elf, origin }
    }

    /// The path of a library that is asked for by name, as a program without paths of its own would find it.
    fn find_library(&'a self, name: &Bytes, reference: Option<&Reference>) -> Result<Option<Bytes>, FatalReason> {
        let Some(reference) = reference else { return Ok(None) };
        let chosen = self.open_loader(&reference.loader, &reference.elf)?;
        let Some(chosen) = chosen else { return Ok(None) };
        let Ok(elf) = &chosen.opened.facts.elf else { return Ok(None) };
        let start = Start {
            path: Arc::clone(&chosen.opened.path),
            real: chosen.opened.real.clone(),
            content: chosen.opened.content.clone(),
            facts: Arc::clone(&chosen.opened.facts),
            elf: Arc::clone(elf),
            origin: parent(chosen.opened.real.as_bytes()),
        };
        let context =
            Context { tree: self.tree, library_path: &self.options.library_path, preload: b"", secure: false };
        let asked = Asked { by: 0, name, because: Because::Dlopen };
        let (found, unreadable) = match chosen.loader.libc {
            Libc::Musl => {
                let mut process = musl::Process::new(context, &start, chosen.opened);
                let mapped = process.dlopen(asked);
                (mapped.map(|mapped| Arc::clone(&process.map.objects[mapped].path)), process.map.unreadable)
            }
            Libc::Glibc(_) => {
                let install = self.install(&chosen.loader.real, elf, None)?;
                let mut process = glibc::Process::new(context, install, &start, chosen.opened.clone());
                let opened = process.open(asked).ok().flatten();
                (opened.map(|opened| opened.path), process.map.unreadable)
            }
        };
        unreadable.map_or(Ok(found), |fatal| Err(fatal.reason))
    }

    fn install(
        &self,
        loader: &ImagePath,
        program: &Object,
        processor: Option<Processor>,
    ) -> Result<Arc<Install>, FatalReason> {
        let port = || Port::of(program).ok_or(FatalReason::NoLoader(program.machine));
        let processor = match processor {
            Some(processor) => processor,
            None => Processor::of(&self.options.isa, &port()?),
        };
        let key = (loader.clone(), program.machine, program.flags, processor);
        if let Some(known) = self.installs.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let read = Install::read(self.tree, loader, program, processor, self.options.cache).map(Arc::new);
        self.installs.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(read).clone()
    }

    /// What an ELF file of a copied folder is for, when it is not for this image.
    fn foreign(&self, elf: &Arc<Object>, reference: Option<&Reference>) -> Option<Foreign> {
        let machine = self.options.machine.or(reference.map(|reference| reference.elf.machine))?;
        let fits = reference.is_none_or(|it| it.elf.machine != machine || machine::matches(&it.elf, elf));
        if elf.machine != machine || !fits {
            return Some(Foreign::Machine);
        }
        let own = match &elf.interp {
            Some(interp) if is_musl_loader(interp) => Some(Libc::Musl),
            Some(interp) if is_unsupported_loader(interp) => return Some(Foreign::Libc),
            Some(_) => Some(Libc::Glibc(None)),
            None => libc_of(elf),
        };
        let differs = own.zip(reference).is_some_and(|(own, of)| (own == Libc::Musl) != (of.libc == Libc::Musl));
        differs.then_some(Foreign::Libc)
    }
}

/// One run of a loader.
pub(super) struct Run<'a, 'r> {
    engine: &'a Engine<'a>,
    context: Context<'a>,
    pub(super) start: &'r Start,
    chosen: &'r Chosen,
    dlopen: &'r [Vec<u8>],
}

impl<'a> Run<'a, '_> {
    /// Runs the loader on a processor, by default the one that the image is for.
    pub(super) fn on(&self, processor: Option<Processor>) -> Result<(Process<'a>, Option<Fatal>), FatalReason> {
        let opened = self.chosen.opened.clone();
        if self.chosen.loader.libc == Libc::Musl {
            let mut process = musl::Process::new(self.context, self.start, opened);
            process.start();
            process.dlopen_all(self.dlopen);
            process.follow_notes_from(0);
            let fatal = process.map.unreadable.take();
            return Ok((Process::Musl(Box::new(process)), fatal));
        }
        let install = self.engine.install(&self.chosen.loader.real, &self.start.elf, processor)?;
        let mut process = Box::new(glibc::Process::new(self.context, install, self.start, opened));
        let fatal = process.start().err();
        if fatal.is_none() {
            process.dlopen_all(self.dlopen);
            process.follow_notes_from(0);
        }
        let fatal = process.map.unreadable.take().or(fatal);
        Ok((Process::Glibc(process), fatal))
    }
}

impl Process<'_> {
    pub(super) fn map(&self) -> &Mapping {
        match self {
            Self::Glibc(process) => &process.map,
            Self::Musl(process) => &process.map,
        }
    }

    /// Loads a plugin into the process as it is. What the process had before is not told again.
    fn load_plugin(mut self, resolution: &mut Resolution) {
        let before = self.map().clone();
        let asked = Asked { by: 0, name: &resolution.path, because: Because::Dlopen };
        let mapped = match &mut self {
            Self::Glibc(process) => process.dlopen(asked),
            Self::Musl(process) => Ok(process.dlopen(asked)),
        };
        match (mapped, &mut self) {
            (Err(fatal), _) => resolution.fatal = Some(fatal),
            (Ok(None), _) => {
                let path = Arc::clone(&resolution.path);
                resolution.fatal = Some(Fatal { path, reason: FatalReason::NotThere, needed_by: None });
            }
            (Ok(Some(_)), Self::Glibc(process)) => process.follow_notes_from(before.objects.len()),
            (Ok(Some(_)), Self::Musl(process)) => process.follow_notes_from(before.objects.len()),
        }
        if let Some(fatal) = &self.map().unreadable {
            resolution.fatal = Some(fatal.clone());
        }
        resolution.own = before.objects.len();
        self.map().since(&before).into_resolution(resolution);
    }
}

fn not_loadable<T>(role: Role, refusal: Refusal) -> Result<Option<T>, FatalReason> {
    match role {
        Role::Plugin { .. } => Ok(None),
        Role::Program => Err(FatalReason::NotAProgram),
        Role::Library => Err(FatalReason::Refused(refusal)),
    }
}

fn kind(elf: &Object) -> Kind {
    match (elf.file_type, &elf.interp, &elf.dynamic) {
        (FileType::Relocatable | FileType::Core | FileType::Other(_), ..) => Kind::Data,
        (FileType::Dynamic, Some(_), Some(_)) if elf.shape() == Shape::Library => Kind::Library,
        (_, Some(_), _) => Kind::Dynamic,
        (_, None, None) | (FileType::Executable, None, Some(_)) => Kind::Static,
        (FileType::Dynamic, None, Some(_)) if elf.shape() == Shape::StaticPie => Kind::StaticPie,
        (FileType::Dynamic, None, Some(_)) => Kind::Library,
    }
}
