//! Recipes assembled for commands that only look: no policy stops a look.

use mkimage::build::{self, Assembled};
use mkimage::policy::{self, Kind, Rule};
use mkimage::recipe::{Policy, Recipe, Verdict};
use mkimage::report::{Error, Result, Spanned, Texts};

use super::check::options;
use super::console::Console;
use super::recipes::RecipeArgs;

/// Loads and assembles the recipes that the arguments name. Warnings are the business of `check`.
pub(super) fn assemble(args: &RecipeArgs, console: &Console, texts: &mut Texts) -> Result<Vec<(Recipe, Assembled)>> {
    let loaded = args.load(&[], None, texts)?;
    let options = build::Options { suggestions: false, ..options() };
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for mut recipe in loaded.into_iter().flat_map(|loaded| loaded.recipes) {
        recipe.policy = allow_all(&recipe);
        match build::assemble(&recipe, &options, &console.building(&recipe.name.value)) {
            Ok(assembled) => all.push((recipe, assembled)),
            Err(error) => errors.extend(error.0),
        }
    }
    if errors.is_empty() { Ok(all) } else { Err(Error(errors)) }
}

/// A policy that nothing breaks: what an image must not hold is what is worth a look.
pub(super) fn allow_all(recipe: &Recipe) -> Policy {
    let verdicts = policy::rules().iter().filter(|rule| rule.kind == Kind::Verdict);
    let allow = |rule: &&Rule| (rule.name.to_owned(), Spanned::new(Verdict::Allow, recipe.span));
    Policy { rules: verdicts.map(allow).collect(), ..Policy::default() }
}

/// The images for which `look` finds something.
///
/// # Errors
/// When it finds nothing in any: what it says of the first.
pub(super) fn in_any<'a, T>(
    images: &'a [(Recipe, Assembled)],
    look: impl Fn(&'a Recipe, &'a Assembled) -> Result<T>,
) -> Result<Vec<(&'a Recipe, &'a Assembled, T)>> {
    let (mut found, mut first) = (Vec::new(), None);
    for (recipe, assembled) in images {
        match look(recipe, assembled) {
            Ok(what) => found.push((recipe, assembled, what)),
            Err(error) => first = first.or(Some(error)),
        }
    }
    match first {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}
