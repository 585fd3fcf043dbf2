//! Who asks: names and passwords from the files that `docker login`, `podman login` and others write, and from the
//! programs that those files name.
//!
//! In: the files, in the order in which they count. Out: a [`Login`] for a repository, and where it came from. Nothing
//! of it is ever shown.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde::Deserialize;

use super::credential_program::{self, Answer};
use super::{BAD_CREDENTIALS, Repository};
use crate::report::{Diagnostic, Error, Result, plain};

/// The largest file that is read.
const MOST_BYTES: u64 = 1 << 20;
/// What Docker calls its own registry in these files.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A file of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialFile {
    /// Where it is.
    pub path: PathBuf,
    /// By what the user named it, as `--creds-file`: then it has to be there.
    pub named_by: Option<&'static str>,
}

/// Where credentials are looked for.
#[derive(Debug, Clone, Default)]
pub struct Keychain {
    /// Files, the first that has an entry for a registry counts.
    pub files: Vec<CredentialFile>,
    /// The folders in which the programs are that files name, as PATH has them.
    pub search_path: OsString,
}

/// What a registry is told of who asks.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// Nothing.
    Anonymous,
    /// Name and password.
    Password { user: String, secret: String },
    /// A token with which others are got (`OAuth2`'s refresh token).
    Identity(String),
    /// A token that is sent as it is.
    Token(String),
}

/// A login and where it is from.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) login: Login,
    /// Completes "credentials: ".
    pub(super) source: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Password { .. } => "Password",
            Self::Identity(_) => "Identity",
            Self::Token(_) => "Token",
        })
    }
}

/// What of such a file is read. Other keys are other programs'.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Contents {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Keychain {
    /// The login for a repository: of the first file that has one.
    pub(super) fn find(&self, repository: &Repository) -> Result<Found> {
        let (mut looked, mut asked) = (Vec::new(), Vec::new());
        for file in &self.files {
            let Some(contents) = read(file)? else { continue };
            if let Some(found) = self.in_file(&file.path, &contents, repository, &mut asked)? {
                return Ok(found);
            }
            looked.push(format!("`{}`", file.path.display()));
        }
        let source = match looked.as_slice() {
            [] => "none, as there is no file of them".to_owned(),
            looked => format!("none, as {} has no entry for `{}`", looked.join(", "), repository.registry()),
        };
        let source = match asked.as_slice() {
            [] => source,
            asked => format!("{source}, and {} keeps none", asked.join(", ")),
        };
        Ok(Found { login: Login::Anonymous, source })
    }

    /// The login that a file has, or a program that it names; programs that keep none are told of.
    fn in_file(
        &self,
        path: &Path,
        contents: &Contents,
        repository: &Repository,
        asked: &mut Vec<String>,
    ) -> Result<Option<Found>> {
        let names = names(repository);
        let own =
            contents.cred_helpers.iter().find(|(key, _)| names.last().is_some_and(|host| host == &plain_key(key)));
        let programs = own.map(|(_, program)| program).into_iter().chain(&contents.creds_store);
        for program in programs.filter(|program| !program.is_empty()) {
            let server = if repository.registry() == "docker.io" { DOCKER_HUB } else { repository.registry() };
            let source = format!("from `docker-credential-{program}`, which `{}` names", path.display());
            let answer = credential_program::ask(program, server, &self.search_path);
            match answer.map_err(|why| {
                bad(&format!(
                    "`docker-credential-{program}`, which `{}` names, {why}",
                    crate::path::show(path.display().to_string().as_bytes())
                ))
            })? {
                Answer::None(said) => {
                    let said = if said.is_empty() { said } else { format!(" (which says: {said})") };
                    asked.push(format!("`docker-credential-{program}`{said}"));
                }
                Answer::Login { user, secret } if user == "<token>" => {
                    return Ok(Some(Found { login: Login::Identity(secret), source }));
                }
                Answer::Login { user, secret } => {
                    return Ok(Some(Found { login: Login::Password { user, secret }, source }));
                }
            }
        }
        let entry = names.iter().find_map(|name| contents.auths.iter().find(|(key, _)| &plain_key(key) == name));
        let Some((key, entry)) = entry else { return Ok(None) };
        let source = format!("from `{}`, entry `{}`", path.display(), crate::path::show(key.as_bytes()));
        let login = entry.login().map_err(|why| {
            bad(&format!("entry `{}` of `{}` {why}", crate::path::show(key.as_bytes()), path.display()))
        })?;
        Ok(login.map(|login| Found { login, source }))
    }
}

impl Entry {
    /// `None` where a program keeps what belongs here. The error completes "entry ...".
    fn login(&self) -> Result<Option<Login>, &'static str> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Login::Token(token)));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Login::Identity(token)));
        }
        if let (Some(user), Some(secret)) = (given(&self.username), given(&self.password)) {
            return Ok(Some(Login::Password { user, secret }));
        }
        let Some(auth) = given(&self.auth) else { return Ok(None) };
        let auth = auth.trim_end_matches('=');
        let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(auth);
        let text =
            bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or("has an `auth` that is no base64")?;
        let text = text.trim_end_matches('\0');
        let (user, secret) = text.split_once(':').ok_or("has an `auth` without a `:` in it")?;
        Ok(Some(Login::Password { user: user.to_owned(), secret: secret.to_owned() }))
    }
}

/// What entries for a repository may be called, the longest first.
fn names(repository: &Repository) -> Vec<String> {
    let mut name = repository.to_string();
    let mut names = vec![name.clone()];
    while let Some(end) = name.rfind('/') {
        name.truncate(end);
        names.push(name.clone());
    }
    names
}

/// A key without the scheme and the version of the API that older programs wrote.
fn plain_key(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let name = bare.unwrap_or(key).trim_end_matches('/');
    let name = match bare {
        Some(_) => name.strip_suffix("/v1").or_else(|| name.strip_suffix("/v2")).unwrap_or(name),
        None => name,
    };
    match name {
        "index.docker.io" | "index.docker.io/v1" | "registry-1.docker.io" => "docker.io".to_owned(),
        name => name.to_owned(),
    }
}

fn read(file: &CredentialFile) -> Result<Option<Contents>> {
    let path = &file.path;
    let opened = match std::fs::File::open(path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.named_by.is_none() => return Ok(None),
        Err(error) => {
            let by = file.named_by.map_or_else(String::new, |by| format!(", which {by} names,"));
            return Err(bad(&format!("`{}`{by} can't be read: {}", path.display(), plain(&error))));
        }
    };
    let mut text = Vec::new();
    let read = opened.take(MOST_BYTES + 1).read_to_end(&mut text);
    read.map_err(|error| bad(&format!("`{}` can't be read: {}", path.display(), plain(&error))))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(bad(&format!("`{}` has more than {MOST_BYTES} bytes", path.display())));
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Some(Contents::default()));
    }
    // The parser's own message may quote what it read.
    crate::oci::read(&text).map(Some).map_err(|error| {
        bad(&format!(
            "`{}` is no file of credentials: it goes wrong in line {}, column {}",
            path.display(),
            error.line(),
            error.column()
        ))
    })
}

fn bad(what: &str) -> Error {
    Diagnostic::error(BAD_CREDENTIALS, what)
        .help("`docker login` or `podman login` writes such a file; `--creds-file FILE` names another")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Remote;

    fn find(text: &str, name: &str) -> Found {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        let keychain = Keychain {
            files: vec![CredentialFile { path, named_by: Some("--creds-file") }],
            search_path: OsString::new(),
        };
        keychain.find(&Remote::parse(name).unwrap().repository).unwrap()
    }

    fn password(user: &str, secret: &str) -> Login {
        Login::Password { user: user.to_owned(), secret: secret.to_owned() }
    }

    #[test]
    fn the_longest_name_counts() {
        let text = r#"{"auths": {
            "registry.example": {"auth": "YTpob3N0"},
            "registry.example/team": {"auth": "YTp0ZWFt"},
            "https://other.example:5000/v2/": {"username": "u", "password": "p:q"},
            "https://index.docker.io/v1/": {"identitytoken": "id"},
            "tokens.example": {"auth": "YTpi", "registrytoken": "t"},
            "empty.example": {}
        }}"#;
        assert_eq!(find(text, "registry.example/app").login, password("a", "host"));
        assert_eq!(find(text, "registry.example/team/app").login, password("a", "team"));
        assert_eq!(find(text, "registry.example/teams/app").login, password("a", "host"));
        assert_eq!(find(text, "other.example:5000/x").login, password("u", "p:q"));
        assert_eq!(find(text, "nginx").login, Login::Identity("id".to_owned()));
        assert_eq!(find(text, "tokens.example/x").login, Login::Token("t".to_owned()));
        assert_eq!(find(text, "empty.example/x").login, Login::Anonymous);
        assert_eq!(find(text, "other.example/x").login, Login::Anonymous);
        assert_eq!(format!("{:?}", find(text, "registry.example/app").login), "Password");
    }

    #[test]
    fn broken_files_are_named_and_not_quoted() {
        for text in [
            "{\"auths\": {\"registry.example\": {\"auth\": \"secret\"",
            "7",
            r#"{"auths": {"registry.example": {"auth": "c2VjcmV0"}}}"#,
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("config.json");
            std::fs::write(&path, text).unwrap();
            let keychain = Keychain {
                files: vec![CredentialFile { path, named_by: Some("--creds-file") }],
                search_path: OsString::new(),
            };
            let error = keychain.find(&Remote::parse("registry.example/x").unwrap().repository).unwrap_err();
            assert!(error.0[0].title.contains("config.json"), "{error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}
