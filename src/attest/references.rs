//! The check that the official validators leave out: every identifier is given once, and every reference leads to one.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

/// What is wrong with the identifiers of an SBOM, be it SPDX or `CycloneDX` as JSON. Each completes "the document ...".
pub fn check_references(document: &Value) -> Vec<String> {
    let mut references = References::default();
    if document.get("bomFormat").is_some() {
        cyclonedx(document, &mut references);
    } else {
        spdx(document, &mut references);
    }
    references.findings()
}

/// The identifiers of a document, and what of it leads to them.
#[derive(Default)]
pub(super) struct References<'a> {
    given: HashSet<&'a str>,
    twice: BTreeSet<&'a str>,
    asked: Vec<&'a str>,
    related: HashSet<[&'a str; 3]>,
    /// Relationships that stand there twice.
    repeated: usize,
}

impl<'a> References<'a> {
    /// An element has this identifier.
    pub(super) fn give(&mut self, id: &'a str) {
        if !self.given.insert(id) {
            self.twice.insert(id);
        }
    }

    /// Something refers to this identifier.
    pub(super) fn ask(&mut self, id: &'a str) {
        self.asked.push(id);
    }

    /// A relationship of some kind leads from one identifier to another.
    pub(super) fn relate(&mut self, from: &'a str, kind: &'a str, to: &'a str) {
        self.ask(from);
        self.ask(to);
        self.repeated += usize::from(!self.related.insert([from, kind, to]));
    }

    /// The licence of an element, an expression. `own` are the identifiers of licences that the document explains.
    pub(super) fn licence(&mut self, expression: &'a str, own: &BTreeSet<&str>) {
        let words = expression.split([' ', '(', ')']).filter(|word| word.starts_with("LicenseRef-"));
        self.asked.extend(words.filter(|id| !own.contains(id)));
    }

    /// What is wrong.
    pub(super) fn findings(&self) -> Vec<String> {
        let twice = self.twice.iter().map(|id| format!("gives `{id}` twice"));
        let dangling: BTreeSet<&&str> = self.asked.iter().filter(|id| !self.given.contains(*id)).collect();
        let dangling = dangling.into_iter().map(|id| format!("refers to `{id}`, which it does not give"));
        let mut findings: Vec<String> = twice.chain(dangling).collect();
        if self.repeated > 0 {
            findings.push(format!("says {} relationships twice", self.repeated));
        }
        findings
    }
}

fn spdx<'a>(document: &'a Value, references: &mut References<'a>) {
    let lists = ["packages", "files", "snippets"].map(|list| array(document.get(list)));
    for element in std::iter::once(document).chain(lists.into_iter().flatten()) {
        if let Some(id) = text(element, "SPDXID") {
            references.give(id);
        }
    }
    for one in array(document.get("relationships")) {
        let [from, kind, to] =
            ["spdxElementId", "relationshipType", "relatedSpdxElement"].map(|key| text(one, key).unwrap_or_default());
        references.relate(from, kind, to);
    }
    let licences: BTreeSet<&str> =
        array(document.get("hasExtractedLicensingInfos")).filter_map(|one| text(one, "licenseId")).collect();
    for element in array(document.get("packages")) {
        references.licence(text(element, "licenseDeclared").unwrap_or_default(), &licences);
    }
    references.asked.retain(|id| !["NOASSERTION", "NONE"].contains(id));
}

fn cyclonedx<'a>(document: &'a Value, references: &mut References<'a>) {
    let component = document.get("metadata").and_then(|metadata| metadata.get("component"));
    for one in component.into_iter().chain(array(document.get("components"))) {
        component_of(one, 0, references);
    }
    for one in array(document.get("dependencies")) {
        let from = text(one, "ref").unwrap_or_default();
        // There is one entry of each component.
        references.relate(from, "dependsOn", from);
        array(one.get("dependsOn")).filter_map(Value::as_str).for_each(|need| references.ask(need));
    }
}

fn component_of<'a>(component: &'a Value, depth: usize, references: &mut References<'a>) {
    if let Some(id) = text(component, "bom-ref") {
        references.give(id);
    }
    if depth < 100 {
        array(component.get("components")).for_each(|inner| component_of(inner, depth + 1, references));
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn array(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicates_and_dangling_references_are_found() {
        let component = |id: &str| json!({ "bom-ref": id, "type": "library", "name": id });
        let mut bom = json!({
            "bomFormat": "CycloneDX",
            "metadata": { "component": component("image") },
            "components": [{ "bom-ref": "a", "components": [component("b")] }],
            "dependencies": [{ "ref": "image", "dependsOn": ["a", "b"] }],
        });
        assert_eq!(check_references(&bom), Vec::<String>::new());
        bom["components"][0]["components"][0]["bom-ref"] = "a".into();
        assert_eq!(check_references(&bom), ["gives `a` twice", "refers to `b`, which it does not give"]);

        let relation = json!({ "spdxElementId": "D", "relationshipType": "DESCRIBES", "relatedSpdxElement": "P" });
        let mut document = json!({
            "SPDXID": "D",
            "packages": [{ "SPDXID": "P", "licenseDeclared": "(MIT OR LicenseRef-x)" }],
            "hasExtractedLicensingInfos": [{ "licenseId": "LicenseRef-x" }],
            "relationships": [relation],
        });
        assert_eq!(check_references(&document), Vec::<String>::new());
        document["relationships"] = json!([relation, relation]);
        document["packages"][0]["SPDXID"] = "Q".into();
        document["hasExtractedLicensingInfos"] = json!([]);
        let found = check_references(&document);
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
