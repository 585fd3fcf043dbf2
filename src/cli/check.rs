//! `mkimage check`.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use mkimage::build::{self, Options};
use mkimage::layer::Durability;
use mkimage::report::{Error, Texts};

use super::console::Console;
use super::recipes::RecipeArgs;
use super::{environment, summary};

/// Do everything but write: recipe, closure, rules, policy.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    recipes: RecipeArgs,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    let loaded = match args.recipes.load(&[], None, &mut texts) {
        Ok(loaded) => loaded,
        Err(error) => return console.fail(&error, &texts),
    };
    for loaded in &loaded {
        console.show(&loaded.warnings, &texts);
    }
    let options = options();
    let mut errors = Vec::new();
    for recipe in loaded.iter().flat_map(|loaded| &loaded.recipes) {
        match build::assemble(recipe, &options, &console.building(&recipe.name.value)) {
            Ok(assembled) => {
                console.show(&assembled.notes, &texts);
                console.show(&assembled.verdicts.warnings(console.detail()), &texts);
                summary::checked(console, recipe, &assembled, &texts);
            }
            Err(error) => errors.extend(error.0),
        }
    }
    if errors.is_empty() { ExitCode::SUCCESS } else { console.fail(&Error(errors), &texts) }
}

/// What assembling needs to know; nothing is packed.
pub(super) fn options() -> Options {
    Options {
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        created: 0,
        ci: environment::in_ci(),
        suggestions: true,
        debug_twin: false,
        durability: Durability::Cached,
        temporary: environment::temporary(),
    }
}
