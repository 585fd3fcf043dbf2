//! Signatures under a tag of their own, `sha256-HEX.sig`: the form of cosign's first versions, and the one that the
//! policies of skopeo and Podman enforce.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use super::{PrivateKey, PublicKey};
use crate::attest::{Blob, Referrer, Subject};
use crate::oci::{self, Digest, MediaType};

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const KIND: &str = "cosign container image signature";
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The tag that the signatures of an image have.
pub fn payload_tag(image: Digest) -> String {
    format!("sha256-{}.sig", image.hex())
}

/// The signature of an image in that form. `reference` is its name with a tag: policies compare it.
pub fn sign_payload(subject: &Subject, reference: &str, key: &PrivateKey) -> Referrer {
    let payload = Blob::new(oci::canonical(&json!({
        "critical": {
            "identity": { "docker-reference": reference },
            "image": { "docker-manifest-digest": subject.digest },
            "type": KIND,
        },
        "optional": {},
    })));
    let signature = BASE64_STANDARD.encode(key.sign(&[payload.bytes()]));
    let config = Blob::new(oci::canonical(&json!({
        "architecture": "",
        "config": {},
        "created": subject.created,
        "history": [{ "created": subject.created }],
        "os": "",
        "rootfs": { "diff_ids": [payload.digest()], "type": "layers" },
    })));
    let mut layer = payload.descriptor(PAYLOAD);
    layer["annotations"] = json!({ SIGNATURE: signature });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest.to_string(),
        "config": config.descriptor(MediaType::ImageConfig.as_ref()),
        "layers": [layer],
    });
    Referrer {
        artifact_type: String::new(),
        tag: Some(payload_tag(subject.digest)),
        subject: subject.digest,
        manifest: Blob::new(oci::canonical(&manifest)),
        annotations: BTreeMap::new(),
        blobs: vec![config, payload],
    }
}

/// Whether a payload with its signature is good: `key` signed it and it is about the image.
pub(super) fn is_good(payload: &[u8], signature: &str, image: Digest, key: &PublicKey) -> bool {
    let Ok(signature) = BASE64_STANDARD.decode(signature) else { return false };
    let Ok(text) = oci::read::<Value>(payload) else { return false };
    let critical = &text["critical"];
    key.verifies(payload, &signature)
        && critical["type"] == KIND
        && critical["image"]["docker-manifest-digest"].as_str() == Some(&image.to_string())
}
