//! Recipe files: read once each, decoded, with the files that they extend.

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::decode::{Keys, Reader, table};
use super::document::{self, Entries, MOST_BYTES};
use super::keys::RecipeKeys;
use super::{Context, EXTENDS, Input, LockPlace, NO_FOLDER, Pin, REMOTE, UNREADABLE, Wanted, load, workspace};
use crate::report::{Diagnostic, Error, Level, Span, TextId, Texts, plain};

/// The name of a recipe or a workspace that a folder stands for.
pub(super) const FILE_NAME: &str = "mkimage.toml";

/// How deep recipes may build on one another.
const MOST_STEPS: usize = 32;

/// One file, decoded.
pub(super) struct RecipeFile {
    pub(super) keys: RecipeKeys,
    pub(super) text: TextId,
    /// Its first key.
    pub(super) span: Span,
    /// As the user knows it.
    pub(super) name: String,
    /// Where it is; its name, when it comes from a registry.
    pub(super) path: PathBuf,
    /// The folder that it is in; empty, when it comes from a registry.
    pub(super) folder: PathBuf,
    /// Which one of a registry it is.
    pub(super) pin: Option<Pin>,
    /// Whether it has a folder that its paths may be relative to.
    has_folder: bool,
    /// The files that it extends.
    bases: Vec<usize>,
    /// Whether it has mistakes.
    pub(super) broken: bool,
    /// Whether all that it extends could be read.
    pub(super) complete: bool,
}

impl RecipeFile {
    /// The folder that its relative paths are taken from; a recipe of a registry has none.
    pub(super) fn own_folder(&self) -> Option<PathBuf> {
        self.has_folder.then(|| self.folder.clone())
    }
}

/// Where a text comes from.
#[derive(Clone)]
enum Origin<'a> {
    /// A file in this folder, or a text that goes by it.
    Folder(&'a Path),
    /// A registry, or to be put into one.
    Registry(Option<Pin>),
}

/// All files of a run.
pub(super) struct Files<'t, 'c> {
    pub(super) texts: &'t mut Texts,
    pub(super) mistakes: Vec<Diagnostic>,
    pub(super) read: Vec<RecipeFile>,
    /// By canonical path; `None` for one that could not be read.
    known: HashMap<PathBuf, Option<usize>>,
    /// The files that are being read, and where the next one is asked for.
    open: Vec<(PathBuf, Span)>,
    context: &'c Context,
    /// The file that a person or a workspace named, and its place in a lock file once that was looked for.
    top: Option<(PathBuf, Option<LockPlace>)>,
}

impl<'t, 'c> Files<'t, 'c> {
    pub(super) fn new(texts: &'t mut Texts, context: &'c Context) -> Self {
        let (mistakes, read, known, open) = (Vec::new(), Vec::new(), HashMap::new(), Vec::new());
        Self { texts, mistakes, read, known, open, context, top: None }
    }

    /// Reads what the user named.
    pub(super) fn open_input(&mut self, input: &Input) -> Option<usize> {
        match input {
            Input::Path(path) => {
                let inside = path.join(FILE_NAME);
                self.open(if path.is_dir() { &inside } else { path }, None)
            }
            Input::Changed { path, text } => {
                let real = fs_err::canonicalize(path).unwrap_or_else(|_| path.clone());
                self.top = Some((path.clone(), None));
                let folder = Origin::Folder(folder_of(path));
                let opened = self.decode(&path.display().to_string(), text, path, folder);
                self.known.insert(real, opened);
                opened
            }
            Input::Text { name, text, folder } => {
                self.top = None;
                self.decode(name, text, Path::new(name), Origin::Folder(folder))
            }
        }
    }

    /// Reads a file once, with those that it extends; `asked` is the place that names it.
    pub(super) fn open(&mut self, path: &Path, asked: Option<Span>) -> Option<usize> {
        let real = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if let Some(known) = self.known.get(&real) {
            return *known;
        }
        let name = path.display().to_string();
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let code = if asked.is_some() { EXTENDS } else { UNREADABLE };
                let title = format!("cannot read recipe `{name}`: {}", plain(&error));
                let mistake = Diagnostic::error(code, title).at_some(asked, "named here");
                self.mistakes.push(Self::hint(mistake, path));
                self.known.insert(real, None);
                return None;
            }
        };
        self.known.insert(real, None);
        if asked.is_none() {
            self.top = Some((path.to_owned(), None));
        }
        let opened = self.decode(&name, &bytes, path, Origin::Folder(folder_of(path)));
        let real = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        self.known.insert(real, opened);
        opened
    }

    /// What may help when a file is not there: one of a similar name beside it.
    fn hint(mistake: Diagnostic, path: &Path) -> Diagnostic {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut beside: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .take(1000)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "toml"))
            .collect();
        beside.sort();
        let wanted = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match super::words::similar(wanted, beside.iter().map(String::as_str).filter(|name| *name != wanted)) {
            Some(similar) => mistake.help(format!("a file with a similar name exists: `{similar}`")),
            None if wanted == FILE_NAME => mistake.help("`mkimage init` writes a recipe for a program"),
            None => mistake,
        }
    }

    /// Takes a text as a recipe that is to be put into a registry: it has no folder.
    pub(super) fn open_published(&mut self, name: &str, bytes: &[u8]) -> Option<usize> {
        self.decode(name, bytes, Path::new(name), Origin::Registry(None))
    }

    /// Gets a policy from a registry, held to what stands at a place in a lock file.
    pub(super) fn open_policy(&mut self, name: &str, place: Option<LockPlace>) -> Option<usize> {
        self.top = place.map(|place| (place.file.clone(), Some(place)));
        self.open_remote(name, None)
    }

    /// Gets a recipe from a registry, with those that it extends; `asked` is the place that names it.
    pub(super) fn open_remote(&mut self, name: &str, asked: Option<Span>) -> Option<usize> {
        let Some(fetch) = &self.context.fetch else {
            let mistake = Diagnostic::error(EXTENDS, format!("`{name}` is in a registry, which is not asked here"));
            self.mistakes.push(mistake.at_some(asked, "named here"));
            return None;
        };
        if let Some((path, lock @ None)) = &mut self.top {
            *lock = Some(load::place_of(path, self.context));
        }
        let lock = self.top.as_ref().and_then(|(_, lock)| lock.as_ref());
        let fetched = match fetch(&Wanted { name, lock }) {
            Ok(fetched) => fetched,
            Err(Error(mistakes)) => {
                self.mistakes.extend(mistakes.into_iter().map(|mistake| mistake.at_some(asked, "named here")));
                return None;
            }
        };
        // Recipes that are held to different states of one tag may be read in one run.
        let key = PathBuf::from(format!("{name}@{}", fetched.digest));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let pin = Pin { name: name.to_owned(), digest: fetched.digest };
        let opened = self.decode(name, &fetched.text, Path::new(name), Origin::Registry(Some(pin)));
        self.known.insert(key, opened);
        opened
    }

    fn decode(&mut self, name: &str, bytes: &[u8], path: &Path, origin: Origin<'_>) -> Option<usize> {
        let document = document::parse(name, bytes, self.texts);
        let text = document.span.text;
        let readable = !document.mistakes.iter().any(|mistake| mistake.level == Level::Error);
        let syntax = document.mistakes.len();
        let mut reader =
            Reader { text: self.texts.text(text), mistakes: document.mistakes, top_keys: RecipeKeys::known() };
        let root = without_strays(document.root, &mut reader);
        let keys: RecipeKeys = table(root, document.span, &mut reader);
        let mut mistakes = reader.mistakes;
        let own = mistakes.split_off(syntax);
        let broken_lines = Broken::new(&mistakes, self.texts.text(text));
        mistakes.extend(own.into_iter().filter(|mistake| broken_lines.spare(mistake)));
        let broken = mistakes.iter().any(|mistake| mistake.level == Level::Error);
        self.mistakes.append(&mut mistakes);
        let bases = keys.extends.clone();
        let is_pushed = matches!(origin, Origin::Registry(None));
        let (folder, pin) = match origin {
            Origin::Folder(folder) => (Some(folder), None),
            Origin::Registry(pin) => (None, pin),
        };
        let file = RecipeFile {
            keys,
            text,
            span: document.span,
            name: name.to_owned(),
            path: path.to_owned(),
            folder: folder.map(Path::to_owned).unwrap_or_default(),
            pin,
            has_folder: folder.is_some(),
            bases: Vec::new(),
            broken,
            complete: true,
        };
        self.read.push(file);
        let index = self.read.len() - 1;
        // What is only looked at before it is pushed may extend what is not there yet.
        let is_asked = |base: &str| !is_pushed || !base.starts_with(REMOTE) || base.contains("${");
        let bases = bases.into_iter().flat_map(|list| list.0).map(|text| text.0).filter(|base| is_asked(&base.value));
        let opened: Vec<_> = bases.map(|base| self.open_base(&base.value, base.span, path, folder)).collect();
        let complete = opened.iter().all(|base| base.is_some_and(|base| self.read[base].complete));
        self.read[index].complete = complete;
        self.read[index].bases = opened.into_iter().flatten().collect();
        readable.then_some(index)
    }

    fn open_base(&mut self, base: &str, span: Span, path: &Path, folder: Option<&Path>) -> Option<usize> {
        let remote = base.starts_with(REMOTE);
        let refused = |title: String, label: &str| Some(Diagnostic::error(EXTENDS, title).at(span, label));
        let mistake = if base.is_empty() || base.ends_with('/') {
            refused(format!("`{base}` is not a recipe's file"), "a file beside this one, as `base.toml`")
        } else if base.contains("${") {
            refused(String::from("`extends` takes no variables"), "it is read before they are")
        } else if self.open.len() == MOST_STEPS {
            refused(format!("more than {MOST_STEPS} recipes build on one another"), "here")
        } else if !remote && folder.is_none() && !base.starts_with('/') {
            Some(no_folder(base, path, span))
        } else {
            None
        };
        if let Some(mistake) = mistake {
            self.mistakes.push(mistake);
            return None;
        }
        self.open.push((fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned()), span));
        let wanted = if remote { base.into() } else { tidy(&folder.unwrap_or(Path::new("/")).join(base)) };
        let real =
            if remote { wanted.clone() } else { fs_err::canonicalize(&wanted).unwrap_or_else(|_| wanted.clone()) };
        let opened = match self.open.iter().position(|(open, _)| *open == real) {
            Some(first) => {
                self.circle(first);
                None
            }
            None if remote => self.open_remote(base, Some(span)),
            None => self.open(&wanted, Some(span)),
        };
        self.open.pop();
        let opened = opened?;
        if let Some(workspace) = &self.read[opened].keys.workspace.0 {
            let mistake = Diagnostic::error(EXTENDS, format!("`{base}` is a workspace, not a recipe"));
            self.mistakes.push(mistake.at(span, "only a recipe can be built on").and_at(workspace.span, "here"));
            return None;
        }
        Some(opened)
    }

    /// Recipes that extend one another in a circle: every step of it is shown.
    fn circle(&mut self, first: usize) {
        let steps = &self.open[first..];
        let Some(((_, last), before)) = steps.split_last() else { return };
        let mut mistake = Diagnostic::error(EXTENDS, "`extends` goes in a circle").at(*last, "leads back to the first");
        for (_, span) in before {
            mistake = mistake.and_at(*span, "leads on");
        }
        let names = steps.iter().chain(steps.first()).map(|(_, span)| self.texts.name(span.text));
        let circle = names.collect::<Vec<_>>().join(" -> ");
        self.mistakes.push(mistake.note(circle));
    }

    /// A file and all that it extends, each once, the lowest first: the order in which they are laid over one another.
    pub(super) fn chain(&self, file: usize) -> Vec<usize> {
        let mut chain = Vec::new();
        self.collect(file, &mut chain);
        chain
    }

    fn collect(&self, file: usize, chain: &mut Vec<usize>) {
        if !chain.contains(&file) {
            for base in &self.read[file].bases {
                self.collect(*base, chain);
            }
            chain.push(file);
        }
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => Path::new("/"),
    }
}

/// A path beside a recipe that stands in no folder.
pub(super) fn no_folder(text: &str, recipe: &Path, span: Span) -> Diagnostic {
    let shown = crate::path::show(text.as_bytes());
    let title = format!("`{shown}` is a path beside `{}`, which has no folder in a registry", recipe.display());
    Diagnostic::error(NO_FOLDER, title).at(span, "relative").help(
        "name what the root has, or `docker://NAME` under `extends`; what is beside a recipe belongs into that recipe",
    )
}

/// The lines of a text with mistakes of syntax.
struct Broken {
    lines: Vec<Range<usize>>,
    /// The first broken header: it leaves the lines below to another table.
    header: usize,
}

impl Broken {
    fn new(mistakes: &[Diagnostic], text: &str) -> Self {
        let places = mistakes.iter().flat_map(|mistake| &mistake.labels).filter(|label| label.primary);
        let line = |at: usize| {
            let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
            start..text[at..].find('\n').map_or(text.len(), |len| at + len)
        };
        let lines: Vec<_> = places.map(|label| line(label.span.range().start)).collect();
        let headers = lines.iter().filter(|line| text[line.start..line.end].trim_start().starts_with('['));
        let header = headers.map(|line| line.start).min().unwrap_or(usize::MAX);
        Self { lines, header }
    }

    /// Whether a mistake is one of its own, and does not come of one of syntax.
    fn spare(&self, mistake: &Diagnostic) -> bool {
        mistake
            .labels
            .iter()
            .filter(|label| label.primary)
            .map(|label| label.span.range().start)
            .all(|at| at < self.header && !self.lines.iter().any(|line| line.contains(&at)))
    }
}

/// A workspace's file without the keys that belong into recipes, which are mistakes.
fn without_strays(mut root: Entries, reader: &mut Reader<'_>) -> Entries {
    if let Some(table) = root.entries.iter().find(|(key, _)| key.name == "workspace").map(|(key, _)| key.span) {
        let (own, strays) = root.entries.into_iter().partition(|(key, _)| key.name == "workspace");
        root.entries = own;
        let strays: Vec<_> = strays;
        reader.mistakes.extend(strays.into_iter().map(|(key, _)| workspace::stray_key(&key.name, key.span, table)));
    }
    root
}

/// At most one byte more than a recipe may have.
pub(super) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `recipes/../base.toml` as `base.toml`, where that is the same file: `..` after a link is not what it looks like.
fn tidy(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        let last = short.components().next_back();
        match (part, last) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                short.pop();
            }
            _ => short.push(part),
        }
    }
    let same = |path: &Path| std::fs::canonicalize(path).ok();
    if same(&short).is_some_and(|real| same(path) == Some(real)) { short } else { path.to_owned() }
}
