//! Init scripts of System V, as far as they say how a distribution starts a program: text in, what a unit would say
//! out.
//!
//! Assignments are followed, and the tests that an `if` can make of variables and files; whatever else a shell could do
//! is passed over. Nothing is run.

use std::collections::BTreeMap;

use super::unit::Unit;
use crate::path::ImagePath;
use crate::source::{Source, resolve};

/// A script is no longer than this.
const LIMIT: u64 = 1 << 17;

/// What starts services in these scripts: dpkg's program, and the function of the Linux Standard Base.
const STARTER: &str = "start-stop-daemon";
const FUNCTION: &str = "start_daemon ";

/// The script that starts a program, which is a path without a link.
pub(super) fn find(root: &dyn Source, program: &ImagePath) -> Option<Unit> {
    let folder = resolve(root, b"/etc/init.d").ok()?.real;
    let stem = String::from_utf8_lossy(program.name()).into_owned();
    let mut found: Vec<Unit> = Vec::new();
    for (name, node) in root.list(&folder).unwrap_or_default() {
        let (Ok(name), Some(content)) = (String::from_utf8(name), node.content()) else { continue };
        let Some(text) = content.read(LIMIT).ok().and_then(|text| String::from_utf8(text).ok()) else { continue };
        let Some(unit) = parse(&format!("/etc/init.d/{name}"), &text, root) else { continue };
        let starts = unit.command.first().and_then(|first| resolve(root, first.as_bytes()).ok());
        if starts.is_some_and(|starts| starts.real == *program) {
            found.push(unit);
        }
    }
    found.into_iter().min_by_key(|unit| (!unit.name.ends_with(&stem), unit.name.len()))
}

/// Reads a script.
fn parse(name: &str, text: &str, root: &dyn Source) -> Option<Unit> {
    let mut shell = Shell { root, variables: BTreeMap::new(), blocks: Vec::new(), unit: None };
    shell.variables.insert("0".to_owned(), name.to_owned());
    shell.run(text, 0);
    if shell.unit.is_none() && text.contains("init-d-script") {
        // Debian's frame for scripts: it starts DAEMON with DAEMON_ARGS.
        let program = shell.variables.get("DAEMON").cloned().unwrap_or_default();
        let mut command = vec![program];
        command.extend(shell.words("$DAEMON_ARGS"));
        shell.unit = Some(Unit { command, forks: true, ..Unit::default() });
    }
    shell.unit.map(|unit| Unit { name: name.to_owned(), ..unit })
}

struct Shell<'a> {
    root: &'a dyn Source,
    variables: BTreeMap<String, String>,
    /// For each `if` that is open: whether its lines count now, and whether some branch of it did.
    blocks: Vec<(bool, bool)>,
    unit: Option<Unit>,
}

impl Shell<'_> {
    fn run(&mut self, text: &str, depth: usize) {
        let text = text.replace("\\\n", " ");
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            self.line(line, depth);
        }
    }

    fn line(&mut self, line: &str, depth: usize) {
        let line = line.trim_end_matches(';').trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "if" => {
                let counts = self.counts() && self.holds(rest).unwrap_or(false);
                return self.blocks.push((counts, counts));
            }
            "elif" => return self.branch(rest),
            "else" => return self.branch(""),
            "fi" => {
                self.blocks.pop();
                return;
            }
            _ => {}
        }
        if !self.counts() {
            return;
        }
        // `[ -r "$FILE" ] && . $FILE`
        let (condition, line) = match line.rsplit_once("&&").filter(|_| line.starts_with('[')) {
            Some((condition, rest)) => (self.holds(condition.trim()), rest.trim()),
            None => (Some(true), line),
        };
        if let Some(file) = line.strip_prefix(". ").or_else(|| line.strip_prefix("source ")) {
            let path = self.words(file).into_iter().next().unwrap_or_default();
            // Functions for all scripts say nothing of this one.
            if depth == 0 && path.starts_with("/etc/default/") {
                let content = resolve(self.root, path.as_bytes()).ok().and_then(|it| it.node.content().cloned());
                let text = content.and_then(|content| String::from_utf8(content.read(LIMIT).ok()?).ok());
                self.run(&text.unwrap_or_default(), depth + 1);
            }
        } else if let Some((name, value)) = assignment(line) {
            let value = value.to_owned();
            if condition != Some(false) && !value.contains('`') && !value.contains("$(") {
                let value = self.words(&value).join(" ");
                self.variables.insert(name.to_owned(), value);
            }
        }
        if let Some(at) = line.find(STARTER).filter(|_| self.unit.is_none()) {
            self.unit = self.started(&line[at + STARTER.len()..]);
        } else if let Some(words) = line.strip_prefix(FUNCTION).filter(|_| self.unit.is_none()) {
            self.unit = self.started_by_function(words);
        }
    }

    fn counts(&self) -> bool {
        self.blocks.iter().all(|(counts, _)| *counts)
    }

    fn branch(&mut self, condition: &str) {
        let Some((_, before)) = self.blocks.pop() else { return };
        let counts = !before && self.counts() && (condition.is_empty() || self.holds(condition).unwrap_or(false));
        self.blocks.push((counts, before || counts));
    }

    /// Whether `[ -e FILE ]` and the like hold; `None` for what can't be told.
    fn holds(&self, condition: &str) -> Option<bool> {
        let inner = condition.split(';').next()?.trim().trim_start_matches("test ").trim();
        let inner = inner.strip_prefix('[').unwrap_or(inner).trim();
        let inner = inner.strip_suffix(']').unwrap_or(inner).trim();
        if inner.contains("&&") || inner.contains("||") || inner.contains(" -a ") || inner.contains(" -o ") {
            return None;
        }
        let (denied, inner) = inner.strip_prefix("! ").map_or((false, inner), |rest| (true, rest.trim()));
        let (operator, operand) = inner.split_once(' ').map_or(("-n", inner), |(operator, rest)| (operator, rest));
        let value = || self.words(operand).join(" ");
        let kind = || resolve(self.root, value().as_bytes()).ok().map(|found| found.node);
        let holds = match operator {
            "-z" => value().is_empty(),
            "-n" if inner.starts_with('-') || inner.starts_with(['"', '$']) => !value().is_empty(),
            "-e" | "-r" | "-x" => kind().is_some(),
            "-f" | "-s" => kind().is_some_and(|node| node.content().is_some()),
            "-d" => kind().is_some_and(|node| node.is_directory()),
            _ => return None,
        };
        Some(holds != denied)
    }

    /// The words of `start-stop-daemon`.
    fn started(&self, text: &str) -> Option<Unit> {
        let mut words = self.words(text).into_iter();
        let (mut unit, mut starts) = (Unit { forks: true, ..Unit::default() }, false);
        let mut program = None;
        while let Some(word) = words.next() {
            match word.as_str() {
                "--start" | "-S" => starts = true,
                "--exec" | "-x" => program = program.or(words.next()),
                "--startas" | "-a" => program = words.next().or(program),
                "--background" | "-b" => unit.forks = false,
                "--chuid" | "-c" => {
                    unit.user = words.next().map(|user| user.split(':').next().unwrap_or_default().to_owned());
                }
                "--chdir" | "-d" => unit.workdir = words.next(),
                "--" => break,
                _ => {}
            }
        }
        unit.command = program.into_iter().chain(words.take_while(|word| !is_end(word))).collect();
        (starts && !unit.command.is_empty()).then_some(unit)
    }

    /// The words of `start_daemon [-f] [-n LEVEL] [-p PIDFILE] PROGRAM ARGUMENTS`.
    fn started_by_function(&self, text: &str) -> Option<Unit> {
        let mut words = self.words(text).into_iter().peekable();
        while let Some(option) = words.next_if(|word| word.starts_with('-')) {
            if matches!(option.as_str(), "-n" | "-p") {
                words.next();
            }
        }
        let command: Vec<String> = words.take_while(|word| !is_end(word)).collect();
        (!command.is_empty()).then(|| Unit { command, forks: true, ..Unit::default() })
    }

    /// The words of a text, as a shell splits them, variables filled in.
    fn words(&self, text: &str) -> Vec<String> {
        let (mut all, mut word, mut begun) = (Vec::new(), String::new(), false);
        let mut quote: Option<char> = None;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                c if quote == Some(c) => quote = None,
                '"' | '\'' if quote.is_none() => (quote, begun) = (Some(c), true),
                '$' if quote != Some('\'') => {
                    let braced = rest.next_if_eq(&'{').is_some();
                    let mut name = String::new();
                    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                        name.push(c);
                    }
                    let mut other = String::new();
                    if braced {
                        other = rest.by_ref().take_while(|c| *c != '}').collect();
                    }
                    let known = self.variables.get(&name).cloned().filter(|value| !value.is_empty());
                    let value = known.unwrap_or_else(|| {
                        other.strip_prefix(":-").or_else(|| other.strip_prefix('-')).unwrap_or_default().to_owned()
                    });
                    if quote.is_some() {
                        word.push_str(&value);
                        continue;
                    }
                    // Outside of quotes a variable may be several words, or none.
                    for (number, part) in value.split_whitespace().enumerate() {
                        if number > 0 {
                            all.push(std::mem::take(&mut word));
                        }
                        word.push_str(part);
                    }
                }
                '\\' if quote != Some('\'') => word.extend(rest.next()),
                '#' if quote.is_none() && !begun && word.is_empty() => break,
                c if c.is_whitespace() && quote.is_none() => {
                    if begun || !word.is_empty() {
                        all.push(std::mem::take(&mut word));
                    }
                    begun = false;
                }
                c => word.push(c),
            }
        }
        if begun || !word.is_empty() {
            all.push(word);
        }
        all
    }
}

/// Whether a word ends a command.
fn is_end(word: &str) -> bool {
    word.starts_with(['>', '<', '|', '&', ';', '`', ')']) || word.starts_with("2>")
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Folder;

    #[test]
    fn a_script_says_how_its_program_starts() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("etc/default")).unwrap();
        std::fs::create_dir_all(folder.path().join("etc/x.d")).unwrap();
        std::fs::write(
            folder.path().join("etc/default/x"),
            "X_USER=\"xd\"\nX_OPTIONS=\nSERVICES='a:/// b:///' # both\n",
        )
        .unwrap();
        let root = Folder::open(folder.path().to_owned()).unwrap();
        let text = "#!/bin/sh\nX=/usr/sbin/x\nif [ -f \"/etc/default/x\" ]; then\n\t. /etc/default/x\nfi\n\
            if [ -z \"$CONF\" ]; then\n  if [ -e /etc/x.d ]; then\n    CONF=/etc/x.d\n  else\n    CONF=/etc/x.conf\n  fi\nfi\n\
            if [ -f \"$CONF\" ]; then\n  X_OPTIONS=\"-f $CONF $X_OPTIONS\"\nelif [ -d \"$CONF\" ] ; then\n\
              X_OPTIONS=\"-F $CONF $X_OPTIONS\"\nfi\n[ \"$X_USER\" ] && X_OPTIONS=\"-u $X_USER $X_OPTIONS\"\n\
            start-stop-daemon --stop --exec $X\nreason=\"`start-stop-daemon --start --quiet \\\n --exec $X -- -h \\\"$SERVICES\\\" $X_OPTIONS 2>&1`\"\n";
        let text = text.replace("\\\"$SERVICES\\\"", "\"$SERVICES\"");
        let unit = parse("/etc/init.d/x", &text, &root).unwrap();
        assert_eq!(unit.command, ["/usr/sbin/x", "-h", "a:/// b:///", "-u", "xd", "-F", "/etc/x.d"]);
        assert!(unit.forks);
        let function = "Z=/usr/sbin/z\nstart_daemon -p \"$PIDFILE\" \\\n \"$Z\" -bd \"-q30m\" $NONE\n";
        assert_eq!(parse("z", function, &root).unwrap().command, ["/usr/sbin/z", "-bd", "-q30m"]);
        let frame = ". /lib/init/init-d-script\nDAEMON=/usr/sbin/y\nset() {\n[ -z \"$A\" ] && A=\"-v\"\nDAEMON_ARGS=\"$A -p z\"\n}\n";
        assert_eq!(parse("y", frame, &root).unwrap().command, ["/usr/sbin/y", "-v", "-p", "z"]);
    }
}
