//! The policy's look at an image: what its rules ask of ELF files and of the root, from what is known already.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use crate::closure::{Closure, Headers};
use crate::elf;
use crate::inventory::Inventory;
use crate::needs::Distribution;
use crate::path::ImagePath;
use crate::policy::{self, Hardening, HostRoot, Relro, Searched, Unexplained, Verdicts};
use crate::recipe::{Date, Recipe, Root, Verdict};
use crate::report::{Error, Result};
use crate::source::{Content, Source};
use crate::tree::{Entry, Tree};

/// What the policy is shown beside the tree and the closure.
pub(super) struct Facts<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) inventory: &'a Inventory,
    pub(super) headers: &'a Headers,
    /// Libraries that objects name, and nobody explains.
    pub(super) unexplained: &'a [Unexplained],
    pub(super) root: &'a dyn Source,
    pub(super) uid: u32,
    pub(super) ci: bool,
    pub(super) today: Date,
    pub(super) searched: &'a Searched,
}

/// Holds an image against its policy.
pub(super) fn judge(tree: &Tree, closure: &Closure, facts: &Facts<'_>) -> Result<Verdicts> {
    let hardened = hardened(tree, closure, facts)?;
    let distribution = Distribution::of(facts.root).ok().flatten();
    let name = distribution.map_or_else(|| "Linux".to_owned(), |it| it.pretty_name.unwrap_or(it.name));
    let host_root = match facts.recipe.root {
        Root::Host => Some(HostRoot { distribution: &name, ci: facts.ci }),
        Root::Folder(..) => None,
    };
    let facts = policy::Facts {
        recipe: facts.recipe,
        inventory: facts.inventory,
        hardening: &|path| hardened.get(path).cloned(),
        unexplained: facts.unexplained,
        uid: facts.uid,
        host_root,
        today: facts.today,
        searched: facts.searched,
    };
    policy::judge(tree, &facts, &facts.recipe.policy)
}

/// How the programs and libraries of the closure are linked.
fn hardened(tree: &Tree, closure: &Closure, facts: &Facts<'_>) -> Result<BTreeMap<ImagePath, Hardening>> {
    let objects = closure.files();
    let of_file = |(path, object): (&&ImagePath, &&elf::Object)| {
        let Some(content) = tree.get(path).and_then(Entry::content) else { return Ok(None) };
        let read = hardening(object, content, facts);
        let read = read.map_err(|error| Error::io("read", Path::new(&path.to_string()), &error))?;
        Ok(Some(((*path).clone(), read)))
    };
    let all: Vec<Option<_>> = objects.par_iter().map(of_file).collect::<Result<_>>()?;
    Ok(all.into_iter().flatten().collect())
}

fn hardening(object: &elf::Object, content: &Content, facts: &Facts<'_>) -> std::io::Result<Hardening> {
    let shape = object.shape();
    let pie = match shape {
        elf::Shape::Pie | elf::Shape::StaticPie => Some(true),
        elf::Shape::Fixed | elf::Shape::Static => Some(false),
        elf::Shape::Library | elf::Shape::Other => None,
    };
    let relro = match object.relocations_read_only() {
        elf::Relro::None if shape == elf::Shape::Static => Relro::NotApplicable,
        elf::Relro::None => Relro::None,
        elf::Relro::Partial => Relro::Partial,
        elf::Relro::Full => Relro::Full,
    };
    // Symbols are read only for a rule that asks for them, and sections only where it matters who made the file.
    let (canaries, _) = policy::verdict(&facts.recipe.policy, &policy::NO_CANARY);
    let canary = match canaries {
        Verdict::Allow => None,
        Verdict::Warn | Verdict::Deny => facts.headers.hardening(content)?.and_then(|it| it.canary),
    };
    let by_the_book = pie != Some(false) && matches!(relro, Relro::Full | Relro::NotApplicable);
    let go = (!by_the_book || canary == Some(false)) && facts.headers.is_go(content)?;
    Ok(Hardening {
        pie,
        relro,
        exec_stack: object.stack.is_some_and(|flags| flags & 1 != 0),
        writable_code: object.has_text_relocations() || object.writable_code() > 0,
        canary,
        search_paths: object.search_paths().map(<[u8]>::to_vec).collect(),
        go,
    })
}
