//! Modules of scripting languages that a distribution ships for a script: those of its packages, and of what they
//! depend on.

use std::collections::BTreeSet;

use super::Finding;
use crate::path::ImagePath;
use crate::source::resolve;

/// With more entries than this, all modules of the distribution read better.
const MOST_ENTRIES: usize = 24;

/// Where modules stand, by a part of the interpreter's path; and the extra that brings all of the distribution's.
const FOLDERS: [(&str, &[&str], &str); 3] = [
    ("/python3", &["/dist-packages/", "/site-packages/"], "python:full"),
    ("/perl", &["/perl5/"], "perl:full"),
    ("/php", &["/usr/share/php/"], ""),
];

impl Finding<'_> {
    /// Brings the modules of a script.
    pub(super) fn modules(&mut self) {
        let Some(interpreter) = self.interpreter() else { return };
        for (language, folders, extra) in FOLDERS.iter().filter(|(language, _, _)| interpreter.contains(language)) {
            let owned = self.related.paths.iter().chain(self.related.dependencies.values().flatten());
            let mut entries: BTreeSet<String> = BTreeSet::new();
            for text in owned.map(ToString::to_string).filter(|text| !text.contains("/__pycache__")) {
                let start = folders.iter().find_map(|folder| Some(text.find(folder)? + folder.len()));
                let Some(start) = start.filter(|start| *start < text.len()) else { continue };
                let end = text[start..].find('/').map_or(text.len(), |length| start + length);
                entries.insert(text[..end].to_owned());
            }
            // Folders of Perl's modules belong to many packages: only all of them are a short list.
            let is_shared = *language == "/perl";
            if !extra.is_empty() && !entries.is_empty() && (is_shared || entries.len() > MOST_ENTRIES) {
                self.out.extras.insert((*extra).to_owned());
                continue;
            }
            for entry in entries {
                self.take(&entry);
            }
        }
    }

    /// The program that runs the script, when the program is one.
    pub(super) fn interpreter(&self) -> Option<String> {
        let first = self.strings.first()?.strip_prefix(b"#!")?;
        let line = first.split(|&byte| byte == b'\n').next()?;
        let line = String::from_utf8_lossy(line).into_owned();
        let mut words = line.split_whitespace();
        let first = words.next()?;
        let word = if first.ends_with("/env") { words.find(|word| !word.starts_with('-'))? } else { first };
        let path = if word.starts_with('/') { word.to_owned() } else { format!("/usr/bin/{word}") };
        let real = resolve(self.root, path.as_bytes()).map(|found| found.real);
        Some(real.unwrap_or_else(|_| ImagePath::root()).to_string()).filter(|path| path != "/")
    }
}
