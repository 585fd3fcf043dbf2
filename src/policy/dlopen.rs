//! The rule about libraries that objects name for loading, and the image does not have.

use super::rules::DLOPEN;
use super::{Finding, Hit, Judge, some};
use crate::path::ImagePath;
use crate::recipe::Verdict;

/// A library that objects of the image name, that the image does not have, and that the recipe does not ignore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexplained {
    /// Its name, or its path as the objects write it.
    pub name: String,
    /// The objects that name it, each with the functions that it imports to load libraries, as `dlopen`.
    pub by: Vec<(ImagePath, String)>,
    /// Where the root has it.
    pub in_root: Option<ImagePath>,
}

impl Judge<'_> {
    /// Denied, one finding for each library; else one for all.
    pub(super) fn dlopen(&self) -> Vec<Finding> {
        let Some((verdict, set_at)) = self.asks(&DLOPEN) else { return Vec::new() };
        let all = self.facts.unexplained;
        if all.is_empty() {
            return Vec::new();
        }
        let finding = |summary: String, hits: Vec<Hit>| Finding {
            rule: &DLOPEN,
            verdict,
            set_at,
            summary,
            asked_at: self.asked_at(&hits),
            hits,
            notes: Vec::new(),
            helps: Vec::new(),
        };
        if verdict == Verdict::Warn {
            let names = some(all.iter().map(|library| &library.name), 1);
            let hits = all.iter().flat_map(|library| self.named_by(library)).collect();
            return vec![finding(format!("{}: {names}", DLOPEN.counted(all.len())), hits)];
        }
        let of_library = |library: &Unexplained| {
            let summary = format!("`{}` is named for loading, and the image does not have it", library.name);
            let mut finding = finding(summary, self.named_by(library));
            let named = library.by.iter().take(3);
            finding.notes.extend(named.map(|(path, functions)| format!("`{path}` names it, and imports {functions}")));
            finding.notes.push(place(library));
            if library.in_root.is_some() {
                finding
                    .helps
                    .push("name it under `libraries`, or under `dlopen` of the binary that loads it".to_owned());
            }
            let line = format!("`\"{}\" = \"...\"`", library.name);
            finding.helps.push(format!("if the service never loads it, say why under [policy.ignore-dlopen]: {line}"));
            finding
        };
        all.iter().map(of_library).collect()
    }

    fn named_by(&self, library: &Unexplained) -> Vec<Hit> {
        let what = |functions: &str| format!("names `{}`, and imports {functions}; {}", library.name, place(library));
        self.hits(library.by.iter().map(|(path, functions)| (path.clone(), what(functions))).collect())
    }
}

fn place(library: &Unexplained) -> String {
    match &library.in_root {
        Some(path) => format!("the root has {path}"),
        None => "the root does not have it either".to_owned(),
    }
}
