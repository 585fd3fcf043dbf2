//! The recipe's own words for its entries.

use crate::recipe::{FileSource, Recipe};
use crate::report::{Span, Texts};

use super::Asker;

/// What an entry of the recipe names, as it is written there: `"nginx"`, `"/etc/nginx/"`, the `from` or `to` of a
/// table.
pub fn words<'t>(recipe: &Recipe, texts: &'t Texts, span: Span) -> &'t str {
    let named = naming(recipe, span).unwrap_or(span);
    let text = texts.text(named.text).get(named.range()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim_end()
}

/// What asks for something, without its place: `binaries "nginx"`, `extra tzdata`, `locale: nginx imports setlocale`.
pub fn called(recipe: &Recipe, texts: &Texts, asker: &Asker) -> String {
    match asker {
        Asker::Entry { span, key } => format!("{key} {}", words(recipe, texts, *span)),
        Asker::Rule { name, span: Some(_), .. } => format!("extra {name}"),
        Asker::Rule { name, trigger, span: None } => format!("{name}: {trigger}"),
        Asker::Generated => "made by mkimage".to_owned(),
        Asker::Nobody => "for no known reason".to_owned(),
        Asker::File(path) => path.to_string(),
    }
}

/// The part of an entry that says what it is about, where the entry is a table.
fn naming(recipe: &Recipe, span: Span) -> Option<Span> {
    let file = || {
        let file = recipe.files.iter().find(|file| file.span == span)?;
        match (&file.source, &file.to) {
            (FileSource::Copied(from), _) => Some(from.span),
            (FileSource::Text(_), Some(to)) => Some(to.span),
            (FileSource::Text(_), None) => None,
        }
    };
    let binary = || recipe.binaries.iter().find(|binary| binary.span == span).map(|binary| binary.from.span);
    file().or_else(binary)
}
