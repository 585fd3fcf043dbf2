//! Keys: PEM files in, and what signs and verifies out. Private keys as PKCS#8 or SEC 1 have them, or encrypted as
//! cosign writes them; public keys as `SubjectPublicKeyInfo`.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use p256::ecdsa::signature::{MultipartSigner, Verifier};
use p256::ecdsa::{DerSignature, Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey, LineEnding};
use serde::Deserialize;

use super::{BAD_KEY, LOCKED_KEY};
use crate::oci::Digest;
use crate::report::{Diagnostic, Error, Result};

/// What `openssl` and `cosign` make such keys with.
const HELP: &str = "keys are ECDSA on P-256 in PEM, as `cosign generate-key-pair` makes them, or \
    `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`";

/// A private key.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey of {}", self.public().fingerprint())
    }
}

impl PrivateKey {
    /// Reads a private key, which errors call `name`. `password` opens one that is encrypted.
    ///
    /// # Errors
    /// When it is no key of P-256, or the password is missing or wrong.
    pub fn read(name: &str, pem: &[u8], password: Option<&[u8]>) -> Result<Self> {
        let bad = |why: &str| Error::from(Diagnostic::error(BAD_KEY, format!("{name} {why}")).help(HELP));
        let text = std::str::from_utf8(pem).map_err(|_| bad("is no PEM file"))?;
        let Some((label, body)) = block(text) else { return Err(bad("is no PEM file")) };
        match label {
            "PRIVATE KEY" | "EC PRIVATE KEY" => {
                let key = p256::SecretKey::from_pem(text.trim()).map_err(|_| bad("holds no private key of P-256"))?;
                Ok(Self(SigningKey::from(key)))
            }
            "ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY" => {
                let encrypted: Encrypted = BASE64_STANDARD
                    .decode(&body)
                    .ok()
                    .and_then(|json| serde_json::from_slice(&json).ok())
                    .ok_or_else(|| bad("is not encrypted as cosign does it"))?;
                let locked = |why: &str| Error::from(Diagnostic::error(LOCKED_KEY, format!("{name} {why}")));
                let Some(password) = password else { return Err(locked("is encrypted, and no password was given")) };
                let plain = encrypted.open(password).map_err(|why| match why {
                    Closed::Form => bad("is not encrypted as cosign does it"),
                    Closed::Password => locked("does not open with the password that was given"),
                })?;
                let key = SigningKey::from_pkcs8_der(&plain).map_err(|_| bad("holds no private key of P-256"))?;
                Ok(Self(key))
            }
            "ENCRYPTED PRIVATE KEY" => Err(bad("is encrypted by PKCS#8's own means, which is not read here")),
            other => Err(bad(&format!("holds `{}`, which is no private key", other.escape_debug()))),
        }
    }

    /// The public key that goes with it.
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// The signature of the bytes that these parts make together, in DER.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> Vec<u8> {
        let signature: Signature = self.0.multipart_sign(parts);
        signature.to_der().as_bytes().to_vec()
    }
}

impl PublicKey {
    /// Reads a public key, which errors call `name`.
    ///
    /// # Errors
    /// When it is no key of P-256.
    pub fn read(name: &str, pem: &[u8]) -> Result<Self> {
        let bad = |why: &str| Error::from(Diagnostic::error(BAD_KEY, format!("{name} {why}")).help(HELP));
        let text = std::str::from_utf8(pem).map_err(|_| bad("is no PEM file"))?;
        let key = VerifyingKey::from_public_key_pem(text.trim());
        key.map(Self).map_err(|_| bad("holds no public key of P-256"))
    }

    /// It as PEM.
    pub fn pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).unwrap_or_default()
    }

    /// SHA-256 of its `SubjectPublicKeyInfo`.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der())
    }

    fn der(&self) -> Vec<u8> {
        self.0.to_public_key_der().map(|der| der.as_bytes().to_vec()).unwrap_or_default()
    }

    /// By what a bundle tells its reader which key to take.
    pub(super) fn hint(&self) -> String {
        use sha2::Digest as _;
        let hash: [u8; 32] = sha2::Sha256::digest(self.der()).into();
        BASE64_STANDARD.encode(hash)
    }

    /// Whether a signature in DER is of these bytes and this key.
    pub(super) fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        DerSignature::try_from(signature).is_ok_and(|signature| self.0.verify(bytes, &signature).is_ok())
    }
}

/// The label of the first block of a PEM text, and its body in one line.
fn block(text: &str) -> Option<(&str, String)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    Some((label, body.split_whitespace().collect()))
}

/// What cosign puts into the PEM block of an encrypted key.
#[derive(Deserialize)]
struct Encrypted {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Why a key stays closed.
enum Closed {
    /// It is of another form.
    Form,
    /// The password does not fit.
    Password,
}

impl Encrypted {
    /// The key in PKCS#8, by scrypt and NaCl's secretbox.
    fn open(&self, password: &[u8]) -> Result<Vec<u8>, Closed> {
        // 1 GiB of memory, which no one has asked for yet: cosign takes 64 MiB.
        let Params { n, r, p } = self.kdf.params;
        let sound = n.is_power_of_two() && n > 1 && (1..=64).contains(&r) && (1..=16).contains(&p);
        if self.kdf.name != "scrypt" || self.cipher.name != "nacl/secretbox" || !sound || n > (1 << 23) / u64::from(r) {
            return Err(Closed::Form);
        }
        let decode = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| Closed::Form);
        let (salt, nonce, sealed) = (decode(&self.kdf.salt)?, decode(&self.cipher.nonce)?, decode(&self.ciphertext)?);
        let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| Closed::Form)?;
        let params = scrypt::Params::new(log_n, r, p).map_err(|_| Closed::Form)?;
        let mut key = [0; 32];
        scrypt::scrypt(password, &salt, &params, &mut key).map_err(|_| Closed::Form)?;
        let nonce: [u8; 24] = nonce.try_into().map_err(|_| Closed::Form)?;
        open_box(&key, &nonce, &sealed).ok_or(Closed::Password)
    }
}

/// NaCl's `crypto_secretbox_open`: XSalsa20, whose first 32 bytes are the key of Poly1305.
fn open_box(key: &[u8; 32], nonce: &[u8; 24], sealed: &[u8]) -> Option<Vec<u8>> {
    use poly1305::universal_hash::KeyInit;
    use salsa20::cipher::{KeyIvInit, StreamCipher};
    let (tag, text) = sealed.split_at_checked(16)?;
    let mut stream = [&[0; 32], text].concat();
    let mut cipher = salsa20::XSalsa20::new(&(*key).into(), &(*nonce).into());
    // The key of the tag comes first; the text itself is decrypted only when the tag is right.
    let mut tag_key = [0; 32];
    cipher.apply_keystream(&mut tag_key);
    let right = poly1305::Poly1305::new(&tag_key.into()).compute_unpadded(text);
    if right.as_slice() != tag {
        return None;
    }
    let plain = &mut stream[32..];
    cipher.apply_keystream(plain);
    Some(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `cosign generate-key-pair` 2.5 with the password `secret`, and of no use anywhere else.
    const COSIGN: &str = include_str!("../../../tests/it/support/cosign.key");
    const COSIGN_PUBLIC: &str = include_str!("../../../tests/it/support/cosign.pub");

    fn code<T>(result: Result<T>) -> String {
        result.map_or_else(|error| error.0[0].code.to_string(), |_| "none".to_owned())
    }

    #[test]
    fn cosign_s_encrypted_key_opens_with_its_password_alone() {
        let locked = LOCKED_KEY.to_string();
        let key = PrivateKey::read("`k`", COSIGN.as_bytes(), Some(b"secret")).unwrap();
        assert_eq!(key.public(), PublicKey::read("`k`", COSIGN_PUBLIC.as_bytes()).unwrap());
        assert_eq!(key.public().pem().trim(), COSIGN_PUBLIC.trim());
        assert_eq!(code(PrivateKey::read("`k`", COSIGN.as_bytes(), Some(b"other"))), locked);
        assert_eq!(code(PrivateKey::read("`k`", COSIGN.as_bytes(), None)), locked);
        let signature = key.sign(&[b"text"]);
        assert_eq!(signature, key.sign(&[b"text"]));
        assert!(key.public().verifies(b"text", &signature));
        assert!(!key.public().verifies(b"texu", &signature) && !key.public().verifies(b"text", b"x"));
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        let bad = BAD_KEY.to_string();
        let rsa = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        for text in ["", "x", rsa, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", COSIGN_PUBLIC] {
            assert_eq!(code(PrivateKey::read("`k`", text.as_bytes(), None)), bad, "{text}");
        }
        assert_eq!(code(PublicKey::read("`k`", b"\xff")), bad);
        let title = PrivateKey::read("`k.pem`", rsa.as_bytes(), None).unwrap_err().0[0].title.clone();
        assert_eq!(title, "`k.pem` holds `RSA PRIVATE KEY`, which is no private key");
        // A password that takes all memory is no password.
        let greedy = r#"{"kdf":{"name":"scrypt","params":{"N":1073741824,"r":8,"p":1},"salt":""},
            "cipher":{"name":"nacl/secretbox","nonce":""},"ciphertext":""}"#;
        let body = BASE64_STANDARD.encode(greedy.as_bytes());
        let label = "ENCRYPTED SIGSTORE PRIVATE KEY";
        let text = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        assert_eq!(code(PrivateKey::read("`k`", text.as_bytes(), Some(b"x"))), bad);
    }
}
