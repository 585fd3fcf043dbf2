//! The policy's look at an image: what its rules ask of ELF files and of the root, from what is known already.

use std::collections::BTreeMap;

use crate::closure::Closure;
use crate::elf;
use crate::inventory::Inventory;
use crate::needs::Distribution;
use crate::path::ImagePath;
use crate::policy::{self, Hardening, HostRoot, Relro, Verdicts};
use crate::recipe::{Recipe, Root};
use crate::report::Result;
use crate::source::Source;
use crate::tree::Tree;

use super::platform::Programs;

/// What the policy is shown beside the tree and the closure.
pub(super) struct Facts<'a> {
    /// Programs without a loader.
    pub(super) programs: &'a Programs,
    pub(super) recipe: &'a Recipe,
    pub(super) inventory: &'a Inventory,
    pub(super) root: &'a dyn Source,
    pub(super) uid: u32,
    pub(super) ci: bool,
}

/// Holds an image against its policy.
pub(super) fn judge(tree: &Tree, closure: &Closure, facts: &Facts<'_>) -> Result<Verdicts> {
    let objects = closure.resolutions.iter().flat_map(|resolution| &resolution.objects);
    let loaded = objects.map(|it| (&it.real, hardening(&it.elf)));
    let by_themselves = facts.programs.iter().map(|(path, object)| (path, hardening(object)));
    let hardened: BTreeMap<&ImagePath, Hardening> = loaded.chain(by_themselves).collect();
    let distribution = Distribution::of(facts.root).ok().flatten();
    let name = distribution.map_or_else(|| "Linux".to_owned(), |it| it.pretty_name.unwrap_or(it.name));
    let host_root = match facts.recipe.root {
        Root::Host => Some(HostRoot { distribution: &name, ci: facts.ci }),
        Root::Folder(..) => None,
    };
    let facts = policy::Facts {
        recipe: facts.recipe,
        inventory: facts.inventory,
        hardening: &|path| hardened.get(path).copied(),
        uid: facts.uid,
        host_root,
    };
    policy::judge(tree, &facts, &facts.recipe.policy)
}

fn hardening(object: &elf::Object) -> Hardening {
    let shape = object.shape();
    Hardening {
        pie: match shape {
            elf::Shape::Pie | elf::Shape::StaticPie => Some(true),
            elf::Shape::Fixed | elf::Shape::Static => Some(false),
            elf::Shape::Library | elf::Shape::Other => None,
        },
        relro: match object.relocations_read_only() {
            elf::Relro::None if shape == elf::Shape::Static => Relro::NotApplicable,
            elf::Relro::None => Relro::None,
            elf::Relro::Partial => Relro::Partial,
            elf::Relro::Full => Relro::Full,
        },
        exec_stack: object.stack.is_some_and(|flags| flags & 1 != 0),
        go: false,
    }
}
