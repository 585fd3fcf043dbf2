//! An image as a part of a Pod: what it listens on, the least rights that it needs, and a volume for each folder that
//! its user may write to.
//!
//! Which folders these are, the layers say: those whose owner and mode let the image's user write.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use mkimage::output::{EntryInfo, ImageInfo};
use serde_json::Value;

use super::{keys, name};

/// Ports below need a right that the image's user does not have.
const FIRST_ORDINARY_PORT: u32 = 1024;
/// The longest name of a container or volume: a label of DNS.
const LONGEST_LABEL: usize = 63;

/// The fields of a Pod's `spec`, as YAML.
pub(super) fn pod(image: &ImageInfo) -> String {
    let user = image.config.get("User").and_then(Value::as_str).unwrap_or_default();
    let (uid, gid) = ids(user);
    let ports = ports(image);
    let folders = writable(image, uid, gid);
    let mut text = format!("# {}: part of a Pod's spec\n", one_line(&name(image)));
    let mut line = |indent: usize, words: &str| {
        let _ = writeln!(text, "{:indent$}{words}", "");
    };
    line(0, "securityContext:");
    if let Some(gid) = gid.filter(|gid| *gid != 0) {
        line(2, &format!("fsGroup: {gid}"));
    }
    line(2, "seccompProfile:");
    line(4, "type: RuntimeDefault");
    if ports.iter().any(|(number, _)| *number < FIRST_ORDINARY_PORT) && uid != Some(0) {
        line(2, "sysctls:");
        line(4, "- name: net.ipv4.ip_unprivileged_port_start");
        line(6, "value: \"0\"");
    }
    line(0, "containers:");
    line(2, &format!("- name: {}", label(name(image).rsplit('/').next().unwrap_or_default())));
    let digest = image.index.or(image.digest).map_or_else(String::new, |digest| format!("@{digest}"));
    line(4, &format!("image: {}", quoted(&format!("{}{digest}", name(image)))));
    if !ports.is_empty() {
        line(4, "ports:");
        for (number, protocol) in &ports {
            line(6, &format!("- containerPort: {number}"));
            line(8, &format!("protocol: {protocol}"));
        }
    }
    line(4, "securityContext:");
    match uid {
        Some(0) => line(6, "runAsNonRoot: false  # the image's user is root: the restricted profile refuses it"),
        Some(uid) => {
            line(6, "runAsNonRoot: true");
            line(6, &format!("runAsUser: {uid}"));
            if let Some(gid) = gid {
                line(6, &format!("runAsGroup: {gid}"));
            }
        }
        None => line(6, &format!("runAsNonRoot: true  # the image's user has no number: {}", one_line(user))),
    }
    line(6, "readOnlyRootFilesystem: true");
    line(6, "allowPrivilegeEscalation: false");
    line(6, "capabilities:");
    line(8, "drop: [ALL]");
    if folders.is_empty() {
        return text;
    }
    line(4, "volumeMounts:");
    for (name, (path, _)) in &folders {
        line(6, &format!("- name: {name}"));
        line(8, &format!("mountPath: {}", quoted(path)));
    }
    line(0, "volumes:");
    for (name, (_, files)) in &folders {
        line(2, &format!("- name: {name}"));
        let hidden = match files {
            0 => String::new(),
            1 => "  # hides 1 file of the image".to_owned(),
            count => format!("  # hides {count} files of the image"),
        };
        line(4, &format!("emptyDir: {{}}{hidden}"));
    }
    text
}

/// `UID[:GID]`, where they are numbers. No user is root.
fn ids(user: &str) -> (Option<u64>, Option<u64>) {
    let (uid, gid) = user.split_once(':').map_or((user, None), |(uid, gid)| (uid, Some(gid)));
    let uid = if uid.is_empty() { Some(0) } else { uid.parse().ok() };
    (uid, gid.and_then(|gid| gid.parse().ok()))
}

fn ports(image: &ImageInfo) -> Vec<(u32, String)> {
    let port = |text: String| {
        let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        Some((number.parse().ok()?, protocol.to_ascii_uppercase()))
    };
    let mut ports: Vec<(u32, String)> = keys(image, "ExposedPorts").into_iter().filter_map(port).collect();
    ports.sort();
    ports
}

/// By the name of their volumes: folders that the user may write to, none inside of another, and how many files each
/// holds.
fn writable(image: &ImageInfo, uid: Option<u64>, gid: Option<u64>) -> BTreeMap<String, (String, usize)> {
    let mut entries: BTreeMap<&str, &EntryInfo> = BTreeMap::new();
    for entry in image.layers.iter().flat_map(|layer| layer.entries.iter().flatten()) {
        entries.insert(&entry.path, entry);
    }
    let may_write = |entry: &EntryInfo| {
        let mode = u32::from_str_radix(&entry.mode, 8).unwrap_or(0);
        // Root may write anywhere, which says nothing of what it has to.
        let owner = uid != Some(0) && uid == Some(entry.uid) && mode & 0o200 != 0;
        let group = gid != Some(0) && gid == Some(entry.gid) && mode & 0o020 != 0;
        entry.kind == "directory" && (owner || group || mode & 0o002 != 0)
    };
    let own = entries.values().filter(|entry| may_write(entry)).map(|entry| entry.path.clone());
    let mut paths: BTreeSet<String> = own.chain(keys(image, "Volumes")).collect();
    let all = paths.clone();
    let inside = |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    paths.retain(|path| !all.iter().any(|folder| inside(path, folder)));
    let mut folders = BTreeMap::new();
    for path in paths {
        let files = entries.values().filter(|entry| entry.kind != "directory" && inside(&entry.path, &path)).count();
        let base = label(&path);
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        let free = std::iter::once(base.clone()).chain(numbered).find(|name| !folders.contains_key(name));
        folders.insert(free.unwrap_or(base), (path, files));
    }
    folders
}

/// A text as a name that Kubernetes takes: lower-case letters, digits and hyphens.
fn label(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.trim_matches('/').chars().map(plain).take(LONGEST_LABEL - 4).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "root".to_owned() } else { name.to_owned() }
}

/// A string that is one whatever it holds: YAML takes those of JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn one_line(text: &str) -> String {
    mkimage::path::show(text.as_bytes())
}
