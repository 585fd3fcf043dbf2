//! What the pages say of the program is so: recipes load, commands and options are there, tables are those of the
//! library.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use mkimage::needs::Level;
use mkimage::oci::Digest;
use mkimage::policy::Kind;
use mkimage::recipe::{Context, Fetched, Input, Verdict, Wanted, load, schema};
use mkimage::report::{Texts, render};
use mkimage::{needs, policy};
use serde_json::Value;

use super::sandbox::Sandbox;

const PAGES: [&str; 15] = [
    "README.md",
    "CHANGELOG.md",
    "docs/recipe.md",
    "docs/policy.md",
    "docs/lock.md",
    "docs/platforms.md",
    "docs/ci.md",
    "docs/reproducible.md",
    "docs/errors.md",
    "docs/diff.md",
    "docs/report.md",
    "docs/fleets.md",
    "docs/sbom.md",
    "docs/signing.md",
    "docs/registries.md",
];

fn at(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(page)
}

fn text(page: &str) -> String {
    std::fs::read_to_string(at(page)).unwrap()
}

/// The code blocks of a page in a language, each with the number of its first line.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let (mut blocks, mut open): (Vec<(usize, String)>, Option<bool>) = (Vec::new(), None);
    for (number, line) in text(page).lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(word), None) => {
                open = Some(word == language);
                if word == language {
                    blocks.push((number + 2, String::new()));
                }
            }
            (Some(_), Some(_)) => open = None,
            (None, Some(true)) => {
                let block = &mut blocks.last_mut().unwrap().1;
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

#[test]
fn recipes_on_the_pages_load() {
    let mut count = 0;
    for page in PAGES {
        for (line, recipe) in blocks(page, "toml") {
            let sandbox = Sandbox::new();
            sandbox.file("block/team.toml", "extras = ['tzdata']\n");
            sandbox.file("block/base.toml", "libraries = ['libc.so.6']\nextras = ['tzdata']\n");
            sandbox.file("block/recipes/api.toml", "binaries = ['api']\n").folder("block/services");
            sandbox.file("block/services/web/mkimage.toml", "binaries = ['web']\n");
            let name = if recipe.contains("[workspace]") { "block/mkimage.toml" } else { "block/app.toml" };
            sandbox.file(name, &recipe);
            let mut texts = Texts::default();
            let base = |_: &Wanted<'_>| Ok(Fetched { digest: Digest::of(b""), text: b"user = 7\n".to_vec() });
            let context = Context { fetch: Some(Box::new(base)), ..Context::default() };
            if let Err(error) = load(&Input::Path(sandbox.at(name)), &context, &mut texts) {
                panic!("{page}:{line}:\n{}", render(&error.0, &texts, false));
            }
            count += 1;
        }
    }
    assert!(count > 15, "{count} recipes");
}

/// The lines of a page that a reader would type, each with its line.
fn typed(page: &str) -> Vec<(usize, String)> {
    let line = |(start, block): (usize, String)| -> Vec<(usize, String)> {
        let lines = block.lines().enumerate();
        lines.filter_map(|(at, line)| Some((start + at, line.strip_prefix("$ ")?.to_owned()))).collect()
    };
    blocks(page, "console").into_iter().flat_map(line).collect()
}

/// The help of a command and of the commands below it.
fn help(command: &str) -> String {
    let run = Sandbox::new().run(&[command, "--help"]);
    assert_eq!(run.code, 0, "`mkimage {command}` is a command: {}", run.stderr);
    let listed = run.stdout.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let below = listed.filter_map(|line| line.split_whitespace().next());
    let below: String = below.map(|name| Sandbox::new().run(&[command, name, "--help"]).stdout).collect();
    run.stdout + &below
}

/// The options of a text, as `-o` and `--output`.
fn options(text: &str) -> BTreeSet<String> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    let words = text.split(ends).filter(|word| {
        let name = word.trim_start_matches('-');
        let dashes = word.len() - name.len();
        !name.is_empty() && (dashes == 2 || dashes == 1 && name.len() == 1)
    });
    words.map(str::to_owned).collect()
}

#[test]
fn commands_on_the_pages_are_there() {
    let mut count = 0;
    for page in PAGES {
        for (line, typed) in typed(page) {
            let typed = typed.replace("cargo run --release -- ", "mkimage ");
            let Some(arguments) = typed.strip_prefix("mkimage ") else { continue };
            let command = arguments.split_whitespace().next().unwrap();
            let help = options(&help(command));
            let arguments = arguments.split(['|', '>']).next().unwrap_or_default();
            // `plan` passes on what stands after `--` to the build.
            let (own, passed) = arguments.split_once(" -- ").unwrap_or((arguments, ""));
            for option in options(own) {
                assert!(help.contains(&option), "{page}:{line}: `mkimage {command}` has no `{option}`");
            }
            let build = options(passed).into_iter().find(|option| !self::help("build").contains(option.as_str()));
            assert_eq!(build, None, "{page}:{line}: what is passed on to `mkimage build`");
            count += 1;
        }
    }
    assert!(count > 8, "{count} commands");
}

#[test]
fn the_readme_has_every_command_and_option() {
    let readme = text("README.md");
    let start = readme.find("## Commands").unwrap();
    let section = &readme[start..start + readme[start..].find("## Outputs").unwrap()];
    let all = Sandbox::new().run(&["--help"]).stdout;
    let listed = all.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> =
        listed.filter(|line| !line.starts_with("    ")).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 10, "{commands:?}");
    let mut known = options(&all);
    for command in &commands {
        assert!(section.contains(&format!("`mkimage {command}")), "the README has no `mkimage {command}`");
        known.extend(options(&help(command)));
    }
    // The one command that has commands of its own with options.
    for command in ["info", "prune"] {
        known.extend(options(&Sandbox::new().run(&["cache", command, "--help"]).stdout));
    }
    for option in ["-h", "--help", "-V", "--version"] {
        known.remove(option);
    }
    let named = options(section);
    let missing: Vec<&String> = known.difference(&named).filter(|option| option.starts_with("--")).collect();
    assert!(missing.is_empty(), "the README does not name {missing:?}");
    let wrong: Vec<&String> = named.difference(&known).collect();
    assert!(wrong.is_empty(), "no command has {wrong:?}");
}

#[test]
fn every_key_has_its_section() {
    let page = text("docs/recipe.md");
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    for (key, value) in schema["properties"].as_object().unwrap() {
        let heading = format!("\n### `{key}`\n");
        let Some(start) = page.find(&heading) else { panic!("docs/recipe.md has no section for `{key}`") };
        let section = &page[start + heading.len()..];
        let section = &section[..section.find("\n### ").unwrap_or(section.len())];
        for inner in properties(value, 0) {
            assert!(section.contains(&format!("`{inner}`")), "docs/recipe.md, `{key}`: no word of `{inner}`");
        }
    }
}

/// The keys of the tables in a part of the schema, but for those of a recipe in it.
fn properties(schema: &Value, depth: usize) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "properties" {
                    keys.extend(value.as_object().unwrap().keys().cloned());
                    if depth > 0 {
                        continue;
                    }
                }
                if name != "defaults" {
                    keys.extend(properties(value, depth + usize::from(name == "properties")));
                }
            }
        }
        Value::Array(items) => keys.extend(items.iter().flat_map(|item| properties(item, depth))),
        _ => {}
    }
    keys
}

/// Asserts that a page has a table between its marks. `SNAPSHOTS=overwrite cargo test` writes it there.
fn table(page: &str, mark: &str, table: &str) {
    let text = text(page);
    let opening = format!("<!-- {mark}: written by the test `readme` -->\n");
    let start = text.find(&opening).unwrap_or_else(|| panic!("{page} has a place for `{mark}`")) + opening.len();
    let end = start + text[start..].find("<!-- end -->").unwrap();
    let wanted = format!("\n{table}\n");
    if std::env::vars().any(|(name, value)| name == "SNAPSHOTS" && value == "overwrite") {
        std::fs::write(at(page), format!("{}{wanted}{}", &text[..start], &text[end..])).unwrap();
    } else {
        assert_eq!(&text[start..end], wanted, "{page}: `SNAPSHOTS=overwrite cargo test` writes it anew");
    }
}

#[test]
fn extras_are_those_of_the_library() {
    let mut text = "| extra | | what it brings |\n| --- | --- | --- |\n".to_owned();
    for listing in needs::catalogue() {
        let level = match listing.level {
            Level::Required => "required",
            Level::Recommended => "recommended",
            Level::Optional => "optional",
        };
        let _ = writeln!(text, "| `{}` | {level} | {} |", listing.name, listing.about);
    }
    table("README.md", "extras", &text);
}

#[test]
fn rules_are_those_of_the_library() {
    let mut text = "| rule | default | code | about |\n| --- | --- | --- | --- |\n".to_owned();
    for rule in policy::rules() {
        let default = match (rule.kind, rule.default) {
            (Kind::Limit, _) => "no limit",
            (Kind::Verdict, Verdict::Allow) => "allow",
            (Kind::Verdict, Verdict::Warn) => "warn",
            (Kind::Verdict, Verdict::Deny) => "deny",
        };
        let _ = writeln!(text, "| `{}` | {default} | {} | {} |", rule.name, rule.code, rule.about);
    }
    table("docs/policy.md", "rules", &text);
}

#[test]
fn codes_are_those_of_the_source() {
    let mut codes: Vec<(String, String)> = Vec::new();
    for file in super::tidy::sources().into_iter().filter(|file| file.name.starts_with("src/")) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(code) = line.split_once("Code(\"").and_then(|(_, rest)| rest.split('"').next()) else { continue };
            let documented = lines[..number].iter().rev().take_while(|line| line.trim_start().starts_with("///"));
            let mut words: Vec<&str> =
                documented.map(|line| line.trim_start().trim_start_matches("///").trim()).collect();
            words.reverse();
            codes.push((code.to_owned(), words.join(" ").trim_end_matches('.').to_owned()));
        }
    }
    codes.extend(policy::rules().iter().map(|rule| (rule.code.to_string(), format!("Policy: {}", rule.about))));
    codes.sort();
    let mut text = "| code | |\n| --- | --- |\n".to_owned();
    for (code, about) in codes {
        assert!(!about.is_empty(), "`{code}` has no doc comment");
        let _ = writeln!(text, "| {code} | {about} |");
    }
    table("docs/errors.md", "codes", &text);
}

#[test]
fn links_lead_somewhere() {
    for page in PAGES {
        let text = text(page);
        for (start, _) in text.match_indices("](") {
            let target = text[start + 2..].split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = at(page).parent().unwrap().to_owned();
            let file = if path.is_empty() { at(page) } else { folder.join(path) };
            assert!(file.exists(), "{page}: `{target}` leads nowhere");
            if !anchor.is_empty() {
                let there = std::fs::read_to_string(file).unwrap().to_lowercase();
                let heading = format!("# {}", anchor.replace('-', " "));
                assert!(there.lines().any(|line| line.ends_with(&heading)), "{page}: no heading for `{target}`");
            }
        }
    }
}
