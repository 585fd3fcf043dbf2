//! What `mkimage check` found, beside diagnostics: libraries that objects name, how they are hardened, as text and
//! JSON.

use mkimage::build::{Assembled, Evidence, Named, Standing};
use mkimage::recipe::Recipe;
use mkimage::report::Result;
use serde_json::{Value, json};

use super::console::Console;
use super::format::columns;
use super::{hardening, summary};

/// Says what objects may load by name and the image does not have; with -v, what it has, too.
pub(super) fn say_evidence(console: &Console, assembled: &Assembled) {
    let all = || assembled.evidence.iter().flat_map(|object| object.names.iter().map(move |named| (object, named)));
    let absent = |named: &Named| !matches!(named.standing, Standing::Image(..)) && named.ignored.is_none();
    let count = all().filter(|(_, named)| absent(named)).count();
    if count == 0 && (console.verbose == 0 || all().next().is_none()) {
        return;
    }
    console.say(&format!("  libraries that are named for loading, {count} of them neither in the image nor ignored:"));
    let shown = all().filter(|(_, named)| console.verbose > 0 || absent(named));
    let rows: Vec<Vec<String>> = shown.map(|(object, named)| row(object, named)).collect();
    console.say(columns(&rows).trim_end());
}

fn row(object: &Evidence, named: &Named) -> Vec<String> {
    let standing = match &named.standing {
        Standing::Image(path, why) => format!("in the image: {path} ({})", why.word()),
        Standing::Root(path) => format!("in the root: {path}"),
        Standing::Nowhere => "nowhere".to_owned(),
    };
    let ignored = named.ignored.as_ref().map_or_else(String::new, |reason| format!(", ignored: {reason}"));
    let by = format!("named by {} ({})", object.object, object.functions.join(", "));
    vec![format!("    {}", named.name), standing + &ignored, by]
}

/// One image as JSON.
pub(super) fn document(recipe: &Recipe, assembled: &Assembled) -> Result<Value> {
    let files = assembled.hardened()?;
    let findings = assembled.verdicts.findings.iter().map(|finding| {
        json!({
            "rule": finding.rule.name,
            "code": finding.rule.code.to_string(),
            "verdict": finding.verdict.to_string(),
            "summary": finding.summary,
            "paths": finding.hits.iter().map(|hit| hit.path.to_string()).collect::<Vec<_>>(),
        })
    });
    let suggestions = assembled
        .suggestions
        .iter()
        .map(|suggestion| json!({ "extra": suggestion.extra, "trigger": suggestion.trigger, "note": suggestion.note }));
    Ok(json!({
        "name": recipe.name.value,
        "platform": assembled.platform.to_string(),
        "files": summary::files(&assembled.tree),
        "bytes": summary::size(&assembled.tree),
        "findings": findings.collect::<Vec<_>>(),
        "suggestions": suggestions.collect::<Vec<_>>(),
        "dlopen": assembled.evidence.iter().map(evidence).collect::<Vec<_>>(),
        "objects": files.iter().map(hardening::object).collect::<Vec<_>>(),
        "processes": assembled.protected().iter().map(hardening::process).collect::<Vec<_>>(),
    }))
}

fn evidence(object: &Evidence) -> Value {
    let named = |named: &Named| {
        let (standing, path, why) = match &named.standing {
            Standing::Image(path, why) => ("image", Some(path.to_string()), Some(why.word())),
            Standing::Root(path) => ("root", Some(path.to_string()), None),
            Standing::Nowhere => ("nowhere", None, None),
        };
        json!({ "name": named.name, "standing": standing, "path": path, "because": why, "ignored": named.ignored })
    };
    json!({
        "object": object.object.to_string(),
        "imports": object.functions,
        "names": object.names.iter().map(named).collect::<Vec<_>>(),
    })
}
