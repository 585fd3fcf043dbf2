//! What broke a rule, as data and as diagnostics.

use super::rules::{Kind, Rule};
use super::waivers::Waived;
use crate::path::ImagePath;
use crate::recipe::Verdict;
use crate::report::{Diagnostic, Span};
use crate::tree::Chain;

/// Everything that an image breaks.
#[derive(Debug, Clone, Default)]
pub struct Verdicts {
    /// One finding for each broken rule, in the order of the rules; limits with several patterns have one for each.
    pub findings: Vec<Finding>,
    /// What the recipe accepts, with its reasons.
    pub waived: Vec<Waived>,
    /// Waivers that do not hold.
    pub idle: Vec<Diagnostic>,
}

/// One broken rule.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// What follows: a warning or an error.
    pub verdict: Verdict,
    /// Where the recipe sets the rule.
    pub set_at: Option<Span>,
    /// What is wrong, in one line.
    pub summary: String,
    /// Where the recipe asked for it, and what is said there.
    pub asked_at: Vec<(Span, String)>,
    /// Each path that breaks the rule, sorted; none where it is not about paths.
    pub hits: Vec<Hit>,
    /// Facts that no path has.
    pub notes: Vec<String>,
    /// What to do.
    pub helps: Vec<String>,
    /// What a policy below the recipe has to do with it.
    pub below: Below,
}

/// What a policy below the recipe has to do with a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// It asks for less: the recipe decides.
    Nothing,
    /// It asks for as much; a waiver holds.
    Asked,
    /// It asks for as much, and lets nobody waive it.
    Unwaived,
}

/// A path that breaks a rule.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The path.
    pub path: ImagePath,
    /// What is the matter with it, as `an SSH private key`.
    pub what: String,
    /// Why it is in the image.
    pub chain: Chain,
}

/// How much to tell of a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// One counted line for each rule.
    Brief,
    /// Also where, and each path.
    Full,
}

/// The most paths that the full form of a warning names.
const MOST_PATHS: usize = 100;

impl Verdicts {
    /// What was denied.
    pub fn errors(&self) -> Vec<Diagnostic> {
        self.of(Verdict::Deny).map(Finding::error).collect()
    }

    /// What was warned of.
    pub fn warnings(&self, detail: Detail) -> Vec<Diagnostic> {
        let warnings = self.of(Verdict::Warn).map(|finding| finding.warning(detail));
        warnings.chain(self.idle.iter().cloned()).collect()
    }

    fn of(&self, verdict: Verdict) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.verdict == verdict)
    }
}

impl Finding {
    /// A finding that is of no path, yet.
    pub(super) fn new(rule: &'static Rule, verdict: Verdict, summary: String) -> Self {
        let (asked_at, hits, notes, helps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { rule, verdict, set_at: None, summary, asked_at, hits, notes, helps, below: Below::Nothing }
    }

    fn error(&self) -> Diagnostic {
        let mut error = self.labelled(Diagnostic::error(self.rule.code, &self.summary));
        error.notes.extend(self.notes.iter().cloned());
        if let [first, more @ ..] = self.hits.as_slice() {
            error.notes.push(format!("why: {}", first.chain));
            if !more.is_empty() {
                error.notes.push(format!("also {}", some(more.iter().map(|hit| &hit.path), 4)));
            }
        }
        error.helps.extend(self.helps.iter().cloned());
        let name = self.rule.name;
        if self.rule.kind == Kind::Verdict {
            error.helps.extend(match self.below {
                Below::Nothing if self.set_at.is_some() => None,
                Below::Nothing => {
                    Some(format!("if the image must have it, say so under [policy]: `{name} = \"allow\"`"))
                }
                Below::Asked => Some(format!(
                    "the policy below lets no recipe allow it; if the image must have it, say why: [[policy.waive]] with \
                     `rule = \"{name}\"` and a `reason`"
                )),
                Below::Unwaived => Some("the policy below lets no recipe allow or waive it".to_owned()),
            });
        }
        error
    }

    fn warning(&self, detail: Detail) -> Diagnostic {
        let warning = Diagnostic::warning(self.rule.code, &self.summary);
        if detail == Detail::Brief {
            return warning;
        }
        let mut warning = self.labelled(warning);
        warning.notes.extend(self.notes.iter().cloned());
        for hit in self.hits.iter().take(MOST_PATHS) {
            let what = if hit.what.is_empty() { String::new() } else { format!(": {}", hit.what) };
            warning.notes.push(format!("`{}`{what} (why: {})", hit.path, hit.chain));
        }
        if let Some(more) = self.hits.len().checked_sub(MOST_PATHS).filter(|more| *more > 0) {
            warning.notes.push(format!("and {more} more"));
        }
        warning.helps.extend(self.helps.iter().cloned());
        let name = self.rule.name;
        warning.helps.push(match self.below {
            Below::Nothing => {
                format!("under [policy], `{name} = \"allow\"` silences this and `{name} = \"deny\"` forbids it")
            }
            Below::Asked => format!(
                "the policy below lets no recipe silence this; [[policy.waive]] with `rule = \"{name}\"` and a `reason` \
                 accepts it"
            ),
            Below::Unwaived => "the policy below lets no recipe silence or waive this".to_owned(),
        });
        warning
    }

    fn labelled(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        for (span, text) in &self.asked_at {
            diagnostic = diagnostic.at(*span, text);
        }
        match self.set_at {
            Some(span) => diagnostic.and_at(span, "rule set here"),
            None => diagnostic,
        }
    }
}

/// Up to `most` of the things in backticks, and how many more there are: `` `a`, `b` and 3 more ``.
pub(super) fn some<T: std::fmt::Display>(things: impl ExactSizeIterator<Item = T>, most: usize) -> String {
    let more = things.len().saturating_sub(most);
    let named: Vec<String> = things.take(most).map(|thing| format!("`{thing}`")).collect();
    match (more, named.as_slice()) {
        (0, [start @ .., last]) if !start.is_empty() => format!("{} and {last}", start.join(", ")),
        (0, _) => named.join(", "),
        _ => format!("{} and {more} more", named.join(", ")),
    }
}
