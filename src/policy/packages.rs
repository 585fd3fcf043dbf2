//! Rules about the packages whose files the image holds.

use super::limits::broken;
use super::rules::{ALLOW_PACKAGES, DENY_PACKAGES, Rule, all, only};
use super::{Finding, Judge, some};
use crate::path::ImagePath;
use crate::report::Span;
use crate::source::ownership::Package;

impl Judge<'_> {
    /// One finding for each denied package that ships, and one for all that are not allowed.
    pub(super) fn packages(&self) -> Vec<Finding> {
        let denied = all(self.policy, |policy| &policy.deny_packages);
        let allowed = only(self.policy, |policy| policy.allow_packages.as_ref());
        let limit = denied.first().map(|name| (&DENY_PACKAGES, name.span));
        let limit = limit.or(allowed.first().map(|list| (&ALLOW_PACKAGES, list.span)));
        if let Some((rule, span)) = limit
            && let Some(unknown) = self.without_database(rule, span, "packages")
        {
            return vec![unknown];
        }
        let mut findings = Vec::new();
        for denied in &denied {
            findings.extend(self.with_packages(&DENY_PACKAGES, denied.span, "forbids", |name| name == denied.value));
        }
        for list in allowed {
            let other = |name: &str| !list.iter().any(|allowed| allowed.value == name);
            findings.extend(self.with_packages(&ALLOW_PACKAGES, list.span, "does not allow", other));
        }
        findings
    }

    /// Where nobody knows the packages of a root that files come from, nothing can be said of them.
    pub(super) fn without_database(&self, rule: &'static Rule, span: Span, named: &str) -> Option<Finding> {
        let of_root = |path: &ImagePath| self.facts.inventory.origin(path).is_some();
        let unknown = !self.facts.inventory.has_database() && self.tree.iter().any(|(path, _)| of_root(path));
        let summary = || format!("policy names {named}, and the root has no package database");
        unknown.then(|| broken(rule, span, summary()))
    }

    /// The finding for the packages that `breaks` names, with the first path of each.
    fn with_packages(
        &self,
        rule: &'static Rule,
        set_at: Span,
        says: &str,
        breaks: impl Fn(&str) -> bool,
    ) -> Option<Finding> {
        let all = self.facts.inventory.packages().filter(|(package, _)| breaks(&package.name));
        let broken_by: Vec<(&Package, &[ImagePath])> = all.collect();
        let first = |(package, paths): &(&Package, &[ImagePath])| {
            Some((paths.first()?.clone(), format!("of {} {}", package.name, package.version)))
        };
        let hits = self.hits(rule, broken_by.iter().filter_map(first).collect());
        // Of a package that was waived, nothing is left to say.
        let is_left = |(_, paths): &&(&Package, &[ImagePath])| hits.iter().any(|hit| Some(&hit.path) == paths.first());
        let broken_by: Vec<&(&Package, &[ImagePath])> = broken_by.iter().filter(is_left).collect();
        let mut names: Vec<&str> = broken_by.iter().map(|(package, _)| package.name.as_str()).collect();
        names.dedup();
        if names.is_empty() {
            return None;
        }
        let summary = format!("policy {says} {}, and the image would have files of it", some(names.iter(), 3));
        let mut finding = broken(rule, set_at, summary);
        finding.asked_at = self.asked_at(&hits);
        for (package, paths) in broken_by.iter().take(10) {
            let paths = some(paths.iter(), 2);
            finding.notes.push(format!("{} {} brings {paths}", package.name, package.version));
        }
        finding.hits = hits;
        Some(finding)
    }
}
