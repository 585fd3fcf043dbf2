//! Rules about the licences of packages, as their copyright files tell them.

use std::path::Path;

use super::limits::broken;
use super::rules::{ALLOW_LICENSES, DENY_LICENSES, Rule, all, only};
use super::{Finding, Judge, some};
use crate::deb::licence::{self, Licence};
use crate::path::ImagePath;
use crate::report::{Error, Result, Span, Spanned};
use crate::source::ownership::Package;
use crate::source::resolve;

/// The word for a licence that no copyright file tells in a form for programs.
const UNKNOWN: &str = "unknown";
/// The most bytes of a copyright file.
const LIMIT: u64 = 4 << 20;

/// A package with its first path and its licence.
struct Licensed<'a> {
    package: &'a Package,
    path: &'a ImagePath,
    licence: Option<Licence>,
}

impl Judge<'_> {
    /// One finding for the packages that need a denied licence, and one for those that need one that is not allowed.
    pub(super) fn licences(&self) -> Result<Vec<Finding>> {
        let denied = all(self.policy, |policy| &policy.deny_licenses);
        let allowed = only(self.policy, |policy| policy.allow_licenses.as_ref());
        let limit = denied.first().map(|name| (&DENY_LICENSES, name.span));
        let Some((rule, span)) = limit.or(allowed.first().map(|list| (&ALLOW_LICENSES, list.span))) else {
            return Ok(Vec::new());
        };
        if let Some(unknown) = self.without_database(rule, span, "licences") {
            return Ok(vec![unknown]);
        }
        let packages = self.licensed()?;
        let mut findings = Vec::new();
        if let Some(first) = denied.first() {
            let fits = |term: &str| !is_named(&denied, term);
            findings.extend(self.without_licence(&DENY_LICENSES, first.span, &packages, &fits));
        }
        for list in allowed {
            let fits = |term: &str| is_named(list, term);
            findings.extend(self.without_licence(&ALLOW_LICENSES, list.span, &packages, &fits));
        }
        Ok(findings)
    }

    /// The licence of each package whose files ship.
    fn licensed(&self) -> Result<Vec<Licensed<'_>>> {
        let mut all = Vec::new();
        for (package, paths) in self.facts.inventory.packages() {
            let Some(path) = paths.first() else { continue };
            let copyright = format!("/usr/share/doc/{}/copyright", package.name);
            // The folder may be a link to that of another package.
            let found = resolve(self.tree, copyright.as_bytes()).ok();
            let text = match found.as_ref().and_then(|found| found.node.content()) {
                Some(content) if content.size() <= LIMIT => {
                    content.read(LIMIT).map_err(|error| Error::io("read", Path::new(&copyright), &error))?
                }
                _ => Vec::new(),
            };
            all.push(Licensed { package, path, licence: licence::of_copyright(&text) });
        }
        Ok(all)
    }

    /// The finding for packages that can't be had with terms that fit.
    fn without_licence(
        &self,
        rule: &'static Rule,
        set_at: Span,
        packages: &[Licensed<'_>],
        fits: &dyn Fn(&str) -> bool,
    ) -> Option<Finding> {
        let needs = |licensed: &&Licensed<'_>| match &licensed.licence {
            Some(licence) => !licence.can_be_had(fits),
            None => !fits(UNKNOWN),
        };
        let said = |licensed: &Licensed<'_>| {
            let Package { name, version, .. } = licensed.package;
            let terms = match &licensed.licence {
                Some(licence) => {
                    let terms: Vec<&String> = licence.terms.iter().filter(|term| !fits(term)).collect();
                    some(terms.into_iter(), 3)
                }
                None => format!("`{UNKNOWN}`: its copyright file is not in a form for programs"),
            };
            (licensed.path.clone(), format!("of {name} {version}, licence {terms}"))
        };
        let broken_by: Vec<&Licensed<'_>> = packages.iter().filter(needs).collect();
        let hits = self.hits(rule, broken_by.iter().map(|licensed| said(licensed)).collect());
        let left = broken_by.iter().filter(|licensed| hits.iter().any(|hit| hit.path == *licensed.path));
        let names: Vec<&str> = left.map(|licensed| licensed.package.name.as_str()).collect();
        if names.is_empty() {
            return None;
        }
        let says = if rule == &DENY_LICENSES { "forbids" } else { "does not allow" };
        let summary = format!("policy {says} the licence of {}", some(names.iter(), 3));
        let mut finding = broken(rule, set_at, summary);
        finding.asked_at = self.asked_at(&hits);
        finding.notes.extend(hits.iter().take(10).map(|hit| format!("`{}` is {}", hit.path, hit.what)));
        if rule == &ALLOW_LICENSES {
            let help =
                format!("`\"{UNKNOWN}\"` in the list allows packages whose copyright files are for people alone");
            finding.helps.push(help);
        }
        finding.hits = hits;
        Some(finding)
    }
}

/// Whether a list names a term: as it is, without its exception, or by how it begins.
fn is_named(list: &[Spanned<String>], term: &str) -> bool {
    let base = term.split(" WITH ").next().unwrap_or(term);
    list.iter().any(|entry| match entry.value.strip_suffix('*') {
        Some(start) => base.starts_with(start),
        None => entry.value.eq_ignore_ascii_case(base),
    })
}
