//! Folders of a program: its configuration, its data, where it keeps its state.

use std::collections::BTreeSet;

use memchr::memmem;

use super::mentioned::paths;
use super::unit::Unit;
use super::{Finding, is_documentation};
use crate::build;

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

impl Finding<'_> {
    /// Its folders in `/etc`, and what its command line names.
    pub(super) fn configuration(&mut self, unit: Option<&Unit>) {
        let words = unit.map(|unit| unit.command.iter().skip(1).cloned().collect()).unwrap_or_default();
        let named: Vec<String> =
            std::iter::once(&words).flat_map(|words: &Vec<String>| words.iter().flat_map(|word| paths(word))).collect();
        let mut folders: BTreeSet<String> =
            unit.map(|unit| unit.configuration.iter().cloned().collect()).unwrap_or_default();
        let program = self.program_name();
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

    /// Folders of the program's packages whose names stand in its bytes.
    pub(super) fn data(&mut self) {
        let own_names = self.names();
        let mut roots: BTreeSet<String> = BTreeSet::new();
        for path in &self.related.paths {
            let parts: Vec<String> = path.components().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let depth = match parts.as_slice() {
                ["usr", "share", name, _, ..] if !is_documentation(name) || own_names.contains(*name) => 3,
                ["usr", "lib", name, _, _, ..] if name.contains("-linux-") => 4,
                ["usr", "lib" | "libexec", name, _, ..]
                    if !name.contains("-linux-")
                        && !matches!(*name, "systemd" | "debug" | "tmpfiles.d" | "sysusers.d" | "udev" | "python3") =>
                {
                    3
                }
                _ => continue,
            };
            roots.insert(format!("/{}", parts[..depth].join("/")));
        }
        // A program comes by itself, a script starts what lies beside it.
        let is_script = self.interpreter().is_some();
        let beside = |root: &String| self.program.as_bytes().starts_with(format!("{root}/").as_bytes());
        let own = |root: &String| self.says_folder(root) && (is_script || !beside(root));
        let roots: Vec<String> = roots.into_iter().filter(own).collect();
        for root in roots {
            self.take_folder(&root);
        }
        let names = self.names();
        for path in &self.related.paths {
            let text = path.to_string();
            let parts: Vec<&str> = text.trim_start_matches('/').split('/').collect();
            if let ["var", "lib" | "log" | "cache" | "spool", name] = parts.as_slice()
                && (self.is_service && names.contains(*name) || self.says(&text))
            {
                self.out.writable.insert(text);
            }
        }
        for name in &names {
            self.generated_configuration(name);
            // The usual place of a pid file.
            let pid_file = |folder: &&&str| self.is_service && self.says(&format!("{folder}/{name}.pid"));
            if let Some(folder) = ["/var/run", "/run"].iter().find(|folder| pid_file(folder)) {
                self.out.writable.insert((*folder).to_owned());
            }
        }
        for name in names {
            for folder in ["/var/lib", "/var/log", "/var/cache", "/var/spool", "/run", "/var/run"] {
                let path = format!("{folder}/{name}");
                // What the packages of a service keep; a tool's may be another's.
                let keeps = matches!(folder, "/var/lib" | "/var/log")
                    && self.is_service
                    && self.node(&path).is_some_and(|node| node.is_directory());
                if keeps || self.says(&format!("{path}/")) {
                    self.out.writable.insert(path);
                }
            }
        }
    }

    /// Whether a folder's name stands in the bytes: whole, as the program's own folder sees it, or as what is put
    /// together at run time.
    fn says_folder(&self, folder: &str) -> bool {
        let parts = || {
            let name = folder.rsplit('/').next()?;
            let above = self.program.parent()?.parent()?.to_string();
            let near = folder.strip_prefix(&above)?.strip_prefix('/').map(|below| format!("../{below}"));
            Some((format!("%s/{name}\0"), near?))
        };
        self.says(folder) || parts().is_some_and(|(end, near)| self.says(&end) || self.says(&near))
    }

    /// Configuration that a package makes where its state is, when the program has its path.
    fn generated_configuration(&mut self, name: &str) {
        let folder = format!("/var/lib/{name}/");
        let Some(bytes) = self.strings.first() else { return };
        let mut files: BTreeSet<String> = BTreeSet::new();
        for at in memmem::find_iter(bytes, folder.as_bytes()) {
            let text = bytes[at..].split(|byte| !byte.is_ascii_graphic() || *byte == b':').next().unwrap_or_default();
            let path = String::from_utf8_lossy(text).into_owned();
            let is_configuration = path.rsplit('/').next().is_some_and(|file| file.contains("conf"));
            if is_configuration && self.node(&path).is_some_and(|node| node.content().is_some()) {
                files.insert(path);
            }
        }
        for file in files {
            self.take(&file);
        }
    }

    /// Leaves out folders inside of others, unless the root has them: a program may take those for granted.
    pub(super) fn outermost(&mut self) {
        let all = std::mem::take(&mut self.out.writable);
        let inside = |folder: &String| all.iter().any(|other| folder.starts_with(&format!("{other}/")));
        let stays = |folder: &&String| !inside(folder) || self.node(folder).is_some_and(|node| node.is_directory());
        self.out.writable = all.iter().filter(stays).cloned().collect();
    }
}
