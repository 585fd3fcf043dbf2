//! What the configuration of a program names: paths that come along, folders to write to, accounts, programs.

use super::{Finding, is_documentation};
use crate::path::ImagePath;
use crate::source::{Node, resolve};
use crate::trace::by_place;

/// A file of configuration is no larger than this.
const MOST_CONFIGURATION: u64 = 1 << 18;

impl Finding<'_> {
    /// Paths and accounts that the configuration and the command name.
    pub(super) fn mentioned(&mut self) {
        let mut texts = vec![self.out.command.join("\n")];
        let taken: Vec<String> = self.out.files.keys().filter(|path| path.starts_with("/etc/")).cloned().collect();
        for path in taken {
            texts.extend(self.texts(&path));
        }
        let accounts = self.own_accounts();
        for line in texts.iter().flat_map(|text| lines(text)) {
            for path in paths(line) {
                self.mention(&path);
            }
            self.owner(line);
            for word in line.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)) {
                if let Some(uid) = accounts.get(word) {
                    self.out.users.insert(word.to_owned(), *uid);
                }
            }
        }
        // What scripts among the programs name in turn.
        for program in self.out.programs.clone() {
            let scripts: Vec<String> = self.texts(&program).into_iter().filter(|text| text.starts_with("#!")).collect();
            for path in scripts.iter().flat_map(|text| lines(text)).flat_map(paths) {
                self.mention_of_script(&path);
            }
        }
    }

    /// A path in a script: what is there comes along.
    fn mention_of_script(&mut self, path: &str) {
        let is_file = self.node(path).is_some_and(|node| node.content().is_some());
        if is_file && !self.is_program(path) {
            self.mention(path);
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
            let is_folder = self.node(path).is_some_and(|node| node.is_directory());
            let folder = if is_folder { path } else { path.rsplit_once('/').map_or(path, |(folder, _)| folder) };
            if !SHARED.contains(&folder) || !is_folder && matches!(folder, "/var/log") {
                self.out.writable.insert(folder.to_owned());
            }
        } else if self.is_program(path) {
            self.out.programs.insert(path.to_owned());
            // What a configuration names as a command is started by a shell, where the program has its path.
            if self.says("/bin/sh") {
                self.out.programs.insert("/bin/sh".to_owned());
            }
        } else if path.starts_with("/usr/share/") || path.starts_with("/usr/lib/") || path.starts_with("/etc/") {
            let mut parts = path.split('/').skip(3);
            let shared = parts.next().is_some_and(|name| is_documentation(name) || name.contains("-linux-"))
                || path.starts_with("/etc/ssl/")
                || path.starts_with("/etc/default/")
                || path.starts_with("/usr/lib/systemd");
            // A file of `/etc` itself is everyone's: what is of this machine stays here.
            let is_file = || self.node(path).is_some_and(|node| node.content().is_some());
            let of_machine = || ImagePath::new(path).is_ok_and(|path| by_place(&path).is_some());
            if !shared && (path.matches('/').count() >= 3 || is_file()) && !of_machine() {
                self.take(path);
            }
        }
    }

    /// Whether a path is of another program.
    fn is_program(&self, path: &str) -> bool {
        let Ok(found) = resolve(self.root, path.as_bytes()) else { return false };
        let usual = ["/usr/", "/bin/", "/sbin/", "/lib", "/opt/"].iter().any(|folder| path.starts_with(folder));
        let is_library = |name: &[u8]| name.windows(3).any(|part| part == b".so");
        let executable = found.node.content().is_some() && found.node.mode & 0o111 != 0;
        usual && executable && found.real != self.program && !is_library(found.real.name())
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
                    // What could be switched on: `sites-available`.
                    if !name.ends_with(b"-available") {
                        open.push(folder.join(&name));
                    }
                } else if let Ok(found) = resolve(self.root, folder.join(&name).as_bytes()) {
                    texts.extend(read(&found.node));
                }
            }
        }
        texts
    }
}

/// The lines of a text that are no comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let is_comment = |line: &&str| line.starts_with(['#', ';']) || line.starts_with("//");
    text.lines().map(str::trim).filter(move |line| !is_comment(line))
}

/// Absolute paths in a line of text.
pub(super) fn paths(line: &str) -> Vec<String> {
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
