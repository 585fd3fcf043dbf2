//! What the user named to recipes: files merged with what they extend and with a workspace's defaults, then resolved.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::decode::Keys;
use super::files::{self, FILE_NAME, Files, RecipeFile};
use super::keys::{RecipeKeys, WorkspaceKeys};
use super::resolve::{self, Merged, Overrides, resolve};
use super::{
    Context, Floor, Input, KEY, Loaded, LockPlace, NO_FOLDER, Platform, REMOTE, Recipe, SYNTAX, VALUE, VARIABLE,
    WORKSPACE, Workspace, values, words, workspace,
};
use crate::report::{self, COMMAND_LINE, Diagnostic, Error, Level, Result, Span, Spanned, Texts};

/// What a lock file is called unless a workspace says otherwise.
const LOCK_NAME: &str = "mkimage.lock";

/// Mistakes that are shown of one run.
const MOST_MISTAKES: usize = 50;

/// Loads a recipe, or all members of a workspace. The texts that were read are kept in `texts`, also on failure, so
/// that errors can show their lines.
///
/// # Errors
/// Every mistake of every file that was read.
pub fn load(input: &Input, context: &Context, texts: &mut Texts) -> Result<Loaded> {
    let (overrides, mistakes) = overrides(context, texts);
    let mut files = Files::new(texts, context);
    files.mistakes = mistakes;
    let mut session = Session { files, context, overrides, variables: BTreeSet::new() };
    let loaded = session.load(input);
    let Session { files: Files { mistakes, .. }, variables, .. } = session;
    let said = in_order(mistakes);
    match loaded {
        Some((recipes, workspace)) if said.iter().all(|mistake| mistake.level != Level::Error) => {
            Ok(Loaded { recipes, workspace, variables, warnings: said })
        }
        _ if said.is_empty() => Err(Error::internal("a recipe was not loaded, for no reason")),
        _ => Err(Error(said)),
    }
}

/// Loads a policy that is laid over recipes: a file, or `docker://NAME`, with a table `[policy]` and nothing else. Of
/// the context, only [`Context::fetch`] counts; `lock` is the file that it is held to where it comes from a registry.
///
/// # Errors
/// Every mistake of the file.
pub fn load_floor(path: &Path, lock: Option<&Path>, context: &Context, texts: &mut Texts) -> Result<Floor> {
    let mut files = Files::new(texts, context);
    let opened = if let Some(name) = path.to_str().filter(|text| text.starts_with(REMOTE)) {
        let place = lock.map(|file| LockPlace { file: file.to_owned(), name: String::new() });
        files.open_policy(name, place)
    } else {
        if let Err(error) = files::read(path) {
            let title = format!("cannot read policy `{}`: {}", path.display(), report::plain(&error));
            return Err(Diagnostic::error(super::UNREADABLE, title)
                .help("`--policy` or MKIMAGE_POLICY names it")
                .into());
        }
        files.open(path, None)
    };
    let mistakes = std::mem::take(&mut files.mistakes);
    let Some(file) = opened.filter(|_| mistakes.is_empty()) else { return Err(Error(in_order(mistakes))) };
    let file = files.read.swap_remove(file);
    if let Some(stray) = stray_key(texts.text(file.text)) {
        let title = format!("`{stray}` is no key of a policy that is laid over recipes");
        let help = "it has one table, [policy], with the keys that [policy] has in a recipe, and `forbid-waivers`";
        return Err(Diagnostic::error(KEY, title).at(file.span, "in this file").help(help).into());
    }
    let (floor, mistakes) = resolve::floor(&alone(&file, true), &Context::default(), texts);
    if mistakes.is_empty() { Ok(Floor { pin: file.pin, ..floor }) } else { Err(Error(in_order(mistakes))) }
}

/// The text of a recipe or policy that others are to extend from a registry, held against what holds there: keys that
/// are known, and no path beside it, since it has no folder. What a base may leave to others may be missing.
///
/// # Errors
/// Every mistake of the file.
pub fn publishable(path: &Path, texts: &mut Texts) -> Result<Vec<u8>> {
    let bytes = files::read(path).map_err(|error| Error::io("read", path, &error))?;
    let context = Context::default();
    let mut files = Files::new(texts, &context);
    let opened = files.open_published(&path.display().to_string(), &bytes);
    let mut mistakes = std::mem::take(&mut files.mistakes);
    if let Some(file) = opened {
        let file = files.read.swap_remove(file);
        if let Some(table) = &file.keys.workspace.0 {
            let mistake = Diagnostic::error(WORKSPACE, "a workspace is not kept in a registry");
            mistakes.push(mistake.at(table.span, "here").help("push a recipe that others extend"));
        } else if mistakes.is_empty() {
            let resolved = resolve(&alone(&file, false), &Overrides::default(), &context, texts);
            mistakes.extend(resolved.mistakes.into_iter().filter(|mistake| mistake.code == NO_FOLDER));
        }
    }
    mistakes.retain(|mistake| mistake.level == Level::Error);
    if mistakes.is_empty() { Ok(bytes) } else { Err(Error(in_order(mistakes))) }
}

/// A file by itself.
fn alone(file: &RecipeFile, floor: bool) -> Merged {
    Merged {
        keys: file.keys.clone(),
        origin: file.name.clone(),
        folder: file.folder.clone(),
        span: file.span,
        files: vec![(file.text, file.own_folder())],
        stem: String::new(),
        default_name: None,
        broken: !floor,
        lock: None,
        floor,
        paths: Vec::new(),
        pins: Vec::new(),
        bases: Vec::new(),
    }
}

/// The first key beside `policy`.
fn stray_key(text: &str) -> Option<String> {
    let table: toml::Table = toml::from_str(text).ok()?;
    table.into_iter().map(|(key, _)| key).find(|key| key != "policy")
}

/// The settings of a [`Context`] that none of the loaded recipes knows.
pub fn unknown_settings(context: &Context, loaded: &[Loaded]) -> Vec<Diagnostic> {
    let known: BTreeSet<&str> = loaded.iter().flat_map(|loaded| &loaded.variables).map(String::as_str).collect();
    let unknown = context.set.iter().filter(|(name, _)| !known.contains(name.as_str()));
    let tell = |name: &str| {
        let mistake = Diagnostic::error(VARIABLE, format!("variable `{name}` is set, and no recipe has it"));
        match words::similar(name, known.iter().copied()) {
            Some(similar) => mistake.help(format!("a variable with a similar name exists: `{similar}`")),
            None => mistake,
        }
    };
    unknown.map(|(name, _)| tell(name)).collect()
}

/// The mistakes in the order of their places, each once: members of a workspace share files.
fn in_order(mistakes: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut once: Vec<Diagnostic> = Vec::new();
    let place = |mistake: &Diagnostic| mistake.labels.first().map(|label| (label.span, mistake.title.clone()));
    let mut seen = BTreeSet::new();
    once.extend(mistakes.into_iter().filter(|mistake| place(mistake).is_none_or(|place| seen.insert(place))));
    once.sort_by_key(|mistake| mistake.labels.first().map(|label| (label.span.text, label.span.start)));
    if once.len() > MOST_MISTAKES {
        once.sort_by_key(|mistake| mistake.level);
        once.truncate(MOST_MISTAKES);
        once.push(Diagnostic::note_of(SYNTAX, format!("only the first {MOST_MISTAKES} are shown")));
    }
    once
}

/// What the command line lays over recipes, each with its place in a text of its own.
fn overrides(context: &Context, texts: &mut Texts) -> (Overrides, Vec<Diagnostic>) {
    let mut place = |option: &str, value: &str| {
        let text = texts.add(COMMAND_LINE, format!("{option} {value}"));
        let offset = |at: usize| u32::try_from(at).unwrap_or(0);
        Span { text, start: offset(option.len() + 1), end: offset(option.len() + 1 + value.len()) }
    };
    let mut mistakes = Vec::new();
    let mut tags = Vec::new();
    for tag in &context.tags {
        let span = place("--tag", tag);
        match values::tag(tag) {
            Ok(tag) => tags.push(Spanned::new(tag, span)),
            Err(invalid) => mistakes.push(Diagnostic::error(VALUE, invalid.title).at(span, invalid.label)),
        }
    }
    let mut platforms: Vec<Spanned<Platform>> = Vec::new();
    for platform in &context.platforms {
        if platforms.iter().all(|known| known.value != *platform) {
            platforms.push(Spanned::new(platform.clone(), place("--platform", &platform.to_string())));
        }
    }
    let compression = context.compression;
    let compression = compression.map(|value| Spanned::new(value, place("--compression", &value.to_string())));
    for (name, value) in &context.set {
        if let Err(invalid) = values::variable(name) {
            let span = place("--set", &format!("{name}={value}"));
            mistakes.push(Diagnostic::error(VALUE, invalid.title).at(span, invalid.label));
        }
    }
    (Overrides { platforms, tags, compression }, mistakes)
}

struct Session<'t, 'c> {
    files: Files<'t, 'c>,
    context: &'c Context,
    overrides: Overrides,
    variables: BTreeSet<String>,
}

impl Session<'_, '_> {
    fn load(&mut self, input: &Input) -> Option<(Vec<Recipe>, Option<Workspace>)> {
        let file = self.files.open_input(input)?;
        if self.files.read[file].keys.workspace.0.is_some() {
            let (workspace, members) = self.workspace(file)?;
            if !self.context.workspace {
                let title = format!("`{}` is a workspace, and none is wanted", self.files.read[file].name);
                self.files.mistakes.push(Diagnostic::error(WORKSPACE, title).help("name one of its recipes"));
            }
            let recipes = self.members(file, &members);
            return Some((recipes.clone(), Some(Workspace { members: recipes, ..workspace })));
        }
        let above = match input {
            Input::Path(_) | Input::Changed { .. } if self.context.workspace => {
                self.workspace_of(&self.files.read[file].path.clone())
            }
            _ => None,
        };
        let by_stem = matches!(input, Input::Path(_) | Input::Changed { .. });
        let recipe = self.recipe(file, above.as_ref().map(|(file, ..)| *file), by_stem);
        let workspace = above.map(|(above, workspace, members)| {
            // One without a name of its own is no member to build, whatever its file is called.
            let shared_layers = workspace.shared_layers && self.merged_name(above, file);
            let members = if shared_layers { self.members(above, &members) } else { Vec::new() };
            Workspace { shared_layers, members, ..workspace }
        });
        Some((recipe?, workspace))
    }

    /// A workspace's file to what it says of itself, and its members' files.
    fn workspace(&mut self, file: usize) -> Option<(Workspace, Vec<PathBuf>)> {
        let RecipeFileView { keys, path, folder } = self.view(file)?;
        let mut mistakes = Vec::new();
        if let Some(defaults) = &keys.defaults.0 {
            let extends =
                defaults.extends.as_ref().and_then(|list| list.0.first()).map(|text| ("extends", text.0.span));
            let nested = defaults.workspace.0.as_ref().map(|table| ("workspace", table.span));
            mistakes.extend(extends.into_iter().chain(nested).map(|(name, span)| workspace::no_default(name, span)));
        }
        let members = workspace::members(keys, path, folder);
        let shared_layers = keys.shared_layers.as_ref().is_some_and(|flag| flag.0.value);
        let workspace = Workspace { file: path.to_owned(), shared_layers, members: Vec::new() };
        self.files.mistakes.append(&mut mistakes);
        match members {
            Ok(members) => Some((workspace, members)),
            Err(Error(mut mistakes)) => {
                self.files.mistakes.append(&mut mistakes);
                None
            }
        }
    }

    fn view(&self, file: usize) -> Option<RecipeFileView<'_>> {
        let file = &self.files.read[file];
        let keys = file.keys.workspace.0.as_ref()?;
        Some(RecipeFileView { keys, path: &file.path, folder: &file.folder })
    }

    /// The workspace above a recipe that has it as a member: its file, what it says, all members' files.
    fn workspace_of(&mut self, recipe: &Path) -> Option<(usize, Workspace, Vec<PathBuf>)> {
        let candidates = workspace::candidates(recipe);
        let recipe = std::fs::canonicalize(recipe).ok()?;
        for path in candidates {
            let bytes = files::read(&path).unwrap_or_default();
            if !workspace::may_be_workspace(&bytes) {
                continue;
            }
            let file = self.files.open(&path, None)?;
            if self.files.read[file].keys.workspace.0.is_none() {
                continue;
            }
            let (workspace, members) = self.workspace(file)?;
            let is_member = members.iter().any(|member| std::fs::canonicalize(member).is_ok_and(|real| real == recipe));
            return is_member.then_some((file, workspace, members));
        }
        None
    }

    /// All members that have a name; one without is a base that others extend.
    fn members(&mut self, workspace: usize, members: &[PathBuf]) -> Vec<Recipe> {
        let before = self.files.mistakes.len();
        let opened: Vec<_> = members.iter().filter_map(|path| self.files.open(path, None)).collect();
        let mut recipes = Vec::new();
        for file in opened {
            if let Some(table) = &self.files.read[file].keys.workspace.0 {
                let mistake = Diagnostic::error(WORKSPACE, "a workspace cannot be a member of another");
                self.files.mistakes.push(mistake.at(table.span, "this one is"));
            } else if self.merged_name(workspace, file) {
                recipes.extend(self.recipe(file, Some(workspace), false).into_iter().flatten());
            }
        }
        if recipes.is_empty() && self.files.mistakes.len() == before {
            let span = self.files.read[workspace].span;
            let mistake = Diagnostic::error(WORKSPACE, "no member of the workspace has a `name`");
            let help = "name = \"registry.example/acme/${recipe}\" under [workspace.defaults] gives each one";
            self.files.mistakes.push(mistake.at(span, "nothing to build").help(help));
        }
        recipes
    }

    fn merged_name(&self, workspace: usize, file: usize) -> bool {
        let defaults = self.files.read[workspace].keys.workspace.0.as_ref().and_then(|table| table.defaults.0.as_ref());
        let own = self.files.chain(file).iter().any(|file| self.files.read[*file].keys.name.is_some());
        own || defaults.is_some_and(|defaults| defaults.name.is_some()) || self.files.read[file].broken
    }

    /// A recipe, once for each of its platforms.
    fn recipe(&mut self, file: usize, workspace: Option<usize>, by_stem: bool) -> Option<Vec<Recipe>> {
        if !self.files.read[file].complete {
            return None;
        }
        let merged = self.merge(file, workspace, by_stem);
        let mut resolved = resolve(&merged, &self.overrides, self.context, self.files.texts);
        self.files.mistakes.append(&mut resolved.mistakes);
        self.variables.append(&mut resolved.variables);
        Some(resolved.recipes).filter(|recipes| !recipes.is_empty())
    }

    fn merge(&self, file: usize, workspace: Option<usize>, by_stem: bool) -> Merged {
        let chain = self.files.chain(file);
        let mut keys = RecipeKeys::default();
        if let Some(defaults) = workspace.and_then(|file| self.files.read[file].keys.workspace.0.as_ref()) {
            keys.lay_over(defaults.defaults.0.as_ref().map(|defaults| defaults.value.clone()).unwrap_or_default());
        }
        for part in &chain {
            keys.lay_over(self.files.read[*part].keys.clone());
        }
        let bases: Vec<usize> = chain.iter().copied().filter(|part| *part != file).collect();
        let all: Vec<_> = workspace.into_iter().chain(chain).map(|file| &self.files.read[file]).collect();
        let own = &self.files.read[file];
        let generic = own.path.file_name().is_some_and(|name| name == FILE_NAME);
        let stem = stem(&own.path, generic);
        Merged {
            keys,
            origin: own.name.clone(),
            bases: bases.into_iter().map(|file| self.files.read[file].name.clone()).collect(),
            folder: own.folder.clone(),
            span: own.span,
            files: all.iter().map(|file| (file.text, file.own_folder())).collect(),
            paths: all.iter().filter(|file| file.pin.is_none()).map(|file| file.path.clone()).collect(),
            pins: all.iter().filter_map(|file| file.pin.clone()).collect(),
            default_name: Some(stem.clone()).filter(|_| by_stem && !generic),
            stem: if by_stem || workspace.is_some() { stem } else { String::new() },
            broken: all.iter().any(|file| file.broken),
            lock: if by_stem || workspace.is_some() {
                Some(self.lock_place(&own.path, &own.folder, workspace))
            } else {
                None
            },
            floor: false,
        }
    }

    /// A recipe's place in the lock file of its workspace, or in the one beside it.
    fn lock_place(&self, path: &Path, folder: &Path, workspace: Option<usize>) -> LockPlace {
        let workspace = workspace.map(|file| &self.files.read[file]);
        let named = workspace.and_then(|file| file.keys.workspace.0.as_ref()?.lock.as_ref());
        let folder = workspace.map_or(folder, |file| file.folder.as_path());
        let file = folder.join(named.map_or(LOCK_NAME, |text| text.0.value.as_str()));
        let name = relative(path, file.parent().unwrap_or(folder));
        LockPlace { file, name }
    }
}

/// The place in a lock file of a recipe's file. What is wrong with its workspace is told when that is loaded.
pub(super) fn place_of(path: &Path, context: &Context) -> LockPlace {
    let (mut texts, nothing) = (Texts::default(), Context::default());
    let files = Files::new(&mut texts, &nothing);
    let overrides = Overrides::default();
    let mut session = Session { files, context: &nothing, overrides, variables: BTreeSet::new() };
    let workspace = if context.workspace { session.workspace_of(path).map(|(file, ..)| file) } else { None };
    session.lock_place(path, files::folder_of(path), workspace)
}

/// A path as it is seen from a folder; neither need be there.
fn relative(path: &Path, folder: &Path) -> String {
    let whole = |path: &Path| plain(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let (path, folder) = (whole(path), whole(folder));
    let shared = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let seen: PathBuf = up.chain(path.components().skip(shared)).collect();
    seen.to_string_lossy().into_owned()
}

/// A path without `..`, by its text alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

/// `${recipe}`: the file's name without .toml, or its folder's where every file has the same.
fn stem(path: &Path, generic: bool) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = if generic { path.parent().and_then(Path::file_name) } else { path.file_stem() };
    name.and_then(|name| name.to_str()).unwrap_or_default().to_owned()
}

/// A workspace's file.
struct RecipeFileView<'a> {
    keys: &'a Spanned<WorkspaceKeys>,
    path: &'a Path,
    folder: &'a Path,
}
