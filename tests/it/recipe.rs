//! Recipes as users write them: what is loaded, and the exact text of each mistake.
//!
//! The cases stand in `recipe.cases`, each a sentence (`== `), options (`-- with ..`), files (`-- name`), and what comes
//! out (`-- is`). `MKIMAGE_BLESS=1 cargo test` writes what comes out into the file, for review.

use std::fmt::Write as _;
use std::path::Path;

use mkimage::recipe::{Context, Input, Loaded, describe, load, unknown_settings};
use mkimage::report::{Texts, render};

const CASES: &str = include_str!("recipe.cases");

#[derive(Default)]
struct Case {
    sentence: String,
    options: String,
    files: Vec<(String, String)>,
    expected: String,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut part: Option<String> = None;
    for line in CASES.split_inclusive('\n') {
        let text = line.trim_end_matches('\n');
        if let Some(sentence) = text.strip_prefix("== ") {
            cases.push(Case { sentence: sentence.to_owned(), ..Case::default() });
            part = None;
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if let Some(options) = text.strip_prefix("-- with ") {
            case.options = options.to_owned();
        } else if let Some(name) = text.strip_prefix("-- ") {
            part = Some(name.to_owned());
            if name != "is" {
                case.files.push((name.to_owned(), String::new()));
            }
        } else if part.as_deref() == Some("is") {
            case.expected.push_str(line);
        } else if let (Some(_), Some((_, text))) = (&part, case.files.last_mut()) {
            text.push_str(line);
        }
    }
    cases
}

/// The context that a line of options asks for, and the input, the first file unless `load=` names another.
fn context(case: &Case, folder: &Path) -> (Input, Context) {
    let mut context = Context::default();
    let mut environment: Vec<(String, String)> = Vec::new();
    let mut input = Input::Path(folder.join(&case.files[0].0));
    for option in case.options.split_whitespace() {
        let (key, value) = option.split_once('=').unwrap();
        match key {
            "load" => input = Input::Path(folder.join(value)),
            "stdin" => {
                let text = std::fs::read(folder.join(value)).unwrap();
                input = Input::Text { name: "-".into(), text, folder: folder.to_owned() };
            }
            "platform" => context.platform = Some(value.parse().unwrap()),
            "tag" => context.tags.push(value.to_owned()),
            "compression" => context.compression = Some(value.parse().unwrap()),
            "root" => context.root = Some(value.into()),
            "workspace" => context.workspace = value == "true",
            "set" => context.set.push(value.split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap()),
            "env" => environment.push(value.split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap()),
            other => panic!("unknown option {other}"),
        }
    }
    context.env = Box::new(move |name| environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()));
    (input, context)
}

fn run(case: &Case) -> String {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("w");
    for (name, text) in &case.files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let (input, context) = context(case, &root);
    let mut texts = Texts::default();
    let shown = match load(&input, &context, &mut texts) {
        Ok(loaded) => {
            let unknown = unknown_settings(&context, std::slice::from_ref(&loaded));
            let said = [loaded.warnings.as_slice(), &unknown].concat();
            let said = if said.is_empty() { String::new() } else { render(&said, &texts, false) };
            said + &facts(&loaded, &texts)
        }
        Err(error) => render(&error.0, &texts, false),
    };
    shown.replace(&format!("{}/", root.display()), "").replace(&format!("{}", root.display()), ".")
}

#[test]
fn every_case() {
    let cases = cases();
    let results: Vec<_> = cases.iter().map(|case| (case, run(case))).collect();
    if std::env::vars_os().any(|(name, _)| name == "MKIMAGE_BLESS") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/recipe.cases");
        std::fs::write(path, results.iter().map(|(case, shown)| write_case(case, shown)).collect::<String>()).unwrap();
        return;
    }
    assert!(cases.len() > 100);
    for (case, shown) in results {
        snapbox::assert_data_eq!(
            shown,
            snapbox::Data::text(case.expected.trim_end_matches('\n').to_owned() + "\n").raw()
        );
    }
}

fn write_case(case: &Case, shown: &str) -> String {
    let mut text = format!("== {}\n", case.sentence);
    if !case.options.is_empty() {
        let _ = writeln!(text, "-- with {}", case.options);
    }
    for (name, content) in &case.files {
        let _ = write!(text, "-- {name}\n{content}");
    }
    let _ = write!(text, "-- is\n{}\n", shown);
    text
}

/// What was loaded, a fact a line.
fn facts(loaded: &Loaded, texts: &Texts) -> String {
    let mut text = String::new();
    for recipe in &loaded.recipes {
        text.push_str(&describe(recipe, texts));
    }
    if let Some(workspace) = &loaded.workspace {
        let members: Vec<_> = workspace.members.iter().map(|recipe| recipe.name.value.as_str()).collect();
        let _ = writeln!(text, "workspace {} shared {} {members:?}", workspace.file.display(), workspace.shared_layers);
    }
    text
}
