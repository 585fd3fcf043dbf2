//! What an image that was written breaks of the rules, as they stand when no recipe sets one.
//!
//! Rules that only a recipe and its root can answer are left out: whose a file is that no record lists, what the
//! machine was that built.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Finding, Object};
use crate::elf;
use crate::inventory::Inventory;
use crate::output::{Contents, ImageInfo};
use crate::path::ImagePath;
use crate::policy::{self, Facts, Hardening, Relro, Searched};
use crate::recipe::{self, Context, Date, Input, Recipe};
use crate::report::{Error, Result, Texts};
use crate::source::ownership::{Check, Database};

/// A recipe that sets no rule.
const BARE: &[u8] = b"name = \"image\"\nbinaries = [\"/image\"]\n";
/// Rules about where files come from.
const OF_ROOTS: [&str; 2] = ["unowned", "host-root"];
/// Rules about how files are compiled and linked: a distribution's own are as that makes them.
const OF_COMPILERS: [&str; 6] = ["no-pie", "partial-relro", "exec-stack", "textrel", "unsafe-rpath", "no-canary"];

/// The findings of an image.
pub(super) fn judged(
    info: &ImageInfo,
    contents: &Contents,
    objects: &BTreeMap<ImagePath, Object>,
    owners: &BTreeMap<ImagePath, (String, String)>,
) -> Result<Vec<Finding>> {
    let recipe = bare()?;
    let tree = &contents.tree;
    let inventory = Inventory::take(&recipe, &Database::open(tree)?, tree, tree, Check::Newer)?;
    let facts = Facts {
        recipe: &recipe,
        inventory: &inventory,
        hardening: &|path| objects.get(path).map(hardening),
        unexplained: &[],
        uid: uid(info),
        host_root: None,
        // Nothing is waived here.
        today: Date::of_seconds(0),
        searched: &Searched::default(),
    };
    let verdicts = policy::judge(tree, &facts, &recipe.policy)?;
    let findings = verdicts.findings.iter().filter(|finding| !OF_ROOTS.contains(&finding.rule.name));
    let findings = findings.map(|finding| {
        let own = |path: &ImagePath| !OF_COMPILERS.contains(&finding.rule.name) || !owners.contains_key(path);
        let hits = finding.hits.iter().filter(|hit| own(&hit.path));
        Finding {
            rule: finding.rule.name,
            code: finding.rule.code.to_string(),
            verdict: finding.verdict,
            summary: finding.rule.about.to_owned(),
            paths: hits.map(|hit| (hit.path.clone(), hit.what.clone())).collect(),
        }
    });
    // What is about no path has none from the start.
    let about_paths = |finding: &Finding| finding.rule != "root-user";
    Ok(findings.filter(|finding| !about_paths(finding) || !finding.paths.is_empty()).collect())
}

fn bare() -> Result<Recipe> {
    let input = Input::Text { name: "-".to_owned(), text: BARE.to_vec(), folder: PathBuf::from("/") };
    let context = Context { workspace: false, ..Context::default() };
    let loaded = recipe::load(&input, &context, &mut Texts::default())?;
    loaded.recipes.into_iter().next().ok_or_else(|| Error::internal("a recipe without anything is none"))
}

/// The number of the user; root's where there is none, as runtimes take it.
fn uid(info: &ImageInfo) -> u32 {
    let user = info.config.get("User").and_then(|user| user.as_str()).unwrap_or_default();
    let user = user.split(':').next().unwrap_or_default();
    match user {
        "" | "root" => 0,
        user => user.parse().unwrap_or(u32::MAX),
    }
}

fn hardening(object: &Object) -> Hardening {
    let facts = &object.hardened.hardening;
    Hardening {
        pie: match facts.shape {
            elf::Shape::Pie | elf::Shape::StaticPie => Some(true),
            elf::Shape::Fixed | elf::Shape::Static => Some(false),
            elf::Shape::Library | elf::Shape::Other => None,
        },
        relro: match facts.relro {
            elf::Relro::None if facts.shape == elf::Shape::Static => Relro::NotApplicable,
            elf::Relro::None => Relro::None,
            elf::Relro::Partial => Relro::Partial,
            elf::Relro::Full => Relro::Full,
        },
        exec_stack: facts.executable_stack.unwrap_or(false),
        writable_code: facts.textrel || facts.writable_code > 0,
        canary: facts.canary,
        search_paths: object.hardened.object.search_paths().map(<[u8]>::to_vec).collect(),
        go: facts.go,
    }
}
