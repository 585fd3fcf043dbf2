//! An image's configuration as instructions of a Dockerfile, for those who copy its files into `scratch`.

use std::fmt::Write as _;

use mkimage::output::ImageInfo;
use serde_json::Value;

use super::{keys, name, words};

/// The instructions that give a copy of the image's files its configuration.
pub(super) fn instructions(image: &ImageInfo) -> String {
    let mut text = format!("# The configuration of {}, for its files in an image from scratch.\n", name(image));
    let mut say = |instruction: &str, value: &str| {
        let _ = writeln!(text, "{instruction} {value}");
    };
    let single = |key: &str| image.config.get(key).and_then(Value::as_str).filter(|value| !value.is_empty());
    if let Some(user) = single("User") {
        say("USER", &escaped(user));
    }
    if let Some(workdir) = single("WorkingDir") {
        say("WORKDIR", &escaped(workdir));
    }
    for (key, value) in words(image, "Env").iter().filter_map(|pair| pair.split_once('=')) {
        say(instruction("ENV", value), &format!("{key}={}", quoted(value)));
    }
    for port in keys(image, "ExposedPorts") {
        say("EXPOSE", &port);
    }
    let volumes = keys(image, "Volumes");
    if !volumes.is_empty() {
        say("VOLUME", &Value::from(volumes).to_string());
    }
    if let Some(signal) = single("StopSignal") {
        say("STOPSIGNAL", signal);
    }
    if let Some(check) = image.config.get("Healthcheck") {
        say("HEALTHCHECK", &healthcheck(check));
    }
    for (key, value) in image.config.get("Labels").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        say(instruction("LABEL", value), &format!("{}={}", quoted(key), quoted(value)));
    }
    for (instruction, key) in [("ENTRYPOINT", "Entrypoint"), ("CMD", "Cmd")] {
        let list = words(image, key);
        if !list.is_empty() {
            say(instruction, &Value::from(list).to_string());
        }
    }
    text
}

/// A line break can't be said inside of a value; what has one is left for a person to see.
fn instruction<'a>(instruction: &'a str, value: &str) -> &'a str {
    match instruction {
        "ENV" if value.contains('\n') => "# ENV",
        "LABEL" if value.contains('\n') => "# LABEL",
        other => other,
    }
}

/// A word in which nothing is a variable.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('$', "\\$")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('"', "\\\"").replace('\n', "\\n"))
}

fn healthcheck(check: &Value) -> String {
    let mut text = String::new();
    let durations = [("interval", "Interval"), ("timeout", "Timeout"), ("start-period", "StartPeriod")];
    for (option, key) in durations {
        if let Some(nanoseconds) = check.get(key).and_then(Value::as_u64) {
            let _ = write!(text, "--{option}={} ", duration(nanoseconds));
        }
    }
    if let Some(retries) = check.get("Retries").and_then(Value::as_u64) {
        let _ = write!(text, "--retries={retries} ");
    }
    let mut command = check.get("Test").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    match command.next() {
        Some("CMD") => text + "CMD " + &Value::from(command.collect::<Vec<_>>()).to_string(),
        Some("CMD-SHELL") => text + "CMD " + &command.collect::<Vec<_>>().join(" "),
        _ => "NONE".to_owned(),
    }
}

/// A duration as Docker reads it.
fn duration(nanoseconds: u64) -> String {
    match nanoseconds {
        whole if whole % 1_000_000_000 == 0 => format!("{}s", whole / 1_000_000_000),
        whole if whole % 1_000_000 == 0 => format!("{}ms", whole / 1_000_000),
        other => format!("{other}ns"),
    }
}
