//! The recipe's keys to a JSON Schema for editors and linters.
//!
//! Draft 7, and `type = ["string", "object"]` beside the table's own keywords where a value is a string or a table:
//! taplo and tombi then name the wrong key, and not the whole entry as they would for `anyOf`.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::report::Spanned;

use super::keys::{RecipeKeys, SettingKeys};
use super::kinds::{Added, Flag, List, Mode, Number, OneOrMore, Rule, SbomWord, Scalar, Text, Words};
use super::tables::{Calls, Item, Mapping, Numbered, Section, Setting, Tables, WordOrList};
use super::trial_keys::CallKeys;

/// The JSON Schema of recipes and workspaces, for editors.
pub fn schema() -> String {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let settings = settings.with_transform(RecursiveTransform(as_toml));
    let mut schema = settings.into_generator().into_root_schema_for::<RecipeKeys>();
    schema.insert(String::from("title"), json!("mkimage recipe"));
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text + "\n"
}

/// TOML has no null; a description is one line, which the editor breaks.
fn as_toml(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert(String::from("type"), only);
        }
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}

/// A type's name in the schema and what stands there.
macro_rules! described {
    ($([$($generic:ident)?] $type:ty, $generator:ident => $schema:expr;)*) => {$(
        impl$(<$generic: JsonSchema>)? JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                concat!($(stringify!($generic),)? stringify!($type)).into()
            }
            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

described! {
    [] Text, _generator => json_schema!({ "type": "string" });
    [] Scalar, _generator => json_schema!({ "type": ["string", "integer"] });
    [] Number, _generator => json_schema!({ "type": "integer", "minimum": 0 });
    [] SbomWord, _generator => json_schema!({ "type": "string", "enum": ["spdx", "cyclonedx"] });
    [] Rule, _generator => json_schema!({ "type": "string", "enum": ["allow", "warn", "deny"] });
    [] Flag, _generator => json_schema!({ "type": "boolean" });
    [] Mode, _generator => json_schema!({ "type": "string", "pattern": r"^([0-7]{3,4}|.*\$\{.*)$" });
    [] Words, generator => list_of(&generator.subschema_for::<Text>());
    [] OneOrMore, _generator => json_schema!({ "type": ["string", "array"], "items": { "type": "string" } });
    [T] List<T>, generator => list_of(&generator.subschema_for::<T>());
    [T] Added<T>, generator => list_of(&generator.subschema_for::<T>());
    [T] Mapping<T>, generator => {
        let values = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": values })
    };
    [T] Section<T>, generator => generator.subschema_for::<T>();
    [T] Item<T>, generator => also::<T>(generator, "string");
    [T] Numbered<T>, generator => also::<T>(generator, "integer");
    [T] WordOrList<T>, generator => {
        let items = generator.subschema_for::<T>();
        json_schema!({ "type": ["string", "array"], "pattern": "^(auto|single|package)$", "items": items })
    };
    [T] Spanned<T>, generator => generator.subschema_for::<T>();
    [T] Tables<T>, generator => {
        let items = generator.subschema_for::<T>();
        let mut schema = also::<T>(generator, "array");
        schema.insert(String::from("items"), items.to_value());
        schema
    };
    [] Calls, generator => {
        let items = also::<CallKeys>(generator, "string");
        let mut schema = also::<CallKeys>(generator, "array");
        schema.insert(String::from("items"), items.to_value());
        schema
    };
    [] Setting, generator => {
        let mut schema = also::<SettingKeys>(generator, "string");
        schema.insert(String::from("patternProperties"), json!({ "^linux/": { "type": "string" } }));
        schema
    };
}

fn list_of(items: &Schema) -> Schema {
    json_schema!({ "type": "array", "items": items })
}

/// A table's schema, in which another type may stand for the table.
fn also<T: JsonSchema>(generator: &mut SchemaGenerator, other: &str) -> Schema {
    let mut schema = T::json_schema(generator);
    schema.insert(String::from("type"), Value::from(vec![other, "object"]));
    schema
}
