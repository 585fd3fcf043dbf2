//! Rules about how programs and libraries were compiled and linked.

use super::rules::{EXEC_STACK, NO_CANARY, NO_PIE, PARTIAL_RELRO, Rule, TEXTREL, UNSAFE_RPATH, is_set};
use super::{Finding, Judge};
use crate::elf;
use crate::inventory::Standing;
use crate::path::{ImagePath, show};
use crate::source::{Source, resolve};
use crate::tree::Entry;

/// How an ELF object was compiled and linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardening {
    /// Whether a program is position-independent; `None` for a library.
    pub pie: Option<bool>,
    /// How much of it is read-only after relocation.
    pub relro: Relro,
    /// Whether it asks for an executable stack.
    pub exec_stack: bool,
    /// Whether its code can be written to: relocations change it, or a segment is both writable and executable.
    pub writable_code: bool,
    /// Whether stack protection is in it; `None` where nothing tells, or nobody asks.
    pub canary: Option<bool>,
    /// The elements of its RPATH or RUNPATH, as they are written.
    pub search_paths: Vec<Vec<u8>>,
    /// Whether it is a Go program: these are linked to a fixed address, without RELRO and canaries by default.
    pub go: bool,
}

/// How much of an ELF object is read-only after relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relro {
    /// Nothing.
    None,
    /// All but the table of functions that are bound when they are first called.
    Partial,
    /// All.
    Full,
    /// There is nothing to relocate, as in a static program at a fixed address.
    NotApplicable,
}

/// An object under the rules.
struct Linked<'a> {
    path: &'a ImagePath,
    entry: &'a Entry,
    facts: Hardening,
    /// Whether it comes from a package as it is.
    owned: bool,
}

impl Judge<'_> {
    pub(super) fn hardening(&self) -> Vec<Finding> {
        type Breaks<'j> = &'j dyn Fn(&Linked<'_>) -> Option<String>;
        let rules: [(&'static Rule, Breaks<'_>); 6] = [
            (&NO_PIE, &no_pie),
            (&PARTIAL_RELRO, &partial_relro),
            (&EXEC_STACK, &exec_stack),
            (&TEXTREL, &writable_code),
            (&UNSAFE_RPATH, &|linked| self.unsafe_path(linked)),
            (&NO_CANARY, &no_canary),
        ];
        if rules.iter().all(|(rule, _)| self.asks(rule).is_none()) {
            return Vec::new();
        }
        let files = self.tree.iter().filter(|(_, entry)| entry.content().is_some());
        let known: Vec<Linked<'_>> = files.filter_map(|(path, entry)| self.linked(path, entry)).collect();
        let finding = |(rule, breaks): (&'static Rule, Breaks<'_>)| {
            // How a distribution links its own programs is the same in every image of it, and how Go links its own
            // everywhere: unless the recipe asks, only the others are looked at.
            let asked = is_set(self.policy, rule);
            let go_differs = [NO_PIE.name, PARTIAL_RELRO.name, NO_CANARY.name].contains(&rule.name);
            let counts = |linked: &&Linked<'_>| asked || !(linked.owned || (linked.facts.go && go_differs));
            let counted = known.iter().filter(counts);
            self.found(rule, counted.filter_map(|linked| Some((linked.path.clone(), breaks(linked)?))).collect())
        };
        rules.into_iter().filter_map(finding).collect()
    }

    fn linked<'t>(&self, path: &'t ImagePath, entry: &'t Entry) -> Option<Linked<'t>> {
        let facts = (self.facts.hardening)(path)?;
        let owned = matches!(self.facts.inventory.standing(path), Standing::Owned(..));
        Some(Linked { path, entry, facts, owned })
    }

    /// An element of the object's paths that another user could fill: by its text, or by what the image has there.
    fn unsafe_path(&self, linked: &Linked<'_>) -> Option<String> {
        let special = linked.entry.mode & 0o6000 != 0
            || linked.entry.xattrs.iter().any(|(name, _)| name == "security.capability");
        linked.facts.search_paths.iter().find_map(|element| {
            let of_origin = elf::below_origin(element);
            let why = match of_origin {
                _ if elf::is_unsafe_path(element) => "is no place of the system",
                Some(_) if special => {
                    "depends on where the program stands, and it runs with more rights than its caller"
                }
                Some(rest) if self.is_open(&[linked.path.parent()?.as_bytes(), rest].concat()) => "everyone may write",
                None if self.is_open(element) => "everyone may write",
                _ => return None,
            };
            let element =
                if element.is_empty() { "an empty element".to_owned() } else { format!("`{}`", show(element)) };
            Some(format!("searches {element}, which {why}"))
        })
    }

    /// Whether a path leads to a folder of the image that everyone may write; a sticky one, too.
    fn is_open(&self, path: &[u8]) -> bool {
        let tree: &dyn Source = self.tree;
        resolve(tree, path).is_ok_and(|found| found.node.is_directory() && found.node.mode & 0o002 != 0)
    }
}

fn no_pie(linked: &Linked<'_>) -> Option<String> {
    let go = if linked.facts.go { ", as Go does unless built with `-buildmode=pie`" } else { "" };
    (linked.facts.pie == Some(false)).then(|| format!("linked to a fixed address{go}"))
}

fn partial_relro(linked: &Linked<'_>) -> Option<String> {
    let go = if linked.facts.go { ", as Go's own linker leaves it" } else { "" };
    match linked.facts.relro {
        Relro::None => Some(format!("no RELRO{go}")),
        Relro::Partial => Some(format!("partial RELRO{go}")),
        Relro::Full | Relro::NotApplicable => None,
    }
}

fn exec_stack(linked: &Linked<'_>) -> Option<String> {
    linked.facts.exec_stack.then(|| "asks for an executable stack".to_owned())
}

fn writable_code(linked: &Linked<'_>) -> Option<String> {
    linked.facts.writable_code.then(|| "its code can be written to".to_owned())
}

fn no_canary(linked: &Linked<'_>) -> Option<String> {
    let go = if linked.facts.go { ", which Go does not have" } else { "" };
    (linked.facts.canary == Some(false)).then(|| format!("no stack protection{go}"))
}
