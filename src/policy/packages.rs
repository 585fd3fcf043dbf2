//! Rules about the packages whose files the image holds.

use globset::GlobMatcher;

use super::limits::{broken, glob};
use super::rules::{ALLOW_PACKAGES, DENY_PACKAGES, Rule};
use super::{Finding, Judge, some};
use crate::path::ImagePath;
use crate::report::{Result, Span, Spanned};
use crate::source::ownership::Package;

impl Judge<'_> {
    /// One finding for each denied pattern that something matches, and one for all that are not allowed.
    pub(super) fn packages(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let allowed = self.policy.allow_packages.as_ref();
        let limit = self.policy.deny_packages.first().map(|pattern| (&DENY_PACKAGES, pattern.span));
        let limit = limit.or(allowed.map(|list| (&ALLOW_PACKAGES, list.span)));
        let of_root = self.tree.iter().any(|(path, _)| self.facts.inventory.origin(path).is_some());
        if let Some((rule, span)) = limit.filter(|_| of_root && !self.facts.inventory.has_database()) {
            let summary = "policy names packages, and the root has no package database".to_owned();
            findings.push(broken(rule, span, summary));
            return Ok(findings);
        }
        for pattern in &self.policy.deny_packages {
            let glob = glob(&DENY_PACKAGES, pattern)?;
            findings.extend(self.with_packages(
                &DENY_PACKAGES,
                pattern.span,
                |name| glob.is_match(name),
                |packages| format!("policy forbids {}, and the image would have files of it", some(packages.iter(), 3)),
            ));
        }
        if let Some(list) = allowed {
            let globs: Vec<GlobMatcher> = globs(&ALLOW_PACKAGES, &list.value)?;
            let other = |name: &str| !globs.iter().any(|glob| glob.is_match(name));
            findings.extend(self.with_packages(&ALLOW_PACKAGES, list.span, other, |packages| {
                format!("policy does not allow {}, and the image would have files of it", some(packages.iter(), 3))
            }));
        }
        Ok(findings)
    }

    /// The finding for the packages that `breaks` names, with the first path of each.
    fn with_packages(
        &self,
        rule: &'static Rule,
        set_at: Span,
        breaks: impl Fn(&str) -> bool,
        summary: impl Fn(&[&str]) -> String,
    ) -> Option<Finding> {
        let all = self.facts.inventory.packages().filter(|(package, _)| breaks(&package.name));
        let broken_by: Vec<(&Package, &[ImagePath])> = all.collect();
        let first = |(package, paths): &(&Package, &[ImagePath])| {
            Some((paths.first()?.clone(), format!("of {} {}", package.name, package.version)))
        };
        let hits = self.hits(broken_by.iter().filter_map(first).collect());
        let mut names: Vec<&str> = broken_by.iter().map(|(package, _)| package.name.as_str()).collect();
        names.dedup();
        if names.is_empty() {
            return None;
        }
        let mut finding = broken(rule, set_at, summary(&names));
        finding.asked_at = self.asked_at(&hits);
        for (package, paths) in broken_by.iter().take(10) {
            let paths = some(paths.iter(), 2);
            finding.notes.push(format!("{} {} brings {paths}", package.name, package.version));
        }
        finding.hits = hits;
        Some(finding)
    }
}

fn globs(rule: &Rule, patterns: &[Spanned<String>]) -> Result<Vec<GlobMatcher>> {
    patterns.iter().map(|pattern| glob(rule, pattern)).collect()
}
