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
            set_at,
            asked_at: self.asked_at(&hits),
            hits,
            ..Finding::new(&DLOPEN, verdict, summary)
        };
        if verdict == Verdict::Warn {
            let left: Vec<(&Unexplained, Vec<Hit>)> = self.not_waived(all);
            let names = some(left.iter().map(|(library, _)| &library.name), 1);
            let summary = format!("{}: {names}", DLOPEN.counted(left.len()));
            let hits: Vec<Hit> = left.into_iter().flat_map(|(_, hits)| hits).collect();
            return if hits.is_empty() { Vec::new() } else { vec![finding(summary, hits)] };
        }
        let of_library = |(library, hits): (&Unexplained, Vec<Hit>)| {
            let summary = format!("`{}` is named for loading, and the image does not have it", library.name);
            let mut finding = finding(summary, hits);
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
        self.not_waived(all).into_iter().map(of_library).collect()
    }

    /// The libraries that are named by objects for which no waiver holds.
    fn not_waived<'l>(&self, all: &'l [Unexplained]) -> Vec<(&'l Unexplained, Vec<Hit>)> {
        all.iter().map(|library| (library, self.named_by(library))).filter(|(_, hits)| !hits.is_empty()).collect()
    }

    fn named_by(&self, library: &Unexplained) -> Vec<Hit> {
        let what = |functions: &str| format!("names `{}`, and imports {functions}; {}", library.name, place(library));
        self.hits(&DLOPEN, library.by.iter().map(|(path, functions)| (path.clone(), what(functions))).collect())
    }
}

fn place(library: &Unexplained) -> String {
    match &library.in_root {
        Some(path) => format!("the root has {path}"),
        None => "the root does not have it either".to_owned(),
    }
}
