//! Images that are made again, and held against what they were: `verify IMAGE RECIPE` and `build --check`.

use std::path::{Path, PathBuf};

use mkimage::build::{self, Options, Outputs};
use mkimage::compare::{self, Difference, Opened};
use mkimage::layer::Durability;
use mkimage::oci::Reference;
use mkimage::output::{self, Destination};
use mkimage::recipe::{Compression, Part, Recipe};
use mkimage::report::{Diagnostic, Error, Result, Spanned, Texts};

use super::console::Console;
use super::lock::LockArgs;
use super::recipes::{RecipeArgs, usage};
use super::{environment, images, registries};

/// Whether an argument names a recipe and no image: a TOML file, or a folder with a mkimage.toml and no layout.
pub(super) fn is_recipe(path: &Path) -> bool {
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    is_toml && path.is_file() || path.join("mkimage.toml").is_file() && !path.join("index.json").is_file()
}

/// Builds an image's recipe again, with its lock file if there is one, and tells in what the image differs.
pub(super) fn differences(
    (image, tag): (&Path, Option<&str>),
    args: &RecipeArgs,
    console: &Console,
    texts: &mut Texts,
) -> Result<Vec<Difference>> {
    let loaded = args.load(texts)?;
    let recipes: Vec<&Recipe> = loaded.iter().flat_map(|loaded| &loaded.recipes).collect();
    let mut found = Vec::new();
    for recipe in &recipes {
        let platform = recipe.platform.as_ref().map(|platform| &platform.value);
        let name = tag.or_else(|| recipe.tags.first().map(|tag| tag.value.as_str()));
        let there = Opened::new(images::open(image, &args.registries, console)?, image, platform, name)?;
        let several = recipes.len() > 1;
        for difference in differences_of(&there, recipe, console)? {
            let whose = platform.filter(|_| several).map_or_else(String::new, |it| format!("{it}: "));
            found.push(Difference { place: format!("{whose}{}", difference.place), ..difference });
        }
    }
    Ok(found)
}

fn differences_of(there: &Opened, recipe: &Recipe, console: &Console) -> Result<Vec<Difference>> {
    let mut recipe = Recipe { part: Part::default(), ..recipe.clone() };
    // The image's version and time are those of its build, not of the recipe.
    if let Some(tag) = tag(there, &recipe) {
        let span = recipe.tags.first().map_or(recipe.span, |tag| tag.span);
        recipe.tags = vec![Spanned::new(tag, span)];
    }
    let created = there.config().get("created").and_then(serde_json::Value::as_str).and_then(seconds);
    let options = Options {
        created: created.unwrap_or(0),
        durability: Durability::Cached,
        locks: LockArgs::default().locks(),
        ..super::check::options()
    };
    let folder = tempfile::Builder::new().prefix("mkimage.").tempdir_in(environment::temporary());
    let folder = folder.map_err(|error| Error::io("write into", &environment::temporary(), &error))?;
    super::interrupt::remember(folder.path());
    let name = recipe.name.value.clone();
    let progress = console.building(&name);
    let assembled = build::assemble(&recipe, &Options { suggestions: false, ..options.clone() }, &progress)?;
    if let Some(drift) = assembled.drift.as_ref().filter(|drift| !drift.is_empty()) {
        return Err(drift.error(&recipe, &assembled.tree, mkimage::lock::Mode::Locked));
    }
    let place = folder.path().join("image");
    let to = compression(there, &mut recipe, place.clone());
    let outputs = Outputs { destinations: vec![to], engine: None, stdout: &mut std::io::sink(), push: None };
    build::write(&recipe, &assembled, outputs, &options, &progress)?;
    let rebuilt = Opened::new(output::open(&place)?, &place, Some(&assembled.platform), None)?;
    compare::compare(there, &rebuilt)
}

/// The tag that an image was built under, which is also its version; that in a layout or registry may be another one.
fn tag(there: &Opened, recipe: &Recipe) -> Option<String> {
    let version = there.config().pointer("/config/Labels/org.opencontainers.image.version");
    let is_tag = |text: &&str| Reference::new(&recipe.name.value, text).is_ok();
    let listed = || there.names().first().map(|name| name.rsplit(':').next().unwrap_or(name));
    version.and_then(serde_json::Value::as_str).filter(is_tag).or_else(listed).map(str::to_owned)
}

/// Where the image is built again, so that its layers are compressed as those that are there.
fn compression(there: &Opened, recipe: &mut Recipe, path: PathBuf) -> Destination {
    let asked = recipe.compression.as_ref().map(|asked| asked.value);
    let (fits, default) = match there.layer_type() {
        Some(kind) if kind.ends_with("+zstd") => (matches!(asked, Some(Compression::Zstd(_))), None),
        Some(kind) if kind.ends_with("gzip") => {
            (matches!(asked, Some(Compression::Gzip(_))), Some(Compression::Gzip(3)))
        }
        _ => (false, Some(Compression::None)),
    };
    if !fits {
        recipe.compression = default.map(|default| Spanned::new(default, recipe.span));
    }
    Destination::Layout { path, tag: None }
}

/// `2026-11-26T12:00:00Z` as seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = time.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    Some(mkimage::recipe::Date::parse(day)?.seconds() + hour * 3600 + minute * 60 + second)
}

/// The conditions that the second build of `build --check` changes, and the program that runs it.
pub(super) struct Again<'a> {
    /// The recipes, as they were given.
    pub(super) recipes: &'a RecipeArgs,
    /// Options that the image depends on.
    pub(super) options: Vec<std::ffi::OsString>,
    /// Threads of the first build.
    pub(super) threads: usize,
}

impl Again<'_> {
    /// Builds all images once more, in another process under other conditions. Gives the folder that holds them, and
    /// the lines `NAME@DIGEST`.
    pub(super) fn build(&self) -> Result<(tempfile::TempDir, String)> {
        let folder = tempfile::Builder::new().prefix("mkimage.again.").tempdir_in(environment::temporary());
        let folder = folder.map_err(|error| Error::io("write into", &environment::temporary(), &error))?;
        super::interrupt::remember(folder.path());
        let program = std::env::current_exe().map_err(|error| Error::io("find", "mkimage".as_ref(), &error))?;
        let threads = if self.threads == 1 { 3 } else { 1 };
        let mut command = std::process::Command::new(&program);
        command.args(["build", "--quiet", "--no-fsync", "--no-cache", "--reversed", "--jobs"]).arg(threads.to_string());
        command
            .env_remove("MKIMAGE_POLICY")
            .env_remove("GITHUB_STEP_SUMMARY")
            .args(self.recipes.again()?)
            .args(&self.options)
            .current_dir(folder.path());
        command
            .env("TZ", "Pacific/Kiritimati")
            .env("LC_ALL", "C")
            .env("LANG", "tr_TR.UTF-8")
            .env("HOME", folder.path())
            .envs(registries::logins_without_home());
        command.env("TMPDIR", folder.path());
        // No other thread of this process makes files now.
        let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let output = command.stdin(std::process::Stdio::null()).output();
        rustix::process::umask(umask);
        let output = output.map_err(|error| Error::io("start", &program, &error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(usage(format!("the second build failed, the first did not: {}", said.trim_end())));
        }
        Ok((folder, String::from_utf8_lossy(&output.stdout).into_owned()))
    }
}

/// The layout that a recipe's image goes to unless another place is named.
pub(super) fn layout_of(recipe: &Recipe) -> String {
    format!("{}.oci", recipe.name.value.rsplit('/').next().unwrap_or(&recipe.name.value))
}

/// In what the image of a recipe differs from the layout of its second build; nothing where the first one is not in a
/// layout or archive.
pub(super) fn compared(recipe: &Recipe, place: &Destination, rebuilt: &Path) -> Result<Option<Diagnostic>> {
    let (Destination::Layout { path, tag } | Destination::Archive { path, tag }) = place else { return Ok(None) };
    let platform = recipe.platform.as_ref().map(|platform| &platform.value);
    let own = recipe.tags.first().map(|tag| tag.value.as_str());
    let first = Opened::new(output::open(path)?, path, platform, tag.as_deref().or(own))?;
    let second = Opened::new(output::open(rebuilt)?, rebuilt, platform, own)?;
    let found = compare::compare(&first, &second)?;
    let title = format!("two builds of `{}` gave different images", recipe.name.value);
    Ok((!found.is_empty()).then(|| compare::differ(&title, &found)))
}
