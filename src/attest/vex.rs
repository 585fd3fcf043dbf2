//! Statements on vulnerabilities (OpenVEX) that someone else wrote: checked to be such, and passed on as they are.

use serde_json::Value;

use super::{Blob, Document};
use crate::oci;

const MEDIA_TYPE: &str = "application/vnd.openvex+json";
/// How the context of such a document begins; a version may follow.
const CONTEXT: &str = "https://openvex.dev/ns";

/// A file as a document; the error completes "`FILE` ...".
///
/// # Errors
/// When it is no OpenVEX document.
pub fn vex(bytes: Vec<u8>) -> Result<Document, &'static str> {
    let document: Value = oci::read(&bytes).map_err(|_| "is no JSON")?;
    let context = document["@context"].as_str().filter(|context| context.starts_with(CONTEXT));
    let Some(context) = context else { return Err("is no OpenVEX document: its `@context` is another") };
    if !document["statements"].is_array() {
        return Err("is no OpenVEX document: it has no `statements`");
    }
    Ok(Document { media_type: MEDIA_TYPE.to_owned(), predicate_type: context.to_owned(), blob: Blob::new(bytes) })
}
