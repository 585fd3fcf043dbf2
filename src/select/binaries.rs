//! `binaries` and `libraries`: programs and what they load by name.

use crate::path::{ImagePath, show};
use crate::recipe::{Binary, Destination, Origin};
use crate::report::{Diagnostic, IO, Span, Spanned, plain};
use crate::source::{Node, NodeKind, Source, Unresolved, resolve};
use crate::tree::{Cause, Rank};

use super::files::absolute;
use super::{
    BAD_GLOB, Manner, NO_INIT, NO_MATCH, NOT_A_PROGRAM, NOT_ON_PATH, Object, Program, Selector, UNKNOWN_CAPABILITY,
};
use super::{WRONG_KIND, capability, glob, plain_mode};

/// Where a bare program name is looked for, in order: the PATH that images get.
pub const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The inits that are known to take `--` and a program, static ones first.
const INITS: [&str; 7] = [
    "/usr/bin/tini-static",
    "/sbin/tini-static",
    "/usr/bin/catatonit",
    "/usr/libexec/podman/catatonit",
    "/usr/libexec/catatonit/catatonit",
    "/usr/bin/tini",
    "/sbin/tini",
];

/// The first of some paths that leads to a file which fits. One that can't be looked at may be that.
fn first(
    source: &dyn Source,
    paths: impl IntoIterator<Item = String>,
    fits: impl Fn(&Node) -> bool,
) -> Result<Option<String>, Unresolved> {
    for path in paths {
        match resolve(source, path.as_bytes()) {
            Ok(found) if found.node.content().is_some() && fits(&found.node) => return Ok(Some(path)),
            Err(error @ Unresolved::Unreadable { .. }) => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(None)
}

/// Which program is meant can't be told.
fn unknown(error: &Unresolved, span: Span) -> Diagnostic {
    let title = match error {
        Unresolved::Unreadable { at, error } => format!("cannot read `{at}`: {}", plain(error)),
        other => other.to_string(),
    };
    let error = Diagnostic::error(IO, title).at(span, "looked for there");
    error.help("make it readable or build as a user who may read it: no image depends on who builds it")
}

impl<'a> Selector<'a> {
    /// Places the programs. Those that the root does not have are returned, with their place among the programs: they
    /// may be in a folder that the recipe copies.
    pub(super) fn binaries(&mut self) -> Vec<(usize, &'a Binary)> {
        let mut later = Vec::new();
        for binary in &self.recipe.binaries {
            if self.may_come_with_a_folder(binary) {
                later.push((self.out.programs.len() + later.len(), binary));
            } else {
                self.program(binary);
            }
        }
        if let Some(span) = self.recipe.init {
            self.init(span);
        }
        later
    }

    /// Places the first init that the root has; a static one needs nothing else.
    fn init(&mut self, span: Span) {
        let path = match first(self.root, INITS.map(str::to_owned), |_| true) {
            Ok(path) => path,
            Err(error) => return self.errors.push(unknown(&error, span)),
        };
        let Some(path) = path else {
            let error = Diagnostic::error(NO_INIT, format!("no init is in the root `{}`", self.root.describe()));
            let error = error.at(span, "asked for here").note(format!("looked for {}", INITS.join(", ")));
            self.errors.push(error.help("install `tini` or `catatonit` in the root, or take `init` out"));
            return;
        };
        let from = Spanned::new(Origin::Root(path.as_bytes().to_vec()), span);
        let (caps, dlopen, to, mode, owner, layer) = Default::default();
        let binary = Binary { span, from, to, mode, owner, caps, dlopen, layer, inherited: false };
        if let Some(path) = self.binary(&binary) {
            self.out.programs.push(Program { path: path.clone(), span, dlopen: Vec::new() });
            self.out.init = Some(path);
        }
    }

    fn program(&mut self, binary: &Binary) {
        if let Some(path) = self.binary(binary) {
            let dlopen = binary.dlopen.clone();
            self.out.programs.push(Program { path, span: binary.span, dlopen });
        }
    }

    /// Whether a program is asked for by a path that the root does not have, or lies in a virtual environment beside
    /// the recipe, and some folder goes to another place.
    fn may_come_with_a_folder(&self, binary: &Binary) -> bool {
        if binary.to.is_some() || binary.mode.is_some() || !binary.caps.is_empty() {
            return false;
        }
        match &binary.from.value {
            Origin::Root(path) => {
                self.recipe.files.iter().any(|file| file.to.is_some()) && resolve(self.root, path).is_err()
            }
            Origin::Beside { base, text } => ImagePath::new(absolute(base, text))
                .ok()
                .and_then(|path| path.parent()?.parent())
                .is_some_and(|venv| self.beside.node(&venv.join(b"pyvenv.cfg")).is_ok_and(|node| node.is_some())),
            Origin::Name(_) => false,
        }
    }

    /// Programs that came with a folder: they are where that put them. Others are placed as usual, or refused.
    pub(super) fn later_binaries(&mut self, later: Vec<(usize, &'a Binary)>) {
        for (index, binary) in later {
            let Some(path) = self.place_of(binary) else {
                self.program(binary);
                let moved = self.out.programs.len() > index;
                if let Some(last) = self.out.programs.pop_if(|_| moved) {
                    self.out.programs.insert(index.min(self.out.programs.len()), last);
                }
                continue;
            };
            let dlopen = binary.dlopen.clone();
            let program = Program { path, span: binary.span, dlopen };
            self.out.programs.insert(index.min(self.out.programs.len()), program);
        }
    }

    /// Where the program of an entry stands by another entry.
    fn place_of(&self, binary: &Binary) -> Option<ImagePath> {
        let is_program = |path: &ImagePath| {
            let found = resolve(&self.view(), path.as_bytes()).ok();
            found.is_some_and(|found| found.node.content().is_some() && found.node.mode & 0o111 != 0)
        };
        match &binary.from.value {
            Origin::Root(path) => ImagePath::new(path).ok().filter(is_program),
            Origin::Beside { base, text } => {
                let wanted = resolve(self.beside, &absolute(base, text)).ok()?.node.content()?.id();
                let mut found = self.out.tree.iter().filter(|(_, it)| it.content().is_some_and(|it| it.id() == wanted));
                found.find(|(_, entry)| entry.mode & 0o111 != 0).map(|(path, _)| path.clone())
            }
            Origin::Name(_) => None,
        }
    }

    /// Places a program; its path in the image.
    fn binary(&mut self, binary: &Binary) -> Option<ImagePath> {
        let mut manner = Manner::new(Rank::Binary, Cause::Key("binaries"), binary.span);
        manner.mode = binary.mode.as_ref().map(|mode| mode.value);
        manner.owner = self.owner(binary.owner.as_ref());
        manner.layer = binary.layer.as_ref().map(|layer| layer.value.as_str().into());
        let (source, path): (&dyn Source, Vec<u8>) = match &binary.from.value {
            Origin::Name(name) => (self.root, self.on_path(name, binary.from.span)?.as_bytes().to_vec()),
            Origin::Root(path) => (self.root, path.clone()),
            Origin::Beside { base, text } => (self.beside, absolute(base, text)),
        };
        let beside = matches!(binary.from.value, Origin::Beside { .. });
        let found = match resolve(source, &path) {
            Ok(found) => found,
            Err(error) => {
                let error = self.lost(&path, &error, binary.from.span);
                self.errors.push(error);
                return None;
            }
        };
        let NodeKind::File(content) = &found.node.kind else {
            self.not_a_program(&path, &found.node, binary.from.span);
            return None;
        };
        let place = match &binary.to {
            Some(to) => Some(self.under(to, ImagePath::new(&path).ok()?.name())),
            None if beside => {
                let to = Destination { path: ImagePath::new("/usr/bin").ok()?, folder: true };
                Some(self.under(
                    &to,
                    ImagePath::new(&*path).map_or(found.real.name().to_vec(), |p| p.name().to_vec()).as_slice(),
                ))
            }
            None => None,
        };
        // A program may have been built or installed under any umask; in the image everyone can read and run it.
        let node = Node { mode: plain_mode(found.node.mode), ..found.node.clone() };
        if node.mode & 0o111 == 0 && manner.mode.is_none() {
            self.not_executable(&path, binary.from.span);
            return None;
        }
        let path = if let Some(place) = place {
            self.place_file(place.clone(), &node, content, &manner);
            place
        } else {
            for link in &found.links {
                let via = Manner { owner: (0, 0), ..manner.clone() };
                self.place_link(link.path.clone(), &link.target, &via);
            }
            self.place_file(found.real.clone(), &node, content, &manner);
            ImagePath::new(&path).unwrap_or_else(|_| found.real.clone())
        };
        self.capabilities(binary, &path);
        Some(path)
    }

    fn capabilities(&mut self, binary: &Binary, path: &ImagePath) {
        if binary.caps.is_empty() {
            return;
        }
        match capability::encode(binary.caps.iter().map(|cap| cap.value.as_str())) {
            Ok(value) => {
                let real = resolve(&self.out.tree, path.as_bytes()).map(|found| found.real);
                if let Some(entry) = real.ok().and_then(|real| self.out.tree.get_mut(&real)) {
                    entry.xattrs.push((capability::XATTR.to_owned(), value));
                }
            }
            Err(name) => {
                let span = binary.caps.iter().find(|cap| cap.value == name).map_or(binary.span, |cap| cap.span);
                self.errors.push(
                    Diagnostic::error(UNKNOWN_CAPABILITY, format!("capability `{name}` is not known"))
                        .at(span, "no capability of Linux")
                        .help("capabilities(7) lists them, as `cap_net_bind_service`"),
                );
            }
        }
    }

    /// Finds a program by name, as a shell in the image would.
    fn on_path(&mut self, name: &str, span: Span) -> Option<ImagePath> {
        let candidates = PATH.map(|folder| format!("{folder}/{name}"));
        match first(&self.view(), candidates, |node| node.mode & 0o111 != 0) {
            Ok(Some(path)) => return ImagePath::new(path).ok(),
            Ok(None) => {}
            Err(error) => {
                self.errors.push(unknown(&error, span));
                return None;
            }
        }
        let mut error = Diagnostic::error(NOT_ON_PATH, format!("program `{name}` is not on PATH inside the root"))
            .at(span, format!("looked in {} folders of {}", PATH.len(), self.root.describe()))
            .note(format!("searched {}", PATH.join(", ")));
        if let Some(near) = self.similar_program(name) {
            error = error.help(format!("a program with a similar name exists: `{near}`"));
        } else if self.root.describe() == "/" {
            error = error.help("install the package that holds it, or write its whole path");
        } else {
            error = error.help("`root` may be another folder than you mean, or write the program's whole path");
        }
        if resolve(self.beside, &absolute(&self.recipe.folder, name.as_bytes())).is_ok() {
            error = error.help(format!("a file of that name is beside the recipe: `./{name}`"));
        }
        self.errors.push(error);
        None
    }

    fn similar_program(&self, name: &str) -> Option<String> {
        let mut names = Vec::new();
        for folder in PATH {
            let Ok(found) = resolve(self.root, folder.as_bytes()) else { continue };
            let listed = self.root.names(&found.real, &|_| true).ok()?;
            names.extend(listed.into_iter().filter_map(|name| String::from_utf8(name).ok()));
        }
        super::accounts::nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
    }

    fn not_a_program(&mut self, path: &[u8], node: &Node, span: Span) {
        let error = Diagnostic::error(WRONG_KIND, format!("`{}` is a {}, not a program", show(path), node.noun()))
            .at(span, "wanted as a program");
        self.errors.push(if node.is_directory() { error.help("folders are copied under `files`") } else { error });
    }

    fn not_executable(&mut self, path: &[u8], span: Span) {
        self.errors.push(
            Diagnostic::error(NOT_A_PROGRAM, format!("`{}` is not executable", show(path)))
                .at(span, "wanted as a program")
                .help("`chmod +x` it, or say `mode = \"0755\"`; what is no program belongs under `files`"),
        );
    }

    pub(super) fn libraries(&mut self) {
        for library in &self.recipe.libraries {
            let span = library.from.span;
            let mut manner = Manner::new(Rank::Need, Cause::Key("libraries"), span);
            manner.libs = true;
            match &library.from.value {
                Origin::Name(name) => self.out.libraries.push(Spanned::new(name.clone(), span)),
                Origin::Root(path) if glob::is_glob(path) => self.library_glob(path, &manner),
                Origin::Root(path) => {
                    if let Some(path) = self.bring(path, &manner)
                        && !self.out.objects.iter().any(|object| object.path == path)
                    {
                        self.out.objects.push(Object { path, span, named: true });
                    }
                }
                Origin::Beside { text, .. } => self.errors.push(
                    Diagnostic::error(super::NOT_THERE, format!("`{}` is not in the root", show(text)))
                        .at(span, "`libraries` come from the root")
                        .help("a library beside the recipe is copied under `files`, with `to`"),
                ),
            }
        }
    }

    fn library_glob(&mut self, pattern: &[u8], manner: &Manner) {
        match glob::expand(self.root, pattern) {
            Ok(found) if found.is_empty() => self.errors.push(
                Diagnostic::error(NO_MATCH, format!("`{}` matches nothing", show(pattern)))
                    .at(manner.span, "no file of the root"),
            ),
            Ok(found) => {
                for (path, _) in found {
                    self.bring(path.as_bytes(), manner);
                }
            }
            Err(error) => self.errors.push(
                Diagnostic::error(BAD_GLOB, format!("`{}` is no glob: {error}", show(pattern))).at(manner.span, "here"),
            ),
        }
    }
}
