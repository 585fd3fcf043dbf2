//! How programs and libraries are hardened: a table for people, objects for JSON.

use std::fmt::Write as _;

use mkimage::build::{Hardened, Protected};
use mkimage::path::show;
use serde_json::{Value, json};

use super::format::columns;

/// One line for each file, and one for each process with what all of its objects ask for.
pub(super) fn table(files: &[Hardened], processes: &[Protected]) -> String {
    let head = ["kind", "RELRO", "stack", "canary", "fortified", "features", "remarks", "path"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(files.iter().map(row));
    let mut text = columns(&rows);
    let processes = processes.iter().map(|process| {
        let features = words(&process.features.names());
        vec![format!("{} in {} objects", features, process.objects), process.path.to_string()]
    });
    let processes = columns(&processes.collect::<Vec<_>>());
    if !processes.is_empty() {
        text.push_str("\nprotection of whole processes\n");
        text.push_str(&processes);
    }
    text
}

fn row(file: &Hardened) -> Vec<String> {
    let facts = &file.hardening;
    let stack = match facts.executable_stack {
        None => "no note",
        Some(true) => "executable",
        Some(false) => "NX",
    };
    let canary = match facts.canary {
        None => "unknown",
        Some(true) => "yes",
        Some(false) => "no",
    };
    let mut remarks: Vec<&str> = file.privileges.clone();
    for (holds, word) in [
        (facts.go, "Go"),
        (facts.textrel, "TEXTREL"),
        (facts.writable_code > 0, "W+X"),
        (!facts.writable_paths.is_empty(), "unsafe RPATH"),
        (facts.debug.symbols, "not stripped"),
        (file.object.notes.build_id.is_none(), "no build id"),
    ] {
        remarks.extend(holds.then_some(word));
    }
    remarks.extend(file.object.notes.x86_level_needed());
    vec![
        facts.shape.word().to_owned(),
        facts.relro.word().to_owned(),
        stack.to_owned(),
        canary.to_owned(),
        format!("{}/{}", facts.fortified, facts.fortifiable),
        words(&facts.features.names()),
        words(&remarks),
        file.path.to_string(),
    ]
}

/// A file as a JSON object.
pub(super) fn object(file: &Hardened) -> Value {
    let (facts, notes) = (&file.hardening, &file.object.notes);
    let dynamic = file.object.dynamic.as_ref();
    let text = |bytes: Option<&std::sync::Arc<[u8]>>| bytes.map(|bytes| show(bytes));
    json!({
        "path": file.path.to_string(),
        "machine": file.object.machine.to_string(),
        "kind": facts.shape.word(),
        "relro": facts.relro.word(),
        "executable_stack": facts.executable_stack,
        "writable_code_segments": facts.writable_code,
        "textrel": facts.textrel,
        "canary": facts.canary,
        "fortified": facts.fortified,
        "fortifiable": facts.fortifiable,
        "rpath": text(dynamic.and_then(|dynamic| dynamic.rpath.as_ref())),
        "runpath": text(dynamic.and_then(|dynamic| dynamic.runpath.as_ref())),
        "unsafe_paths": facts.writable_paths.iter().map(|path| show(path)).collect::<Vec<_>>(),
        "features": facts.features.names(),
        "isa_needed": notes.x86_levels_needed(),
        "stripped": !facts.debug.symbols,
        "debug_information": facts.debug.information,
        "debug_link": facts.debug.link,
        "compressed_symbols": facts.debug.compressed,
        "build_id": notes.build_id.as_deref().map(hex),
        "package": notes.package,
        "go": facts.go,
        "privileges": file.privileges,
    })
}

/// A process as a JSON object.
pub(super) fn process(process: &Protected) -> Value {
    json!({
        "path": process.path.to_string(),
        "objects": process.objects,
        "features": process.features.names(),
    })
}

fn words(words: &[&str]) -> String {
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
