//! Which of the loaded recipes a run takes: all, one machine's share of them, those whose inputs changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mkimage::build::{self, Beside};
use mkimage::recipe::{Loaded, Recipe};
use mkimage::report::{Diagnostic, Error, Result, plain};

use super::console::Console;
use super::environment;
use super::recipes::usage;

/// Which of the recipes to take.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Choice {
    /// Take one of N shares of the recipes, the same on each machine: I/N with I from 1, or auto/N in a job of
    /// Kubernetes or a CI service that numbers its machines.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub(super) shard: Option<Shard>,
    /// Take only recipes whose inputs changed since --since REF.
    #[arg(long, requires = "since")]
    changed: bool,
    /// The commit that --changed compares with, as origin/main.
    #[arg(long, value_name = "REF", requires = "changed")]
    since: Option<String>,
}

/// One of so many shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard {
    index: usize,
    of: usize,
}

/// A recipe to build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen<'a> {
    /// Which of the command line's.
    pub(super) loaded: usize,
    pub(super) recipe: &'a Recipe,
}

impl Choice {
    /// The recipes to take, in their order. The shares are of all recipes, so that a machine's share is the same
    /// whatever changed.
    pub(super) fn of<'a>(&self, loaded: &'a [Loaded], console: &Console) -> Result<Vec<Chosen<'a>>> {
        let each = |(place, loaded): (usize, &'a Loaded)| {
            loaded.recipes.iter().map(move |recipe| Chosen { loaded: place, recipe })
        };
        let mut chosen: Vec<Chosen> = loaded.iter().enumerate().flat_map(each).collect();
        let all = chosen.len();
        if let Some(shard) = self.shard {
            // All platforms of a recipe go to one machine, which makes their index.
            let first = |chosen: &&Chosen| chosen.recipe.part.number == 0;
            let recipes: Vec<&Recipe> = chosen.iter().filter(first).map(|chosen| chosen.recipe).collect();
            let shares = build::shares(&recipes, shard.of);
            let (mut share, mut current) = (shares.into_iter(), None);
            chosen.retain(|chosen| {
                if chosen.recipe.part.number == 0 {
                    current = share.next();
                }
                current == Some(shard.index)
            });
            console.say(&format!("share {} of {}: {} of {all} recipes", shard.index + 1, shard.of, chosen.len()));
        }
        if let Some(since) = self.since.as_deref().filter(|_| self.changed) {
            let before = chosen.len();
            let mut changes = Changes::default();
            let mut kept = Vec::new();
            for parts in chosen.chunk_by(|_, next| next.recipe.part.number > 0) {
                let mut concerned = false;
                for part in parts {
                    concerned |= changes.concern(part.recipe, since)?;
                }
                kept.extend_from_slice(if concerned { parts } else { &[] });
            }
            chosen = kept;
            console.say(&format!("changed since {since}: {} of {before} recipes", chosen.len()));
        }
        Ok(chosen)
    }
}

impl Choice {
    /// What of it a command line for another machine repeats.
    pub(super) fn words(&self) -> Vec<String> {
        let since = self.since.as_ref().filter(|_| self.changed);
        since.map(|since| vec!["--changed".to_owned(), format!("--since={since}")]).unwrap_or_default()
    }
}

/// Reads `I/N` or `auto/N`.
fn shard(text: &str) -> Result<Shard, String> {
    let bad = || "expected I/N with I from 1 to N, or auto/N".to_owned();
    let (index, of) = text.split_once('/').ok_or_else(bad)?;
    let of: usize = of.parse().ok().filter(|of| (1..=100_000).contains(of)).ok_or_else(bad)?;
    let index = match index {
        "auto" => environment::machine_number().ok_or("no variable says which machine of how many this is")?,
        index => index.parse::<usize>().ok().and_then(|index| index.checked_sub(1)).ok_or_else(bad)?,
    };
    if index < of { Ok(Shard { index, of }) } else { Err(bad()) }
}

/// What changed in the repositories that recipes lie in.
#[derive(Default)]
struct Changes {
    repositories: Vec<Repository>,
}

struct Repository {
    top: PathBuf,
    changed: BTreeSet<PathBuf>,
}

impl Changes {
    /// Whether one of a recipe's inputs changed, or can't be told: what git ignores may have been made from what
    /// changed.
    fn concern(&mut self, recipe: &Recipe, since: &str) -> Result<bool> {
        for input in build::beside(recipe) {
            let (Beside::File(path) | Beside::Below(path)) = &input;
            let path = real(path);
            let Some(repository) = self.repository(&path, since)? else { return Ok(true) };
            let is_below = matches!(input, Beside::Below(_));
            let concerns = |changed: &PathBuf| {
                // A folder may be a file now, or have been one; a name may begin that of what a glob matched.
                *changed == path || changed.starts_with(&path) || is_below && begins(changed, &path)
            };
            if repository.changed.iter().any(concerns) || repository.ignores(&path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The repository that a path is in; `None` when it is in none.
    fn repository(&mut self, path: &Path, since: &str) -> Result<Option<&Repository>> {
        if let Some(known) = self.repositories.iter().position(|known| path.starts_with(&known.top)) {
            return Ok(Some(&self.repositories[known]));
        }
        let folder = path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
        let found = git(folder, &["rev-parse", "--show-toplevel"])?;
        if !found.status.success() {
            return Ok(None);
        }
        let top = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim_end());
        let repository = Repository::read(real(&top), since)?;
        self.repositories.push(repository);
        Ok(self.repositories.last())
    }
}

impl Repository {
    fn read(top: PathBuf, since: &str) -> Result<Self> {
        let mut changed = BTreeSet::new();
        // Renames are two changes; what is staged, edited or new counts, too.
        let commit = format!("{since}^{{commit}}");
        let known = git(&top, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])?;
        if !known.status.success() {
            let title = format!("`{since}` is no commit of the repository `{}`", top.display());
            let error = Diagnostic::error(build::NO_CHANGES, title);
            return Err(error.help("a shallow clone has few commits: `git fetch --depth=100` gets more").into());
        }
        let commit = String::from_utf8_lossy(&known.stdout).trim_end().to_owned();
        for arguments in [
            &["diff", "--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=none", "-z", &commit, "--"]
                [..],
            &["ls-files", "--others", "--exclude-standard", "-z"][..],
        ] {
            let listed = git(&top, arguments)?;
            if !listed.status.success() {
                let title = format!("`git {}` failed in `{}`", arguments[0], top.display());
                let said = String::from_utf8_lossy(&listed.stderr).trim_end().to_owned();
                return Err(Diagnostic::error(build::NO_CHANGES, title).note(said).into());
            }
            let paths = listed.stdout.split(|&byte| byte == 0).filter(|path| !path.is_empty());
            let path = |bytes: &[u8]| top.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes));
            changed.extend(paths.map(path));
        }
        Ok(Self { top, changed })
    }

    fn ignores(&self, path: &Path) -> Result<bool> {
        let Ok(path) = path.strip_prefix(&self.top) else { return Ok(false) };
        let listed = git(
            &self.top,
            &[
                "ls-files".as_ref(),
                "--others".as_ref(),
                "--ignored".as_ref(),
                "--exclude-standard".as_ref(),
                "--directory".as_ref(),
                "-z".as_ref(),
                "--".as_ref(),
                literal(path).as_os_str(),
            ],
        )?;
        Ok(!listed.status.success() || !listed.stdout.is_empty())
    }
}

/// A path as git takes it without looking for wildcards.
fn literal(path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(":(literal)");
    text.push(if path.as_os_str().is_empty() { Path::new(".") } else { path });
    text
}

/// Whether a path begins with another one in its last name, as what a glob matches begins with what stands before the
/// first wildcard.
fn begins(path: &Path, with: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().starts_with(with.as_os_str().as_bytes())
}

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// Asks git, which has no say in an image: only in which recipes are taken.
fn git<S: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: &[S]) -> Result<Output> {
    let Some(program) = environment::program("git") else {
        return Err(usage("--changed needs `git` on PATH".to_owned()));
    };
    let output = Command::new(program).arg("-C").arg(folder).args(arguments).output();
    output.map_err(|error| {
        Error::from(Diagnostic::error(build::NO_CHANGES, format!("cannot start `git`: {}", plain(&error))))
    })
}
