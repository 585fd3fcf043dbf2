//! ELF files of a copied folder that are for other platforms: one note, with a line that would leave them out.

use std::collections::{BTreeMap, BTreeSet};

use super::FOREIGN;
use crate::closure::{Foreign, Kind, Resolution};
use crate::path::show;
use crate::report::{Diagnostic, Span};

/// The note on the foreign files among the ELF files of a folder `from`, in which `others` are also copied: scripts,
/// texts, links. None when there are none.
pub fn foreign_note(
    from: &[u8],
    span: Option<Span>,
    resolutions: &[&Resolution],
    others: &[&[u8]],
) -> Option<Diagnostic> {
    let foreign: Vec<&&Resolution> = resolutions.iter().filter(|it| matches!(it.kind, Kind::Foreign(_))).collect();
    if foreign.is_empty() {
        return None;
    }
    let size: u64 = foreign.iter().filter_map(|resolution| resolution.elf.as_ref()).map(|elf| elf.size).sum();
    let mut platforms: BTreeMap<String, usize> = BTreeMap::new();
    for resolution in &foreign {
        *platforms.entry(platform(resolution)).or_default() += 1;
    }
    let platforms: Vec<String> = platforms.into_iter().map(|(name, count)| format!("{count} for {name}")).collect();
    let megabytes = format!("{}.{} MB", size / 1_000_000, size % 1_000_000 / 100_000);
    let title = match foreign.len() {
        1 => format!("an ELF file in `{}` is for another platform ({megabytes})", show(from)),
        count => format!("{count} ELF files in `{}` are for other platforms ({megabytes})", show(from)),
    };
    let patterns = patterns(from, resolutions, others);
    let patterns: Vec<String> = patterns.iter().map(|pattern| format!("\"{pattern}\"")).collect();
    Some(
        Diagnostic::note_of(FOREIGN, title)
            .at_some(span, "copied as they are")
            .note(platforms.join(", "))
            .help(format!("to leave them out: exclude = [{}]", patterns.join(", "))),
    )
}

fn platform(resolution: &Resolution) -> String {
    let Some(elf) = &resolution.elf else { return "nothing known".to_owned() };
    match resolution.kind {
        Kind::Foreign(Foreign::Libc) => format!("{} with another libc", elf.machine),
        _ => elf.machine.to_string(),
    }
}

/// Patterns relative to `from` that match the foreign files and no other file: whole folders where that can be.
fn patterns(from: &[u8], resolutions: &[&Resolution], others: &[&[u8]]) -> BTreeSet<String> {
    let folder = |path: &[u8]| memchr::memrchr(b'/', path).map(|slash| path[..slash].to_vec());
    let relative = |path: &[u8]| {
        let rest = path.strip_prefix(from.strip_suffix(b"/").unwrap_or(from)).unwrap_or(path);
        rest.strip_prefix(b"/").unwrap_or(rest).to_vec()
    };
    let is_foreign = |resolution: &Resolution| matches!(resolution.kind, Kind::Foreign(_));
    let foreign = resolutions.iter().filter(|resolution| is_foreign(resolution));
    let left_out: BTreeSet<&[u8]> = foreign.clone().map(|resolution| &*resolution.path).collect();
    let right = resolutions.iter().map(|resolution| &*resolution.path).chain(others.iter().copied());
    let mixed: BTreeSet<Vec<u8>> = right
        .filter(|path| !left_out.contains(path))
        .flat_map(|path| {
            let path = relative(path);
            std::iter::successors(folder(&path), |path| folder(path)).collect::<Vec<_>>()
        })
        .collect();
    let pattern = |resolution: &&Resolution| {
        let path = relative(&resolution.path);
        match folder(&path).filter(|folder| !mixed.contains(folder)) {
            Some(folder) => format!("{}/**", literal(&show(&folder))),
            None => literal(&show(&path)),
        }
    };
    foreign.map(pattern).collect()
}

/// A glob that matches the text alone.
fn literal(text: &str) -> String {
    let is_special = |letter: char| matches!(letter, '*' | '?' | '[' | '{' | '}');
    let escaped = |letter: char| if is_special(letter) { format!("[{letter}]") } else { letter.into() };
    text.chars().map(escaped).collect()
}
