//! A text that is not TOML to the language that it looks like.

use super::SYNTAX;
use crate::report::{Diagnostic, Span};

/// One clear sentence in place of a screen of syntax errors, when the first line gives the language away.
pub(super) fn other_language(text: &str, whole: Span) -> Option<Diagnostic> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let shown = line.trim();
        if !shown.is_empty() && !shown.starts_with('#') {
            let indent = line.len() - line.trim_start().len();
            let at = |len: usize| Some(u32::try_from(len).ok()? + u32::try_from(start + indent).ok()?);
            let span = Span { start: at(0)?, end: at(shown.len())?, ..whole };
            return describe(shown, span);
        }
        start += line.len();
    }
    None
}

fn describe(line: &str, span: Span) -> Option<Diagnostic> {
    let (language, help) = if line.starts_with('{') {
        ("JSON", String::from("a recipe's lines are `key = value`, without braces and commas around them"))
    } else if is_dockerfile(line) {
        let help = "a recipe has no steps: it lists what the image holds, as in binaries = [\"nginx\"]";
        ("a Dockerfile", String::from(help))
    } else if let Some(help) = yaml(line) {
        ("YAML", help)
    } else if line.starts_with("<?xml") || line.starts_with("<!") || line.starts_with("<html") {
        ("XML or HTML", String::from("perhaps a download that answered with a page"))
    } else {
        return None;
    };
    Some(Diagnostic::error(SYNTAX, format!("this looks like {language}, and a recipe is TOML")).at(span, "").help(help))
}

fn is_dockerfile(line: &str) -> bool {
    const WORDS: [&str; 8] = ["FROM", "ARG", "RUN", "COPY", "ADD", "ENV", "LABEL", "ENTRYPOINT"];
    line.split_once(char::is_whitespace).is_some_and(|(word, rest)| WORDS.contains(&word) && !rest.starts_with('='))
}

/// `key: value`, `key:`, `- item` or `---`; with the line as TOML has it.
fn yaml(line: &str) -> Option<String> {
    if line == "---" || line.starts_with("%YAML") || line.starts_with("- ") {
        return Some(String::from("a recipe's lines are `key = value`, lists are in brackets: [\"a\", \"b\"]"));
    }
    let (key, value) = line.split_once(':')?;
    let is_word = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !is_word || !(value.is_empty() || value.starts_with(' ')) {
        return None;
    }
    Some(match value.trim() {
        "" => format!("`{key} = ...` in place of `{key}:`"),
        value if value.starts_with(['"', '\'', '[']) => format!("`{key} = {value}` in place of `{line}`"),
        value => format!("`{key} = \"{value}\"` in place of `{line}`"),
    })
}
