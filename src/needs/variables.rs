//! What the recipe's variables name in plain text: `TZ` a time zone, `LANG` and its like a locale.
//!
//! In: `[env]` and the image laid over its root. Out: what an extra has to bring for it.

use super::locale::{self, USUAL};
use super::lookup::there;
use super::trigger::folder_named;
use super::{Environment, Seen};
use crate::report::{Result, Span};

/// Where the time zone database is.
const ZONES: &str = "/usr/share/zoneinfo";

/// Names that mean the same without the database.
const WITHOUT_OFFSET: [&str; 5] = ["UTC", "UCT", "GMT", "Zulu", "Universal"];

/// A time zone that `TZ` names: one of the root's database, or what can't be anything else.
pub(super) fn zone(seen: &Seen<'_>) -> Result<Option<String>> {
    let Some(variable) = seen.env.get("TZ") else { return Ok(None) };
    let value = variable.value.trim_start_matches(':');
    let name = value.strip_prefix(ZONES).map_or(value, |rest| rest.trim_start_matches('/'));
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
    // A rule as `CET-1CEST,M3.5.0,M10.5.0/3` needs nothing.
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(plain) {
        return Ok(None);
    }
    if WITHOUT_OFFSET.contains(&name.strip_prefix("Etc/").unwrap_or(name)) {
        return Ok(None);
    }
    let file = folder_named(ZONES).join_path(name.as_bytes()).map_or(Ok(None), |path| there(seen.view, &path))?;
    Ok((file.is_some() || name.contains('/')).then(|| name.to_owned()))
}

/// What tells that a variable of the recipe is why.
pub(super) fn sets(name: &str, value: &str) -> String {
    format!("the recipe sets {name} to {value}")
}

/// The locales that variables name, each with the variable: those that some program could set.
pub(super) fn locales(env: &Environment) -> Vec<(String, &str, Span)> {
    let is_set = |name: &str| env.get(name).is_some_and(|value| !value.value.is_empty());
    // The one stands over all others.
    let counts = |name: &str| {
        if is_set("LC_ALL") { name == "LC_ALL" } else { name == "LANG" || name.starts_with("LC_") }
    };
    let mut locales: Vec<(String, &str, Span)> = Vec::new();
    for (name, value) in env.iter().filter(|(name, _)| counts(name)) {
        let text = value.value.as_str();
        let has_files = !matches!(text, "C" | "POSIX") && locale::is_name(text) && !locale::same(text, USUAL);
        if has_files && !locales.iter().any(|(known, ..)| locale::same(known, text)) {
            locales.push((text.to_owned(), name, value.span));
        }
    }
    locales
}
