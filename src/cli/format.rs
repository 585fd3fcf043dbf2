//! The two forms in which commands print: text for people, JSON for programs.

use std::process::ExitCode;

use serde_json::{Value, json};

use mkimage::report::{Diagnostic, Level, Span, Texts};

use super::console::Console;

/// In which form a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Format {
    /// Text for people; it may change from version to version.
    #[default]
    Text,
    /// One JSON document with a `version`, which changes when a field's meaning does.
    Json,
}

/// Prints a document. Its `version` is added.
pub(super) fn print_json(console: &Console, mut document: Value) -> ExitCode {
    if let Some(fields) = document.as_object_mut() {
        fields.insert("version".to_owned(), 1.into());
    }
    let mut bytes = mkimage::oci::canonical(&document);
    bytes.push(b'\n');
    console.print(&String::from_utf8_lossy(&bytes))
}

/// Something that was found, for JSON.
pub(super) fn finding(texts: &Texts, finding: &Diagnostic) -> Value {
    let level = if finding.level == Level::Error { "error" } else { "warning" };
    json!({
        "level": level,
        "code": finding.code.to_string(),
        "message": finding.title,
        "place": place(texts, finding.labels.first().map(|label| label.span)),
        "notes": finding.notes,
        "helps": finding.helps,
    })
}

/// A place in a recipe, for JSON: its file, line and column, from 1.
pub(super) fn place(texts: &Texts, span: Option<Span>) -> Value {
    let Some(span) = span else { return Value::Null };
    let place = texts.place(span);
    let mut parts = place.rsplitn(3, ':');
    let column = parts.next().and_then(|column| column.parse::<u64>().ok());
    let line = parts.next().and_then(|line| line.parse::<u64>().ok());
    json!({ "file": parts.next(), "line": line, "column": column })
}

/// Rows of cells in columns, each as wide as its widest cell, two spaces between. No spaces at the end of a line.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
