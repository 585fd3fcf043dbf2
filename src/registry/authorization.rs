//! What a registry is told of who asks: a password with each request, or a token that another address gives for one
//! repository. Tokens are fetched once, however many threads want one, and anew when they have expired.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use serde::Deserialize;

use super::challenge::Challenge;
use super::client::{Client, MOST_SAID, Registry, is_passing, lock, unreachable};
use super::login::{Found, Login};
use super::refusal::message;
use super::transport::{Body, FailureKind, Reach, Request, Response};
use super::url::{Url, escape};
use super::{Repository, UNAUTHORIZED, UNSAFE};
use crate::report::{Diagnostic, Error, Result};

/// How often a request for a token is sent on.
const MOST_HOPS: usize = 3;

/// What is going to be done with a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    pub(super) repository: Repository,
    pub(super) right: Right,
    /// Repositories of the same registry from which blobs are taken over.
    pub(super) also: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    Pull,
    Push,
}

impl Scope {
    pub(super) fn pull(repository: &Repository) -> Self {
        Self { repository: repository.clone(), right: Right::Pull, also: Vec::new() }
    }

    pub(super) fn push(repository: &Repository) -> Self {
        Self { repository: repository.clone(), right: Right::Push, also: Vec::new() }
    }

    fn words(&self) -> Vec<String> {
        let rights = if self.right == Right::Push { "pull,push" } else { "pull" };
        let own = format!("repository:{}:{rights}", self.repository.path());
        std::iter::once(own).chain(self.also.iter().map(|path| format!("repository:{path}:pull"))).collect()
    }
}

/// What is known of how a registry lets users in.
#[derive(Debug)]
pub(super) struct Access {
    challenge: Mutex<Option<Challenge>>,
    logins: Mutex<BTreeMap<Repository, Found>>,
    granted: Mutex<BTreeMap<Scope, Arc<Granted>>>,
}

/// A value of `Authorization`.
pub(super) struct Granted {
    pub(super) header: String,
    worked: AtomicBool,
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Granted")
    }
}

impl Granted {
    fn new(header: String) -> Arc<Self> {
        Arc::new(Self { header, worked: AtomicBool::new(false) })
    }

    pub(super) fn works(&self) {
        self.worked.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_worked(&self) -> bool {
        self.worked.load(Ordering::Relaxed)
    }
}

impl Access {
    pub(super) fn new(challenge: Option<Challenge>) -> Self {
        Self { challenge: Mutex::new(challenge), logins: Mutex::default(), granted: Mutex::default() }
    }
}

/// The answer of a server of tokens.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

impl Client {
    /// Where the login for a repository is from, for what is told of a refusal.
    pub(super) fn login(&self, registry: &Registry, repository: &Repository) -> Result<Found> {
        if let Some(found) = lock(&registry.access.logins).get(repository) {
            return Ok(found.clone());
        }
        let found = self.keychain.find(repository)?;
        lock(&registry.access.logins).insert(repository.clone(), found.clone());
        Ok(found)
    }

    /// The authorization for a scope; none where the registry wants none, or there is none to give.
    pub(super) fn authorize(&self, registry: &Registry, scope: &Scope) -> Result<Option<Arc<Granted>>> {
        let Some(challenge) = lock(&registry.access.challenge).clone() else { return Ok(None) };
        // Held while a token is fetched: who comes meanwhile takes that one.
        let mut granted = lock(&registry.access.granted);
        if let Some(known) = granted.get(scope) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(fresh) = self.grant(registry, scope, &challenge)? else { return Ok(None) };
        granted.insert(scope.clone(), Arc::clone(&fresh));
        Ok(Some(fresh))
    }

    /// After a 401: whether there is another authorization now than the one that was refused.
    pub(super) fn renew(
        &self,
        registry: &Registry,
        scope: &Scope,
        refused: Option<&Arc<Granted>>,
        response: &Response,
    ) -> Result<bool> {
        let Some(challenge) =
            Challenge::best(response.all("www-authenticate")).or_else(|| lock(&registry.access.challenge).clone())
        else {
            return Ok(false);
        };
        *lock(&registry.access.challenge) = Some(challenge.clone());
        let mut granted = lock(&registry.access.granted);
        match (granted.get(scope), refused) {
            // Another thread was faster.
            (Some(known), Some(refused)) if !Arc::ptr_eq(known, refused) => return Ok(true),
            (Some(_), None) => return Ok(true),
            _ => {}
        }
        let Some(fresh) = self.grant(registry, scope, &challenge)? else { return Ok(false) };
        let is_new = refused.is_none_or(|refused| refused.header != fresh.header);
        granted.insert(scope.clone(), fresh);
        Ok(is_new)
    }

    fn grant(&self, registry: &Registry, scope: &Scope, challenge: &Challenge) -> Result<Option<Arc<Granted>>> {
        let found = self.login(registry, &scope.repository)?;
        Ok(match (challenge, &found.login) {
            (_, Login::Token(token)) => Some(Granted::new(format!("Bearer {token}"))),
            (Challenge::Basic, Login::Password { user, secret }) => Some(Granted::new(basic(user, secret))),
            (Challenge::Basic, _) => None,
            (Challenge::Bearer { realm, service, scope: asked }, _) => {
                let mut words = scope.words();
                // A registry may call its rights otherwise.
                words.extend(asked.iter().filter(|asked| !words.contains(asked)).cloned().collect::<Vec<_>>());
                let token = self.token(registry, realm, service.as_deref(), &words, &found)?;
                Some(Granted::new(format!("Bearer {token}")))
            }
        })
    }

    /// Asks for a token.
    fn token(
        &self,
        registry: &Registry,
        realm: &str,
        service: Option<&str>,
        scopes: &[String],
        found: &Found,
    ) -> Result<String> {
        let realm_shown = crate::path::show(realm.split('?').next().unwrap_or_default().as_bytes());
        let unsafe_realm = |why: &str| -> Error {
            Diagnostic::error(UNSAFE, format!("`{}` has its tokens from `{realm_shown}`, {why}", registry.origin.host))
                .note("no credentials were sent there")
                .into()
        };
        let mut url = Url::parse(realm).ok_or_else(|| unsafe_realm("which is no address"))?;
        let mut hops = 0;
        let first = url.origin.clone();
        let mut attempt = 1;
        let mut parameters: Vec<(&str, &str)> = service.iter().map(|service| ("service", *service)).collect();
        parameters.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
        let form = if let Login::Identity(token) = &found.login {
            let scopes = scopes.join(" ");
            let pairs = [
                ("grant_type", "refresh_token"),
                ("client_id", "mkimage"),
                ("refresh_token", token),
                ("scope", &scopes),
            ];
            let pairs = pairs.into_iter().chain(service.map(|service| ("service", service)));
            Some(pairs.map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&"))
        } else {
            url = parameters.iter().fold(url, |url, (name, value)| url.and(name, value));
            None
        };
        loop {
            Self::may_ask(registry, &url, found).map_err(unsafe_realm)?;
            let mut headers = Vec::new();
            if let Login::Password { user, secret } = &found.login
                && url.origin == first
            {
                headers.push(("Authorization", basic(user, secret)));
            }
            let is_own = url.origin == registry.origin;
            let reach = if is_own { Reach::Any } else { Reach::of(&registry.origin) };
            let request = match &form {
                Some(form) => {
                    headers.push(("Content-Type", "application/x-www-form-urlencoded".to_owned()));
                    Request { method: "POST", url: &url, headers, body: Body::Bytes(form.as_bytes()) }
                }
                None => Request { method: "GET", url: &url, headers, body: Body::None },
            };
            let last = attempt >= self.pace.tries;
            let response = match self.transport.send(request, reach) {
                Ok(response) if is_passing(response.status) && !last => Err(self.pause(attempt, Some(&response))),
                Err(failure) if failure.kind == FailureKind::Broken && !last => Err(self.pause(attempt, None)),
                Ok(response) => Ok(response),
                Err(failure) => {
                    let note = format!("`{}` has its tokens from `{url}`", registry.origin.host);
                    return Err(unreachable(&url.origin, &failure).note(note).into_error());
                }
            };
            let response = match response {
                Ok(response) => response,
                Err(pause) => {
                    std::thread::sleep(pause);
                    attempt += 1;
                    continue;
                }
            };
            let location = response.header("location").map(str::to_owned);
            match (response.status, location) {
                (200, _) => return read(response).map_err(|why| denied(registry, &url, 200, &why, found)),
                (301 | 302 | 303 | 307 | 308, Some(location)) if form.is_none() && hops < MOST_HOPS => {
                    url = url.join(&location).ok_or_else(|| unsafe_realm("which sends on to what is no address"))?;
                    hops += 1;
                }
                (status, _) => {
                    let said = message(response);
                    return Err(denied(registry, &url, status, &said, found));
                }
            }
        }
    }

    /// Whether a server of tokens may be asked, with what is known of who asks. The error completes "has its tokens
    /// from `REALM`, ...".
    fn may_ask(registry: &Registry, url: &Url, found: &Found) -> Result<(), &'static str> {
        if url.origin == registry.origin {
            return Ok(());
        }
        if !url.origin.is_https && (registry.origin.is_https || !matches!(found.login, Login::Anonymous)) {
            return Err("another server, without TLS");
        }
        match url.origin.address() {
            Some(address) if !Reach::of(&registry.origin).allows(address) => Err("an address inside of this network"),
            _ => Ok(()),
        }
    }
}

fn basic(user: &str, secret: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}")))
}

/// The token of an answer. The error completes "... answers with ...".
fn read(response: Response) -> Result<String, String> {
    let bytes = response.into_bytes(MOST_SAID).map_err(|failure| failure.to_string())?;
    let bytes = bytes.ok_or_else(|| format!("an answer of more than {MOST_SAID} bytes"))?;
    let answer: Answer = crate::oci::read(&bytes).map_err(|_| "an answer that is no JSON".to_owned())?;
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token).unwrap_or_default();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("an answer without a token".to_owned());
    }
    Ok(token)
}

fn denied(registry: &Registry, url: &Url, status: u16, said: &str, found: &Found) -> Error {
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let host = &registry.origin.place();
    let code = if is_passing(status) { super::REFUSED } else { UNAUTHORIZED };
    let error = Diagnostic::error(code, format!("no token for `{host}` is to be had{said}"))
        .note(format!("asked: `{url}`, answered with {status}"))
        .note(format!("credentials: {}", found.source));
    if code == UNAUTHORIZED { error.help(super::refusal::log_in(host)).into() } else { error.into() }
}
