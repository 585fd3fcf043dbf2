//! First recipes: from the names of programs to the text of a recipe that passes its own check.
//!
//! The text is checked as any recipe is, so that what mkimage would add by itself, what it would add if asked and what
//! the policy would forbid can be written down beside it. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::build::{self, Assembled, Options, Progress};
use crate::needs::{self, Level};
use crate::path::ImagePath;
use crate::policy::{self, Kind, SYMBOL_VERSIONS};
use crate::recipe::{self, Context, Input, Recipe};
use crate::report::{Error, Level as Severity, Result, Texts};
use crate::source::Folder;
use crate::tree::Cause;

/// What a recipe is to be written for.
#[derive(Debug, Clone)]
pub struct Request {
    /// What goes under `binaries`, as a recipe in `folder` would say it. The first names the image.
    pub programs: Vec<String>,
    /// The folder that the recipe will be in.
    pub folder: PathBuf,
    /// What a person calls the recipe, for errors in it.
    pub title: String,
    /// The root that it will name; none for this machine.
    pub root: Option<String>,
}

/// Writes a recipe. `texts` keeps it, also when it does not pass, so that errors can show its lines.
///
/// # Errors
/// When no recipe of these programs alone passes: what `check` would say of it.
pub fn draft(request: &Request, options: &Options, progress: &dyn Progress, texts: &mut Texts) -> Result<String> {
    let mut draft = Draft { request, allowed: BTreeSet::new() };
    loop {
        let mut tried = Texts::default();
        let outcome = draft.check(options, progress, &mut tried);
        match outcome {
            Ok((recipe, assembled)) => return draft.finished(&recipe, &assembled),
            Err(error) => {
                let forbidden = may_allow(&error);
                if forbidden.is_empty() || forbidden.is_subset(&draft.allowed) {
                    *texts = tried;
                    return Err(error);
                }
                draft.allowed.extend(forbidden);
            }
        }
    }
}

/// The rules whose breaking is all that is wrong, when an image may be meant to break them.
fn may_allow(error: &Error) -> BTreeSet<&'static str> {
    let rule_of = |code| policy::rules().iter().find(|rule| rule.code == code && rule.kind == Kind::Verdict);
    let errors = error.0.iter().filter(|diagnostic| diagnostic.level == Severity::Error);
    let rules: Option<BTreeSet<&'static str>> =
        errors.map(|diagnostic| rule_of(diagnostic.code).map(|rule| rule.name)).collect();
    // A program that lacks a symbol version does not start, whatever is allowed.
    rules.filter(|rules| !rules.contains(SYMBOL_VERSIONS.name)).unwrap_or_default()
}

struct Draft<'a> {
    request: &'a Request,
    /// Rules of the policy without which nothing passes.
    allowed: BTreeSet<&'static str>,
}

impl Draft<'_> {
    fn check(&self, options: &Options, progress: &dyn Progress, texts: &mut Texts) -> Result<(Recipe, Assembled)> {
        let input = Input::Text {
            name: self.request.title.clone(),
            text: (self.keys() + &self.policy()).into_bytes(),
            folder: self.request.folder.clone(),
        };
        let loaded = recipe::load(&input, &Context { workspace: false, ..Context::default() }, texts)?;
        let Some(recipe) = loaded.recipes.into_iter().next() else {
            return Err(Error::internal("a recipe with a name gave none"));
        };
        let assembled = build::assemble(&recipe, &Options { suggestions: true, ..options.clone() }, progress)?;
        Ok((recipe, assembled))
    }

    /// The keys that the image is made from.
    fn keys(&self) -> String {
        let programs: Vec<String> = self.request.programs.iter().map(|program| quoted(program)).collect();
        let list = match programs.as_slice() {
            [one] => format!("[{one}]"),
            several => several.iter().fold("[\n".to_owned(), |text, program| text + "  " + program + ",\n") + "]",
        };
        let name = image_name(self.request.programs.first().map_or("", String::as_str));
        let mut text = format!("name     = {}\n", quoted(&name));
        if let Some(root) = &self.request.root {
            let _ = writeln!(text, "root     = {}", quoted(root));
        }
        let _ = writeln!(text, "binaries = {list}");
        text
    }

    fn policy(&self) -> String {
        if self.allowed.is_empty() {
            return String::new();
        }
        let about =
            |rule: &str| policy::rules().iter().find(|known| known.name == rule).map_or("", |known| known.about);
        let lines = self.allowed.iter().map(|rule| format!("{rule} = \"allow\"  # {}\n", about(rule)));
        format!("\n# These programs do not go without:\n[policy]\n{}", lines.collect::<String>())
    }

    /// The recipe with what its check had to say.
    fn finished(&self, recipe: &Recipe, assembled: &Assembled) -> Result<String> {
        let mut text =
            "# The first of `binaries` is the program that the image starts; libraries come along.\n".to_owned();
        text.push_str(&self.keys());
        text.push_str("# cmd    = [\"--help\"]\n");
        text.push_str(&self.configuration(recipe)?);
        text.push_str(&by_itself(assembled));
        text.push_str(&on_request(assembled));
        text.push_str(&self.policy());
        Ok(text)
    }

    /// Folders where the programs may look for their configuration.
    fn configuration(&self, recipe: &Recipe) -> Result<String> {
        let root = match &recipe.root {
            recipe::Root::Host => Path::new("/"),
            recipe::Root::Folder(path, _) => path,
        };
        let root = Folder::open(root).map_err(|error| Error::io("open", root, &error))?;
        let names = self.request.programs.iter().filter_map(|program| program.rsplit('/').next());
        let folders: BTreeSet<ImagePath> = names.filter_map(|name| build::configuration(name, &root)).collect();
        if folders.is_empty() {
            return Ok(String::new());
        }
        let list: Vec<String> = folders.iter().map(|folder| quoted(&format!("{folder}/"))).collect();
        let these = if list.len() == 1 { "This folder is" } else { "These folders are" };
        Ok(format!("\n# {these} in the root and may hold configuration:\n# files  = [{}]\n", list.join(", ")))
    }
}

/// The rules that applied, each with what set it off.
fn by_itself(assembled: &Assembled) -> String {
    let mut rules: BTreeMap<String, String> = BTreeMap::new();
    for reason in assembled.tree.iter().flat_map(|(_, entry)| &entry.reasons) {
        if let Cause::Rule { name, trigger } = &reason.cause {
            rules.entry(name.to_string()).or_insert_with(|| trigger.clone());
        }
    }
    if rules.is_empty() {
        return String::new();
    }
    let level = |name: &str| {
        let listing = needs::catalogue().into_iter().find(|listing| listing.name.starts_with(name));
        listing.map_or(Level::Recommended, |listing| listing.level)
    };
    let required = |name: &str| if level(name) == Level::Required { "; it is needed to run" } else { "" };
    let lines = rules.iter().map(|(name, trigger)| format!("#   {name:<16} {trigger}{}\n", required(name)));
    format!("\n# This comes along by itself, `\"!NAME\"` under `extras` takes it away:\n{}", lines.collect::<String>())
}

/// The rules that could apply, with what they are for.
fn on_request(assembled: &Assembled) -> String {
    if assembled.suggestions.is_empty() {
        return String::new();
    }
    let suggestions = &assembled.suggestions;
    let lines = suggestions.iter().map(|it| format!("#   {:<16} {}: {}\n", it.extra, it.trigger, it.note));
    let names: Vec<String> = suggestions.iter().map(|it| quoted(&it.extra)).collect();
    format!(
        "\n# This does not; take what the programs need:\n{}# extras = [{}]\n",
        lines.collect::<String>(),
        names.join(", ")
    )
}

/// A program's name as that of an image: lower case letters and digits, with single signs between.
fn image_name(program: &str) -> String {
    let name = program.rsplit('/').next().unwrap_or(program).to_ascii_lowercase();
    let words = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let words: Vec<&str> = words.map(|word| word.trim_matches('.')).filter(|word| !word.is_empty()).collect();
    let name = words.join("-").replace("..", "-");
    if name.is_empty() { "image".to_owned() } else { name }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::image_name;

    #[test]
    fn images_are_called_like_programs_as_far_as_registries_allow() {
        let names = ["nginx", "/usr/bin/python3.11", "./App_Server", "/usr/bin/g++", "/usr/bin/["].map(image_name);
        assert_eq!(names, ["nginx", "python3.11", "app-server", "g", "image"]);
    }
}
