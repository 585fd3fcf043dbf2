//! The kinds of tables that keys take, and what may stand for a table: how each is decoded and merged.

use std::collections::HashMap;

use super::decode::{Decode, Field, Keys, Reader, table};
use super::document::{Key, Kind, Value};
use super::keys::SettingKeys;
use super::kinds::{Text, Words, decode_all};
use super::trial_keys::CallKeys;
use super::{MISSING, words};
use crate::report::{Diagnostic, Spanned};

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

/// A table, or a list of them.
#[derive(Debug, Clone)]
pub(super) struct Tables<T>(pub(super) Vec<Spanned<T>>);

impl<T: Keys> Decode for Tables<T> {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        match value.kind {
            Kind::Table(_) => Spanned::decode(value, reader).map(|table| Self(vec![table])),
            Kind::List(items) => Some(Self(decode_all(items, reader))),
            _ => reader.wrong_type(&value, "a table or a list of tables"),
        }
    }
}

/// Programs of a test: one as a list of words, or tables that say more.
#[derive(Debug, Clone)]
pub(super) enum Calls {
    Words(Words),
    Tables(Tables<CallKeys>),
}

impl Decode for Calls {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        let is_table = |value: &Value| matches!(value.kind, Kind::Table(_));
        match &value.kind {
            Kind::Table(_) => Tables::decode(value, reader).map(Self::Tables),
            Kind::List(items) if items.iter().any(is_table) => Tables::decode(value, reader).map(Self::Tables),
            _ => Words::decode(value, reader).map(Self::Words),
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
        let Spanned { value: keys, .. } = Spanned::<SettingKeys>::decode(value, reader)?;
        let Some(Text(name)) = keys.env else {
            let mistake = Diagnostic::error(MISSING, "a variable needs `env`, or a value for each platform");
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
        let Kind::Table(entries) = value.kind else {
            let _: Option<()> = reader.wrong_type(&value, "a table");
            return Self(None);
        };
        Self(Some(Box::new(Spanned::new(table(entries, span, reader), span))))
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
