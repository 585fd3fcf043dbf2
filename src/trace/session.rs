//! Calls in their order, to what each program of the run used: processes with their folders and open files are
//! followed.

use std::collections::{BTreeMap, BTreeSet};

use super::{At, Call, Handle, OpenMode, Outcome, Pid, Syscall};

/// How a path was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// Executed.
    Executed,
    /// Mapped as code.
    Mapped,
    /// Opened to be read.
    Opened,
    /// Opened to be written.
    Written,
    /// Listed.
    Listed,
    /// Entered.
    Entered,
    /// Connected to.
    Connected,
    /// Read as a link.
    LinkRead,
    /// Only looked at.
    Looked,
    /// Asked for, and not there.
    InVain,
}

/// A program of a run, by its place in [`Observed::programs`].
pub type ProgramId = usize;

/// A program that the run executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its path, as asked for.
    pub path: Vec<u8>,
    /// The program that executed it.
    pub by: Option<ProgramId>,
}

/// What a run used.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The programs, in the order of their start.
    pub programs: Vec<Program>,
    /// Absolute paths, perhaps with `..` and links in them, with who used them and how; `None` before any program.
    pub paths: BTreeMap<Vec<u8>, BTreeMap<Option<ProgramId>, BTreeSet<Manner>>>,
    /// Paths that the run made before it used them in another way.
    pub made: BTreeSet<Vec<u8>>,
    /// Whether it was seen what is mapped as code.
    pub maps: bool,
    /// Paths that could not be made absolute.
    pub lost: usize,
}

#[derive(Debug, Clone, Default)]
struct Place {
    cwd: Option<Vec<u8>>,
    root: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Process {
    place: usize,
    table: usize,
    program: Option<ProgramId>,
}

/// Follows the processes of a run.
#[derive(Debug)]
pub struct Session {
    places: Vec<Place>,
    tables: Vec<BTreeMap<i32, Vec<u8>>>,
    processes: BTreeMap<Pid, Process>,
    observed: Observed,
}

impl Session {
    /// A run that begins in a folder, where that is known.
    pub fn new(cwd: Option<Vec<u8>>) -> Self {
        let places = vec![Place { cwd, root: Vec::new() }];
        Self { places, tables: vec![BTreeMap::new()], processes: BTreeMap::new(), observed: Observed::default() }
    }

    /// What was used.
    pub fn finish(self) -> Observed {
        self.observed
    }

    /// Takes the next call.
    pub fn take(&mut self, syscall: &Syscall) {
        let first = Process { place: 0, table: 0, program: None };
        let process = *self.processes.entry(syscall.pid).or_insert(first);
        match (&syscall.call, syscall.outcome) {
            (Call::Fork { share_folder, share_descriptors }, Outcome::Done(child)) => {
                self.fork(process, child, *share_folder, *share_descriptors);
            }
            (Call::Close(number), Outcome::Done(_)) => {
                self.tables[process.table].remove(number);
            }
            (Call::Duplicate { from, to }, Outcome::Done(result)) => {
                let number = to.map_or(result, i64::from);
                if let (Some(path), Ok(number)) = (self.opened(process, from), i32::try_from(number)) {
                    self.tables[process.table].insert(number, path);
                }
            }
            (Call::Exit, _) => {
                self.processes.remove(&syscall.pid);
            }
            (Call::MapCode(handle), Outcome::Done(_)) => {
                self.observed.maps = true;
                self.used(process, self.opened(process, handle), Manner::Mapped);
            }
            (Call::List(handle), Outcome::Done(_)) => {
                self.used(process, self.opened(process, handle), Manner::Listed);
            }
            (call, outcome) => self.path(syscall.pid, process, call, outcome),
        }
    }

    fn fork(&mut self, parent: Process, child: i64, share_folder: bool, share_descriptors: bool) {
        let Some(child) = u32::try_from(child).ok().filter(|child| *child > 0) else { return };
        let mut process = parent;
        if !share_folder {
            self.places.push(self.places[parent.place].clone());
            process.place = self.places.len() - 1;
        }
        if !share_descriptors {
            self.tables.push(self.tables[parent.table].clone());
            process.table = self.tables.len() - 1;
        }
        self.processes.insert(child, process);
    }

    /// Calls that name a path.
    fn path(&mut self, pid: Pid, process: Process, call: &Call, outcome: Outcome) {
        let (at, manner) = match call {
            Call::Open { at, mode: OpenMode::Read } => (at, Manner::Opened),
            Call::Execute(at) => (at, Manner::Executed),
            Call::Look(at) => (at, Manner::Looked),
            Call::ReadLink(at) => (at, Manner::LinkRead),
            Call::Enter(at) | Call::ChangeRoot(at) => (at, Manner::Entered),
            Call::Connect(at) => (at, Manner::Connected),
            Call::Open { at, .. } | Call::Make(at) | Call::Rename(_, at) | Call::Remove(at) => (at, Manner::Written),
            _ => return,
        };
        let Some(path) = self.absolute(process, at) else {
            self.observed.lost += usize::from(!at.path.is_empty());
            return;
        };
        let Outcome::Done(result) = outcome else {
            // EINVAL of readlink and the like: the path is there, and was looked at.
            let manner = if outcome == Outcome::Absent { Manner::InVain } else { Manner::Looked };
            return self.used(process, Some(path), manner);
        };
        match call {
            Call::Open { mode, .. } => {
                if *mode == OpenMode::Create && !self.is_used(&path) {
                    self.observed.made.insert(path.clone());
                }
                if let Ok(number) = i32::try_from(result) {
                    self.tables[process.table].insert(number, path.clone());
                }
            }
            Call::Make(_) | Call::Rename(..) if !self.is_used(&path) => {
                self.observed.made.insert(path.clone());
            }
            Call::Enter(_) => self.places[process.place].cwd = Some(path.clone()),
            Call::ChangeRoot(_) => self.places[process.place].root.clone_from(&path),
            Call::Execute(_) => {
                self.used(process, Some(path.clone()), manner);
                self.observed.programs.push(Program { path, by: process.program });
                let program = Some(self.observed.programs.len() - 1);
                self.processes.insert(pid, Process { program, ..process });
                return;
            }
            // What is gone again is no need of the image.
            Call::Remove(_) => return,
            _ => {}
        }
        self.used(process, Some(path), manner);
    }

    /// Whether a path was found there before.
    fn is_used(&self, path: &[u8]) -> bool {
        let used = self.observed.paths.get(path);
        used.is_some_and(|by| by.values().flatten().any(|manner| *manner != Manner::InVain))
    }

    fn used(&mut self, process: Process, path: Option<Vec<u8>>, manner: Manner) {
        let Some(path) = path.filter(|path| path.starts_with(b"/")) else { return };
        self.observed.paths.entry(path).or_default().entry(process.program).or_default().insert(manner);
    }

    fn opened(&self, process: Process, handle: &Handle) -> Option<Vec<u8>> {
        match handle {
            Handle::Cwd => self.places[process.place].cwd.clone(),
            Handle::Descriptor(number) => self.tables[process.table].get(number).cloned(),
            Handle::Known(path) => Some(path.clone()),
        }
    }

    fn absolute(&self, process: Process, at: &At) -> Option<Vec<u8>> {
        let root = &self.places[process.place].root;
        if at.path.starts_with(b"/") {
            return Some(tidy(&[root.as_slice(), &at.path].concat()));
        }
        let from = self.opened(process, &at.from).filter(|from| from.starts_with(b"/"))?;
        Some(if at.path.is_empty() { from } else { tidy(&[from.as_slice(), b"/", &at.path].concat()) })
    }
}

/// Without `.` and doubled slashes; `..` stays, since what it means depends on links.
fn tidy(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let tidy: Vec<u8> = parts.flat_map(|part| [b"/", part].concat()).collect();
    if tidy.is_empty() { b"/".to_vec() } else { tidy }
}
