//! ELF files of a copied folder that are for other platforms: one note, with a line that would leave them out.

use std::collections::{BTreeMap, BTreeSet};

use super::FOREIGN;
use crate::closure::{Foreign, Kind, Resolution};
use crate::path::show;
use crate::report::{Diagnostic, Span};

/// The note on the foreign files among those of a folder `from`. None when there are none.
pub fn foreign_note(from: &[u8], span: Option<Span>, resolutions: &[&Resolution]) -> Option<Diagnostic> {
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
    let patterns: Vec<String> = patterns(from, resolutions).iter().map(|pattern| format!("\"{pattern}\"")).collect();
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

/// Patterns relative to `from` that match the foreign files and no other ELF file: whole folders where that can be.
fn patterns(from: &[u8], resolutions: &[&Resolution]) -> BTreeSet<String> {
    let folder = |path: &[u8]| memchr::memrchr(b'/', path).map(|slash| path[..slash].to_vec());
    let relative = |path: &[u8]| {
        let rest = path.strip_prefix(from.strip_suffix(b"/").unwrap_or(from)).unwrap_or(path);
        rest.strip_prefix(b"/").unwrap_or(rest).to_vec()
    };
    let is_foreign = |resolution: &Resolution| matches!(resolution.kind, Kind::Foreign(_));
    let mixed: BTreeSet<Vec<u8>> = resolutions
        .iter()
        .filter(|resolution| !is_foreign(resolution))
        .flat_map(|resolution| {
            let path = relative(&resolution.path);
            std::iter::successors(folder(&path), |path| folder(path)).collect::<Vec<_>>()
        })
        .collect();
    let foreign = resolutions.iter().filter(|resolution| is_foreign(resolution));
    let pattern = |resolution: &&Resolution| {
        let path = relative(&resolution.path);
        match folder(&path).filter(|folder| !mixed.contains(folder)) {
            Some(folder) => format!("{}/**", show(&folder)),
            None => show(&path),
        }
    };
    foreign.map(pattern).collect()
}
