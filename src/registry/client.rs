//! The client: which registry answers where, one request with its authorization and redirects, and its repetition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::authorization::{Access, Scope};
use super::challenge::Challenge;
use super::transport::{Body, Failure, FailureKind, Reach, Request, Response, Transport};
use super::url::{Origin, Url};
use super::{Keychain, OFFLINE, Options, Pace, Remote, Repository, UNREACHABLE, UNSAFE};
use crate::oci::Digest;
use crate::report::{Diagnostic, Error, Result};

/// How many addresses one request is sent on to.
const MOST_HOPS: usize = 5;
/// How many tokens one request may use up: one that worked may have expired.
const MOST_TOKENS: usize = 20;
/// The longest answer that is read only for what it says.
pub(super) const MOST_SAID: u64 = 64 << 10;

/// Asks registries. Shared by all threads.
#[derive(Debug)]
pub struct Client {
    pub(super) transport: Transport,
    pub(super) keychain: Keychain,
    /// Whether nothing is asked.
    offline: bool,
    insecure: bool,
    pub(super) pace: Pace,
    registries: Mutex<BTreeMap<String, Slot>>,
    warnings: Mutex<BTreeSet<String>>,
    /// Where blobs are known to be: a registry gives them to its other repositories without sending.
    known: Mutex<BTreeMap<(String, Digest), BTreeSet<Repository>>>,
    /// Tags that are read and written anew, one thread at a time.
    turns: Mutex<BTreeMap<Remote, Arc<Mutex<()>>>>,
}

/// Locked while a registry is asked for the first time.
type Slot = Arc<Mutex<Option<Arc<Registry>>>>;

/// A registry that answers.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) origin: Origin,
    pub(super) access: Access,
}

/// A request, which may be sent more than once.
pub(super) struct Ask<'a> {
    /// What is asked; completes "refuses to ...".
    pub(super) what: &'a str,
    pub(super) method: &'static str,
    pub(super) url: Url,
    pub(super) scope: &'a Scope,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: &'a dyn Fn() -> Result<Body<'a>>,
}

/// Nothing is sent along.
#[expect(clippy::unnecessary_wraps, reason = "bodies may be files that can't be read")]
pub(super) fn nothing<'a>() -> Result<Body<'a>> {
    Ok(Body::None)
}

/// Why one request has no answer.
pub(super) enum Trouble {
    /// The connection broke: it may be tried again.
    Broken(Failure),
    /// It will not be otherwise.
    Final(Error),
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// When a file of certificates can't be used.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            transport: Transport::new(&options.authorities, options.proxies, options.pace.idle)?,
            keychain: options.keychain,
            offline: options.offline,
            insecure: options.insecure,
            pace: options.pace,
            registries: Mutex::default(),
            warnings: Mutex::default(),
            known: Mutex::default(),
            turns: Mutex::default(),
        })
    }

    /// What registries said in `Warning` headers since the last call, each text once.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.warnings)).into_iter().collect()
    }

    pub(super) fn turn(&self, tag: &Remote) -> Arc<Mutex<()>> {
        Arc::clone(lock(&self.turns).entry(tag.clone()).or_default())
    }

    pub(super) fn remember(&self, repository: &Repository, digest: Digest) {
        let key = (repository.registry().to_owned(), digest);
        lock(&self.known).entry(key).or_default().insert(repository.clone());
    }

    /// Whether a repository was seen to have a blob, or was given it.
    pub(super) fn is_known(&self, repository: &Repository, digest: Digest) -> bool {
        let known = lock(&self.known);
        known.get(&(repository.registry().to_owned(), digest)).is_some_and(|known| known.contains(repository))
    }

    /// A registry has lost a blob.
    pub(super) fn forget(&self, repository: &Repository, digest: Digest) {
        if let Some(known) = lock(&self.known).get_mut(&(repository.registry().to_owned(), digest)) {
            known.remove(repository);
        }
    }

    /// Another repository of the same registry that has a blob.
    pub(super) fn elsewhere(&self, repository: &Repository, digest: Digest) -> Option<Repository> {
        let known = lock(&self.known);
        let all = known.get(&(repository.registry().to_owned(), digest))?;
        all.iter().find(|known| *known != repository).cloned()
    }

    /// The registry of a repository. It is asked once whether it is there, and how it wants to be told who asks.
    pub(super) fn registry(&self, repository: &Repository) -> Result<Arc<Registry>> {
        if self.offline {
            return Err(Diagnostic::error(OFFLINE, format!("`{repository}` has to be asked, and --offline was given"))
                .help("run it without `--offline`, or name what lies on this machine: a layout, an archive, a file")
                .into());
        }
        let slot = Arc::clone(lock(&self.registries).entry(repository.registry().to_owned()).or_default());
        let mut slot = lock(&slot);
        if let Some(known) = &*slot {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(self.contact(&repository.origin()?)?);
        *slot = Some(Arc::clone(&found));
        Ok(found)
    }

    /// `GET /v2/`. Without TLS only this machine is asked, or whom the user says; and before any credentials are read.
    fn contact(&self, origin: &Origin) -> Result<Registry> {
        let may_fall_back = self.insecure || origin.is_loopback();
        let (origin, response) = match self.ping(origin, !may_fall_back) {
            Ok(response) => (origin.clone(), response),
            Err(failure) if may_fall_back && !matches!(failure.kind, FailureKind::Untrusted | FailureKind::Unfit) => {
                let plain = Origin {
                    is_https: false,
                    port: if origin.port == 443 { 80 } else { origin.port },
                    ..origin.clone()
                };
                let response = self.ping(&plain, true).map_err(|second| {
                    unreachable(&plain, &second).note(format!("with TLS it {failure}")).into_error()
                })?;
                (plain, response)
            }
            Err(failure) => return Err(unreachable(origin, &failure).into_error()),
        };
        let challenge = (response.status == 401).then(|| Challenge::best(response.all("www-authenticate"))).flatten();
        Ok(Registry { origin, access: Access::new(challenge) })
    }

    fn ping(&self, origin: &Origin, patient: bool) -> Result<Response, Failure> {
        let url = Url::new(origin, "/v2/");
        let mut attempt = 1;
        loop {
            let request = Request { method: "GET", url: &url, headers: Vec::new(), body: Body::None };
            let wait = match self.transport.send(request, Reach::Any) {
                Ok(response) if is_passing(response.status) && attempt < self.pace.tries => {
                    self.pause(attempt, Some(&response))
                }
                Err(failure) if failure.kind == FailureKind::Broken && patient && attempt < self.pace.tries => {
                    self.pause(attempt, None)
                }
                answer => return answer,
            };
            std::thread::sleep(wait);
            attempt += 1;
        }
    }

    /// Sends a request until it has an answer that will not change by itself.
    pub(super) fn call(&self, registry: &Registry, ask: &Ask<'_>) -> Result<Response> {
        let mut attempt = 1;
        loop {
            let last = attempt >= self.pace.tries;
            let wait = match self.once(registry, ask) {
                Ok(response) if is_passing(response.status) && !last => self.pause(attempt, Some(&response)),
                Ok(response) => return Ok(response),
                Err(Trouble::Broken(_)) if !last => self.pause(attempt, None),
                Err(Trouble::Broken(failure)) => return Err(Self::gave_up(ask, &failure, attempt)),
                Err(Trouble::Final(error)) => return Err(error),
            };
            std::thread::sleep(wait);
            attempt += 1;
        }
    }

    pub(super) fn gave_up(ask: &Ask<'_>, failure: &Failure, attempts: u32) -> Error {
        let times = if attempts == 1 { "once".to_owned() } else { format!("{attempts} times") };
        unreachable(&ask.url.origin, failure).note(format!("asked: `{} {}`, {times}", ask.method, ask.url)).into_error()
    }

    /// Sends a request once, wherever it is sent on to, with a new token where the old one has expired.
    pub(super) fn once(&self, registry: &Registry, ask: &Ask<'_>) -> Result<Response, Trouble> {
        let (mut url, mut hops, mut tokens) = (ask.url.clone(), 0, 0);
        loop {
            let is_own = url.origin == registry.origin;
            let granted = if is_own { self.authorize(registry, ask.scope).map_err(Trouble::Final)? } else { None };
            let mut headers = ask.headers.clone();
            headers.extend(granted.as_ref().map(|granted| ("Authorization", granted.header.clone())));
            let reach = if is_own { Reach::Any } else { Reach::of(&registry.origin) };
            let body = (ask.body)().map_err(Trouble::Final)?;
            let request = Request { method: ask.method, url: &url, headers, body };
            let response = self.transport.send(request, reach).map_err(|failure| match failure.kind {
                FailureKind::Broken => Trouble::Broken(failure),
                // It was there a moment ago, and may be starting again.
                FailureKind::Unreachable if is_own => Trouble::Broken(failure),
                _ => Trouble::Final(Self::gave_up(ask, &failure, 1)),
            })?;
            self.hear(registry, &response);
            match response.status {
                401 if is_own && tokens < MOST_TOKENS => {
                    // A token that never worked will not work when it is new.
                    let is_worth_it = tokens == 0 || granted.as_ref().is_some_and(|granted| granted.has_worked());
                    if !is_worth_it
                        || !self.renew(registry, ask.scope, granted.as_ref(), &response).map_err(Trouble::Final)?
                    {
                        return Ok(response);
                    }
                    tokens += 1;
                }
                301 | 302 | 303 | 307 | 308 if response.header("location").is_some() => {
                    let follows = matches!(ask.method, "GET" | "HEAD") || matches!(response.status, 307 | 308);
                    if !follows || hops == MOST_HOPS {
                        return Ok(response);
                    }
                    url = onward(&url, response.header("location").unwrap_or_default(), ask).map_err(Trouble::Final)?;
                    hops += 1;
                }
                _ => {
                    if let Some(granted) = granted {
                        granted.works();
                    }
                    return Ok(response);
                }
            }
        }
    }

    /// Keeps what a registry warns of (`Warning: 299 - "text"`).
    fn hear(&self, registry: &Registry, response: &Response) {
        for warning in response.all("warning") {
            let text =
                warning.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or(warning, |(text, _)| text);
            let text: String = text.replace("\\\"", "\"").chars().take(300).collect();
            let mut warnings = lock(&self.warnings);
            if warnings.len() < 20 {
                warnings.insert(format!("`{}` warns: {}", registry.origin.host, crate::path::show(text.as_bytes())));
            }
        }
    }

    /// How long to wait before the next try: as long as the registry says, or twice as long as the last time.
    pub(super) fn pause(&self, attempt: u32, response: Option<&Response>) -> Duration {
        if let Some(asked) = response.and_then(retry_after) {
            return asked.min(self.pace.longest);
        }
        let pause = self.pace.pause.saturating_mul(1 << (attempt - 1).min(16)).min(self.pace.longest);
        pause * (900 + self.pace.spread % 200) / 1000
    }
}

/// Where a `Location` leads: never from TLS to what has none.
pub(super) fn onward(from: &Url, location: &str, ask: &Ask<'_>) -> Result<Url> {
    let shown = crate::path::show(location.split('?').next().unwrap_or_default().as_bytes());
    let Some(to) = from.join(location) else {
        return Err(Diagnostic::error(
            UNSAFE,
            format!("`{}` sends on to `{shown}`, which is no address", from.origin.host),
        )
        .note(format!("asked: `{} {}`", ask.method, ask.url))
        .into());
    };
    if from.origin.is_https && !to.origin.is_https {
        return Err(Diagnostic::error(UNSAFE, format!("`{}` sends on to `{to}`, which has no TLS", from.origin.host))
            .note(format!("asked: `{} {}`", ask.method, ask.url))
            .into());
    }
    Ok(to)
}

/// `Retry-After`, as seconds, or as a date held against the answer's own.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.header("retry-after")?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let seconds = super::date::seconds(value)?.checked_sub(super::date::seconds(response.header("date")?)?)?;
    Some(Duration::from_secs(seconds))
}

/// Whether an answer may be another one in a moment.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error on its way.
pub(super) struct Unreachable(Diagnostic);

pub(super) fn unreachable(origin: &Origin, failure: &Failure) -> Unreachable {
    let diagnostic = Diagnostic::error(UNREACHABLE, format!("`{}` {failure}", origin.place()));
    Unreachable(match failure.kind {
        FailureKind::Untrusted => diagnostic
            .help("`--registry-ca FILE` trusts the authority of a company, SSL_CERT_FILE names another bundle"),
        FailureKind::Unfit => diagnostic.help(
            "give the registry one of its own: with `basicConstraints=CA:FALSE` and its name as `subjectAltName`, signed by \
             an authority that `--registry-ca` names",
        ),
        FailureKind::NoTls if !origin.is_loopback() => {
            diagnostic.help("`--insecure` asks it without TLS: who listens on the way then reads all, passwords too")
        }
        _ => diagnostic,
    })
}

impl Unreachable {
    pub(super) fn note(mut self, text: String) -> Self {
        self.0 = self.0.note(text);
        self
    }

    pub(super) fn into_error(self) -> Error {
        self.0.into()
    }
}
