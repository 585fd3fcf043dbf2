//! Recipes as users write them: what is loaded, and the exact text of each mistake.
//!
//! The cases stand in `recipe.cases`, each a sentence (`== `), options (`-- with ..`), files (`-- name`), and what
//! comes out (`-- is`). `MKIMAGE_BLESS=1 cargo test` writes what comes out into the file, for review.

use std::fmt::Write as _;
use std::path::Path;

use mkimage::recipe::{Context, Input, Loaded, describe, load, schema, unknown_settings};
use mkimage::report::{Texts, github, render};

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
            case.options.push_str(options);
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
            "platform" => context.platforms.push(value.parse().unwrap()),
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
    let _ = write!(text, "-- is\n{shown}\n");
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

/// What is said of one text, given as standard input.
fn said(bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut texts = Texts::default();
    let input = Input::Text { name: "-".into(), text: bytes.to_owned(), folder: "/nowhere".into() };
    match load(&input, &Context::default(), &mut texts) {
        Ok(loaded) => Ok(loaded.recipes.iter().map(|recipe| describe(recipe, &texts)).collect()),
        Err(error) => {
            assert!(error.0.len() <= 51);
            github(&error.0, &texts);
            Err(render(&error.0, &texts, false))
        }
    }
}

#[test]
fn what_is_no_text_is_told_in_one_sentence() {
    let first = |bytes: &[u8]| said(bytes).unwrap_err();
    let latin = first(b"name = \"caf\xe9\"\nuser = \"x\"\n");
    let expected = "error[E0100]: `-` is not UTF-8\n --> -:1:12\n  |\n1 | name = \"caf\u{fffd}\"\n  |            ^ not UTF-8 from here\n";
    assert_eq!(latin, expected);
    assert_eq!(
        first(b"\x7fELF\x02\x01\x01\0\xff"),
        "error[E0100]: `-` is a program, not a recipe\n |\n = help: `mkimage init` writes a recipe for a program\n"
    );
    assert_eq!(first(b"\xff\xfen\0a\0"), "error[E0100]: `-` is UTF-16, and a recipe is UTF-8\n");
    assert_eq!(first(&b"# ".repeat(1 << 20)), "error[E0100]: `-` is too large for a recipe, more than 1 MiB\n");
    assert!(first(b"name = \"a\\u0000b\"\n").starts_with("error[E0101]: a string has a NUL character\n"));
    assert!(first(b"\"a\\u0000b\" = 1\n").starts_with("error[E0101]: a string has a NUL character\n"));
}

#[test]
fn windows_writes_recipes_too() {
    let text =
        "\u{feff}name = \"web\"\r\nbinaries = [\"x\"]\r\n[[files]]\r\nto = \"/m\"\r\ncontent = \"\"\"a\r\nb\"\"\"\r\n";
    let facts = said(text.as_bytes()).unwrap().concat();
    assert!(facts.contains("name web  -:1:9\n") && facts.contains("binary x by name  -:2:13\n"), "{facts}");
    let wrong = said(b"name = \"web\"\r\nbinarys = [\"x\"]\r\n").unwrap_err();
    assert!(
        wrong.contains("2 | binarys = [\"x\"]\n  | ^^^^^^^ not a known key\n") && !wrong.contains('\r'),
        "{wrong:?}"
    );
}

#[test]
fn nesting_and_variables_have_bounds() {
    let deep = |open: &str, close: &str, times| format!("name = {}1{}\n", open.repeat(times), close.repeat(times));
    for times in [20, 79, 200, 100_000] {
        assert!(said(deep("[", "]", times).as_bytes()).unwrap_err().contains("nested too deep"), "{times}");
        assert!(said(deep("{ a = ", "}", times).as_bytes()).unwrap_err().contains("nested too deep"), "{times}");
    }
    for times in [20, 100_000] {
        assert!(said(format!("{}a = 1\n", "a.".repeat(times)).as_bytes()).unwrap_err().contains("nested too deep"));
        assert!(said(format!("[{}a]\n", "a.".repeat(times)).as_bytes()).unwrap_err().contains("nested too deep"));
    }
    // Thirty variables that each hold the next twice would be a gigabyte.
    let mut text = String::from("name = \"x\"\ncmd = [\"${v0}\"]\n[vars]\n");
    for n in 0..30 {
        let _ = writeln!(text, "v{n} = \"${{v{}}}${{v{0}}}\"", n + 1);
    }
    text.push_str("v30 = \"0123456789\"\n");
    assert!(said(text.as_bytes()).unwrap_err().contains("the variables grow beyond 16 MiB"));
    let mut text = String::from("name = \"${v0}\"\n[vars]\nv100 = \"x\"\n");
    for n in 0..100 {
        let _ = writeln!(text, "v{n} = \"${{v{}}}\"", n + 1);
    }
    assert!(said(text.as_bytes()).unwrap_err().contains("more than 32 variables stand in one another"));
}

/// Every text of the cases, cut anywhere and with bytes changed, is loaded or refused, and shown.
#[test]
fn no_text_makes_it_panic() {
    let mut seed = 0x9e37_79b9_u32;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as usize % below.max(1)
    };
    let pieces: [&[u8]; 16] = [
        b"\"",
        b"'",
        b"[",
        b"]",
        b"{",
        b"}",
        b"=",
        b"\n",
        b"${",
        b"}",
        b".",
        b"\"\"\"",
        b"\\",
        b"\xff",
        b"\0",
        "\u{202e}é".as_bytes(),
    ];
    for case in cases() {
        for (_, text) in &case.files {
            for _ in 0..12 {
                let mut bytes = text.as_bytes().to_vec();
                bytes.truncate(random(bytes.len() + 1));
                for _ in 0..random(4) {
                    let at = random(bytes.len());
                    let piece = pieces[random(pieces.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
                let _ = said(&bytes);
            }
        }
    }
}

/// The schema and the decoder come from the same structs; this holds that no key is in one and not in the other.
#[test]
fn the_schema_has_every_key_that_is_read() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let mut tables = Vec::new();
    keys_of(&schema, &schema, "", &mut tables, 0);
    assert!(tables.len() > 10, "{tables:?}");
    for (place, keys) in tables {
        for key in keys {
            // A value of the wrong kind, so that a known key is told from an unknown one.
            let text = format!("{}\n", place.replace("KEY", &format!("{key} = 1979-05-27")));
            let answer = said(text.as_bytes()).err().unwrap_or_default();
            assert!(!answer.contains("unknown key") && !answer.contains("not in this version"), "{text}{answer}");
        }
        let text = format!("{}\n", place.replace("KEY", "zzzzzzzz = 1"));
        assert!(said(text.as_bytes()).unwrap_err().contains("unknown key `zzzzzzzz`"), "{text}");
    }
}

/// The tables of a schema: a text that holds one, with `KEY` for its keys, and the names of those.
fn keys_of(
    root: &serde_json::Value,
    schema: &serde_json::Value,
    place: &str,
    tables: &mut Vec<(String, Vec<String>)>,
    depth: usize,
) {
    // `[workspace.defaults]` is the root again.
    let schema = if schema.get("allOf").is_some() { root } else { schema };
    if let Some(properties) = schema.get("properties").and_then(|properties| properties.as_object()) {
        assert_eq!(schema.get("additionalProperties"), Some(&serde_json::Value::Bool(false)), "{place}");
        let inner = if place.is_empty() { String::from("KEY") } else { place.replace("HERE", "{ KEY }") };
        tables.push((inner, properties.keys().cloned().collect()));
        for (key, value) in properties {
            assert!(value.get("description").is_some(), "{place} {key}");
            let line = format!("{key} = HERE");
            let below = if place.is_empty() { line } else { place.replace("HERE", &format!("{{ {line} }}")) };
            if depth < 3 {
                keys_of(root, value, &below, tables, depth + 1);
            }
        }
    }
    if let Some(items) = schema.get("items") {
        keys_of(root, items, &place.replace("HERE", "[HERE]"), tables, depth);
    }
    if let Some(values @ serde_json::Value::Object(_)) = schema.get("additionalProperties") {
        keys_of(root, values, &place.replace("HERE", "{ x = HERE }"), tables, depth);
    }
}
