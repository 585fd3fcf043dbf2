//! One JSON object a line. Names and paths are bytes: what is not UTF-8 is written as lone surrogates, `\udc80` for the
//! byte 0x80, which is how Python reads and writes such names.

use std::fmt::Write as _;

use super::{kind_in_words, listed, listed_name};
use crate::closure::{Closure, DlopenNote, Resolution, VersionError};

/// One resolution of a closure as a line of JSON, without the line's end. A script's line lists what its interpreters
/// load.
pub fn json_line(closure: &Closure, resolution: &Resolution) -> String {
    let mut resolved: Vec<(Json, Json)> = Vec::new();
    let mut order = Vec::new();
    let mut aliases: Vec<(Json, Json)> = Vec::new();
    let scripts = resolution.script.iter().flat_map(|script| &script.resolutions);
    let interpreters = scripts.filter_map(|&index| closure.resolutions.get(index));
    for part in std::iter::once(resolution).chain(interpreters) {
        for object in listed(part) {
            let name = Json::Text(listed_name(object).to_vec());
            if !resolved.iter().any(|(known, _)| *known == name) {
                resolved.push((name.clone(), Json::text(&object.path)));
                order.push(name);
            }
        }
        for alias in &part.aliases {
            let Some(object) = part.objects.get(alias.object) else { continue };
            let path = alias.path.as_ref().unwrap_or(&object.path);
            aliases.push((Json::text(&alias.name), Json::text(path)));
        }
    }
    aliases.retain(|(name, _)| !resolved.iter().any(|(known, _)| known == name));
    let names =
        |list: &[crate::closure::Missing]| Json::List(list.iter().map(|missing| Json::text(&missing.name)).collect());
    let least_glibc = resolution.least_glibc.map(|(major, minor)| format!("{major}.{minor}"));
    let members = [
        ("path", Json::text(&resolution.path)),
        ("kind", Json::word(kind_in_words(resolution.kind))),
        ("interp", Json::or_null(resolution.interp.as_deref())),
        ("resolved", Json::Map(resolved)),
        ("missing", names(&resolution.missing)),
        ("missing_optional", names(&resolution.missing_optional)),
        ("aliases", Json::Map(aliases)),
        ("order", Json::List(order)),
        ("version_errors", version_errors(resolution)),
        ("least_glibc", Json::or_null(least_glibc.as_ref().map(String::as_bytes))),
        ("script", script(resolution)),
        ("dlopen", Json::List(resolution.dlopen_notes.iter().map(|note| dlopen(resolution, note)).collect())),
        ("error", resolution.fatal.as_ref().map_or(Json::Null, error)),
    ];
    let members = members.into_iter().map(|(name, value)| (Json::word(name), value)).collect();
    Json::Map(members).line()
}

fn error(fatal: &crate::closure::Fatal) -> Json {
    Json::Text([&fatal.path, b": ".as_slice(), fatal.reason.to_string().as_bytes()].concat())
}

fn version_errors(resolution: &Resolution) -> Json {
    let path = |index: usize| resolution.objects.get(index).map(|object| object.path.to_vec()).unwrap_or_default();
    let one = |error: &VersionError| {
        let (of, by) = (path(error.of), path(error.required_by));
        Json::Text([&of, b": version `".as_slice(), &error.version, b"' not found (required by ", &by, b")"].concat())
    };
    Json::List(resolution.version_errors.iter().map(one).collect())
}

fn script(resolution: &Resolution) -> Json {
    let Some(script) = &resolution.script else { return Json::Null };
    let interpreter = |it: &crate::closure::ScriptInterpreter| {
        Json::Map(vec![
            (Json::word("path"), Json::text(&it.path)),
            (Json::word("argument"), Json::or_null(it.argument.as_deref())),
        ])
    };
    let program = script.env.as_ref().and_then(|env| env.path.as_deref());
    let arguments = script.arguments(&resolution.path);
    Json::Map(vec![
        (Json::word("interpreters"), Json::List(script.interpreters.iter().map(interpreter).collect())),
        (Json::word("arguments"), Json::List(arguments.iter().map(|argument| Json::text(argument)).collect())),
        (Json::word("program"), Json::or_null(program)),
    ])
}

fn dlopen(resolution: &Resolution, note: &DlopenNote) -> Json {
    let loaded = note.found.and_then(|index| resolution.objects.get(index)).map(|object| &object.path);
    let entry = &note.entry;
    let mut members = vec![
        (Json::word("soname"), Json::List(entry.sonames.iter().map(|name| Json::word(name)).collect())),
        (Json::word("feature"), Json::or_null(entry.feature.as_ref().map(String::as_bytes))),
    ];
    members.extend(entry.description.as_ref().map(|text| (Json::word("description"), Json::word(text))));
    members.extend([
        (Json::word("priority"), Json::word(entry.priority.word())),
        (Json::word("path"), Json::or_null(loaded.or(note.offered.as_ref()).map(|path| &**path))),
    ]);
    Json::Map(members)
}

/// JSON whose texts are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Json {
    Null,
    Text(Vec<u8>),
    List(Vec<Json>),
    Map(Vec<(Json, Json)>),
}

impl Json {
    fn text(text: &[u8]) -> Self {
        Self::Text(text.to_vec())
    }

    fn word(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }

    fn or_null(text: Option<&[u8]>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    fn line(&self) -> String {
        let mut line = String::new();
        self.write(&mut line);
        line
    }

    fn write(&self, line: &mut String) {
        match self {
            Self::Null => line.push_str("null"),
            Self::Text(text) => write_text(text, line),
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    line.push(if index == 0 { '[' } else { ',' });
                    item.write(line);
                }
                line.push_str(if items.is_empty() { "[]" } else { "]" });
            }
            Self::Map(members) => {
                for (index, (name, value)) in members.iter().enumerate() {
                    line.push(if index == 0 { '{' } else { ',' });
                    name.write(line);
                    line.push(':');
                    value.write(line);
                }
                line.push_str(if members.is_empty() { "{}" } else { "}" });
            }
        }
    }
}

fn write_text(text: &[u8], line: &mut String) {
    line.push('"');
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => line.push_str("\\\""),
                '\\' => line.push_str("\\\\"),
                '\n' => line.push_str("\\n"),
                '\t' => line.push_str("\\t"),
                '\r' => line.push_str("\\r"),
                control if control.is_control() && control.is_ascii() => escape(u32::from(control), line),
                other => line.push(other),
            }
        }
        for byte in chunk.invalid() {
            escape(0xdc00 + u32::from(*byte), line);
        }
    }
    line.push('"');
}

fn escape(unit: u32, line: &mut String) {
    let _ = write!(line, "\\u{unit:04x}");
}
