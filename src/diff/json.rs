//! A difference as JSON.

use serde_json::{Value, json};

use super::{Difference, FileChange, Growth, Led, Side};
use crate::oci::Kind;
use crate::output::Fact;
use crate::path::show;
use crate::survey::Layer;

impl Difference {
    /// The whole difference as an object.
    pub fn json(&self) -> Value {
        let path = |path: &crate::path::ImagePath| path.to_string();
        json!({
            "differs": !self.is_empty(),
            "from": side(&self.sides[0]),
            "to": side(&self.sides[1]),
            "packages": self.packages.iter().map(|package| json!({
                "name": package.name,
                "from": package.versions[0],
                "to": package.versions[1],
                "source": package.sources.iter().flatten().next_back().map(|(name, _)| name),
                "source_from": package.sources[0].as_ref().map(|(_, version)| version),
                "source_to": package.sources[1].as_ref().map(|(_, version)| version),
                "bytes_from": package.sizes[0],
                "bytes_to": package.sizes[1],
            })).collect::<Vec<_>>(),
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
            "needs": self.needs.iter().map(|need| json!({
                "by": path(&need.by),
                "name": need.name,
                "change": change(&need.to),
                "from": led(need.to[0].as_ref()),
                "to": led(need.to[1].as_ref()),
                "object_in_both": need.in_both,
            })).collect::<Vec<_>>(),
            "dlopen": self.dlopen.iter().map(|(object, name, is_new)| json!({
                "by": path(object),
                "name": name,
                "change": if *is_new { "added" } else { "removed" },
            })).collect::<Vec<_>>(),
            "hardening": self.hardening.iter().map(|it| json!({
                "path": path(&it.path),
                "fact": it.fact,
                "from": it.values[0],
                "to": it.values[1],
                "weaker": it.is_weaker,
            })).collect::<Vec<_>>(),
            "config": self.settings.iter().map(|(name, values)| json!({
                "name": name,
                "change": change(values),
                "from": values[0],
                "to": values[1],
            })).collect::<Vec<_>>(),
            "policy": self.policy.iter().map(|it| json!({
                "rule": it.rule,
                "code": it.code,
                "verdict": it.verdict.to_string(),
                "change": if it.is_new { "added" } else { "removed" },
                "what": it.what,
            })).collect::<Vec<_>>(),
            "bytes_by_package": self.by_package.iter().map(growth).collect::<Vec<_>>(),
            "bytes_by_reason": self.by_reason.iter().map(growth).collect::<Vec<_>>(),
            "layers": {
                "shared": self.layers.shared.iter().map(layer).collect::<Vec<_>>(),
                "new": self.layers.new.iter().map(layer).collect::<Vec<_>>(),
                "gone": self.layers.gone.iter().map(layer).collect::<Vec<_>>(),
                "recompressed": self.layers.recompressed,
                "download": self.layers.download(),
            },
        })
    }
}

fn side(side: &Side) -> Value {
    json!({
        "name": side.name,
        "given": side.given,
        "digest": side.digest,
        "id": side.id,
        "platform": side.platform,
        "bytes": side.size,
        "download": side.download,
        "files": side.files,
        "packages": side.packages,
    })
}

fn led(to: Option<&Led>) -> Option<String> {
    match to? {
        Led::Nowhere => None,
        Led::To(path) => Some(path.to_string()),
    }
}

/// `added`, `removed` or `changed`.
pub(super) fn change<T>(sides: &[Option<T>; 2]) -> &'static str {
    match sides {
        [None, _] => "added",
        [_, None] => "removed",
        _ => "changed",
    }
}

fn file(file: &FileChange) -> Value {
    json!({
        "path": file.path.to_string(),
        "change": change(&file.sides),
        "what": file.what,
        "package": file.package,
        "from": file.sides[0].as_ref().map(fact),
        "to": file.sides[1].as_ref().map(fact),
    })
}

fn fact(fact: &Fact) -> Value {
    let xattrs = fact.xattrs.iter().map(|(name, value)| (name.clone(), Value::from(hex(value))));
    json!({
        "kind": kind(fact),
        "mode": format!("{:04o}", fact.mode),
        "uid": fact.uid,
        "gid": fact.gid,
        "mtime": fact.mtime,
        "bytes": fact.size,
        "digest": fact.digest,
        "target": target(fact),
        "xattrs": xattrs.collect::<serde_json::Map<_, _>>(),
    })
}

/// `file`, `folder`, `link`, `hard link`, `device`.
pub(super) fn kind(fact: &Fact) -> &'static str {
    match fact.kind {
        Kind::File => "file",
        Kind::HardLink(_) => "hard link",
        Kind::Symlink(_) => "link",
        Kind::Directory => "folder",
        Kind::Special => "device",
    }
}

/// Where a link leads.
pub(super) fn target(fact: &Fact) -> Option<String> {
    match &fact.kind {
        Kind::Symlink(target) | Kind::HardLink(target) => Some(show(target)),
        Kind::File | Kind::Directory | Kind::Special => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|n| char::from_digit(n.into(), 16)).collect()
}

fn growth(growth: &Growth) -> Value {
    json!({ "name": growth.what, "from": growth.bytes[0], "to": growth.bytes[1] })
}

fn layer(layer: &Layer) -> Value {
    json!({
        "name": layer.name,
        "digest": layer.digest,
        "diff_id": layer.diff_id,
        "size": layer.size,
        "bytes": layer.unpacked,
        "files": layer.files,
    })
}
