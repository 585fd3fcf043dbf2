//! A certificate authority of the suite's own, as a company has one, and a certificate of `localhost` made by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::call::Call;

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/// Makes `ca.pem`, `server.pem` and `server.key` in `folder`, the key readable by the users that containers have.
pub(crate) fn make(folder: &Path) {
    let openssl = || Call::new("openssl").bare().folder(folder);
    openssl()
        .args(["req", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=a company's root"])
        .args(["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"])
        .args(KEY)
        .text();
    openssl()
        .args(["req", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(KEY)
        .text();
    openssl()
        .args(["x509", "-req", "-days", "2", "-in", "server.csr", "-out", "server.pem", "-copy_extensions", "copyall"])
        .args(["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"])
        .text();
    let key = folder.join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("the suite owns the key");
}
