//! What a distribution says of a program beyond its libraries: its unit, its configuration, its data, its folders.
//!
//! In: a root and the path of a program in it. Out: entries of a recipe. By general means alone: who owns the program, what
//! names stand in its bytes and in its configuration. No program is known by its name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use memchr::memmem;

use super::unit::{self, Unit};
use crate::build;
use crate::path::ImagePath;
use crate::source::ownership::{Check, Database, Owners, Package};
use crate::source::{Node, NodeKind, Source, resolve};

/// A program or library that is larger is not searched for names.
const MOST_SEARCHED: u64 = 64 << 20;

/// A file of configuration is no larger than this.
const MOST_CONFIGURATION: u64 = 1 << 18;

/// Folders of `/etc` in which packages leave things for others.
const FOREIGN: [&str; 26] = [
    "alternatives",
    "apparmor.d",
    "apache2",
    "bash_completion.d",
    "cron.d",
    "cron.daily",
    "cron.hourly",
    "cron.monthly",
    "cron.weekly",
    "default",
    "dhcp",
    "init.d",
    "insserv.conf.d",
    "ld.so.conf.d",
    "logcheck",
    "logrotate.d",
    "modprobe.d",
    "network",
    "NetworkManager",
    "pam.d",
    "ppp",
    "profile.d",
    "resolvconf",
    "rsyslog.d",
    "systemd",
    "ufw",
];

/// What a recipe of a service has beside its programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Service {
    /// The unit that all of this is from.
    pub(super) unit: Option<String>,
    /// `cmd`.
    pub(super) command: Vec<String>,
    /// `workdir`.
    pub(super) workdir: Option<String>,
    /// `stop-signal`.
    pub(super) stop_signal: Option<String>,
    /// `files`: each path, and why it can't be named alone.
    pub(super) files: BTreeMap<String, Option<Unreadable>>,
    /// `writable`.
    pub(super) writable: BTreeSet<String>,
    /// `env`.
    pub(super) env: BTreeMap<String, String>,
    /// Accounts that the configuration names, with their numbers.
    pub(super) users: BTreeMap<String, u32>,
}

impl Service {
    /// With what another program of the image needs.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self.writable.extend(other.writable);
        self.users.extend(other.users);
        self
    }
}

/// Why a file can't be named by its path alone: others may not read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// What of a folder stays out.
    pub(super) exclude: Vec<String>,
}

/// Finds out what a root says of a program.
pub(super) fn of(program: &ImagePath, root: &dyn Source) -> Service {
    let Some(found) = resolve(root, program.as_bytes()).ok() else { return Service::default() };
    let unit = unit::find(root, &found.real);
    let related = related(&found.real, root);
    let strings = strings(&found.real, &related.paths, root);
    let mut finding = Finding { root, program: found.real, related, strings, out: Service::default() };
    if let Some(unit) = &unit {
        finding.started(unit);
    }
    finding.configuration(unit.as_ref());
    finding.data();
    finding.mentioned();
    finding.out
}

/// The packages of the program's source package.
#[derive(Default)]
struct Related {
    names: BTreeSet<String>,
    paths: Vec<ImagePath>,
}

fn related(program: &ImagePath, root: &dyn Source) -> Related {
    let mut related = Related::default();
    let Ok(database) = Database::open(root) else { return related };
    let Ok(owners) = Owners::find_in(&database, root, std::slice::from_ref(program), Check::Newer) else {
        return related;
    };
    let Some(source) = owners.packages().next().map(|(_, package)| package.source_package.name.clone()) else {
        return related;
    };
    // What is built from the same source and belongs to the development or documentation of it is not for running.
    let apart = |package: &&Package| {
        package.source_package.name == source
            && !["-dev", "-doc", "-dbg", "-dbgsym"].iter().any(|end| package.name.ends_with(end))
    };
    for package in database.packages().iter().filter(apart) {
        related.names.insert(package.name.clone());
        if let Ok(files) = database.files_of(root, package) {
            related.paths.extend(files.paths);
        }
    }
    related.names.insert(source);
    related
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
    strings: Vec<Vec<u8>>,
    out: Service,
}

impl Finding<'_> {
    /// What the unit says of the start.
    fn started(&mut self, unit: &Unit) {
        let words: Vec<String> = unit.command.iter().skip(1).cloned().collect();
        let (mut words, changed) = foreground(words);
        if unit.forks && !changed {
            words.extend(self.foreground_option());
        }
        self.out.unit = Some(unit.name.clone());
        self.out.command = words;
        self.out.workdir = unit.workdir.clone().filter(|path| self.node(path).is_some());
        self.out.stop_signal.clone_from(&unit.stop_signal);
        self.out.env.clone_from(&unit.env);
        self.out.env.retain(|name, _| !matches!(name.as_str(), "PATH" | "HOME" | "LANG" | "LC_ALL"));
        self.out.writable.extend(unit.writable.iter().cloned());
        if let Some(user) = &unit.user {
            self.account(user);
        }
    }

    /// The option by which a program stays in the foreground, as far as its own words tell.
    fn foreground_option(&self) -> Option<String> {
        const OPTIONS: [&str; 9] = [
            "foreground",
            "keep-in-foreground",
            "nodaemon",
            "no-daemon",
            "no-daemonize",
            "nofork",
            "no-fork",
            "no-detach",
            "nodetach",
        ];
        let option = OPTIONS.iter().find(|option| {
            let (alone, dashed) = (format!("\0{option}\0"), format!("--{option}"));
            let bytes = self.strings.first();
            bytes.is_some_and(|bytes| {
                memmem::find(bytes, alone.as_bytes()).is_some() || memmem::find(bytes, dashed.as_bytes()).is_some()
            })
        });
        option.map(|option| format!("--{option}"))
    }

    fn node(&self, path: &str) -> Option<Node> {
        resolve(self.root, path.as_bytes()).ok().map(|found| found.node)
    }

    fn says(&self, text: &str) -> bool {
        self.strings.iter().any(|bytes| memmem::find(bytes, text.as_bytes()).is_some())
    }

    /// Names by which folders of the program may be called.
    fn names(&self) -> BTreeSet<String> {
        let program = String::from_utf8_lossy(self.program.name()).into_owned();
        let plain = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-').to_owned();
        let mut names: BTreeSet<String> = self.related.names.clone();
        names.extend([program, plain]);
        let stems: Vec<String> =
            names.iter().filter_map(|name| name.split_once("-server").map(|(stem, _)| stem.to_owned())).collect();
        names.extend(stems);
        names.retain(|name| name.len() > 1);
        names
    }

    fn configuration(&mut self, unit: Option<&Unit>) {
        let words = unit.map(|unit| unit.command.iter().skip(1).cloned().collect()).unwrap_or_default();
        let named: Vec<String> =
            std::iter::once(&words).flat_map(|words: &Vec<String>| words.iter().flat_map(|word| paths(word))).collect();
        let mut folders: BTreeSet<String> =
            unit.map(|unit| unit.configuration.iter().cloned().collect()).unwrap_or_default();
        let program = String::from_utf8_lossy(self.program.name()).into_owned();
        folders.extend(build::configuration(&program, self.root).map(|folder| folder.to_string()));
        for path in &self.related.paths {
            let Some(top) = path.components().nth(1).filter(|_| path.components().next() == Some(b"etc")) else {
                continue;
            };
            let top = String::from_utf8_lossy(top).into_owned();
            let etc = format!("/etc/{top}");
            if !FOREIGN.contains(&top.as_str()) && (self.says(&etc) || self.names().contains(&top)) {
                folders.insert(etc);
            }
        }
        for name in self.names().iter().filter(|name| !FOREIGN.contains(&name.as_str())) {
            let etc = format!("/etc/{name}");
            if self.says(&etc) || named.iter().any(|path| path.starts_with(&format!("{etc}/"))) {
                folders.insert(etc);
            }
        }
        for path in folders.into_iter().chain(named) {
            self.take(&path);
        }
    }

    /// Adds a file or folder that is there, unless a folder that is taken holds it.
    fn take(&mut self, path: &str) {
        let Some(node) = self.node(path) else { return };
        if self.out.files.keys().any(|taken| taken.ends_with('/') && path.starts_with(taken.as_str())) {
            return;
        }
        match node.kind {
            NodeKind::Directory if path.matches('/').count() >= 2 => self.take_folder(path),
            NodeKind::File(_) if node.mode & 0o004 != 0 => {
                self.out.files.insert(path.to_owned(), None);
            }
            NodeKind::File(_) if !is_key(path) => {
                self.out.files.insert(path.to_owned(), Some(Unreadable::default()));
            }
            _ => {}
        }
    }

    /// A folder without what others may not read; that is named by itself unless it is a key.
    fn take_folder(&mut self, path: &str) {
        let path = path.trim_end_matches('/');
        let Ok(found) = resolve(self.root, path.as_bytes()) else { return };
        let (mut exclude, mut any) = (Vec::new(), false);
        let mut open = vec![found.real.clone()];
        while let Some(folder) = open.pop() {
            for (name, node) in self.root.list(&folder).unwrap_or_default() {
                let below = folder.join(&name);
                let relative = String::from_utf8_lossy(below.below(&found.real).unwrap_or_default()).into_owned();
                match node.kind {
                    NodeKind::Directory => open.push(below),
                    NodeKind::Special(_) => exclude.push(relative),
                    NodeKind::Symlink(_) if resolve(self.root, below.as_bytes()).is_err() => exclude.push(relative),
                    NodeKind::File(_) if node.mode & 0o004 == 0 || is_key(&relative) => {
                        if !is_key(&relative) {
                            self.out.files.insert(format!("{path}/{relative}"), Some(Unreadable::default()));
                        }
                        exclude.push(relative);
                    }
                    _ => any = true,
                }
            }
        }
        if any {
            exclude.sort();
            self.out.files.retain(|known, why| why.is_some() || !known.starts_with(&format!("{path}/")));
            let why = (!exclude.is_empty()).then_some(Unreadable { exclude });
            self.out.files.insert(format!("{path}/"), why);
        }
    }

    /// Folders of the program's packages whose names stand in its bytes.
    fn data(&mut self) {
        let mut roots: BTreeSet<String> = BTreeSet::new();
        for path in &self.related.paths {
            let parts: Vec<String> = path.components().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let depth = match parts.as_slice() {
                ["usr", "share", name, _, ..] if !is_documentation(name) => 3,
                ["usr", "lib", name, _, _, ..] if name.contains("-linux-") => 4,
                ["usr", "lib" | "libexec", name, _, ..]
                    if !matches!(*name, "systemd" | "debug" | "tmpfiles.d" | "sysusers.d" | "udev" | "python3") =>
                {
                    3
                }
                _ => continue,
            };
            roots.insert(format!("/{}", parts[..depth].join("/")));
        }
        let own =
            |root: &String| self.says(root) && !self.program.as_bytes().starts_with(format!("{root}/").as_bytes());
        let roots: Vec<String> = roots.into_iter().filter(own).collect();
        for root in roots {
            self.take_folder(&root);
        }
        let names = self.names();
        for path in &self.related.paths {
            let text = path.to_string();
            let parts: Vec<&str> = text.trim_start_matches('/').split('/').collect();
            if let ["var", "lib" | "log" | "cache" | "spool", name] = parts.as_slice()
                && (names.contains(*name) || self.says(&text))
            {
                self.out.writable.insert(text);
            }
        }
        for name in names {
            for folder in ["/var/lib", "/var/log", "/var/cache", "/var/spool", "/run"] {
                let path = format!("{folder}/{name}");
                let there = self.node(&path).is_some_and(|node| node.is_directory());
                if self.says(&format!("{path}/")) || there && (folder == "/var/lib" || folder == "/var/log") {
                    self.out.writable.insert(path);
                }
            }
        }
    }

    /// Paths and accounts that the configuration and the command name.
    fn mentioned(&mut self) {
        let mut texts = vec![self.out.command.join("\n")];
        let taken: Vec<String> = self.out.files.keys().filter(|path| path.starts_with("/etc/")).cloned().collect();
        for path in taken {
            texts.extend(self.texts(&path));
        }
        let accounts = self.accounts();
        for line in texts.iter().flat_map(|text| text.lines()).map(str::trim) {
            if line.starts_with(['#', ';']) || line.starts_with("//") {
                continue;
            }
            for path in paths(line) {
                self.mention(&path);
            }
            for word in line.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)) {
                if let Some(uid) = accounts.get(word) {
                    self.out.users.insert(word.to_owned(), *uid);
                }
            }
        }
    }

    /// A path in the configuration: what is there comes along, where something is to be written its folder is writable.
    fn mention(&mut self, path: &str) {
        const SHARED: [&str; 8] =
            ["/var", "/var/lib", "/var/log", "/var/cache", "/var/spool", "/var/run", "/var/tmp", "/var/lock"];
        let path = path.trim_end_matches(['/', '.', ',', ';', ':']);
        if path.starts_with("/var/www/") {
            self.take(path);
        } else if path.starts_with("/var/") || path.starts_with("/run/") {
            let path = path.replacen("/var/run", "/run", 1);
            let is_folder = self.node(&path).is_some_and(|node| node.is_directory());
            let folder = if is_folder {
                path.clone()
            } else {
                path.rsplit_once('/').map_or(path.clone(), |(folder, _)| folder.to_owned())
            };
            if !SHARED.contains(&folder.as_str()) || !is_folder && matches!(folder.as_str(), "/var/log") {
                self.out.writable.insert(folder);
            }
        } else if path.starts_with("/usr/share/") || path.starts_with("/usr/lib/") || path.starts_with("/etc/") {
            let unshared = path.matches('/').count() >= 3;
            if unshared && !path.starts_with("/etc/default/") && !path.starts_with("/usr/lib/systemd") {
                self.take(path);
            }
        }
    }

    fn texts(&self, path: &str) -> Vec<String> {
        let read = |node: &Node| String::from_utf8(node.content()?.read(MOST_CONFIGURATION).ok()?).ok();
        let Ok(found) = resolve(self.root, path.as_bytes()) else { return Vec::new() };
        if !found.node.is_directory() {
            return read(&found.node).into_iter().collect();
        }
        let (mut texts, mut open) = (Vec::new(), vec![found.real]);
        while let Some(folder) = open.pop() {
            for (name, node) in self.root.list(&folder).unwrap_or_default() {
                if node.is_directory() {
                    open.push(folder.join(&name));
                } else if let Ok(found) = resolve(self.root, folder.join(&name).as_bytes()) {
                    texts.extend(read(&found.node));
                }
            }
        }
        texts
    }

    /// The accounts of services in the root's passwd: not root, not people, not those that every image has.
    fn accounts(&self) -> BTreeMap<String, u32> {
        let text = self.texts("/etc/passwd").pop().unwrap_or_default();
        let entry = |line: &str| {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next()?, fields.nth(1)?.parse::<u32>().ok()?);
            // The oldest accounts have the names of common words: `daemon`, `mail`, `backup`.
            let own =
                name == "www-data" || self.names().iter().any(|known| known == name || name.ends_with(known.as_str()));
            (uid > 0 && uid < 1000 && own).then(|| (name.to_owned(), uid))
        };
        text.lines().filter_map(entry).collect()
    }

    fn account(&mut self, name: &str) {
        let accounts = self.accounts();
        if let Some(uid) = accounts.get(name) {
            self.out.users.insert(name.to_owned(), *uid);
        }
    }
}

fn is_key(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "key")
        || path.ends_with("_key")
        || path.contains("/private/")
        || path.starts_with("private/")
}

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

/// Absolute paths in a line of text.
fn paths(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in line.split(|c: char| c.is_whitespace() || "\"'=,;(){}<>|".contains(c)) {
        let path = word.find('/').map(|at| &word[at..]).filter(|path| path.len() > 4 && !word.contains("://"));
        // `unix:/run/x.sock` names a path, `text/html` does not.
        let at = word.find('/').unwrap_or(0);
        if let Some(path) = path.filter(|_| at == 0 || word[..at].ends_with(':')) {
            let path = path.split(['*', '%', '$']).next().unwrap_or(path);
            found.push(path.trim_end_matches('/').to_owned());
        }
    }
    found
}

/// Arguments that let a program stay in the foreground, and whether any had to be changed.
fn foreground(words: Vec<String>) -> (Vec<String>, bool) {
    let (mut kept, mut changed, mut after_daemonize) = (Vec::new(), false, false);
    for word in words {
        let new = match word.as_str() {
            "--daemon" | "--daemonize" | "-daemon" | "--background" | "--fork" | "--detach" => {
                changed = true;
                after_daemonize = true;
                if word == "--daemonize" { Some(word.clone()) } else { None }
            }
            "--daemonize=yes" | "--daemonize=true" => Some("--daemonize=no".to_owned()),
            "yes" if after_daemonize => Some("no".to_owned()),
            other => Some(other.replace("daemon on", "daemon off")),
        };
        if word != "--daemonize" {
            after_daemonize = false;
        }
        changed |= new.as_ref() != Some(&word);
        kept.extend(new);
    }
    (kept, changed)
}
