//! Recipes assembled for commands that only look: no policy stops a look.

use mkimage::build::{self, Assembled, Session};
use mkimage::policy::allow_all;
use mkimage::recipe::{Loaded, Recipe};
use mkimage::report::{Error, Result, Texts};

use super::check::options;
use super::console::Console;
use super::recipes::{RecipeArgs, shared};

/// Loads and assembles the recipes that the arguments name. Warnings are the business of `check`.
pub(super) fn assemble(args: &RecipeArgs, console: &Console, texts: &mut Texts) -> Result<Vec<(Recipe, Assembled)>> {
    let loaded = args.load(texts)?;
    let options = build::Options { suggestions: false, ..options() };
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    let session = Session::new(loaded.iter().map(Loaded::len).sum());
    for loaded in loaded {
        let shared = match shared(&session, &loaded, &options, console) {
            Ok(shared) => shared,
            Err(error) => {
                errors.extend(error.0);
                continue;
            }
        };
        for mut recipe in loaded.recipes {
            recipe.policy = allow_all(&recipe);
            match session.assemble(&recipe, &options, &console.building(&recipe.name.value)) {
                Ok(mut assembled) => {
                    assembled.shared.clone_from(&shared);
                    all.push((recipe, assembled));
                }
                Err(error) => errors.extend(error.0),
            }
        }
    }
    if errors.is_empty() { Ok(all) } else { Err(Error(errors)) }
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
