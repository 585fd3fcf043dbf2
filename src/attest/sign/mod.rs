//! Signatures with a key, in the two forms that verifiers read: a payload under a tag of its own, which skopeo's and
//! Podman's policies enforce, and a bundle that refers to the image, which cosign writes since version 3.
//!
//! In: a key, and what is signed. Out: manifests with their blobs; or whether those that are there are good. ECDSA on
//! P-256 with SHA-256, the nonce made from key and message (RFC 6979): the same signature each time.

use crate::report::Code;

mod bundle;
mod key;
mod payload;
mod verify;

pub use bundle::{BUNDLE, PREDICATE, bundle, sign_bundle, stated};
pub use key::{PrivateKey, PublicKey};
pub use payload::{payload_tag, sign_payload};
pub use verify::{Attached, Checked, check};

/// A file holds no key of the kind that signs or verifies here.
pub const BAD_KEY: Code = Code("E0701");
/// A private key is encrypted, and its password is missing or wrong.
pub const LOCKED_KEY: Code = Code("E0702");
/// An image has no signature of a key.
pub const NOT_SIGNED: Code = Code("E0703");
/// An image has no provenance that can be had.
pub const NO_PROVENANCE: Code = Code("E0706");
