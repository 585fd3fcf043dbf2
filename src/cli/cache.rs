//! `mkimage cache`, and which folder is the cache.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use mkimage::cache::{Cache, Keep, NOT_USED, Refused};
use mkimage::report::{Diagnostic, Error, Result, Texts};
use serde_json::json;

use super::console::Console;
use super::environment;
use super::format::{Format, print_json};
use super::recipes::USAGE;
use super::summary::megabytes;

/// Which folder is the cache.
#[derive(Debug, Default, Clone, clap::Args)]
pub(super) struct CacheArgs {
    /// Keep in this folder what later builds need not do again; by default `MKIMAGE_CACHE_DIR`, or `mkimage` in
    /// `XDG_CACHE_HOME` or ~/.cache.
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Use no cache, and keep nothing.
    #[arg(long, conflicts_with = "cache_dir")]
    no_cache: bool,
}

impl CacheArgs {
    /// The cache. One that can't be used is none, with a note.
    pub(super) fn open(&self, console: &Console) -> Option<Arc<Cache>> {
        if self.no_cache {
            return None;
        }
        let folder = self.folder()?;
        match Cache::open(&folder, environment::now()) {
            Ok(cache) => Some(Arc::new(cache)),
            Err(why) => {
                let note = Diagnostic::note_of(NOT_USED, refused(&folder, &why));
                console.show(&[note.help("name another folder with `--cache-dir`")], &Texts::default());
                None
            }
        }
    }

    fn folder(&self) -> Option<PathBuf> {
        self.cache_dir.clone().or_else(environment::cache_folder)
    }

    fn required(&self) -> Result<Cache> {
        let folder = self.folder().ok_or_else(|| {
            Error::from(
                Diagnostic::error(USAGE, "there is no cache folder: HOME is not set")
                    .help("name one with `--cache-dir`"),
            )
        })?;
        Cache::open(&folder, environment::now()).map_err(|why| {
            let error = Diagnostic::error(NOT_USED, refused(&folder, &why));
            error.help("name another folder with `--cache-dir`").into()
        })
    }
}

fn refused(folder: &Path, why: &Refused) -> String {
    format!("`{}` is not used as the cache: {why}", folder.display())
}

/// Look at what builds keep for later ones, check it, or let go of it.
///
/// No command needs the cache, and none writes other bytes for it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    cache: WhichCache,
    #[command(subcommand)]
    command: CacheCommand,
}

/// `--no-cache` makes no sense here.
#[derive(Debug, clap::Args)]
struct WhichCache {
    /// The cache's folder; by default `MKIMAGE_CACHE_DIR`, or `mkimage` in `XDG_CACHE_HOME` or ~/.cache.
    #[arg(long, global = true, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// Print the cache's folder.
    Dir,
    /// Say how much it holds.
    Info {
        /// How to print.
        #[arg(long, value_enum, default_value_t, value_name = "FORM")]
        format: Format,
    },
    /// Read and check all of it, and remove what is broken.
    Verify,
    /// Let go of what was not used for the longest time.
    Prune {
        /// Keep no more than so many bytes, as 500MB or 2GiB.
        #[arg(long, value_name = "SIZE", value_parser = size, required_unless_present = "for_ci")]
        max_size: Option<u64>,
        /// Keep what was used since the last `prune --for-ci`, and nothing that only holds on this machine: what a job
        /// of CI saves for the next one.
        #[arg(long, conflicts_with = "max_size")]
        for_ci: bool,
    },
    /// Remove all of it.
    Clean,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    match ask(args, console) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &Texts::default()),
    }
}

fn ask(args: &Args, console: &Console) -> Result<ExitCode> {
    let which = CacheArgs { cache_dir: args.cache.cache_dir.clone(), no_cache: false };
    let cache = which.required()?;
    let broken = |error: std::io::Error| Error::io("read", cache.path(), &error);
    Ok(match &args.command {
        CacheCommand::Dir => console.print(&format!("{}\n", cache.path().display())),
        CacheCommand::Info { format } => {
            let usage = cache.usage().map_err(broken)?;
            let total = usage.blob_bytes + usage.value_bytes;
            match format {
                Format::Text => {
                    let mut text = format!("{}: {}\n", cache.path().display(), megabytes(total));
                    let _ = writeln!(text, "  {:>6} layers {:>10}", usage.blobs, megabytes(usage.blob_bytes));
                    let _ = writeln!(text, "  {:>6} values {:>10}", usage.values, megabytes(usage.value_bytes));
                    console.print(&text)
                }
                Format::Json => print_json(
                    console,
                    json!({
                        "path": cache.path().display().to_string(),
                        "bytes": total,
                        "layers": usage.blobs,
                        "layer_bytes": usage.blob_bytes,
                        "values": usage.values,
                        "value_bytes": usage.value_bytes,
                    }),
                ),
            }
        }
        CacheCommand::Verify => {
            let damage = cache.verify().map_err(broken)?;
            for damage in &damage {
                console.say(&format!("removed {}, which was not what it had been", damage.path.display()));
            }
            let usage = cache.usage().map_err(broken)?;
            let (layers, values) = (usage.blobs, usage.values);
            console.print(&format!("{}: {layers} layers and {values} values are sound\n", cache.path().display()))
        }
        CacheCommand::Prune { max_size, .. } => pruned(console, &cache, max_size.map_or(Keep::Used, Keep::Bytes))?,
        CacheCommand::Clean => pruned(console, &cache, Keep::Nothing)?,
    })
}

fn pruned(console: &Console, cache: &Cache, keep: Keep) -> Result<ExitCode> {
    let broken = |error: std::io::Error| Error::io("write", cache.path(), &error);
    let pruned = cache.prune(keep).map_err(broken)?;
    let usage = cache.usage().map_err(broken)?;
    let left = megabytes(usage.blob_bytes + usage.value_bytes);
    console.say(&format!("removed {} files of {}; {left} left", pruned.removed, megabytes(pruned.bytes)));
    Ok(ExitCode::SUCCESS)
}

/// Reads a size: `1000000`, `500MB`, `2GiB`.
fn size(text: &str) -> Result<u64, String> {
    mkimage::recipe::parse_size(text).map_err(|invalid| format!("expected {}", invalid.label))
}
