//! Service units of systemd, as far as they say how a distribution starts a program: text in, facts out.

use std::collections::BTreeMap;

use crate::path::ImagePath;
use crate::source::{Source, resolve};

/// Where units stand, the administrator's first.
const FOLDERS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// A unit is no longer than this.
const LIMIT: u64 = 1 << 16;

/// What a unit says of its service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// `nginx.service`.
    pub(super) name: String,
    /// `ExecStart`: the program and its arguments, variables filled in.
    pub(super) command: Vec<String>,
    /// Whether it goes into the background (`Type=forking`).
    pub(super) forks: bool,
    /// `User`.
    pub(super) user: Option<String>,
    /// `WorkingDirectory`.
    pub(super) workdir: Option<String>,
    /// `KillSignal`.
    pub(super) stop_signal: Option<String>,
    /// `Environment`, and the files of `EnvironmentFile`.
    pub(super) env: BTreeMap<String, String>,
    /// Folders that systemd makes for it.
    pub(super) writable: Vec<String>,
    /// `ConfigurationDirectory`.
    pub(super) configuration: Vec<String>,
}

/// The unit that starts a program, which is a path without a link. One that is called like the program goes first, one
/// for many instances last.
pub(super) fn find(root: &dyn Source, program: &ImagePath) -> Option<Unit> {
    let mut found: Vec<Unit> = Vec::new();
    for folder in FOLDERS {
        let Ok(folder) = resolve(root, folder.as_bytes()) else { continue };
        for (name, node) in root.list(&folder.real).unwrap_or_default() {
            let (Ok(name), Some(content)) = (String::from_utf8(name), node.content()) else { continue };
            if !name.ends_with(".service") || found.iter().any(|unit| unit.name == name) {
                continue;
            }
            let Some(text) = content.read(LIMIT).ok().and_then(|text| String::from_utf8(text).ok()) else { continue };
            let file = |path: &str| {
                let content = resolve(root, path.as_bytes()).ok()?.node.content()?.clone();
                String::from_utf8(content.read(LIMIT).ok()?).ok()
            };
            // One of many instances starts with what only that instance has.
            if text.lines().any(|line| line.starts_with("ExecStart=") && (line.contains("%i") || line.contains("%I"))) {
                continue;
            }
            let unit = parse(&name, &text, &file);
            let starts = unit.command.first().and_then(|first| resolve(root, first.as_bytes()).ok());
            if starts.is_some_and(|starts| starts.real == *program) {
                found.push(unit);
            }
        }
    }
    let stem = String::from_utf8_lossy(program.name()).into_owned();
    found.into_iter().min_by_key(|unit| {
        let name = unit.name.trim_end_matches(".service");
        (unit.name.contains('@'), name != stem, !stem.starts_with(name), name.len())
    })
}

/// Reads a unit. `file` gives the text of an `EnvironmentFile`.
pub(super) fn parse(name: &str, text: &str, file: &dyn Fn(&str) -> Option<String>) -> Unit {
    let mut unit = Unit { name: name.to_owned(), ..Unit::default() };
    let mut section = "";
    let mut start = String::new();
    let text = text.replace("\\\n", " ");
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| section == "Service") else { continue };
        let value = value.trim();
        let names = words(value).into_iter().filter(|name| !name.contains('%'));
        let names: Vec<String> = names.collect();
        let below = |folder: &str| names.iter().map(|name| format!("{folder}/{name}")).collect::<Vec<_>>();
        match key.trim() {
            "ExecStart" if start.is_empty() => value.clone_into(&mut start),
            "Type" => unit.forks = value == "forking",
            "User" => unit.user = Some(value.to_owned()),
            "WorkingDirectory" if value.starts_with('/') => unit.workdir = Some(value.to_owned()),
            "KillSignal" => unit.stop_signal = Some(value.to_owned()),
            "StateDirectory" => unit.writable.extend(below("/var/lib")),
            "CacheDirectory" => unit.writable.extend(below("/var/cache")),
            "LogsDirectory" => unit.writable.extend(below("/var/log")),
            "RuntimeDirectory" => unit.writable.extend(below("/run")),
            "ConfigurationDirectory" => unit.configuration.extend(below("/etc")),
            "Environment" => unit.env.extend(words(value).iter().filter_map(|pair| assignment(pair))),
            "EnvironmentFile" => {
                let text = file(value.trim_start_matches('-')).unwrap_or_default();
                unit.env.extend(text.lines().filter_map(|line| assignment(line.trim())));
            }
            _ => {}
        }
    }
    unit.command = command(name, &start, &unit.env);
    // What only fills in arguments is not for the program itself.
    let fills = |name: &String| [format!("${name}"), format!("${{{name}}}")].iter().any(|text| start.contains(text));
    unit.env.retain(|name, _| !fills(name));
    unit
}

/// `KEY=value`, perhaps in quotes.
fn assignment(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    let is_name = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| (key.to_owned(), words(value).join(" ")))
}

/// The words of `ExecStart`, its prefixes, specifiers and variables done away with.
fn command(unit: &str, text: &str, env: &BTreeMap<String, String>) -> Vec<String> {
    let text = text.trim_start_matches(['@', '-', ':', '+', '!']);
    let stem = unit.trim_end_matches(".service");
    let prefix = stem.split('@').next().unwrap_or(stem);
    let mut command = Vec::new();
    for word in words(text) {
        // A variable that is a whole word stands for several words, or none.
        if let Some(name) = word.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            command.extend(env.get(name).map(|value| words(value)).unwrap_or_default());
            continue;
        }
        let mut word = word.replace("%%", "\0").replace("%p", prefix).replace("%N", stem).replace("%n", unit);
        for (name, value) in env {
            word = word.replace(&format!("${{{name}}}"), value);
        }
        let word = word.replace('\0', "%");
        // A word may be empty: an option's value.
        if !word.contains('%') && !word.contains("${") {
            command.push(word);
        }
    }
    command
}

/// Words as systemd splits them: at spaces, quotes hold together.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => (quote, begun) = (Some(c), true),
            None if c.is_whitespace() => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            Some(_) | None => word.push(c),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_unit_says_how_its_program_starts() {
        let text = "[Unit]\nDescription=x\n[Service]\nType=forking\nEnvironmentFile=-/etc/default/x\n\
            Environment=\"A=1 2\" B=3\nExecStart=-/usr/sbin/x -c '/etc/x/%p.conf' \\\n  $OPTIONS --b=${B} -P \"\"\n\
            RuntimeDirectory=x x/y %i\n[Install]\nUser=no\n";
        let unit = parse("x.service", text, &|path| (path == "/etc/default/x").then(|| "OPTIONS=\"-q -v\"".to_owned()));
        assert_eq!(unit.command, ["/usr/sbin/x", "-c", "/etc/x/x.conf", "-q", "-v", "--b=3", "-P", ""]);
        assert!(unit.forks);
        assert_eq!(unit.writable, ["/run/x", "/run/x/y"]);
        assert_eq!((unit.env["A"].as_str(), unit.user), ("1 2", None));
    }
}
