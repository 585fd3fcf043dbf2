//! Python's distributions: `NAME.dist-info/METADATA` with its `RECORD`, and `PKG-INFO` of older tools.

use super::{Ecosystem, Found, Unowned};
use crate::deb::licence;
use crate::path::ImagePath;

/// Whether a file is such a record.
pub(super) fn is_record(path: &ImagePath) -> bool {
    let folder = path.parent().map(|folder| folder.name().to_vec()).unwrap_or_default();
    match path.name() {
        b"METADATA" => folder.ends_with(b".dist-info"),
        b"PKG-INFO" => folder.ends_with(b".egg-info"),
        name => name.ends_with(b".egg-info"),
    }
}

pub(super) fn of_metadata(unowned: &Unowned<'_>, path: &ImagePath, text: &str) -> Option<Found> {
    let head = text.split("\n\n").next().unwrap_or_default();
    let field = |name: &str| {
        let line = head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        line.filter(|value| !value.is_empty() && *value != "UNKNOWN").map(str::to_owned)
    };
    let (name, version) = (field("Name")?, field("Version")?);
    let mail = field("Author-email").or_else(|| field("Maintainer-email"));
    let person = mail.map(|text| text.split('<').next().unwrap_or_default().trim_matches([' ', '"']).to_owned());
    let supplier = field("Author").or_else(|| field("Maintainer")).or(person).filter(|text| !text.is_empty());
    let folder = path.parent()?;
    let mut files: Vec<usize> = Vec::new();
    if path.name() == b"METADATA" {
        files.extend(unowned.below(&folder).map(|(_, place)| place));
        let record = unowned.read(&folder.join(b"RECORD")).unwrap_or_default();
        let base = folder.parent()?;
        let listed = record.lines().filter_map(|line| base.join_path(first_cell(line).as_bytes()).ok());
        files.extend(listed.filter_map(|path| unowned.places.get(&path).copied()));
    }
    let licence = field("License-Expression").or_else(|| field("License"));
    Some(Found {
        ecosystem: Some(Ecosystem::Python),
        name,
        version: Some(version),
        licence: licence.and_then(|text| licence::of_field(&text)),
        supplier,
        files,
        holds: true,
        ..Found::default()
    })
}

/// The first cell of a line of CSV.
fn first_cell(line: &str) -> String {
    match line.strip_prefix('"') {
        Some(quoted) => quoted.split("\",").next().unwrap_or_default().replace("\"\"", "\""),
        None => line.split(',').next().unwrap_or_default().to_owned(),
    }
}
