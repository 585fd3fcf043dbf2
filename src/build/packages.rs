//! `packages`: names of installed packages to the paths that they own.

use crate::path::ImagePath;
use crate::recipe::Recipe;
use crate::report::{Diagnostic, Error, Result, Spanned};
use crate::source::Source;
use crate::source::ownership::{Database, UnknownPackage};

use super::NO_PACKAGE;

/// The paths of each package that the recipe names, without documentation.
pub(super) fn packages(
    recipe: &Recipe,
    root: &dyn Source,
    database: &Database,
) -> Result<Vec<(Spanned<String>, Vec<ImagePath>)>> {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for name in &recipe.packages {
        match database.named(&name.value, None) {
            Ok(package) => found.push((name.clone(), database.files_of(root, package)?.paths)),
            Err(unknown) => errors.push(not_installed(name, &unknown, database, root)),
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(Error(errors)) }
}

fn not_installed(
    name: &Spanned<String>,
    unknown: &UnknownPackage,
    database: &Database,
    root: &dyn Source,
) -> Diagnostic {
    let place = root.describe();
    let mut error = Diagnostic::error(NO_PACKAGE, format!("package `{}` is not installed in the root", name.value));
    error = if database.is_there() {
        error.at(name.span, format!("not among the {} packages of {place}", database.packages().len()))
    } else {
        error.at(name.span, "asked for here").note(format!("{place} has no package database"))
    };
    let list = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if !unknown.similar.is_empty() {
        error = error.help(format!("similar names are installed: {}", list(&unknown.similar)));
    }
    if !unknown.providers.is_empty() {
        error = error.help(format!("it is provided by {}", list(&unknown.providers)));
    }
    if !unknown.architectures.is_empty() {
        error = error.help(format!("it is installed for {}", unknown.architectures.join(", ")));
    }
    error
}
