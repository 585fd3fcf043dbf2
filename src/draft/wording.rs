//! The words of a first recipe: entries, and comments on what came along and what could.

use std::collections::{BTreeMap, BTreeSet};

use super::service::Unreadable;
use crate::build::Assembled;
use crate::needs::{self, Level};
use crate::tree::Cause;

/// An entry of `files`. What others can't read becomes the image's user's.
pub(super) fn file(path: &str, why: Option<&Unreadable>) -> String {
    match why {
        None => quoted(path),
        Some(Unreadable::Parts(exclude)) => format!("{{ from = {}, exclude = {} }}", quoted(path), list(exclude)),
        Some(Unreadable::Whole) => {
            // A folder is entered by its owner alone, too.
            let folders = if path.ends_with('/') { ", dir-mode = \"0700\"" } else { "" };
            format!("{{ from = {}, owner = \"nonroot\", mode = \"0400\"{folders} }}", quoted(path))
        }
    }
}

pub(super) fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

/// Each folder once. `/var/run` is a link to `/run`: who names it wants the link, too.
pub(super) fn distinct(folders: &BTreeSet<String>) -> Vec<String> {
    let again = |folder: &String| {
        folders.contains(&format!("/var{folder}")) && (folder == "/run" || folder.starts_with("/run/"))
    };
    folders.iter().filter(|folder| !again(folder)).cloned().collect()
}

/// The rules that applied, each with what set it off.
pub(super) fn by_itself(assembled: &Assembled) -> String {
    let mut rules: BTreeMap<String, String> = BTreeMap::new();
    for reason in assembled.tree.iter().flat_map(|(_, entry)| &entry.reasons) {
        if let Cause::Rule { name, trigger } = &reason.cause {
            rules.entry(name.to_string()).or_insert_with(|| trigger.clone());
        }
    }
    if rules.is_empty() {
        return String::new();
    }
    let level = |name: &str| {
        let listing = needs::catalogue().into_iter().find(|listing| listing.name.starts_with(name));
        listing.map_or(Level::Recommended, |listing| listing.level)
    };
    let required = |name: &str| if level(name) == Level::Required { "; it is needed to run" } else { "" };
    let lines = rules.iter().map(|(name, trigger)| format!("#   {name:<16} {trigger}{}\n", required(name)));
    format!("\n# This comes along by itself, `\"!NAME\"` under `extras` takes it away:\n{}", lines.collect::<String>())
}

/// The rules that could apply, with what they are for.
pub(super) fn on_request(assembled: &Assembled, has_extras: bool) -> String {
    if assembled.suggestions.is_empty() {
        return String::new();
    }
    let suggestions = &assembled.suggestions;
    let lines = suggestions.iter().map(|it| format!("#   {:<16} {}: {}\n", it.extra, it.trigger, it.note));
    let names: Vec<String> = suggestions.iter().map(|it| quoted(&it.extra)).collect();
    // A second `extras` would be a mistake.
    let key = if has_extras { String::new() } else { format!("# extras = [{}]\n", names.join(", ")) };
    format!("\n# This does not; take what the programs need:\n{}{key}", lines.collect::<String>())
}

/// A program's name as that of an image: lower case letters and digits, with single signs between.
pub(super) fn image_name(program: &str) -> String {
    let name = program.rsplit('/').next().unwrap_or(program).to_ascii_lowercase();
    let words = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let words: Vec<&str> = words.map(|word| word.trim_matches('.')).filter(|word| !word.is_empty()).collect();
    let name = words.join("-").replace("..", "-");
    if name.is_empty() { "image".to_owned() } else { name }
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::image_name;

    #[test]
    fn images_are_called_like_programs_as_far_as_registries_allow() {
        let names = ["nginx", "/usr/bin/python3.11", "./App_Server", "/usr/bin/g++", "/usr/bin/["].map(image_name);
        assert_eq!(names, ["nginx", "python3.11", "app-server", "g", "image"]);
    }
}
