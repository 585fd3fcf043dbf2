//! `CycloneDX` 1.6 as JSON: the image as the component that is described, its packages with their files inside them,
//! and who needs whom.

use std::collections::{BTreeMap, BTreeSet};

use super::contents::{Contents, Owner};
use super::names::{cpe, upstream_version, uuid};
use super::references::References;
use super::subject::Subject;
use super::words::{Words, source_properties};
use crate::deb::licence::Licence;
use crate::oci::{Hashes, Hex};

mod elements;

use elements::{
    Bom, Component, Dependency, Evidence, ExternalReference, Hash, LicenceChoice, LicenceOfList, Lifecycle, Metadata,
    Occurrence, Property, Supplier, Text, Tool, Tools,
};

const SYSTEM: &str = "operating-system";
/// What stands before a file's path in its reference.
const FILE: &str = "file:";

/// The document's bytes.
///
/// # Errors
/// What is wrong with its references, which is a bug.
pub(super) fn document(subject: &Subject, contents: &Contents) -> Result<Vec<u8>, String> {
    let ids = Ids::new(subject, contents);
    let bom = Bom {
        bom_format: "CycloneDX",
        components: components(&ids, contents),
        dependencies: dependencies(&ids, contents),
        metadata: Metadata {
            component: image(subject, &ids),
            lifecycles: [Lifecycle { phase: "build" }],
            timestamp: &subject.created,
            tools: Tools { components: [Tool { name: "mkimage", kind: "application", version: crate::VERSION }] },
        },
        serial_number: format!("urn:uuid:{}", uuid(&format!("cyclonedx 1.6 {}", subject.identity()))),
        spec_version: "1.6",
        version: 1,
    };
    super::checked(&bom, || references(&bom))
}

fn references<'a>(bom: &'a Bom<'a>) -> References<'a> {
    fn give<'a>(component: &'a Component<'a>, references: &mut References<'a>) {
        references.give(component.id);
        component.components.iter().for_each(|inner| give(inner, references));
    }
    let mut references = References::default();
    give(&bom.metadata.component, &mut references);
    bom.components.iter().for_each(|component| give(component, &mut references));
    for dependency in &bom.dependencies {
        references.relate(dependency.id, "dependsOn", dependency.id);
        dependency.depends_on.iter().for_each(|need| references.ask(need));
    }
    references
}

/// The references of components: their package URLs where these are of one component alone.
struct Ids {
    image: String,
    owners: Vec<String>,
    modules: Vec<String>,
    files: Vec<String>,
}

impl Ids {
    fn new(subject: &Subject, contents: &Contents) -> Self {
        let words = Words::of(contents.distribution.as_ref());
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut single = |purl: String| {
            let count = counts.entry(purl.clone()).or_default();
            *count += 1;
            if *count == 1 { purl } else { format!("{purl}#{count}") }
        };
        Self {
            image: subject.purl(),
            owners: contents.packages.iter().map(|one| single(words.purl(&one.package))).collect(),
            modules: contents.modules.iter().map(|one| single(one.purl())).collect(),
            files: contents.files.iter().map(|file| format!("{FILE}{}", file.shown)).collect(),
        }
    }

    /// The path of a file, as the document has it.
    fn path(&self, place: usize) -> &str {
        &self.files[place][FILE.len()..]
    }
}

fn components<'a>(ids: &'a Ids, contents: &'a Contents) -> Vec<Component<'a>> {
    let words = Words::of(contents.distribution.as_ref());
    let mut taken = BTreeSet::new();
    let file = |place: usize| file_component(ids, place, &contents.hashes[place]);
    let mut components = Vec::new();
    if let Some(distribution) = &contents.distribution {
        components.push(Component {
            id: SYSTEM,
            description: distribution.pretty_name.as_deref(),
            name: &distribution.id,
            supplier: Some(Supplier { name: distribution.name.as_str().into() }),
            kind: "operating-system",
            version: distribution.version_id.as_deref(),
            ..Component::default()
        });
    }
    for (owner, id) in contents.packages.iter().zip(&ids.owners) {
        components.push(Component {
            components: owner.files.iter().copied().map(file).collect(),
            evidence: evidence(ids, owner.files.iter().copied()),
            ..owner_component(id, owner, &words, contents)
        });
    }
    for (module, id) in contents.modules.iter().zip(&ids.modules) {
        let own = module.files.iter().copied().filter(|file| taken.insert(*file));
        components.push(Component {
            id,
            components: own.map(file).collect(),
            evidence: evidence(ids, std::iter::once(module.file)),
            licenses: licences(module.licence.as_ref()),
            name: &module.name,
            purl: Some(module.purl()),
            supplier: module.supplier.as_deref().map(|name| Supplier { name: name.into() }),
            kind: "library",
            version: module.version.as_deref(),
            ..Component::default()
        });
    }
    let rest = contents.files.iter().enumerate();
    let rest = rest.filter(|(place, file)| file.package.is_none() && !taken.contains(place));
    components.extend(rest.map(|(place, _)| file(place)));
    components
}

fn image<'a>(subject: &'a Subject, ids: &'a Ids) -> Component<'a> {
    Component {
        id: &ids.image,
        hashes: Some([Hash { alg: "SHA-256", content: Hex(subject.digest.bytes()) }]),
        name: &subject.name,
        purl: Some(subject.purl()),
        supplier: Some(Supplier { name: subject.publisher().into() }),
        kind: "container",
        version: Some(&subject.version),
        ..Component::default()
    }
}

fn owner_component<'a>(id: &'a str, owner: &'a Owner, words: &Words, contents: &Contents) -> Component<'a> {
    let (package, source) = (&owner.package, &owner.package.source_package);
    let properties = source_properties(package, contents.distribution.as_ref());
    let website = package.homepage().map(|url| ExternalReference { kind: "website", url });
    Component {
        id,
        cpe: Some(cpe(&source.name, upstream_version(&package.version))),
        external_references: website.into_iter().collect(),
        licenses: licences(owner.licence.as_ref()),
        name: &package.name,
        properties: properties.into_iter().map(|(name, value)| Property { name, value }).collect(),
        purl: Some(words.purl(package)),
        supplier: Some(Supplier { name: words.publisher(package).into() }),
        kind: "library",
        version: Some(&package.version),
        ..Component::default()
    }
}

/// An expression where all its terms are SPDX's; else the terms one by one, with the texts of the others.
fn licences(licence: Option<&Licence>) -> Vec<LicenceChoice<'_>> {
    let Some(licence) = licence else { return Vec::new() };
    if licence.extracted.is_empty() {
        return vec![LicenceChoice::Expression(&licence.expression)];
    }
    licence.terms.iter().map(|term| LicenceChoice::License(licence_of_list(term, licence))).collect()
}

fn licence_of_list<'a>(term: &'a str, licence: &'a Licence) -> LicenceOfList<'a> {
    match licence.extracted.get(term) {
        Some((name, text)) => LicenceOfList { name: Some(name), text: Some(Text { content: text }), id: None },
        // An exception has no place in an identifier.
        None if term.contains(' ') => LicenceOfList { name: Some(term), ..LicenceOfList::default() },
        None => LicenceOfList { id: Some(term), ..LicenceOfList::default() },
    }
}

/// The files that tell of a component.
fn evidence<'a>(ids: &'a Ids, files: impl Iterator<Item = usize>) -> Option<Evidence<'a>> {
    let occurrences: Vec<Occurrence<'a>> = files.map(|place| Occurrence { location: ids.path(place) }).collect();
    (!occurrences.is_empty()).then_some(Evidence { occurrences })
}

fn file_component<'a>(ids: &'a Ids, place: usize, hashes: &'a Hashes) -> Component<'a> {
    Component {
        id: &ids.files[place],
        hashes: Some([Hash { alg: "SHA-256", content: Hex(hashes.sha256.bytes()) }]),
        name: ids.path(place),
        kind: "file",
        ..Component::default()
    }
}

fn dependencies<'a>(ids: &'a Ids, contents: &Contents) -> Vec<Dependency<'a>> {
    fn entry<'a>(id: &'a str, needs: impl Iterator<Item = &'a String>) -> Dependency<'a> {
        Dependency { depends_on: needs.map(String::as_str).collect(), id }
    }
    let others = ids.owners.iter().chain(&ids.modules);
    let mut all = vec![entry(&ids.image, others)];
    if contents.distribution.is_some() {
        all[0].depends_on.insert(SYSTEM);
    }
    for (owner, id) in contents.packages.iter().zip(&ids.owners) {
        all.push(entry(id, owner.needs.iter().map(|need| &ids.owners[*need])));
    }
    for (module, id) in contents.modules.iter().zip(&ids.modules) {
        all.push(entry(id, module.needs.iter().map(|need| &ids.modules[*need])));
    }
    for (file, id) in contents.files.iter().zip(&ids.files).filter(|(file, _)| !file.needs.is_empty()) {
        all.push(entry(id, file.needs.iter().map(|need| &ids.files[*need])));
    }
    all
}
