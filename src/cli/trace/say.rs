//! What a trace found, for people and for programs.

use mkimage::edit::Addition;
use mkimage::trace::{Comparison, Kind};
use serde_json::{Value, json};

use crate::cli::console::Console;

/// A line or two on standard error; with `-v` every path that was passed over, by its reason.
pub(super) fn summary(console: &Console, comparison: &Comparison, additions: usize) {
    let passed: usize = comparison.passed_over.values().map(std::collections::BTreeSet::len).sum();
    let entries = if additions == 1 { "entry" } else { "entries" };
    let missing = comparison.missing.len();
    let lacks = if missing + comparison.writable.len() == 0 {
        "the image lacks nothing of it".to_owned()
    } else {
        format!("the image lacks {missing}, which {additions} {entries} would bring")
    };
    let hint = if passed > 0 && console.verbose == 0 { "; -vv says which" } else { "" };
    console.say(&format!(
        "the run used {} paths of the image; {lacks}; {passed} were passed over{hint}",
        comparison.there
    ));
    if console.verbose > 0 {
        for (why, paths) in &comparison.passed_over {
            console.say(&format!("  {} {}", paths.len(), why.text()));
            if console.verbose > 1 {
                for path in paths {
                    console.say(&format!("    {path}"));
                }
            }
        }
        for missing in &comparison.missing {
            let by = missing.by.as_deref().unwrap_or("the run");
            console.say(&format!("  missing: {} ({}, by {by})", missing.path, word(missing.kind)));
        }
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Program => "executed",
        Kind::Library => "loaded",
        Kind::File => "opened",
        Kind::Listed => "listed",
        Kind::Entered => "entered",
    }
}

pub(super) fn json(comparison: &Comparison, additions: &[Addition], diff: &str, code: u8) -> Value {
    let missing = comparison.missing.iter().map(|missing| {
        json!({
            "path": missing.path.to_string(),
            "leads-to": missing.real.to_string(),
            "used": word(missing.kind),
            "by": missing.by,
        })
    });
    let additions = additions.iter().map(|it| json!({ "key": it.key.name(), "value": it.value }));
    let passed = comparison.passed_over.iter().map(|(why, paths)| json!({ "reason": why.text(), "paths": paths }));
    json!({
        "there": comparison.there,
        "missing": missing.collect::<Vec<_>>(),
        "additions": additions.collect::<Vec<_>>(),
        "writable": comparison.writable.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "passed-over": passed.collect::<Vec<_>>(),
        "diff": diff,
        "exit-code": code,
    })
}
