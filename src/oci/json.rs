//! JSON in and out: the one form in which documents are written, and the one function that reads one that others wrote.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The largest document that is read, in bytes: what registries take as a manifest.
pub const LIMIT: u64 = 4 << 20;

/// A document as canonical JSON (RFC 8785): no whitespace, keys sorted, so that equal values have equal bytes.
/// `oci-spec` keeps annotations and labels in hash maps, whose own order differs from run to run: every document
/// goes through here.
///
/// # Panics
/// When the value can't be JSON (a map whose keys are no strings, a number that is not finite).
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    canonical_value(&serde_json::to_value(value).expect("OCI documents are JSON"))
}

/// As [`canonical`], of what is a [`Value`] already. Written straight through: lists of files have a hundred thousand
/// objects, too many to put each aside until its keys are sorted, as a formatter has to.
///
/// # Panics
/// When a number is not finite.
pub fn canonical_value(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(value, &mut bytes);
    bytes
}

/// As [`canonical`], of a type that writes its keys in order already and has no numbers but integers: a list of all
/// files of an image as a [`Value`] would be hundred thousand small pieces of memory.
///
/// # Panics
/// When the value can't be JSON; in debug builds also when its keys are out of order.
pub fn canonical_ordered<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let bytes = serde_json::to_vec(value).expect("documents are JSON");
    debug_assert!(
        read(&bytes).is_ok_and(|value| canonical_value(&value) == bytes),
        "keys out of order: {}",
        String::from_utf8_lossy(&bytes)
    );
    bytes
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(object) => write_object(object, out),
        Value::Array(all) => {
            out.push(b'[');
            for (place, one) in all.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write(one, out);
            }
            out.push(b']');
        }
        // Integers are written as they are; others as ECMAScript does.
        Value::Number(number) if number.is_f64() => {
            let formatter = canon_json::CanonicalFormatter::new();
            let mut serializer = serde_json::Serializer::with_formatter(out, formatter);
            number.serialize(&mut serializer).expect("a finite number");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(value, out),
    }
}

fn write_object(object: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut members: Vec<(&String, &Value)> = object.iter().collect();
    // By UTF-16, which orders ASCII as bytes do.
    let is_ascii = members.iter().all(|(key, _)| key.is_ascii());
    members.sort_unstable_by(|(a, _), (b, _)| if is_ascii { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) });
    out.push(b'{');
    for (place, (key, value)) in members.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        scalar(key, out);
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

fn scalar<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("memory takes any scalar");
}

/// Reads a document.
///
/// # Errors
/// When it is not JSON of the wanted form.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_nothing_is_padded() {
        let value = serde_json::json!({"b": [1, {"z": "ä\n", "a": null}], "a": true});
        assert_eq!(canonical(&value), r#"{"a":true,"b":[1,{"a":null,"z":"ä\n"}]}"#.as_bytes());
    }

    #[test]
    fn a_type_that_keeps_the_order_of_keys_is_written_as_it_is() {
        #[derive(Serialize)]
        struct Ordered {
            a: &'static str,
            b: [u64; 2],
        }
        assert_eq!(
            canonical_ordered(&Ordered { a: "ä\u{1}", b: [1, u64::MAX] }),
            canonical(&Ordered { a: "ä\u{1}", b: [1, u64::MAX] })
        );
    }

    #[cfg(debug_assertions)]
    #[test]
    #[should_panic = "keys out of order"]
    fn a_type_that_does_not_is_found() {
        #[derive(Serialize)]
        struct Unordered {
            b: bool,
            a: bool,
        }
        canonical_ordered(&Unordered { b: true, a: true });
    }

    /// RFC 8785, sections 3.2.2 and 3.2.3: numbers as ECMAScript writes them, keys by their UTF-16 units.
    #[test]
    fn keys_and_numbers_are_those_of_the_standard() {
        let text = r#"{"\u20ac":1e21,"\r":4.50,"\ufb33":2e-3,"1":-0.0,"\ud83d\ude00":1e-27,"\u0080":56.25e0,
            "\u00f6":[18446744073709551615,-1]}"#;
        let value: Value = read(text.as_bytes()).unwrap();
        let expected = "{\"\\r\":4.5,\"1\":0,\"\u{80}\":56.25,\"ö\":[18446744073709551615,-1],\
            \"€\":1e+21,\"😀\":1e-27,\"\u{fb33}\":0.002}";
        assert_eq!(String::from_utf8(canonical_value(&value)).unwrap(), expected);
        let mut bytes = Vec::new();
        let formatter = canon_json::CanonicalFormatter::new();
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter)).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
