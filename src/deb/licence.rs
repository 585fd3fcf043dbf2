//! Licences: a copyright file in Debian's machine-readable form (DEP-5), or a package's licence field, in; an SPDX
//! expression out. What has no identifier on SPDX's list gets one of its own, with its text.

use std::collections::BTreeMap;

use super::{Stanza, stanzas};
use crate::oci::Digest;

/// An expression and what its own identifiers stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// SPDX's form.
    pub expression: String,
    /// Its terms, each once, in order of the expression.
    pub terms: Vec<String>,
    /// Name and text of each `LicenseRef-`.
    pub extracted: BTreeMap<String, (String, String)>,
}

/// An expression that is nested deeper is nobody's.
const DEEPEST: usize = 64;

/// The longest text that is kept of a licence.
const LONGEST_TEXT: usize = 64 << 10;

/// The licences of all stanzas of `Files`, as one expression. `None` when the file is not of the form.
pub fn of_copyright(text: &[u8]) -> Option<Licence> {
    let stanzas: Vec<Stanza<'_>> = stanzas(text).collect();
    let format = String::from_utf8_lossy(stanzas.first()?.get("Format")?).to_ascii_lowercase();
    if !format.contains("copyright-format") && !format.contains("dep5") && !format.contains("dep-5") {
        return None;
    }
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut expressions = Vec::new();
    for (number, stanza) in stanzas.iter().enumerate() {
        let Some(value) = stanza.get("License") else { continue };
        let value = String::from_utf8_lossy(value);
        let (first, body) = value.split_once('\n').unwrap_or((&value, ""));
        let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
        if !body.trim().is_empty() {
            texts.entry(first.to_ascii_lowercase()).or_insert_with(|| unfolded(body));
        }
        // A licence in the first stanza is that of the package as a whole.
        let is_of_files = stanza.get("Files").is_some() || number == 0;
        if is_of_files && !first.is_empty() && !expressions.contains(&first) {
            expressions.push(first);
        }
    }
    of_expressions(&expressions, &texts)
}

/// A licence field as other packages have it, mostly SPDX's form already.
pub fn of_field(text: &str) -> Option<Licence> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { None } else { of_expressions(&[text], &BTreeMap::new()) }
}

/// The text of a field without the space that continues it; a dot alone is an empty line.
fn unfolded(body: &str) -> String {
    let line = |line: &str| {
        let line = line.strip_prefix([' ', '\t']).unwrap_or(line);
        if line.trim() == "." { String::new() } else { line.to_owned() }
    };
    let mut text = body.lines().map(line).collect::<Vec<_>>().join("\n");
    if let Some((end, _)) = text.char_indices().find(|(at, _)| *at >= LONGEST_TEXT) {
        text.truncate(end);
    }
    text
}

fn of_expressions(expressions: &[String], texts: &BTreeMap<String, String>) -> Option<Licence> {
    let mut licence = Licence { expression: String::new(), terms: Vec::new(), extracted: BTreeMap::new() };
    let mut parts: Vec<String> = Vec::new();
    for expression in expressions {
        let mut terms = Terms { texts, licence: &mut licence };
        let part = terms.expression(expression);
        if !part.is_empty() && !parts.contains(&part) {
            parts.push(part);
        }
    }
    let several = parts.len() > 1;
    let wrapped =
        parts.iter().map(|part| if several && part.contains(" OR ") { format!("({part})") } else { part.clone() });
    licence.expression = wrapped.collect::<Vec<_>>().join(" AND ");
    (!parts.is_empty()).then_some(licence)
}

impl Licence {
    /// Whether one can use what is licensed so and take only terms that `fits` takes: of terms joined by OR one is
    /// enough.
    pub fn can_be_had(&self, fits: &dyn Fn(&str) -> bool) -> bool {
        let spaced = self.expression.replace('(', " ( ").replace(')', " ) ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let depth = words.iter().scan(0_usize, |depth, word| {
            *depth = if *word == "(" { *depth + 1 } else { depth.saturating_sub(usize::from(*word == ")")) };
            Some(*depth)
        });
        depth.max().unwrap_or(0) <= DEEPEST && either(&mut words.as_slice(), fits)
    }
}

/// Terms joined by OR, which binds less than AND.
fn either(words: &mut &[&str], fits: &dyn Fn(&str) -> bool) -> bool {
    let mut any = both(words, fits);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        any |= both(words, fits);
    }
    any
}

fn both(words: &mut &[&str], fits: &dyn Fn(&str) -> bool) -> bool {
    let mut all = one(words, fits);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        all &= one(words, fits);
    }
    all
}

/// A term, perhaps with an exception, or an expression in parentheses. Each call takes a word: expressions end.
fn one(words: &mut &[&str], fits: &dyn Fn(&str) -> bool) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let inside = either(words, fits);
            *words = words.get(1..).unwrap_or_default();
            inside
        }
        [term, "WITH", exception, rest @ ..] => {
            *words = rest;
            fits(&format!("{term} WITH {exception}"))
        }
        [term, rest @ ..] => {
            *words = rest;
            fits(term)
        }
        [] => false,
    }
}

struct Terms<'a> {
    texts: &'a BTreeMap<String, String>,
    licence: &'a mut Licence,
}

impl Terms<'_> {
    /// `A or B, and C` is `(A OR B) AND C`: a comma binds less than the words.
    fn expression(&mut self, text: &str) -> String {
        let mut whole: Vec<String> = Vec::new();
        for (number, piece) in text.split(',').enumerate() {
            let mut piece = piece.trim();
            let mut joint = "AND";
            for (word, meaning) in [("and/or ", "OR"), ("and ", "AND"), ("or ", "OR")] {
                if number > 0 && piece.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) {
                    (piece, joint) = (piece[word.len()..].trim(), meaning);
                    break;
                }
            }
            let mut piece = self.piece(piece);
            if number > 0 && !whole.is_empty() && !piece.is_empty() {
                for side in [&mut whole, &mut piece] {
                    if side.iter().any(|word| word == "OR") {
                        side.insert(0, "(".to_owned());
                        side.push(")".to_owned());
                    }
                }
                whole.push(joint.to_owned());
            }
            whole.append(&mut piece);
        }
        if is_expression(&whole) {
            whole.join(" ").replace("( ", "(").replace(" )", ")")
        } else if text.chars().any(char::is_alphanumeric) {
            self.term(text)
        } else {
            String::new()
        }
    }

    /// The words of an expression. `and` binds more than `or`, in both languages.
    fn piece(&mut self, text: &str) -> Vec<String> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let mut out: Vec<String> = Vec::new();
        let mut term: Vec<&str> = Vec::new();
        for word in spaced.split_whitespace().chain(["\0"]) {
            let joint = match word.to_ascii_lowercase().as_str() {
                "and" | "&" => "AND",
                "or" | "and/or" | "|" => "OR",
                "(" => "(",
                ")" => ")",
                "\0" => "",
                _ => {
                    term.push(word);
                    continue;
                }
            };
            if !term.is_empty() {
                let name = self.term(&term.join(" "));
                out.push(name);
                term.clear();
            }
            out.extend(Some(joint.to_owned()).filter(|joint| !joint.is_empty()));
        }
        out
    }

    /// One licence, perhaps with an exception.
    fn term(&mut self, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let known = match lower.split_once(" with ") {
            Some((licence, exception)) => identifier(licence)
                .zip(exception_of(exception))
                .map(|(licence, exception)| format!("{licence} WITH {exception}")),
            None => identifier(&lower),
        };
        let name = known.unwrap_or_else(|| self.reference(text, &lower));
        if !self.licence.terms.contains(&name) {
            self.licence.terms.push(name.clone());
        }
        name
    }

    /// An identifier of our own. Two texts under one name are two licences.
    fn reference(&mut self, name: &str, lower: &str) -> String {
        let text = self.texts.get(lower).cloned();
        let clean = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let mut id: String = name.chars().map(clean).take(60).collect();
        if let Some(text) = &text {
            let digest = Digest::of(text.as_bytes()).hex();
            id = format!("{id}-{}", &digest[..8]);
        } else if id != name {
            id = format!("{id}-{}", &Digest::of(name.as_bytes()).hex()[..8]);
        }
        let id = format!("LicenseRef-{}", id.trim_matches('-'));
        let text = text.unwrap_or_else(|| format!("The package calls it `{name}`, without a text."));
        self.licence.extracted.entry(id.clone()).or_insert_with(|| (name.to_owned(), text));
        id
    }
}

/// Whether words are an expression: terms with joints between them, parentheses in pairs.
fn is_expression(words: &[String]) -> bool {
    let (mut depth, mut after_term) = (0_usize, false);
    for word in words {
        let fits = match word.as_str() {
            "AND" | "OR" => std::mem::replace(&mut after_term, false),
            "(" => {
                depth += 1;
                !after_term
            }
            ")" => {
                let fits = after_term && depth > 0;
                depth = depth.saturating_sub(1);
                fits
            }
            _ => !std::mem::replace(&mut after_term, true),
        };
        if !fits {
            return false;
        }
    }
    depth == 0 && after_term
}

/// SPDX's identifier of a short name, which is in lower case.
fn identifier(name: &str) -> Option<String> {
    if let Some((_, id)) = SHORT_NAMES.iter().find(|(short, _)| *short == name) {
        return Some((*id).to_owned());
    }
    if let Some(id) = IDENTIFIERS.iter().find(|id| id.eq_ignore_ascii_case(name)) {
        return Some((*id).to_owned());
    }
    gnu(name)
}

/// `gpl-2+`, `lgpl-2.1`, `gplv3+`, `agpl-3-or-later`.
fn gnu(name: &str) -> Option<String> {
    let families = [("agpl", "AGPL"), ("lgpl", "LGPL"), ("gpl", "GPL"), ("gfdl", "GFDL")];
    let (rest, family) = families.iter().find_map(|(short, id)| Some((name.strip_prefix(short)?, *id)))?;
    let rest = rest.trim_start_matches('-').trim_start_matches('v');
    let (version, later) = match rest.strip_suffix('+').or_else(|| rest.strip_suffix("-or-later")) {
        Some(version) => (version, "or-later"),
        None => (rest.strip_suffix("-only").unwrap_or(rest), "only"),
    };
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    let known: &[&str] = match family {
        "AGPL" => &["3.0"],
        "LGPL" => &["2.0", "2.1", "3.0"],
        "GFDL" => &["1.1", "1.2", "1.3"],
        _ => &["1.0", "2.0", "3.0"],
    };
    known.contains(&version.as_str()).then(|| format!("{family}-{version}-{later}"))
}

fn exception_of(name: &str) -> Option<&'static str> {
    let name = name.trim_end_matches(" exception").trim_end_matches("-exception");
    Some(match name {
        "autoconf" => "Autoconf-exception-2.0",
        "autoconf-3.0" => "Autoconf-exception-3.0",
        "bison" | "bison-2.2" => "Bison-exception-2.2",
        "classpath" | "classpath-2.0" => "Classpath-exception-2.0",
        "font" | "font-2.0" => "Font-exception-2.0",
        "gcc runtime library" | "gcc" | "gcc-3.1" | "gcc-exception-3.1" => "GCC-exception-3.1",
        "libtool" => "Libtool-exception",
        "llvm" => "LLVM-exception",
        _ => return None,
    })
}

/// Short names of Debian that differ from SPDX's identifiers by more than case.
const SHORT_NAMES: [(&str, &str); 31] = [
    ("apache", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("artistic", "Artistic-1.0-Perl"),
    ("artistic-1", "Artistic-1.0"),
    ("artistic-2", "Artistic-2.0"),
    ("boost-1.0", "BSL-1.0"),
    ("bsd-2", "BSD-2-Clause"),
    ("bsd-2-clauses", "BSD-2-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("bsd-3-clauses", "BSD-3-Clause"),
    ("bsd-4", "BSD-4-Clause"),
    ("bsl-1", "BSL-1.0"),
    ("cc0", "CC0-1.0"),
    ("cc0-1", "CC0-1.0"),
    ("cc-by-3", "CC-BY-3.0"),
    ("cc-by-4", "CC-BY-4.0"),
    ("cc-by-sa-3", "CC-BY-SA-3.0"),
    ("cc-by-sa-4", "CC-BY-SA-4.0"),
    ("cddl-1", "CDDL-1.0"),
    ("epl-1", "EPL-1.0"),
    ("expat", "MIT"),
    ("mit/expat", "MIT"),
    ("mpl-1", "MPL-1.0"),
    ("mpl-2", "MPL-2.0"),
    ("openldap-2.8", "OLDAP-2.8"),
    ("psf", "PSF-2.0"),
    ("psf-2", "PSF-2.0"),
    ("python", "Python-2.0"),
    ("wtfpl-2", "WTFPL"),
    ("zlib/libpng", "zlib-acknowledgement"),
    ("zpl-2", "ZPL-2.0"),
];

/// Identifiers of SPDX's list that packages of distributions name.
const IDENTIFIERS: [&str; 78] = [
    "0BSD",
    "AFL-2.1",
    "AFL-3.0",
    "Apache-1.0",
    "Apache-1.1",
    "Apache-2.0",
    "APSL-2.0",
    "Artistic-1.0",
    "Artistic-1.0-Perl",
    "Artistic-2.0",
    "Beerware",
    "BlueOak-1.0.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-2-Clause-Patent",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSD-4-Clause",
    "BSD-4-Clause-UC",
    "BSD-Source-Code",
    "BSL-1.0",
    "bzip2-1.0.6",
    "CC-BY-2.5",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-2.0",
    "CC-BY-SA-2.5",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDDL-1.0",
    "CDDL-1.1",
    "CPL-1.0",
    "curl",
    "ECL-2.0",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.1",
    "EUPL-1.2",
    "FSFAP",
    "FSFUL",
    "FSFULLR",
    "FTL",
    "HPND",
    "ICU",
    "IJG",
    "IPL-1.0",
    "ISC",
    "Latex2e",
    "Libpng",
    "libtiff",
    "LPPL-1.3c",
    "MIT",
    "MIT-0",
    "MPL-1.0",
    "MPL-1.1",
    "MPL-2.0",
    "MS-PL",
    "NCSA",
    "NTP",
    "OFL-1.1",
    "OLDAP-2.8",
    "OpenSSL",
    "PHP-3.01",
    "PostgreSQL",
    "PSF-2.0",
    "Python-2.0",
    "Ruby",
    "Sleepycat",
    "TCL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "UPL-1.0",
    "Vim",
    "W3C",
    "X11",
    "Zlib",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> String {
        of_field(text).map(|licence| licence.expression).unwrap_or_default()
    }

    #[test]
    fn of_alternatives_one_is_enough() {
        for (text, can) in [
            ("MIT", true),
            ("GPL-2", false),
            ("GPL-2 or MIT", true),
            ("GPL-2 and MIT", false),
            ("GPL-1+ or Artistic, and MIT", false),
            ("GPL-1+ or MIT, and MIT or GPL-3", true),
            ("MIT and (GPL-2 or MIT)", true),
            ("GPL-3+ with GCC-3.1 exception", true),
        ] {
            let fits = |term: &str| term == "MIT" || term == "GPL-3.0-or-later WITH GCC-exception-3.1";
            assert_eq!(of_field(text).unwrap().can_be_had(&fits), can, "{text}");
        }
    }

    #[test]
    fn fields_become_expressions() {
        for (text, expression) in [
            ("GPL-2+", "GPL-2.0-or-later"),
            ("LGPL-2.1", "LGPL-2.1-only"),
            ("GPLv3+ and expat", "GPL-3.0-or-later AND MIT"),
            ("GPL-1+ or Artistic, and BSD-3-clause", "(GPL-1.0-or-later OR Artistic-1.0-Perl) AND BSD-3-Clause"),
            ("GPL-3+ with GCC-3.1 exception", "GPL-3.0-or-later WITH GCC-exception-3.1"),
            ("MIT AND (Apache-2.0 OR ISC)", "MIT AND (Apache-2.0 OR ISC)"),
            ("public-domain", "LicenseRef-public-domain"),
            ("or", "LicenseRef-or"),
            ("", ""),
            ("GPL-9", "LicenseRef-GPL-9"),
        ] {
            assert_eq!(field(text), expression, "{text}");
        }
    }

    #[test]
    fn a_copyright_file_gives_all_its_licences_and_the_texts_of_its_own() {
        let text = b"Format: https://packages.example/copyright-format/1.0/\n\n\
            Files: *\nCopyright: x\nLicense: Expat\n\nFiles: a\nLicense: odd or GPL-2\n Line one.\n .\n  Line two.\n\n\
            License: GPL-2\n On Debian systems\n";
        let licence = of_copyright(text).unwrap();
        assert_eq!(licence.terms.len(), 3);
        let (id, (name, _)) = licence.extracted.iter().next().unwrap();
        assert_eq!(licence.expression, format!("MIT AND ({id} OR GPL-2.0-only)"));
        assert_eq!(name, "odd");
        assert_eq!(of_copyright(b"This package was debianized by"), None);
        assert_eq!(of_copyright(b""), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text(text in "\\PC*") {
            let _ = of_field(&text).map(|licence| licence.can_be_had(&|term| term.len() > 3));
            let _ = of_copyright(format!("Format: dep5\n\nFiles: *\nLicense: {text}\n").as_bytes());
        }
    }
}
