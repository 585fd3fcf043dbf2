//! Patterns of the table: `*` and `?`, alternatives in braces, and names in braces that stand for a folder.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One byte of a pattern, or what stands for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// Itself.
    Byte(u8),
    /// Any one byte: `?`.
    One,
    /// Any bytes or none: `*`.
    Many,
}

/// Whether a pattern matches a whole text.
pub(super) fn matches(pattern: &[Token], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where the last `*` stands, and how much of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(Token::Many) => {
                star = Some((at, from));
                at += 1;
            }
            Some(Token::One) => (at, from) = (at + 1, from + 1),
            Some(Token::Byte(byte)) if *byte == text[from] => (at, from) = (at + 1, from + 1),
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    (at, from) = (place + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|token| *token == Token::Many)
}

/// A pattern for a whole soname or path, in which `*` also takes slashes.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "String")]
pub(super) struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

impl Pattern {
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        matches(&self.tokens, text)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        let tokens = text.bytes().map(token).collect();
        Self { text, tokens }
    }
}

fn token(byte: u8) -> Token {
    match byte {
        b'*' => Token::Many,
        b'?' => Token::One,
        byte => Token::Byte(byte),
    }
}

/// A pattern with `{}` in it, which stands for what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Capture {
    before: Vec<Token>,
    after: Vec<Token>,
}

impl Capture {
    /// What stands in the gap of a text that the pattern matches: as little as may be.
    pub(super) fn take<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        let starts = (0..=text.len()).rev().filter(|&start| matches(&self.before, &text[..start]));
        let mut gaps = starts.flat_map(|start| (start..=text.len()).map(move |end| (start, end)));
        gaps.find(|&(_, end)| matches(&self.after, &text[end..])).map(|(start, end)| &text[start..end])
    }
}

impl TryFrom<String> for Capture {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (before, after) = text.split_once("{}").ok_or_else(|| format!("`{text}` has no {{}}"))?;
        Ok(Self { before: before.bytes().map(token).collect(), after: after.bytes().map(token).collect() })
    }
}

/// What the names in braces stand for: paths of folders, or parts of names.
pub(super) type Folders = BTreeMap<String, Vec<Vec<u8>>>;

/// A path of the table, as `{libdir}/nss/*.so` or `/usr/share/terminfo/{a/ansi,x/xterm*}`; or the bare name of a
/// library.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template {
    text: String,
    alternatives: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Token(Token),
    Folder(String),
}

impl Template {
    /// The template as the table has it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is a library's bare name.
    pub(super) fn is_name(&self) -> bool {
        !self.text.starts_with(['/', '{'])
    }

    /// The names in braces.
    #[cfg(test)]
    pub(super) fn folders(&self) -> impl Iterator<Item = &str> {
        self.alternatives.iter().flatten().filter_map(|piece| match piece {
            Piece::Folder(name) => Some(name.as_str()),
            Piece::Token(_) => None,
        })
    }

    /// Every pattern that it stands for. A name without a folder gives none; a folder's own bytes stand for themselves.
    pub(super) fn patterns(&self, folders: &Folders) -> Vec<Vec<Token>> {
        self.alternatives.iter().flat_map(|pieces| fill(pieces, folders)).collect()
    }
}

fn fill(pieces: &[Piece], folders: &Folders) -> Vec<Vec<Token>> {
    let mut filled: Vec<Vec<Token>> = vec![Vec::new()];
    for piece in pieces {
        match piece {
            Piece::Token(token) => filled.iter_mut().for_each(|pattern| pattern.push(*token)),
            Piece::Folder(name) => {
                let values = folders.get(name).map_or(&[][..], Vec::as_slice);
                let with = |pattern: &Vec<Token>, value: &Vec<u8>| {
                    let value = value.iter().map(|&byte| Token::Byte(byte));
                    pattern.iter().copied().chain(value).collect()
                };
                filled =
                    filled.iter().flat_map(|pattern| values.iter().map(move |value| with(pattern, value))).collect();
            }
        }
    }
    filled
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(Self { alternatives: expand(&text)?, text })
    }
}

/// Takes the first brace apart and what follows it by recursion. Braces do not nest.
fn expand(text: &str) -> Result<Vec<Vec<Piece>>, String> {
    let plain = |text: &str| text.bytes().map(|byte| Piece::Token(token(byte))).collect::<Vec<_>>();
    let Some((before, rest)) = text.split_once('{') else { return Ok(vec![plain(text)]) };
    let (inner, after) = rest.split_once('}').ok_or_else(|| format!("`{text}` has a brace that is not closed"))?;
    let alternatives: Vec<Vec<Piece>> = if inner.contains(',') {
        inner.split(',').map(plain).collect()
    } else {
        vec![vec![Piece::Folder(inner.to_owned())]]
    };
    let tails = expand(after)?;
    let both = |middle: &Vec<Piece>| {
        tails.iter().map(|tail| [plain(before), middle.clone(), tail.clone()].concat()).collect::<Vec<_>>()
    };
    Ok(alternatives.iter().flat_map(both).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pattern: &[Token]) -> String {
        let show = |token: &Token| match token {
            Token::Byte(byte) => char::from(*byte),
            Token::One => '1',
            Token::Many => '%',
        };
        pattern.iter().map(show).collect()
    }

    #[test]
    fn stars_take_as_much_as_they_must() {
        let matches = |pattern: &str, text: &str| Pattern::from(pattern.to_owned()).matches(text.as_bytes());
        assert!(matches("libssl.so.*", "libssl.so.1.1"));
        assert!(!matches("libssl.so.*", "libssl.so"));
        assert!(matches("*a*ab", "aaab"));
        assert!(!matches("*a?b", "ab"));
        assert!(matches("*/bin/postgres", "/usr/lib/postgresql/15/bin/postgres"));
    }

    #[test]
    fn what_is_taken_is_as_short_as_may_be() {
        let take = |pattern: &str, text: &str| {
            let capture = Capture::try_from(pattern.to_owned()).unwrap();
            capture.take(text.as_bytes()).map(|taken| String::from_utf8(taken.to_vec()).unwrap())
        };
        assert_eq!(take("{}/bin/java", "/opt/jre/bin/java").as_deref(), Some("/opt/jre"));
        assert_eq!(take("*/bin/python{}", "/usr/bin/python3.11").as_deref(), Some("3.11"));
        assert_eq!(take("*/libpython{}.so*", "/usr/lib/libpython3.11.so.1.0").as_deref(), Some("3.11"));
        assert_eq!(take("*/bin/python{}", "/usr/bin/perl"), None);
    }

    #[test]
    fn folders_stand_for_themselves() {
        let template = Template::try_from("{dir}/{a/x,b}*.so".to_owned()).unwrap();
        let folders = ["/odd*", "/usr"].map(|path| path.as_bytes().to_vec()).to_vec();
        let patterns = template.patterns(&Folders::from([("dir".to_owned(), folders)]));
        let texts: Vec<_> = patterns.iter().map(|pattern| text(pattern)).collect();
        assert_eq!(texts, ["/odd*/a/x%.so", "/usr/a/x%.so", "/odd*/b%.so", "/usr/b%.so"]);
        assert_eq!(template.patterns(&Folders::new()), Vec::<Vec<Token>>::new());
    }
}
