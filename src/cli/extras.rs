//! `mkimage extras`: what no ELF header names and mkimage knows of.

use std::fmt::Write as _;
use std::process::ExitCode;

use mkimage::needs::{self, Level, Listing};
use mkimage::report::{Diagnostic, Error, Texts};
use serde_json::{Value, json};

use super::console::Console;
use super::format::{Format, columns, print_json};
use super::recipes::USAGE;

/// List the extras: what no ELF header asks for.
///
/// `required` and `recommended` ones come along by themselves where something sets them off, `optional` ones when the
/// recipe's `extras` name them. -v tells what sets each off, what it brings and what goes wrong without it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this one, with all that is known of it.
    name: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let bare = |listing: &Listing| listing.name.split([':', '[']).next().unwrap_or_default().to_owned();
    let all = needs::catalogue();
    let chosen: Vec<&Listing> =
        all.iter().filter(|listing| args.name.as_ref().is_none_or(|name| bare(listing) == *name)).collect();
    if let (Some(name), true) = (&args.name, chosen.is_empty()) {
        return console.fail(&unknown(name, &all.iter().map(bare).collect::<Vec<_>>()), &Texts::default());
    }
    if args.format == Format::Json {
        return print_json(console, json!({ "extras": chosen.into_iter().map(document).collect::<Vec<_>>() }));
    }
    if console.verbose > 0 || args.name.is_some() {
        let texts: Vec<String> = chosen.into_iter().map(whole).collect();
        return console.print(&texts.join("\n"));
    }
    let row = |listing: &&Listing| vec![listing.name.clone(), word(listing.level).to_owned(), listing.about.clone()];
    console.print(&columns(&chosen.iter().map(row).collect::<Vec<_>>()))
}

fn unknown(name: &str, all: &[String]) -> Error {
    let error = Diagnostic::error(USAGE, format!("there is no extra `{name}`"));
    let score = |known: &&String| (strsim::jaro_winkler(name, known) * 1000.0) as u32;
    let near = all.iter().max_by_key(score).filter(|known| score(known) > 800);
    match near {
        Some(near) => error.help(format!("an extra with a similar name exists: `{near}`")).into(),
        None => error.help("`mkimage extras` lists them").into(),
    }
}

/// Whether an extra comes by itself.
fn word(level: Level) -> &'static str {
    match level {
        Level::Required => "required",
        Level::Recommended => "recommended",
        Level::Optional => "optional",
    }
}

fn whole(listing: &Listing) -> String {
    let mut text = format!("{} ({})\n  {}\n", listing.name, word(listing.level), listing.about);
    let _ = writeln!(text, "  without it: {}", listing.note);
    for (title, lines) in [("set off by", &listing.triggers), ("brings", &listing.adds)] {
        for (number, line) in lines.iter().enumerate() {
            let title = if number == 0 { format!("{title}:") } else { String::new() };
            let _ = writeln!(text, "  {title:<11} {line}");
        }
    }
    text
}

fn document(listing: &Listing) -> Value {
    json!({
        "name": listing.name,
        "level": word(listing.level),
        "about": listing.about,
        "note": listing.note,
        "triggers": listing.triggers,
        "adds": listing.adds,
    })
}
