//! The image configuration (OCI image specification, `config.md`).

use std::collections::BTreeMap;

use oci_spec::image::{
    Config as Parameters, ConfigBuilder, History, HistoryBuilder, ImageConfigurationBuilder, RootFs,
};
use serde_json::{Value, json};

use super::{BAD_CONFIG, Facts, merged};
use crate::layer::{self, Layer};
use crate::path::ImagePath;
use crate::recipe::{Config, Healthcheck};
use crate::report::{Diagnostic, Error, Result, Span, Spanned};

/// Where programs are looked up in an image whose recipe does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The configuration as JSON.
pub(super) fn document(
    layers: &[Layer],
    config: &Config,
    facts: &Facts,
    created: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Value> {
    let mut rootfs = RootFs::default();
    rootfs.set_diff_ids(layers.iter().map(|layer| layer.diff_id.to_string()).collect());
    let mut builder = ImageConfigurationBuilder::default()
        .architecture(facts.platform.architecture.as_str())
        .os(facts.platform.os.as_str())
        .created(created)
        .config(parameters(config, facts, labels)?)
        .rootfs(rootfs)
        .history(layers.iter().map(|layer| history(layer, created)).collect::<Result<Vec<_>>>()?);
    if let Some(variant) = &facts.platform.variant {
        builder = builder.variant(variant.as_str());
    }
    let document = builder.build().map_err(Error::internal)?;
    let mut document = serde_json::to_value(document).map_err(Error::internal)?;
    // Docker's addition; the specification reserves the key but has no type for it.
    if let Some(check) = &config.healthcheck {
        document["config"]["Healthcheck"] = healthcheck(check);
    }
    Ok(document)
}

/// The execution parameters.
fn parameters(config: &Config, facts: &Facts, labels: &BTreeMap<String, String>) -> Result<Parameters> {
    let words = |words: &[Spanned<String>]| words.iter().map(|word| word.value.clone()).collect::<Vec<_>>();
    let entrypoint = match (&config.entrypoint, facts.entrypoint) {
        (Some(own), _) => words(own),
        (None, Some(path)) => vec![text(path, None)?],
        (None, None) => Vec::new(),
    };
    let workdir = match &config.workdir {
        Some(path) => text(path, Some(path.span))?,
        None => "/".to_owned(),
    };
    let volumes = config.volumes.iter().map(|path| text(path, Some(path.span))).collect::<Result<Vec<_>>>()?;
    let mut builder = ConfigBuilder::default()
        .user(facts.user)
        .env(environment(config, facts)?)
        .working_dir(workdir)
        .labels(merged(labels, &config.labels).into_iter().collect::<std::collections::HashMap<_, _>>());
    // A key that has nothing to say stays out.
    if !entrypoint.is_empty() {
        builder = builder.entrypoint(entrypoint);
    }
    if let Some(cmd) = config.cmd.as_deref().filter(|cmd| !cmd.is_empty()) {
        builder = builder.cmd(words(cmd));
    }
    if !config.ports.is_empty() {
        builder = builder.exposed_ports(words(&config.ports));
    }
    if !volumes.is_empty() {
        builder = builder.volumes(volumes);
    }
    if let Some(signal) = &config.stop_signal {
        builder = builder.stop_signal(signal.value.as_str());
    }
    builder.build().map_err(Error::internal)
}

/// `Env`, sorted by name: what every image has and, over it, what the recipe says.
fn environment(config: &Config, facts: &Facts) -> Result<Vec<String>> {
    let mut all = BTreeMap::from([("PATH", PATH.to_owned())]);
    if let Some(bundle) = facts.ca_bundle {
        all.insert("SSL_CERT_FILE", text(bundle, None)?);
    }
    if let Some(locale) = facts.locale {
        all.insert("LANG", locale.to_owned());
    }
    for (name, value) in facts.variables {
        all.insert(name, value.clone());
    }
    for (name, value) in &config.env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(Diagnostic::error(BAD_CONFIG, format!("`{}` is no environment variable", name.escape_debug()))
                .at(value.span, "set here")
                .into());
        }
        all.insert(name, value.value.clone());
    }
    Ok(all.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

fn history(layer: &Layer, created: &str) -> Result<History> {
    let files = match layer.files {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    HistoryBuilder::default()
        .created(created)
        .created_by(format!("mkimage: {}", layer.name))
        .comment(format!("{files}, layer format {}", layer::FORMAT))
        .build()
        .map_err(Error::internal)
}

/// Docker's `Healthcheck`: durations in nanoseconds, what is not set left out.
fn healthcheck(check: &Healthcheck) -> Value {
    let test: Vec<&str> = std::iter::once("CMD").chain(check.test.iter().map(String::as_str)).collect();
    let mut value = json!({ "Test": test });
    let numbers = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("Retries", check.retries.map(u64::from)),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            value[key] = number.into();
        }
    }
    value
}

/// A path as JSON can hold it.
fn text(path: &ImagePath, span: Option<Span>) -> Result<String> {
    String::from_utf8(path.as_bytes().to_vec()).map_err(|_| {
        Diagnostic::error(BAD_CONFIG, format!("`{path}` is not UTF-8, and an image's configuration is"))
            .at_some(span, "named here")
            .into()
    })
}
