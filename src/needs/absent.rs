//! What is said when a rule applies and the root has nothing of what it brings.

use super::bring::Found;
use super::certificates::{self, Company};
use super::finder::Why;
use super::rules::{Builtin, Rule};
use super::{EXTRA, NOT_IN_ROOT, Seen, locale};
use crate::report::{Diagnostic, Error, Level as Severity, Result};

/// The recipe asks for an extra that this image does without.
pub(super) fn adds_nothing(rule: &Rule, because: &str, why: &Why) -> Diagnostic {
    Diagnostic::note_of(EXTRA, format!("extra `{}` adds nothing: {because}", rule.name)).at_some(why.ask.span, "")
}

/// A rule found nothing: an error when the recipe asks for it, else a warning, or nothing where that is as it should
/// be.
///
/// # Errors
/// What the root lacks, and which package has it.
pub(super) fn nothing_found(
    rule: &Rule,
    seen: &Seen<'_>,
    why: &Why,
    company: &Company,
    found: &Found,
) -> Result<Option<Diagnostic>> {
    let package = rule.packages.get(&seen.family).map(String::as_str);
    let asked = why.trigger.is_empty();
    if let Some(because) = &rule.nothing {
        return Ok(asked.then(|| adds_nothing(rule, because, why)));
    }
    if let (Some(Builtin::Locale), Some(name), Some(span), false) =
        (rule.builtin, &why.ask.argument, why.ask.span, asked)
    {
        // A variable names it: programs go on without.
        let Error(errors) = locale::missing(name, seen, Some(span))?;
        return Ok(errors.into_iter().next().map(|error| Diagnostic { level: Severity::Warning, ..error }));
    }
    if !asked {
        let title = format!("{}, and the root has nothing of `{}`", why.trigger, rule.name);
        let warning = Diagnostic::warning(NOT_IN_ROOT, title).note(rule.note.clone());
        return Ok(Some(match package {
            Some(package) => {
                warning.help(format!("install `{package}` in the root, or put \"!{}\" among the extras", rule.name))
            }
            None => warning.help(format!("\"!{}\" among the extras says that it is not needed", rule.name)),
        }));
    }
    match (rule.builtin, &why.ask.argument) {
        (Some(Builtin::Certificates), _) => {
            return Err(certificates::missing(seen, company, package, why.ask.span));
        }
        (Some(Builtin::Locale), Some(name)) => return Err(locale::missing(name, seen, why.ask.span)?),
        _ => {}
    }
    let title = format!("nothing of the extra `{}` is in the root `{}`", rule.name, seen.view.describe());
    let mut error = Diagnostic::error(NOT_IN_ROOT, title).at_some(why.ask.span, "asked for here");
    if !found.looked.is_empty() {
        error = error.note(format!("looked for {}", found.looked.join(", ")));
    }
    if let Some(package) = package {
        error = error.help(format!("install `{package}` in the root, or point `root` at one that has it"));
    }
    Err(error.into())
}
