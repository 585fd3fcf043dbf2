//! Files that are no business of an image: private keys, stored passwords, version control.
//!
//! Only files that no package owns are looked at: test keys and examples of packages are public. A name alone counts
//! where it can mean nothing else; otherwise the content decides, of files up to a limit.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use bstr::ByteSlice;
use memchr::memmem;
use rayon::prelude::*;

use super::rules::SECRETS;
use super::{Finding, Judge, tokens};
use crate::inventory::Standing;
use crate::path::ImagePath;
use crate::recipe::Verdict;
use crate::report::{Error, Result, Span};
use crate::source::ownership::State;
use crate::source::{Content, Stamp};
use crate::tree::{Entry, Rank};

/// The most bytes of a file that is looked into: keys and lists of passwords are small.
const LOOKED_INTO: u64 = 256 << 10;

impl Judge<'_> {
    /// One finding for files, and one for what the recipe writes into the image's configuration.
    pub(super) fn secrets(&self) -> Result<Vec<Finding>> {
        Ok(self.secret_files()?.into_iter().chain(self.secret_values()).collect())
    }

    fn secret_values(&self) -> Option<Finding> {
        let (verdict, set_at) = self.asks(&SECRETS)?;
        let config = &self.facts.recipe.config;
        let mut found: Vec<(String, &'static str, Span)> = Vec::new();
        let tables = [("env", &config.env), ("labels", &config.labels), ("annotations", &config.annotations)];
        for (table, values) in tables {
            for (name, value) in values {
                let by_name =
                    || (table == "env" && tokens::names_secret(name, &value.value)).then_some("a secret by its name");
                let what = in_value(&value.value).or_else(by_name);
                found.extend(what.map(|what| (format!("{table}.{name}"), what, value.span)));
            }
        }
        for (key, words) in [("entrypoint", &config.entrypoint), ("cmd", &config.cmd)] {
            for word in words.iter().flatten() {
                found.extend(in_value(&word.value).map(|what| (key.to_owned(), what, word.span)));
            }
        }
        let (name, what, _) = found.first()?;
        let summary = match verdict {
            Verdict::Deny => {
                format!("policy forbids a secret, and the image's configuration has one in `{name}`, {what}")
            }
            _ => format!("{}: `{name}`", SECRETS.counted(found.len())),
        };
        let mut finding = Finding::new(&SECRETS, verdict, summary);
        finding.set_at = set_at;
        finding.asked_at = found.iter().map(|(_, what, span)| (*span, (*what).to_owned())).take(3).collect();
        finding.notes.push("whoever has the image can read its configuration".to_owned());
        finding
            .helps
            .push("give it to the container when it runs: as a mounted file, or in the environment".to_owned());
        Some(finding)
    }

    fn secret_files(&self) -> Result<Option<Finding>> {
        if self.asks(&SECRETS).is_none() {
            return Ok(None);
        }
        let files: Vec<_> = self.tree.iter().filter(|(path, entry)| self.may_be_secret(path, entry)).collect();
        let repositories: BTreeSet<ImagePath> = files.iter().filter_map(|(path, _)| repository(path)).collect();
        let searched = self.facts.searched;
        let look = |(path, entry): &(&ImagePath, &Entry)| -> Result<Option<(ImagePath, String)>> {
            let Some(content) = entry.content().filter(|_| repository(path).is_none()) else { return Ok(None) };
            let what = searched.once(path, content)?;
            Ok(what.map(|what| ((*path).clone(), what.to_owned())))
        };
        let found: Vec<Option<_>> = files.par_iter().map(look).collect::<Result<_>>()?;
        let repositories = repositories.into_iter().map(|path| (path, "a repository's history".to_owned()));
        let mut broken: Vec<(ImagePath, String)> = found.into_iter().flatten().chain(repositories).collect();
        broken.sort();
        let mut finding = self.found(&SECRETS, broken);
        if let Some(finding) = &mut finding {
            let help = "leave it out with `exclude`, and give the container its secrets when it runs";
            finding.helps.push(help.to_owned());
        }
        Ok(finding)
    }

    fn may_be_secret(&self, path: &ImagePath, entry: &Entry) -> bool {
        let looked_at = match self.facts.inventory.standing(path) {
            Standing::Owned(_, State::Installed) => false,
            // An administrator may have written a password into a configuration file.
            Standing::Owned(..) | Standing::Changed(_) | Standing::Unowned | Standing::NotOfRoot => true,
        };
        // What Python compiled says nothing that the module beside it does not say; there are thousands of them.
        let compiled = path.name().ends_with(b".pyc");
        looked_at && !compiled && entry.rank != Rank::Generated && entry.content().is_some()
    }
}

/// The `.git` that a path is or lies in.
fn repository(path: &ImagePath) -> Option<ImagePath> {
    std::iter::once(path.clone()).chain(path.ancestors()).filter(|above| above.name() == b".git").last()
}

/// What was found in files, each as it was when it was looked at: images have most of them in common.
#[derive(Debug, Default)]
pub struct Searched(Mutex<HashMap<(Stamp, ImagePath), Option<&'static str>>>);

impl Searched {
    /// What is secret about a file, found out at the first question.
    fn once(&self, path: &ImagePath, content: &Content) -> Result<Option<&'static str>> {
        let Some(stamp) = content.stamp() else { return look_at(path, content) };
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (stamp, path.clone());
        if let Some(known) = lock().get(&key) {
            return Ok(*known);
        }
        let found = look_at(path, content)?;
        lock().insert(key, found);
        Ok(found)
    }
}

/// What is secret about a file.
fn look_at(path: &ImagePath, content: &Content) -> Result<Option<&'static str>> {
    if let Some(what) = secret_name(path) {
        return Ok(Some(what));
    }
    if content.size() > LOOKED_INTO {
        return Ok(None);
    }
    let bytes = content.read(LOOKED_INTO).map_err(|error| {
        let place = content.host_path().unwrap_or_else(|| path.to_string().into());
        Error::io("read", &place, &error)
    })?;
    Ok(secret_content(path, &bytes))
}

/// What a name can only mean.
fn secret_name(path: &ImagePath) -> Option<&'static str> {
    let name = path.name();
    let environment = |name: &[u8]| {
        let stage = name.strip_prefix(b".env").filter(|rest| rest.is_empty() || rest[0] == b'.');
        stage.is_some_and(|stage| [b"".as_slice(), b".local", b".production", b".prod", b".staging"].contains(&stage))
    };
    match name {
        b"id_rsa" | b"id_dsa" | b"id_ecdsa" | b"id_ed25519" | b"id_ecdsa_sk" | b"id_ed25519_sk" => {
            Some("an SSH private key")
        }
        b".git-credentials" | b".pgpass" | b".vault-token" => Some("stored credentials"),
        _ if environment(name) => Some("settings of one deployment"),
        _ if name.ends_with(b".p12") || name.ends_with(b".pfx") => Some("a key store"),
        _ => None,
    }
}

/// What the content of a file is, together with its name.
fn secret_content(path: &ImagePath, bytes: &[u8]) -> Option<&'static str> {
    let has = |needle: &str| memmem::find(bytes, needle.as_bytes()).is_some();
    if has_private_key(bytes) {
        return Some("a private key");
    }
    if let Some(token) = tokens::find(bytes) {
        return Some(token);
    }
    let parent = path.parent();
    let folder = parent.as_ref().map_or(b"".as_slice(), |folder| folder.name());
    match (folder, path.name()) {
        (_, b".npmrc") => assigns(bytes, &["_authToken", "_auth", "_password"]).then_some("an npm token"),
        (_, b".netrc" | b"_netrc") => has("password").then_some("stored passwords"),
        (_, b".pypirc") => assigns(bytes, &["password"]).then_some("stored passwords"),
        (b".aws", b"credentials") => assigns(bytes, &["aws_secret_access_key"]).then_some("AWS credentials"),
        (b".docker", b"config.json") | (_, b".dockercfg" | b".dockerconfigjson") => {
            (has("\"auth\"") || has("\"identitytoken\"")).then_some("registry credentials")
        }
        (b".kube", b"config") => (has("client-key-data:") || has("token:")).then_some("cluster credentials"),
        // `{"auths": {}}` holds none.
        (_, b"auth.json") => {
            let is_held = has("\"auth\"") || has("\"identitytoken\"");
            (has("\"auths\"") && is_held).then_some("registry credentials")
        }
        (_, b".htpasswd" | b"htpasswd") => {
            // bcrypt, MD5 and the like; SHA-1; of crypt(3) thirteen characters.
            let crypt = |line: &[u8]| {
                line.rsplit_once_str(":")
                    .is_some_and(|(_, hash)| hash.len() == 13 && hash.is_ascii() && !hash.contains(&b' '))
            };
            let is_held = has(":$") || has(":{SHA}") || bytes.lines().any(crypt);
            is_held.then_some("password hashes")
        }
        (b"etc", b"shadow" | b"shadow-" | b"gshadow" | b"gshadow-") => has(":$").then_some("password hashes"),
        // A key that is no PEM file; public ones, of DNSSEC and PGP, use the same ending.
        (_, name) if name.ends_with(b".key") => {
            let public = has("PUBLIC KEY") || has("BEGIN CERTIFICATE") || has("DNSKEY") || bytes.starts_with(b"PK");
            (!public && !bytes.is_empty()).then_some("a key")
        }
        _ => None,
    }
}

/// What is secret in a value of the configuration.
fn in_value(text: &str) -> Option<&'static str> {
    if has_private_key(text.as_bytes()) {
        return Some("a private key");
    }
    tokens::find(text.as_bytes()).or_else(|| tokens::has_password_in_url(text).then_some("a password in an address"))
}

/// Whether a line gives one of the keys a value that is no reference to the environment (`${NPM_TOKEN}`).
fn assigns(bytes: &[u8], keys: &[&str]) -> bool {
    bytes.lines().any(|line| {
        let Some((key, value)) = line.split_once_str("=").or_else(|| line.split_once_str(":")) else { return false };
        let (key, value) = (key.trim_ascii(), value.trim_ascii());
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        keys.iter().any(|wanted| key.ends_with(wanted.as_bytes())) && !value.is_empty() && !value.starts_with(b"$")
    })
}

/// Whether a PEM private key is in it: the line that begins one, followed by Base64, as such or in a JSON string.
/// Programs and texts that only speak of such lines have no Base64 after them.
fn has_private_key(bytes: &[u8]) -> bool {
    /// Base64 digits of the shortest key: Ed25519 in PKCS#8.
    const SHORTEST: usize = 48;
    memmem::find_iter(bytes, b"PRIVATE KEY").any(|at| {
        let (before, after) = (&bytes[..at], &bytes[at + b"PRIVATE KEY".len()..]);
        // `-----BEGIN RSA PRIVATE KEY-----`, `-----BEGIN PGP PRIVATE KEY BLOCK-----`
        let label = before.rfind("-----BEGIN ").map(|start| &before[start + 11..]);
        let labelled = label.is_some_and(|l| l.len() < 20 && l.iter().all(|b| b.is_ascii_uppercase() || *b == b' '));
        let after = after.strip_prefix(b" BLOCK").unwrap_or(after);
        let Some(body) = after.strip_prefix(b"-----").filter(|_| labelled) else { return false };
        let body = &body[..body.find("-----").unwrap_or(body.len()).min(1 << 13)];
        body_lines(body).filter(|line| is_base64(line)).map(<[u8]>::len).sum::<usize>() >= SHORTEST
    })
}

/// The lines of a PEM body, which end in a newline or, inside a string of another language, in `\n` spelled out.
fn body_lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.lines().flat_map(|line| line.split_str("\\n")).map(<[u8]>::trim_ascii)
}

fn is_base64(line: &[u8]) -> bool {
    line.len() >= 4 && line.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, content: &str) -> Option<&'static str> {
        let path = ImagePath::new(path).unwrap();
        look_at(&path, &Content::bytes(content)).unwrap()
    }

    const BODY: &str = "MC4CAQAwBQYDK2VwBCIEIDjJwdqZ9oJPXgFTU3+KoOuNYNLsu1zkFAKE0123456A";

    #[test]
    fn private_keys() {
        let key = format!("-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----\n");
        assert_eq!(at("/app/server.pem", &key), Some("a private key"));
        assert_eq!(at("/app/server.pem", &key.replace('\n', "\r\n")), Some("a private key"));
        let json = format!("{{\"private_key\": \"{}\"}}", key.replace('\n', "\\n"));
        assert_eq!(at("/app/account.json", &json), Some("a private key"));
        let encrypted = format!("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{BODY}\n-----END");
        assert_eq!(at("/app/a", &encrypted), Some("a private key"));
        let pgp = format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{BODY}\n-----END PGP");
        assert_eq!(at("/app/a.asc", &pgp), Some("a private key"));
    }

    #[test]
    fn what_only_speaks_of_keys() {
        let program = "if text.startswith('-----BEGIN PRIVATE KEY-----'):\n    return load_the_private_key_of_a_server_from(text)\n";
        assert_eq!(at("/app/keys.py", program), None);
        assert_eq!(
            at("/app/t.py", "pem = '-----BEGIN PRIVATE KEY-----\\n' + body + '\\n-----END PRIVATE KEY-----'"),
            None
        );
        let public = format!("-----BEGIN PUBLIC KEY-----\n{BODY}\n-----END PUBLIC KEY-----\n");
        assert_eq!(at("/app/release.key", &public), None);
        assert_eq!(at("/app/id_rsa.pub", "ssh-rsa AAAA"), None);
        assert_eq!(at("/app/.env.example", "A=b"), None);
        assert_eq!(at("/app/.npmrc", "//registry.example/:_authToken=${NPM_TOKEN}\n"), None);
        assert_eq!(at("/root/.docker/config.json", "{\"credsStore\": \"pass\"}"), None);
        assert_eq!(at("/etc/shadow", "root:*:19000:0:99999:7:::\n"), None);
        assert_eq!(at("/srv/.htpasswd", "# no user: yet\n"), None);
        assert_eq!(at("/root/auth.json", "{\"auths\": {}}"), None);
        assert_eq!(at("/app/i18n/auth.json", "{\"auth\": \"Log in\"}"), None);
    }

    #[test]
    fn names_and_words() {
        for (path, content, what) in [
            ("/root/.ssh/id_ed25519", "", "an SSH private key"),
            ("/app/.env", "A=b", "settings of one deployment"),
            ("/app/.npmrc", "//registry.example/:_authToken=npm_x\n", "an npm token"),
            ("/root/.netrc", "machine a login b password c", "stored passwords"),
            ("/root/.aws/credentials", "aws_secret_access_key = x", "AWS credentials"),
            ("/root/.docker/config.json", "{\"auths\": {\"a\": {\"auth\": \"eA==\"}}}", "registry credentials"),
            ("/etc/shadow", "root:$y$j9T$x:19000:0:99999:7:::\n", "password hashes"),
            ("/srv/.htpasswd", "# users\nann:$apr1$x$y\n", "password hashes"),
            ("/etc/nginx/htpasswd", "ann:rqXexS6ZhobKA\n", "password hashes"),
            (
                "/root/.config/containers/auth.json",
                "{\"auths\": {\"a\": {\"auth\": \"eA==\"}}}",
                "registry credentials",
            ),
            ("/app/tls.key", "\u{1}\u{2}", "a key"),
        ] {
            assert_eq!(at(path, content), Some(what), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(head: String, tail: Vec<u8>) {
            let bytes = [head.as_bytes(), b"-----BEGIN PRIVATE KEY-----", &tail].concat();
            let _ = has_private_key(&bytes);
        }
    }
}
