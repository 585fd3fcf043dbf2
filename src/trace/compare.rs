//! What a run used against what the image holds.

use std::collections::{BTreeMap, BTreeSet};

use super::noise::{Why, by_place};
use super::session::{Manner, Observed, ProgramId};
use crate::elf;
use crate::path::ImagePath;
use crate::source::{ContentId, Node, NodeKind, Source, resolve, resolve_parent};
use crate::tree::Tree;

/// What a run is compared with.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The image's tree.
    pub tree: &'a Tree,
    /// The root that it is made from.
    pub root: &'a dyn Source,
    /// The home of whoever ran it.
    pub home: Option<&'a ImagePath>,
    /// The folder where it ran.
    pub cwd: Option<&'a ImagePath>,
}

/// What a comparison found.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// How many of the used paths the image holds.
    pub there: usize,
    /// Used, in the root, and not in the image; sorted by path.
    pub missing: Vec<Missing>,
    /// Folders in which the run wrote.
    pub writable: BTreeSet<ImagePath>,
    /// What is not to be added, and why not.
    pub passed_over: BTreeMap<Why, BTreeSet<String>>,
}

/// A path that the image lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The path in the root; no link before its last component.
    pub path: ImagePath,
    /// Where it leads.
    pub real: ImagePath,
    /// What it was used as.
    pub kind: Kind,
    /// The program that used it.
    pub by: Option<String>,
}

/// What a path was used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A program.
    Program,
    /// A library, loaded at run time.
    Library,
    /// A file.
    File,
    /// A folder, listed.
    Listed,
    /// A folder, entered.
    Entered,
}

/// Compares a run with an image.
pub fn compare(observed: &Observed, around: &Surroundings<'_>) -> Comparison {
    let contents =
        around.tree.iter().filter_map(|(_, entry)| entry.content()).map(crate::source::Content::id).collect();
    let mut comparing = Comparing {
        observed,
        around,
        contents,
        mapped: BTreeSet::new(),
        found: BTreeMap::new(),
        out: Comparison::default(),
    };
    let counted = comparing.counted();
    // A tracer knows what is mapped by where it really is.
    let is_mapped = |users: &BTreeMap<_, BTreeSet<Manner>>| users.values().flatten().any(|it| *it == Manner::Mapped);
    let mapped = observed.paths.iter().filter(|(_, users)| is_mapped(users));
    comparing.mapped = mapped.filter_map(|(path, _)| Some(resolve(around.root, path).ok()?.real)).collect();
    for (path, users) in &observed.paths {
        // Before the first program there was what started it.
        let counts = |program: &Option<ProgramId>| match program {
            Some(program) => counted.contains(program),
            None => counted.len() == observed.programs.len(),
        };
        let users: Vec<_> = users.iter().filter(|(program, _)| counts(program)).collect();
        let manners: BTreeSet<Manner> = users.iter().flat_map(|(_, manners)| manners.iter().copied()).collect();
        let by = users.first().and_then(|(program, _)| **program).and_then(|program| observed.programs.get(program));
        comparing.one(path, &manners, by.map(|program| crate::path::show(&program.path)));
    }
    comparing.without_name_services();
    let missing: Vec<Missing> = comparing.found.into_values().collect();
    let led_to: BTreeSet<ImagePath> =
        missing.iter().filter(|it| it.path != it.real).map(|it| it.real.clone()).collect();
    comparing.out.missing = missing.into_iter().filter(|it| it.path != it.real || !led_to.contains(&it.path)).collect();
    comparing.out
}

struct Comparing<'a> {
    observed: &'a Observed,
    around: &'a Surroundings<'a>,
    /// The files of the image: one may be there under another path.
    contents: BTreeSet<ContentId>,
    /// What was mapped as code, without links.
    mapped: BTreeSet<ImagePath>,
    found: BTreeMap<ImagePath, Missing>,
    out: Comparison,
}

impl Comparing<'_> {
    /// The programs whose needs are the image's: those that it ships, and what these started. All, when it ships none.
    fn counted(&self) -> BTreeSet<ProgramId> {
        let mut counted = BTreeSet::new();
        for (id, program) in self.observed.programs.iter().enumerate() {
            if self.ships(&program.path) || program.by.is_some_and(|by| counted.contains(&by)) {
                counted.insert(id);
            }
        }
        if counted.is_empty() { (0..self.observed.programs.len()).collect() } else { counted }
    }

    fn ships(&self, path: &[u8]) -> bool {
        if resolve(self.around.tree, path).is_ok() {
            return true;
        }
        let found = resolve(self.around.root, path).ok();
        found.is_some_and(|found| self.is_content(&found.node))
    }

    fn is_content(&self, node: &Node) -> bool {
        node.content().is_some_and(|content| content.size() > 0 && self.contents.contains(&content.id()))
    }

    fn pass_over(&mut self, why: Why, path: &[u8]) {
        self.out.passed_over.entry(why).or_default().insert(crate::path::show(path));
    }

    fn one(&mut self, path: &[u8], manners: &BTreeSet<Manner>, by: Option<String>) {
        if manners.is_empty() {
            return self.pass_over(Why::OtherProgram, path);
        }
        let in_vain = manners.iter().all(|manner| *manner == Manner::InVain);
        if manners.contains(&Manner::Written) {
            self.written(path);
        }
        if !in_vain && self.ships(path) {
            self.out.there += 1;
            return;
        }
        let plain = ImagePath::new(path).ok();
        if let Some(why) = plain.as_ref().and_then(by_place) {
            return self.pass_over(why, path);
        }
        if self.observed.made.contains(path) {
            return self.pass_over(Why::Made, path);
        }
        let (Ok(found), Ok(parent)) = (resolve(self.around.root, path), resolve_parent(self.around.root, path)) else {
            return self.pass_over(Why::Nowhere, path);
        };
        if let Some(why) = in_vain.then_some(Why::Nowhere).or_else(|| self.why(&parent.real, &found.real)) {
            return self.pass_over(why, path);
        }
        let loaded = self.mapped.contains(&found.real) || !self.observed.maps && manners.contains(&Manner::Opened);
        match kind(&found.node, manners, is_library(&found.real) && loaded) {
            Ok(kind) => {
                let (path, real) = (parent.real, found.real);
                let missing = Missing { path: path.clone(), real, kind, by };
                let known = self.found.entry(path).or_insert_with(|| missing.clone());
                known.kind = known.kind.min(missing.kind);
            }
            Err(why) => self.pass_over(why, path),
        }
    }

    /// Name service modules, and what only these load, come of this machine's nsswitch.conf; the image has its own.
    fn without_name_services(&mut self) {
        let is_library = |missing: &&Missing| missing.kind == Kind::Library;
        let libraries: Vec<Missing> = self.found.values().filter(is_library).cloned().collect();
        let is_module = |missing: &&Missing| missing.path.name().starts_with(b"libnss_");
        let (modules, others): (Vec<&Missing>, Vec<&Missing>) = libraries.iter().partition(is_module);
        let mut gone: BTreeSet<&ImagePath> = modules.iter().map(|missing| &missing.path).collect();
        let mut open = modules;
        while let Some(library) = open.pop() {
            let needed = self.needed(&library.real);
            for other in others.iter().filter(|other| needed.contains(other.path.name())) {
                if gone.insert(&other.path) {
                    open.push(other);
                }
            }
        }
        for path in gone {
            if let Some(missing) = self.found.remove(path) {
                self.found.remove(&missing.real);
            }
            self.out.passed_over.entry(Why::Host).or_default().insert(path.to_string());
        }
    }

    /// The libraries that a library needs, by name.
    fn needed(&self, path: &ImagePath) -> BTreeSet<Vec<u8>> {
        let node = self.around.root.node(path).ok().flatten();
        let object = node.and_then(|node| elf::Object::parse(&node.content()?.open().ok()?).ok());
        object.map(|object| object.needed().map(|name| name.to_vec()).collect()).unwrap_or_default()
    }

    fn why(&self, path: &ImagePath, real: &ImagePath) -> Option<Why> {
        let within = |folder: Option<&ImagePath>| {
            folder.is_some_and(|folder| !folder.is_root() && (path.is_within(folder) || real.is_within(folder)))
        };
        by_place(path).or_else(|| by_place(real)).or_else(|| {
            if within(self.around.home) {
                Some(Why::Home)
            } else if within(self.around.cwd) {
                Some(Why::WorkingFolder)
            } else if is_variant(self.around.tree, path) {
                Some(Why::Variant)
            } else {
                None
            }
        })
    }

    /// The folder that has to be writable for what the run wrote.
    fn written(&mut self, path: &[u8]) {
        const ELSEWHERE: [&str; 6] = ["/usr", "/etc", "/bin", "/sbin", "/lib", "/boot"];
        const SHARED: [&str; 9] =
            ["/", "/var", "/var/lib", "/var/log", "/var/cache", "/var/spool", "/srv", "/opt", "/home"];
        let Ok(path) = ImagePath::new(path) else { return };
        let real = resolve_parent(self.around.root, path.as_bytes()).map_or(path, |found| found.real);
        let apart = |folder: &&str| ImagePath::new(folder).is_ok_and(|folder| real.is_within(&folder));
        if by_place(&real).is_some() || ELSEWHERE.iter().any(apart) || self.why(&real, &real).is_some() {
            return;
        }
        let mut folder = real.clone();
        for above in real.ancestors() {
            let shared = SHARED.iter().any(|shared| above.as_bytes() == shared.as_bytes());
            if shared {
                break;
            }
            let made = self.observed.made.contains(above.as_bytes());
            folder = above;
            if !made {
                break;
            }
        }
        // A file of its own in a folder of all: nothing that a folder's owner could be changed for.
        if folder == real && !self.observed.made.contains(real.as_bytes()) {
            return;
        }
        let covered = std::iter::once(folder.clone()).chain(folder.ancestors()).any(|above| {
            self.out.writable.contains(&above)
                || self.around.tree.get(&above).is_some_and(|entry| entry.uid != 0 || entry.mode & 0o002 != 0)
        });
        if !covered {
            self.out.writable.retain(|other| !other.is_within(&folder));
            self.out.writable.insert(folder);
        }
    }
}

/// What a node of the root was used as, or why it does not count.
fn kind(node: &Node, manners: &BTreeSet<Manner>, is_library: bool) -> Result<Kind, Why> {
    let used = |manner| manners.contains(&manner);
    match &node.kind {
        NodeKind::Special(_) => Err(Why::Socket),
        NodeKind::Directory if used(Manner::Listed) => Ok(Kind::Listed),
        NodeKind::Directory if used(Manner::Entered) => Ok(Kind::Entered),
        NodeKind::Directory | NodeKind::Symlink(_) => Err(Why::LookedAt),
        NodeKind::File(_) if used(Manner::Executed) => Ok(Kind::Program),
        NodeKind::File(_) if is_library => Ok(Kind::Library),
        NodeKind::File(_) if used(Manner::Opened) || used(Manner::Mapped) => Ok(Kind::File),
        NodeKind::File(_) => Err(if used(Manner::Written) { Why::Made } else { Why::LookedAt }),
    }
}

fn is_library(path: &ImagePath) -> bool {
    let name = path.name();
    name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.")
}

/// Whether a path is a library below `glibc-hwcaps` of which the image has the plain one.
fn is_variant(tree: &Tree, path: &ImagePath) -> bool {
    let parts: Vec<&[u8]> = path.components().collect();
    let Some(at) = parts.iter().position(|part| *part == b"glibc-hwcaps") else { return false };
    let plain: Vec<u8> = parts
        .iter()
        .enumerate()
        .filter(|(n, _)| *n != at && *n != at + 1)
        .flat_map(|(_, p)| [b"/", *p].concat())
        .collect();
    resolve(tree, &plain).is_ok()
}
