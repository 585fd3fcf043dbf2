//! Two layers: entries that one lacks, their order, fields of their headers, their bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::{Difference, bytes};
use crate::oci::{BadStore, BadTar, Digest, Entries, Entry, Kind, Sha256, Store, StoredLayer};
use crate::path::show;

/// The most bytes of a file that are looked into, and of all files of a layer.
const MOST_OF_A_FILE: u64 = 64 << 20;
const MOST_OF_A_LAYER: u64 = 256 << 20;

/// The fields of a ustar header: name, first byte, one past the last.
const FIELDS: [(&str, usize, usize); 16] = [
    ("name", 0, 100),
    ("mode", 100, 108),
    ("uid", 108, 116),
    ("gid", 116, 124),
    ("size", 124, 136),
    ("mtime", 136, 148),
    ("chksum", 148, 156),
    ("typeflag", 156, 157),
    ("linkname", 157, 257),
    ("magic", 257, 263),
    ("version", 263, 265),
    ("uname", 265, 297),
    ("gname", 297, 329),
    ("devmajor", 329, 337),
    ("devminor", 337, 345),
    ("prefix", 345, 500),
];

/// Fields that [`told_fields`] has words for, and the checksum, which follows from the others.
const TOLD: [&str; 9] = ["name", "prefix", "mode", "uid", "gid", "size", "mtime", "linkname", "chksum"];

/// A layer where it is stored.
type Side<'a> = (&'a Store, &'a StoredLayer);

/// An entry as it was read.
struct Seen {
    entry: Entry,
    header: [u8; 512],
    digest: Digest,
}

/// Adds what differs between two layers.
pub(super) fn differences(
    place: &str,
    one: Side<'_>,
    other: Side<'_>,
    found: &mut Vec<Difference>,
) -> Result<(), BadStore> {
    if one.1.diff_id == other.1.diff_id && one.1.diff_id.is_some() {
        if one.1.digest != other.1.digest && one.1.digest.is_some() && other.1.digest.is_some() {
            let says = "the same archive, compressed otherwise".to_owned();
            found.push(Difference { place: place.to_owned(), says });
        }
        return Ok(());
    }
    let (a, b) = (read(one)?, read(other)?);
    let before = found.len();
    let mut say = |path: &[u8], says: String| found.push(Difference { place: format!("{place}: {}", at(path)), says });
    let by_path = |all: &[Seen]| -> BTreeMap<Vec<u8>, usize> {
        all.iter().enumerate().map(|(number, seen)| (seen.entry.path.clone(), number)).collect()
    };
    let (of_a, of_b) = (by_path(&a), by_path(&b));
    let paths: BTreeSet<&Vec<u8>> = of_a.keys().chain(of_b.keys()).collect();
    let mut contents: BTreeSet<Vec<u8>> = BTreeSet::new();
    for path in paths {
        match (of_a.get(path).map(|&number| &a[number]), of_b.get(path).map(|&number| &b[number])) {
            (Some(_), None) => say(path, "is there, rebuilt it is not".to_owned()),
            (None, Some(_)) => say(path, "is not there, rebuilt it is".to_owned()),
            (Some(one), Some(other)) => {
                for says in told_fields(one, other) {
                    say(path, says);
                }
                if one.digest != other.digest {
                    contents.insert(path.clone());
                }
            }
            (None, None) => {}
        }
    }
    if let Some((path, says)) = order(&a, &b, &of_a, &of_b) {
        say(path, says);
    }
    if !contents.is_empty() {
        let (old, new) = (data(one, &contents)?, data(other, &contents)?);
        for path in &contents {
            let says = match (old.get(path), new.get(path)) {
                (Some(old), Some(new)) => bytes::differing(old, new),
                _ => Some("other bytes".to_owned()),
            };
            if let Some(says) = says {
                say(path, says);
            }
        }
    }
    if found.len() == before {
        let says = "the same entries; what stands between or behind them differs".to_owned();
        found.push(Difference { place: place.to_owned(), says });
    }
    Ok(())
}

/// A path as it will be in a container.
fn at(path: &[u8]) -> String {
    let path = path.strip_prefix(b"./").unwrap_or(path);
    format!("/{}", show(path.strip_suffix(b"/").unwrap_or(path)))
}

fn told_fields(one: &Seen, other: &Seen) -> Vec<String> {
    let (a, b) = (&one.entry, &other.entry);
    let mut says = Vec::new();
    let mut field = |name: &str, a: String, b: String| {
        if a != b {
            says.push(format!("{name} is {a}, rebuilt {b}"));
        }
    };
    field("kind", noun(&a.kind).to_owned(), noun(&b.kind).to_owned());
    field("mode", format!("{:04o}", a.mode), format!("{:04o}", b.mode));
    field("owner", format!("{}:{}", a.uid, a.gid), format!("{}:{}", b.uid, b.gid));
    field("mtime", a.mtime.to_string(), b.mtime.to_string());
    field("link target", target(&a.kind), target(&b.kind));
    field("attributes", attributes(a), attributes(b));
    for (name, start, end) in FIELDS {
        let (old, new) = (&one.header[start..end], &other.header[start..end]);
        // The same mode may be written in two ways.
        let same_words = TOLD.contains(&name) && says.is_empty() && a == b && name != "chksum";
        if old != new && (same_words || !TOLD.contains(&name)) && !(name == "typeflag" && a.kind != b.kind) {
            says.push(format!(
                "header field {name} (bytes {start}-{}) is {}, rebuilt {}",
                end - 1,
                text(old),
                text(new)
            ));
        }
    }
    says
}

fn noun(kind: &Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::HardLink(_) => "hard link",
        Kind::Symlink(_) => "link",
        Kind::Directory => "folder",
        Kind::Special => "device",
    }
}

fn target(kind: &Kind) -> String {
    match kind {
        Kind::HardLink(target) | Kind::Symlink(target) => format!("`{}`", show(target)),
        Kind::File | Kind::Directory | Kind::Special => "none".to_owned(),
    }
}

fn attributes(entry: &Entry) -> String {
    let one = |(name, value): &(String, Vec<u8>)| format!("{name}={}", show(value));
    let all: Vec<String> = entry.xattrs.iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(" ") }
}

fn text(field: &[u8]) -> String {
    format!("`{}`", show(field.strip_suffix(b"\0").unwrap_or(field)))
}

/// The first entry that stands elsewhere among those that both have.
fn order<'a>(
    a: &'a [Seen],
    b: &'a [Seen],
    of_a: &BTreeMap<Vec<u8>, usize>,
    of_b: &BTreeMap<Vec<u8>, usize>,
) -> Option<(&'a [u8], String)> {
    let shared = |all: &'a [Seen], other: &BTreeMap<Vec<u8>, usize>| -> Vec<&'a Vec<u8>> {
        all.iter().map(|seen| &seen.entry.path).filter(|path| other.contains_key(*path)).collect()
    };
    let (a, b) = (shared(a, of_b), shared(b, of_a));
    let (one, other) = a.iter().zip(&b).find(|(one, other)| one != other)?;
    Some((one, format!("order: stands before {}, rebuilt behind it", at(other))))
}

/// All entries of a layer, with digests of their data.
fn read((store, layer): Side<'_>) -> Result<Vec<Seen>, BadStore> {
    let mut entries = Entries::new(layer.encoding.decoder(store.file(&layer.file)?)?);
    let mut all = Vec::new();
    while let Some(entry) = next(&mut entries)? {
        let header = *entries.header();
        let mut digest = Sha256::default();
        io::copy(&mut entries.data(), &mut digest)?;
        all.push(Seen { entry, header, digest: digest.finish() });
    }
    Ok(all)
}

fn next<R: Read>(entries: &mut Entries<R>) -> Result<Option<Entry>, BadStore> {
    entries.next_entry().map_err(|error| match error {
        BadTar::Io(error) => error.into(),
        other => BadStore::Tar(other),
    })
}

/// The bytes of some files of a layer; those of too large ones are left out.
fn data((store, layer): Side<'_>, wanted: &BTreeSet<Vec<u8>>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, BadStore> {
    let mut entries = Entries::new(layer.encoding.decoder(store.file(&layer.file)?)?);
    let (mut all, mut left) = (BTreeMap::new(), MOST_OF_A_LAYER);
    while let Some(entry) = next(&mut entries)? {
        if !wanted.contains(&entry.path) || entry.size > left.min(MOST_OF_A_FILE) {
            continue;
        }
        left -= entry.size;
        let mut bytes = Vec::new();
        entries.data().read_to_end(&mut bytes)?;
        all.insert(entry.path, bytes);
    }
    Ok(all)
}
