//! Findings that are known and accepted: which waiver of the recipe holds for which, and which holds for none.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::GlobMatcher;

use super::rules::{Rule, rules};
use super::{Finding, Hit, Verdicts, limits};
use crate::path::ImagePath;
use crate::recipe::{Date, Policy, Waiver};
use crate::report::{Code, Diagnostic, Result};

/// A waiver that ended, and does not hold any more.
pub const WAIVER_ENDED: Code = Code("E0330");
/// A waiver that nothing needs.
pub const WAIVER_UNUSED: Code = Code("E0331");
/// A waiver of a rule that the policy below the recipe lets nobody waive.
pub const WAIVER_FORBIDDEN: Code = Code("E0332");

/// Something that breaks a rule and is accepted.
#[derive(Debug, Clone)]
pub struct Waived {
    /// The rule.
    pub rule: &'static Rule,
    /// The path that breaks it, and why it is in the image; none for a rule that is about no path.
    pub hit: Option<Hit>,
    /// What is wrong, in one line.
    pub summary: String,
    /// The waiver.
    pub waiver: Waiver,
}

/// The waivers of a recipe while it is judged.
pub(super) struct Waivers<'a> {
    all: Vec<Held<'a>>,
    today: Date,
    waived: RefCell<Vec<Waived>>,
    used: RefCell<BTreeSet<usize>>,
}

/// A waiver and whether it may be used.
struct Held<'a> {
    waiver: &'a Waiver,
    glob: Option<GlobMatcher>,
    /// A floor says no.
    forbidden: bool,
}

impl<'a> Waivers<'a> {
    pub(super) fn new(policy: &'a Policy, today: Date) -> Result<Self> {
        let floor = policy.floor.as_ref();
        let below = floor.iter().flat_map(|floor| &floor.policy.waivers);
        let held = |waiver: &'a Waiver, forbidden: bool| -> Result<Held<'a>> {
            let rule = rules().iter().find(|rule| rule.name == waiver.rule.value);
            let glob = match (&waiver.path, rule) {
                (Some(path), Some(rule)) => Some(limits::glob(rule, path)?),
                _ => None,
            };
            Ok(Held { waiver, glob, forbidden })
        };
        let no = |waiver: &Waiver| {
            floor.is_some_and(|floor| floor.no_waivers.iter().any(|rule| rule.value == waiver.rule.value))
        };
        let own = policy.waivers.iter().map(|waiver| held(waiver, no(waiver)));
        let all = own.chain(below.map(|waiver| held(waiver, false))).collect::<Result<_>>()?;
        Ok(Self { all, today, waived: RefCell::default(), used: RefCell::default() })
    }

    /// Takes away what is waived.
    pub(super) fn apply(&self, rule: &'static Rule, hits: Vec<Hit>) -> Vec<Hit> {
        let (mut left, mut waived) = (Vec::new(), Vec::new());
        for hit in hits {
            match self.find(rule, Some(&hit.path)) {
                None => left.push(hit),
                Some(by) => {
                    let what = if hit.what.is_empty() { rule.one().to_owned() } else { hit.what.clone() };
                    let summary = format!("`{}`: {what}", hit.path);
                    waived.push(Waived { rule, hit: Some(hit), summary, waiver: by.clone() });
                }
            }
        }
        self.waived.borrow_mut().append(&mut waived);
        left
    }

    /// The waiver that holds for a path, or for all that breaks a rule.
    fn find(&self, rule: &Rule, path: Option<&ImagePath>) -> Option<&'a Waiver> {
        let fits = |held: &Held<'_>| match (&held.glob, path) {
            (None, _) => true,
            (Some(glob), Some(path)) => glob.is_match(OsStr::from_bytes(path.as_bytes())),
            (Some(_), None) => false,
        };
        let of_rule = self.all.iter().enumerate().filter(|(_, held)| held.waiver.rule.value == rule.name);
        let (number, held) = of_rule.filter(|(_, held)| fits(held)).find(|(number, held)| {
            // That it would fit is known, even where it may not be used.
            self.used.borrow_mut().insert(*number);
            !held.forbidden && !self.has_ended(held.waiver)
        })?;
        self.used.borrow_mut().insert(number);
        Some(held.waiver)
    }

    fn has_ended(&self, waiver: &Waiver) -> bool {
        waiver.has_ended(self.today)
    }

    /// The verdicts: findings that are about no path are waived here; waivers that do not hold are told.
    pub(super) fn settle(self, findings: Vec<Finding>) -> Verdicts {
        let (mut left, mut waived) = (Vec::new(), Vec::new());
        for finding in findings {
            let by = if finding.hits.is_empty() { self.find(finding.rule, None) } else { None };
            match by {
                None => left.push(finding),
                Some(by) => {
                    let (rule, summary) = (finding.rule, finding.summary);
                    waived.push(Waived { rule, hit: None, summary, waiver: by.clone() });
                }
            }
        }
        for finding in &mut left {
            for held in self.all.iter().filter(|held| held.waiver.rule.value == finding.rule.name) {
                self.refuse(held, finding);
            }
        }
        let used = self.used.borrow();
        let idle = self.all.iter().enumerate().filter_map(|(number, held)| self.idle(held, used.contains(&number)));
        let idle = idle.collect();
        drop(used);
        waived.append(&mut self.waived.into_inner());
        Verdicts { findings: left, waived, idle }
    }

    /// Says beside a finding why a waiver does not help it.
    fn refuse(&self, held: &Held<'_>, finding: &mut Finding) {
        let fits =
            |hit: &Hit| held.glob.as_ref().is_none_or(|glob| glob.is_match(OsStr::from_bytes(hit.path.as_bytes())));
        if !finding.hits.is_empty() && !finding.hits.iter().any(fits) {
            return;
        }
        if let Some(until) = held.waiver.until.as_ref().filter(|_| self.has_ended(held.waiver)) {
            finding.notes.push(format!("it was waived until {}: {}", until.value, held.waiver.reason));
        } else if held.forbidden {
            finding.notes.push("the policy below the recipe lets nobody waive this".to_owned());
        }
    }

    /// A warning of a waiver that does not hold.
    fn idle(&self, held: &Held<'_>, fits: bool) -> Option<Diagnostic> {
        let (waiver, rule) = (held.waiver, &held.waiver.rule.value);
        if held.forbidden {
            let title = format!("`{rule}` is waived, and the policy below the recipe lets nobody waive it");
            return Some(Diagnostic::warning(WAIVER_FORBIDDEN, title).at(waiver.span, "has no effect"));
        }
        if let Some(until) = waiver.until.as_ref().filter(|_| self.has_ended(waiver)) {
            let title = format!("a waiver of `{rule}` ended on {}", until.value);
            return Some(Diagnostic::warning(WAIVER_ENDED, title).at(until.span, "does not hold any more"));
        }
        let title = format!("a waiver of `{rule}` is for nothing that the image has");
        (!fits).then(|| Diagnostic::warning(WAIVER_UNUSED, title).at(waiver.span, "can be taken out"))
    }
}
