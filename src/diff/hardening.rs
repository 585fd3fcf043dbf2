//! How the ELF files that two images have in common are hardened, fact by fact.

use super::keys;
use crate::closure::Hardened;
use crate::elf::{Relro, Shape};
use crate::path::{ImagePath, show};
use crate::survey::Survey;

/// A fact that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardeningChange {
    /// The file.
    pub path: ImagePath,
    /// Which fact, as `RELRO`.
    pub fact: &'static str,
    /// What it is in each image.
    pub values: [String; 2],
    /// Whether the newer file is the less protected one.
    pub is_weaker: bool,
}

/// A fact of a file: its name, how it reads, and how well it protects, more being better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardeningFact {
    /// Which, as `RELRO`.
    pub name: &'static str,
    /// How it reads.
    pub value: String,
    /// How well it protects.
    pub rank: i32,
    /// Whether it is worth a look.
    pub is_weak: bool,
}

/// The facts of a file that say how it is protected. Counts that change with every compilation are none of them.
pub fn facts(file: &Hardened) -> Vec<HardeningFact> {
    let facts = &file.hardening;
    let fact = |name, value: &str, rank, is_weak| HardeningFact { name, value: value.to_owned(), rank, is_weak };
    let bad = |name, holds: bool| fact(name, if holds { "yes" } else { "no" }, i32::from(!holds), holds);
    let rank_of_shape = i32::from(!matches!(facts.shape, Shape::Fixed | Shape::Static));
    let relro = match facts.relro {
        Relro::None => 0,
        Relro::Partial => 1,
        Relro::Full => 2,
    };
    let stack = match facts.executable_stack {
        None => ("no note", 1),
        Some(true) => ("executable", 0),
        Some(false) => ("NX", 2),
    };
    let canary = match facts.canary {
        None => ("unknown", 0),
        Some(false) => ("no", 0),
        Some(true) => ("yes", 1),
    };
    let fortified = match (facts.fortified, facts.fortifiable) {
        (_, 0) => ("nothing to check", 1),
        (0, _) => ("no", 0),
        _ => ("yes", 1),
    };
    let features = facts.features.names();
    let paths: Vec<String> = facts.writable_paths.iter().map(|path| show(path)).collect();
    let listed = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let count = |list: usize| i32::try_from(list).unwrap_or(i32::MAX);
    vec![
        fact("kind", facts.shape.word(), rank_of_shape, rank_of_shape == 0),
        fact("RELRO", facts.relro.word(), relro, relro < 2 && facts.shape != Shape::Static),
        fact("stack", stack.0, stack.1, stack.1 < 2 && !facts.go),
        fact("canary", canary.0, canary.1, facts.canary == Some(false) && !facts.go),
        fact("fortified", fortified.0, fortified.1, fortified.1 == 0 && !facts.go),
        fact(
            "control flow",
            &listed(&features.iter().map(ToString::to_string).collect::<Vec<_>>()),
            count(features.len()),
            false,
        ),
        bad("text relocations", facts.textrel),
        bad("writable code", facts.writable_code > 0),
        fact("unsafe search paths", &listed(&paths), -count(paths.len()), !paths.is_empty()),
        fact(
            "privileges",
            &listed(&file.privileges.iter().map(ToString::to_string).collect::<Vec<_>>()),
            -count(file.privileges.len()),
            !file.privileges.is_empty(),
        ),
    ]
}

/// The facts that changed, by path.
pub(super) fn hardening(surveys: [&Survey; 2]) -> Vec<HardeningChange> {
    let mut changes = Vec::new();
    for path in keys(surveys.map(|survey| &survey.objects)) {
        let [Some(from), Some(to)] = surveys.map(|survey| survey.objects.get(path)) else { continue };
        for (from, to) in facts(&from.hardened).into_iter().zip(facts(&to.hardened)) {
            if from.value != to.value {
                let is_weaker = to.rank < from.rank;
                changes.push(HardeningChange {
                    path: path.clone(),
                    fact: from.name,
                    values: [from.value, to.value],
                    is_weaker,
                });
            }
        }
    }
    changes
}
