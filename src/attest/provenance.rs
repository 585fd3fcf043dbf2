//! Provenance: where an image comes from, as SLSA's predicate of version 1. It says what went in and by which rules,
//! and nothing of the machine: no path outside of recipe and image, no variable of the environment, no time but the
//! image's.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::contents::Contents;
use super::words::Words;
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

/// A finding of the policy that a waiver accepts. The predicate has it as it is, its fields in the order of their
/// names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaivedFact {
    /// The path that breaks it; none for a rule that is about no path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Why it is accepted.
    pub reason: String,
    /// The rule, as `shell`.
    pub rule: String,
    /// What is wrong, in one line.
    pub summary: String,
    /// The last day on which it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// The predicate. `others` are the documents that were made beside it.
pub fn provenance(subject: &Subject, contents: &Contents, build: &BuildFacts, others: &[Document]) -> Document {
    let mut recipes = build.recipe.iter().rev().map(|(name, digest)| Input::file(name.as_str(), *digest));
    let recipe = recipes.next();
    let lock = build.lock.map(|digest| Input::file("mkimage.lock", digest));
    let words = Words::of(contents.distribution.as_ref());
    let packages = contents.packages.iter().map(|owner| Input {
        digest: None,
        name: owner.package.name.as_str().into(),
        uri: Some(words.purl(&owner.package)),
    });
    let files = contents.files.iter().zip(&contents.hashes).filter(|(file, _)| file.is_input);
    let files = files.map(|(file, hashes)| Input::file(file.shown.as_str(), hashes.sha256));
    let predicate = Predicate {
        build_definition: BuildDefinition {
            build_type: BUILD_TYPE,
            external_parameters: Parameters {
                compression: &build.compression,
                name: &subject.name,
                platform: subject.platform.to_string(),
                recipe,
                source_date_epoch: build.created,
                tags: &build.tags,
            },
            internal_parameters: Rules {
                codecs: layer::codecs(),
                layer_format: layer::FORMAT,
                layers: &build.layers,
                waived: &build.waived,
            },
            resolved_dependencies: recipes.chain(lock).chain(packages).chain(files).collect(),
        },
        run_details: RunDetails {
            builder: Builder { id: BUILDER, version: BuilderVersion { mkimage: crate::VERSION } },
            byproducts: others.iter().map(byproduct).collect(),
        },
    };
    Document {
        media_type: "application/json".to_owned(),
        predicate_type: PROVENANCE.to_owned(),
        blob: Blob::new(oci::canonical_ordered(&predicate)),
    }
}

fn byproduct(document: &Document) -> Byproduct<'_> {
    Byproduct { digest: Sha256 { sha256: document.blob.digest().hex() }, media_type: &document.media_type }
}

/// SLSA's predicate, and below the parts of it. Fields stand in the order of their keys, which canonical JSON asks for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    build_definition: BuildDefinition<'a>,
    run_details: RunDetails<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition<'a> {
    build_type: &'static str,
    external_parameters: Parameters<'a>,
    internal_parameters: Rules<'a>,
    resolved_dependencies: Vec<Input<'a>>,
}

/// What whoever built it asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Parameters<'a> {
    compression: &'a str,
    name: &'a str,
    platform: String,
    recipe: Option<Input<'a>>,
    source_date_epoch: i64,
    tags: &'a [String],
}

/// What the program decided.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rules<'a> {
    codecs: BTreeMap<&'static str, String>,
    layer_format: u32,
    layers: &'a [String],
    #[serde(skip_serializing_if = "<[WaivedFact]>::is_empty")]
    waived: &'a [WaivedFact],
}

#[derive(Serialize)]
struct Input<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Sha256>,
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
}

impl<'a> Input<'a> {
    fn file(name: impl Into<Cow<'a, str>>, digest: Digest) -> Self {
        Self { digest: Some(Sha256 { sha256: digest.hex() }), name: name.into(), uri: None }
    }
}

#[derive(Serialize)]
struct Sha256 {
    sha256: String,
}

#[derive(Serialize)]
struct RunDetails<'a> {
    builder: Builder,
    byproducts: Vec<Byproduct<'a>>,
}

#[derive(Serialize)]
struct Builder {
    id: &'static str,
    version: BuilderVersion,
}

#[derive(Serialize)]
struct BuilderVersion {
    mkimage: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Byproduct<'a> {
    digest: Sha256,
    media_type: &'a str,
}
