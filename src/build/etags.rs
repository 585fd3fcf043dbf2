//! Files that a web server serves under a tag made of their time and size, with a time that never changes.
//!
//! nginx, Express and Starlette tell browsers and proxies an `ETag` of the modification time and the size. All times of
//! an image are one constant unless the recipe says `mtime = "content"`: a changed file of the same size keeps its tag,
//! and caches go on serving the old one. Only files that are certainly served are reported.

use std::collections::BTreeSet;

use crate::path::ImagePath;
use crate::recipe::{File, FileSource, Links, Mtime, Origin, Recipe};
use crate::report::{Diagnostic, Span};
use crate::select::Selection;
use crate::source::Content;
use crate::tree::{Cause, Entry, Rank, Reason, Tree};

use super::SAME_TAG;

/// No configuration of nginx is larger.
const LARGEST: u64 = 1 << 20;
/// Where nginx's packages and most recipes have what they serve.
const ROOTS: [&str; 4] = ["/var/www", "/usr/share/nginx/html", "/srv", "/usr/local/nginx/html"];
/// What applications call the folder that they serve.
const FOLDERS: [&[u8]; 6] = [b"public", b"static", b"www", b"dist", b"html", b"assets"];
/// Folders of packages: what is in them is code, though it may be called so.
const PACKAGES: [&[u8]; 3] = [b"node_modules", b"site-packages", b"dist-packages"];

/// A note for the first entry of `files` with what is served under such tags.
pub(super) fn same_tags(tree: &Tree, recipe: &Recipe, selection: &Selection) -> Option<Diagnostic> {
    let server = Server::of(tree, recipe, selection)?;
    let mut found: Option<(&ImagePath, Span)> = None;
    let mut others = BTreeSet::new();
    for (path, entry) in tree.iter() {
        if let Some(span) = constant(path, entry)
            && server.serves(path, entry)
        {
            let (_, first) = *found.get_or_insert((path, span));
            others.extend(Some(span).filter(|span| *span != first));
        }
    }
    let (path, span) = found?;
    let file = recipe.files.iter().find(|file| file.mtime == Mtime::Constant && file.span == span)?;
    let title = format!("`{path}` keeps its ETag when its content changes and its size does not");
    let mut note = Diagnostic::note_of(SAME_TAG, title).at(file.span, "all its times are one constant");
    note = note.note(format!("{} makes the tag of a file's time and size", server.name));
    if !others.is_empty() {
        let entries = if others.len() == 1 { "entry" } else { "entries" };
        note = note.note(format!("so do files of {} more {entries} of `files`", others.len()));
    }
    Some(note.help(match line(file) {
        Some(line) => format!("write `{line}`"),
        None => "add `mtime = \"content\"` to the entry".to_owned(),
    }))
}

/// The recipe's place of a page, style or script with the constant time that comes from a `files` entry.
fn constant(path: &ImagePath, entry: &Entry) -> Option<Span> {
    if !ends(path, &[b".html", b".htm", b".css", b".js", b".mjs"])
        || entry.mtime.is_some()
        || entry.rank < Rank::Folder
        || entry.content().is_none()
    {
        return None;
    }
    let of_files = |cause: &Cause| matches!(cause, Cause::Folder(_) | Cause::Key("files"));
    entry.reasons.first().filter(|reason| of_files(&reason.cause))?.span
}

fn ends(path: &ImagePath, ends: &[&[u8]]) -> bool {
    ends.iter().any(|end| path.name().ends_with(end))
}

/// The entry with the time, where it says no more than from and to.
fn line(file: &File) -> Option<String> {
    let plain = file.exclude.is_empty() && file.mode.is_none() && file.dir_mode.is_none() && file.owner.is_none();
    let plain = plain
        && file.links == Links::Keep
        && file.layer.is_none()
        && !file.optional
        && file.libs
        && file.keep_capabilities.is_none();
    let FileSource::Copied(from) = &file.source else { return None };
    let from = match &from.value {
        Origin::Root(text) | Origin::Beside { text, .. } => std::str::from_utf8(text).ok()?,
        Origin::Name(name) => name,
    };
    let to = file.to.as_ref().map_or_else(String::new, |to| format!("to = {:?}, ", to.value.to_string()));
    plain.then(|| format!("{{ from = {from:?}, {to}mtime = \"content\" }}"))
}

/// What serves files.
struct Server {
    name: &'static str,
    /// The folders that are surely served; without any, folders by the names that applications give them.
    roots: Vec<ImagePath>,
}

impl Server {
    /// The first that the image has.
    fn of(tree: &Tree, recipe: &Recipe, selection: &Selection) -> Option<Self> {
        let programs = || selection.programs.iter().chain(&selection.interpreters).map(|program| program.path.name());
        let has = |names: &[&str]| programs().any(|program| names.iter().any(|name| name.as_bytes() == program));
        if has(&["nginx"]) {
            let mut roots: Vec<ImagePath> = ROOTS.iter().filter_map(|root| ImagePath::new(root).ok()).collect();
            roots.extend(tree.iter().filter_map(|(path, entry)| configuration(path, entry)).flat_map(named));
            return Some(Self { name: "nginx", roots });
        }
        if has(&["node", "nodejs"]) {
            return Some(Self { name: "Node's `send`, of Express and others,", roots: Vec::new() });
        }
        let words = recipe.config.entrypoint.iter().flatten().chain(recipe.config.cmd.iter().flatten());
        let uvicorn = has(&["uvicorn"]) || words.into_iter().any(|word| word.value == "uvicorn");
        let starlette =
            || tree.iter().any(|(path, _)| path.as_bytes().ends_with(b"-packages/starlette/staticfiles.py"));
        (uvicorn || starlette()).then(|| Self { name: "Starlette", roots: Vec::new() })
    }

    fn serves(&self, path: &ImagePath, entry: &Entry) -> bool {
        if !self.roots.is_empty() {
            return self.roots.iter().any(|root| path.is_within(root));
        }
        let folders = || path.as_bytes().split(|byte| *byte == b'/').rev().skip(1);
        let of_package = |text: &[u8]| text.split(|byte| *byte == b'/').any(|name| PACKAGES.contains(&name));
        let copied = |reason: &Reason| matches!(&reason.cause, Cause::Folder(from) if of_package(from.as_bytes()));
        // A script may be the application's own, in `dist` above all; pages and styles are not.
        ends(path, &[b".html", b".htm", b".css"])
            && folders().any(|name| FOLDERS.contains(&name))
            && !of_package(path.as_bytes())
            && !entry.reasons.iter().any(copied)
    }
}

/// The content of what may be configuration of nginx.
fn configuration<'a>(path: &ImagePath, entry: &'a Entry) -> Option<&'a Content> {
    let its = path.as_bytes().starts_with(b"/etc/nginx/") || path.name().ends_with(b".conf");
    entry.content().filter(|content| its && content.size() <= LARGEST)
}

/// The folders that nginx's directives `root` and `alias` name. One that can't be read names none here.
fn named(content: &Content) -> Vec<ImagePath> {
    let Ok(bytes) = content.read(LARGEST) else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let statements = lines.flat_map(|line| line.split(['{', '}', ';']));
    let folder = |statement: &str| {
        let mut words = statement.split_whitespace();
        let directive = words.next()?;
        let folder = words.next()?.trim_matches(['"', '\'']).trim_end_matches('/');
        let path = ImagePath::new(folder).ok().filter(|path| !path.is_root())?;
        matches!(directive, "root" | "alias").then_some(path)
    };
    statements.filter_map(folder).collect()
}
