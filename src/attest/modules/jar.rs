//! Java's libraries: what Maven leaves in an archive, or else its manifest. Archives in archives are looked into, too.

use std::collections::BTreeMap;
use std::io::Read;

use super::{Ecosystem, Found};
use crate::deb::licence;
use crate::needs::zip::Archive;
use crate::source::{Content, Reader};

/// The most that a manifest or `pom.properties` may be long.
const LONGEST_RECORD: u64 = 1 << 20;
/// The largest archive in an archive that is looked into, and how deep.
const LARGEST_INNER: u64 = 256 << 20;
const DEEPEST: usize = 3;

/// Whether a file's name is that of such an archive.
pub(super) fn is_archive(name: &[u8]) -> bool {
    [b".jar".as_slice(), b".war", b".ear"].iter().any(|ending| name.ends_with(ending))
}

pub(super) fn of_archive(reader: &Reader, name: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    look(reader, name, 0, &mut found);
    // The outermost has all the others.
    let others = (1..found.len()).collect();
    if let Some(first) = found.first_mut() {
        first.needs = others;
        first.holds = true;
    }
    found
}

/// What can't be read of an archive says nothing: it may not even be one.
fn look(reader: &Reader, name: &[u8], depth: usize, found: &mut Vec<Found>) {
    let Ok(archive) = Archive::open(reader) else { return };
    let text = |member| {
        let mut bytes = Vec::new();
        let mut stream = archive.read(member, LONGEST_RECORD).ok()?;
        stream.read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let member = |wanted: &[u8]| archive.members.iter().find(|member| member.name == wanted);
    let manifest = member(b"META-INF/MANIFEST.MF").and_then(text).map(|text| attributes(&text)).unwrap_or_default();
    let is_pom = |name: &[u8]| name.starts_with(b"META-INF/maven/") && name.ends_with(b"/pom.properties");
    let poms = archive.members.iter().filter(|member| is_pom(&member.name)).filter_map(text);
    let mut own: Vec<Found> = poms.filter_map(|text| of_pom(&text, &manifest)).collect();
    // Of several, the one that the archive is called after stands for it.
    let stem = String::from_utf8_lossy(name).into_owned();
    own.sort_by_key(|one| {
        let artifact = one.name.rsplit(':').next().unwrap_or_default();
        (!stem.starts_with(artifact), std::cmp::Reverse(artifact.len()), one.name.clone())
    });
    if own.is_empty() {
        own.extend(of_manifest(&manifest, &stem));
    }
    found.append(&mut own);
    if depth == DEEPEST {
        return;
    }
    for inner in archive.members.iter().filter(|member| is_archive(&member.name)) {
        let mut bytes = Vec::new();
        let read = archive.read(inner, LARGEST_INNER).and_then(|mut stream| stream.read_to_end(&mut bytes));
        if read.is_ok()
            && let Ok(reader) = Content::bytes(bytes).open()
        {
            let name = inner.name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            look(&reader, name, depth + 1, found);
        }
    }
}

/// `groupId`, `artifactId` and `version`, one a line.
fn of_pom(text: &str, manifest: &BTreeMap<String, String>) -> Option<Found> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('='));
        line.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let (group, artifact) = (value("groupId")?, value("artifactId")?);
    Some(Found {
        ecosystem: Some(Ecosystem::Maven),
        name: format!("{group}:{artifact}"),
        version: value("version"),
        licence: manifest
            .get("Bundle-License")
            .filter(|text| !text.contains("://"))
            .and_then(|text| licence::of_field(text)),
        supplier: Some(group),
        ..Found::default()
    })
}

fn of_manifest(manifest: &BTreeMap<String, String>, stem: &str) -> Option<Found> {
    let word = |keys: &[&str]| keys.iter().find_map(|key| manifest.get(*key)).map(String::as_str);
    let bundle = word(&["Bundle-SymbolicName"]).map(|name| name.split(';').next().unwrap_or_default().trim());
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    // `name-1.2.3.jar`
    let at = stem.match_indices('-').find(|(at, _)| stem[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    let (file_name, file_version) = at.map_or((stem, None), |(at, _)| (&stem[..at], Some(&stem[at + 1..])));
    let version = word(&["Implementation-Version", "Bundle-Version", "Specification-Version"]).or(file_version)?;
    let group = word(&["Implementation-Vendor-Id", "Automatic-Module-Name"]).or(bundle).unwrap_or(file_name);
    let supplier = word(&["Implementation-Vendor", "Bundle-Vendor", "Specification-Vendor"]);
    Some(Found {
        ecosystem: Some(Ecosystem::Maven),
        name: format!("{group}:{file_name}"),
        version: Some(version.to_owned()),
        licence: word(&["Bundle-License"]).filter(|text| !text.contains("://")).and_then(licence::of_field),
        supplier: supplier.map(str::to_owned),
        ..Found::default()
    })
}

/// The main attributes of a manifest; a line that begins with a space continues the one before.
fn attributes(text: &str) -> BTreeMap<String, String> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            break;
        }
        match (line.strip_prefix(' '), all.last_mut()) {
            (Some(more), Some((_, value))) => value.push_str(more),
            _ => all.extend(line.split_once(':').map(|(key, value)| (key.to_owned(), value.trim().to_owned()))),
        }
    }
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}
