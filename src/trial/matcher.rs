//! What is asked of a text, and how it differs.

use regex::RegexBuilder;

use crate::path::show;
use crate::recipe::TextCheck;

/// How many of the last lines of a text are shown.
const MOST_LINES: usize = 12;
/// How much of a line is shown.
const MOST_CHARACTERS: usize = 300;

/// Why a text is not what is asked for; completes "stdout ...".
pub fn mismatch(check: &TextCheck, text: &str) -> Option<String> {
    let quoted = |text: &str| format!("`{}`", short(text));
    match check {
        TextCheck::Is(wanted) if text == wanted => None,
        TextCheck::Is(wanted) => Some(format!("is {}, not {}", quoted(text), quoted(wanted))),
        TextCheck::Contains(part) if text.contains(part.as_str()) => None,
        TextCheck::Contains(part) => Some(format!("does not contain {}", quoted(part))),
        TextCheck::Matches(pattern) => match RegexBuilder::new(pattern).multi_line(true).build() {
            Ok(regex) if regex.is_match(text) => None,
            Ok(_) => Some(format!("does not match {}", quoted(pattern))),
            Err(_) => Some(format!("can't be matched: {} is no regular expression", quoted(pattern))),
        },
    }
}

/// A text on one line, cut where it is too long.
fn short(text: &str) -> String {
    let shown = show(text.as_bytes());
    match shown.char_indices().nth(MOST_CHARACTERS) {
        Some((cut, _)) => format!("{}...", &shown[..cut]),
        None => shown,
    }
}

/// The last lines of what a program wrote.
pub(super) fn tail(stream: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(MOST_LINES)..];
    last.iter().map(|line| format!("  {stream}: {}", short(line))).collect()
}
