//! A TOML tree to typed tables: what each kind of value takes, and what is said when it is something else.
//!
//! Every mistake is collected; a value with one is left out, so that nothing is said twice.

use super::document::{Entries, Key, Kind, Value};
use super::{TYPE, words};
use crate::report::{Diagnostic, Span};

/// Unknown keys of one table that are told of.
const MOST_UNKNOWN: usize = 100;

/// The mistakes of one text while it is decoded.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) mistakes: Vec<Diagnostic>,
    /// The keys of a recipe: one of them below another table's header was meant for the top.
    pub(super) top_keys: Vec<String>,
}

impl<'t> Reader<'t> {
    pub(super) fn at(&self, span: Span) -> &'t str {
        self.text.get(span.range()).unwrap_or("")
    }

    pub(super) fn mistake(&mut self, mistake: Diagnostic) {
        self.mistakes.push(mistake);
    }

    /// "invalid type: integer `8080`, expected a string", with what to write where that is plain.
    pub(super) fn wrong_type<T>(&mut self, value: &Value, expected: &str) -> Option<T> {
        let shown = self.at(value.span);
        let what = match &value.kind {
            Kind::Text(_) if shown.len() > 60 || shown.contains('\n') => String::from("a string"),
            Kind::Text(_) => format!("string `{shown}`"),
            Kind::Integer(_) => format!("integer `{shown}`"),
            Kind::Boolean(_) => format!("boolean `{shown}`"),
            Kind::Other(kind) => format!("{kind} `{shown}`"),
            Kind::List(_) => String::from("a list"),
            Kind::Table(_) => String::from("a table"),
        };
        let mistake = Diagnostic::error(TYPE, format!("invalid type: {what}, expected {expected}"));
        let mistake = mistake.at(value.span, "here");
        let fix = |message: &str, text: String| mistake.clone().fix(message, vec![(value.span, text)]);
        let scalar = matches!(value.kind, Kind::Integer(_) | Kind::Boolean(_) | Kind::Other(_));
        let header = matches!(&value.kind, Kind::Table(table) if table.header);
        let mistake = if scalar && expected == "a string" {
            fix("put quotes around it", format!("\"{shown}\""))
        } else if header && expected.starts_with("a list") {
            fix("a list of tables has double brackets", format!("[{shown}]"))
        } else if expected.starts_with("a list") && !header && !shown.contains('\n') {
            fix("put brackets around it", format!("[{shown}]"))
        } else if matches!(value.kind, Kind::Text(_)) && is_bare(expected, shown.trim_matches('"')) {
            fix("take the quotes away", shown.trim_matches('"').to_owned())
        } else {
            mistake
        };
        self.mistakes.push(mistake);
        None
    }
}

/// Whether a text would be of the kind when its quotes were taken away.
fn is_bare(expected: &str, text: &str) -> bool {
    match expected {
        "true or false" => matches!(text, "true" | "false"),
        _ => expected.starts_with("an integer") && text.parse::<i64>().is_ok(),
    }
}

/// A value that is decoded from one TOML value.
pub(super) trait Decode: Sized {
    /// `None` when there was a mistake, which is then in the reader.
    fn decode(value: Value, reader: &mut Reader<'_>) -> Option<Self>;

    /// Whether a value is of the right kind, whatever it says.
    fn fits(_: &Kind) -> bool {
        true
    }
}

/// What a key of a table holds: how it is read when it is there or not, and what becomes of it under another recipe.
pub(super) trait Field: Default {
    /// Whether the key belongs to this version.
    const KNOWN: bool = true;

    fn read(value: Option<(Key, Value)>, reader: &mut Reader<'_>) -> Self;
    /// Takes in what a recipe that extends this one says.
    fn lay_over(&mut self, over: Self);
}

/// A table with known keys.
pub(super) trait Keys: Default {
    /// What a message calls it: "a recipe", "`files`".
    const PLACE: &'static str;
    /// The keys as they are written.
    fn known() -> Vec<String>;
    fn fill(table: &mut Table<'_, '_>) -> Self;
    fn lay_over(&mut self, over: Self);
}

/// Hands out the values of a table, each once.
pub(super) struct Table<'r, 't> {
    entries: Vec<Option<(Key, Value)>>,
    reader: &'r mut Reader<'t>,
}

impl Table<'_, '_> {
    /// Reads the value of a key, whose name is given as a Rust field's.
    pub(super) fn take<T: Field>(&mut self, field: &str) -> T {
        let name = field.replace('_', "-");
        let found = self.entries.iter_mut().find(|entry| entry.as_ref().is_some_and(|(key, _)| key.name == name));
        T::read(found.and_then(Option::take), self.reader)
    }
}

/// Reads a table; keys that nothing asked for are mistakes.
pub(super) fn table<T: Keys>(entries: Entries, span: Span, reader: &mut Reader<'_>) -> T {
    let header = entries.header.then(|| reader.at(span));
    let mut table = Table { entries: entries.entries.into_iter().map(Some).collect(), reader };
    let filled = T::fill(&mut table);
    let Table { entries: left, reader } = table;
    let known = T::known();
    for (key, _) in left.into_iter().flatten().take(MOST_UNKNOWN) {
        let written = reader.at(key.span);
        reader.mistake(words::unknown_key(&key, T::PLACE, &known, header, &reader.top_keys, written));
    }
    filled
}

/// A table with known keys, its doc comments being the schema's text: the struct, its decoder and its merging.
macro_rules! keys {
    ($(#[$meta:meta])* $name:ident in $place:literal { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Debug, Clone, Default, schemars::JsonSchema)]
        $(#[$meta])*
        #[schemars(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub(super) struct $name {
            $($(#[$attribute])* pub(super) $field: $type),*
        }

        impl $crate::recipe::decode::Keys for $name {
            const PLACE: &'static str = $place;
            fn known() -> Vec<String> {
                let keys = [$((stringify!($field), <$type as $crate::recipe::decode::Field>::KNOWN)),*];
                keys.into_iter().filter(|(_, known)| *known).map(|(key, _)| key.replace('_', "-")).collect()
            }
            fn fill(table: &mut $crate::recipe::decode::Table<'_, '_>) -> Self {
                Self { $($field: table.take(stringify!($field))),* }
            }
            fn lay_over(&mut self, over: Self) {
                $($crate::recipe::decode::Field::lay_over(&mut self.$field, over.$field);)*
            }
        }
    };
}
pub(super) use keys;
