//! The last look at a tree: parents, hard links, links that lead nowhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::path::{ImagePath, show};
use crate::recipe::Recipe;
use crate::report::{Diagnostic, Error, Result, Span};
use crate::source::{ContentId, Unresolved, resolve};
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

use super::{BELOW_FILE, DANGLING};

/// Makes a tree whole: every parent folder is there, names of one inode are hard links of the first. Returns notes.
///
/// # Errors
/// Entries below something that is no folder, and links that lead nowhere in the image.
pub fn finish(tree: &mut Tree, recipe: &Recipe) -> Result<Vec<Diagnostic>> {
    parents(tree)?;
    join_hard_links(tree);
    dangling(tree, recipe)
}

fn parents(tree: &mut Tree) -> Result<()> {
    let mut missing: BTreeSet<ImagePath> = BTreeSet::new();
    let mut errors = Vec::new();
    // The folder of the entry before: most have the same.
    let mut known = None;
    for (path, entry) in tree.iter().filter(|(path, _)| !path.is_root()) {
        if path.folder() == known {
            continue;
        }
        for above in path.folders() {
            let there = tree.at(above);
            if there.is_some_and(Entry::is_directory) || missing.contains(above) {
                known = path.folder();
                break;
            }
            let Ok(above) = ImagePath::new(above) else { break };
            if let Some(there) = there {
                errors.push(below_file(path, entry, &above, there));
                break;
            }
            missing.insert(above);
        }
    }
    if !errors.is_empty() {
        return Err(Error(errors));
    }
    for path in missing {
        let entry = Entry::new(EntryKind::Directory, 0o755, Rank::Parent, Reason::new(Cause::Parent, None));
        tree.place(path.clone(), entry).map_err(|error| super::io_error("read", &path, &error))?;
    }
    Ok(())
}

fn below_file(path: &ImagePath, entry: &Entry, above: &ImagePath, there: &Entry) -> Diagnostic {
    let noun = if matches!(there.kind, EntryKind::Symlink(_)) { "link" } else { "file" };
    let mut error = Diagnostic::error(BELOW_FILE, format!("`{path}` lies below `{above}`, which is a {noun}"))
        .at_some(entry.span(), format!("writes `{path}`"));
    if let Some(span) = there.span().filter(|span| Some(*span) != entry.span()) {
        error = error.and_at(span, format!("makes `{above}` a {noun}"));
    }
    error
}

/// Names of one inode with the same metadata become hard links of the first of them.
fn join_hard_links(tree: &mut Tree) {
    let mut groups: BTreeMap<ContentId, Vec<ImagePath>> = BTreeMap::new();
    for (path, entry) in tree.iter() {
        if let Some(content) = entry.content().filter(|content| content.links() > 1) {
            groups.entry(content.id()).or_default().push(path.clone());
        }
    }
    for paths in groups.into_values().filter(|paths| paths.len() > 1) {
        let metadata = |entry: &Entry| (entry.mode, entry.uid, entry.gid, entry.mtime, entry.xattrs.clone());
        let Some(first) = tree.get(&paths[0]).map(metadata) else { continue };
        for path in &paths[1..] {
            if let Some(entry) = tree.get_mut(path)
                && metadata(entry) == first
            {
                entry.kind = EntryKind::HardLink(paths[0].clone());
            }
        }
    }
}

/// Folders that are filled when a container starts.
const AT_RUN_TIME: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];

fn dangling(tree: &Tree, recipe: &Recipe) -> Result<Vec<Diagnostic>> {
    let mut errors: BTreeMap<Option<Span>, Vec<(ImagePath, Vec<u8>)>> = BTreeMap::new();
    let mut notes = Vec::new();
    for (path, entry) in tree.iter() {
        let EntryKind::Symlink(target) = &entry.kind else { continue };
        let at = match resolve(tree, path.as_bytes()) {
            Ok(_) => continue,
            Err(Unresolved::Missing { at, .. }) => Some(at),
            Err(_) => None,
        };
        if at.is_some_and(|at| filled_later(&at, recipe))
            || recipe.ignore_dangling.iter().any(|known| known.value == *path)
        {
            continue;
        }
        let from_package = entry
            .reasons
            .iter()
            .all(|reason| matches!(reason.cause, Cause::Package(_) | Cause::Rule { .. } | Cause::Generated(_)));
        if from_package {
            notes.push(Diagnostic::note_of(
                DANGLING,
                format!("`{path}` -> `{}` leads nowhere in the image", show(target)),
            ));
        } else {
            errors.entry(entry.span()).or_default().push((path.clone(), target.clone()));
        }
    }
    if errors.is_empty() {
        return Ok(notes);
    }
    Err(Error(errors.into_iter().map(|(span, links)| leads_nowhere(span, &links)).collect()))
}

/// Whether what is missing comes with the container: kernel file systems, volumes and writable folders.
fn filled_later(at: &ImagePath, recipe: &Recipe) -> bool {
    let runtime = AT_RUN_TIME.iter().filter_map(|folder| ImagePath::new(folder).ok());
    let own = recipe.writable.iter().chain(&recipe.config.volumes).map(|path| path.value.clone());
    runtime.chain(own).any(|folder| at.is_within(&folder))
}

fn leads_nowhere(span: Option<Span>, links: &[(ImagePath, Vec<u8>)]) -> Diagnostic {
    const SHOWN: usize = 5;
    let path = &links[0].0;
    let title = match links.len() {
        1 => format!("link `{path}` leads nowhere in the image"),
        count => format!("{count} links lead nowhere in the image"),
    };
    let mut error = Diagnostic::error(DANGLING, title).at_some(span, "brings it");
    for (path, target) in links.iter().take(SHOWN) {
        error = error.note(format!("`{path}` -> `{}`", show(target)));
    }
    if links.len() > SHOWN {
        error = error.note(format!("and {} more", links.len() - SHOWN));
    }
    error.help(format!(
        "bring what it leads to, leave the link out with `exclude`, or say `ignore-dangling = [\"{path}\"]`"
    ))
}
