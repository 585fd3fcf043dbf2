//! A recipe's file that is changed: its text, what a change of it would look like, and the change itself.

use std::io::Write;
use std::path::{Path, PathBuf};

use mkimage::build;
use mkimage::edit::{self, Addition};
use mkimage::recipe::{self, Context, Input};
use mkimage::report::{Code, Diagnostic, Error, Result, Texts};

use super::check::options;
use super::console::Console;

/// The recipe can't be changed.
pub(super) const UNCHANGEABLE: Code = Code("E0004");

/// A recipe's file and its text.
pub(super) struct RecipeFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl RecipeFile {
    /// Reads a recipe's file, that of a folder, or `./mkimage.toml`.
    pub(super) fn read(path: Option<&Path>) -> Result<Self> {
        let path = path.unwrap_or(Path::new("mkimage.toml"));
        let path = if path.is_dir() { path.join("mkimage.toml") } else { path.to_owned() };
        let text = std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, &error))?;
        Ok(Self { path, text })
    }

    /// The text with additions.
    pub(super) fn with(&self, additions: &[Addition]) -> Result<String> {
        edit::add(&self.text, additions).map_err(|error| {
            Diagnostic::error(UNCHANGEABLE, format!("cannot add to `{}`: {error}", self.path.display())).into()
        })
    }

    /// The change as a unified diff; empty when there is none.
    pub(super) fn diff(&self, changed: &str) -> String {
        let name = self.path.display().to_string();
        let diff = similar::TextDiff::from_lines(self.text.as_str(), changed);
        if self.text == changed { String::new() } else { diff.unified_diff().header(&name, &name).to_string() }
    }

    /// Whether the recipe with another text passes its check. `texts` keeps the text, for errors in it.
    pub(super) fn check(&self, changed: &str, context: &Context, console: &Console, texts: &mut Texts) -> Result<()> {
        let input = Input::Changed { path: self.path.clone(), text: changed.as_bytes().to_vec() };
        let loaded = recipe::load(&input, context, texts)?;
        let mut errors = Vec::new();
        for recipe in &loaded.recipes {
            if let Err(error) = build::assemble(recipe, &options(), &console.building(&recipe.name.value)) {
                errors.extend(error.0);
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(Error(errors)) }
    }

    /// Puts another text in the place of the file's, at once. A link stays one.
    pub(super) fn write(&self, changed: &str) -> Result<()> {
        let io = |error: &std::io::Error| Error::io("write", &self.path, error);
        let real = self.path.canonicalize().map_err(|error| io(&error))?;
        if std::fs::read_to_string(&real).map_err(|error| io(&error))? != self.text {
            let error = Diagnostic::error(UNCHANGEABLE, format!("`{}` was changed meanwhile", self.path.display()));
            return Err(error.help("try again; nothing was written").into());
        }
        let folder = real.parent().unwrap_or(Path::new("/"));
        let write = || {
            let mut file = tempfile::Builder::new().prefix(".mkimage.").tempfile_in(folder)?;
            file.write_all(changed.as_bytes())?;
            file.as_file().set_permissions(std::fs::metadata(&real)?.permissions())?;
            file.as_file().sync_all()?;
            file.persist(&real).map_err(|error| error.error).map(drop)
        };
        write().map_err(|error: std::io::Error| io(&error))
    }
}
