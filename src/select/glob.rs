//! Globs: of paths in a tree, and of what a copied folder leaves out.

use std::collections::BTreeSet;
use std::io;

use globset::{Candidate, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use crate::path::ImagePath;
use crate::report::plain;
use crate::source::{NodeKind, Source, Unresolved, resolve};

/// Whether a path's text is a glob.
pub(super) fn is_glob(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[{".contains(byte))
}

/// Splits a glob into the folder before its first wildcard and the components from there on.
pub(super) fn split(pattern: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let parts: Vec<&[u8]> = pattern.split(|&b| b == b'/').filter(|part| !part.is_empty()).collect();
    let first = parts.iter().position(|part| is_glob(part)).unwrap_or(parts.len());
    let mut prefix = vec![b'/'];
    prefix.extend_from_slice(&parts[..first].join(&b'/'));
    (prefix, parts[first..].iter().map(|part| part.to_vec()).collect())
}

/// The paths in a tree that an absolute glob names, sorted, each with its part below the folder before the first
/// wildcard. Links are listed, not followed, in the last component; `**` does not follow links at all.
pub(super) fn expand(source: &dyn Source, pattern: &[u8]) -> Result<Vec<(ImagePath, Vec<u8>)>, ExpandError> {
    let (prefix, parts) = split(pattern);
    let start = match resolve(source, &prefix) {
        Ok(start) => start,
        Err(Unresolved::Unreadable { at, error }) => return Err(ExpandError::Unreadable { at, error }),
        Err(_) => return Ok(Vec::new()),
    };
    let mut matchers = Vec::new();
    for part in &parts {
        matchers.push(if part == b"**" { Step::Any } else { Step::Name(matcher(&String::from_utf8_lossy(part))?) });
    }
    let mut found = BTreeSet::new();
    descend(source, &start.real, &mut Vec::new(), &matchers, &mut found)?;
    Ok(found.into_iter().collect())
}

enum Step {
    Any,
    Name(GlobMatcher),
}

/// Why a glob could not be expanded.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExpandError {
    /// It is no glob.
    #[error("{0}")]
    Syntax(#[from] globset::Error),
    /// A folder could not be read.
    #[error("cannot read `{at}`: {}", plain(.error))]
    Unreadable { at: ImagePath, error: io::Error },
}

fn descend(
    source: &dyn Source,
    folder: &ImagePath,
    below: &mut Vec<u8>,
    steps: &[Step],
    found: &mut BTreeSet<(ImagePath, Vec<u8>)>,
) -> Result<(), ExpandError> {
    let unreadable = |path: &ImagePath| {
        let at = path.clone();
        move |error| ExpandError::Unreadable { at, error }
    };
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    if matches!(step, Step::Any) {
        descend(source, folder, below, rest, found)?;
    }
    match step {
        Step::Any => {
            for (name, node) in source.list(folder).map_err(unreadable(folder))? {
                let (path, length) = (folder.join(&name), push(below, &name));
                if node.is_directory() {
                    descend(source, &path, below, steps, found)?;
                } else if rest.is_empty() {
                    found.insert((path, below.clone()));
                }
                below.truncate(length);
            }
        }
        Step::Name(matcher) => {
            let fits = |name: &[u8]| matcher.is_match_candidate(&Candidate::from_bytes(name));
            for name in source.names(folder, &fits).map_err(unreadable(folder))? {
                let (path, length) = (folder.join(&name), push(below, &name));
                if rest.is_empty() {
                    found.insert((path, below.clone()));
                } else if let Some(into) = leads_into(source, &path).map_err(unreadable(&path))? {
                    descend(source, &into, below, rest, found)?;
                }
                below.truncate(length);
            }
        }
    }
    Ok(())
}

/// Adds a name to a relative path; how long that was.
fn push(below: &mut Vec<u8>, name: &[u8]) -> usize {
    let length = below.len();
    if length > 0 {
        below.push(b'/');
    }
    below.extend_from_slice(name);
    length
}

/// The folder that a path is or leads to.
fn leads_into(source: &dyn Source, path: &ImagePath) -> io::Result<Option<ImagePath>> {
    Ok(match source.node(path)?.map(|node| node.kind) {
        Some(NodeKind::Directory) => Some(path.clone()),
        Some(NodeKind::Symlink(_)) => match resolve(source, path.as_bytes()) {
            Ok(found) => Some(found.real),
            Err(Unresolved::Unreadable { error, .. }) => return Err(error),
            Err(_) => None,
        },
        _ => None,
    })
}

fn matcher(pattern: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build()?.compile_matcher())
}

/// What a copied folder leaves out: globs relative to the folder.
#[derive(Debug)]
pub struct Excludes(GlobSet);

impl Excludes {
    /// `X/**` and `X/` leave out `X` itself, too.
    ///
    /// # Errors
    /// The first text that is no glob.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        let mut add = |pattern: &str| -> Result<(), globset::Error> {
            set.add(GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build()?);
            Ok(())
        };
        for pattern in patterns {
            let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
            let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
            let whole = pattern.strip_suffix("/**").or_else(|| pattern.strip_suffix('/'));
            add(whole.filter(|whole| !whole.is_empty()).unwrap_or(pattern))?;
        }
        Ok(Self(set.build()?))
    }

    /// Whether a path relative to the folder is left out. What is below a folder that is left out is never asked.
    pub fn leave_out(&self, below: &[u8]) -> bool {
        !self.0.is_empty() && self.0.is_match_candidate(&Candidate::from_bytes(below))
    }

    /// The same of a path that was not come to from folder to folder: also when a folder above it is left out.
    pub fn leave_out_all(&self, below: &[u8]) -> bool {
        let ends = memchr::memchr_iter(b'/', below).chain([below.len()]);
        !self.0.is_empty() && ends.into_iter().any(|end| end > 0 && self.leave_out(&below[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excludes_name_folders_whole() {
        let excludes = Excludes::new(["**/__pycache__/**", "test/", "*.md", "a/**/b"]).unwrap();
        for (path, expected) in [
            ("x/__pycache__", true),
            ("__pycache__", true),
            ("test", true),
            ("x/test", false),
            ("README.md", true),
            ("x/README.md", false),
            ("a/b", true),
            ("a/x/y/b", true),
        ] {
            assert_eq!(excludes.leave_out(path.as_bytes()), expected, "{path}");
        }
        for (path, expected) in
            [("test/x/y", true), ("x/test/y", false), ("x/__pycache__/y", true), ("a/b/c", true), ("", false)]
        {
            assert_eq!(excludes.leave_out_all(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn a_glob_splits_before_its_first_wildcard() {
        let (prefix, parts) = split(b"/usr/lib/*/x/*.so");
        assert_eq!(prefix, b"/usr/lib");
        assert_eq!(parts, [b"*".to_vec(), b"x".to_vec(), b"*.so".to_vec()]);
    }
}
