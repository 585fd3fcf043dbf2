//! What holds for the source text: the order of the stages, who may print, how files begin and what they are called.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 8] = ["common", "helper", "helpers", "manager", "misc", "types", "util", "utils"];

/// No file of the product is longer; one of tests, which is read case by case, may be twice that.
const MOST_LINES: usize = 600;

pub(crate) struct Text {
    /// Relative to the package, as `src/tree.rs`.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Text {
    /// The module path within the crate, as `["build", "write"]`; empty for `lib.rs` and `main.rs`.
    fn module(&self) -> Vec<&str> {
        let path = self.name.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        if path == "lib" || path == "main" { Vec::new() } else { path.split('/').collect() }
    }

    fn in_library(&self) -> bool {
        self.name.starts_with("src/") && self.name != "src/main.rs" && !self.name.starts_with("src/cli/")
    }

    /// The file and line of a byte.
    fn place(&self, at: usize) -> String {
        format!("{}:{}", self.name, self.text[..at].matches('\n').count() + 1)
    }
}

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files of the package, sorted.
pub(crate) fn sources() -> Vec<Text> {
    let files = committed().into_iter().filter(|name| ends_in(name, "rs"));
    files.map(|name| Text { text: fs::read_to_string(package().join(&name)).unwrap(), name }).collect()
}

/// The files of the package that are or would be committed: all but what builds leave behind.
fn committed() -> Vec<String> {
    let mut names = Vec::new();
    walk(&package(), "", &mut names);
    names.sort();
    names
}

fn ends_in(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == ending)
}

fn walk(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_made = prefix.is_empty() && (name == "target" || ends_in(&name, "oci") || name == ".git");
        let path = format!("{prefix}{name}");
        match entry.file_type().unwrap() {
            _ if is_made => {}
            kind if kind.is_dir() => walk(&entry.path(), &format!("{path}/"), names),
            kind if kind.is_file() => names.push(path),
            _ => {}
        }
    }
}

fn none(found: &[String], what: &str) {
    assert!(found.is_empty(), "{what}:\n  {}\n", found.join("\n  "));
}

/// The modules of the library, in the order of their lines in `lib.rs`.
fn stages() -> Vec<String> {
    let text = fs::read_to_string(package().join("src/lib.rs")).unwrap();
    let module = |line: &str| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
    text.lines().filter_map(module).collect()
}

#[test]
fn no_stage_names_a_later_one() {
    let stages = stages();
    let place = |stage: &str| stages.iter().position(|known| known == stage);
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| file.in_library()) {
        let Some(own) = file.module().first().copied() else { continue };
        let own_place = place(own).unwrap_or_else(|| panic!("`{}` has no `pub mod` line in lib.rs", file.name));
        for (at, named) in named(&file.text, file.module().len()) {
            match place(&named) {
                Some(other) if other > own_place => wrong.push(format!("{}: `{own}` names `{named}`", file.place(at))),
                _ => {}
            }
        }
    }
    none(&wrong, "stages that name later ones");
}

/// The first words of paths that begin at the crate's root, by `crate::` or by enough `super::`, in code and comments.
/// `depth` is how far below the root the file's module is.
fn named(text: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        // `$crate::` is another crate's when a macro is used there, `my_crate::` is no keyword.
        if !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            found.extend(words(&text[at + "crate::".len()..]).into_iter().map(|word| (at, word)));
        }
    }
    let mut rest = 0;
    while let Some(next) = text[rest..].find("super::") {
        let at = rest + next;
        let chain = text[at..].len() - text[at..].trim_start_matches("super::").len();
        let inline = text[..at].lines().filter(|line| line.starts_with("mod ") && line.ends_with('{')).count();
        if chain / "super::".len() >= depth + inline {
            found.extend(words(&text[at + chain..]).into_iter().map(|word| (at, word)));
        }
        rest = at + chain;
    }
    found
}

/// The first word of a path, or of each path in braces.
fn words(path: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        let text = text.trim_start().trim_start_matches("r#");
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(list) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut depth, mut all, mut start) = (0, Vec::new(), 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                all.push(word(&list[start..at]));
                start = at + 1;
            }
            '}' if depth == 0 => {
                all.push(word(&list[start..at]));
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    all.retain(|word| !word.is_empty());
    all
}

#[test]
fn paths_are_seen_however_they_are_written() {
    let words = |text: &str, depth| named(text, depth).into_iter().map(|(_, word)| word).collect::<Vec<_>>();
    assert_eq!(words("use crate::{path::{A, B}, tree, oci::C};", 1), ["path", "tree", "oci"]);
    assert_eq!(words("//! [`crate::layer`] `my_crate::x`", 1), ["layer"]);
    assert_eq!(words("use super::x; use super::super::output;", 2), ["output"]);
    assert_eq!(words("mod tests {\n use super::*; use super::super::output; }", 1), ["output"]);
}

#[test]
fn the_flow_on_the_first_page_is_that_of_the_modules() {
    let text = fs::read_to_string(package().join("src/lib.rs")).unwrap();
    let text = text.replace("\n//!        -> ", " -> ");
    let line = text.lines().find(|line| line.contains("recipe -> ")).expect("lib.rs shows the flow");
    let flow: Vec<&str> = line.trim_start_matches("//!").split("->").map(str::trim).collect();
    let stages = stages();
    let places: Vec<Option<usize>> = flow.iter().map(|name| stages.iter().position(|stage| stage == name)).collect();
    assert!(places.iter().all(Option::is_some), "not all of {flow:?} are modules");
    assert!(places.is_sorted(), "the modules stand in another order than {flow:?}");
    for stage in &stages {
        let named = [format!("[`{stage}`]"), format!("[`mod@{stage}`]")];
        assert!(named.iter().any(|name| text.contains(name)), "the page of lib.rs does not name `{stage}`");
    }
}

#[test]
fn the_library_does_not_print_ask_the_environment_or_execute() {
    let forbidden = [
        "println!",
        "print!(",
        "eprint!(",
        "dbg!",
        "io::stdout",
        "io::stderr",
        "io::stdin",
        "env::var",
        "env::args",
        "env::temp_dir",
        "env::current_dir",
        "env::home_dir",
        "env::set_",
        "current_exe",
        "SystemTime::now",
        "Instant::now",
        "process::exit",
        "Command::new",
        "thread_rng",
        "RandomState",
    ];
    // Engines are started only to hand them a finished image, programs that keep logins to be asked for one; runtimes,
    // and the waiting for what they start, are what `run` and `trial` are for.
    let excepted = |file: &Text, word: &str| match word {
        "Command::new" => ["src/output/", "src/run/", "src/registry/credential_program.rs"]
            .iter()
            .any(|known| file.name.starts_with(known)),
        "Instant::now" => file.name.starts_with("src/run/") || file.name.starts_with("src/trial/"),
        _ => false,
    };
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| file.in_library()) {
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in forbidden.iter().filter(|word| !excepted(file, word)) {
            for (at, _) in code.match_indices(word) {
                let line = code[..at].rsplit('\n').next().unwrap_or_default();
                if !line.trim_start().starts_with("//") {
                    wrong.push(format!("{}: {word}", file.place(at)));
                }
            }
        }
    }
    none(&wrong, "what only the command line may do");
}

#[test]
fn files_say_what_they_are_and_stay_readable() {
    let mut wrong = Vec::new();
    for file in sources() {
        if !file.text.starts_with("//! ") {
            wrong.push(format!("{} does not open with `//!`", file.name));
        }
        let lines = file.text.lines().count();
        let most = if file.name.starts_with("tests/") { 2 * MOST_LINES } else { MOST_LINES };
        if lines > most {
            wrong.push(format!("{} has {lines} lines, more than {most}", file.name));
        }
        for part in file.name.trim_end_matches(".rs").split('/').filter(|part| EMPTY_NAMES.contains(part)) {
            wrong.push(format!("{}: `{part}` says nothing of what is inside", file.name));
        }
    }
    none(&wrong, "files");
}

fn is_code(text: &str) -> bool {
    text.len() == 5 && text.starts_with('E') && text[1..].bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn a_code_stands_for_one_situation() {
    let mut codes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| file.name.starts_with("src/")) {
        for (at, _) in file.text.match_indices("\"E") {
            // A code is a whole string: `"E0201"`.
            let Some(code) = file.text[at + 1..].split('"').next().filter(|code| is_code(code)) else { continue };
            let code = code.to_owned();
            let families: &[&str] = match file.module().first().copied() {
                Some("cli") => &["E00"],
                Some("recipe") => &["E01"],
                Some("policy") => &["E03"],
                Some("lock" | "compare") => &["E04"],
                Some("build") => &["E02", "E05", "E06", "E07"],
                Some("output" | "image") => &["E02", "E06"],
                Some("attest") => &["E07"],
                Some("registry") => &["E06"],
                Some("cache") => &["E05"],
                Some("source") => &["E02", "E07"],
                Some("report") => &["E02", "E99"],
                _ => &["E02"],
            };
            if !families.iter().any(|family| code.starts_with(family)) {
                wrong.push(format!("{}: `{code}` is of another family than {}", file.place(at), families.join(", ")));
            }
            codes.entry(code).or_default().push(file.place(at));
        }
    }
    assert!(codes.len() > 30, "codes are no longer found: {}", codes.len());
    wrong.extend(
        codes
            .iter()
            .filter(|(_, places)| places.len() > 1)
            .map(|(code, places)| format!("`{code}` stands for {} situations: {}", places.len(), places.join(", "))),
    );
    none(&wrong, "codes");
}

#[test]
fn no_registry_and_no_machine_is_named() {
    // Put together here, so that this file does not hold what it looks for.
    let hosts: Vec<String> = [
        ["docker", "io"],
        ["docker", "com"],
        ["quay", "io"],
        ["ghcr", "io"],
        ["gcr", "io"],
        ["k8s", "io"],
        ["mcr.microsoft", "com"],
        ["amazonaws", "com"],
        ["ecr", "aws"],
        ["azurecr", "io"],
        ["gitlab", "com"],
        ["debian", "org"],
        ["cgr", "dev"],
    ]
    .map(|parts| parts.join("."))
    .to_vec();
    // The name that engines put before short names is written where names are read, and tested; a package has it, too.
    let excepted = |name: &str, host: &str| {
        host.starts_with("docker")
            && ["src/oci/", "src/registry/login.rs", "src/registry/remote.rs", ".ci/", "tests/it/output.rs"]
                .iter()
                .any(|known| name.starts_with(known))
            || name == "Cargo.lock"
    };
    let home = ["", "home", ""].join("/");
    let machine = [package().display().to_string(), [".cargo", "registry"].join("/"), home.clone()];
    let allowed_homes: BTreeSet<&str> = ["nonroot", "app", "me", "user"].into();
    let mut wrong = Vec::new();
    for name in committed() {
        let bytes = fs::read(package().join(&name)).unwrap();
        let text = Text { text: String::from_utf8_lossy(&bytes).into_owned(), name };
        for host in hosts.iter().filter(|host| !excepted(&text.name, host)) {
            let ends = |at: usize| !text.text[at + host.len()..].starts_with(|c: char| c.is_alphanumeric());
            let found = text.text.match_indices(host.as_str()).filter(|(at, _)| ends(*at));
            wrong.extend(found.map(|(at, _)| format!("{}: {host}", text.place(at))));
        }
        for path in &machine {
            for (at, _) in text.text.match_indices(path.as_str()) {
                let user: String =
                    text.text[at + path.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if *path != home || !(user.is_empty() || allowed_homes.contains(user.as_str())) {
                    wrong.push(format!("{}: {path}{user}", text.place(at)));
                }
            }
        }
    }
    none(&wrong, "what only holds for one machine or one company");
}

#[test]
fn comments_are_as_wide_as_code() {
    // rustfmt leaves comments as they are.
    let too_wide = |line: &&str| line.trim_start().starts_with("//") && line.chars().count() > 120;
    let of_file = |file: &Text| -> Vec<String> {
        let lines = (1..).zip(file.text.lines()).filter(|(_, line)| too_wide(line));
        lines.map(|(number, _)| format!("{}:{number}", file.name)).collect()
    };
    none(&sources().iter().flat_map(of_file).collect::<Vec<_>>(), "comments of more than 120 columns");
}
