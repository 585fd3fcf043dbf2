//! `mkimage explain`: every code has an entry, every entry a code, and each is found however it is written.

use serde_json::Value;
use snapbox::str;

use super::commands::prints;
use super::sandbox::Sandbox;

/// The rows of docs/errors.md, which the test `readme` holds against the source.
fn rows() -> Vec<(String, String)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
    let text = std::fs::read_to_string(page).unwrap();
    let row = |line: &str| {
        let (code, about) = line.strip_prefix("| E")?.strip_suffix(" |")?.split_once(" | ")?;
        Some((format!("E{code}"), about.to_owned()))
    };
    text.lines().filter_map(row).collect()
}

fn explained() -> Vec<Value> {
    let run = Sandbox::new().run(&["explain", "--format", "json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    document["codes"].as_array().unwrap().clone()
}

#[test]
fn every_code_has_an_entry_and_every_entry_a_code() {
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    let entries: Vec<(String, String)> =
        explained().iter().map(|entry| (text(entry, "code"), text(entry, "about"))).collect();
    let rows = rows();
    assert!(rows.len() > 100, "{} rows", rows.len());
    let without: Vec<_> = rows.iter().filter(|row| !entries.contains(row)).collect();
    assert!(without.is_empty(), "src/cli/codes.toml has no such entries: {without:?}");
    let gone: Vec<_> = entries.iter().filter(|entry| !rows.contains(entry)).collect();
    assert!(gone.is_empty(), "docs/errors.md has no such codes: {gone:?}");
}

#[test]
fn entries_say_what_it_means_and_what_to_do() {
    for entry in explained() {
        for key in ["meaning", "fix"] {
            let text = entry[key].as_str().unwrap();
            assert!(text.ends_with(['.', '?']) && text.len() > 7, "{}: `{key}` is no sentence: {text}", entry["code"]);
        }
        assert_ne!(entry["example"], "", "{}", entry["code"]);
        let texts = ["meaning", "fix", "example"].map(|key| entry[key].as_str().unwrap_or_default());
        let long = texts.iter().flat_map(|text| text.lines()).find(|line| line.chars().count() > 90);
        assert_eq!(long, None, "{}: a line that does not fit", entry["code"]);
    }
}

#[test]
fn one_code() {
    prints(
        &Sandbox::new().run(&["explain", "E0203"]),
        0,
        str![[r#"
E0203: A library was not found

A program or library of the image needs a shared library, and the loader would not find
it: mkimage searched the same places in the same order. Without it the program would not
start, or would fail when it loads the part that needs it, so that the image is not
written. As a note it says that the library is not on the loader's path and is
nevertheless there, by another file of that name.

Example:
  library `libssl.so.3` was not found
    needed by /usr/bin/curl -> libcurl.so.4

What to do:
  Install the library in the root, or point `root` at one that has it. A library that the
  program never loads is listed under `ignore-missing`. `mkimage closure PROGRAM` shows
  the whole search.

"#]],
    );
}

#[test]
fn codes_are_found_however_they_are_written() {
    let sandbox = Sandbox::new();
    let whole = sandbox.run(&["explain", "E0203"]).stdout;
    for form in ["e0203", "E203", "203", "0203", "error[E0203]", "error[E0203]:"] {
        let run = sandbox.run(&["explain", form]);
        assert_eq!((run.code, run.stdout), (0, whole.clone()), "{form}: {}", run.stderr);
    }
}

#[test]
fn all_are_listed_with_a_line_each() {
    let run = Sandbox::new().run(&["explain"]);
    assert_eq!(run.code, 0);
    let lines: Vec<String> = rows().iter().map(|(code, about)| format!("{code}  {about}")).collect();
    assert_eq!(run.stdout.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn codes_that_are_not_there() {
    let sandbox = Sandbox::new();
    prints(
        &sandbox.run(&["explain", "E02033"]),
        2,
        str![[r#"
error[E0001]: there is no code `E02033`
 |
 = help: a similar code exists: `E0203`, A library was not found

"#]],
    );
    prints(
        &sandbox.run(&["explain", "shell"]),
        2,
        str![[r#"
error[E0001]: there is no code `shell`
 |
 = help: `mkimage explain` lists them

"#]],
    );
}
