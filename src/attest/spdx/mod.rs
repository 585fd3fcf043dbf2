//! SPDX 2.3 as JSON: the image as a package that holds the others, each file with its hashes, and who loads whom.

use std::collections::{BTreeMap, BTreeSet};

use sha1::Digest as _;

use super::contents::Contents;
use super::names::{cpe, upstream_version, uuid};
use super::references::References;
use super::subject::Subject;
use super::words::{Words, supplier_words};
use crate::deb::licence::Licence;
use crate::oci::{Digest, Hashes, Hex};

mod elements;

use elements::{
    Checksum, CreationInfo, Document, ExternalReference, ExtractedLicence, File, Package, Relationship,
    VerificationCode,
};

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
/// The identifier of the image itself.
const IMAGE: &str = "SPDXRef-Image";
const SYSTEM: &str = "SPDXRef-OperatingSystem";
const NONE: &str = "NOASSERTION";

/// The document's bytes.
///
/// # Errors
/// What is wrong with its identifiers, which is a bug.
pub(super) fn document(subject: &Subject, contents: &Contents) -> Result<Vec<u8>, String> {
    let ids = Ids::new(contents);
    let mut elements = Elements { contents, ids: &ids, packages: Vec::new(), relationships: Vec::new() };
    elements.relate(DOCUMENT, "DESCRIBES", IMAGE);
    elements.image(subject);
    elements.system();
    elements.owners();
    elements.modules();
    for (file, id) in contents.files.iter().zip(&ids.files) {
        for need in &file.needs {
            elements.relate(id, "DYNAMIC_LINK", &ids.files[*need]);
        }
    }
    let document = Document {
        id: DOCUMENT,
        creation_info: CreationInfo {
            created: &subject.created,
            creators: [format!("Tool: mkimage-{}", crate::VERSION)],
        },
        data_license: "CC0-1.0",
        document_namespace: format!("urn:uuid:{}", uuid(&format!("spdx 2.3 {}", subject.identity()))),
        files: files(contents, &ids),
        has_extracted_licensing_infos: extracted_licences(contents),
        name: subject.title(),
        packages: elements.packages,
        relationships: elements.relationships,
        spdx_version: "SPDX-2.3",
    };
    super::checked(&document, || references(&document))
}

fn references<'a>(document: &'a Document<'a>) -> References<'a> {
    let mut references = References::default();
    references.give(document.id);
    document.packages.iter().for_each(|package| references.give(package.id));
    document.files.iter().for_each(|file| references.give(file.id));
    document.relationships.iter().for_each(|one| references.relate(one.from, one.kind, one.to));
    let own: BTreeSet<&str> = document.has_extracted_licensing_infos.iter().map(|one| one.license_id).collect();
    let declared = document.packages.iter().filter_map(|package| package.license_declared);
    declared.for_each(|licence| references.licence(licence, &own));
    references
}

/// The identifiers of elements: letters, digits, `.` and `-`, each once.
struct Ids {
    owners: Vec<String>,
    modules: Vec<String>,
    files: Vec<String>,
}

impl Ids {
    fn new(contents: &Contents) -> Self {
        let short = |text: &[u8]| Hex(&Digest::of(text).bytes()[..8]).to_string();
        let clean = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
        };
        let owner = |package: &crate::source::ownership::Package| {
            let whole = format!("{} {} {}", package.name, package.version, package.architecture);
            format!("SPDXRef-Package-{}-{}", clean(&package.name), &short(whole.as_bytes())[..8])
        };
        let module = |(place, module): (usize, &super::Module)| {
            let whole = format!("{place} {}", contents.files[module.file].path);
            format!("SPDXRef-Module-{}-{}", clean(&module.name), &short(whole.as_bytes())[..8])
        };
        Self {
            owners: contents.packages.iter().map(|one| owner(&one.package)).collect(),
            modules: contents.modules.iter().enumerate().map(module).collect(),
            files: contents.files.iter().map(|file| format!("SPDXRef-File-{}", short(file.path.as_bytes()))).collect(),
        }
    }
}

/// Packages and relationships while they are put together.
struct Elements<'a> {
    contents: &'a Contents,
    ids: &'a Ids,
    packages: Vec<Package<'a>>,
    relationships: Vec<Relationship<'a>>,
}

impl<'a> Elements<'a> {
    fn relate(&mut self, from: &'a str, kind: &'static str, to: &'a str) {
        self.relationships.push(Relationship { to, kind, from });
    }

    fn image(&mut self, subject: &'a Subject) {
        let (contents, ids) = (self.contents, self.ids);
        let explained: BTreeSet<usize> = contents.modules.iter().flat_map(|module| &module.files).copied().collect();
        let own = contents
            .files
            .iter()
            .enumerate()
            .filter(|(place, file)| file.package.is_none() && !explained.contains(place));
        let own: Vec<usize> = own.map(|(place, _)| place).collect();
        let verification = verification_code(&own, contents);
        self.packages.push(Package {
            id: IMAGE,
            checksums: vec![checksum("SHA256", subject.digest.bytes())],
            download_location: NONE,
            external_refs: vec![reference("PACKAGE-MANAGER", "purl", subject.purl())],
            files_analyzed: verification.is_some(),
            name: &subject.name,
            package_verification_code: verification,
            primary_package_purpose: "CONTAINER",
            supplier: subject.supplier(),
            version_info: &subject.version,
            ..Package::default()
        });
        for place in own {
            self.relate(IMAGE, "CONTAINS", &ids.files[place]);
        }
    }

    fn system(&mut self) {
        let Some(distribution) = &self.contents.distribution else { return };
        self.packages.push(Package {
            id: SYSTEM,
            description: Some(distribution.pretty_name.as_deref().unwrap_or(&distribution.name)),
            download_location: NONE,
            name: &distribution.id,
            primary_package_purpose: "OPERATING-SYSTEM",
            supplier: supplier_words(&distribution.name),
            version_info: distribution.version_id.as_deref().unwrap_or("rolling"),
            ..Package::default()
        });
        self.relate(IMAGE, "CONTAINS", SYSTEM);
    }

    fn owners(&mut self) {
        let (contents, ids) = (self.contents, self.ids);
        let words = Words::of(contents.distribution.as_ref());
        for (owner, id) in contents.packages.iter().zip(&ids.owners) {
            let (package, source) = (&owner.package, &owner.package.source_package);
            let verification = verification_code(&owner.files, contents);
            self.packages.push(Package {
                id,
                copyright_text: Some(NONE),
                download_location: NONE,
                external_refs: vec![
                    reference("SECURITY", "cpe23Type", cpe(&source.name, upstream_version(&package.version))),
                    reference("PACKAGE-MANAGER", "purl", words.purl(package)),
                ],
                files_analyzed: verification.is_some(),
                homepage: package.homepage(),
                license_concluded: Some(NONE),
                license_declared: Some(declared(owner.licence.as_ref())),
                name: &package.name,
                package_verification_code: verification,
                primary_package_purpose: "LIBRARY",
                // Scanners take the source package, which advisories name, from this sentence.
                source_info: Some(format!("built package from: {} {}", source.name, source.version)),
                supplier: words.supplier(package),
                version_info: &package.version,
                ..Package::default()
            });
            self.relate(IMAGE, "CONTAINS", id);
            for file in &owner.files {
                self.relate(id, "CONTAINS", &ids.files[*file]);
            }
            for need in &owner.needs {
                self.relate(id, "DEPENDS_ON", &ids.owners[*need]);
            }
        }
    }

    fn modules(&mut self) {
        let (contents, ids) = (self.contents, self.ids);
        let mut taken = BTreeSet::new();
        for (module, id) in contents.modules.iter().zip(&ids.modules) {
            // A file is one package's: that which stands first.
            let own: Vec<usize> = module.files.iter().copied().filter(|file| taken.insert(*file)).collect();
            let verification = verification_code(&own, contents);
            self.packages.push(Package {
                id,
                copyright_text: Some(NONE),
                download_location: NONE,
                external_refs: vec![reference("PACKAGE-MANAGER", "purl", module.purl())],
                files_analyzed: verification.is_some(),
                license_concluded: Some(NONE),
                license_declared: Some(declared(module.licence.as_ref())),
                name: &module.name,
                package_verification_code: verification,
                primary_package_purpose: "LIBRARY",
                source_info: Some(format!("found in {}", contents.files[module.file].shown)),
                supplier: module.supplier.as_deref().map_or_else(|| NONE.to_owned(), supplier_words),
                version_info: module.version.as_deref().unwrap_or("unknown"),
                ..Package::default()
            });
            self.relate(IMAGE, "CONTAINS", id);
            for file in own {
                self.relate(id, "CONTAINS", &ids.files[file]);
            }
            for need in &module.needs {
                self.relate(id, "DEPENDS_ON", &ids.modules[*need]);
            }
        }
    }
}

fn declared(licence: Option<&Licence>) -> &str {
    licence.map_or(NONE, |licence| &licence.expression)
}

/// What the document's own licence identifiers stand for: as the first element says that has them.
fn extracted_licences(contents: &Contents) -> Vec<ExtractedLicence<'_>> {
    let owners = contents.packages.iter().map(|owner| &owner.licence);
    let licences = owners.chain(contents.modules.iter().map(|module| &module.licence)).flatten();
    let mut all: BTreeMap<&str, &(String, String)> = BTreeMap::new();
    for (id, extracted) in licences.flat_map(|licence| &licence.extracted) {
        all.entry(id).or_insert(extracted);
    }
    all.into_iter()
        .map(|(license_id, (name, extracted_text))| ExtractedLicence { extracted_text, license_id, name })
        .collect()
}

fn reference(category: &'static str, kind: &'static str, locator: String) -> ExternalReference {
    ExternalReference { reference_category: category, reference_locator: locator, reference_type: kind }
}

fn checksum<'a>(algorithm: &'static str, hash: &'a [u8]) -> Checksum<'a> {
    Checksum { algorithm, checksum_value: Hex(hash) }
}

/// The code that SPDX makes of the hashes of a package's files (section 7.9); none of a package without files.
fn verification_code(files: &[usize], contents: &Contents) -> Option<VerificationCode> {
    let mut sums: Vec<[u8; 20]> = files.iter().map(|file| contents.hashes[*file].sha1).collect();
    // Their digits sort as their bytes do.
    sums.sort_unstable();
    let mut code = sha1::Sha1::new();
    for sum in &sums {
        code.update(Hex(sum).to_string());
    }
    let value = || VerificationCode { package_verification_code_value: Hex(&code.finalize()).to_string() };
    (!sums.is_empty()).then(value)
}

fn files<'a>(contents: &'a Contents, ids: &'a Ids) -> Vec<File<'a>> {
    let all = contents.files.iter().zip(&contents.hashes).zip(&ids.files);
    let element = |((file, hashes), id): ((&super::contents::File, &'a Hashes), &'a String)| File {
        id,
        checksums: [checksum("SHA1", &hashes.sha1), checksum("SHA256", hashes.sha256.bytes())],
        file_name: format!(".{}", file.shown),
    };
    all.map(element).collect()
}
