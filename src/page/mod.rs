//! Pages: one file of HTML each, which needs nothing else, works without a network, in light and dark, with a keyboard.
//!
//! In: surveys, or the difference of two. Out: text. What images hold is escaped wherever it stands; the same surveys
//! give the same bytes.

mod data;
mod diff;

use crate::picture::escape;
use crate::survey::Survey;

pub use diff::difference;

const STYLE: &str = include_str!("assets/page.css");
const REPORT: &str = include_str!("assets/report.html");
const REPORT_STYLE: &str = include_str!("assets/report.css");
const SCRIPT: &str = include_str!("assets/report.js");

/// The report of one or several images: what each holds, why, and how much of it they share.
pub fn report(surveys: &[Survey], title: &str) -> String {
    let mut parts = REPORT.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        match name {
            "title" => page.push_str(&escape(title)),
            "style" => page.push_str(STYLE),
            "report-style" => page.push_str(REPORT_STYLE),
            "script" => page.push_str(SCRIPT),
            "data" => page.push_str(&embedded(&data::data(surveys))),
            _ => {}
        }
        page.push_str(rest);
    }
    page
}

/// JSON inside of a `script` element, which `</script>` or `<!--` in a text must not end.
fn embedded(value: &serde_json::Value) -> String {
    String::from_utf8_lossy(&crate::oci::canonical(value)).replace('<', "\\u003c")
}
