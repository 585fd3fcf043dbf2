//! Libraries that were not found: one diagnostic for each name, with everyone who needs it.

use std::collections::BTreeMap;

use super::{By, LIBRARY_MISSING, searched_in_words};
use crate::closure::mapping::base_name;
use crate::closure::{Bytes, Closure, Missing, NearMiss, NotTaken, Resolution, Wanted};
use crate::path::show;
use crate::report::Diagnostic;

/// More lines than this help nobody.
const MOST_LINES: usize = 8;

/// Someone who needs a missing library.
struct Need<'a> {
    resolution: &'a Resolution,
    missing: &'a Missing,
    by: By,
    /// The processors that need it, when not all do.
    variant: Option<&'a str>,
}

pub(super) fn diagnose(closure: &Closure, wanted: &[Wanted]) -> Vec<Diagnostic> {
    let mut names: Vec<&Bytes> = Vec::new();
    let mut needs: BTreeMap<(&Bytes, bool), Vec<Need<'_>>> = BTreeMap::new();
    for (index, resolution) in closure.resolutions.iter().enumerate() {
        let own = resolution.missing.iter().map(|missing| (missing, None));
        let in_variants = resolution.variants.iter().flat_map(|variant| {
            let new = variant.missing.iter().filter(|it| resolution.missing.iter().all(|own| own.name != it.name));
            new.map(|missing| (missing, Some(variant.name.as_str())))
        });
        for (missing, variant) in own.chain(in_variants) {
            if !names.contains(&&missing.name) {
                names.push(&missing.name);
            }
            let need = Need { resolution, missing, by: By::of(closure, wanted, index), variant };
            needs.entry((&missing.name, missing.provided_by.is_some())).or_default().push(need);
        }
    }
    let both = names.into_iter().flat_map(|name| [(name, false), (name, true)]);
    both.filter_map(|key| needs.get(&key)).filter_map(|needs| one(needs)).collect()
}

fn one(needs: &[Need<'_>]) -> Option<Diagnostic> {
    let first = needs.first()?;
    let name = show(&first.missing.name);
    let provided_by = first.missing.provided_by.as_ref();
    let mut diagnostic = match provided_by {
        None => Diagnostic::error(LIBRARY_MISSING, format!("library `{name}` was not found")),
        Some(_) => Diagnostic::note_of(LIBRARY_MISSING, format!("library `{name}` is not on the loader's path")),
    };
    let mut spans = Vec::new();
    for need in needs {
        if let Some(span) = need.by.span.filter(|span| !spans.contains(span)) {
            let through = through(need).map(|through| format!(", through `{through}`"));
            let text = format!("needs it{}", through.unwrap_or_default());
            diagnostic = if spans.is_empty() { diagnostic.at(span, text) } else { diagnostic.and_at(span, text) };
            spans.push(span);
        }
    }
    for need in needs.iter().take(MOST_LINES) {
        diagnostic = diagnostic.note(needed_by(need));
    }
    if needs.len() > MOST_LINES {
        diagnostic = diagnostic.note(format!("and by {} more", needs.len() - MOST_LINES));
    }
    if let Some(path) = provided_by {
        return Some(diagnostic.note(format!("{} has this name and may be loaded before", show(path))));
    }
    let searched: Vec<String> =
        first.missing.searched.iter().map(|searched| searched_in_words(first.resolution, searched)).collect();
    if !searched.is_empty() {
        diagnostic = diagnostic.note(format!("searched, in the loader's order: {}", searched.join(", ")));
    }
    for near in &first.missing.near {
        diagnostic = diagnostic.note(near_in_words(near));
    }
    let it = match base_name(&first.missing.name) {
        file if file == &*first.missing.name => "it".to_owned(),
        file => format!("`{}`", show(file)),
    };
    Some(diagnostic.help(format!(
        "install it in the root, point `root` at another one, or list {it} under `ignore-missing` if the program never \
         loads it",
    )))
}

/// The object that asked, when that is not what the recipe names.
fn through(need: &Need<'_>) -> Option<String> {
    let asker = need.resolution.objects.get(need.missing.needed_by)?;
    (need.variant.is_none() && asker.path != need.resolution.path).then(|| show(&asker.path))
}

/// The whole chain from the program to the object that asked.
fn needed_by(need: &Need<'_>) -> String {
    if let Some(variant) = need.variant {
        return format!("needed by {} on processors of {variant}", show(&need.resolution.path));
    }
    let asker = need.missing.needed_by;
    let chain = std::iter::once(asker).chain(need.resolution.chain(asker));
    let paths: Vec<String> =
        chain.filter_map(|index| need.resolution.objects.get(index)).map(|object| show(&object.path)).collect();
    let script = need.by.script.as_ref().map(|script| format!(", the interpreter of {}", show(script)));
    format!("needed by {}{}", paths.join(", needed by "), script.unwrap_or_default())
}

fn near_in_words(near: &NearMiss) -> String {
    let path = show(&near.path);
    match &near.because {
        NotTaken::Elsewhere => format!("{path} is not on the loader's path"),
        NotTaken::OtherVersion => format!("{path} is another version"),
        NotTaken::Machine(machine) => format!("{path} is for {machine}"),
        NotTaken::Level(level) => format!("{path} is for processors of {level} only; set `isa` to take it"),
        NotTaken::Unreadable => format!("{path} can't be read"),
        NotTaken::Dangling => format!("{path} is a link that leads nowhere"),
        NotTaken::Damaged => format!("{path} is damaged"),
        NotTaken::Refused(refusal) => format!("{path} is refused: {refusal}"),
    }
}
