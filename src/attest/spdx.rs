//! SPDX 2.3 as JSON: the image as a package that holds the others, each file with its hashes, and who loads whom.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde_json::{Map, Value, json};
use sha1::Digest as _;

use super::contents::{Contents, File};
use super::names::{cpe, hex, upstream_version, uuid};
use super::subject::Subject;
use super::words::{Words, shown, supplier_words};
use crate::deb::licence::Licence;
use crate::oci::Digest;

/// The identifier of the image itself.
const IMAGE: &str = "SPDXRef-Image";
const SYSTEM: &str = "SPDXRef-OperatingSystem";
const NONE: &str = "NOASSERTION";

/// The document.
pub(super) fn document(subject: &Subject, contents: &Contents) -> Value {
    let ids = Ids::new(contents);
    let mut document = Document { packages: Vec::new(), relationships: Vec::new(), extracted: BTreeMap::new() };
    document.relate("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE);
    document.image(subject, contents, &ids);
    document.system(contents);
    document.owners(contents, &ids);
    document.modules(contents, &ids);
    for (file, id) in contents.files.iter().zip(&ids.files) {
        for need in &file.needs {
            document.relate(id, "DYNAMIC_LINK", &ids.files[*need]);
        }
    }
    let files: Vec<Value> =
        contents.files.par_iter().zip(&ids.files).map(|(file, id)| file_element(id, file)).collect();
    let licences = document
        .extracted
        .into_iter()
        .map(|(id, (name, text))| json!({ "licenseId": id, "name": name, "extractedText": text }));
    let licences: Vec<Value> = licences.collect();
    let mut value = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": subject.title(),
        "documentNamespace": format!("urn:uuid:{}", uuid(&format!("spdx 2.3 {}", subject.identity()))),
        "creationInfo": { "created": subject.created, "creators": [format!("Tool: mkimage-{}", crate::VERSION)] },
        "packages": document.packages,
        "files": files,
        "relationships": document.relationships,
    });
    if !licences.is_empty() {
        value["hasExtractedLicensingInfos"] = licences.into();
    }
    value
}

/// The identifiers of elements: letters, digits, `.` and `-`, each once.
struct Ids {
    owners: Vec<String>,
    modules: Vec<String>,
    files: Vec<String>,
}

impl Ids {
    fn new(contents: &Contents) -> Self {
        let short = |text: &[u8]| Digest::of(text).hex()[..16].to_owned();
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

struct Document {
    packages: Vec<Value>,
    relationships: Vec<Value>,
    /// What the document's own licence identifiers stand for.
    extracted: BTreeMap<String, (String, String)>,
}

impl Document {
    fn relate(&mut self, from: &str, kind: &str, to: &str) {
        self.relationships.push(json!({
            "spdxElementId": from,
            "relationshipType": kind,
            "relatedSpdxElement": to,
        }));
    }

    fn image(&mut self, subject: &Subject, contents: &Contents, ids: &Ids) {
        let explained: BTreeSet<usize> = contents.modules.iter().flat_map(|module| &module.files).copied().collect();
        let own = contents
            .files
            .iter()
            .enumerate()
            .filter(|(place, file)| file.package.is_none() && !explained.contains(place));
        let own: Vec<usize> = own.map(|(place, _)| place).collect();
        let mut package = Fields::new(IMAGE, &subject.name, &subject.version, &subject.supplier());
        package.set("primaryPackagePurpose", "CONTAINER");
        package.set("checksums", json!([{ "algorithm": "SHA256", "checksumValue": subject.digest.hex() }]));
        package.reference("PACKAGE-MANAGER", "purl", &subject.purl());
        package.files(&own, contents);
        self.packages.push(package.value());
        for place in own {
            self.relate(IMAGE, "CONTAINS", &ids.files[place]);
        }
    }

    fn system(&mut self, contents: &Contents) {
        let Some(distribution) = &contents.distribution else { return };
        let version = distribution.version_id.as_deref().unwrap_or("rolling");
        let mut package = Fields::new(SYSTEM, &distribution.id, version, &supplier_words(&distribution.name));
        package.set("primaryPackagePurpose", "OPERATING-SYSTEM");
        package.set("description", distribution.pretty_name.as_deref().unwrap_or(&distribution.name));
        self.packages.push(package.value());
        self.relate(IMAGE, "CONTAINS", SYSTEM);
    }

    fn owners(&mut self, contents: &Contents, ids: &Ids) {
        let words = Words::of(contents.distribution.as_ref());
        for (owner, id) in contents.packages.iter().zip(&ids.owners) {
            let (package, source) = (&owner.package, &owner.package.source_package);
            let mut fields = Fields::new(id, &package.name, &package.version, &words.supplier(package));
            fields.set("primaryPackagePurpose", "LIBRARY");
            // Scanners take the source package, which advisories name, from this sentence.
            fields.set("sourceInfo", format!("built package from: {} {}", source.name, source.version));
            if let Some(homepage) = package.homepage() {
                fields.set("homepage", homepage);
            }
            self.licence(&mut fields, owner.licence.as_ref());
            fields.reference("SECURITY", "cpe23Type", &cpe(&source.name, upstream_version(&package.version)));
            fields.reference("PACKAGE-MANAGER", "purl", &words.purl(package));
            fields.files(&owner.files, contents);
            self.packages.push(fields.value());
            self.relate(IMAGE, "CONTAINS", id);
            for file in &owner.files {
                self.relate(id, "CONTAINS", &ids.files[*file]);
            }
            for need in &owner.needs {
                self.relate(id, "DEPENDS_ON", &ids.owners[*need]);
            }
        }
    }

    fn modules(&mut self, contents: &Contents, ids: &Ids) {
        let mut taken = BTreeSet::new();
        for (module, id) in contents.modules.iter().zip(&ids.modules) {
            let supplier = module.supplier.as_deref().map_or_else(|| NONE.to_owned(), supplier_words);
            let version = module.version.as_deref().unwrap_or("unknown");
            let mut fields = Fields::new(id, &module.name, version, &supplier);
            fields.set("primaryPackagePurpose", "LIBRARY");
            fields.set("sourceInfo", format!("found in {}", shown(&contents.files[module.file].path)));
            self.licence(&mut fields, module.licence.as_ref());
            fields.reference("PACKAGE-MANAGER", "purl", &module.purl());
            // A file is one package's: that which stands first.
            let own: Vec<usize> = module.files.iter().copied().filter(|file| taken.insert(*file)).collect();
            fields.files(&own, contents);
            self.packages.push(fields.value());
            self.relate(IMAGE, "CONTAINS", id);
            for file in own {
                self.relate(id, "CONTAINS", &ids.files[file]);
            }
            for need in &module.needs {
                self.relate(id, "DEPENDS_ON", &ids.modules[*need]);
            }
        }
    }

    fn licence(&mut self, fields: &mut Fields, licence: Option<&Licence>) {
        fields.set("licenseConcluded", NONE);
        fields.set("licenseDeclared", licence.map_or(NONE, |licence| &licence.expression));
        fields.set("copyrightText", NONE);
        for (id, extracted) in licence.iter().flat_map(|licence| &licence.extracted) {
            self.extracted.entry(id.clone()).or_insert_with(|| extracted.clone());
        }
    }
}

/// A package while it is put together.
struct Fields(Map<String, Value>);

impl Fields {
    fn new(id: &str, name: &str, version: &str, supplier: &str) -> Self {
        let mut fields = Self(Map::new());
        for (key, value) in [
            ("SPDXID", id),
            ("name", name),
            ("versionInfo", version),
            ("supplier", supplier),
            ("downloadLocation", NONE),
        ] {
            fields.set(key, value);
        }
        fields.set("filesAnalyzed", false);
        fields
    }

    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn reference(&mut self, category: &str, kind: &str, locator: &str) {
        let reference = json!({ "referenceCategory": category, "referenceType": kind, "referenceLocator": locator });
        match self.0.get_mut("externalRefs") {
            Some(Value::Array(all)) => all.push(reference),
            _ => self.set("externalRefs", json!([reference])),
        }
    }

    /// The files that it contains, and the code that SPDX makes of their hashes.
    fn files(&mut self, files: &[usize], contents: &Contents) {
        if files.is_empty() {
            return;
        }
        let mut sums: Vec<String> = files.iter().map(|file| hex(&contents.files[*file].hashes.sha1)).collect();
        sums.sort();
        let code: [u8; 20] = sha1::Sha1::digest(sums.concat()).into();
        self.set("filesAnalyzed", true);
        self.set("packageVerificationCode", json!({ "packageVerificationCodeValue": hex(&code) }));
    }

    fn value(self) -> Value {
        Value::Object(self.0)
    }
}

fn file_element(id: &str, file: &File) -> Value {
    json!({
        "SPDXID": id,
        "fileName": format!(".{}", shown(&file.path)),
        "checksums": [
            { "algorithm": "SHA1", "checksumValue": hex(&file.hashes.sha1) },
            { "algorithm": "SHA256", "checksumValue": file.hashes.sha256.hex() },
        ],
    })
}
