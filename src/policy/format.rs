//! Verdicts for programs: SARIF 2.1.0 for code scanning, `JUnit`'s XML for continuous integration.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::rules::{MAX_DOWNLOAD, Rule, rules};
use super::{Finding, Hit, Verdicts, Waived};
use crate::recipe::Verdict;
use crate::report::{Span, Texts, xml};

/// The verdicts on one image.
#[derive(Debug)]
pub struct Judged {
    /// The image's name.
    pub image: String,
    /// The recipe, as the user knows it.
    pub recipe: String,
    /// The platform, as `linux/amd64`.
    pub platform: String,
    /// What was found.
    pub verdicts: Verdicts,
    /// Whether the recipe has a limit on layers, and none were packed that could be held against it.
    pub unpacked: bool,
}

/// A log of SARIF 2.1.0: a result for each path that breaks a rule, and for each that is waived, suppressed.
pub fn sarif(images: &[Judged], texts: &Texts) -> Value {
    let mut results = Vec::new();
    for judged in images {
        for finding in &judged.verdicts.findings {
            let level = if finding.verdict == Verdict::Deny { "error" } else { "warning" };
            if finding.hits.is_empty() {
                let place = finding.asked_at.first().map(|(span, _)| *span).or(finding.set_at);
                results.push(result(judged, finding.rule, level, (&told(finding), None, place), texts));
            }
            for hit in &finding.hits {
                let message = message(finding, hit);
                let place = hit.chain.span.or(finding.set_at);
                results.push(result(judged, finding.rule, level, (&message, Some(hit), place), texts));
            }
        }
        for waived in &judged.verdicts.waived {
            let place = Some(waived.waiver.span);
            let mut result = result(judged, waived.rule, "note", (&waived.summary, waived.hit.as_ref(), place), texts);
            let kind = json!([{ "kind": "inSource", "status": "accepted", "justification": justification(waived) }]);
            if let Some(fields) = result.as_object_mut() {
                fields.insert("suppressions".to_owned(), kind);
            }
            results.push(result);
        }
    }
    let described = |rule: &&'static Rule| {
        json!({
            "id": rule.code.to_string(),
            "name": pascal(rule.name),
            "shortDescription": { "text": sentence(rule.name) },
            "fullDescription": { "text": sentence(rule.about) },
            "help": { "text": format!("`mkimage explain {}` tells what it means and what to do.", rule.code) },
            "defaultConfiguration": { "level": if rule.default == Verdict::Warn { "warning" } else { "error" } },
        })
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "mkimage",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules().iter().map(described).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// One result: what is said, the path in the image, the place in the recipe.
fn result(
    judged: &Judged,
    rule: &Rule,
    level: &str,
    (message, hit, place): (&str, Option<&Hit>, Option<Span>),
    texts: &Texts,
) -> Value {
    let path = hit.map_or_else(|| judged.image.clone(), |hit| format!("{}{}", judged.image, hit.path));
    let kind = if hit.is_some() { "resource" } else { "module" };
    let mut location = json!({ "logicalLocations": [{ "fullyQualifiedName": path, "kind": kind }] });
    location["physicalLocation"] = match place.filter(|span| texts.is_file(span.text)) {
        Some(span) => {
            let ((line, column), (end_line, end_column)) = texts.lines_of(span);
            json!({
                "artifactLocation": { "uri": uri(texts.name(span.text)) },
                "region": { "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column },
            })
        }
        None => json!({ "artifactLocation": { "uri": uri(&judged.recipe) }, "region": { "startLine": 1 } }),
    };
    let number = rules().iter().position(|known| known.code == rule.code);
    json!({
        "ruleId": rule.code.to_string(),
        "ruleIndex": number,
        "level": level,
        "message": { "text": message },
        "locations": [location],
        "partialFingerprints": { "mkimage/v1": format!("{} {} {path}", rule.name, judged.platform) },
    })
}

/// What is said of a path: what is the matter with it, and why it is in the image.
fn message(finding: &Finding, hit: &Hit) -> String {
    let what = if hit.what.is_empty() { finding.rule.one() } else { &hit.what };
    format!("{}: `{}`, {what} (why: {})", finding.rule.name, hit.path, hit.chain)
}

fn told(finding: &Finding) -> String {
    let mut text = format!("{}: {}", finding.rule.name, finding.summary);
    for note in &finding.notes {
        let _ = write!(text, "; {note}");
    }
    text
}

fn justification(waived: &Waived) -> String {
    match &waived.waiver.until {
        Some(until) => format!("{} (until {})", waived.waiver.reason, until.value),
        None => waived.waiver.reason.clone(),
    }
}

/// `no-pie` as `NoPie`.
fn pascal(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('-').map(word).collect()
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// A path as a relative URI: what is no plain character of one is escaped.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let escaped = path.bytes().fold(String::new(), |mut uri, byte| {
        if plain(byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
        uri
    });
    if escaped.starts_with('/') { format!("file://{escaped}") } else { escaped }
}

/// `JUnit`'s XML: a suite for each image, a test for each rule. What is denied has failed; what is waived, or warned of
/// alone, is told in the output; a limit that nothing was held against is skipped.
pub fn junit(images: &[Judged]) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    for judged in images {
        let of = |rule: &'static Rule| judged.verdicts.findings.iter().filter(move |finding| finding.rule == rule);
        let denies = |rule: &&&'static Rule| of(rule).any(|finding| finding.verdict == Verdict::Deny);
        let failed = rules().iter().filter(denies).count();
        let name = xml(&format!("{} ({})", judged.image, judged.platform));
        let count = rules().len();
        let skipped = if judged.unpacked { " skipped=\"1\"" } else { "" };
        let _ = writeln!(text, "  <testsuite name=\"{name}\" tests=\"{count}\" failures=\"{failed}\"{skipped}>");
        for rule in rules() {
            let _ = write!(text, "    <testcase classname=\"{name}\" name=\"{}\"", rule.name);
            let mut body = String::new();
            if judged.unpacked && *rule == &MAX_DOWNLOAD {
                body.push_str("<skipped message=\"judged when layers are packed\"/>");
            }
            let broken: Vec<&Finding> = of(rule).filter(|finding| finding.verdict == Verdict::Deny).collect();
            if let Some(first) = broken.first() {
                let lines: Vec<String> = broken.iter().flat_map(|finding| lines(finding)).collect();
                let (title, lines) = (xml(&first.summary), xml(&lines.join("\n")));
                let _ = write!(body, "<failure type=\"{}\" message=\"{title}\">{lines}</failure>", rule.code);
            }
            let warned = of(rule).filter(|finding| finding.verdict == Verdict::Warn).flat_map(lines);
            let waived = judged.verdicts.waived.iter().filter(|waived| waived.rule == *rule);
            let waived = waived.map(|waived| format!("waived: {}: {}", waived.summary, justification(waived)));
            let said: Vec<String> = warned.chain(waived).collect();
            if !said.is_empty() {
                let _ = write!(body, "<system-out>{}</system-out>", xml(&said.join("\n")));
            }
            let _ = if body.is_empty() { writeln!(text, "/>") } else { writeln!(text, ">{body}</testcase>") };
        }
        text.push_str("  </testsuite>\n");
    }
    text + "</testsuites>\n"
}

fn lines(finding: &Finding) -> Vec<String> {
    let hits = finding.hits.iter().map(|hit| message(finding, hit));
    std::iter::once(told(finding)).chain(hits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        assert_eq!(pascal("no-pie"), "NoPie");
        assert_eq!(uri("./a b/é.toml"), "a%20b/%C3%A9.toml");
        assert_eq!(uri("/r/a.toml"), "file:///r/a.toml");
    }
}
