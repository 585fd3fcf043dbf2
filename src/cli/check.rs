//! `mkimage check`.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;

use mkimage::build::{self, FileHashes, Options};
use mkimage::layer::Durability;
use mkimage::report::{Diagnostic, Error, Texts};

use serde_json::{Value, json};

use super::console::Console;
use super::format::{Format, finding, print_json};
use super::judging::{JudgeArgs, Reports};
use super::lock::LockArgs;
use super::recipes::RecipeArgs;
use super::{checked, environment, hardening, lock, summary};

/// Do everything but write: recipe, closure, rules, policy.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    recipes: RecipeArgs,
    /// Show how each program and library is hardened.
    #[arg(long)]
    hardening: bool,
    #[command(flatten)]
    judge: JudgeArgs,
    #[command(flatten)]
    lock: LockArgs,
    /// How to print. JSON goes to standard output, with the hardening of every object; what is wrong stands in
    /// `findings`.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    let locks = args.lock.locks();
    let loaded = args.judge.check().and_then(|()| {
        let mut loaded = args.recipes.load_held(&locks, &mut texts)?;
        args.judge.lay(&mut loaded, &args.recipes, &locks, &mut texts)?;
        Ok(loaded)
    });
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            if args.format == Format::Json {
                print_json(console, document(&[], &error.0, &texts));
            }
            return console.fail(&error, &texts);
        }
    };
    let reports = Reports::default();
    for loaded in &loaded {
        console.show(&loaded.warnings, &texts);
    }
    let options = Options { locks, ..options() };
    let (mut errors, mut documents, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    for recipe in loaded.iter().flat_map(|loaded| &loaded.recipes) {
        match build::assemble(recipe, &options, &reports.hearing(recipe, console.building(&recipe.name.value))) {
            Ok(assembled) => {
                console.show(&assembled.notes, &texts);
                console.show(&assembled.verdicts.warnings(console.detail()), &texts);
                lock::say_drift(console, recipe, &assembled);
                summary::checked(console, recipe, &assembled, &texts);
                checked::say_evidence(console, &assembled);
                let printed = match args.format {
                    Format::Json => checked::document(recipe, &assembled).map(|document| documents.push(document)),
                    Format::Text if args.hardening => assembled.hardened().map(|files| {
                        tables.push(hardening::table(&files, &assembled.protected()));
                    }),
                    Format::Text => Ok(()),
                };
                errors.extend(printed.err().into_iter().flat_map(|error| error.0));
                summary::read(console, &assembled);
            }
            Err(error) => errors.extend(error.0),
        }
    }
    errors.extend(args.judge.write(&reports, &texts).err().into_iter().flat_map(|error| error.0));
    let printed = match args.format {
        Format::Json => print_json(console, document(&documents, &errors, &texts)),
        Format::Text if args.hardening => console.print(&tables.join("\n")),
        Format::Text => ExitCode::SUCCESS,
    };
    if errors.is_empty() { printed } else { console.fail(&Error(errors), &texts) }
}

/// What was checked, and what is wrong with it.
fn document(images: &[Value], errors: &[Diagnostic], texts: &Texts) -> Value {
    let findings: Vec<Value> = errors.iter().map(|error| finding(texts, error)).collect();
    json!({ "images": images, "findings": findings })
}

/// What assembling needs to know; nothing is packed.
pub(super) fn options() -> Options {
    Options {
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        created: 0,
        ci: environment::in_ci(),
        suggestions: true,
        file_hashes: FileHashes::OfListed,
        debug_twin: false,
        signer: None,
        durability: Durability::Cached,
        cache: None,
        remote: None,
        watch: None,
        temporary: environment::temporary(),
        today: environment::today(),
        locks: Arc::default(),
    }
}
