//! Virtual environments of Python among the folders that a recipe copies: made to work where they stand in the image.
//!
//! An environment is a folder with `pyvenv.cfg` in it. Its `bin/python` is a link to a Python elsewhere, and its
//! scripts begin with its own path. Here that Python comes along, the link and `pyvenv.cfg` say where it is in the
//! image, and scripts begin with the environment's new place. What it takes beyond the interpreter, as the standard
//! library, is found by the rules.

use std::collections::BTreeSet;

use super::files::follow_text;
use super::{Manner, Program, Selector};
use crate::path::{ImagePath, show};
use crate::report::{Code, Diagnostic, Span};
use crate::source::{Content, NodeKind, Resolved, Source, resolve};
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason};

mod config;
mod packages;
mod script;

use config::Config;
use script::Head;

/// Something about a virtual environment of Python.
pub const VENV: Code = Code("E0219");

/// The largest `pyvenv.cfg`, script or activation script that is read.
const LARGEST: u64 = 4 << 20;
/// What the kernel takes of a first line, without its `#!` and its end.
const LONGEST_LINE: usize = 252;
/// Scripts that a shell reads to use an environment at its old place.
const ACTIVATION: [&str; 11] = [
    "Activate.ps1",
    "activate",
    "activate.bat",
    "activate.csh",
    "activate.fish",
    "activate.nu",
    "activate.ps1",
    "activate.xsh",
    "activate_this.py",
    "deactivate.bat",
    "pydoc.bat",
];

/// An environment.
struct Venv {
    /// Its folder in the image.
    at: ImagePath,
    /// Its folder in the tree that it was copied from.
    origin: ImagePath,
    /// Whether that tree is the root.
    of_root: bool,
    /// The entry of the recipe.
    span: Span,
    /// The folders in which it stood, as its scripts may name them.
    old: BTreeSet<Vec<u8>>,
}

/// Where the Python of an environment is.
struct Base {
    /// The link in the environment that leads out of it.
    link: ImagePath,
    /// Where that leads, in the tree that the environment was copied from.
    outer: ImagePath,
}

/// Whether a link is the interpreter of an environment, which is followed here and nowhere else.
pub(super) fn is_interpreter(source: &dyn Source, link: &ImagePath) -> bool {
    let venv = link.parent().filter(|bin| bin.name() == b"bin").and_then(|bin| bin.parent());
    let marked = |venv: ImagePath| source.node(&venv.join(b"pyvenv.cfg")).is_ok_and(|node| node.is_some());
    link.name().starts_with(b"python") && venv.is_some_and(marked)
}

impl Selector<'_> {
    /// Settles every environment of the tree.
    pub(super) fn venvs(&mut self) {
        let is_venv = |(path, entry): &(&ImagePath, &Entry)| path.name() == b"pyvenv.cfg" && entry.content().is_some();
        let places: Vec<ImagePath> =
            self.out.tree.iter().filter(is_venv).filter_map(|(path, _)| path.parent()).collect();
        for at in places {
            self.settle(&at);
        }
    }

    fn settle(&mut self, at: &ImagePath) {
        let marker = at.join(b"pyvenv.cfg");
        let Some(entry) = self.out.tree.get(&marker) else { return };
        let (Some(content), Some(span)) = (entry.content().cloned(), entry.span()) else { return };
        let Some(place) = content.place() else { return };
        let Some(origin) = place.parent() else { return };
        let text = match content.read(LARGEST) {
            Ok(text) => text,
            Err(error) => return self.unreadable(&marker, &error, span),
        };
        let Some(config) = Config::parse(&text) else { return };
        let same = |node: crate::source::Node| node.content().is_some_and(|it| it.id() == content.id());
        let of_root = self.root.node(place).is_ok_and(|node| node.is_some_and(same));
        let old = self.old_places(at, &origin, &config);
        let venv = Venv { at: at.clone(), origin, of_root, span, old };
        let home = self.interpreter(&venv, &config);
        let changed = config.for_image(home.as_deref());
        if changed.as_bytes() != text {
            self.rewrite(&marker, changed.into_bytes(), "configuration of a virtual environment");
        }
        self.scripts(&venv);
        self.path_files(&venv);
    }

    /// The folders in which an environment may have stood when its scripts were written.
    fn old_places(&self, at: &ImagePath, origin: &ImagePath, config: &Config<'_>) -> BTreeSet<Vec<u8>> {
        let mut old = BTreeSet::from([origin.as_bytes().to_vec()]);
        old.extend(config.made_at().map(|place| place.trim_end_matches('/').as_bytes().to_vec()));
        let activate = self.out.tree.get(&at.join(b"bin").join(b"activate")).and_then(Entry::content);
        let text = activate.and_then(|content| content.read(LARGEST).ok()).unwrap_or_default();
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.trim_ascii();
            let line = line.strip_prefix(b"export ").unwrap_or(line);
            let Some(value) = line.strip_prefix(b"VIRTUAL_ENV=") else { continue };
            let value: &[u8] = value.trim_ascii();
            let bare = [b'"', b'\''].iter().find_map(|quote| value.strip_prefix(&[*quote])?.strip_suffix(&[*quote]));
            let place = bare.unwrap_or(value);
            if place.starts_with(b"/") && !place.contains(&b'$') {
                old.insert(place.to_vec());
            }
        }
        old
    }

    /// Brings the Python of an environment. The text for `home` in `pyvenv.cfg`, where that moved.
    fn interpreter(&mut self, venv: &Venv, config: &Config<'_>) -> Option<String> {
        let source = if venv.of_root { self.root } else { self.beside };
        let Some(base) = base(source, venv) else {
            // `venv --copies`: the program is in the environment, its library where `home` says.
            let own = self.own_interpreter(venv)?;
            self.out.interpreters.push(Program { path: own, span: venv.span, dlopen: Vec::new() });
            return None;
        };
        let found = resolve(source, base.outer.as_bytes()).ok();
        let Some(place) = self.base_place(venv, &base, found.as_ref()) else {
            self.no_python(venv, &base, config);
            return None;
        };
        self.out.interpreters.push(Program { path: base.link.clone(), span: venv.span, dlopen: Vec::new() });
        self.open_homes(venv, &place);
        if place == base.outer {
            // `home` may go through another link than `bin/python` does.
            let home = config.value("home").filter(|home| home.starts_with('/'));
            if let Some(found) = home.and_then(|home| resolve(self.root, home.as_bytes()).ok()) {
                let manner = link_manner(venv, &base.link);
                for link in found.links {
                    self.place_link(link.path, &link.target, &manner);
                }
            }
            return None;
        }
        if let Some(entry) = self.out.tree.get_mut(&base.link) {
            entry.kind = EntryKind::Symlink(place.as_bytes().to_vec());
            entry.reasons.push(Reason::new(Cause::Generated("link to the Python of a virtual environment"), None));
        }
        place.parent().map(|home| home.to_string())
    }

    /// Where the Python of an environment stands in the image: where the recipe puts it, or at its own place in the
    /// root, from which it is brought.
    fn base_place(&mut self, venv: &Venv, base: &Base, found: Option<&Resolved>) -> Option<ImagePath> {
        let content = found.and_then(|found| found.node.content());
        if let Some(id) = content.map(Content::id) {
            let elsewhere = |path: &ImagePath| !path.is_within(&venv.at);
            let mut known = self.out.tree.iter().filter(|(_, entry)| entry.content().is_some_and(|it| it.id() == id));
            if let Some((path, _)) = known.find(|(path, _)| elsewhere(path)) {
                let own = found.is_some_and(|found| found.real == *path);
                return Some(if own { base.outer.clone() } else { path.clone() });
            }
        }
        resolve(self.root, base.outer.as_bytes()).ok()?.node.content()?;
        self.bring(base.outer.as_bytes(), &link_manner(venv, &base.link))?;
        Some(base.outer.clone())
    }

    fn no_python(&mut self, venv: &Venv, base: &Base, config: &Config<'_>) {
        let version = config.value("version").or(config.value("version_info")).unwrap_or("3");
        let title =
            format!("`{}` leads to `{}`, which is not in the root `{}`", base.link, base.outer, self.root.describe());
        let error = Diagnostic::error(VENV, title)
            .at(venv.span, "copies this virtual environment of Python")
            .help(format!("install Python {version} there in the root"))
            .help("or give the folder of that Python under `files`, with `to`: the environment is then pointed at it");
        self.errors.push(error);
    }

    /// The program of an environment that has its own copy.
    fn own_interpreter(&self, venv: &Venv) -> Option<ImagePath> {
        let bin = venv.at.join(b"bin");
        let mut inside = self.out.tree.below(&bin).filter(|(path, _)| path.name().starts_with(b"python"));
        inside.find(|(_, entry)| entry.content().is_some() && entry.mode & 0o111 != 0).map(|(path, _)| path.clone())
    }

    /// Homes are closed to others; the image's user has to reach a Python that lies in one.
    fn open_homes(&mut self, venv: &Venv, python: &ImagePath) {
        let homes: Vec<ImagePath> = self.out.accounts.users.iter().map(|user| user.home.clone()).collect();
        for home in python.ancestors().filter(|above| !above.is_root() && homes.contains(above)) {
            if self.out.tree.get(&home).is_some_and(|entry| entry.rank > Rank::Need) {
                continue;
            }
            let mut manner = link_manner(venv, python);
            manner.dir_mode = Some(0o755);
            self.place_folder(home.clone(), &manner);
            let title = format!("everyone can read `{home}`: the Python of `{}` is below it", venv.at);
            let help = "give the folder of that Python under `files`, with `to` at another place";
            self.out.notes.push(Diagnostic::note_of(VENV, title).at(venv.span, "copies it").help(help));
        }
    }

    /// Lets scripts begin with the environment's place in the image.
    fn scripts(&mut self, venv: &Venv) {
        let bin = venv.at.join(b"bin");
        let moved = !venv.old.contains(venv.at.as_bytes()) || venv.old.len() > 1;
        let own = self.out.tree.below(&bin).map(|(path, _)| path.clone());
        let programs =
            self.out.programs.iter().filter_map(|it| Some(resolve(&self.out.tree, it.path.as_bytes()).ok()?.real));
        let paths: BTreeSet<ImagePath> = own.chain(programs).collect();
        let (mut changed, mut named) = (Vec::new(), BTreeSet::new());
        for path in paths {
            let is_own = path.parent().is_some_and(|folder| folder == bin);
            if is_own && moved && ACTIVATION.iter().any(|name| name.as_bytes() == path.name()) {
                self.out.tree.remove(&path);
                continue;
            }
            match self.script(venv, &bin, &path, is_own) {
                Ok(Some(old)) => {
                    named.insert(old);
                    changed.push(path);
                }
                Ok(None) => {}
                Err(error) => self.unreadable(&path, &error, venv.span),
            }
        }
        if changed.is_empty() {
            return;
        }
        let count = if changed.len() == 1 { "1 script".to_owned() } else { format!("{} scripts", changed.len()) };
        let named: Vec<String> = named.iter().map(|old| format!("`{}`", show(old))).collect();
        let title = format!("{count} of `{}` got its place in the image for a first line", venv.at);
        let scripts: Vec<String> = changed.iter().map(|path| show(path.name())).collect();
        let note = Diagnostic::note_of(VENV, title).at(venv.span, "copies it");
        self.out.notes.push(note.note(format!("instead of {}: {}", named.join(", "), scripts.join(", "))));
    }

    /// Changes one script. What it began with, if it did.
    fn script(
        &mut self,
        venv: &Venv,
        bin: &ImagePath,
        path: &ImagePath,
        is_own: bool,
    ) -> std::io::Result<Option<Vec<u8>>> {
        let Some(content) = self.out.tree.get(path).and_then(Entry::content) else { return Ok(None) };
        let mut start = [0; 2];
        if content.size() > LARGEST || content.open()?.read_at(&mut start, 0)? < 2 || &start != b"#!" {
            return Ok(None);
        }
        let text = content.read(LARGEST)?;
        let Some(head) = Head::parse(&text) else { return Ok(None) };
        let (folder, name) = head.place();
        let named = match folder {
            None => is_own,
            Some(folder) => folder.strip_suffix(b"/bin").is_some_and(|place| self.is_old(venv, place, &head, is_own)),
        };
        let interpreter = bin.join(if name.is_empty() { b"python" } else { name });
        if !named
            || head.interpreter == interpreter.as_bytes() && text.starts_with(&[b"#!", interpreter.as_bytes()].concat())
        {
            return Ok(None);
        }
        if self.out.tree.get(&interpreter).is_none() {
            return Ok(None);
        }
        if interpreter.as_bytes().len() > LONGEST_LINE {
            let title = format!("`{interpreter}` is too long for the first line of a script");
            let error = Diagnostic::error(VENV, title).at(venv.span, "copies the environment there");
            self.errors.push(error.help("choose a shorter `to`"));
            return Ok(None);
        }
        let changed = head.replace(&text, interpreter.as_bytes());
        self.rewrite(path, changed, "first line of a script in a virtual environment");
        Ok(Some(head.interpreter))
    }

    /// Whether a folder is one in which the environment stood: a known one, or one that is nowhere any more.
    fn is_old(&self, venv: &Venv, place: &[u8], head: &Head, is_own: bool) -> bool {
        let gone = || head.place().1.starts_with(b"python") && resolve(&self.view(), &head.interpreter).is_err();
        venv.old.contains(place) || venv.at.as_bytes() == place || is_own && gone()
    }

    fn rewrite(&mut self, path: &ImagePath, bytes: Vec<u8>, what: &'static str) {
        if let Some(entry) = self.out.tree.get_mut(path) {
            entry.kind = EntryKind::File(Content::bytes(bytes));
            entry.reasons.push(Reason::new(Cause::Generated(what), None));
        }
    }
}

fn link_manner(venv: &Venv, link: &ImagePath) -> Manner {
    Manner::new(Rank::Need, Cause::Link { from: link.clone() }, venv.span)
}

/// Follows `bin/python` to the link that leads out of the environment.
fn base(source: &dyn Source, venv: &Venv) -> Option<Base> {
    let bin = venv.origin.join(b"bin");
    let names = source.list(&bin).ok()?;
    let first = names.iter().find(|(name, node)| {
        name.starts_with(b"python") && matches!(node.kind, NodeKind::Symlink(_)) && !name.ends_with(b"-config")
    })?;
    let mut here = bin.join(&first.0);
    for _ in 0..8 {
        let Ok(Some(crate::source::Node { kind: NodeKind::Symlink(target), .. })) = source.node(&here) else {
            return None;
        };
        let next = follow_text(&here.parent()?, &target);
        if !next.is_within(&venv.origin) {
            let link = venv.at.join_path(here.below(&venv.origin)?).ok()?;
            return Some(Base { link, outer: next });
        }
        here = next;
    }
    None
}
