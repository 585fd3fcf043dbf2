//! The records of packages inside an image, in the form of Debian's distroless images: `var/lib/dpkg/status.d/NAME`,
//! its `.md5sums`, and the copyright file. Syft, Grype and Trivy read all three.

use std::collections::{BTreeMap, BTreeSet};

use md5::{Digest, Md5};
use rayon::prelude::*;

use super::Inventory;
use crate::path::ImagePath;
use crate::report::Result;
use crate::source::ownership::{Package, PackageFormat, database_of};
use crate::source::{Content, Source, find, resolve_parent, unreadable};
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};
use crate::{apk, deb, rpm};

/// Fields of dpkg's database that are not the package's own: its state on the machine that it is installed on.
const STATE_FIELDS: [&[u8]; 5] = [b"Status", b"Conffiles", b"Config-Version", b"Triggers-Pending", b"Triggers-Awaited"];

/// The digits of digests.
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The most that a copyright file may be long.
const LIMIT: u64 = 1 << 24;

/// The records of the packages whose files ship: entries to place in the tree. None when the tree holds dpkg's own
/// `status`, since scanners would count each package twice.
///
/// # Errors
/// When a copyright file can't be read.
pub fn records(inventory: &Inventory, source: &dyn Source, tree: &Tree) -> Result<Vec<(ImagePath, Entry)>> {
    if let Some((path, entry)) = database(inventory, source)? {
        return Ok(if tree.get(&path).is_some() { Vec::new() } else { vec![(path, entry)] });
    }
    let folder = path("/var/lib/dpkg");
    if tree.get(&folder.join(b"status")).is_some() {
        return Ok(Vec::new());
    }
    let folder = folder.join(b"status.d");
    let of_package = |(name, package, paths): &(String, &Package, &[ImagePath])| -> Result<Vec<(ImagePath, Entry)>> {
        let (mut sums, mut entries) = (sums(inventory, tree, paths), Vec::new());
        if let Some((path, text)) = copyright(source, tree, package)? {
            sums.insert(path.clone(), Md5::digest(&text).into());
            entries.push((path, generated(text, "copyright file")));
        }
        entries.push((folder.join(name.as_bytes()), generated(control(package), "package record")));
        let list = generated(md5sums(&sums), "package record");
        entries.push((folder.join(format!("{name}.md5sums").as_bytes()), list));
        Ok(entries)
    };
    let packages: Vec<_> = named(inventory).collect();
    let found: Vec<Result<Vec<(ImagePath, Entry)>>> = packages.par_iter().map(of_package).collect();
    let mut entries = BTreeMap::new();
    for found in found {
        entries.extend(found?);
    }
    Ok(entries.into_iter().collect())
}

/// The database of apk or rpm with the packages whose files ship, where the root has it: apk's names these files alone;
/// in rpm's each package has its header as it was signed, which names all of its files.
fn database(inventory: &Inventory, source: &dyn Source) -> Result<Option<(ImagePath, Entry)>> {
    let Some(format) = inventory.packages().next().map(|(package, _)| package.format) else { return Ok(None) };
    let Some(place) = database_of(source, format)? else { return Ok(None) };
    let bytes = match format {
        PackageFormat::Deb => return Ok(None),
        PackageFormat::Apk => {
            let stanzas = inventory.packages().map(|(package, paths)| {
                let ships: BTreeSet<&ImagePath> = paths.iter().filter_map(|path| inventory.origin(path)).collect();
                // The list may spell a path by a link that the root has, as `lib` for `usr/lib`.
                let keep = |listed: &[u8]| {
                    let Ok(listed) = ImagePath::new([b"/", listed].concat()) else { return false };
                    ships.contains(&listed)
                        || resolve_parent(source, listed.as_bytes()).is_ok_and(|found| ships.contains(&found.real))
                };
                [apk::Package(package.record()).with_files(&keep), b"\n".to_vec()].concat()
            });
            stanzas.collect::<Vec<_>>().concat()
        }
        PackageFormat::Rpm => {
            let headers: Vec<&[u8]> = inventory.packages().map(|(package, _)| package.record()).collect();
            rpm::write(&headers)
        }
    };
    Ok(Some((place, generated(bytes, "package record"))))
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).expect("a constant path")
}

fn generated(bytes: Vec<u8>, what: &'static str) -> Entry {
    Entry::new(
        EntryKind::File(Content::bytes(bytes)),
        0o644,
        Rank::Generated,
        Reason::new(Cause::Generated(what), None),
    )
}

/// The packages with the names of their records: with the architecture where a package ships in two.
fn named(inventory: &Inventory) -> impl Iterator<Item = (String, &Package, &[ImagePath])> {
    let mut architectures: BTreeMap<&str, usize> = BTreeMap::new();
    for (package, _) in inventory.packages() {
        *architectures.entry(&package.name).or_default() += 1;
    }
    inventory.packages().map(move |(package, paths)| {
        let name = match architectures.get(package.name.as_str()) {
            Some(2..) => format!("{}:{}", package.name, package.architecture),
            _ => package.name.clone(),
        };
        (name, package, paths)
    })
}

/// The package's stanza as `dpkg-deb --field` would print it.
fn control(package: &Package) -> Vec<u8> {
    let own = |name: &[u8]| !STATE_FIELDS.iter().any(|state| name.eq_ignore_ascii_case(state));
    let mut text = Vec::new();
    for field in package.stanza().fields().filter(|field| own(field.name)) {
        text.extend_from_slice(field.text);
    }
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text
}

/// The files of a package that ship, where they stand in the image, with the digests that the package records.
fn sums(inventory: &Inventory, tree: &Tree, paths: &[ImagePath]) -> BTreeMap<ImagePath, deb::Md5> {
    let is_file = |path: &ImagePath| !tree.get(path).is_some_and(|e| matches!(e.kind, EntryKind::Symlink(_)));
    let md5 = |path: &ImagePath| inventory.ownership(path).and_then(|ownership| ownership.sum?.md5());
    paths.iter().filter(|path| is_file(path)).filter_map(|path| Some((path.clone(), md5(path)?))).collect()
}

fn md5sums(sums: &BTreeMap<ImagePath, deb::Md5>) -> Vec<u8> {
    let mut text = Vec::new();
    // A name with a newline would be read as two lines.
    for (path, md5) in sums.iter().filter(|(path, _)| !path.as_bytes().contains(&b'\n')) {
        text.extend(md5.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]));
        text.extend_from_slice(b"  ");
        text.extend_from_slice(path.relative());
        text.push(b'\n');
    }
    text
}

/// The copyright file of a package and where it goes; none when the tree has it already or the root lacks it, as
/// container images without documentation do.
///
/// Where the package's folder of documentation is a link to another package's, a copy stands in its place: scanners
/// that walk a layer do not follow links, and the licence would be lost on them.
fn copyright(source: &dyn Source, tree: &Tree, package: &Package) -> Result<Option<(ImagePath, Vec<u8>)>> {
    let own = path("/usr/share/doc").join(package.name.as_bytes()).join(b"copyright");
    let Some(found) = find(source, own.as_bytes())? else { return Ok(None) };
    let Some(content) = found.node.content() else { return Ok(None) };
    let free = |path: &ImagePath| path.ancestors().all(|above| tree.get(&above).is_none_or(Entry::is_directory));
    // The recipe may have brought the link itself.
    let Some(place) = [own, found.real.clone()].into_iter().find(|path| free(path)) else { return Ok(None) };
    if tree.get(&place).is_some() {
        return Ok(None);
    }
    let text = content.read(LIMIT).map_err(|error| unreadable(source, &found.real, &error))?;
    Ok(Some((place, text)))
}
