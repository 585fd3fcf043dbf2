//! Packages of Node.js: `package.json` with a name and a version.

use serde_json::Value;

use super::{Ecosystem, Found, Unowned};
use crate::deb::licence;
use crate::path::ImagePath;

pub(super) fn of_package(unowned: &Unowned<'_>, path: &ImagePath, text: &str) -> Option<Found> {
    let document: Value = serde_json::from_str(text).ok()?;
    let word = |key: &str| document.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let (name, version) = (word("name")?, word("version")?);
    let supplier = match document.get("author") {
        Some(Value::String(text)) => Some(text.split(['<', '(']).next().unwrap_or_default().trim().to_owned()),
        Some(Value::Object(author)) => author.get("name").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    let folder = path.parent()?;
    // What a package holds ends where another one begins.
    let is_own = |other: &ImagePath| {
        let rest = other.below(&folder).unwrap_or_default();
        !rest.split(|&byte| byte == b'/').any(|part| part == b"node_modules")
    };
    let files = unowned.below(&folder).filter(|(other, _)| is_own(other)).map(|(_, place)| place).collect();
    Some(Found {
        ecosystem: Some(Ecosystem::Node),
        name,
        version: Some(version),
        licence: word("license").and_then(|text| licence::of_field(&text)),
        supplier: supplier.filter(|text| !text.is_empty()),
        files,
        holds: true,
        ..Found::default()
    })
}
