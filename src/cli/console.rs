//! What a person sees: diagnostics and progress on standard error, results on standard output.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use indicatif::{ProgressBar, ProgressStyle as Style};
use mkimage::build::Progress;
use mkimage::layer::Watch;
use mkimage::policy::Detail;
use mkimage::report::{self, Code, Diagnostic, Error, INTERNAL, IO, Level, Result, Texts};

use super::timings::Recorder;
use super::{environment, interrupt, memory};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum ProgressStyle {
    /// A line that changes on a terminal, nothing elsewhere.
    #[default]
    Auto,
    /// A line that changes.
    Tty,
    /// A line for each step.
    Plain,
    /// Nothing.
    None,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where things are said, and how much.
pub(super) struct Console {
    quiet: bool,
    pub(super) verbose: u8,
    progress: ProgressStyle,
    colour: bool,
    github: bool,
    bar: Mutex<Option<ProgressBar>>,
    /// Whether diagnostics were shown: an empty line stands between them and further ones.
    shown: AtomicBool,
    /// What threads do when, where that is wanted.
    times: OnceLock<Arc<Recorder>>,
}

impl Console {
    pub(super) fn new(quiet: bool, verbose: u8, progress: ProgressStyle, colour: Colour) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let colour = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let dumb = environment::variable("TERM").is_some_and(|term| term == "dumb");
                terminal && environment::variable("NO_COLOR").is_none() && !dumb
            }
        };
        let progress = match progress {
            _ if quiet => ProgressStyle::None,
            ProgressStyle::Auto if terminal && !environment::in_ci() => ProgressStyle::Tty,
            ProgressStyle::Auto if verbose > 0 => ProgressStyle::Plain,
            ProgressStyle::Auto => ProgressStyle::None,
            chosen => chosen,
        };
        Self {
            quiet,
            verbose,
            progress,
            colour,
            github: environment::in_github_actions(),
            bar: Mutex::new(None),
            shown: AtomicBool::new(false),
            times: OnceLock::new(),
        }
    }

    /// Writes a line to standard error, unless only errors are wanted.
    pub(super) fn say(&self, line: &str) {
        if !self.quiet {
            self.clear();
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }

    /// Writes to standard output what a program reads. A reader that went away is no reason to panic, but to fail.
    pub(super) fn print(&self, text: &str) -> ExitCode {
        self.clear();
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(std::io::stderr().lock(), "error: cannot write to standard output: {error}");
                ExitCode::FAILURE
            }
        }
    }

    /// Shows diagnostics: errors always, warnings unless quiet, notes when asked for more.
    pub(super) fn show(&self, diagnostics: &[Diagnostic], texts: &Texts) {
        let wanted = |level: Level| match level {
            Level::Error => true,
            Level::Warning => !self.quiet,
            Level::Note => self.verbose > 0 && !self.quiet,
        };
        let shown: Vec<Diagnostic> = diagnostics.iter().filter(|d| wanted(d.level)).cloned().collect();
        if shown.is_empty() {
            return;
        }
        self.clear();
        let between = if self.shown.swap(true, Ordering::Relaxed) { "\n" } else { "" };
        let mut text = between.to_owned() + &report::render(&shown, texts, self.colour);
        if self.github {
            text.push_str(&report::github(&shown, texts));
        }
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    /// How much is said of a warning of the policy.
    pub(super) fn detail(&self) -> Detail {
        if self.verbose > 0 { Detail::Full } else { Detail::Brief }
    }

    /// Shows an error and gives its exit code.
    pub(super) fn fail(&self, error: &Error, texts: &Texts) -> ExitCode {
        self.show(&error.0, texts);
        ExitCode::from(exit_code(error))
    }

    fn clear(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }

    /// From now on it is written down what threads do when.
    pub(super) fn time(&self) {
        let _ = self.times.set(Arc::default());
    }

    /// Who writes it down.
    pub(super) fn watch(&self) -> Option<Arc<dyn Watch>> {
        self.times.get().map(|times| Arc::clone(times) as Arc<dyn Watch>)
    }

    /// Writes a page of what was written down.
    pub(super) fn write_times(&self, path: &Path) -> Result<()> {
        let Some(times) = self.times.get() else { return Ok(()) };
        std::fs::write(path, times.page()).map_err(|error| Error::io("write", path, &error))?;
        self.say(&format!("times written to {}", path.display()));
        Ok(())
    }

    /// Progress of the build of one image.
    pub(super) fn building<'a>(&'a self, name: &'a str) -> Building<'a> {
        Building { console: self, name }
    }
}

/// Shows what the build of one image is doing.
pub(super) struct Building<'a> {
    console: &'a Console,
    name: &'a str,
}

impl Progress for Building<'_> {
    fn stage(&self, stage: &str) {
        if let Some(times) = self.console.times.get() {
            times.stage(self.name, stage);
        }
        if stage == "packing" {
            memory::trim();
        }
        match self.console.progress {
            ProgressStyle::Plain => {
                let _ = writeln!(std::io::stderr().lock(), "{}: {stage}", self.name);
            }
            ProgressStyle::Tty => {
                let mut bar = self.console.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let bar = bar.get_or_insert_with(|| {
                    let bar = ProgressBar::new_spinner();
                    if let Ok(style) = Style::with_template("{spinner} {msg} {elapsed}") {
                        bar.set_style(style);
                    }
                    bar.enable_steady_tick(std::time::Duration::from_millis(100));
                    bar
                });
                bar.set_message(format!("{}: {stage}", self.name));
            }
            ProgressStyle::Auto | ProgressStyle::None => {}
        }
    }

    fn staged(&self, path: &std::path::Path) {
        interrupt::remember(path);
    }
}

/// The exit code of a bug.
pub(super) const BUG: u8 = 70;

/// Whether a panic was told that is the machine's fault.
static NO_THREAD: AtomicBool = AtomicBool::new(false);

/// The exit code after a panic that [`bug`] told.
pub(super) fn code_of_bug() -> ExitCode {
    if NO_THREAD.load(Ordering::Relaxed) { ExitCode::FAILURE } else { ExitCode::from(BUG) }
}

/// Tells that the system gives no thread.
pub(super) fn no_thread() {
    if NO_THREAD.swap(true, Ordering::Relaxed) {
        return;
    }
    let _ = writeln!(
        std::io::stderr().lock(),
        "error[{IO}]: cannot start a thread: the system gives no more\n  = help: raise the limit of processes (`ulimit -u`, \
         a container's `pids` limit) or of memory"
    );
}

/// Tells of a panic: a condition that the code holds to be impossible; or a library that can't do without a thread.
pub(super) fn bug(panic: &std::panic::PanicHookInfo<'_>) {
    let what = panic.payload_as_str().unwrap_or("a panic");
    if what.contains("ThreadPoolBuildError") || what.contains("failed to spawn thread") {
        return no_thread();
    }
    let place = panic.location().map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
    let _ = writeln!(
        std::io::stderr().lock(),
        "error[{INTERNAL}]: internal error: {what}{place}\n  = help: this is a bug in mkimage, please report it"
    );
}

/// The exit code of an error: by the family of its first code.
pub(super) fn exit_code(error: &Error) -> u8 {
    let family = |code: Code| match code.0.get(..3) {
        _ if code == mkimage::registry::BAD_NAME || code == mkimage::registry::NO_TAG => 2,
        Some("E00" | "E01") => 2,
        Some("E03") => 3,
        Some("E04") => 4,
        Some("E99") => BUG,
        _ => 1,
    };
    error.0.iter().find(|diagnostic| diagnostic.level == Level::Error).map_or(1, |diagnostic| family(diagnostic.code))
}

/// Shows what is wrong with the arguments, or the help that was asked for.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}
