//! Which registries keep layers for all who build.

use std::sync::Arc;

use mkimage::cache::Cache;
use mkimage::layer::{Layer, RemoteCache, Trust};
use mkimage::registry::Remote;
use mkimage::report::{Result, Texts, counted};

use super::console::Console;
use super::environment;
use super::registries::RegistryArgs;
use super::summary::megabytes;

/// Caches of layers in registries.
#[derive(Debug, Default, clap::Args)]
pub(super) struct RemoteCacheArgs {
    /// Look for layers in this repository of a registry before packing them, repeatable.
    #[arg(id = "cache_from", long = "cache-from", value_name = "REF", conflicts_with_all = ["no_cache", "offline"])]
    from: Vec<String>,
    /// Fetch every layer that is found so, and compare it with the files: also where a repository could take it over
    /// unseen.
    #[arg(id = "cache_verify", long = "cache-verify", requires = "cache_from")]
    verify: bool,
    /// Add the layers of what is built to this repository of a registry, repeatable.
    #[arg(id = "cache_to", long = "cache-to", value_name = "REF", conflicts_with_all = ["no_cache", "offline"])]
    to: Vec<String>,
}

impl RemoteCacheArgs {
    /// Whether a registry is to be asked.
    pub(super) fn is_given(&self) -> bool {
        !self.from.is_empty() || !self.to.is_empty()
    }

    /// The caches.
    pub(super) fn open(&self, registries: &RegistryArgs) -> Result<Arc<RemoteCache>> {
        let clients = (&registries.client()?, &registries.hasty_client()?);
        let names = |texts: &[String]| texts.iter().map(|text| Remote::parse(text)).collect::<Result<Vec<_>>>();
        let trust = if self.verify { Trust::Nobody } else { Trust::Writers };
        RemoteCache::new(clients, &names(&self.from)?, &names(&self.to)?, trust).map(Arc::new)
    }
}

/// Adds the layers of an image that is in its places, and says what there is to say of the caches.
pub(super) fn publish(remote: &RemoteCache, layers: &[Layer], cache: &Cache, console: &Console) {
    let published = remote.publish(layers, cache, &environment::temporary());
    let warnings = remote.warnings();
    if !warnings.is_empty() {
        console.show(&warnings, &Texts::default());
    }
    if console.verbose > 1 && published.entries > 0 {
        let (entries, sent) = (counted(published.entries, "layer"), megabytes(published.sent));
        console.say(&format!("cache: {entries} added to registries, {sent} sent for them"));
    }
}
