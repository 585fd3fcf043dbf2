//! Keys that the command line names: files, or variables of the environment.

use std::path::Path;

use mkimage::attest::sign::{LOCKED_KEY, PrivateKey, PublicKey};
use mkimage::report::{Error, Result};

use super::environment;
use super::recipes::usage;

/// A key is a few hundred bytes.
const LARGEST: u64 = 1 << 16;

/// A private key. `MKIMAGE_KEY_PASSWORD`, or else cosign's own variable, opens one that is encrypted.
pub(super) fn private(named: &str) -> Result<PrivateKey> {
    let password = ["MKIMAGE_KEY_PASSWORD", "COSIGN_PASSWORD"].into_iter().find_map(environment::variable);
    let read = PrivateKey::read(&called(named), &bytes(named)?, password.as_deref().map(str::as_bytes));
    read.map_err(|mut error| {
        for locked in error.0.iter_mut().filter(|one| one.code == LOCKED_KEY) {
            locked.helps.push("put its password into the variable MKIMAGE_KEY_PASSWORD".to_owned());
        }
        error
    })
}

/// A public key.
pub(super) fn public(named: &str) -> Result<PublicKey> {
    PublicKey::read(&called(named), &bytes(named)?)
}

fn called(named: &str) -> String {
    format!("`{}`", named.escape_debug())
}

fn bytes(named: &str) -> Result<Vec<u8>> {
    if let Some(name) = named.strip_prefix("env://") {
        let value = environment::variable(name);
        return value
            .map(String::into_bytes)
            .ok_or_else(|| usage(format!("the variable `{name}` is not set, and should hold a key")));
    }
    let path = Path::new(named);
    let read = || {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error: std::io::Error| Error::io("read", path, &error))
}
