//! Recipes and policies in registries: one TOML file as an artifact (OCI image specification 1.1, "Guidelines for
//! artifact usage"): a manifest with an `artifactType`, an empty configuration, and the file as its only layer.

use serde_json::{Value, json};

use super::Push;
use crate::oci::{self, Digest, MediaType};
use crate::recipe::Fetched;
use crate::registry::{Blob, Client, Content, Document, Job, NO_TAG, Pushed, Remote, WRONG_CONTENT};
use crate::report::{Diagnostic, Error, Result};

/// What a recipe or policy is called as an artifact.
pub const RECIPE: &str = "application/vnd.mkimage.recipe.v1";
/// The media type of its file.
const TEXT: &str = "application/vnd.mkimage.recipe.v1+toml";
/// The media type of nothing, and its bytes.
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");
/// The most bytes of a file: a recipe has no more.
const MOST: u64 = 1 << 20;

/// Pushes a recipe or policy under tags. Its manifest follows from the text and the file's name alone.
///
/// # Errors
/// When the registry does not take it.
pub fn push_recipe(push: Push<'_>, to: &Remote, tags: &[String], file: &str, text: &[u8]) -> Result<Pushed> {
    let descriptor = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() });
    let mut layer = descriptor(TEXT, text);
    layer["annotations"] = json!({ oci_spec::image::ANNOTATION_TITLE: file });
    let media_type = MediaType::ImageManifest.to_string();
    let manifest = oci::canonical(&json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "artifactType": RECIPE,
        "config": descriptor(EMPTY.0, EMPTY.1),
        "layers": [layer],
    }));
    let blob = |bytes| Blob { digest: Digest::of(bytes), size: bytes.len() as u64, content: Content::Bytes(bytes) };
    let job = Job {
        blobs: vec![blob(EMPTY.1), blob(text)],
        documents: vec![Document { digest: Digest::of(&manifest), media_type, bytes: manifest }],
        tags: tags.to_vec(),
        sources: Vec::new(),
    };
    push.client.push(&to.repository, &job, push.rules)
}

/// Reads a recipe or policy. The name has a tag or a digest.
///
/// # Errors
/// When the registry does not give it, or it is another kind of thing.
pub fn fetch_recipe(client: &Client, remote: &Remote) -> Result<Fetched> {
    if remote.tag.is_none() && remote.digest.is_none() {
        return Err(Diagnostic::error(NO_TAG, format!("`{remote}` needs a tag or a digest"))
            .help(format!("write `{remote}:1.0`; `{remote}:latest` if that is meant"))
            .into());
    }
    let manifest = client.manifest(remote)?;
    let other = |what: &str| -> Error {
        Diagnostic::error(WRONG_CONTENT, format!("`{remote}` is no recipe: {what}"))
            .help(format!("`mkimage push --recipe FILE {remote}` writes one"))
            .into()
    };
    let document: Value = oci::read(&manifest.bytes).map_err(|_| other("its manifest is no JSON"))?;
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    match text(&document, "artifactType") {
        Some(own) if own == RECIPE => {}
        Some(own) => return Err(other(&format!("it is of the type `{}`", crate::path::show(own.as_bytes())))),
        None => return Err(other("it is an image")),
    }
    let layers = document.get("layers").and_then(Value::as_array).map(Vec::as_slice);
    let Some([layer]) = layers else { return Err(other("it holds not one file")) };
    let digest = text(layer, "digest").and_then(|digest| digest.parse::<Digest>().ok());
    let size = layer.get("size").and_then(Value::as_u64);
    let Some((digest, size)) = digest.zip(size) else { return Err(other("its file has no good digest and size")) };
    if size > MOST {
        return Err(other(&format!("its file has {size} bytes, and a recipe at most {MOST}")));
    }
    let text = client.blob_bytes(&remote.repository, digest, size)?;
    if text.len() as u64 != size {
        return Err(other(&format!("its file has {} bytes, and is listed with {size}", text.len())));
    }
    Ok(Fetched { digest: manifest.digest, text })
}
