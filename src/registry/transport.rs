//! One request and its answer, over HTTP/1.1: proxies, certificates, time limits. Follows nothing and repeats nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::http;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, NextTimeout, RustlsConnector, TcpConnector};

use super::BAD_CERTIFICATES;
use super::url::{Origin, Url};
use crate::report::{Diagnostic, Result, plain};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(30);
/// Connections that are kept open: as many as there are transfers at once, and some.
const KEPT: usize = 16;

/// Proxies, as the environment's variables name them.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For addresses with TLS.
    pub https: Option<String>,
    /// For those without.
    pub http: Option<String>,
    /// Hosts that are reached without one: `host`, `.domain`, `*`, between commas.
    pub none_for: String,
}

/// Certificates of authorities.
#[derive(Debug, Clone, Default)]
pub struct Authorities {
    /// Files in PEM form; all of them count.
    pub files: Vec<PathBuf>,
}

/// A request.
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    pub(super) url: &'a Url,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body<'a>,
}

/// What is sent along.
pub(super) enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    Stream { reader: Box<dyn Read + 'a>, size: u64 },
}

/// An answer.
pub(super) struct Response {
    pub(super) status: u16,
    headers: http::HeaderMap,
    body: ureq::Body,
}

/// Why there is no answer. `Display` completes "`HOST` ...".
#[derive(Debug)]
pub(super) struct Failure {
    why: String,
    pub(super) kind: FailureKind,
}

/// What may be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The connection broke, or nothing came for too long: worth another try.
    Broken,
    /// Nobody listens there, or nobody knows the name.
    Unreachable,
    /// It speaks no TLS.
    NoTls,
    /// Its certificate is not to be trusted.
    Untrusted,
    /// Its certificate is none that a server may have, whoever is trusted.
    Unfit,
    /// What it says can't be used.
    Unusable,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Sends requests. Connections are kept and used again.
pub(super) struct Transport {
    proxies: Proxies,
    idle: Duration,
    roots: RootCerts,
    crypto: Arc<rustls::crypto::CryptoProvider>,
    agents: Mutex<BTreeMap<(Option<String>, Reach), ureq::Agent>>,
}

/// Which addresses a request may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// All: the user named the host.
    Any,
    /// Those of the private network and of the internet, not this machine's own: a registry inside named the host.
    Network,
    /// Those of the internet: a registry of the internet named the host.
    Internet,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    pub(super) fn new(authorities: &Authorities, proxies: Proxies, idle: Duration) -> Result<Self> {
        let mut certificates = Vec::new();
        for path in &authorities.files {
            let bad = |why: String| Diagnostic::error(BAD_CERTIFICATES, format!("`{}` {why}", path.display()));
            let text = std::fs::read(path).map_err(|error| bad(format!("can't be read: {}", plain(&error))))?;
            let before = certificates.len();
            certificates.extend(ureq::tls::parse_pem(&text).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            }));
            if certificates.len() == before {
                return Err(bad("has no certificate in PEM form".to_owned()).into());
            }
        }
        let certificates: Vec<Certificate<'static>> = certificates;
        Ok(Self {
            proxies,
            idle,
            roots: RootCerts::from(certificates),
            crypto: Arc::new(rustls::crypto::ring::default_provider()),
            agents: Mutex::default(),
        })
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) fn send(&self, request: Request<'_>, reach: Reach) -> Result<Response, Failure> {
        let agent = self.agent(&request.url.origin, reach)?;
        let mut builder = http::Request::builder().method(request.method).uri(request.url.full());
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let unusable =
            |error: &http::Error| Failure { why: format!("can't be asked: {error}"), kind: FailureKind::Unusable };
        let answer = match request.body {
            // Without a length, some servers wait for a body.
            Body::None if matches!(request.method, "POST" | "PUT" | "PATCH") => {
                agent.run(builder.body(&[][..]).map_err(|error| unusable(&error))?)
            }
            Body::None => agent.run(builder.body(()).map_err(|error| unusable(&error))?),
            Body::Bytes(bytes) => agent.run(builder.body(bytes).map_err(|error| unusable(&error))?),
            Body::Stream { mut reader, size } => {
                let builder = builder.header("Content-Length", size);
                let body = ureq::SendBody::from_reader(&mut reader);
                agent.run(builder.body(body).map_err(|error| unusable(&error))?)
            }
        };
        let (head, body) = answer.map_err(|error| self.failure(&error))?.into_parts();
        Ok(Response { status: head.status.as_u16(), headers: head.headers, body })
    }

    fn agent(&self, origin: &Origin, reach: Reach) -> Result<ureq::Agent, Failure> {
        let proxy = self.proxy(origin);
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&(proxy.clone(), reach)) {
            return Ok(agent.clone());
        }
        let bad =
            |_| Failure { why: "can't be asked: its proxy is no address".to_owned(), kind: FailureKind::Unusable };
        let through = proxy.as_deref().map(ureq::Proxy::new).transpose().map_err(bad)?;
        let tls = TlsConfig::builder()
            .root_certs(self.roots.clone())
            .unversioned_rustls_crypto_provider(Arc::clone(&self.crypto))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .proxy(through)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .allow_non_standard_methods(true)
            .user_agent(concat!("mkimage/", env!("CARGO_PKG_VERSION")))
            // Blobs are what their digests say: nothing on the way may change how they are encoded.
            .accept_encoding("identity")
            .timeout_connect(Some(CONNECT))
            .timeout_resolve(Some(CONNECT))
            .timeout_per_read(Some(self.idle))
            .timeout_per_write(Some(self.idle))
            .input_buffer_size(256 << 10)
            .output_buffer_size(256 << 10)
            .max_idle_connections(KEPT)
            .max_idle_connections_per_host(KEPT)
            .build();
        let connector =
            ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(RustlsConnector::default());
        // Names are the proxy's to resolve, where there is one.
        let reach_here = if proxy.is_some() { Reach::Any } else { reach };
        let agent =
            ureq::Agent::with_parts(config, connector, Guard { reach: reach_here, names: DefaultResolver::default() });
        agents.insert((proxy, reach), agent.clone());
        Ok(agent)
    }

    /// The proxy for an address.
    fn proxy(&self, origin: &Origin) -> Option<String> {
        let proxy = if origin.is_https { &self.proxies.https } else { &self.proxies.http };
        let proxy = proxy.clone().filter(|proxy| !proxy.is_empty())?;
        let host = origin.host.trim_start_matches('[').trim_end_matches(']');
        let is_direct = |entry: &str| {
            let entry = entry.trim().trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
            let entry = entry.strip_suffix(&format!(":{}", origin.port)).unwrap_or(&entry);
            entry == "*" || (!entry.is_empty() && (host == entry || host.ends_with(&format!(".{entry}"))))
        };
        let direct = origin.is_loopback() || self.proxies.none_for.split(',').any(is_direct);
        (!direct).then_some(proxy)
    }

    fn failure(&self, error: &ureq::Error) -> Failure {
        let (why, kind) = match error {
            ureq::Error::Io(error) => return io_failure(error),
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                (format!("does not answer within {} s", CONNECT.as_secs()), FailureKind::Unreachable)
            }
            ureq::Error::Timeout(_) => {
                (format!("sends and takes nothing for {} s", self.idle.as_secs()), FailureKind::Broken)
            }
            ureq::Error::HostNotFound => ("is a host that nobody knows".to_owned(), FailureKind::Unreachable),
            ureq::Error::Rustls(error) => tls_failure(error),
            ureq::Error::Protocol(error) => (format!("does not speak HTTP: {error}"), FailureKind::Unusable),
            other => (format!("can't be asked: {other}"), FailureKind::Unusable),
        };
        Failure { why, kind }
    }
}

fn io_failure(error: &io::Error) -> Failure {
    if let Some(inner) = error.get_ref() {
        if let Some(error) = inner.downcast_ref::<rustls::Error>() {
            let (why, kind) = tls_failure(error);
            return Failure { why, kind };
        }
        if inner.is::<NotAllowed>() {
            return Failure { why: inner.to_string(), kind: FailureKind::Unusable };
        }
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            Failure { why: "refuses the connection".to_owned(), kind: FailureKind::Unreachable }
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Failure { why: format!("can't be reached: {}", plain(error)), kind: FailureKind::Unreachable }
        }
        _ if error.to_string().contains("lookup address") => {
            Failure { why: "is a host that nobody knows".to_owned(), kind: FailureKind::Unreachable }
        }
        _ => Failure { why: format!("breaks the connection: {}", plain(error)), kind: FailureKind::Broken },
    }
}

fn tls_failure(error: &rustls::Error) -> (String, FailureKind) {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(why)) => {
            // What the verifier has no word for here, it tells by the name of its own error alone.
            match why.0.to_string().as_str() {
                "CaUsedAsEndEntity" => (
                    "has a certificate that no server may have: it is marked as that of an authority (CA:TRUE)"
                        .to_owned(),
                    FailureKind::Unfit,
                ),
                other => (format!("has a certificate that is not taken: {}", words(other)), FailureKind::Unfit),
            }
        }
        rustls::Error::InvalidCertificate(why) => {
            let why = match why {
                rustls::CertificateError::UnknownIssuer => "its issuer is not known here".to_owned(),
                rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => {
                    "it has expired, or this machine's clock is wrong".to_owned()
                }
                rustls::CertificateError::NotValidYet | rustls::CertificateError::NotValidYetContext { .. } => {
                    "it is not valid yet, or this machine's clock is wrong".to_owned()
                }
                rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. } => {
                    "it is of another host".to_owned()
                }
                rustls::CertificateError::BadEncoding => "it is malformed".to_owned(),
                rustls::CertificateError::BadSignature => {
                    "its signature is not that of the issuer which it names".to_owned()
                }
                rustls::CertificateError::Revoked => "it was revoked".to_owned(),
                other => words(&other.to_string()),
            };
            (format!("has a certificate that is not trusted: {why}"), FailureKind::Untrusted)
        }
        rustls::Error::InvalidMessage(_) => ("speaks no TLS".to_owned(), FailureKind::NoTls),
        other => (format!("can't agree on TLS: {other}"), FailureKind::Untrusted),
    }
}

/// `UnhandledCriticalExtension` as a person writes it; other texts as they are.
fn words(name: &str) -> String {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return name.to_owned();
    }
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

impl Response {
    /// The first value of a header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// How long the body is, where the answer says it.
    pub(super) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// The body as a stream. What is behind `most` bytes is not read.
    pub(super) fn into_reader(self, most: u64) -> impl Read {
        self.body.into_with_config().limit(u64::MAX).reader().take(most)
    }

    /// The body, whole; `None` when it is longer than `most`.
    pub(super) fn into_bytes(self, most: u64) -> Result<Option<Vec<u8>>, Failure> {
        if self.length().is_some_and(|length| length > most) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        self.into_reader(most + 1).read_to_end(&mut bytes).map_err(|error| io_failure(&error))?;
        Ok((bytes.len() as u64 <= most).then_some(bytes))
    }
}

/// What breaks while a body is read.
pub(super) fn broken(error: &io::Error) -> Failure {
    io_failure(error)
}

/// Resolves names, and refuses addresses that are out of reach.
#[derive(Debug)]
struct Guard {
    reach: Reach,
    names: DefaultResolver,
}

#[derive(Debug, thiserror::Error)]
#[error("has the address {0}, to which no registry may send others")]
struct NotAllowed(IpAddr);

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        match found.iter().find(|address| !self.reach.allows(address.ip())) {
            Some(address) => Err(ureq::Error::Io(io::Error::other(NotAllowed(address.ip())))),
            None => Ok(found),
        }
    }
}

impl Reach {
    pub(super) fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let (own, private) = match address {
            IpAddr::V4(v4) => (v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(), v4.is_private()),
            IpAddr::V6(v6) => {
                (v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified(), v6.is_unique_local())
            }
        };
        match self {
            Self::Any => true,
            Self::Network => !own,
            Self::Internet => !own && !private,
        }
    }

    /// How far a host may send others: as far as it is itself. One that can't be resolved here is asked through a
    /// proxy.
    pub(super) fn of(origin: &Origin) -> Self {
        let host = origin.host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<IpAddr> = (host, origin.port)
            .to_socket_addrs()
            .map(|found| found.map(|address| address.ip()).collect())
            .unwrap_or_default();
        [Self::Internet, Self::Network]
            .into_iter()
            .find(|reach| addresses.iter().all(|address| reach.allows(*address)))
            .unwrap_or(Self::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_and_the_hosts_without() {
        let proxies = Proxies {
            https: Some("http://proxy.example:3128".to_owned()),
            http: None,
            none_for: "internal.example, .corp.example,10.0.0.1".to_owned(),
        };
        let transport = Transport::new(&Authorities::default(), proxies, CONNECT).unwrap();
        let goes_round = |url: &str| transport.proxy(&Url::parse(url).unwrap().origin).is_some();
        assert!(goes_round("https://registry.example/"));
        assert!(goes_round("https://notinternal.example/"));
        for direct in [
            "https://internal.example/",
            "https://a.internal.example/",
            "https://a.corp.example/",
            "https://10.0.0.1/",
            "https://127.0.0.1:5000/",
            "https://[::1]/",
            "http://registry.example/",
        ] {
            assert!(!goes_round(direct), "{direct}");
        }
    }

    #[test]
    fn certificates_are_refused_in_words() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Said(&'static str);
        let other = |name| rustls::CertificateError::Other(rustls::OtherError(std::sync::Arc::new(Said(name))));
        let told = |why| tls_failure(&rustls::Error::InvalidCertificate(why));
        let (why, kind) = told(other("CaUsedAsEndEntity"));
        assert_eq!(why, "has a certificate that no server may have: it is marked as that of an authority (CA:TRUE)");
        assert_eq!(kind, FailureKind::Unfit);
        let (why, _) = told(other("PathLenConstraintViolated"));
        assert_eq!(why, "has a certificate that is not taken: path len constraint violated");
        let (why, kind) = told(rustls::CertificateError::UnhandledCriticalExtension);
        assert_eq!(why, "has a certificate that is not trusted: unhandled critical extension");
        assert_eq!(kind, FailureKind::Untrusted);
        let (why, _) = told(rustls::CertificateError::UnknownIssuer);
        assert_eq!(why, "has a certificate that is not trusted: its issuer is not known here");
    }

    #[test]
    fn how_far_a_registry_may_send_others() {
        let allows = |reach: Reach, address: &str| reach.allows(address.parse().unwrap());
        for own in ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "0.0.0.0", "::ffff:127.0.0.1"] {
            assert!(!allows(Reach::Internet, own) && !allows(Reach::Network, own) && allows(Reach::Any, own), "{own}");
        }
        for inside in ["10.1.2.3", "192.168.0.1", "172.16.0.1", "fd00::1"] {
            assert!(!allows(Reach::Internet, inside) && allows(Reach::Network, inside), "{inside}");
        }
        assert!(allows(Reach::Internet, "192.0.2.1"));
        assert_eq!(Reach::of(&Url::parse("http://127.0.0.1:5000/").unwrap().origin), Reach::Any);
    }
}
