//! The kinds of plain values and lists that keys take: how each is decoded and merged.

use super::decode::{Decode, Field, Reader};
use super::document::{Key, Kind, Value};
use super::{LATER, TYPE, words};
use crate::report::{Diagnostic, Span, Spanned};

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

/// A form of a bill of materials.
#[derive(Debug, Clone)]
pub(super) struct SbomWord(pub(super) Spanned<String>);

impl Decode for SbomWord {
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self> {
        Text::decode(value, reader).map(|text| Self(text.0))
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

pub(super) fn decode_all<T: Decode>(items: Vec<Value>, reader: &mut Reader<'_>) -> Vec<T> {
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
pub(super) fn not_in_this_version(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error(LATER, format!("`{what}` is not in this version")).at(span, "not in this version of mkimage")
}
