//! Workspaces: which recipes are members of one, and where a recipe's own is.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use globset::{GlobBuilder, GlobMatcher};

use super::files::FILE_NAME;
use super::keys::WorkspaceKeys;
use super::{VALUE, WORKSPACE};
use crate::report::{Diagnostic, Error, Span, Spanned};

/// Folders and files that are looked at for members.
const MOST_ENTRIES: usize = 100_000;

/// The members' files in the order of their paths.
pub(super) fn members(keys: &Spanned<WorkspaceKeys>, file: &Path, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let Some(patterns) = keys.members.as_ref().filter(|list| !list.0.value.is_empty()) else {
        let mistake = Diagnostic::error(WORKSPACE, "[workspace] needs `members`").at(keys.span, "missing here");
        return Err(mistake.help("members = [\"recipes/*.toml\"]").into());
    };
    let mut mistakes = Vec::new();
    let excluded: Vec<_> = keys
        .exclude
        .iter()
        .flat_map(|list| &list.0.value)
        .filter_map(|text| matcher(&text.0.value, text.0.span, &mut mistakes))
        .collect();
    let mut found = Vec::new();
    for text in &patterns.0.value {
        let (pattern, span) = (text.0.value.as_str(), text.0.span);
        let before = mistakes.len();
        let mut search =
            Search { span, is_glob: has_glob(pattern), found: Vec::new(), left: MOST_ENTRIES, mistakes: &mut mistakes };
        let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let start = if pattern.starts_with('/') { PathBuf::from("/") } else { PathBuf::new() };
        search.descend(folder, &start, &parts);
        let mut matched = search.found;
        if matched.is_empty() && mistakes.len() == before {
            let mistake = Diagnostic::error(WORKSPACE, format!("member `{pattern}` is not there"));
            mistakes.push(mistake.at(span, "nothing of this name, relative to this file"));
        }
        found.append(&mut matched);
    }
    if !mistakes.is_empty() {
        return Err(Error(mistakes));
    }
    found.retain(|path| !excluded.iter().any(|glob| glob.is_match(path)));
    found.retain(|path| folder.join(path) != file);
    found.sort();
    found.dedup();
    Ok(found.into_iter().map(|path| folder.join(path)).collect())
}

fn has_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn matcher(pattern: &str, span: Span, mistakes: &mut Vec<Diagnostic>) -> Option<GlobMatcher> {
    match GlobBuilder::new(pattern).literal_separator(true).build() {
        Ok(glob) => Some(glob.compile_matcher()),
        Err(error) => {
            let mistake = Diagnostic::error(VALUE, format!("`{pattern}` is not a glob"));
            mistakes.push(mistake.at(span, error.kind().to_string()));
            None
        }
    }
}

/// The search for one pattern of `members`.
struct Search<'m> {
    span: Span,
    is_glob: bool,
    found: Vec<PathBuf>,
    left: usize,
    mistakes: &'m mut Vec<Diagnostic>,
}

impl Search<'_> {
    /// Follows the parts of a pattern from `below`, a path relative to `folder`.
    fn descend(&mut self, folder: &Path, below: &Path, parts: &[&str]) {
        let Some((part, rest)) = parts.split_first() else {
            return self.take(folder, below);
        };
        if *part == "**" {
            self.descend(folder, below, rest);
            for name in self.list(&folder.join(below)) {
                let path = below.join(&name);
                let is_folder = std::fs::symlink_metadata(folder.join(&path)).is_ok_and(|meta| meta.is_dir());
                if is_folder && !name.starts_with('.') {
                    self.descend(folder, &path, parts);
                }
            }
        } else if has_glob(part) {
            let Some(glob) = matcher(part, self.span, self.mistakes) else { return };
            for name in self.list(&folder.join(below)) {
                if glob.is_match(&name) && (!name.starts_with('.') || part.starts_with('.')) {
                    self.descend(folder, &below.join(&name), rest);
                }
            }
        } else if folder.join(below).join(part).exists() {
            self.descend(folder, &below.join(part), rest);
        }
    }

    /// A file that was matched, or a folder's own recipe.
    fn take(&mut self, folder: &Path, below: &Path) {
        let path = folder.join(below);
        if path.is_file() {
            // A glob may match what lies between the recipes.
            if !self.is_glob || below.extension().is_some_and(|extension| extension == "toml") {
                self.found.push(below.to_owned());
            }
        } else if path.join(FILE_NAME).is_file() {
            self.found.push(below.join(FILE_NAME));
        }
    }

    /// The names in a folder that are text, sorted: the order of a directory is that of its file system.
    fn list(&mut self, folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.take(self.left).collect();
        self.left -= names.len();
        if self.left == 0 && self.mistakes.is_empty() {
            let mistake = Diagnostic::error(WORKSPACE, "too many files below the workspace");
            self.mistakes.push(mistake.at(self.span, format!("more than {MOST_ENTRIES} were looked at for this")));
        }
        names.sort();
        names
    }
}

/// The files above a recipe that may be its workspace, the nearest first. One that belongs to somebody else is none:
/// whoever may write to a folder above, as `/tmp`, must not decide what is built below it.
pub(super) fn candidates(recipe: &Path) -> Vec<PathBuf> {
    let Ok(recipe) = std::path::absolute(recipe) else { return Vec::new() };
    let owner = std::fs::metadata(&recipe).map_or(0, |meta| meta.uid());
    let above = recipe.ancestors().skip(1).map(|folder| folder.join(FILE_NAME)).filter(|file| *file != recipe);
    let is_safe =
        |file: &PathBuf| std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && [0, owner].contains(&meta.uid()));
    // Below the current folder a person expects the short path.
    let here = std::path::absolute(".").unwrap_or_default();
    let shown = |file: PathBuf| file.strip_prefix(&here).map(Path::to_owned).unwrap_or(file);
    above.filter(is_safe).map(shown).collect()
}

/// Whether a text may be a workspace's: cheap, and true of all that are.
pub(super) fn may_be_workspace(bytes: &[u8]) -> bool {
    bytes.lines().any(|line| line.trim_start_with(|c| c == '[' || c.is_whitespace()).starts_with(b"workspace"))
}

/// A key of a recipe that stands beside `[workspace]`.
pub(super) fn stray_key(name: &str, span: Span, table: Span) -> Diagnostic {
    Diagnostic::error(WORKSPACE, format!("`{name}` stands beside [workspace]"))
        .at(span, "a key of a recipe")
        .and_at(table, "this file is a workspace")
        .help("what holds for every member goes under [workspace.defaults]")
}

/// A key that `[workspace.defaults]` cannot have.
pub(super) fn no_default(name: &str, span: Span) -> Diagnostic {
    Diagnostic::error(WORKSPACE, format!("`{name}` is no default of a workspace"))
        .at(span, "each recipe says this for itself")
}
