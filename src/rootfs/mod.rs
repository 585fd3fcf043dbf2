//! One tree from everything: what the recipe names, what the closure and the rules bring, what every image has.
//!
//! In: the tree of a [`crate::select::Selection`], a [`Closure`], additions of rules, a root. Out: the tree as it will
//! be packed: every parent there, hard links joined, no link that leads nowhere. Reads the root's links and metadata;
//! writes nothing.

use crate::closure::{Because, Closure, Found, NeededPath, PathReason, Resolution};
use crate::path::{ImagePath, show};
use crate::report::{Code, Diagnostic, Error, IO, Result, Span, plain};
use crate::source::{Node, NodeKind, Source, Unresolved, resolve};
use crate::tree::{Cause, Entry, EntryKind, Overlay, Placed, Rank, Reason, Tree};

pub mod additions;
mod compiled;
mod finish;
mod standard;

pub use compiled::{NOT_TAKEN, settle_compiled};
pub use finish::finish;
pub use standard::{Standard, add_standard};

/// A path that something needs can't be brought from the root.
pub const NOT_BROUGHT: Code = Code("E0250");
/// An entry lies below something that is no folder.
pub const BELOW_FILE: Code = Code("E0251");
/// A link leads nowhere in the image.
pub const DANGLING: Code = Code("E0252");

/// Brings a path of the root into the tree, at its own place, with every link on the way and every folder that it
/// passes through. What the tree holds already is seen first. A folder comes with all that it holds.
///
/// # Errors
/// When the path leads nowhere, or can't be read.
pub fn bring(tree: &mut Tree, root: &dyn Source, path: &[u8], rank: Rank, reason: &Reason) -> Result<ImagePath> {
    let found = match resolve(&Overlay { tree, base: root }, path) {
        Ok(found) => found,
        Err(error) => return Err(lost(path, &error, reason).into()),
    };
    for link in &found.links {
        put(tree, link.path.clone(), EntryKind::Symlink(link.target.clone()), 0o777, rank, reason)?;
    }
    for folder in found.left {
        if matches!(tree.node(&folder), Ok(None)) {
            put(tree, folder, EntryKind::Directory, 0o755, rank, reason)?;
        }
    }
    bring_node(tree, root, &found.real, &found.node, rank, reason)?;
    Ok(found.real)
}

fn bring_node(
    tree: &mut Tree,
    root: &dyn Source,
    path: &ImagePath,
    node: &Node,
    rank: Rank,
    reason: &Reason,
) -> Result<()> {
    match &node.kind {
        NodeKind::File(content) => {
            let mode = if node.mode & 0o111 == 0 { 0o644 } else { 0o755 };
            put(tree, path.clone(), EntryKind::File(content.clone()), mode, rank, reason)
        }
        NodeKind::Symlink(target) => put(tree, path.clone(), EntryKind::Symlink(target.clone()), 0o777, rank, reason),
        NodeKind::Directory => {
            put(tree, path.clone(), EntryKind::Directory, 0o755, rank, reason)?;
            let below = root.list(path).map_err(|error| io_error("list", path, &error))?;
            for (name, node) in below {
                bring_node(tree, root, &path.join(&name), &node, rank, reason)?;
            }
            Ok(())
        }
        NodeKind::Special(_) => Ok(()),
    }
}

/// Places an entry that something else may already have placed: at these ranks the same file is the same entry.
fn put(tree: &mut Tree, path: ImagePath, kind: EntryKind, mode: u32, rank: Rank, reason: &Reason) -> Result<()> {
    if let Some(there) = tree.get_mut(&path)
        && there.rank >= rank
    {
        if !there.reasons.contains(reason) {
            there.reasons.push(reason.clone());
        }
        return Ok(());
    }
    let name = path.to_string();
    match tree.place(path, Entry::new(kind, mode, rank, reason.clone())) {
        Ok(Placed::Conflict(_)) => Err(Error::internal(format!("`{name}` was brought twice"))),
        Ok(_) => Ok(()),
        Err(error) => Err(Error::io("read", name.as_ref(), &error)),
    }
}

fn io_error(verb: &str, path: &ImagePath, error: &std::io::Error) -> Error {
    Diagnostic::error(IO, format!("cannot {verb} `{path}`: {}", plain(error))).into()
}

fn lost(path: &[u8], error: &Unresolved, reason: &Reason) -> Diagnostic {
    let report = Diagnostic::error(NOT_BROUGHT, format!("`{}` is needed and can't be had: {error}", show(path)));
    report.at_some(reason.span, "needs it")
}

/// Brings every path that the closure says the image must contain.
///
/// # Errors
/// When one of them can't be read any more.
pub fn add_closure(tree: &mut Tree, root: &dyn Source, closure: &Closure, spans: &[Option<Span>]) -> Result<()> {
    for needed in closure.paths() {
        if needed.reason == PathReason::Requested && needed.resolution < spans.len() {
            let named = matches!(resolve(tree, &needed.path), Ok(found) if found.node.content().is_some());
            if named {
                continue;
            }
        }
        let resolution = &closure.resolutions[needed.resolution];
        let span = origin(closure, needed.resolution, spans);
        let reason = Reason::new(cause(resolution, &needed), span);
        bring(tree, root, &needed.path, Rank::Need, &reason)?;
    }
    Ok(())
}

/// The recipe's place for a resolution: its own, or that of the script whose interpreter it is.
fn origin(closure: &Closure, resolution: usize, spans: &[Option<Span>]) -> Option<Span> {
    if let Some(span) = spans.get(resolution) {
        return *span;
    }
    let asks = |r: &Resolution| r.script.as_ref().is_some_and(|script| script.resolutions.contains(&resolution));
    let script = closure.resolutions.iter().position(asks)?;
    spans.get(script).copied().flatten()
}

/// Why the closure needs a path, in the words of reasons.
fn cause(resolution: &Resolution, needed: &NeededPath) -> Cause {
    let of = resolution.real.clone().unwrap_or_else(ImagePath::root);
    let object = |index: usize| resolution.objects.get(index);
    match needed.reason {
        PathReason::Requested => Cause::Key("libraries"),
        PathReason::Interpreter | PathReason::ScriptInterpreter(_) | PathReason::EnvProgram => {
            Cause::Interpreter { of }
        }
        PathReason::PathFile => {
            let by = resolution.loader.as_ref().map_or(of, |loader| loader.real.clone());
            Cause::Needed { by, name: needed.path.to_vec(), via: "the loader's own path".to_owned() }
        }
        PathReason::Object(index) => {
            let Some(loaded) = object(index) else { return Cause::Interpreter { of } };
            let by = loaded.needed_by.and_then(object).map_or(of, |asker| asker.real.clone());
            let name = loaded.names.first().map_or_else(|| loaded.path.to_vec(), |name| name.to_vec());
            Cause::Needed { by, name, via: via(resolution, loaded.because, &loaded.found) }
        }
        PathReason::Alias(index) => {
            let name = resolution.aliases.get(index).map_or_else(Vec::new, |alias| alias.name.to_vec());
            Cause::Needed { by: of, name, via: "another name of a loaded object".to_owned() }
        }
        PathReason::VariantAlias(which, index) => {
            let variant = resolution.variants.get(which);
            let alias = variant.and_then(|variant| variant.aliases.get(index));
            let name = alias.map_or_else(Vec::new, |alias| alias.name.to_vec());
            let via = variant.map_or_else(String::new, |variant| format!("another name, for {}", variant.name));
            Cause::Needed { by: of, name, via }
        }
        PathReason::Variant(which, index) => {
            let variant = resolution.variants.get(which);
            let loaded = variant.and_then(|variant| variant.objects.get(index));
            let name = loaded.and_then(|loaded| loaded.names.first()).map_or_else(Vec::new, |name| name.to_vec());
            let via = variant.map_or_else(String::new, |variant| format!("the variant for {}", variant.name));
            Cause::Needed { by: of, name, via }
        }
    }
}

fn via(resolution: &Resolution, because: Because, found: &Found) -> String {
    let real =
        |index: &usize| resolution.objects.get(*index).map_or_else(String::new, |object| object.real.to_string());
    let place = match found {
        Found::Requested => "by request".to_owned(),
        Found::Interpreter => "as interpreter".to_owned(),
        Found::Path => "by path".to_owned(),
        Found::Rpath(of) => format!("RPATH of {}", real(of)),
        Found::Runpath(of) => format!("RUNPATH of {}", real(of)),
        Found::LibraryPath => "LD_LIBRARY_PATH".to_owned(),
        Found::Cache => "ld.so.cache".to_owned(),
        Found::SystemDirectory => "a system directory".to_owned(),
    };
    match because {
        Because::Requested | Because::Needed => place,
        Because::Filter => format!("filter, {place}"),
        Because::Auxiliary => format!("auxiliary filter, {place}"),
        Because::Audit => format!("audit library, {place}"),
        Because::Preload | Because::PreloadFile => format!("preloaded, {place}"),
        Because::Dlopen => format!("dlopen, {place}"),
        Because::DlopenNote => format!("dlopen note, {place}"),
    }
}
