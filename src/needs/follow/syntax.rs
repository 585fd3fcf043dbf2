//! Configuration as directives with arguments, in the three ways in which most of it is written.

use serde::Deserialize;

/// How a configuration file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum Syntax {
    /// A directive a line, its arguments after it: Apache, OpenSSH, `ProFTPD`, Redis.
    Words,
    /// Directives that end in `;` or open a block with `{`: nginx.
    Statements,
    /// `key = value` or `key: value`, perhaps in sections: PHP, ODBC, Unbound.
    Pairs,
    /// OpenSSL's sections that name each other (config(5)): `.include`, and a directive `provider` for each provider
    /// that is activated and is no part of the library, with its `module` or else its name.
    Openssl,
}

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Directive {
    /// Its name, in lower case.
    pub(in super::super) name: String,
    /// Its arguments, quotes taken off.
    pub(in super::super) arguments: Vec<String>,
    /// Its line, from 1.
    pub(in super::super) line: usize,
    /// Whether it stands in a block that may not count: `<IfModule>`.
    pub(in super::super) conditional: bool,
}

impl Syntax {
    /// The directives of a text, in order.
    pub(in super::super) fn directives(self, text: &str) -> Vec<Directive> {
        match self {
            Self::Words => words(text),
            Self::Statements => statements(text),
            Self::Pairs => pairs(text),
            Self::Openssl => super::openssl::directives(&pairs_in_sections(text)),
        }
    }
}

fn directive(mut words: Vec<String>, line: usize, conditional: bool) -> Option<Directive> {
    if words.is_empty() {
        return None;
    }
    let name = words.remove(0).to_lowercase();
    Some(Directive { name, arguments: words, line, conditional })
}

fn words(text: &str) -> Vec<Directive> {
    let (mut directives, mut conditions, mut open) = (Vec::new(), 0_usize, String::new());
    let mut first = 0;
    for (index, line) in text.lines().enumerate() {
        if open.is_empty() {
            first = index + 1;
        }
        if let Some(begun) = line.trim_end().strip_suffix('\\') {
            open.push_str(begun);
            open.push(' ');
            continue;
        }
        let line = std::mem::take(&mut open) + line;
        let lower = line.trim_start().to_lowercase();
        if lower.starts_with("<if") {
            conditions += 1;
        } else if lower.starts_with("</if") {
            conditions = conditions.saturating_sub(1);
        } else if !lower.starts_with(['#', '<']) {
            directives.extend(directive(split(&line), first, conditions > 0));
        }
    }
    directives
}

/// Words between blanks; quotes keep blanks, `#` begins a comment where a word would begin.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote): (Vec<String>, Option<String>, Option<char>) = (Vec::new(), None, None);
    for c in line.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None if c == '#' && word.is_none() => break,
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn statements(text: &str) -> Vec<Directive> {
    let (mut directives, mut statement, mut first) = (Vec::new(), String::new(), 1);
    let (mut quote, mut comment): (Option<char>, bool) = (None, false);
    let mut line = 1;
    for c in text.chars() {
        line += usize::from(c == '\n');
        match (quote, c) {
            _ if comment => comment = c != '\n',
            (Some(end), _) => {
                if c == end {
                    quote = None;
                }
                statement.push(c);
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                statement.push(c);
            }
            (None, '#') if statement.chars().next_back().is_none_or(char::is_whitespace) => comment = true,
            (None, ';' | '{' | '}') => {
                directives.extend(directive(split(&statement), first, false));
                statement.clear();
            }
            (None, c) if c.is_whitespace() && statement.is_empty() => {}
            (None, c) => {
                if statement.is_empty() {
                    first = line;
                }
                statement.push(c);
            }
        }
    }
    directives
}

fn pairs(text: &str) -> Vec<Directive> {
    pairs_in_sections(text).into_iter().map(|(_, directive)| directive).collect()
}

/// Pairs, each with the name of its section; the empty name stands before the first.
fn pairs_in_sections(text: &str) -> Vec<(String, Directive)> {
    let (mut directives, mut section) = (Vec::new(), String::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            name.split(']').next().unwrap_or(name).trim().clone_into(&mut section);
        }
        if line.starts_with(['#', ';', '[']) {
            continue;
        }
        // The value of `.include /path` and of `includedir /path` stands after a blank alone.
        let sign = line.find(['=', ':', ' ', '\t']).map(|at| (line[..at].to_owned(), line[at..].trim_start()));
        let Some((name, rest)) = sign.filter(|(name, _)| !name.is_empty()) else { continue };
        let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim();
        let value = value.split([';', '#']).next().unwrap_or(value).trim().trim_matches(['"', '\'']);
        let directive = directive(vec![name, value.to_owned()], index + 1, false);
        directives.extend(directive.map(|directive| (section.clone(), directive)));
    }
    directives
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(syntax: Syntax, text: &str) -> Vec<String> {
        let one = |it: Directive| {
            let sign = if it.conditional { "?" } else { "" };
            format!("{}{sign} {} {}", it.line, it.name, it.arguments.join("|"))
        };
        syntax.directives(text).into_iter().map(one).collect()
    }

    #[test]
    fn a_directive_a_line() {
        let text = "# no\nLoadModule a_module \\\n  modules/a.so # yes\n<IfModule x>\n Include \"a b\"\n</IfModule>\nX";
        let expected = ["2 loadmodule a_module|modules/a.so", "5? include a b", "7 x "];
        assert_eq!(shown(Syntax::Words, text), expected);
    }

    #[test]
    fn statements_and_blocks() {
        let text = "load_module a.so; # c;\nhttp {\n  include\n mime.types;\n log 'a;b{' x#y;\n}\nopen";
        let expected = ["1 load_module a.so", "2 http ", "3 include mime.types", "5 log a;b{|x#y"];
        assert_eq!(shown(Syntax::Statements, text), expected);
    }

    #[test]
    fn pairs_with_any_sign() {
        let text =
            "; no\n[x]\nextension=curl ; c\nmodule: p11.so\n.include /etc/x.d\n.include = y\n= z\ninclude: \"/a\"\n";
        let expected = ["3 extension curl", "4 module p11.so", "5 .include /etc/x.d", "6 .include y", "8 include /a"];
        assert_eq!(shown(Syntax::Pairs, text), expected);
    }
}
