//! Two documents: each value that differs, by its path.

use serde_json::Value;

use super::Difference;

/// The most characters of a value that are shown.
const LONGEST: usize = 100;

/// Adds what differs between two documents.
pub(super) fn differences(place: &str, one: &Value, other: &Value, found: &mut Vec<Difference>) {
    below(place, "", one, other, found);
}

fn below(place: &str, path: &str, one: &Value, other: &Value, found: &mut Vec<Difference>) {
    if one == other {
        return;
    }
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                item(place, &path, a.get(key), b.get(key), found);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for number in 0..a.len().max(b.len()) {
                item(place, &format!("{path}[{number}]"), a.get(number), b.get(number), found);
            }
        }
        _ => {
            let says = format!("`{path}` is {}, rebuilt {}", shown(one), shown(other));
            found.push(Difference { place: place.to_owned(), says });
        }
    }
}

fn item(place: &str, path: &str, one: Option<&Value>, other: Option<&Value>, found: &mut Vec<Difference>) {
    let says = match (one, other) {
        (Some(one), Some(other)) => return below(place, path, one, other, found),
        (Some(one), None) => format!("`{path}` is {}, rebuilt it is not there", shown(one)),
        (None, Some(other)) => format!("`{path}` is not there, rebuilt {}", shown(other)),
        (None, None) => return,
    };
    found.push(Difference { place: place.to_owned(), says });
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
