//! JSON in and out: the one function that writes a document, and the one that reads one that others wrote.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest document that is read, in bytes: what registries take as a manifest.
pub const LIMIT: u64 = 4 << 20;

/// A document as canonical JSON (RFC 8785): no whitespace, keys sorted, so that equal values have equal bytes.
/// `oci-spec` keeps annotations and labels in hash maps, whose own order differs from run to run: every document
/// goes through here.
///
/// # Panics
/// When the value can't be JSON (a map whose keys are no strings, a number that is not finite).
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, canon_json::CanonicalFormatter::new());
    value.serialize(&mut serializer).expect("OCI documents are JSON");
    bytes
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
}
