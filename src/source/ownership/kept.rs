//! The databases of apk and rpm, read whole: what each package says of its files is kept until it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::database::{Lists, Package, SourcePackage};
use super::{Checksum, PackageFormat};
use crate::path::ImagePath;
use crate::report::{Diagnostic, Error, Result};
use crate::source::{Source, find, unreadable};
use crate::{apk, deb, rpm};

/// The most that a database may be long: rpm's of a desktop has a hundred megabytes.
const LIMIT: u64 = 1 << 29;

/// Where apk has its database, and where it has it since `/lib` may be a link.
const APK: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
/// Where rpm has its own.
const RPM: [&str; 2] = ["/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite"];

/// What a package says of its files, by path without leading `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// The paths, each with a `/` before it and a line's end behind it.
    pub(super) list: Vec<u8>,
    pub(super) sums: BTreeMap<Vec<u8>, Checksum>,
    pub(super) configuration: BTreeSet<Vec<u8>>,
}

impl Kept {
    fn add(&mut self, path: Vec<u8>, sum: Option<Checksum>, is_configuration: bool) {
        // A name with a line's end would be read as two.
        if path.contains(&b'\n') {
            return;
        }
        self.list.push(b'/');
        self.list.extend_from_slice(&path);
        self.list.push(b'\n');
        if is_configuration {
            self.configuration.insert(path.clone());
        }
        if let Some(sum) = sum {
            self.sums.insert(path, sum);
        }
    }
}

/// The packages of a root whose package manager is apk or rpm; none when it has neither.
pub(super) fn packages(source: &dyn Source) -> Result<Vec<Package>> {
    if let Some((_, bytes)) = read(source, &APK)? {
        return Ok(apk::packages(&bytes).filter_map(of_apk).collect());
    }
    let Some((path, bytes)) = read(source, &RPM)? else { return Ok(Vec::new()) };
    let log = path.parent().map(|folder| folder.join(b"rpmdb.sqlite-wal"));
    let log = log.and_then(|log| source.node(&log).ok().flatten());
    let bad = |why: &str| {
        let title = format!("`{path}` of the root `{}` {why}", source.describe());
        Error::from(Diagnostic::error(super::BAD_DATABASE, title))
    };
    if log.and_then(|node| node.content().map(crate::source::Content::size)).is_some_and(|size| size > 0) {
        return Err(bad("has changes in a log beside it; `rpm --rebuilddb` brings them in"));
    }
    let headers = rpm::read(&bytes).map_err(|error| bad(&error.to_string()))?;
    Ok(headers.into_iter().filter_map(of_rpm).collect())
}

/// A database that is there, with its real path.
fn read(source: &dyn Source, places: &[&str]) -> Result<Option<(ImagePath, Vec<u8>)>> {
    for place in places {
        let Some(found) = find(source, place.as_bytes())? else { continue };
        let Some(content) = found.node.content() else { continue };
        let bytes = content.read(LIMIT).map_err(|error| unreadable(source, &found.real, &error))?;
        return Ok(Some((found.real, bytes)));
    }
    Ok(None)
}

fn of_apk(package: apk::Package<'_>) -> Option<Package> {
    let name = package.field(b'P').filter(|name| deb::is_package_name(name))?.to_owned();
    let version = package.field(b'V')?.to_owned();
    let mut kept = Kept::default();
    for file in package.files() {
        // apk lets an administrator change what is below /etc.
        let is_configuration = file.path.starts_with(b"etc/");
        kept.add(file.path, file.sha1.map(Checksum::Sha1), is_configuration);
    }
    let source = package.field(b'o').unwrap_or(&name).to_owned();
    Some(Package {
        source_package: SourcePackage { name: source, version: version.clone() },
        architecture: architecture(package.field(b'A'))?,
        name,
        version,
        format: PackageFormat::Apk,
        multi_arch_same: false,
        lists: Lists::Kept(Arc::new(kept)),
        record: package.0.into(),
    })
}

fn of_rpm(bytes: Vec<u8>) -> Option<Package> {
    let header = rpm::Header::parse(&bytes)?;
    let name = header.name().filter(|name| deb::is_package_name(name))?.to_owned();
    // A public key, which is in the database too, has no architecture.
    let architecture = architecture(Some(header.architecture()?))?;
    let version = header.version()?;
    let mut kept = Kept::default();
    for file in header.files() {
        let sum = file.digest.map(|digest| match digest {
            rpm::Digest::Md5(sum) => Checksum::Md5(sum),
            rpm::Digest::Sha256(sum) => Checksum::Sha256(sum),
        });
        kept.add(file.path, sum, file.is_configuration);
    }
    // `x-2.0-3.fc40.src.rpm`
    let source = header.source_rpm().and_then(|file| {
        let stem = file.strip_suffix(".src.rpm").or_else(|| file.strip_suffix(".nosrc.rpm"))?;
        let (rest, release) = stem.rsplit_once('-')?;
        let (name, version) = rest.rsplit_once('-')?;
        Some(SourcePackage { name: name.to_owned(), version: format!("{version}-{release}") })
    });
    let source_package = source.unwrap_or_else(|| SourcePackage { name: name.clone(), version: version.clone() });
    Some(Package {
        name,
        version,
        format: PackageFormat::Rpm,
        architecture,
        source_package,
        multi_arch_same: true,
        lists: Lists::Kept(Arc::new(kept)),
        record: bytes.into(),
    })
}

/// `x86_64`, `noarch`; a package of apk may have none.
fn architecture(text: Option<&str>) -> Option<String> {
    let text = text.unwrap_or("noarch");
    let is_one = text.len() < 50 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    (is_one && !text.is_empty()).then(|| text.to_owned())
}

/// Where a root has its database of a format, links followed; none where it is spread over many files.
///
/// # Errors
/// When a folder that it may be in can't be read.
pub(crate) fn database_of(source: &dyn Source, format: PackageFormat) -> Result<Option<ImagePath>> {
    let places = match format {
        PackageFormat::Deb => return Ok(None),
        PackageFormat::Apk => APK,
        PackageFormat::Rpm => RPM,
    };
    for place in places {
        if let Some(found) = find(source, place.as_bytes())? {
            return Ok(Some(found.real));
        }
    }
    Ok(None)
}
