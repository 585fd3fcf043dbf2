//! The check that the official validators leave out: every identifier is given once, and every reference leads to one.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

/// What is wrong with the identifiers of an SBOM, be it SPDX or `CycloneDX` as JSON. Each completes "the document ...".
pub fn check_references(document: &Value) -> Vec<String> {
    let mut check = Check::default();
    if document.get("bomFormat").is_some() {
        check.cyclonedx(document);
    } else {
        check.spdx(document);
    }
    check.findings()
}

#[derive(Default)]
struct Check<'a> {
    given: HashSet<&'a str>,
    twice: BTreeSet<&'a str>,
    asked: HashSet<&'a str>,
    /// Relationships that stand there twice.
    repeated: usize,
}

impl<'a> Check<'a> {
    fn give(&mut self, id: Option<&'a Value>) {
        if let Some(id) = id.and_then(Value::as_str)
            && !self.given.insert(id)
        {
            self.twice.insert(id);
        }
    }

    fn ask(&mut self, id: Option<&'a Value>) {
        self.asked.extend(id.and_then(Value::as_str));
    }

    fn spdx(&mut self, document: &'a Value) {
        self.give(document.get("SPDXID"));
        for list in ["packages", "files", "snippets"] {
            for element in array(document.get(list)) {
                self.give(element.get("SPDXID"));
            }
        }
        let mut seen = HashSet::new();
        for one in array(document.get("relationships")) {
            let parts = ["spdxElementId", "relationshipType", "relatedSpdxElement"].map(|key| one.get(key));
            self.ask(parts[0]);
            self.ask(parts[2]);
            let known = seen.insert(parts.map(|part| part.and_then(Value::as_str)));
            self.repeated += usize::from(!known);
        }
        let licences: BTreeSet<&str> = array(document.get("hasExtractedLicensingInfos"))
            .filter_map(|one| one.get("licenseId")?.as_str())
            .collect();
        for element in array(document.get("packages")) {
            let declared = element.get("licenseDeclared").and_then(Value::as_str).unwrap_or_default();
            let own = declared.split([' ', '(', ')']).filter(|word| word.starts_with("LicenseRef-"));
            self.asked.extend(own.filter(|id| !licences.contains(id)));
        }
        self.asked.remove("NOASSERTION");
        self.asked.remove("NONE");
    }

    fn cyclonedx(&mut self, document: &'a Value) {
        let component = document.get("metadata").and_then(|metadata| metadata.get("component"));
        for component in component.into_iter().chain(array(document.get("components"))) {
            self.component(component, 0);
        }
        let mut seen = HashSet::new();
        for one in array(document.get("dependencies")) {
            self.ask(one.get("ref"));
            self.repeated += usize::from(!seen.insert(one.get("ref").and_then(Value::as_str)));
            for need in array(one.get("dependsOn")) {
                self.ask(Some(need));
            }
        }
    }

    fn component(&mut self, component: &'a Value, depth: usize) {
        self.give(component.get("bom-ref"));
        if depth < 100 {
            for inner in array(component.get("components")) {
                self.component(inner, depth + 1);
            }
        }
    }

    fn findings(self) -> Vec<String> {
        let twice = self.twice.iter().map(|id| format!("gives `{id}` twice"));
        let dangling: BTreeSet<&&str> = self.asked.difference(&self.given).collect();
        let dangling = dangling.into_iter().map(|id| format!("refers to `{id}`, which it does not give"));
        let mut findings: Vec<String> = twice.chain(dangling).collect();
        if self.repeated > 0 {
            findings.push(format!("says {} relationships twice", self.repeated));
        }
        findings
    }
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
