//! `CycloneDX` 1.6 as JSON: the image as the component that is described, its packages with their files inside them, and
//! who needs whom.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde_json::{Value, json};

use super::contents::{Contents, File, Owner};
use super::names::{cpe, upstream_version, uuid};
use super::subject::Subject;
use super::words::{Words, shown, source_properties};
use crate::deb::licence::Licence;

/// The document.
pub(super) fn document(subject: &Subject, contents: &Contents) -> Value {
    let ids = Ids::new(subject, contents);
    let words = Words::of(contents.distribution.as_ref());
    let mut taken = BTreeSet::new();
    let mut components = Vec::new();
    if let Some(distribution) = &contents.distribution {
        let mut system = json!({ "bom-ref": SYSTEM, "type": "operating-system", "name": distribution.id });
        set(&mut system, "version", distribution.version_id.as_deref());
        set(&mut system, "description", distribution.pretty_name.as_deref());
        system["supplier"] = json!({ "name": distribution.name });
        components.push(system);
    }
    let inner = |files: &[usize]| -> Vec<Value> {
        files.par_iter().map(|place| file_component(&ids.files[*place], &contents.files[*place])).collect()
    };
    for (owner, id) in contents.packages.iter().zip(&ids.owners) {
        let mut component = owner_component(id, owner, &words, contents);
        attach(&mut component, inner(&owner.files), owner.files.iter().map(|place| &contents.files[*place]));
        components.push(component);
    }
    for (module, id) in contents.modules.iter().zip(&ids.modules) {
        let own: Vec<usize> = module.files.iter().copied().filter(|file| taken.insert(*file)).collect();
        let mut component = json!({ "bom-ref": id, "type": "library", "name": module.name, "purl": module.purl() });
        set(&mut component, "version", module.version.as_deref());
        licences(&mut component, module.licence.as_ref());
        if let Some(supplier) = &module.supplier {
            component["supplier"] = json!({ "name": supplier });
        }
        attach(&mut component, inner(&own), std::iter::once(&contents.files[module.file]));
        components.push(component);
    }
    let rest =
        contents.files.par_iter().enumerate().filter(|(place, file)| file.package.is_none() && !taken.contains(place));
    components.par_extend(rest.map(|(place, file)| file_component(&ids.files[place], file)));
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(&format!("cyclonedx 1.6 {}", subject.identity()))),
        "version": 1,
        "metadata": {
            "timestamp": subject.created,
            "tools": { "components": [{ "type": "application", "name": "mkimage", "version": crate::VERSION }] },
            "component": image(subject),
            "lifecycles": [{ "phase": "build" }],
        },
        "components": components,
        "dependencies": dependencies(&ids, contents),
    })
}

const SYSTEM: &str = "operating-system";

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
            files: contents.files.iter().map(|file| format!("file:{}", shown(&file.path))).collect(),
        }
    }
}

fn image(subject: &Subject) -> Value {
    json!({
        "bom-ref": subject.purl(),
        "type": "container",
        "name": subject.name,
        "version": subject.version,
        "supplier": { "name": subject.publisher() },
        "purl": subject.purl(),
        "hashes": [{ "alg": "SHA-256", "content": subject.digest.hex() }],
    })
}

fn owner_component(id: &str, owner: &Owner, words: &Words, contents: &Contents) -> Value {
    let (package, source) = (&owner.package, &owner.package.source_package);
    let mut component = json!({
        "bom-ref": id,
        "type": "library",
        "name": package.name,
        "version": package.version,
        "supplier": { "name": words.publisher(package) },
        "purl": words.purl(package),
        "cpe": cpe(&source.name, upstream_version(&package.version)),
    });
    let properties: Vec<Value> = source_properties(package, contents.distribution.as_ref())
        .into_iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    component["properties"] = properties.into();
    licences(&mut component, owner.licence.as_ref());
    if let Some(homepage) = package.homepage() {
        component["externalReferences"] = json!([{ "type": "website", "url": homepage }]);
    }
    component
}

/// An expression where all its terms are SPDX's; else the terms one by one, with the texts of the others.
fn licences(component: &mut Value, licence: Option<&Licence>) {
    let Some(licence) = licence else { return };
    component["licenses"] = if licence.extracted.is_empty() {
        json!([{ "expression": licence.expression }])
    } else {
        let one = |term: &String| match licence.extracted.get(term) {
            Some((name, text)) => json!({ "license": { "name": name, "text": { "content": text } } }),
            // An exception has no place in an identifier.
            None if term.contains(' ') => json!({ "license": { "name": term } }),
            None => json!({ "license": { "id": term } }),
        };
        licence.terms.iter().map(one).collect::<Vec<_>>().into()
    };
}

/// Puts files inside a component, and the places that tell of it.
fn attach<'a>(component: &mut Value, inner: Vec<Value>, evidence: impl Iterator<Item = &'a File>) {
    let occurrences: Vec<Value> = evidence.map(|file| json!({ "location": shown(&file.path) })).collect();
    if !occurrences.is_empty() {
        component["evidence"] = json!({ "occurrences": occurrences });
    }
    if !inner.is_empty() {
        component["components"] = inner.into();
    }
}

fn file_component(id: &str, file: &File) -> Value {
    json!({
        "bom-ref": id,
        "type": "file",
        "name": shown(&file.path),
        "hashes": [{ "alg": "SHA-256", "content": file.hashes.sha256.hex() }],
    })
}

fn dependencies(ids: &Ids, contents: &Contents) -> Vec<Value> {
    let entry = |id: &String, needs: &mut dyn Iterator<Item = &String>| {
        let needs: BTreeSet<&String> = needs.collect();
        json!({ "ref": id, "dependsOn": needs })
    };
    let system = SYSTEM.to_owned();
    let system = contents.distribution.iter().map(|_| &system);
    let mut all = vec![entry(&ids.image, &mut system.chain(&ids.owners).chain(&ids.modules))];
    for (owner, id) in contents.packages.iter().zip(&ids.owners) {
        all.push(entry(id, &mut owner.needs.iter().map(|need| &ids.owners[*need])));
    }
    for (module, id) in contents.modules.iter().zip(&ids.modules) {
        all.push(entry(id, &mut module.needs.iter().map(|need| &ids.modules[*need])));
    }
    for (file, id) in contents.files.iter().zip(&ids.files).filter(|(file, _)| !file.needs.is_empty()) {
        all.push(entry(id, &mut file.needs.iter().map(|need| &ids.files[*need])));
    }
    all
}

fn set(component: &mut Value, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        component[key] = value.into();
    }
}
