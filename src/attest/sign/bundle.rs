//! Bundles of Sigstore, version 0.3: an in-toto statement in a DSSE envelope, signed by a key that the reader knows.

use std::io::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use base64::write::EncoderWriter;
use serde_json::{Value, json};

use super::{PrivateKey, PublicKey};
use crate::attest::{Blob, Document, Referrer, Subject};
use crate::oci::{self, Digest};

/// The media type of a bundle, and the artifact type of what holds one.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// What a statement states that only signs.
pub(super) const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The annotation that tells statements apart without reading them.
pub const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// How a bundle begins.
const OPEN: &[u8] = br#"{"dsseEnvelope":{"payload":""#;

/// A document about an image, which is JSON, as a signed bundle that refers to it.
pub fn bundle(subject: &Subject, document: &Document, key: &PrivateKey) -> Referrer {
    let about = json!({ "name": subject.name, "digest": { "sha256": subject.digest.hex() } });
    signed(subject, &about, (&document.predicate_type, document.bytes()), key)
}

/// The signature of an image as such a bundle: a statement that says nothing but which image it is.
pub fn sign_bundle(subject: &Subject, key: &PrivateKey) -> Referrer {
    signed(subject, &json!({ "digest": { "sha256": subject.digest.hex() } }), (SIGNED, b"{}"), key)
}

fn signed(subject: &Subject, about: &Value, (predicate_type, predicate): (&str, &[u8]), key: &PrivateKey) -> Referrer {
    let [head, tail] = around(about, predicate_type);
    let payload = [&head, predicate, &tail];
    let size: usize = payload.iter().map(|part| part.len()).sum();
    let mut bundle = Vec::with_capacity(OPEN.len() + size.div_ceil(3) * 4 + 1024);
    bundle.extend(OPEN);
    let (signature, ()) = rayon::join(
        || key.sign(&[preamble(PAYLOAD_TYPE, size).as_bytes(), &head, predicate, &tail]),
        || encode(&payload, &mut bundle),
    );
    let signatures = [json!({ "sig": BASE64_STANDARD.encode(&signature) })];
    let envelope = oci::canonical_value(&json!({ "payloadType": PAYLOAD_TYPE, "signatures": signatures }));
    let material = json!({ "publicKey": { "hint": key.public().hint() } });
    let end = oci::canonical_value(&json!({ "mediaType": BUNDLE, "verificationMaterial": material }));
    // The keys of all three are in order, and base64 needs no escape.
    for part in [b"\",", &envelope[1..], b",", &end[1..]] {
        bundle.extend(part);
    }
    let document =
        Document { media_type: BUNDLE.to_owned(), predicate_type: predicate_type.to_owned(), blob: Blob::new(bundle) };
    let annotations = [("dev.sigstore.bundle.content", "dsse-envelope"), (PREDICATE, predicate_type)];
    Referrer::new(subject, &document, &annotations)
}

/// What stands before and after the predicate in a statement, its keys in order. The predicate stands in it byte for
/// byte: it may be megabytes, and what is signed is what was written beside it.
fn around(about: &Value, predicate_type: &str) -> [Vec<u8>; 2] {
    let head = oci::canonical_value(&json!({ "_type": STATEMENT }));
    let tail = oci::canonical_value(&json!({ "predicateType": predicate_type, "subject": [about] }));
    [[&head[..head.len() - 1], b",\"predicate\":"].concat(), [b",", &tail[1..]].concat()]
}

/// Adds parts as one text of base64.
fn encode(parts: &[&[u8]], out: &mut Vec<u8>) {
    let mut encoder = EncoderWriter::new(out, &BASE64_STANDARD);
    let written = parts.iter().try_for_each(|part| encoder.write_all(part)).and_then(|()| encoder.finish());
    written.expect("memory takes all that is written");
}

/// What stands before a typed text where DSSE signs it (its `PAE`).
fn preamble(kind: &str, size: usize) -> String {
    format!("DSSEv1 {} {kind} {size} ", kind.len())
}

/// What a bundle states of an image: the kind of statement, and its predicate. With a key, what that key signed alone;
/// without one, no signature is looked at.
pub fn stated(bundle: &[u8], image: Digest, key: Option<&PublicKey>) -> Option<(String, Value)> {
    let bundle: Value = oci::read(bundle).ok()?;
    let envelope = &bundle["dsseEnvelope"];
    let kind = envelope["payloadType"].as_str().filter(|kind| *kind == PAYLOAD_TYPE)?;
    let payload = BASE64_STANDARD.decode(envelope["payload"].as_str()?).ok()?;
    let signatures = envelope["signatures"].as_array()?;
    let is_good = key.is_none_or(|key| {
        let signed = [preamble(kind, payload.len()).as_bytes(), &payload].concat();
        signatures.iter().any(|one| {
            let signature = one["sig"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
            signature.is_some_and(|signature| key.verifies(&signed, &signature))
        })
    });
    if bundle["mediaType"] != BUNDLE || !is_good {
        return None;
    }
    // Only what was signed is read.
    let mut statement: Value = oci::read(&payload).ok()?;
    let hex = image.hex();
    let is_about = |one: &Value| one["digest"]["sha256"].as_str() == Some(&hex);
    let fits = statement["_type"] == STATEMENT && statement["subject"].as_array()?.iter().any(is_about);
    let kind = statement["predicateType"].as_str().filter(|_| fits)?.to_owned();
    Some((kind, statement["predicate"].take()))
}

#[cfg(test)]
mod tests {
    use super::preamble;

    #[test]
    fn the_preamble_is_that_of_the_specification() {
        let text = "hello world";
        let signed = preamble("http://example.com/HelloWorld", text.len()) + text;
        assert_eq!(signed, "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
