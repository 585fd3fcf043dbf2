//! The text of a lock file: TOML, a line for each fact, sorted.
//!
//! Paths and links are bytes, TOML is text: what is not UTF-8, and control characters, stand as `\x1b`, a backslash
//! as `\\`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use toml::Value;

use super::{Access, Fact, Key, Lock, Taken, What};
use crate::oci::Digest;
use crate::path::ImagePath;

/// The version of the form.
const VERSION: i64 = 1;

const HEAD: &str = "# What images take from their roots: `mkimage lock` writes this, and `mkimage build --locked` fails when\n\
    # it is no longer so.\n";

/// Why a text is no lock file; completes "`FILE` ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadLock {
    #[error("is no TOML: {0}")]
    Syntax(String),
    #[error("holds marks of a merge that was not finished")]
    Merge,
    #[error("is of version {0}, and this mkimage knows version {VERSION}")]
    Version(i64),
    #[error("is no lock file: {0}")]
    Form(String),
}

/// Writes a lock file's text.
pub(super) fn write(lock: &Lock) -> String {
    let mut text = format!("{HEAD}version = {VERSION}\n");
    if !lock.policies.is_empty() {
        text.push_str("\n[policies]\n");
        text.push_str(&pins(&lock.policies));
    }
    for (key, taken) in &lock.images {
        let table = format!("images.{}.{}", quoted(&key.recipe), quoted(&key.platform));
        if !taken.extends.is_empty() {
            let _ = write!(text, "\n[{table}.extends]\n");
            text.push_str(&pins(&taken.extends));
        }
        if !taken.packages.is_empty() {
            let _ = write!(text, "\n[{table}.packages]\n");
            for (name, version) in &taken.packages {
                let _ = writeln!(text, "{} = {}", bare_or_quoted(name), quoted(version));
            }
        }
        let _ = write!(text, "\n[{table}.paths]\n");
        for (path, fact) in &taken.paths {
            let _ = writeln!(text, "{} = {{ {} }}", quoted(&escaped(path.as_bytes())), fields(fact).join(", "));
        }
    }
    text
}

/// A line for each thing of a registry.
fn pins(pins: &BTreeMap<String, Digest>) -> String {
    let line = |(name, digest): (&String, &Digest)| format!("{} = {}\n", quoted(name), quoted(&digest.to_string()));
    pins.iter().map(line).collect()
}

fn read_pins(value: Value, what: &str) -> Result<BTreeMap<String, Digest>, BadLock> {
    let one = |(name, digest): (String, Value)| {
        let found = digest.as_str().and_then(|text| text.parse().ok());
        found.ok_or_else(|| form(&format!("`{name}` has no digest"))).map(|digest| (name, digest))
    };
    table(value, what)?.into_iter().map(one).collect()
}

/// The fields of a line: what a reviewer looks for first, the digest last.
fn fields(fact: &Fact) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = |name: &str, value: &str| fields.push(format!("{name} = {}", quoted(value)));
    if let Some(package) = &fact.package {
        field("package", package);
    }
    if let Some(from) = &fact.from {
        field("from", &escaped(from.as_bytes()));
    }
    let access = match &fact.what {
        What::File { access, .. } | What::Folder(access) => Some(access),
        What::HardLink(target) => {
            field("same-as", &escaped(target.as_bytes()));
            None
        }
        What::Symlink(text) => {
            field("link", &escaped(text));
            None
        }
    };
    if let Some(access) = access {
        field("mode", &format!("{:04o}", access.mode));
        field("owner", &format!("{}:{}", access.owner.0, access.owner.1));
        if let Some(capabilities) = &access.capabilities {
            field("capabilities", &hex(capabilities));
        }
    }
    field("reason", &fact.reason);
    match &fact.what {
        What::File { digest, size, .. } => {
            fields.push(format!("size = {size}"));
            fields.push(format!("sha256 = {}", quoted(&digest.hex())));
        }
        What::Folder(_) => fields.push("folder = true".to_owned()),
        What::HardLink(_) | What::Symlink(_) => {}
    }
    fields
}

/// Reads a lock file's text.
pub(super) fn read(text: &str) -> Result<Lock, BadLock> {
    if text.lines().any(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ")) {
        return Err(BadLock::Merge);
    }
    let mut table: toml::Table = toml::from_str(text).map_err(|error| BadLock::Syntax(error.message().to_owned()))?;
    match table.remove("version") {
        Some(Value::Integer(VERSION)) => {}
        Some(Value::Integer(other)) => return Err(BadLock::Version(other)),
        _ => return Err(form("it has no `version`")),
    }
    let policies = table.remove("policies").map(|value| read_pins(value, "policies")).transpose()?.unwrap_or_default();
    let mut images = BTreeMap::new();
    let recipes = match table.remove("images") {
        None => toml::Table::new(),
        Some(recipes) => self::table(recipes, "images")?,
    };
    for (recipe, platforms) in recipes {
        for (platform, image) in self::table(platforms, &recipe)? {
            let taken = image_of(self::table(image, &recipe)?)?;
            images.insert(Key { recipe: recipe.clone(), platform }, taken);
        }
    }
    Ok(Lock { images, policies })
}

fn image_of(mut image: toml::Table) -> Result<Taken, BadLock> {
    let mut taken = Taken::default();
    if let Some(extends) = image.remove("extends") {
        taken.extends = read_pins(extends, "extends")?;
    }
    if let Some(packages) = image.remove("packages") {
        for (name, version) in table(packages, "packages")? {
            let Value::String(version) = version else { return Err(form(&format!("`{name}` has no version"))) };
            taken.packages.insert(name, version);
        }
    }
    if let Some(paths) = image.remove("paths") {
        for (path, fields) in table(paths, "paths")? {
            let fact =
                fact(table(fields, &path)?).ok_or_else(|| form(&format!("`{path}` is not what it should be")))?;
            taken.paths.insert(image_path(&path).ok_or_else(|| form(&format!("`{path}` is no path")))?, fact);
        }
    }
    Ok(taken)
}

fn fact(mut fields: toml::Table) -> Option<Fact> {
    let mut text = |name: &str| match fields.remove(name) {
        None => Some(None),
        Some(Value::String(text)) => Some(Some(text)),
        Some(_) => None,
    };
    let (package, from, reason) = (text("package")?, text("from")?, text("reason")?.unwrap_or_default());
    let (link, same, sha256) = (text("link")?, text("same-as")?, text("sha256")?);
    let (mode, owner, capabilities) = (text("mode")?, text("owner")?, text("capabilities")?);
    let access = || {
        let (uid, gid) = owner.as_deref()?.split_once(':')?;
        let mode = u32::from_str_radix(mode.as_deref()?, 8).ok()?;
        let capabilities = match &capabilities {
            Some(text) => Some(unhex(text)?),
            None => None,
        };
        Some(Access { mode, owner: (uid.parse().ok()?, gid.parse().ok()?), capabilities })
    };
    let what = match (link, same, sha256) {
        (Some(link), None, None) => What::Symlink(unescaped(&link)?),
        (None, Some(target), None) => What::HardLink(image_path(&target)?),
        (None, None, Some(digest)) => {
            let size = fields.get("size").and_then(Value::as_integer)?;
            let digest: Digest = format!("sha256:{digest}").parse().ok()?;
            What::File { digest, size: size.try_into().ok()?, access: access()? }
        }
        (None, None, None) if fields.get("folder").is_some() => What::Folder(access()?),
        _ => return None,
    };
    let from = match from {
        Some(from) => Some(image_path(&from)?),
        None => None,
    };
    Some(Fact { what, from, package, reason })
}

fn table(value: Value, name: &str) -> Result<toml::Table, BadLock> {
    match value {
        Value::Table(table) => Ok(table),
        _ => Err(form(&format!("`{name}` is no table"))),
    }
}

fn form(what: &str) -> BadLock {
    BadLock::Form(what.to_owned())
}

/// A basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn bare_or_quoted(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.chars().all(bare) { text.to_owned() } else { quoted(text) }
}

/// Bytes as text from which they can be read again.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() => {
                    let mut utf8 = [0; 4];
                    for byte in c.encode_utf8(&mut utf8).bytes() {
                        let _ = write!(text, "\\x{byte:02x}");
                    }
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Some(bytes),
            [b'\\', b'\\', after @ ..] => {
                bytes.push(b'\\');
                after
            }
            [b'\\', b'x', high, low, after @ ..] => {
                bytes.extend(unhex(std::str::from_utf8(&[*high, *low]).ok()?)?);
                after
            }
            [b'\\', ..] => return None,
            [byte, after @ ..] => {
                bytes.push(*byte);
                after
            }
        };
    }
}

fn image_path(text: &str) -> Option<ImagePath> {
    ImagePath::new(unescaped(text)?).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            assert_eq!(unescaped(&escaped(&bytes)), Some(bytes.clone()));
            let table: toml::Table = toml::from_str(&format!("a = {}", quoted(&escaped(&bytes)))).unwrap();
            assert_eq!(table["a"].as_str(), Some(escaped(&bytes).as_str()));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = read(&text);
            let _ = read(&format!("version = 1\n[images.a.b.paths]\n\"/x\" = {{ {text} }}"));
            let _ = unescaped(&text);
        }
    }
}
