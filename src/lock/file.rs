//! The lock file: read once for all recipes of a run, held against images, written anew by `mkimage lock` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::FlockOperation;

use super::{DRIFT, Drift, Key, Mode, NOT_LOCKED, Taken, UNREADABLE, named, shown, text};
use crate::oci::Digest;
use crate::path::ImagePath;
use crate::recipe::{LockPlace, Pin, Platform, Recipe};
use crate::report::{Diagnostic, Error, Result, Span};
use crate::tree::Tree;

/// The most bytes of a lock file.
const LIMIT: u64 = 256 << 20;

/// What a lock file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// By recipe and platform, what the image took.
    pub images: BTreeMap<Key, Taken>,
    /// The policies of registries that are laid over recipes, by name, with the digests of their manifests.
    pub policies: BTreeMap<String, Digest>,
}

impl Lock {
    /// Reads a lock file; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and can't be read.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(meta) if meta.len() > LIMIT => return Err(unreadable(path, &format!("has more than {LIMIT} bytes"))),
            Ok(_) => std::fs::read(path).map_err(|error| Error::io("read", path, &error))?,
            Err(error) => return Err(Error::io("read", path, &error)),
        };
        let text = String::from_utf8(bytes).map_err(|_| unreadable(path, "is not UTF-8"))?;
        text::read(&text).map(Some).map_err(|bad| unreadable(path, &bad.to_string()))
    }

    /// Its text.
    pub fn text(&self) -> String {
        text::write(self)
    }
}

fn unreadable(path: &Path, why: &str) -> Error {
    Diagnostic::error(UNREADABLE, format!("`{}` {why}", shown(path)))
        .help("take it from version control as it was, or remove it; then `mkimage lock` writes it anew")
        .into()
}

/// The lock files of a run, each read once, and how images are held against them.
#[derive(Debug, Default)]
pub struct Locks {
    mode: Mode,
    read: Mutex<BTreeMap<PathBuf, Result<Option<Arc<Lock>>>>>,
}

impl Locks {
    /// Lock files that are read when they are asked for.
    pub fn new(mode: Mode) -> Self {
        Self { mode, read: Mutex::default() }
    }

    /// How images are held against them.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The paths of the root that the lock file names for a recipe, whatever the platform; none when it must not be
    /// kept to.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn named(&self, recipe: &Recipe) -> Result<Option<BTreeSet<ImagePath>>> {
        let Some(place) = recipe.lock.as_ref().filter(|_| self.mode == Mode::Frozen) else { return Ok(None) };
        let lock = self.file(&place.file)?.unwrap_or_default();
        let images = lock.images.iter().filter(|(key, _)| key.recipe == place.name);
        Ok(Some(images.flat_map(|(_, taken)| named(taken)).collect()))
    }

    /// The digest that the lock file has for a recipe of a registry, which the recipe at a place in it extends, or for
    /// a policy, whose place has no name; none when it must not be kept to, or is not known.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn pin(&self, place: &LockPlace, name: &str) -> Result<Option<Digest>> {
        if !matches!(self.mode, Mode::Locked | Mode::Frozen) {
            return Ok(None);
        }
        let lock = self.file(&place.file)?.unwrap_or_default();
        if place.name.is_empty() {
            return Ok(lock.policies.get(name).copied());
        }
        let mut images = lock.images.iter().filter(|(key, _)| key.recipe == place.name);
        Ok(images.find_map(|(_, taken)| taken.extends.get(name).copied()))
    }

    fn file(&self, file: &Path) -> Result<Option<Arc<Lock>>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = read.entry(file.to_owned()).or_insert_with(|| Lock::read(file).map(|lock| lock.map(Arc::new)));
        lock.clone()
    }

    /// The digest of the lock file that an image is held to, as mkimage writes it; none when it is only compared.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn digest(&self, recipe: &Recipe, platform: &Platform) -> Result<Option<Digest>> {
        let holds = matches!(self.mode, Mode::Locked | Mode::Frozen);
        let Some((file, _)) = Key::of(recipe, platform).filter(|_| holds) else { return Ok(None) };
        Ok(self.file(&file)?.map(|lock| Digest::of(lock.text().as_bytes())))
    }

    /// What the lock file says of a recipe's image.
    ///
    /// # Errors
    /// When the file can't be read; when the image must be in it and is not.
    pub fn of(&self, recipe: &Recipe, platform: &Platform) -> Result<Option<Taken>> {
        if self.mode == Mode::Ignored {
            return Ok(None);
        }
        let must = matches!(self.mode, Mode::Locked | Mode::Frozen);
        let Some((file, key)) = Key::of(recipe, platform) else {
            return if must {
                Err(not_locked(recipe, "a recipe from standard input has no lock file"))
            } else {
                Ok(None)
            };
        };
        let lock = self.file(&file)?;
        let taken = lock.as_ref().and_then(|lock| lock.images.get(&key));
        match (taken, must) {
            (None, true) if lock.is_none() => Err(not_locked(recipe, &format!("there is no `{}`", shown(&file)))),
            (None, true) => {
                let says = format!("`{}` does not know it for {}", shown(&file), key.platform);
                Err(not_locked(recipe, &says))
            }
            (taken, _) => Ok(taken.cloned()),
        }
    }
}

fn not_locked(recipe: &Recipe, says: &str) -> Error {
    Diagnostic::error(NOT_LOCKED, format!("`{}` has to match its lock file, and {says}", recipe.origin))
        .help(format!("`mkimage lock {}` writes it", recipe.origin))
        .into()
}

impl Drift {
    /// The error that it is when the image must match the lock file.
    pub fn error(&self, recipe: &Recipe, tree: &Tree, mode: Mode) -> Error {
        let option = if mode == Mode::Frozen { "--frozen" } else { "--locked" };
        let file = recipe.lock.as_ref().map_or_else(|| "mkimage.lock".to_owned(), |place| shown(&place.file));
        let title = format!("the image no longer matches `{file}`, and {option} was given");
        let mut error = Diagnostic::error(DRIFT, title);
        let mut spans: Vec<Span> = Vec::new();
        for path in self.changes.iter().filter_map(|change| change.path.as_ref()) {
            let span = tree.get(path).and_then(|_| tree.chain(recipe, path).span);
            spans.extend(span.filter(|span| !spans.contains(span)));
            if spans.len() == 3 {
                break;
            }
        }
        for span in spans {
            error = error.at(span, "brings what changed");
        }
        error.note(self.lines().join("\n")).help(format!("`mkimage lock {}` accepts this", recipe.origin)).into()
    }
}

/// What [`update`] did.
#[derive(Debug)]
pub struct Update {
    /// For each image that was given, how it differs from what the file said; `None` when it said nothing.
    pub drifts: Vec<(Key, Option<Drift>)>,
    /// Recipes that the file named and that are not there any more.
    pub dropped: Vec<String>,
    /// Whether the file has another text now.
    pub written: bool,
}

/// Puts images into a lock file, which keeps what it says of others, as long as their recipes are there; and a policy
/// in the place of all others, where one is given. The file appears whole or stays as it was.
///
/// # Errors
/// When it can't be read or written.
pub fn update(file: &Path, images: Vec<(Key, Taken)>, policy: Option<&Pin>) -> Result<Update> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Two runs that change different images of one file wait for each other.
    let guard = std::fs::File::open(folder).map_err(|error| Error::io("open", folder, &error))?;
    let _ = rustix::io::retry_on_intr(|| rustix::fs::flock(&guard, FlockOperation::LockExclusive));
    let before = Lock::read(file)?;
    let mut lock = before.clone().unwrap_or_default();
    let drifts = images.iter().map(|(key, taken)| {
        let drift = lock.images.get(key).map(|before| Drift::between(before, taken));
        (key.clone(), drift)
    });
    let drifts = drifts.collect();
    lock.images.extend(images);
    if let Some(pin) = policy {
        lock.policies = BTreeMap::from([(pin.name.clone(), pin.digest)]);
    }
    let mut dropped: Vec<String> = Vec::new();
    lock.images.retain(|key, _| {
        let there = folder.join(&key.recipe).exists();
        dropped.extend((!there).then(|| key.recipe.clone()));
        there
    });
    dropped.dedup();
    let written = before.as_ref() != Some(&lock);
    if written {
        replace(file, folder, lock.text().as_bytes()).map_err(|error| Error::io("write", file, &error))?;
    }
    Ok(Update { drifts, dropped, written })
}

fn replace(file: &Path, folder: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays one.
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let folder = real.parent().unwrap_or(folder);
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut new = tempfile::Builder::new().prefix(".mkimage.").tempfile_in(folder)?;
    let mode = std::fs::metadata(&real).map_or(0o644, |meta| meta.permissions().mode() & 0o777);
    new.write_all(bytes)?;
    new.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    new.as_file().sync_all()?;
    new.persist(&real).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}
