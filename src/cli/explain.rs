//! What a code means, and what to do about it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Value, json};

use mkimage::report::{Diagnostic, Error, Result, Texts};

use super::console::Console;
use super::format::{Format, columns, print_json};
use super::recipes::USAGE;

const CODES: &str = include_str!("codes.toml");

/// Tell what the code of an error, a warning or a rule of the policy means, and what to do.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The code, as `E0203`, `e203` or `203`; without it all are listed.
    code: Option<String>,
    /// How it is told.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// What is known of a code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Explanation {
    about: String,
    meaning: String,
    example: Option<String>,
    fix: String,
}

type Explanations = BTreeMap<String, Explanation>;

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    match chosen(args.code.as_deref()) {
        Ok(chosen) if args.format == Format::Json => {
            print_json(console, json!({ "codes": chosen.iter().map(document).collect::<Vec<_>>() }))
        }
        Ok(chosen) if args.code.is_some() => console.print(&chosen.iter().map(whole).collect::<String>()),
        Ok(chosen) => {
            let row = |(code, it): (&String, &Explanation)| vec![code.clone(), it.about.clone()];
            console.print(&columns(&chosen.iter().map(row).collect::<Vec<_>>()))
        }
        Err(error) => console.fail(&error, &Texts::default()),
    }
}

/// The explanation of one code, or those of all.
fn chosen(asked: Option<&str>) -> Result<Explanations> {
    let mut all: Explanations = toml::from_str(CODES).map_err(Error::internal)?;
    let Some(asked) = asked else { return Ok(all) };
    let code = plain(asked);
    match all.remove_entry(&code) {
        Some(found) => Ok(BTreeMap::from([found])),
        None => Err(unknown(asked, &code, &all)),
    }
}

/// A code as it is written in messages: `E0203` for `e203`, `203` and `error[E0203]`, as it is copied from one.
fn plain(asked: &str) -> String {
    let inner = asked.rsplit_once('[').map_or(asked, |(_, code)| code).trim_end_matches([']', ':']);
    let digits = inner.trim_start_matches(['E', 'e']);
    match digits.parse::<u16>() {
        Ok(number) => format!("E{number:04}"),
        Err(_) => inner.to_uppercase(),
    }
}

fn unknown(asked: &str, code: &str, all: &Explanations) -> Error {
    let error = Diagnostic::error(USAGE, format!("there is no code `{}`", asked.escape_debug()));
    let written = asked.to_uppercase();
    let alike = |known: &str| strsim::jaro_winkler(known, code).max(strsim::jaro_winkler(known, &written));
    let scored = all.keys().map(|known| (alike(known), known)).filter(|(score, _)| *score > 0.85);
    match scored.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((_, near)) => error.help(format!("a similar code exists: `{near}`, {}", all[near].about)).into(),
        None => error.help("`mkimage explain` lists them").into(),
    }
}

fn whole((code, it): (&String, &Explanation)) -> String {
    let mut text = format!("{code}: {}\n\n{}\n", it.about, it.meaning);
    for (title, part) in [("Example", it.example.as_ref()), ("What to do", Some(&it.fix))] {
        let Some(part) = part else { continue };
        let _ = writeln!(text, "\n{title}:");
        for line in part.lines() {
            let _ = writeln!(text, "{}", format!("  {line}").trim_end());
        }
    }
    text
}

fn document((code, it): (&String, &Explanation)) -> Value {
    json!({ "code": code, "about": it.about, "meaning": it.meaning, "example": it.example, "fix": it.fix })
}
