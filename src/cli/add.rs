//! `mkimage add`: programs, libraries, files and extras into a recipe that is there.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mkimage::edit::{Addition, Key};
use mkimage::elf::{self, Shape};
use mkimage::needs;
use mkimage::path::ImagePath;
use mkimage::recipe::{self, Input, Root};
use mkimage::report::{Diagnostic, Error, Result, Texts};
use mkimage::select;
use mkimage::source::{Content, Folder, NodeKind, Source, resolve};

use super::change::RecipeFile;
use super::console::Console;
use super::init::{plain, relative};
use super::recipes::{RecipeArgs, USAGE, usage};

/// Add programs, libraries, files or extras to a recipe.
///
/// Each goes under the key for what it is. The recipe keeps its comments and its form, and is written only if it passes
/// its check afterwards.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, or a folder with a mkimage.toml.
    recipe: PathBuf,
    /// Names of extras, programs on PATH and libraries; paths of programs, libraries, files and folders.
    #[arg(required = true, value_name = "THING")]
    things: Vec<String>,
    /// Put them under this key, whatever they are.
    #[arg(long = "as", value_enum, value_name = "KEY")]
    key: Option<KeyName>,
    /// Where a file or folder beside the recipe goes.
    #[arg(long, value_name = "PATH")]
    to: Option<String>,
    /// Show the change as a diff, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// The keys that take entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum KeyName {
    Binaries,
    Libraries,
    Files,
    Extras,
    Dirs,
    Writable,
}

impl From<KeyName> for Key {
    fn from(name: KeyName) -> Self {
        match name {
            KeyName::Binaries => Self::Binaries,
            KeyName::Libraries => Self::Libraries,
            KeyName::Files => Self::Files,
            KeyName::Extras => Self::Extras,
            KeyName::Dirs => Self::Dirs,
            KeyName::Writable => Self::Writable,
        }
    }
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match change(args, console, &mut texts) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

fn change(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let file = RecipeFile::read(Some(&args.recipe))?;
    let context = RecipeArgs::default().context()?;
    let loaded = recipe::load(&Input::Path(file.path.clone()), &context, texts)?;
    let Some(recipe) = recipe::for_this_machine(&loaded.recipes).or(loaded.recipes.first()) else {
        return Err(usage(format!("`{}` is no recipe", file.path.display())));
    };
    let root = match &recipe.root {
        Root::Host => PathBuf::from("/"),
        Root::Folder(path, _) => path.clone(),
    };
    let root = Folder::open(&root).map_err(|error| Error::io("open", &root, &error))?;
    let here = std::env::current_dir().map_err(|error| Error::io("find", ".".as_ref(), &error))?;
    let sorter = Sorter { args, root: &root, folder: plain(&here.join(&recipe.folder)), here };
    let mut additions = Vec::new();
    let mut errors = Vec::new();
    for thing in &args.things {
        match sorter.addition(thing) {
            Ok(addition) => additions.push(addition),
            Err(error) => errors.extend(error.0),
        }
    }
    if !errors.is_empty() {
        return Err(Error(errors));
    }
    let changed = file.with(&additions)?;
    let diff = file.diff(&changed);
    if diff.is_empty() {
        console.say(&format!("{} has all of this", file.path.display()));
        return Ok(ExitCode::SUCCESS);
    }
    file.check(&changed, &context, console, texts)?;
    if !args.dry_run {
        file.write(&changed)?;
    }
    Ok(console.print(&diff))
}

/// Finds out what things are.
struct Sorter<'a> {
    args: &'a Args,
    root: &'a Folder,
    /// The recipe's.
    folder: PathBuf,
    here: PathBuf,
}

impl Sorter<'_> {
    fn addition(&self, thing: &str) -> Result<Addition> {
        let (key, value, beside) = if thing.starts_with('/') {
            self.of_root(thing)?
        } else if thing.contains('/') {
            self.beside(thing)?
        } else {
            (self.by_name(thing)?, thing.to_owned(), false)
        };
        let key = self.args.key.map_or(key, Key::from);
        let to = self.args.to.clone().filter(|_| key == Key::Files);
        if beside && key == Key::Files && to.is_none() {
            let error = Diagnostic::error(USAGE, format!("`{thing}` is beside the recipe: where does it go"));
            return Err(error.help("say so: `--to /srv/`, with a `/` at the end when the name stays").into());
        }
        Ok(Addition { key, value, to })
    }

    fn by_name(&self, name: &str) -> Result<Key> {
        let extra = name.trim_start_matches('!').split(':').next().unwrap_or(name);
        let known = |listing: &needs::Listing| listing.name.split(['[', ':']).next() == Some(extra);
        if needs::catalogue().iter().any(known) {
            return Ok(Key::Extras);
        }
        let found = select::PATH.iter().any(|folder| resolve(self.root, format!("{folder}/{name}").as_bytes()).is_ok());
        if found {
            Ok(Key::Binaries)
        } else if Path::new(name).extension().is_some_and(|end| end == "so") || name.contains(".so.") {
            Ok(Key::Libraries)
        } else {
            let error = Diagnostic::error(USAGE, format!("`{name}` is no extra, no program on PATH and no library"));
            Err(error.help("a path says which file is meant: `/etc/name`, `./name`").into())
        }
    }

    fn of_root(&self, path: &str) -> Result<(Key, String, bool)> {
        if path.contains(['*', '?', '[', '{']) && resolve(self.root, path.as_bytes()).is_err() {
            return Ok((if path.contains(".so") { Key::Libraries } else { Key::Files }, path.to_owned(), false));
        }
        let (key, folder) = self.kind(self.root, path, path, true)?;
        Ok((key, if folder { format!("{}/", path.trim_end_matches('/')) } else { path.to_owned() }, false))
    }

    fn beside(&self, thing: &str) -> Result<(Key, String, bool)> {
        let host = Folder::open("/").map_err(|error| Error::io("open", Path::new("/"), &error))?;
        let path = plain(&self.here.join(thing));
        let (key, folder) = self.kind(&host, &path.display().to_string(), thing, false)?;
        let written = relative(&path, &self.folder);
        let written = if key == Key::Files { written.trim_start_matches("./").to_owned() } else { written };
        Ok((key, if folder { written + "/" } else { written }, true))
    }

    /// What stands at a path, and whether it is a folder.
    fn kind(&self, source: &dyn Source, path: &str, thing: &str, in_root: bool) -> Result<(Key, bool)> {
        let found = ImagePath::new(path).ok().and_then(|path| resolve(source, path.as_bytes()).ok());
        let Some(found) = found else {
            let place = if in_root { format!(" in the root `{}`", self.root.describe()) } else { String::new() };
            return Err(Diagnostic::error(USAGE, format!("`{thing}` is not there{place}")).into());
        };
        match &found.node.kind {
            NodeKind::Directory => Ok((Key::Files, true)),
            NodeKind::File(content) => Ok((kind_of_file(content, found.node.mode, in_root), false)),
            _ => Err(Diagnostic::error(USAGE, format!("`{thing}` is a {}", found.node.noun())).into()),
        }
    }
}

fn kind_of_file(content: &Content, mode: u32, in_root: bool) -> Key {
    let executable = mode & 0o111 != 0;
    let object = content.open().ok().and_then(|reader| elf::Object::parse(&reader).ok());
    match object.map(|object| object.shape()) {
        Some(Shape::Library) if in_root => Key::Libraries,
        Some(Shape::Fixed | Shape::Pie | Shape::Static | Shape::StaticPie) if executable => Key::Binaries,
        None if executable && is_script(content) => Key::Binaries,
        Some(_) | None => Key::Files,
    }
}

fn is_script(content: &Content) -> bool {
    let mut start = [0; 2];
    content.open().is_ok_and(|reader| reader.read_exact_at(&mut start, 0).is_ok()) && &start == b"#!"
}
