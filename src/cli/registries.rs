//! What the command line and the environment say of registries.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mkimage::registry::{Authorities, Client, CredentialFile, Keychain, Options, Pace, Proxies};
use mkimage::report::{Error, Result};

use super::console::Console;
use super::environment::{self, variable};

/// How registries are asked.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct RegistryArgs {
    /// Take logins of registries from this file, in the form of Docker's config.json.
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    creds_file: Option<PathBuf>,
    /// Trust the authorities in this file for registries, repeatable: PEM.
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    registry_ca: Vec<PathBuf>,
    /// Ask registries without TLS where they have none; those of this machine are asked so anyway.
    #[arg(long, help_heading = HEADING)]
    insecure: bool,
    /// Ask no registry: what would need one is an error.
    #[arg(long, help_heading = HEADING)]
    offline: bool,
    /// Shared by all that these arguments were given to.
    #[arg(skip)]
    client: Arc<OnceLock<Arc<Client>>>,
}

const HEADING: &str = "Registries";

/// Variables by which a process with another home finds the logins of this one's.
pub(super) fn logins_without_home() -> Vec<(&'static str, PathBuf)> {
    let Some(home) = variable("HOME").map(PathBuf::from) else { return Vec::new() };
    let places = [("DOCKER_CONFIG", ".docker"), ("XDG_CONFIG_HOME", ".config")];
    let unset = places.into_iter().filter(|(name, _)| variable(name).is_none());
    unset.map(|(name, folder)| (name, home.join(folder))).collect()
}

/// How long is waited for what can be done without.
const HASTY: Duration = Duration::from_secs(5);

/// Where systems keep the authorities that they trust.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl RegistryArgs {
    /// The client of this command: one, so that connections, tokens and what is known of blobs are shared.
    pub(super) fn client(&self) -> Result<Arc<Client>> {
        if let Some(client) = self.client.get() {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(Client::new(self.options())?);
        Ok(Arc::clone(self.client.get_or_init(|| client)))
    }

    /// A client that gives up soon: for what can be done without.
    pub(super) fn hasty_client(&self) -> Result<Arc<Client>> {
        let options = self.options();
        let pace = Pace { tries: 3, longest: HASTY, idle: HASTY, ..options.pace };
        Client::new(Options { pace, ..options }).map(Arc::new)
    }

    /// The same arguments for a process in another folder.
    pub(super) fn again(&self) -> Result<Vec<OsString>> {
        let whole = |path: &PathBuf| std::path::absolute(path).map_err(|error| Error::io("find", path, &error));
        let mut again: Vec<OsString> = Vec::new();
        if let Some(file) = &self.creds_file {
            again.extend(["--creds-file".into(), whole(file)?.into()]);
        }
        for file in &self.registry_ca {
            again.extend(["--registry-ca".into(), whole(file)?.into()]);
        }
        again.extend(self.insecure.then(|| OsString::from("--insecure")));
        again.extend(self.offline.then(|| OsString::from("--offline")));
        Ok(again)
    }

    /// Shows what registries warned of.
    #[expect(clippy::unused_self, reason = "who asks registries has these arguments at hand")]
    pub(super) fn say_warnings(&self, client: &Client, console: &Console) {
        for warning in client.warnings() {
            console.say(&format!("warning: {warning}"));
        }
    }

    fn options(&self) -> Options {
        let proxy = |name: &str| variable(&name.to_lowercase()).or_else(|| variable(name));
        let all = proxy("ALL_PROXY");
        // In CGI, HTTP_PROXY is what a client sent as a header; only its lower-case form is a setting.
        let http = variable("http_proxy").or_else(|| all.clone());
        Options {
            keychain: self.keychain(),
            authorities: Authorities { files: self.authorities() },
            proxies: Proxies {
                https: proxy("HTTPS_PROXY").or(all),
                http,
                none_for: proxy("NO_PROXY").unwrap_or_default(),
            },
            insecure: self.insecure,
            offline: self.offline,
            pace: Pace { spread: std::process::id(), ..Pace::default() },
        }
    }

    /// The files of logins, in the order in which users know them.
    fn keychain(&self) -> Keychain {
        let folder = |name: &str| variable(name).map(PathBuf::from);
        let home = || folder("HOME");
        let files = [
            folder("DOCKER_CONFIG").map(|folder| folder.join("config.json")),
            folder("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
            folder("XDG_CONFIG_HOME")
                .or_else(|| home().map(|home| home.join(".config")))
                .map(|folder| folder.join("containers/auth.json")),
            home().map(|home| home.join(".docker/config.json")),
        ];
        let own = self.creds_file.clone().map(|path| (path, Some("--creds-file")));
        let named = own.into_iter().chain(folder("REGISTRY_AUTH_FILE").map(|path| (path, Some("REGISTRY_AUTH_FILE"))));
        let all = named.chain(files.into_iter().flatten().map(|path| (path, None)));
        let mut files: Vec<CredentialFile> = all.map(|(path, named_by)| CredentialFile { path, named_by }).collect();
        let mut seen = std::collections::BTreeSet::new();
        files.retain(|file| seen.insert(file.path.clone()));
        Keychain { files, search_path: environment::search_path() }
    }

    /// The bundle of this machine, or the one that the environment names, and those of the command line.
    fn authorities(&self) -> Vec<PathBuf> {
        let own = variable("SSL_CERT_FILE").map(PathBuf::from);
        let system = || BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file());
        own.or_else(system).into_iter().chain(self.registry_ca.iter().cloned()).collect()
    }
}
