//! Locales of glibc by name: a folder of the root, or taken out of its locale-archive.

use super::archive::Archive;
use super::bring::Found;
use super::lookup::{list, there, unreadable};
use super::trigger::folder_named;
use super::{NOT_IN_ROOT, Seen, Want};
use crate::path::{ImagePath, show};
use crate::report::{Diagnostic, Error, Result, Span};
use crate::source::{Content, Reader, Source};
use crate::tree::{Entry, EntryKind, Rank, Reason};

/// Where glibc looks for locales.
const FOLDER: &str = "/usr/lib/locale";

/// The locale that an image has when a rule brings one by itself.
pub(super) const USUAL: &str = "C.UTF-8";

/// Adds a locale's files. Nothing is found when the root does not have it.
pub(super) fn add(name: &str, seen: &Seen<'_>, reason: &Reason, found: &mut Found) -> Result<()> {
    let folder = folder_named(FOLDER);
    for name in spellings(name) {
        let path = folder.join(name.as_bytes());
        found.looked.push(path.to_string());
        if there(seen.view, &path)?.is_some_and(|at| at.node.is_directory()) {
            found.wants.push(Want::Copy(path));
            return Ok(());
        }
    }
    let Some((path, reader)) = open_archive(seen.view)? else { return Ok(()) };
    let failed = |error: std::io::Error| unreadable(seen.view, &path, &error);
    found.looked.push(path.to_string());
    let Some(archive) = Archive::open(&reader).map_err(failed)? else { return Ok(()) };
    for name in spellings(name) {
        let Some(files) = archive.locale(name.as_bytes()).map_err(failed)? else { continue };
        reader.finish().map_err(failed)?;
        let home = folder.join(name.as_bytes());
        for (file, bytes) in files {
            let path = home.join_path(file.as_bytes()).map_err(|bad| Error::internal(format!("`{file}` {bad}")))?;
            let kind = EntryKind::File(Content::bytes(bytes));
            found.wants.push(Want::Make(path, Entry::new(kind, 0o644, Rank::Need, reason.clone())));
        }
        return Ok(());
    }
    Ok(())
}

/// Whether the image has the usual locale.
pub(super) fn has_usual(image: &dyn Source) -> Result<bool> {
    for name in spellings(USUAL) {
        let file = folder_named(FOLDER).join(name.as_bytes()).join(b"LC_CTYPE");
        if there(image, &file)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The root does not have a locale that the recipe asks for.
pub(super) fn missing(name: &str, seen: &Seen<'_>, span: Option<Span>) -> Result<Error> {
    let error = |title: String| Diagnostic::error(NOT_IN_ROOT, title).at_some(span, "asked for here");
    if name == "C" || name == "POSIX" {
        let error = error(format!("locale `{name}` has no files: every program has it built in"));
        return Ok(error.help("take it out of `extras`").into());
    }
    let known = known(seen.view)?;
    let title = format!("locale `{name}` is not in the root `{}`", seen.view.describe());
    let mut error = error(title).help(format!(
        "generate it in the root, as `localedef -i {} -f UTF-8 {name}` does, or point `root` at one that has it",
        name.split(['.', '@']).next().unwrap_or(name)
    ));
    if !known.is_empty() {
        error = error.note(format!("the root has {}", known.join(", ")));
    }
    Ok(error.into())
}

/// Whether a text can be a locale's name; it becomes a folder's.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.@-+".contains(c);
    !name.is_empty() && name.len() < 256 && name.chars().all(plain) && !name.starts_with('.')
}

/// Whether two names are of one locale.
pub(super) fn same(one: &str, other: &str) -> bool {
    spellings(one).first() == spellings(other).first()
}

/// A name as it is, and as glibc writes it: the codeset in lower case without signs, `iso` before bare digits
/// (`_nl_normalize_codeset`).
fn spellings(name: &str) -> Vec<String> {
    let Some((language, rest)) = name.split_once('.') else { return vec![name.to_owned()] };
    let (codeset, modifier) = match rest.split_once('@') {
        Some((codeset, modifier)) => (codeset, format!("@{modifier}")),
        None => (rest, String::new()),
    };
    let plain: String = codeset.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let digits = plain.chars().all(|c| c.is_ascii_digit());
    let normal = format!("{language}.{}{plain}{modifier}", if digits { "iso" } else { "" });
    let mut spellings = vec![normal, name.to_owned()];
    spellings.dedup();
    spellings
}

fn open_archive(view: &dyn Source) -> Result<Option<(ImagePath, Reader)>> {
    let path = folder_named(FOLDER).join(b"locale-archive");
    let Some(found) = there(view, &path)? else { return Ok(None) };
    let Some(content) = found.node.content() else { return Ok(None) };
    let reader = content.open().map_err(|error| unreadable(view, &path, &error))?;
    Ok(Some((path, reader)))
}

/// The names of the root's locales, a dozen at most.
fn known(view: &dyn Source) -> Result<Vec<String>> {
    let folders = list(view, &folder_named(FOLDER))?.into_iter().filter(|(_, node)| node.is_directory());
    let mut names: Vec<String> = folders.map(|(name, _)| show(&name)).collect();
    if let Some((path, reader)) = open_archive(view)?
        && let Some(archive) = Archive::open(&reader).map_err(|error| unreadable(view, &path, &error))?
    {
        names.extend(archive.names().map(show));
    }
    names.sort();
    names.dedup();
    if names.len() > 12 {
        let more = names.len() - 12;
        names.truncate(12);
        names.push(format!("and {more} more"));
    }
    Ok(names)
}
