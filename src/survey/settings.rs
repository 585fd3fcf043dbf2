//! The configuration and annotations of an image as single settings.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::output::ImageInfo;

/// Keys of the configuration, and what they are called.
const NAMES: [(&str, &str); 11] = [
    ("User", "user"),
    ("Entrypoint", "entrypoint"),
    ("Cmd", "cmd"),
    ("WorkingDir", "workdir"),
    ("Env", "env"),
    ("ExposedPorts", "port"),
    ("Volumes", "volume"),
    ("StopSignal", "stop-signal"),
    ("Healthcheck", "healthcheck"),
    ("Labels", "label"),
    ("Shell", "shell"),
];

/// Every setting by a name that tells it apart.
pub(super) fn settings(info: &ImageInfo) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::from([("platform".to_owned(), info.platform.clone())]);
    settings.extend(info.created.iter().map(|created| ("created".to_owned(), created.clone())));
    for (key, value) in info.config.as_object().into_iter().flatten() {
        let name = NAMES.iter().find(|(known, _)| known == key).map_or(key.as_str(), |(_, name)| name);
        add(&mut settings, name, value);
    }
    add(&mut settings, "annotation", &info.annotations);
    settings
}

fn add(settings: &mut BTreeMap<String, String>, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        // `Env`: a variable that is there twice has the last value.
        Value::Array(items) if name == "env" => {
            for item in items.iter().filter_map(Value::as_str) {
                let (variable, value) = item.split_once('=').unwrap_or((item, ""));
                settings.insert(format!("env {variable}"), value.to_owned());
            }
        }
        Value::Object(fields) if name != "healthcheck" => {
            let text = |value: &Value| match value {
                Value::Object(inner) if inner.is_empty() => String::new(),
                value => text(value),
            };
            settings.extend(fields.iter().map(|(key, value)| (format!("{name} {key}"), text(value))));
        }
        value => {
            settings.insert(name.to_owned(), text(value));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| String::from_utf8_lossy(&crate::oci::canonical(value)).into_owned(), str::to_owned)
}
