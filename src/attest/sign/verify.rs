//! Checking signatures: what is attached to an image, and which of it a key has signed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::bundle::{SIGNED, stated};
use super::payload::{SIGNATURE, is_good};
use super::{BUNDLE, PublicKey};
use crate::oci::{self, Digest};

/// A manifest that is attached to an image, by its `subject` or its tag, with a way to its blobs.
pub struct Attached<'a> {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// Gives the bytes of a blob; none where it is missing or too large.
    pub blob: &'a dyn Fn(Digest) -> Option<Vec<u8>>,
}

/// What a key has signed of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many good signatures there are.
    pub signatures: usize,
    /// Statements that it signed beside: their kinds.
    pub statements: BTreeSet<String>,
    /// Signatures and statements that are another key's, of another image, or damaged.
    pub others: usize,
}

/// Looks through what is attached to an image. What is not good counts for nothing.
pub fn check(image: Digest, attached: &[Attached<'_>], key: &PublicKey) -> Checked {
    let mut checked = Checked::default();
    for one in attached {
        let Ok(manifest) = oci::read::<Value>(&one.manifest) else { continue };
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            let bytes = || {
                let digest: Digest = layer["digest"].as_str()?.parse().ok()?;
                (one.blob)(digest).filter(|bytes| Digest::of(bytes) == digest)
            };
            if let Some(signature) = layer["annotations"][SIGNATURE].as_str() {
                if bytes().is_some_and(|payload| is_good(&payload, signature, image, key)) {
                    checked.signatures += 1;
                } else {
                    checked.others += 1;
                }
            } else if layer["mediaType"] == BUNDLE {
                match bytes().and_then(|bundle| stated(&bundle, image, Some(key))) {
                    Some((kind, _)) if kind == SIGNED => checked.signatures += 1,
                    Some((kind, _)) => {
                        checked.statements.insert(kind);
                    }
                    None => checked.others += 1,
                }
            }
        }
    }
    checked
}
