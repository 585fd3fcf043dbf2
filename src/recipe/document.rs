//! Bytes to a tree of TOML values with places, and every mistake of syntax.
//!
//! Knows nothing of recipes but their size, and what is often taken for one.

use toml::de::{DeInteger, DeTable, DeValue};

use super::{SYNTAX, UNREADABLE, guess};
use crate::report::{Diagnostic, Span, Texts};

/// More is no recipe.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// A recipe nests four deep; what nests deeper is refused here, so that nothing later has to count.
const MOST_LEVELS: usize = 16;

/// Syntax errors that are shown of one file.
const MOST_ERRORS: usize = 10;

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Text(String),
    /// `None` when it does not fit.
    Integer(Option<i64>),
    Boolean(bool),
    /// A float or a date, which no key takes.
    Other(&'static str),
    List(Vec<Value>),
    Table(Entries),
}

/// A table's keys and values in the order of writing.
#[derive(Debug, Clone)]
pub(super) struct Entries {
    pub(super) entries: Vec<(Key, Value)>,
    /// Whether a `[header]` opened it, which takes in every line up to the next one.
    pub(super) header: bool,
}

/// A key and its place.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) span: Span,
}

/// A parsed text: its tree, as far as it could be read, and what is wrong with it.
pub(super) struct Document {
    pub(super) root: Entries,
    pub(super) span: Span,
    pub(super) mistakes: Vec<Diagnostic>,
}

/// Parses a text, which is kept under `name`.
pub(super) fn parse(name: &str, bytes: &[u8], texts: &mut Texts) -> Document {
    let valid = std::str::from_utf8(bytes);
    let id = texts.add(name, String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_BYTES)]));
    let text = texts.text(id);
    let whole = Span { text: id, start: 0, end: 0 };
    let none = Entries { entries: Vec::new(), header: false };
    let refused = |mistake| Document { root: none.clone(), span: whole, mistakes: vec![mistake] };
    if bytes.len() > MOST_BYTES {
        return refused(Diagnostic::error(UNREADABLE, format!("`{name}` is too large for a recipe, more than 1 MiB")));
    }
    if let Err(error) = valid {
        return refused(not_text(name, bytes, Span { start: offset(error.valid_up_to()), ..whole }, text));
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty()
        && let Some(mistake) = guess::other_language(text, whole)
    {
        return refused(mistake);
    }
    let mut build = Build { whole, text, mistakes: Vec::new(), told: Vec::new() };
    for error in &errors {
        build.syntax(error.message(), error.span().unwrap_or_default(), tree.get_ref());
    }
    let root = build.table(tree.get_ref(), false, 0);
    let span = root.entries.first().map_or(whole, |(key, _)| key.span);
    if root.entries.is_empty() && build.mistakes.is_empty() {
        let mistake = Diagnostic::error(SYNTAX, format!("`{name}` is empty"));
        build
            .mistakes
            .push(mistake.help("a recipe needs a name and a program: name = \"web\", binaries = [\"nginx\"]"));
    }
    Document { root, span, mistakes: build.mistakes }
}

fn not_text(name: &str, bytes: &[u8], start: Span, text: &str) -> Diagnostic {
    if bytes.starts_with(b"\x7fELF") {
        return Diagnostic::error(UNREADABLE, format!("`{name}` is a program, not a recipe"))
            .help("`mkimage init` writes a recipe for a program");
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Diagnostic::error(UNREADABLE, format!("`{name}` is UTF-16, and a recipe is UTF-8"));
    }
    let shown = text[start.range().start..].chars().next().map_or(0, char::len_utf8);
    let span = Span { end: start.start + offset(shown), ..start };
    Diagnostic::error(UNREADABLE, format!("`{name}` is not UTF-8")).at(span, "not UTF-8 from here")
}

/// Texts are shorter than [`MOST_BYTES`], replacement characters counted three times that.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

struct Build<'t> {
    whole: Span,
    text: &'t str,
    mistakes: Vec<Diagnostic>,
    /// The lines of these.
    told: Vec<std::ops::Range<usize>>,
}

impl Build<'_> {
    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span { start: offset(range.start), end: offset(range.end), ..self.whole }
    }

    /// One syntax error a line: what follows on the same line comes of the first.
    fn syntax(&mut self, message: &str, range: std::ops::Range<usize>, tree: &DeTable<'_>) {
        let at = range.start;
        if self.told.len() == MOST_ERRORS || self.told.iter().any(|line| (line.start..=line.end).contains(&at)) {
            return;
        }
        self.told.push(self.line(at));
        let span = self.span(range);
        let not_closed = message.starts_with("invalid") && message.ends_with(['"', '\'']);
        self.mistakes.push(match message {
            "duplicate key" => self.twice(span, tree),
            "recursion limit" | "cannot recurse further; max recursion depth met" => too_deep(span),
            _ if message.starts_with("missing escaped value") => {
                let mistake = Diagnostic::error(SYNTAX, "a backslash stands before no escape").at(span, "here");
                mistake.help("in single quotes, as 'C:\\x', a backslash is itself")
            }
            _ if not_closed || message.contains("string, expected `") => {
                Diagnostic::error(SYNTAX, "a string is not closed").at(span, "ends here without its quote")
            }
            _ if message.starts_with("unclosed") => self.plain(message, span),
            _ => self.value_without_quotes(message, at).unwrap_or_else(|| self.plain(message, span)),
        });
    }

    /// What a person wrote for a value and TOML does not take, with the quotes that it needs.
    fn value_without_quotes(&self, message: &str, at: usize) -> Option<Diagnostic> {
        const QUOTES: [char; 7] = ['“', '”', '‘', '’', '„', '«', '»'];
        let word = self.bare_word(at);
        let place = self.span(word.clone());
        let shown = &self.text[word.clone()];
        if !self.is_value(&word) {
            return None;
        }
        let instead = |title: &str, fix: &str, write: String| {
            Some(Diagnostic::error(SYNTAX, title).at(place, "here").fix(fix, vec![(place, write)]))
        };
        match shown {
            "True" | "TRUE" | "False" | "FALSE" => {
                instead("a boolean is in lower case", "write it so", shown.to_lowercase())
            }
            "" if message.starts_with("string values") => {
                Some(Diagnostic::error(SYNTAX, "a value is missing").at(place, "here"))
            }
            _ if shown.starts_with(QUOTES) => {
                let inner = shown.trim_matches(QUOTES);
                instead("a string's quotes are \" or '", "write it so", format!("\"{inner}\""))
            }
            _ if message.starts_with("unexpected leading zero") => {
                instead("a number has a leading zero", "put quotes around it", format!("\"{shown}\""))
            }
            _ if shown.starts_with(|c: char| c.is_alphabetic() || "/.~".contains(c)) => {
                instead("a string needs quotes", "put quotes around it", format!("\"{shown}\""))
            }
            _ => None,
        }
    }

    /// The parser's own words.
    fn plain(&self, message: &str, span: Span) -> Diagnostic {
        let message = message.replace(", expected nothing", "").replace("newline", "the end of the line");
        let mistake = Diagnostic::error(SYNTAX, message).at(span, "here");
        if self.text[self.line(span.range().start)].trim_start().starts_with("//") {
            return mistake.help("a comment begins with `#`");
        }
        mistake
    }

    /// The line that a place is in.
    fn line(&self, at: usize) -> std::ops::Range<usize> {
        let start = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        start..self.text[at..].find('\n').map_or(self.text.len(), |len| at + len)
    }

    /// The word that a place is in: what a person may have left without quotes.
    fn bare_word(&self, at: usize) -> std::ops::Range<usize> {
        let is_part = |c: char| c.is_alphanumeric() || "_-./:+~@“”‘’„«»".contains(c);
        let start =
            self.text[..at].char_indices().rev().take_while(|(_, c)| is_part(*c)).last().map_or(at, |(at, _)| at);
        let end = self.text[start..].find(|c| !is_part(c)).map_or(self.text.len(), |len| start + len);
        start..end
    }

    /// Whether a word stands where a value does: after `=`, or in a list.
    fn is_value(&self, word: &std::ops::Range<usize>) -> bool {
        self.text[..word.start].trim_end().ends_with(['=', '[', ','])
    }

    /// A key that is there twice. The tree may have lost the first, so the text before the second is read again.
    fn twice(&self, span: Span, tree: &DeTable<'_>) -> Diagnostic {
        let (word, end) = (&self.text[span.range()], span.range().start);
        let name = word.trim_matches(['"', '\'']);
        let (before, _) = DeTable::parse_recoverable(&self.text[..end]);
        let first = [tree, before.get_ref()].into_iter().filter_map(|tree| nearest_before(tree, name, end));
        let mistake = Diagnostic::error(SYNTAX, format!("key `{word}` is there twice")).at(span, "again here");
        match first.max_by_key(|first| first.start) {
            Some(first) => mistake.and_at(self.span(first), "first here"),
            None => mistake,
        }
    }

    fn table(&mut self, table: &DeTable<'_>, header: bool, level: usize) -> Entries {
        let mut entries: Vec<(Key, Value)> = table
            .iter()
            .filter_map(|(key, value)| {
                let key = Key { name: key.get_ref().to_string(), span: self.span(key.span()) };
                self.no_nul(&key.name, key.span);
                let value = self.value(value.get_ref(), self.span(value.span()), level + 1)?;
                Some((key, value))
            })
            .collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        Entries { entries, header }
    }

    fn value(&mut self, value: &DeValue<'_>, span: Span, level: usize) -> Option<Value> {
        if level > MOST_LEVELS {
            self.mistakes.push(too_deep(span));
            return None;
        }
        let kind = match value {
            DeValue::String(text) => {
                self.no_nul(text, span);
                Kind::Text(text.to_string())
            }
            DeValue::Integer(number) => Kind::Integer(integer(number)),
            DeValue::Boolean(yes) => Kind::Boolean(*yes),
            DeValue::Float(_) => Kind::Other("float"),
            DeValue::Datetime(_) => Kind::Other("date"),
            DeValue::Array(list) => Kind::List(
                list.iter().filter_map(|v| self.value(v.get_ref(), self.span(v.span()), level + 1)).collect(),
            ),
            DeValue::Table(table) => {
                let header = self.text[span.range()].starts_with('[');
                Kind::Table(self.table(table, header, level))
            }
        };
        Some(Value { kind, span })
    }

    fn no_nul(&mut self, text: &str, span: Span) {
        if text.contains('\0') {
            self.mistakes.push(Diagnostic::error(SYNTAX, "a string has a NUL character").at(span, "here"));
        }
    }
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(SYNTAX, "nested too deep for a recipe").at(span, "here")
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// The place of the last key of this name before `end`: a table's keys stand together, so it is the key's twin.
fn nearest_before(table: &DeTable<'_>, name: &str, end: usize) -> Option<std::ops::Range<usize>> {
    let own = table.iter().filter(|(key, _)| key.get_ref() == name && key.span().end <= end).map(|(key, _)| key.span());
    let below = table.iter().filter_map(|(_, value)| nearest_in(value.get_ref(), name, end));
    own.chain(below).max_by_key(|span| span.start)
}

fn nearest_in(value: &DeValue<'_>, name: &str, end: usize) -> Option<std::ops::Range<usize>> {
    match value {
        DeValue::Table(table) => nearest_before(table, name, end),
        DeValue::Array(list) => {
            list.iter().filter_map(|v| nearest_in(v.get_ref(), name, end)).max_by_key(|span| span.start)
        }
        _ => None,
    }
}
