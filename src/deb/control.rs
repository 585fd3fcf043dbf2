//! Control files (deb822): `status`, `Packages`, a package's own `control`. Stanzas are cut out without being
//! parsed, and a stanza's fields are looked for only when asked.

use memchr::{memchr, memmem};

/// One stanza of a control file, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stanza<'a>(pub &'a [u8]);

/// One field of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name as written; names are compared without regard to case.
    pub name: &'a [u8],
    /// The value with its continuation lines, without white space at both ends.
    pub value: &'a [u8],
    /// The field whole: name, value and last newline.
    pub text: &'a [u8],
}

/// The stanzas of a control file, in its order.
pub fn stanzas(text: &[u8]) -> Stanzas<'_> {
    Stanzas { rest: text }
}

/// Iterator of [`stanzas`].
#[derive(Debug, Clone)]
pub struct Stanzas<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Stanza<'a>;

    fn next(&mut self) -> Option<Stanza<'a>> {
        let start = self.rest.iter().position(|&b| b != b'\n')?;
        let text = &self.rest[start..];
        let end = memmem::find(text, b"\n\n").map_or(text.len(), |end| end + 1);
        let (stanza, rest) = text.split_at(end);
        self.rest = rest;
        Some(Stanza(stanza))
    }
}

impl<'a> Stanza<'a> {
    /// Its fields, in order. Comments and lines that are no field are passed over.
    pub fn fields(self) -> Fields<'a> {
        Fields { rest: self.0 }
    }

    /// The value of the first field of that name.
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        self.fields().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
    }

    /// As [`Stanza::get`], where the value is one line of ASCII: no control characters, no continuation.
    pub fn word(self, name: &str) -> Option<&'a str> {
        word(self.get(name)?)
    }

    /// As [`Stanza::word`] of several names, with one look at the fields.
    pub fn words<const N: usize>(self, names: [&str; N]) -> [Option<&'a str>; N] {
        let mut values = [None; N];
        for field in self.fields() {
            let place = names.iter().position(|name| field.name.eq_ignore_ascii_case(name.as_bytes()));
            if let Some(value) = place.map(|place| &mut values[place]) {
                value.get_or_insert(field.value);
            }
        }
        values.map(|value| word(value?))
    }
}

fn word(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok()?;
    value.bytes().all(|b| (b' '..0x7f).contains(&b)).then_some(value)
}

/// Iterator of [`Stanza::fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let (text, rest) = self.rest.split_at(field_end(self.rest));
            self.rest = rest;
            let first_line = &text[..memchr(b'\n', text).unwrap_or(text.len())];
            if first_line.starts_with(b"#") {
                continue;
            }
            if let Some(colon) = memchr(b':', first_line) {
                let (name, value) = (text[..colon].trim_ascii_end(), text[colon + 1..].trim_ascii());
                if !name.is_empty() && !name.starts_with(b" ") && !name.starts_with(b"\t") {
                    return Some(Field { name, value, text });
                }
            }
        }
    }
}

/// Where the field at the beginning of `text` ends: after the last line that continues it.
fn field_end(text: &[u8]) -> usize {
    let mut end = 0;
    while let Some(newline) = memchr(b'\n', &text[end..]) {
        end += newline + 1;
        if !matches!(text.get(end), Some(b' ' | b'\t')) {
            return end;
        }
    }
    text.len()
}

/// Whether the text is a package's name as dpkg takes it. Such a name is also safe as a part of a file's name.
pub fn is_package_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"-+._".contains(&b))
        && name.len() < 200
}

/// Whether the text is an architecture's name, as `amd64`, `all` or `kfreebsd-i386`.
pub fn is_architecture(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && name.len() < 50
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_and_fields() {
        let text = b"\n\nPackage: a\nDescription: one\n two\n .\n\n\n# c\nno field\npackage : b \nEmpty:\n\tx: y";
        let all: Vec<_> = stanzas(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("description"), Some(b"one\n two\n .".as_slice()));
        assert_eq!(all[0].get("version"), None);
        let fields: Vec<_> = all[1].fields().map(|field| (field.name, field.value)).collect();
        assert_eq!(fields, [(b"package".as_slice(), b"b".as_slice()), (b"Empty", b"x: y")]);
        assert_eq!(all[0].fields().map(|field| field.text).collect::<Vec<_>>().concat(), all[0].0);
        assert_eq!(all[0].word("description"), None);
        let twice = Stanza(b"A: 1\nb: 2\na: 3\nC: x\n y\n");
        assert_eq!(twice.words(["B", "a", "C", "D"]), [Some("2"), Some("1"), None, None]);
        assert_eq!(twice.words(["B", "a", "C", "D"]), ["B", "a", "C", "D"].map(|name| twice.word(name)));
    }

    #[test]
    fn names() {
        assert!(is_package_name("libstdc++6") && is_package_name("gir1.2-glib-2.0"));
        assert!(!is_package_name("") && !is_package_name("../a") && !is_package_name("a/b") && !is_package_name("a:b"));
        assert!(is_architecture("amd64") && !is_architecture("a/b") && !is_architecture(""));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(text: Vec<u8>) {
            let kept: usize = stanzas(&text).map(|stanza| stanza.0.len()).sum();
            proptest::prop_assert!(kept <= text.len());
            for stanza in stanzas(&text) {
                proptest::prop_assert!(stanza.fields().all(|field| !field.name.is_empty()));
            }
        }
    }
}
