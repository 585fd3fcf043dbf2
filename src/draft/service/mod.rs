//! What a distribution says of a program beyond its libraries: its unit, its configuration, its data, its folders.
//!
//! In: a root and the path of a program in it. Out: entries of a recipe. By general means alone: who owns the program,
//! what names stand in its bytes, in its configuration and in its manual page. No program is known by its name.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;

use crate::path::ImagePath;
use crate::source::{Node, Source, resolve};

mod accounts;
mod data;
mod files;
mod init_script;
mod manual;
mod mentioned;
mod modules;
mod related;
mod start;
mod unit;

use accounts::Accounts;
use files::literal;
use related::Related;

/// A program or library that is larger is not searched for names.
const MOST_SEARCHED: u64 = 256 << 20;

/// What a recipe of a service has beside its programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Service {
    /// The unit or init script that all of this is from.
    pub(super) unit: Option<String>,
    /// `cmd`.
    pub(super) command: Vec<String>,
    /// `workdir`.
    pub(super) workdir: Option<String>,
    /// `stop-signal`.
    pub(super) stop_signal: Option<String>,
    /// More of `binaries`: programs that the configuration names, and the shell that starts them.
    pub(super) programs: BTreeSet<String>,
    /// `files`: each path, and why it can't be named alone.
    pub(super) files: BTreeMap<String, Option<Unreadable>>,
    /// `writable`.
    pub(super) writable: BTreeSet<String>,
    /// `extras`.
    pub(super) extras: BTreeSet<String>,
    /// `env`.
    pub(super) env: BTreeMap<String, String>,
    /// Accounts that the configuration names, with their numbers.
    pub(super) users: BTreeMap<String, u32>,
    /// Groups that it names.
    pub(super) groups: BTreeMap<String, u32>,
}

impl Service {
    /// With what another program of the image needs.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.programs.extend(other.programs);
        self.files.extend(other.files);
        self.writable.extend(other.writable);
        self.extras.extend(other.extras);
        self.users.extend(other.users);
        self.groups.extend(other.groups);
        self
    }

    /// Leaves files out of the folders that hold them; whether there were any.
    pub(super) fn leave_out(&mut self, files: &BTreeSet<String>) -> bool {
        let mut any = false;
        for file in files {
            let holds = |path: &&String| path.ends_with('/') && file.starts_with(path.as_str());
            let Some(folder) = self.files.keys().filter(holds).max_by_key(|path| path.len()).cloned() else { continue };
            let below = literal(&file[folder.len()..]);
            let why = self.files.entry(folder).or_default();
            match why {
                Some(Unreadable::Parts(exclude)) if !exclude.contains(&below) => exclude.push(below),
                None => *why = Some(Unreadable::Parts(vec![below])),
                Some(_) => continue,
            }
            any = true;
        }
        any
    }

    /// Takes away the paths that stand in a text; whether there were any.
    pub(super) fn without(&mut self, text: &str) -> bool {
        let before = self.files.len() + self.writable.len() + self.programs.len();
        let stands = |path: &String| text.contains(&crate::draft::quoted(path));
        self.files.retain(|path, _| !stands(path));
        self.writable.retain(|path| !stands(path));
        self.programs.retain(|path| !stands(path));
        self.files.len() + self.writable.len() + self.programs.len() < before
    }
}

/// Why a file or folder can't be named by its path alone: others may not read it, or it can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// All of it: it becomes the image's user's.
    Whole,
    /// Some of a folder, which stays out.
    Parts(Vec<String>),
}

/// Finds out what a root says of a program.
pub(super) fn of(program: &ImagePath, root: &dyn Source) -> Service {
    let Some(found) = resolve(root, program.as_bytes()).ok() else { return Service::default() };
    let unit = unit::find(root, &found.real).or_else(|| init_script::find(root, &found.real));
    let is_script =
        found.node.content().is_some_and(|content| content.read(MOST_SEARCHED).is_ok_and(|it| it.starts_with(b"#!")));
    let related = related::related(&found.real, root, is_script);
    let strings = strings(&found.real, &related.paths, root);
    let accounts = Accounts::read(root);
    let mut finding = Finding {
        root,
        program: found.real,
        related,
        strings,
        accounts,
        is_service: unit.is_some(),
        out: Service::default(),
    };
    if let Some(unit) = &unit {
        finding.started(unit);
    }
    finding.configuration(unit.as_ref());
    finding.data();
    finding.modules();
    finding.mentioned();
    finding.compiled_in();
    finding.outermost();
    finding.out
}

/// The bytes of the program and of the libraries of its packages: names of folders are among them.
fn strings(program: &ImagePath, paths: &[ImagePath], root: &dyn Source) -> Vec<Vec<u8>> {
    let libraries = paths.iter().filter(|path| {
        let name = path.name();
        name.starts_with(b"lib") && name.windows(4).any(|part| part == b".so.")
    });
    let read = |path: &ImagePath| {
        let node = root.node(path).ok()??;
        node.content()?.read(MOST_SEARCHED).ok()
    };
    std::iter::once(program).chain(libraries).filter_map(read).collect()
}

struct Finding<'a> {
    root: &'a dyn Source,
    program: ImagePath,
    related: Related,
    /// The program's bytes, then those of its packages' libraries.
    strings: Vec<Vec<u8>>,
    accounts: Accounts,
    /// Whether a unit or an init script starts it.
    is_service: bool,
    out: Service,
}

impl Finding<'_> {
    fn node(&self, path: &str) -> Option<Node> {
        resolve(self.root, path.as_bytes()).ok().map(|found| found.node)
    }

    fn says(&self, text: &str) -> bool {
        self.strings.iter().any(|bytes| memmem::find(bytes, text.as_bytes()).is_some())
    }

    fn program_name(&self) -> String {
        String::from_utf8_lossy(self.program.name()).into_owned()
    }

    /// Names by which folders of the program may be called.
    fn names(&self) -> BTreeSet<String> {
        let program = self.program_name();
        let plain = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-').to_owned();
        let mut names: BTreeSet<String> = self.related.names.clone();
        names.extend([program, plain]);
        let stems: Vec<String> =
            names.iter().filter_map(|name| name.split_once("-server").map(|(stem, _)| stem.to_owned())).collect();
        names.extend(stems);
        names.retain(|name| name.len() > 1);
        names
    }
}

/// What packages have for people and for other programs.
fn is_documentation(name: &str) -> bool {
    matches!(
        name,
        "doc"
            | "man"
            | "info"
            | "lintian"
            | "bug"
            | "bash-completion"
            | "locale"
            | "zsh"
            | "vim"
            | "fish"
            | "applications"
            | "icons"
            | "pixmaps"
            | "metainfo"
            | "perl5"
            | "python3"
            | "menu"
            | "apport"
            | "initramfs-tools"
            | "polkit-1"
            | "dbus-1"
            | "doc-base"
            | "keyrings"
            | "common-licenses"
            | "help"
    )
}
