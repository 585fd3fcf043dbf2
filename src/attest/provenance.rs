//! Provenance: where an image comes from, as SLSA's predicate of version 1. It says what went in and by which rules, and
//! nothing of the machine: no path outside of recipe and image, no variable of the environment, no time but the image's.

use serde_json::{Value, json};

use super::contents::Contents;
use super::words::{Words, shown};
use super::{Blob, Document, Subject};
use crate::layer;
use crate::oci::{self, Digest};

/// What kind of build it was: the meaning of the parameters. docs/signing.md explains them.
const BUILD_TYPE: &str = "urn:mkimage:build:1";
/// Who built: the program, wherever it ran. A platform that builds for others signs with a name of its own.
const BUILDER: &str = "urn:mkimage:builder";
/// The predicate's type.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// What a build was asked for.
#[derive(Debug, Clone)]
pub struct BuildFacts {
    /// The files that make up the recipe, with their paths relative to it, the recipe itself last.
    pub recipe: Vec<(String, Digest)>,
    /// The lock file that it was held against.
    pub lock: Option<Digest>,
    /// The image's tags.
    pub tags: Vec<String>,
    /// Seconds since 1970 of `created`.
    pub created: i64,
    /// How its layers are compressed.
    pub compression: String,
    /// The names of its layers.
    pub layers: Vec<String>,
    /// What of it breaks a rule of the policy and is accepted.
    pub waived: Vec<WaivedFact>,
}

/// A finding of the policy that a waiver accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaivedFact {
    /// The rule, as `shell`.
    pub rule: String,
    /// The path that breaks it; none for a rule that is about no path.
    pub path: Option<String>,
    /// What is wrong, in one line.
    pub summary: String,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is.
    pub until: Option<String>,
}

/// The predicate. `others` are the documents that were made beside it.
pub fn provenance(subject: &Subject, contents: &Contents, build: &BuildFacts, others: &[Document]) -> Document {
    let recipe = build.recipe.last().map(|(name, digest)| json!({ "name": name, "digest": sha256(*digest) }));
    let parameters = json!({
        "recipe": recipe,
        "name": subject.name,
        "tags": build.tags,
        "platform": subject.platform.to_string(),
        "sourceDateEpoch": build.created,
        "compression": build.compression,
    });
    let bases =
        build.recipe.iter().rev().skip(1).map(|(name, digest)| json!({ "name": name, "digest": sha256(*digest) }));
    let lock = build.lock.map(|digest| json!({ "name": "mkimage.lock", "digest": sha256(digest) }));
    let words = Words::of(contents.distribution.as_ref());
    let packages =
        contents.packages.iter().map(|owner| json!({ "name": owner.package.name, "uri": words.purl(&owner.package) }));
    let files = contents.files.iter().filter(|file| file.is_input);
    let files = files.map(|file| json!({ "name": shown(&file.path), "digest": sha256(file.hashes.sha256) }));
    let mut internal = json!({ "layerFormat": layer::FORMAT, "layers": build.layers, "codecs": layer::codecs() });
    if !build.waived.is_empty() {
        internal["waived"] = build.waived.iter().map(waived).collect();
    }
    let dependencies: Vec<Value> = bases.chain(lock).chain(packages).chain(files).collect();
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": parameters,
            "internalParameters": internal,
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": { "id": BUILDER, "version": { "mkimage": crate::VERSION } },
            "byproducts": others.iter().map(byproduct).collect::<Vec<_>>(),
        },
    });
    Document {
        media_type: "application/json".to_owned(),
        predicate_type: PROVENANCE.to_owned(),
        blob: Blob::new(oci::canonical_value(&predicate)),
    }
}

fn waived(fact: &WaivedFact) -> Value {
    let WaivedFact { rule, path, summary, reason, until } = fact;
    let mut value = json!({ "rule": rule, "summary": summary, "reason": reason });
    for (key, text) in [("path", path), ("until", until)] {
        if let Some(text) = text {
            value[key] = text.as_str().into();
        }
    }
    value
}

fn byproduct(document: &Document) -> Value {
    json!({ "mediaType": document.media_type, "digest": sha256(document.blob.digest()) })
}

fn sha256(digest: Digest) -> Value {
    json!({ "sha256": digest.hex() })
}
