//! The kinds of values that keys take: how each is decoded and merged.

use std::collections::HashMap;

use super::decode::{Decode, Field, Keys, Reader, table};
use super::document::{Key, Kind, Value};
use super::{LATER, TYPE, words};
use crate::report::{Diagnostic, Spanned};

/// A string, its variables not yet filled in.
#[derive(Debug, Clone)]
pub(super) struct Text(pub(super) Spanned<String>);

impl Decode for Text {
    fn fits(kind: &Kind) -> bool {
        matches!(kind, Kind::Text(_))
    }

    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        match value.kind {
            Kind::Text(text) => Some(Self(Spanned::new(text, value.span))),
            _ => reader.wrong_type(&value, "a string"),
        }
    }
}

/// A string or an integer, as it is written.
#[derive(Debug, Clone)]
pub(super) struct Scalar(pub(super) Spanned<String>);

impl Decode for Scalar {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        match value.kind {
            Kind::Text(text) => Some(Self(Spanned::new(text, value.span))),
            Kind::Integer(Some(number)) => Some(Self(Spanned::new(number.to_string(), value.span))),
            _ => reader.wrong_type(&value, "a string or an integer"),
        }
    }
}

/// An integer.
#[derive(Debug, Clone)]
pub(super) struct Number(pub(super) Spanned<i64>);

impl Decode for Number {
    fn fits(kind: &Kind) -> bool {
        matches!(kind, Kind::Integer(_))
    }

    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        match value.kind {
            Kind::Integer(Some(number)) => Some(Self(Spanned::new(number, value.span))),
            _ => reader.wrong_type(&value, "an integer"),
        }
    }
}

/// `true` or `false`.
#[derive(Debug, Clone)]
pub(super) struct Flag(pub(super) Spanned<bool>);

impl Decode for Flag {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        match value.kind {
            Kind::Boolean(yes) => Some(Self(Spanned::new(yes, value.span))),
            _ => reader.wrong_type(&value, "true or false"),
        }
    }
}

/// What a rule of the policy does.
#[derive(Debug, Clone)]
pub(super) struct Rule(pub(super) Spanned<String>);

impl Decode for Rule {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        match value.kind {
            Kind::Text(text) => Some(Self(Spanned::new(text, value.span))),
            _ => reader.wrong_type(&value, "`allow`, `warn` or `deny`"),
        }
    }
}

/// Permission bits: a string of octal digits. TOML would read a bare `0644` as a mistake and `644` as decimal.
#[derive(Debug, Clone)]
pub(super) struct Mode(pub(super) Spanned<String>);

impl Decode for Mode {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        match value.kind {
            Kind::Text(text) => Some(Self(Spanned::new(text, value.span))),
            Kind::Integer(_) => {
                let shown = reader.at(value.span);
                // Kubernetes and others take modes as decimal numbers.
                let digits = match shown {
                    "384" => "600",
                    "420" => "644",
                    "438" => "666",
                    "448" => "700",
                    "493" => "755",
                    _ => shown.trim_start_matches("0o"),
                };
                let mistake = Diagnostic::error(TYPE, format!("invalid type: integer `{shown}`, expected a string"));
                let mistake = mistake.at(value.span, "TOML reads this as a number, not as permission bits");
                reader.mistake(
                    if (3..=4).contains(&digits.len()) && digits.bytes().all(|b| matches!(b, b'0'..=b'7')) {
                        mistake
                            .fix("write the octal digits as a string", vec![(value.span, format!("\"{digits:0>4}\""))])
                    } else {
                        mistake.help("write the octal digits as a string, as in \"0644\"")
                    },
                );
                None
            }
            _ => reader.wrong_type(&value, "a string of octal digits"),
        }
    }
}

/// A list that replaces an inherited one.
#[derive(Debug, Clone)]
pub(super) struct List<T>(pub(super) Spanned<Vec<T>>);

impl<T: Decode> Decode for List<T> {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        let span = value.span;
        match value.kind {
            Kind::List(items) => Some(Self(Spanned::new(decode_all(items, reader), span))),
            _ => reader.wrong_type(&value, "a list"),
        }
    }
}

fn decode_all<T: Decode>(items: Vec<Value>, reader: &mut Reader<'_>) -> Vec<T> {
    items.into_iter().filter_map(|item| T::decode(item, reader)).collect()
}

/// A list that is added to an inherited one.
#[derive(Debug, Clone)]
pub(super) struct Added<T>(pub(super) Vec<T>);

impl<T> Default for Added<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Decode> Field for Added<T> {
    fn read(value: Option<(Key, Value)>, reader: &mut Reader<'_>) -> Self {
        let list = value.and_then(|(_, value)| List::decode(value, reader));
        list.map(|list| Self(list.0.value)).unwrap_or_default()
    }

    fn lay_over(&mut self, over: Self) {
        self.0.extend(over.0);
    }
}

/// A program and its arguments: a list of strings, never a line for a shell.
#[derive(Debug, Clone)]
pub(super) struct Words(pub(super) Spanned<Vec<Text>>);

impl Decode for Words {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        let Kind::Text(line) = &value.kind else {
            return List::decode(value, reader).map(|list| Self(list.0));
        };
        let mistake = Diagnostic::error(TYPE, "invalid type: a string, expected a list of strings");
        let mistake = mistake.at(value.span, "no shell is there to split it");
        reader.mistake(match words::split_line(line) {
            Some(list) => mistake.fix("write the list", vec![(value.span, list)]),
            None => {
                mistake.help("write a list, each argument a string; what a shell would do has to go into a program")
            }
        });
        None
    }
}

/// One string or a list of them.
#[derive(Debug, Clone)]
pub(super) struct OneOrMore(pub(super) Vec<Text>);

impl Decode for OneOrMore {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        match value.kind {
            Kind::Text(text) => Some(Self(vec![Text(Spanned::new(text, value.span))])),
            Kind::List(items) => Some(Self(decode_all(items, reader))),
            _ => reader.wrong_type(&value, "a string or a list"),
        }
    }
}

/// A string, or a table that says more.
#[derive(Debug, Clone)]
pub(super) enum Item<T> {
    Short(Spanned<String>),
    Long(Spanned<T>),
}

impl<T: Keys> Decode for Item<T> {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        match value.kind {
            Kind::Text(text) => Some(Self::Short(Spanned::new(text, value.span))),
            Kind::Table(_) => Spanned::decode(value, reader).map(Self::Long),
            _ => reader.wrong_type(&value, "a string or a table"),
        }
    }
}

/// A table with known keys and its place.
impl<T: Keys> Decode for Spanned<T> {
    fn fits(kind: &Kind) -> bool {
        matches!(kind, Kind::Table(_))
    }

    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        let (before, span) = (reader.mistakes.len(), value.span);
        match value.kind {
            Kind::Table(entries) => {
                let table = table(entries, span, reader);
                (reader.mistakes.len() == before).then(|| Spanned::new(table, span))
            }
            _ => reader.wrong_type(&value, "a table"),
        }
    }
}

/// A number, or a table that says more.
#[derive(Debug, Clone)]
pub(super) enum Numbered<T> {
    Short(Spanned<i64>),
    Long(Spanned<T>),
}

impl<T: Keys> Decode for Numbered<T> {
    fn fits(kind: &Kind) -> bool {
        matches!(kind, Kind::Integer(_) | Kind::Table(_))
    }

    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        match value.kind {
            Kind::Integer(Some(number)) => Some(Self::Short(Spanned::new(number, value.span))),
            Kind::Table(_) => Spanned::decode(value, reader).map(Self::Long),
            _ => reader.wrong_type(&value, "an integer or a table"),
        }
    }
}

/// `layers`: a word or a list of tables.
#[derive(Debug, Clone)]
pub(super) enum WordOrList<T> {
    Word(Spanned<String>),
    List(Spanned<Vec<Spanned<T>>>),
}

impl<T: Keys> Decode for WordOrList<T> {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        match value.kind {
            Kind::Text(text) => Some(Self::Word(Spanned::new(text, value.span))),
            Kind::List(items) => Some(Self::List(Spanned::new(decode_all(items, reader), value.span))),
            _ => reader.wrong_type(&value, "a string or a list"),
        }
    }
}

/// A value of `[vars]`.
#[derive(Debug, Clone)]
pub(super) enum Setting {
    Text(Spanned<String>),
    Environment {
        name: Spanned<String>,
        default: Option<Spanned<String>>,
    },
    ByPlatform(Vec<(Spanned<String>, Text)>),
    /// There was a mistake; the variable is known all the same.
    Broken,
}

impl Decode for Setting {
    fn fits(kind: &Kind) -> bool {
        matches!(kind, Kind::Text(_) | Kind::Table(_))
    }

    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self::read(value, reader).unwrap_or(Self::Broken))
    }
}

impl Setting {
    fn read(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        let Kind::Table(entries) = &value.kind else {
            return match value.kind {
                Kind::Text(text) => Some(Self::Text(Spanned::new(text, value.span))),
                _ => reader.wrong_type(&value, "a string or a table"),
            };
        };
        if entries.entries.iter().any(|(key, _)| key.name.contains('/')) {
            let Mapping(values) = Mapping::read(Some((Key { name: String::new(), span: value.span }, value)), reader);
            return Some(Self::ByPlatform(values));
        }
        let span = value.span;
        let Spanned { value: keys, .. } = Spanned::<super::keys::SettingKeys>::decode(value, reader)?;
        let Some(Text(name)) = keys.env else {
            let mistake = Diagnostic::error(super::MISSING, "a variable needs `env`, or a value for each platform");
            reader.mistake(mistake.at(span, "neither is here"));
            return None;
        };
        Some(Self::Environment { name, default: keys.default.map(|text| text.0) })
    }
}

/// A table whose keys are the user's own.
#[derive(Debug, Clone)]
pub(super) struct Mapping<T>(pub(super) Vec<(Spanned<String>, T)>);

impl<T> Default for Mapping<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Decode> Field for Mapping<T> {
    fn read(value: Option<(Key, Value)>, reader: &mut Reader<'_>) -> Self {
        let Some((table, value)) = value else { return Self::default() };
        let Kind::Table(entries) = value.kind else {
            words::list_of_pairs(&table, &value, reader);
            return Self::default();
        };
        let header = entries.header.then(|| reader.at(value.span));
        let mut values = Vec::new();
        for (key, value) in entries.entries {
            if let Some(mistake) = words::swallowed_by_mapping(&key, &value, T::fits(&value.kind), header, reader) {
                reader.mistake(mistake);
            } else if T::fits(&value.kind) || !words::dotted_key(&value, reader) {
                values.extend(T::decode(value, reader).map(|value| (Spanned::new(key.name, key.span), value)));
            }
        }
        Self(values)
    }

    fn lay_over(&mut self, over: Self) {
        let known: HashMap<_, _> = self.0.iter().enumerate().map(|(at, (key, _))| (key.value.clone(), at)).collect();
        for (key, value) in over.0 {
            match known.get(&key.value) {
                Some(at) => self.0[*at] = (key, value),
                None => self.0.push((key, value)),
            }
        }
    }
}

/// A table with known keys, merged with an inherited one key by key.
#[derive(Debug, Clone)]
pub(super) struct Section<T>(pub(super) Option<Box<Spanned<T>>>);

impl<T> Default for Section<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Keys> Field for Section<T> {
    /// Keeps what could be read of a table with mistakes, for those of the rest.
    fn read(value: Option<(Key, Value)>, reader: &mut Reader<'_>) -> Self {
        let Some((_, value)) = value else { return Self(None) };
        let span = value.span;
        match value.kind {
            Kind::Table(entries) => Self(Some(Box::new(Spanned::new(table(entries, span, reader), span)))),
            _ => {
                let _: Option<()> = reader.wrong_type(&value, "a table");
                Self(None)
            }
        }
    }

    fn lay_over(&mut self, over: Self) {
        match (&mut self.0, over.0) {
            (Some(own), Some(over)) => {
                own.span = over.span;
                own.value.lay_over(over.value);
            }
            (own, Some(over)) => *own = Some(over),
            (_, None) => {}
        }
    }
}

impl<T: Decode> Field for Option<T> {
    fn read(value: Option<(Key, Value)>, reader: &mut Reader<'_>) -> Self {
        value.and_then(|(_, value)| T::decode(value, reader))
    }

    fn lay_over(&mut self, over: Self) {
        if over.is_some() {
            *self = over;
        }
    }
}

/// A key that a later version will know: refused, never ignored.
#[derive(Debug, Clone, Default)]
pub(super) struct Later;

impl Field for Later {
    const KNOWN: bool = false;

    fn read(value: Option<(Key, Value)>, reader: &mut Reader<'_>) -> Self {
        if let Some((key, _)) = value {
            reader.mistake(not_in_this_version(&key.name, key.span));
        }
        Self
    }

    fn lay_over(&mut self, _: Self) {}
}

/// A key or a value that a later version will know.
pub(super) fn not_in_this_version(what: &str, span: crate::report::Span) -> Diagnostic {
    Diagnostic::error(LATER, format!("`{what}` is not in this version")).at(span, "not in this version of mkimage")
}
