//! What an image may be: in goes the finished tree with what is known of its files, out comes every rule that it
//! breaks.
//!
//! All findings at once; nothing is changed. Only the rule about secrets reads files, small ones that no package owns.

use std::collections::BTreeMap;

use crate::inventory::Inventory;
use crate::path::ImagePath;
use crate::recipe::{Date, Policy, Recipe, Verdict};
use crate::report::{Code, Result, Span, Spanned};
use crate::tree::{Beginning, Cause, Entry, Tree};

mod files;
mod dlopen;
mod finding;
mod format;
mod hardening;
mod image;
mod licences;
mod limits;
mod packages;
mod rules;
mod secrets;
mod tokens;
mod waivers;

pub use dlopen::Unexplained;
pub use finding::{Below, Detail, Finding, Hit, Verdicts};
pub use format::{Judged, junit, sarif};
pub use hardening::{Hardening, Relro};
pub use limits::{download_limit, max_download};
pub use rules::{DLOPEN, FOREIGN_ELF, Kind, NO_CANARY, Rule, SYMBOL_VERSIONS, rules, verdict};
pub use secrets::Searched;
pub use waivers::{WAIVER_ENDED, WAIVER_FORBIDDEN, WAIVER_UNUSED, Waived};

use finding::some;
use waivers::Waivers;

/// A condition of `--fail-on` holds.
pub const CONDITION: Code = Code("E0351");

/// What the rules look at beside the tree.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The recipe, which reasons point into.
    pub recipe: &'a Recipe,
    /// Whose the files are.
    pub inventory: &'a Inventory,
    /// How the object at a path of the tree was linked; `None` when it is no ELF object.
    pub hardening: &'a dyn Fn(&ImagePath) -> Option<Hardening>,
    /// Libraries that objects of the image name, and the image does not have; those that the recipe ignores left out.
    pub unexplained: &'a [Unexplained],
    /// The number of the user that the image runs as.
    pub uid: u32,
    /// The machine that builds, when it is the root.
    pub host_root: Option<HostRoot<'a>>,
    /// The day on which waivers are looked at.
    pub today: Date,
    /// What was found in files of other images.
    pub searched: &'a Searched,
}

/// The machine that builds, as the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostRoot<'a> {
    /// The distribution, as `Debian GNU/Linux 12 (bookworm)`.
    pub distribution: &'a str,
    /// Whether it is a machine of continuous integration: CI was set.
    pub ci: bool,
}

/// A policy that nothing breaks, for looks at an image that are not about what it must not hold.
pub fn allow_all(recipe: &Recipe) -> Policy {
    let verdicts = rules().iter().filter(|rule| rule.kind == Kind::Verdict);
    let allow = |rule: &&Rule| (rule.name.to_owned(), Spanned::new(Verdict::Allow, recipe.span));
    Policy { rules: verdicts.map(allow).collect(), ..Policy::default() }
}

/// Holds an image against the policy.
///
/// # Errors
/// When a file can't be read, or a glob of the policy is none.
pub fn judge(tree: &Tree, facts: &Facts<'_>, policy: &Policy) -> Result<Verdicts> {
    let judge = Judge { tree, facts, policy, copied: copied(tree), waivers: Waivers::new(policy, facts.today)? };
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(judge.shell());
    findings.extend(judge.setuid());
    findings.extend(judge.root_user());
    findings.extend(judge.world_writable());
    findings.extend(judge.secrets()?);
    findings.extend(judge.capabilities());
    findings.extend(judge.hardening());
    findings.extend(judge.unowned());
    findings.extend(judge.host_root());
    findings.extend(judge.max_size());
    findings.extend(judge.max_files());
    findings.extend(judge.deny_files()?);
    findings.extend(judge.packages());
    findings.extend(judge.dlopen());
    findings.extend(judge.licences()?);
    let mut verdicts = judge.waivers.settle(findings);
    for finding in &mut verdicts.findings {
        finding.below = rules::below(policy, finding.rule, finding.verdict);
    }
    Ok(verdicts)
}

/// The rules, each a method that gives a finding when the image breaks it.
struct Judge<'a> {
    tree: &'a Tree,
    facts: &'a Facts<'a>,
    policy: &'a Policy,
    /// How many files and links each copied folder of the recipe brought.
    copied: BTreeMap<Span, usize>,
    waivers: Waivers<'a>,
}

fn copied(tree: &Tree) -> BTreeMap<Span, usize> {
    let mut copied = BTreeMap::new();
    for (_, entry) in tree.iter().filter(|(_, entry)| !entry.is_directory()) {
        let by_folder = entry.reasons.iter().filter(|reason| matches!(reason.cause, Cause::Folder(_)));
        for span in by_folder.filter_map(|reason| reason.span) {
            *copied.entry(span).or_default() += 1;
        }
    }
    copied
}

impl Judge<'_> {
    /// What the policy says of a rule, unless it is allowed.
    fn asks(&self, rule: &Rule) -> Option<(Verdict, Option<Span>)> {
        Some(verdict(self.policy, rule)).filter(|(verdict, _)| *verdict != Verdict::Allow)
    }

    /// The finding for the paths that break a rule about paths.
    fn about_paths(
        &self,
        rule: &'static Rule,
        breaks: impl Fn(&ImagePath, &Entry) -> Option<String>,
    ) -> Option<Finding> {
        self.asks(rule)?;
        let broken = self.tree.iter().filter_map(|(path, entry)| Some((path.clone(), breaks(path, entry)?)));
        self.found(rule, broken.collect())
    }

    /// The finding for paths with what is the matter with each.
    fn found(&self, rule: &'static Rule, broken: Vec<(ImagePath, String)>) -> Option<Finding> {
        let (verdict, set_at) = self.asks(rule)?;
        let hits = self.hits(rule, broken);
        let first = hits.first()?;
        let summary = match verdict {
            Verdict::Deny => {
                let what = if first.what.is_empty() { String::new() } else { format!(", {}", first.what) };
                format!("policy forbids {}, and the image would have `{}`{what}", rule.forbids(), first.path)
            }
            _ => format!("{}: {}", rule.counted(hits.len()), some(hits.iter().map(|hit| &hit.path), 1)),
        };
        let asked_at = self.asked_at(&hits);
        Some(Finding { set_at, asked_at, hits, ..Finding::new(rule, verdict, summary) })
    }

    /// The paths that break a rule, without those that are waived.
    fn hits(&self, rule: &'static Rule, broken: Vec<(ImagePath, String)>) -> Vec<Hit> {
        let hit = |(path, what): (ImagePath, String)| {
            let chain = self.tree.chain(self.facts.recipe, &path);
            Hit { path, what, chain }
        };
        self.waivers.apply(rule, broken.into_iter().map(hit).collect())
    }

    /// The places of the recipe that brought the paths, the first three, and what each did.
    fn asked_at(&self, hits: &[Hit]) -> Vec<(Span, String)> {
        let mut places: Vec<(Span, String)> = Vec::new();
        for hit in hits {
            let Some(span) = hit.chain.span.filter(|span| places.iter().all(|(known, _)| known != span)) else {
                continue;
            };
            places.push((span, self.asked(hit, span)));
            if places.len() == 3 {
                break;
            }
        }
        places
    }

    fn asked(&self, hit: &Hit, span: Span) -> String {
        match (&hit.chain.beginning, hit.chain.steps.len()) {
            (Beginning::Folder(_), _) => match self.copied.get(&span).copied().unwrap_or(1) {
                0 | 1 => format!("copies {}", hit.path),
                count => format!("copies {} and {} more", hit.path, count - 1),
            },
            (Beginning::Entry(_), 1) => "asked for here".to_owned(),
            _ => format!("brings {}", hit.path),
        }
    }
}
