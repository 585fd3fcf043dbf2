//! Diagnostics as rustc shows them, and as the annotations of GitHub's checks.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level as L, Origin, Patch, Renderer, Snippet};

use super::{Diagnostic, Fix, Level, Span, Texts};

/// A fix of a longer line is told in words: the line twice would fill the screen.
const LONGEST_FIXED: usize = 200;

/// A longer line is not shown at all, only named: nobody wrote it by hand.
const LONGEST_SHOWN: usize = 100_000;

/// Diagnostics as text, an empty line between two. Colour is ANSI.
pub fn render(diagnostics: &[Diagnostic], texts: &Texts, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    diagnostics.iter().map(|diagnostic| one(diagnostic, texts, &renderer)).collect::<Vec<_>>().join("\n\n") + "\n"
}

fn one(diagnostic: &Diagnostic, texts: &Texts, renderer: &Renderer) -> String {
    let title = match diagnostic.level {
        Level::Error => L::ERROR.primary_title(diagnostic.title.as_str()).id(diagnostic.code.0),
        Level::Warning => L::WARNING.primary_title(diagnostic.title.as_str()).id(diagnostic.code.0),
        Level::Note => L::NOTE.primary_title(diagnostic.title.as_str()),
    };
    let mut group = title.elements(snippets(diagnostic, texts));
    for note in &diagnostic.notes {
        group = group.element(L::NOTE.message(note.as_str()));
    }
    for help in &diagnostic.helps {
        group = group.element(L::HELP.message(help.as_str()));
    }
    let fixes = diagnostic.fixes.iter().map(|fix| suggestion(fix, texts));
    renderer.render(&std::iter::once(group).chain(fixes).collect::<Vec<_>>())
}

/// What to write, with the line before and after.
fn suggestion<'a>(fix: &'a Fix, texts: &'a Texts) -> Group<'a> {
    let Some((first, _)) = fix.edits.first() else {
        return Group::with_title(L::HELP.secondary_title(fix.message.as_str()));
    };
    let text = texts.text(first.text);
    if fix.edits.iter().any(|(span, _)| line_length(text, *span) > LONGEST_FIXED) {
        let edits: Vec<_> = fix.edits.iter().map(|(_, edit)| format!("`{edit}`")).collect();
        return Group::with_title(L::HELP.secondary_title(format!("{}: {}", fix.message, edits.join(", "))));
    }
    let patches = fix.edits.iter().map(|(span, edit)| Patch::new(within(text, *span), edit.as_str()));
    let snippet = Snippet::source(text).path(path(texts, *first)).patches(patches);
    L::HELP.secondary_title(fix.message.as_str()).element(snippet)
}

/// A snippet for each text that the labels point into, that of the first label first.
fn snippets<'a>(diagnostic: &'a Diagnostic, texts: &'a Texts) -> Vec<Element<'a>> {
    let mut seen: Vec<Span> = Vec::new();
    for label in &diagnostic.labels {
        if !seen.iter().any(|span| span.text == label.span.text) {
            seen.push(label.span);
        }
    }
    let snippet = |first: Span| {
        let text = texts.text(first.text);
        let labels = diagnostic.labels.iter().filter(|label| label.span.text == first.text);
        if labels.clone().any(|label| line_length(text, label.span) > LONGEST_SHOWN) {
            let (line, column) = position(text, first);
            return Element::Origin(Origin::path(path(texts, first)).line(line).char_column(column));
        }
        let annotations = labels.map(|label| {
            let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(within(text, label.span));
            if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
        });
        Snippet::source(text).path(path(texts, first)).annotations(annotations).into()
    };
    seen.into_iter().map(snippet).collect()
}

/// A file's name may hold what a terminal would obey.
fn path(texts: &Texts, span: Span) -> Cow<'_, str> {
    let name = texts.name(span.text);
    if !name.contains(char::is_control) {
        return Cow::Borrowed(name);
    }
    name.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// A span's bytes, widened to whole characters and cut to the text: a wrong span must not hide its message.
fn within(text: &str, span: Span) -> Range<usize> {
    let Range { start, end } = span.range();
    let end = end.min(text.len());
    text.floor_char_boundary(start.min(end))..text.ceil_char_boundary(end)
}

/// The length of the lines that a span touches.
fn line_length(text: &str, span: Span) -> usize {
    let Range { start, end } = within(text, span);
    let start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    text[end..].find('\n').map_or(text.len(), |at| end + at) - start
}

/// The line and column, from 1, where a span begins.
fn position(text: &str, span: Span) -> (usize, usize) {
    let before = &text[..within(text, span).start];
    (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}

/// Diagnostics as workflow commands, one line each, which GitHub shows beside the lines of a change.
pub fn github(diagnostics: &[Diagnostic], texts: &Texts) -> String {
    diagnostics.iter().map(|diagnostic| command(diagnostic, texts) + "\n").collect()
}

fn command(diagnostic: &Diagnostic, texts: &Texts) -> String {
    let level = match diagnostic.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "notice",
    };
    let place = diagnostic.labels.iter().find(|label| label.primary).or(diagnostic.labels.first());
    let place = place.filter(|label| texts.is_file(label.span.text)).map(|label| {
        let (line, column) = position(texts.text(label.span.text), label.span);
        format!("file={},line={line},col={column},", property(texts.name(label.span.text)))
    });
    let title = format!("{} [{}]", diagnostic.title, diagnostic.code);
    let labels = diagnostic.labels.iter().map(|label| label.text.as_str()).filter(|text| !text.is_empty());
    let fixes = diagnostic.fixes.iter().map(|fix| fix.message.as_str());
    let facts = diagnostic.notes.iter().chain(&diagnostic.helps).map(String::as_str);
    let message = labels.chain(facts).chain(fixes).collect::<Vec<_>>().join("\n");
    let message = if message.is_empty() { diagnostic.title.as_str() } else { message.as_str() };
    format!("::{level} {}title={}::{}", place.unwrap_or_default(), property(&title), data(message))
}

/// A command's message: escaped is what ends a line or begins an escape, and what a log should not obey.
fn data(text: &str) -> String {
    let escaped = |c: char| match c {
        '%' => String::from("%25"),
        '\r' => String::from("%0D"),
        '\n' => String::from("%0A"),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// A property's value, which also ends at `:` and `,`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A text for XML and HTML, also inside of quotes; what XML 1.0 can't hold becomes a replacement character.
pub fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{IO, TextId};

    fn shown(text: &str, part: &str, fix: &str) -> (String, Texts, Vec<Diagnostic>) {
        let mut texts = Texts::default();
        let id: TextId = texts.add("a\u{1b}b.toml", text);
        let start = text.find(part).unwrap();
        let offset = |at: usize| u32::try_from(at).unwrap();
        let span = Span { text: id, start: offset(start), end: offset(start + part.len()) };
        let diagnostic = Diagnostic::error(IO, "it\u{1b}[31m is: 5% wrong,\nso").at(span, "here");
        let diagnostics = vec![diagnostic.fix("write", vec![(span, fix.to_owned())])];
        (render(&diagnostics, &texts, false), texts, diagnostics)
    }

    #[test]
    fn nothing_in_a_text_reaches_the_terminal() {
        for text in
            ["k = \u{1b}[31mx", "\tk = x\r\nl = 1\r\n", "ключ = \"日本\" x", "x", "\r\rx\u{7f}\u{202e}", "\u{feff}x"]
        {
            let (shown, ..) = shown(text, "x", "\"x\"");
            assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
            assert!(!shown.contains('\u{202e}'), "{shown:?}");
        }
    }

    #[test]
    fn nothing_in_a_text_ends_an_element() {
        assert_eq!(xml("a<b>\u{1}&\"'\n"), "a&lt;b&gt;\u{fffd}&amp;&quot;&#39;\n");
    }

    #[test]
    fn a_long_line_is_told_in_words() {
        let (shown, ..) = shown(&format!("{}x", " ".repeat(200_000)), "x", "\"x\"");
        assert!(shown.contains("--> a\\u{1b}b.toml:1:200001\n"), "{shown}");
        assert!(shown.len() < 2000 && shown.ends_with("help: write: `\"x\"`\n"), "{shown}");
    }

    #[test]
    fn a_span_beyond_the_text_is_cut() {
        let mut texts = Texts::default();
        let id = texts.add("a.toml", "é = 1");
        for (start, end) in [(1, 1), (0, 900), (700, 900), (5, 2)] {
            let diagnostic = Diagnostic::error(IO, "wrong").at(Span { text: id, start, end }, "here");
            assert!(render(&[diagnostic], &texts, true).contains("wrong"));
        }
    }

    #[test]
    fn annotations_escape_what_ends_them() {
        let (_, texts, diagnostics) = shown("name = \"web\"\nport = 8080", "8080", "");
        let expected = "::error file=a\\u{1b}b.toml,line=2,col=8,title=it\\u{1b}[31m is%3A 5%25 wrong%2C%0Aso [E0290]::here%0Awrite\n";
        assert_eq!(github(&diagnostics, &texts), expected);
    }
}
