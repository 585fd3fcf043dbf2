//! Which registries keep layers for all who build.

use std::sync::Arc;

use mkimage::cache::Cache;
use mkimage::layer::{Layer, RemoteCache};
use mkimage::registry::{Client, Remote};
use mkimage::report::{Result, Texts, counted};

use super::console::Console;
use super::environment;
use super::summary::megabytes;

/// Caches of layers in registries.
#[derive(Debug, Default, clap::Args)]
pub(super) struct RemoteCacheArgs {
    /// Look for layers in this repository of a registry before packing them, repeatable.
    #[arg(long, value_name = "REF", conflicts_with = "no_cache")]
    cache_from: Vec<String>,
    /// Add the layers of what is built to this repository of a registry, repeatable.
    #[arg(long, value_name = "REF", conflicts_with = "no_cache")]
    cache_to: Vec<String>,
}

impl RemoteCacheArgs {
    /// Whether a registry is to be asked.
    pub(super) fn is_given(&self) -> bool {
        !self.cache_from.is_empty() || !self.cache_to.is_empty()
    }

    /// The caches, asked by `client`.
    pub(super) fn open(&self, client: &Arc<Client>) -> Result<Arc<RemoteCache>> {
        let names = |texts: &[String]| texts.iter().map(|text| Remote::parse(text)).collect::<Result<Vec<_>>>();
        RemoteCache::new(client, &names(&self.cache_from)?, &names(&self.cache_to)?).map(Arc::new)
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
