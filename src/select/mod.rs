//! What the recipe names: each of its entries made into paths of the image.
//!
//! In: a [`Recipe`] and the sources it names. Out: a [`Selection`]: the tree of what was asked for, and what the
//! closure has to start from. Libraries, rules and generated files are later stages' work; nothing is read here
//! but metadata, links and the first bytes of files that may be programs.

use std::sync::Arc;

use crate::path::{ImagePath, show};
use crate::recipe::{self, Destination, Recipe};
use crate::report::{Code, Diagnostic, Error, IO, Result, Span, Spanned, plain};
use crate::source::{Content, Node, NodeKind, Source, Unresolved, resolve};
use crate::tree::{Cause, Entry, EntryKind, Overlay, Placed, Rank, Reason, Tree};

mod accounts;
mod binaries;
mod capability;
mod entries;
mod files;
mod folder;
mod glob;
mod land;
mod magic;
mod relative;
mod venv;

pub use accounts::{Account, Accounts, NONROOT};
pub use binaries::PATH;
pub use glob::Excludes;
pub use magic::{is_elf, is_text};
pub use venv::VENV;

/// `init` is wanted, and the root has none.
pub const NO_INIT: Code = Code("E0200");
/// A program is not on PATH inside the root.
pub const NOT_ON_PATH: Code = Code("E0201");
/// A path that the recipe names is not there.
pub const NOT_THERE: Code = Code("E0202");
/// A glob matches nothing.
pub const NO_MATCH: Code = Code("E0205");
/// A file where a folder is wanted, or the other way round.
pub const WRONG_KIND: Code = Code("E0206");
/// Two entries of one rank want one path.
pub const CONFLICT: Code = Code("E0207");
/// A user or group that nothing defines.
pub const UNKNOWN_USER: Code = Code("E0208");
/// A link that can't come along.
pub const BAD_LINK: Code = Code("E0209");
/// A file that others can't read, without a mode.
pub const NEEDS_MODE: Code = Code("E0210");
/// A capability that the kernel does not know.
pub const UNKNOWN_CAPABILITY: Code = Code("E0211");
/// A text that is no glob.
pub const BAD_GLOB: Code = Code("E0212");
/// A file that is neither program nor script where a program is wanted.
pub const NOT_A_PROGRAM: Code = Code("E0213");
/// What a copied folder left out.
pub const LEFT_OUT: Code = Code("E0214");

/// What the recipe names.
#[derive(Debug)]
pub struct Selection {
    /// Everything that it names by path, at its place in the image.
    pub tree: Tree,
    /// Its programs, in order.
    pub programs: Vec<Program>,
    /// Interpreters of virtual environments among its folders: programs that are started by name, by scripts or as an
    /// entrypoint.
    pub interpreters: Vec<Program>,
    /// The small init that is process 1, where the recipe wants one; it is among the programs.
    pub init: Option<ImagePath>,
    /// Sonames to be found as the loader would.
    pub libraries: Vec<Spanned<String>>,
    /// ELF files that it names otherwise, as in copied folders: their libraries come along.
    pub objects: Vec<Object>,
    /// Users and groups.
    pub accounts: Accounts,
    /// Folders of this machine that were copied: no output may lie in one.
    pub folders: Vec<(std::path::PathBuf, Span)>,
    /// Where in the image each copied folder is.
    pub copied: Vec<(ImagePath, Span)>,
    /// Warnings and notes.
    pub notes: Vec<Diagnostic>,
}

/// A program of the recipe.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path in the image, perhaps a link's.
    pub path: ImagePath,
    /// The recipe's entry.
    pub span: Span,
    /// Libraries that it loads by name at run time.
    pub dlopen: Vec<Spanned<String>>,
}

/// An ELF file of the recipe that is not one of its programs.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its path in the image.
    pub path: ImagePath,
    /// The recipe's entry.
    pub span: Span,
    /// Whether the recipe names the file itself, not only a folder or package that holds it.
    pub named: bool,
}

/// Makes a recipe's entries into paths of the image.
///
/// `root` is where absolute paths come from, `beside` the tree of this machine for paths beside the recipe, `packages`
/// what the packages that the recipe names own in the root.
///
/// # Errors
/// All mistakes that the entries hold.
pub fn select(recipe: &Recipe, root: &dyn Source, beside: &dyn Source, packages: &Packages) -> Result<Selection> {
    let mut errors = Vec::new();
    let accounts = Accounts::of(recipe, &mut errors);
    let selection = Selection {
        tree: Tree::default(),
        programs: Vec::new(),
        interpreters: Vec::new(),
        init: None,
        libraries: Vec::new(),
        objects: Vec::new(),
        accounts,
        folders: Vec::new(),
        copied: Vec::new(),
        notes: Vec::new(),
    };
    let mut selector = Selector { recipe, root, beside, out: selection, errors, unsettled: Vec::new() };
    selector.links();
    let later = selector.binaries();
    selector.libraries();
    selector.files();
    selector.packages(packages);
    selector.later_binaries(later);
    selector.venvs();
    selector.dirs();
    selector.settle_links();
    if selector.errors.is_empty() { Ok(selector.out) } else { Err(Error(selector.errors)) }
}

/// The file lists of the packages that the recipe names: name and place, with the real paths it owns in the root.
pub type Packages = [(Spanned<String>, Vec<ImagePath>)];

struct Selector<'a> {
    recipe: &'a Recipe,
    root: &'a dyn Source,
    beside: &'a dyn Source,
    out: Selection,
    errors: Vec<Diagnostic>,
    /// Links to what a copied folder leaves out.
    unsettled: Vec<folder::Unsettled>,
}

/// Where an entry's files come from and how they are placed.
#[derive(Clone)]
struct Manner {
    rank: Rank,
    cause: Cause,
    span: Span,
    mode: Option<u32>,
    dir_mode: Option<u32>,
    owner: (u32, u32),
    mtime: recipe::Mtime,
    keep_capabilities: bool,
    layer: Option<Arc<str>>,
    libs: bool,
    /// Whether the files are the recipe's own, not the root's.
    beside: bool,
}

impl Manner {
    fn new(rank: Rank, cause: Cause, span: Span) -> Self {
        Self {
            rank,
            cause,
            span,
            mode: None,
            dir_mode: None,
            owner: (0, 0),
            mtime: recipe::Mtime::Constant,
            keep_capabilities: false,
            layer: None,
            libs: false,
            beside: false,
        }
    }

    fn entry(&self, kind: EntryKind, mode: u32) -> Entry {
        let reason = Reason::new(self.cause.clone(), Some(self.span));
        let mut entry = Entry::new(kind, mode, self.rank, reason);
        (entry.uid, entry.gid) = self.owner;
        entry.layer.clone_from(&self.layer);
        entry
    }
}

/// Files are 0755 if their owner may execute them, else 0644: setuid and the like are asked for by `mode`.
fn plain_mode(mode: u32) -> u32 {
    if mode & 0o100 == 0 { 0o644 } else { 0o755 }
}

impl Selector<'_> {
    /// The image so far, laid over the root.
    fn view(&self) -> Overlay<'_> {
        Overlay { tree: &self.out.tree, base: self.root }
    }

    /// Puts an entry in its place; a conflict is reported with both places.
    fn place(&mut self, path: ImagePath, entry: Entry) {
        let span = entry.span();
        let name = path.to_string();
        match self.out.tree.place(path, entry) {
            Ok(Placed::Conflict(there)) => {
                let mut error =
                    Diagnostic::error(CONFLICT, format!("two entries write `{name}`")).at_some(span, "this one");
                if let (Some(other), Some(this)) = (there.span(), span) {
                    error = if other == this {
                        error.note("one entry writes it twice, with different contents")
                    } else {
                        error.and_at(other, "and this one")
                    };
                }
                self.errors.push(error.help("take one away, or give it another `to`"));
            }
            Ok(_) => {}
            Err(error) => self.errors.push(
                Diagnostic::error(IO, format!("cannot compare two files for `{name}`: {}", plain(&error)))
                    .at_some(span, "one of them"),
            ),
        }
    }

    /// Places a regular file by the rules for modes.
    fn place_file(&mut self, path: ImagePath, node: &Node, content: &Content, manner: &Manner) {
        if node.mode & 0o004 == 0 && manner.mode.is_none() {
            let place = content.host_path().map_or_else(|| path.to_string(), |host| host.display().to_string());
            let wanted = format!("0{:o}", node.mode & 0o777);
            self.errors.push(
                Diagnostic::error(NEEDS_MODE, format!("`{place}` has mode {wanted}: others can't read it"))
                    .at(manner.span, "copies it")
                    .help(format!(
                        "say which mode it has in the image: `mode = \"{wanted}\"`, or `\"0644\"` to open it"
                    )),
            );
            return;
        }
        let mut entry = manner.entry(EntryKind::File(content.clone()), manner.mode.unwrap_or(plain_mode(node.mode)));
        entry.mtime = match manner.mtime {
            recipe::Mtime::Constant => None,
            recipe::Mtime::Unix(seconds) => Some(seconds),
            recipe::Mtime::Content => match magic::content_time(content) {
                Ok(seconds) => Some(seconds),
                Err(error) => return self.unreadable(&path, &error, manner.span),
            },
        };
        if manner.keep_capabilities {
            match content.xattr(capability::XATTR) {
                Ok(Some(value)) => entry.xattrs.push((capability::XATTR.to_owned(), value)),
                Ok(None) => {}
                Err(error) => return self.unreadable(&path, &error, manner.span),
            }
        }
        if manner.libs {
            match magic::may_be_elf(&path, node.mode, content) {
                Ok(true) => {
                    let named = manner.rank != Rank::Folder;
                    self.out.objects.push(Object { path: path.clone(), span: manner.span, named });
                }
                Ok(false) => {}
                Err(error) => return self.unreadable(&path, &error, manner.span),
            }
        }
        self.place(path, entry);
    }

    fn place_link(&mut self, path: ImagePath, target: &[u8], manner: &Manner) {
        self.place(path, manner.entry(EntryKind::Symlink(target.to_vec()), 0o777));
    }

    fn place_folder(&mut self, path: ImagePath, manner: &Manner) {
        self.place(path, manner.entry(EntryKind::Directory, manner.dir_mode.unwrap_or(0o755)));
    }

    /// Brings a path of the root to the same place in the image, with every link on the way.
    fn bring(&mut self, path: &[u8], manner: &Manner) -> Option<ImagePath> {
        let found = match resolve(&self.view(), path) {
            Ok(found) => found,
            Err(error) => {
                self.errors.push(self.lost(path, &error, manner.span));
                return None;
            }
        };
        for link in &found.links {
            let via = Manner { owner: (0, 0), ..manner.clone() };
            self.place_link(link.path.clone(), &link.target, &via);
        }
        match &found.node.kind {
            NodeKind::File(content) => self.place_file(found.real.clone(), &found.node, content, manner),
            NodeKind::Directory => self.copy_folder(self.root, &found.real, &found.real, None, manner),
            NodeKind::Special(what) => {
                self.errors.push(
                    Diagnostic::error(WRONG_KIND, format!("`{}` is a {what}", show(path)))
                        .at(manner.span, "asks for it")
                        .help("an image holds files, folders and links; engines make devices and sockets at run time"),
                );
                return None;
            }
            NodeKind::Symlink(_) => {}
        }
        Some(found.real)
    }

    /// The error for a path that leads nowhere.
    fn lost(&self, path: &[u8], error: &Unresolved, span: Span) -> Diagnostic {
        let shown = show(path);
        match error {
            Unresolved::Missing { at, links } if links.is_empty() => {
                let mut report =
                    Diagnostic::error(NOT_THERE, format!("`{shown}` is not there")).at(span, "asked for here");
                if at.as_bytes() != path && !at.is_root() {
                    report = report.note(format!("`{at}` is where the path ends"));
                }
                if let Some(near) = self.neighbour(at) {
                    report = report.help(format!("`{near}` has a similar name"));
                }
                report
            }
            Unresolved::Missing { at, links } => {
                let chain: Vec<String> =
                    links.iter().map(|l| format!("`{}` -> `{}`", l.path, show(&l.target))).collect();
                Diagnostic::error(BAD_LINK, format!("`{shown}` is a link that leads nowhere"))
                    .at(span, "asked for here")
                    .note(format!("{}; `{at}` is not there", chain.join(", ")))
            }
            Unresolved::Loop => Diagnostic::error(BAD_LINK, format!("`{shown}` leads through too many links"))
                .at(span, "asked for here")
                .note("more than 40 links, or a circle of them"),
            Unresolved::NotDirectory { at } => {
                Diagnostic::error(WRONG_KIND, format!("`{shown}` is not there: `{at}` is no folder"))
                    .at(span, "asked for here")
            }
            Unresolved::Unreadable { at, error } => {
                Diagnostic::error(IO, format!("cannot look at `{at}`: {}", plain(error))).at(span, "asked for here")
            }
            Unresolved::NotAPath => {
                Diagnostic::error(NOT_THERE, format!("`{shown}` is no path")).at(span, "asked for here")
            }
        }
    }

    fn neighbour(&self, missing: &ImagePath) -> Option<ImagePath> {
        let folder = missing.parent()?;
        let names: Vec<String> = self
            .root
            .names(&folder, &|_| true)
            .ok()?
            .into_iter()
            .filter_map(|name| String::from_utf8(name).ok())
            .collect();
        let near = accounts::nearest(std::str::from_utf8(missing.name()).ok()?, names.iter().map(String::as_str))?;
        Some(folder.join(near.as_bytes()))
    }

    fn unreadable(&mut self, path: &ImagePath, error: &std::io::Error, span: Span) {
        self.errors.push(
            Diagnostic::error(IO, format!("cannot read what goes to `{path}`: {}", plain(error))).at(span, "copies it"),
        );
    }

    /// Numbers of an owner; an unknown name is reported and taken as root.
    fn owner(&mut self, owner: Option<&Spanned<recipe::Owner>>) -> (u32, u32) {
        let Some(owner) = owner else { return (0, 0) };
        self.out.accounts.resolve(owner).unwrap_or_else(|name| {
            let error = self.out.accounts.unknown(&name, Some(owner.span));
            self.errors.push(error);
            (0, 0)
        })
    }

    /// The place of something named `name` under a destination.
    fn under(&mut self, to: &Destination, name: &[u8]) -> ImagePath {
        let wanted = if to.folder && !name.is_empty() { to.path.join(name) } else { to.path.clone() };
        self.land(&wanted)
    }
}
