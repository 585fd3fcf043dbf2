//! A recipe's `extras` against the table: which rules it asks for, with what after the colon, and which it takes away.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{Argument, Rule, TABLE};
use super::{CONFLICT, EXTRA, Request, locale};
use crate::recipe::Extra;
use crate::report::{Diagnostic, Error, Result, Span};

/// What a recipe says about the rules.
#[derive(Debug, Default)]
pub(super) struct Asked {
    rules: BTreeMap<&'static str, Vec<Ask>>,
    removed: BTreeMap<&'static str, Span>,
}

/// One entry of `extras`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    /// What stands after the colon.
    pub(super) argument: Option<String>,
    /// Its place.
    pub(super) span: Option<Span>,
}

impl Asked {
    /// The entries that ask for a rule.
    pub(super) fn of(&self, rule: &Rule) -> &[Ask] {
        self.rules.get(rule.name.as_str()).map_or(&[], Vec::as_slice)
    }

    /// Whether the recipe takes a rule away.
    pub(super) fn removes(&self, rule: &Rule) -> bool {
        self.removed.contains_key(rule.name.as_str())
    }
}

/// Reads the entries in their order: one that asks again brings back what an earlier one took away, as a recipe does
/// with what it inherits.
///
/// # Errors
/// Every entry that is not in the table or said wrongly.
pub(super) fn read(request: &Request<'_>) -> Result<Asked> {
    let mut asked = Asked::default();
    let mut faults = Vec::new();
    for extra in request.extras {
        let rule = match find(extra) {
            Ok(rule) => rule,
            Err(fault) => {
                faults.push(*fault);
                continue;
            }
        };
        let name = rule.name.as_str();
        let ask = Ask { argument: extra.argument.clone(), span: Some(extra.name.span) };
        if !extra.removed {
            asked.removed.remove(name);
            let asks = asked.rules.entry(name).or_default();
            if !asks.iter().any(|known| known.argument == ask.argument) {
                asks.push(ask);
            }
        } else if extra.argument.is_some() {
            asked.rules.entry(name).or_default().retain(|known| known.argument != ask.argument);
        } else {
            asked.rules.remove(name);
            asked.removed.insert(name, extra.name.span);
        }
    }
    if request.certificates.only || !request.certificates.add.is_empty() {
        faults.extend(ask_for_certificates(&mut asked, request));
    }
    if faults.is_empty() { Ok(asked) } else { Err(Error(faults)) }
}

/// `[certificates]` asks for the bundle that it adds to.
fn ask_for_certificates(asked: &mut Asked, request: &Request<'_>) -> Option<Diagnostic> {
    let name = "ca-certificates";
    let span = request.certificates.add.first().map(|origin| origin.span);
    if request.certificates.add.is_empty() {
        let error =
            Diagnostic::error(CONFLICT, "`only = true` under `[certificates]` without `add` leaves no authority");
        return Some(error.help("name PEM files under `add`, or take `only` out"));
    }
    if let Some(&removed) = asked.removed.get(name) {
        let error = Diagnostic::error(CONFLICT, "`[certificates]` adds to a bundle that `extras` takes away");
        let error = error.at(removed, "takes the bundle away").help(
            "`only = true` under `[certificates]` leaves the root's certificates out and keeps those that are added",
        );
        return Some(match span {
            Some(span) => error.and_at(span, "adds to it"),
            None => error,
        });
    }
    asked.rules.entry(name).or_insert_with(|| vec![Ask { argument: None, span }]);
    None
}

fn find(extra: &Extra) -> Result<&'static Rule, Box<Diagnostic>> {
    let (name, span) = (extra.name.value.as_str(), extra.name.span);
    let Some(rule) = TABLE.iter().find(|rule| rule.name == name) else { return Err(Box::new(unknown(extra))) };
    let error = |title: String| Diagnostic::error(EXTRA, title).at(span, "");
    match (rule.argument, extra.argument.as_deref()) {
        (Argument::None, None) | (Argument::Full, None | Some("full")) => Ok(rule),
        (Argument::Name, None) if extra.removed => Ok(rule),
        (Argument::Name, Some(argument)) if locale::is_name(argument) => Ok(rule),
        (Argument::None, Some(_)) => Err(error(format!("extra `{name}` takes nothing after a colon"))),
        (Argument::Full, Some(_)) => Err(error(format!("extra `{name}` takes only `full` after the colon"))),
        (Argument::Name, None) => {
            Err(error(format!("extra `{name}` wants a name")).help(format!("write `{name}:{}`", locale::USUAL)))
        }
        (Argument::Name, Some(argument)) => Err(error(format!("`{argument}` is no name of a {name}"))),
    }
    .map_err(Box::new)
}

fn unknown(extra: &Extra) -> Diagnostic {
    let (name, span) = (extra.name.value.as_str(), extra.name.span);
    let error = Diagnostic::error(EXTRA, format!("unknown extra `{name}`")).at(span, "not in the table");
    if let Some(rule) = TABLE.iter().find(|rule| rule.also.iter().any(|word| word == name)) {
        return error.fix(format!("the extra for this is `{}`", rule.name), vec![(span, quoted(rule, extra))]);
    }
    let near = TABLE.iter().map(|rule| (strsim::damerau_levenshtein(&rule.name, name), rule));
    let near = near.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= name.len().div_ceil(3));
    if let Some((_, rule)) = near {
        let message = format!("an extra with a similar name exists: `{}`", rule.name);
        return error.fix(message, vec![(span, quoted(rule, extra))]);
    }
    let names: BTreeSet<&str> = TABLE.iter().map(|rule| rule.name.as_str()).collect();
    error.note(format!("extras are {}", names.into_iter().collect::<Vec<_>>().join(", ")))
}

/// The entry as it should be written.
fn quoted(rule: &Rule, extra: &Extra) -> String {
    let argument = extra.argument.as_ref().map_or(String::new(), |argument| format!(":{argument}"));
    format!("\"{}{}{argument}\"", if extra.removed { "!" } else { "" }, rule.name)
}
