//! What rules add: each addition as the paths that it brings, and those paths brought.

use crate::needs::Want;
use crate::path::ImagePath;
use crate::report::{Diagnostic, Result};
use crate::select::Excludes;
use crate::source::{Content, NodeKind, Source, find, resolve};
use crate::tree::{Rank, Reason, Tree};

use super::{NOT_BROUGHT, bring, io_error, lost};

/// The regular files that an addition would bring, as paths without a link: what of them are ELF files is to be closed
/// over before they are brought. None for what is made, and for a library that is looked up by name.
///
/// # Errors
/// When a path leads nowhere, or can't be read.
pub fn files_of(view: &dyn Source, want: &Want, reason: &Reason) -> Result<Vec<(ImagePath, Content)>> {
    let (path, excludes) = match want {
        Want::Copy(path) => (path, None),
        Want::Folder { path, exclude } => (path, Some(excludes(exclude)?)),
        Want::Make(..) | Want::Load { .. } => return Ok(Vec::new()),
    };
    let found = resolve(view, path.as_bytes()).map_err(|error| lost(path.as_bytes(), &error, reason))?;
    let mut files = Vec::new();
    match found.node.kind {
        NodeKind::File(content) => files.push((found.real, content)),
        NodeKind::Directory => walk(view, &found.real, &found.real, excludes.as_ref(), &mut |path, kind| {
            if let NodeKind::File(content) = kind {
                files.push((path.clone(), content.clone()));
            }
        })?,
        NodeKind::Symlink(_) | NodeKind::Special(_) => {}
    }
    Ok(files)
}

/// Brings what an addition wants, but for the paths that `leave_out` names. A library that is looked up by name comes
/// with the closure instead.
///
/// # Errors
/// When a path leads nowhere, or can't be read.
pub fn add(
    tree: &mut Tree,
    root: &dyn Source,
    want: &Want,
    reason: &Reason,
    leave_out: &dyn Fn(&ImagePath) -> bool,
) -> Result<()> {
    match want {
        Want::Load { .. } => Ok(()),
        Want::Make(path, entry) => {
            tree.place(path.clone(), entry.clone()).map_err(|error| io_error("read", path, &error))?;
            Ok(())
        }
        Want::Copy(path) => bring_but(tree, root, path, None, reason, leave_out),
        Want::Folder { path, exclude } => bring_but(tree, root, path, Some(&excludes(exclude)?), reason, leave_out),
    }
}

fn bring_but(
    tree: &mut Tree,
    root: &dyn Source,
    path: &ImagePath,
    excludes: Option<&Excludes>,
    reason: &Reason,
    leave_out: &dyn Fn(&ImagePath) -> bool,
) -> Result<()> {
    let view = crate::tree::Overlay { tree, base: root };
    let found = resolve(&view, path.as_bytes()).map_err(|error| lost(path.as_bytes(), &error, reason))?;
    if !found.node.is_directory() {
        return if leave_out(&found.real) {
            Ok(())
        } else {
            bring(tree, root, path.as_bytes(), Rank::Need, reason).map(|_| ())
        };
    }
    let mut paths = Vec::new();
    walk(&view, &found.real, &found.real, excludes, &mut |path, kind| {
        if !matches!(kind, NodeKind::Special(_)) && !leave_out(path) {
            paths.push((path.clone(), kind.clone()));
        }
    })?;
    for link in &found.links {
        let kind = crate::tree::EntryKind::Symlink(link.target.clone());
        super::put(tree, link.path.clone(), kind, 0o777, Rank::Need, reason)?;
    }
    super::put(tree, found.real.clone(), crate::tree::EntryKind::Directory, 0o755, Rank::Need, reason)?;
    for (path, kind) in paths {
        match kind {
            NodeKind::Directory => {
                super::put(tree, path, crate::tree::EntryKind::Directory, 0o755, Rank::Need, reason)?;
            }
            NodeKind::Symlink(_) => {
                // A link that leads nowhere in the root is worth nothing in the image.
                if find(root, path.as_bytes())?.is_some() {
                    bring(tree, root, path.as_bytes(), Rank::Need, reason)?;
                }
            }
            _ => {
                bring(tree, root, path.as_bytes(), Rank::Need, reason)?;
            }
        }
    }
    Ok(())
}

/// Calls `each` for all that a folder holds, in bytewise order, links not followed.
fn walk(
    view: &dyn Source,
    top: &ImagePath,
    folder: &ImagePath,
    excludes: Option<&Excludes>,
    each: &mut dyn FnMut(&ImagePath, &NodeKind),
) -> Result<()> {
    for (name, node) in view.list(folder).map_err(|error| io_error("list", folder, &error))? {
        let path = folder.join(&name);
        if excludes.is_some_and(|excludes| excludes.leave_out(path.below(top).unwrap_or_default())) {
            continue;
        }
        each(&path, &node.kind);
        if node.is_directory() {
            walk(view, top, &path, excludes, each)?;
        }
    }
    Ok(())
}

fn excludes(patterns: &[String]) -> Result<Excludes> {
    Excludes::new(patterns.iter().map(String::as_str))
        .map_err(|error| Diagnostic::error(NOT_BROUGHT, format!("a rule's glob is none: {error}")).into())
}
