//! The recipes that a command names, and what the command line lays over them.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mkimage::build::{self, Session, Shared};
use mkimage::lock::Locks;
use mkimage::recipe::{self, Compression, Context, Input, Loaded, Platform};
use mkimage::report::{Code, Diagnostic, Error, Result, Texts};

use super::console::Console;
use super::registries::RegistryArgs;
use super::{environment, published};

/// A value of the command line is wrong.
pub(super) const USAGE: Code = Code("E0001");

/// Recipes and what is laid over them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct RecipeArgs {
    /// Recipes, or folders with a mkimage.toml; `-` reads standard input. Without any: ./mkimage.toml.
    #[arg(value_name = "RECIPE")]
    pub(super) recipes: Vec<PathBuf>,
    /// Take files from this folder instead of the recipe's root.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Platforms in place of the recipe's, as linux/arm64,linux/amd64; repeatable.
    #[arg(long, value_name = "OS/ARCH", value_parser = platform, value_delimiter = ',')]
    pub(super) platform: Vec<Platform>,
    /// Set a variable of [vars].
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Do not look for the workspace that a recipe is a member of.
    #[arg(long)]
    no_workspace: bool,
    #[command(flatten)]
    pub(super) registries: RegistryArgs,
}

impl RecipeArgs {
    /// One recipe, over which nothing is laid.
    pub(super) fn of(recipe: &Path) -> Self {
        Self { recipes: vec![recipe.to_owned()], ..Self::default() }
    }

    /// One recipe, for a platform where one is asked for.
    pub(super) fn for_platform(recipe: &Path, platform: Option<&Platform>) -> Self {
        Self { platform: platform.into_iter().cloned().collect(), ..Self::of(recipe) }
    }

    /// The same, with registries asked as another part of the command line says.
    pub(super) fn asking(self, registries: &RegistryArgs) -> Self {
        Self { registries: registries.clone(), ..self }
    }

    /// The same for other recipes.
    pub(super) fn with(&self, recipes: Vec<PathBuf>) -> Self {
        Self { recipes, ..self.clone() }
    }

    /// The same arguments for a process in another folder.
    pub(super) fn again(&self) -> Result<Vec<OsString>> {
        let whole = |path: &Path| std::path::absolute(path).map_err(|error| Error::io("find", path, &error));
        let mut again: Vec<OsString> = Vec::new();
        if let Some(root) = &self.root {
            again.extend(["--root".into(), whole(root)?.into()]);
        }
        again.extend(self.platform.iter().flat_map(|one| [OsString::from("--platform"), one.to_string().into()]));
        again.extend(self.set.iter().flat_map(|set| [OsString::from("--set"), set.into()]));
        again.extend(self.no_workspace.then(|| OsString::from("--no-workspace")));
        again.extend(self.registries.again()?);
        let own = PathBuf::from("mkimage.toml");
        let recipes = if self.recipes.is_empty() { std::slice::from_ref(&own) } else { &self.recipes };
        for recipe in recipes {
            if recipe.as_os_str() == "-" {
                return Err(usage("a recipe from standard input can't be read twice".to_owned()));
            }
            again.push(whole(recipe)?.into());
        }
        Ok(again)
    }

    /// Loads the recipes.
    pub(super) fn load(&self, texts: &mut Texts) -> Result<Vec<Loaded>> {
        self.load_in(&self.context()?, texts)
    }

    /// Loads the recipes, with what they take from registries held to lock files.
    pub(super) fn load_held(&self, locks: &Arc<Locks>, texts: &mut Texts) -> Result<Vec<Loaded>> {
        self.load_in(&self.held_context(locks)?, texts)
    }

    /// Loads the recipes with what a context lays over them.
    pub(super) fn load_in(&self, context: &Context, texts: &mut Texts) -> Result<Vec<Loaded>> {
        let mut loaded = Vec::new();
        let mut errors = Vec::new();
        for input in self.inputs()? {
            match recipe::load(&input, context, texts) {
                Ok(one) => loaded.push(one),
                Err(error) => errors.extend(error.0),
            }
        }
        if errors.is_empty() {
            errors = recipe::unknown_settings(context, &loaded);
        }
        if errors.is_empty() { Ok(loaded) } else { Err(Error(errors)) }
    }

    /// What is laid over the recipes.
    pub(super) fn context(&self) -> Result<Context> {
        self.held_context(&Arc::default())
    }

    /// The same, with what comes from registries held to lock files.
    pub(super) fn held_context(&self, locks: &Arc<Locks>) -> Result<Context> {
        Ok(Context {
            set: self.variables()?,
            env: Box::new(environment::variable),
            root: self.root.clone(),
            platforms: self.platform.clone(),
            tags: Vec::new(),
            compression: None,
            workspace: !self.no_workspace,
            fetch: Some(published::fetching(self.registries.clone(), Arc::clone(locks))),
        })
    }

    fn inputs(&self) -> Result<Vec<Input>> {
        if self.recipes.is_empty() {
            return Ok(vec![Input::Path(PathBuf::from("mkimage.toml"))]);
        }
        self.recipes
            .iter()
            .map(|path| if path.as_os_str() == "-" { stdin() } else { Ok(Input::Path(path.clone())) })
            .collect()
    }

    fn variables(&self) -> Result<Vec<(String, String)>> {
        let pair = |text: &String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(usage(format!("`--set {text}` is no NAME=VALUE"))),
        };
        self.set.iter().map(pair).collect()
    }
}

fn stdin() -> Result<Input> {
    // One byte more than a recipe may have, so that a longer one is seen to be longer.
    const LIMIT: u64 = (1 << 20) + 1;
    let mut text = Vec::new();
    std::io::stdin()
        .lock()
        .take(LIMIT)
        .read_to_end(&mut text)
        .map_err(|error| Error::io("read", "standard input".as_ref(), &error))?;
    let folder = std::env::current_dir().map_err(|error| Error::io("find", ".".as_ref(), &error))?;
    Ok(Input::Text { name: "-".to_owned(), text, folder })
}

/// Reads a platform.
pub(super) fn platform(text: &str) -> Result<Platform, String> {
    text.parse().map_err(|_| "expected a platform, as linux/amd64 or linux/arm/v7".to_owned())
}

/// What the members of a recipe's workspace have in common, where they share layers.
///
/// # Errors
/// Whatever stops one of them.
pub(super) fn shared(
    session: &Session,
    loaded: &Loaded,
    options: &build::Options,
    console: &Console,
) -> Result<Option<Arc<Shared>>> {
    let Some(workspace) = loaded.workspace.as_ref().filter(|workspace| workspace.shared_layers) else {
        return Ok(None);
    };
    let file = workspace.file.display().to_string();
    let shared = session.share(&workspace.members, options, &console.building(&file));
    let told = |mut error: Error| {
        if let Some(first) = error.0.first_mut() {
            first.notes.push(format!("`{file}` has its members share layers, so that none is built without this one"));
            first.helps.push("`--no-workspace` builds a recipe by itself".to_owned());
        }
        error
    };
    shared.map(Arc::new).map(Some).map_err(told)
}

/// An error of the command line.
pub(super) fn usage(title: String) -> Error {
    Diagnostic::error(USAGE, title).into()
}

/// Reads `zstd[:LEVEL]`, `gzip[:LEVEL]` or `none`.
pub(super) fn compression(text: &str) -> Result<Compression, String> {
    text.parse().map_err(|_| "expected zstd[:1-19], gzip[:1-12] or none".to_owned())
}
