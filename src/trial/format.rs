//! The forms in which test results are read: TAP 14, `JUnit`'s XML, JSON, and lines for people.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Outcome, Verdict};
use crate::report::xml;

/// TAP version 14, with what failed as a YAML block.
pub fn tap(outcomes: &[Outcome]) -> String {
    let mut text = format!("TAP version 14\n1..{}\n", outcomes.len());
    for (number, outcome) in outcomes.iter().enumerate() {
        let number = number + 1;
        let name = format!("{}: {}", outcome.recipe, outcome.name).replace('\\', "\\\\").replace('#', "\\#");
        let _ = match &outcome.verdict {
            Verdict::Passed => writeln!(text, "ok {number} - {name}"),
            Verdict::Skipped(why) => writeln!(text, "ok {number} - {name} # SKIP {why}"),
            Verdict::Failed(_) => writeln!(text, "not ok {number} - {name}"),
        };
        let _ = writeln!(text, "  ---\n  duration_ms: {}", outcome.time.as_millis());
        if let Verdict::Failed(lines) = &outcome.verdict {
            let _ = writeln!(text, "  at: {}\n  message: |", outcome.place);
            for line in lines {
                let _ = writeln!(text, "    {line}");
            }
        }
        text.push_str("  ...\n");
    }
    text
}

/// The XML of `JUnit`: a suite for each recipe.
pub fn junit(outcomes: &[Outcome]) -> String {
    let failed = |all: &[&Outcome]| all.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_))).count();
    let seconds = |outcome: &Outcome| format!("{:.3}", outcome.time.as_secs_f64());
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    let mut recipes: Vec<&str> = outcomes.iter().map(|outcome| outcome.recipe.as_str()).collect();
    recipes.dedup();
    for recipe in recipes {
        let own: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.recipe == recipe).collect();
        let skipped = own.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Skipped(_))).count();
        let (name, count, failed) = (xml(recipe), own.len(), failed(&own));
        let _ = writeln!(
            text,
            "  <testsuite name=\"{name}\" tests=\"{count}\" failures=\"{failed}\" skipped=\"{skipped}\">"
        );
        for outcome in own {
            let (case, time) = (xml(&outcome.name), seconds(outcome));
            let _ = write!(text, "    <testcase classname=\"{name}\" name=\"{case}\" time=\"{time}\"");
            let _ = match &outcome.verdict {
                Verdict::Passed => writeln!(text, "/>"),
                Verdict::Skipped(why) => writeln!(text, "><skipped message=\"{}\"/></testcase>", xml(why)),
                Verdict::Failed(lines) => {
                    let first = xml(lines.first().map_or("", String::as_str));
                    writeln!(text, "><failure message=\"{first}\">{}</failure></testcase>", xml(&lines.join("\n")))
                }
            };
        }
        text.push_str("  </testsuite>\n");
    }
    text + "</testsuites>\n"
}

/// A JSON value with a list of tests.
pub fn json(outcomes: &[Outcome]) -> Value {
    let one = |outcome: &Outcome| {
        let (word, lines) = match &outcome.verdict {
            Verdict::Passed => ("passed", Vec::new()),
            Verdict::Skipped(why) => ("skipped", vec![why.clone()]),
            Verdict::Failed(lines) => ("failed", lines.clone()),
        };
        let time = u64::try_from(outcome.time.as_millis()).unwrap_or(u64::MAX);
        json!({ "recipe": outcome.recipe, "name": outcome.name, "place": outcome.place, "outcome": word,
            "messages": lines, "milliseconds": time })
    };
    json!({ "tests": outcomes.iter().map(one).collect::<Vec<_>>() })
}

/// Lines for people.
pub fn text(outcomes: &[Outcome]) -> String {
    let (mut text, mut counts) = (String::new(), [0_usize; 3]);
    for outcome in outcomes {
        let (word, count, lines) = match &outcome.verdict {
            Verdict::Passed => ("ok", 0, &[][..]),
            Verdict::Failed(lines) => ("FAILED", 1, lines.as_slice()),
            Verdict::Skipped(why) => ("skipped", 2, std::slice::from_ref(why)),
        };
        counts[count] += 1;
        let _ = writeln!(text, "{}: {} ... {word} ({:.1} s)", outcome.recipe, outcome.name, outcome.time.as_secs_f64());
        if matches!(outcome.verdict, Verdict::Failed(_)) {
            let _ = writeln!(text, "    at {}", outcome.place);
        }
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
    }
    let _ = writeln!(text, "{} passed, {} failed, {} skipped", counts[0], counts[1], counts[2]);
    text
}
