//! What was meant: keys that are misspelt, that another tool calls so, or that TOML read into the wrong table.

use super::decode::Reader;
use super::document::{Key, Kind, Value};
use super::{KEY, SWALLOWED, TYPE};
use crate::report::{Diagnostic, Span};

/// Words for a recipe's keys from Dockerfiles, compose, apko, chisel, buildah, ko, Kubernetes and other package tools.
const OF_A_RECIPE: [(&str, &str); 55] = [
    ("image", "name"),
    ("repository", "name"),
    ("tag", "tags"),
    ("include", "extends"),
    ("inherit", "extends"),
    ("base", "extends"),
    ("sysroot", "root"),
    ("rootfs", "root"),
    ("arch", "platforms"),
    ("archs", "platforms"),
    ("architecture", "platforms"),
    ("architectures", "platforms"),
    ("platform", "platforms"),
    ("variables", "vars"),
    ("arg", "vars"),
    ("build-args", "vars"),
    ("program", "binaries"),
    ("programs", "binaries"),
    ("binary", "binaries"),
    ("bin", "binaries"),
    ("executables", "binaries"),
    ("libs", "libraries"),
    ("copy", "files"),
    ("add", "files"),
    ("contents", "files"),
    ("paths", "files"),
    ("directories", "dirs"),
    ("folders", "dirs"),
    ("mkdir", "dirs"),
    ("links", "symlinks"),
    ("apt", "packages"),
    ("install", "packages"),
    ("run-as", "user"),
    ("uid", "user"),
    ("accounts", "users"),
    ("command", "cmd"),
    ("args", "cmd"),
    ("arguments", "cmd"),
    ("workingdir", "workdir"),
    ("working-dir", "workdir"),
    ("work-dir", "workdir"),
    ("working-directory", "workdir"),
    ("cwd", "workdir"),
    ("environment", "env"),
    ("envs", "env"),
    ("expose", "ports"),
    ("exposed-ports", "ports"),
    ("port", "ports"),
    ("volume", "volumes"),
    ("stopsignal", "stop-signal"),
    ("entry-point", "entrypoint"),
    ("health-check", "healthcheck"),
    ("livenessprobe", "healthcheck"),
    ("label", "labels"),
    ("cert", "certificates"),
];

/// Words for the keys of what is copied or made.
const OF_AN_ENTRY: [(&str, &str); 37] = [
    ("dest", "to"),
    ("dst", "to"),
    ("target", "to"),
    ("destination", "to"),
    ("dest", "path"),
    ("dst", "path"),
    ("target", "path"),
    ("destination", "path"),
    ("to", "path"),
    ("name", "path"),
    ("src", "from"),
    ("source", "from"),
    ("path", "from"),
    ("copy", "from"),
    ("file", "from"),
    ("chmod", "mode"),
    ("permissions", "mode"),
    ("perms", "mode"),
    ("perm", "mode"),
    ("file-mode", "mode"),
    ("dirmode", "dir-mode"),
    ("directory-mode", "dir-mode"),
    ("chown", "owner"),
    ("uid", "owner"),
    ("group", "owner"),
    ("text", "content"),
    ("data", "content"),
    ("body", "content"),
    ("inline", "content"),
    ("contents", "content"),
    ("ignore", "exclude"),
    ("excludes", "exclude"),
    ("except", "exclude"),
    ("follow", "links"),
    ("symlinks", "links"),
    ("capabilities", "caps"),
    ("libraries", "libs"),
];

/// Words for keys of the smaller tables.
const OF_OTHERS: [(&str, &str); 16] = [
    ("id", "uid"),
    ("id", "gid"),
    ("group", "gid"),
    ("homedir", "home"),
    ("home-dir", "home"),
    ("home-directory", "home"),
    ("login-shell", "shell"),
    ("command", "test"),
    ("cmd", "test"),
    ("exec", "test"),
    ("period", "interval"),
    ("failure-threshold", "retries"),
    ("start", "start-period"),
    ("file", "add"),
    ("environment", "env"),
    ("value", "default"),
];

/// The message for a key that a table does not have.
pub(super) fn unknown_key(
    key: &Key,
    place: &str,
    known: &[String],
    header: Option<&str>,
    top: &[String],
    written: &str,
) -> Diagnostic {
    let name = key.name.as_str();
    let mistake = Diagnostic::error(KEY, format!("unknown key `{name}` in {place}"));
    let mistake = mistake.at(key.span, "not a known key");
    let plain = plain(name);
    let translated = OF_A_RECIPE.iter().filter(|_| place == "a recipe" || place == "[workspace.defaults]");
    let translated = translated.chain(OF_AN_ENTRY.iter().chain(&OF_OTHERS).filter(|_| place != "a recipe"));
    let translated = translated.filter(|(word, _)| *word == plain).find(|(_, key)| known.iter().any(|k| k == key));
    if let Some((_, key)) = translated {
        return mistake.fix(format!("the key for this is `{key}`"), Vec::new());
    }
    if let Some(header) = header.filter(|_| place != "a recipe" && top.iter().any(|key| key == name)) {
        return swallowed(key, header);
    }
    if let Some(similar) = similar(&plain, known.iter().map(String::as_str)) {
        let quoted = if written.starts_with(['"', '\'']) { format!("\"{similar}\"") } else { similar.to_owned() };
        return mistake.fix(format!("a key with a similar name exists: `{similar}`"), vec![(key.span, quoted)]);
    }
    if top.iter().any(|key| key == name) {
        return mistake.fix(format!("`{name}` is a key of the recipe, not of {place}"), Vec::new());
    }
    if place == "a recipe" {
        return mistake.fix("`mkimage schema` lists the keys, editors complete them", Vec::new());
    }
    let keys = known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    mistake.fix(format!("the keys of {place} are {keys}"), Vec::new())
}

/// TOML's order trap: the key came after a `[header]` and so went into that table.
fn swallowed(key: &Key, header: &str) -> Diagnostic {
    let name = &key.name;
    let path = header.trim_matches(['[', ']', ' ']);
    Diagnostic::error(SWALLOWED, format!("`{name}` is inside {header}"))
        .at(key.span, format!("read as `{path}.{name}`"))
        .fix(
            format!("TOML puts every line after {header} in that table; move `{name}` above the first [table] header"),
            Vec::new(),
        )
}

/// A recipe's key in a table of the user's own keys: a mistake when the value does not fit there, a warning when it
/// is an environment variable whose name is surely not meant. Quotes around the key say that it is meant.
pub(super) fn swallowed_by_mapping(
    key: &Key,
    value: &Value,
    fits: bool,
    header: Option<&str>,
    reader: &Reader<'_>,
) -> Option<Diagnostic> {
    let header = header?;
    if !reader.top_keys.contains(&key.name) || reader.at(key.span).starts_with(['"', '\'']) {
        return None;
    }
    let mistake = swallowed(key, header);
    if !fits {
        return Some(mistake);
    }
    let is_variable = header.trim_end_matches(']').ends_with("env") && matches!(value.kind, Kind::Text(_));
    is_variable.then_some(Diagnostic { level: crate::report::Level::Warning, ..mistake })
}

/// `org.example.title = "x"`: TOML reads a table for each dot. Says so for each such key; whether it was one.
pub(super) fn dotted_key(value: &Value, reader: &mut Reader<'_>) -> bool {
    let Kind::Table(table) = &value.kind else { return false };
    if table.header || reader.at(value.span).starts_with('{') {
        return false;
    }
    for (key, value) in &table.entries {
        if !dotted_key(value, reader) {
            let line = reader.text[..key.span.range().start].rfind('\n').map_or(0, |at| at + 1);
            let start = line + reader.text[line..].len() - reader.text[line..].trim_start().len();
            let span = Span { start: u32::try_from(start).unwrap_or(key.span.start), ..key.span };
            let written = reader.at(span);
            let mistake = Diagnostic::error(TYPE, format!("key `{written}` needs quotes"));
            let mistake = mistake.at(span, "TOML reads the dots as tables inside one another");
            let quoted = format!("\"{}\"", written.replace(['"', '\''], ""));
            reader.mistake(mistake.fix("put quotes around it", vec![(span, quoted)]));
        }
    }
    true
}

/// `env = ["A=1"]`, as other tools have it: offers the table.
pub(super) fn list_of_pairs(table: &Key, value: &Value, reader: &mut Reader<'_>) {
    let pairs = match &value.kind {
        Kind::List(items) => items.iter().map(pair).collect::<Option<Vec<_>>>().filter(|pairs| !pairs.is_empty()),
        _ => None,
    };
    let Some(pairs) = pairs else {
        let _: Option<()> = reader.wrong_type(value, "a table");
        return;
    };
    let mistake = Diagnostic::error(TYPE, "invalid type: a list, expected a table").at(value.span, "here");
    let message = format!("`{}` is a table", table.name);
    reader.mistake(mistake.fix(message, vec![(value.span, format!("{{ {} }}", pairs.join(", ")))]));
}

fn pair(item: &Value) -> Option<String> {
    let Kind::Text(text) = &item.kind else { return None };
    let (key, value) = text.split_once('=')?;
    let is_bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if is_bare { key.to_owned() } else { quote(key) };
    Some(format!("{key} = {}", quote(value)))
}

/// A text as a TOML string.
pub(super) fn quote(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' => String::from("\\\""),
        '\\' => String::from("\\\\"),
        '\n' => String::from("\\n"),
        '\t' => String::from("\\t"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// A shell's line as a TOML list, when it needs no shell but for the splitting.
pub(super) fn split_line(line: &str) -> Option<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quoted) {
            (c, Some(quote)) if c == quote => quoted = None,
            ('"' | '\'', None) => {
                quoted = Some(c);
                word.get_or_insert_default();
            }
            (' ' | '\t', None) => words.extend(word.take()),
            ('$' | '`' | '\\', Some('"')) | ('\n', _) => return None,
            (c, None) if "|&;<>()$`\\*?[]#~!{}".contains(c) => return None,
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let list = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(", ");
    (quoted.is_none() && !words.is_empty()).then(|| format!("[{list}]"))
}

/// The candidate that a person who wrote `word` most likely meant.
pub(super) fn similar<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::osa_distance(&plain(word), &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= most && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

/// Lower case, hyphens: `WorkDir`, `stop_signal` and `stop-signal` differ in nothing else.
fn plain(word: &str) -> String {
    word.to_lowercase().replace('_', "-")
}
