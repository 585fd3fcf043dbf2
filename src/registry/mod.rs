//! A client of registries (OCI distribution specification 1.1): images and other artifacts read, pushed and tagged.
//!
//! In: names ([`Remote`]), digests, files. Out: bytes that are what their digests say, and manifests in a registry
//! whose blobs were there before them. Blocks, keeps connections, repeats what may be repeated, goes on where a
//! transfer broke. Who asks is told to no other host, and never shown.

use std::time::Duration;

use crate::report::Code;

mod authorization;
mod beside;
mod blob_push;
mod challenge;
mod client;
mod credential_program;
mod date;
mod elsewhere;
mod login;
mod manifest;
mod pull;
mod push;
mod referrers;
mod refusal;
mod remote;
mod store;
mod transport;
mod url;

pub use blob_push::{Blob, Content, Sent};
pub use client::Client;
pub use elsewhere::Elsewhere;
pub use login::{CredentialFile, Keychain};
pub use manifest::Manifest;
pub use push::{Document, Job, Moved, Pushed, Rules};
pub use referrers::Referrer;
pub use remote::{Remote, Repository, SCHEME};
pub use store::open;
pub use transport::{Authorities, Proxies};

/// A text is no name of something in a registry.
pub const BAD_NAME: Code = Code("E0600");
/// A registry can't be reached, or breaks the connection again and again.
pub const UNREACHABLE: Code = Code("E0601");
/// A registry does not let this user do it.
pub const UNAUTHORIZED: Code = Code("E0602");
/// A registry does not have it.
pub const NOT_FOUND: Code = Code("E0603");
/// A registry does not do what it is asked.
pub const REFUSED: Code = Code("E0604");
/// What a registry gives is not what was asked for.
pub const WRONG_CONTENT: Code = Code("E0605");
/// A file of credentials or a credential program can't be used.
pub const BAD_CREDENTIALS: Code = Code("E0606");
/// A registry sends a request to where it may not go.
pub const UNSAFE: Code = Code("E0607");
/// A tag is there already, and may not be moved.
pub const IMMUTABLE: Code = Code("E0608");
/// A push says no tag.
pub const NO_TAG: Code = Code("E0609");
/// A file of certificates can't be used.
pub const BAD_CERTIFICATES: Code = Code("E0610");
/// A registry is needed, and none may be asked.
pub const OFFLINE: Code = Code("E0611");

/// How registries are asked.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where names and passwords are.
    pub keychain: Keychain,
    /// Whose certificates are trusted.
    pub authorities: Authorities,
    /// Proxies.
    pub proxies: Proxies,
    /// Whether no registry may be asked at all: then whatever needs one is an error.
    pub offline: bool,
    /// Whether any registry may be asked without TLS; else this machine's own alone.
    pub insecure: bool,
    /// How often and how long is waited.
    pub pace: Pace,
}

/// How often something is tried, and what is waited for how long.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Tries of one request that makes no progress.
    pub tries: u32,
    /// The pause after the first; each further one is twice as long.
    pub pause: Duration,
    /// The longest pause, also when a registry asks for a longer one.
    pub longest: Duration,
    /// How long a connection may be silent.
    pub idle: Duration,
    /// Makes pauses up to a tenth longer or shorter: many machines that were cut off together do not come back together
    /// when each has its own.
    pub spread: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            tries: 5,
            pause: Duration::from_millis(500),
            longest: Duration::from_mins(1),
            idle: Duration::from_mins(1),
            spread: 100,
        }
    }
}
