//! The recipe's own tests, run on its image.
//!
//! In: [`Test`]s and images that are unpacked. Out: an [`Outcome`] for each, and the forms in which test results are
//! read. Each test has a network of its own, so that they run beside each other and need none.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::recipe::{FileCheck, Test};
use crate::report::{Diagnostic, Error, Result};
use crate::run::{self, Image, Launcher, Running};

mod bench;
mod format;
mod http;
mod matcher;
mod service;

use bench::{Bench, Ended};
pub use format::{json, junit, tap, text};
pub use http::{Answer, ask};
pub use matcher::mismatch;

/// How long a test waits for each thing, unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// What tests need from outside.
pub trait Surroundings: Sync {
    /// The image of another recipe.
    ///
    /// # Errors
    /// When it can't be built.
    fn image(&self, recipe: &Path) -> Result<Arc<Image>>;

    /// What starts programs.
    ///
    /// # Errors
    /// When nothing can be started here.
    fn launcher(&self) -> Result<&Launcher>;

    /// A folder for what a test needs, which goes away after all of them.
    fn folder(&self) -> PathBuf;

    /// A program was started: to be ended when this process is told to stop.
    fn started(&self, program: &Running);
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The recipe that it is of.
    pub recipe: String,
    /// What it is called.
    pub name: String,
    /// Its place in the recipe, as `recipe.toml:3:1`.
    pub place: String,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub time: Duration,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it must be.
    Passed,
    /// Something is not; a line or more for each thing.
    Failed(Vec<String>),
    /// It was not run, and why.
    Skipped(String),
}

/// What a test is called: its own name, or what it does.
pub fn name(test: &Test) -> String {
    let words = |words: &[crate::report::Spanned<String>]| {
        words.iter().map(|word| word.value.as_str()).collect::<Vec<_>>().join(" ")
    };
    match (&test.name, &test.call.run, test.http.first(), test.client.first()) {
        (Some(name), ..) => name.value.clone(),
        (None, Some(run), ..) => words(run),
        (None, None, Some(http), _) => format!("answers {}", http.path),
        (None, None, None, Some(client)) => client.run.as_deref().map_or("has a client".to_owned(), words),
        (None, None, None, None) if test.call.port.is_some() => "listens".to_owned(),
        (None, None, None, None) if !test.files.is_empty() && !starts(test) => "has its files".to_owned(),
        _ => "starts".to_owned(),
    }
}

/// Runs a test on an image, in a thread of its own.
pub fn run(test: &Test, image: &Arc<Image>, surroundings: &dyn Surroundings) -> (Verdict, Duration) {
    let start = Instant::now();
    let verdict = match &test.skip {
        Some(why) => Verdict::Skipped(why.value.clone()),
        None => match checked(test, image, surroundings) {
            Ok(failures) if failures.is_empty() => Verdict::Passed,
            Ok(failures) => Verdict::Failed(failures),
            // What an engine does not allow says nothing of the image.
            Err(error) if error.0.iter().all(|one| one.code == run::NOT_JOINED) => Verdict::Skipped(
                error.0.iter().flat_map(lines).map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("; "),
            ),
            Err(error) => Verdict::Failed(error.0.iter().flat_map(lines).collect()),
        },
    };
    (verdict, start.elapsed())
}

fn lines(diagnostic: &Diagnostic) -> Vec<String> {
    let more = diagnostic.notes.iter().chain(&diagnostic.helps).map(|line| format!("  {line}"));
    std::iter::once(diagnostic.title.clone()).chain(more).collect()
}

fn checked(test: &Test, image: &Arc<Image>, surroundings: &dyn Surroundings) -> Result<Vec<String>> {
    let mut failures = files(test, image)?;
    if starts(test) {
        if !surroundings.launcher()?.is_engine() {
            run::own_network()?;
        }
        let mut bench = Bench::new(test, image, surroundings)?;
        failures.extend(service::run(test, &mut bench)?);
    }
    Ok(failures)
}

/// Whether a program is started, and not only files looked at.
fn starts(test: &Test) -> bool {
    let call = &test.call;
    let asks = call.run.is_some() || call.args.is_some() || call.stdin.is_some() || call.as_user.is_some();
    let expects = call.expect.exit.is_some() || !call.expect.stdout.is_empty() || !call.expect.stderr.is_empty();
    asks || expects || is_service(test) || test.files.is_empty() || !test.before.is_empty() || !test.beside.is_empty()
}

/// Whether the program is one that runs until it is stopped.
fn is_service(test: &Test) -> bool {
    test.call.port.is_some() || !test.http.is_empty() || !test.client.is_empty() || test.stops_within.is_some()
}

fn files(test: &Test, image: &Image) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    for check in &test.files {
        let (FileCheck::Present(path) | FileCheck::Absent(path)) = &check.value;
        let there = run::exists(&image.rootfs, path).map_err(|error| Error::io("read", &image.rootfs, &error))?;
        match (&check.value, there) {
            (FileCheck::Present(_), false) => failures.push(format!("`{path}` is not in the image")),
            (FileCheck::Absent(_), true) => failures.push(format!("`{path}` is in the image")),
            _ => {}
        }
    }
    Ok(failures)
}

/// The time that a wait of this test may take.
fn deadline(test: &Test) -> Instant {
    Instant::now() + test.timeout.as_ref().map_or(PATIENCE, |time| Duration::from_nanos(time.value))
}

/// What is wrong with how a program ended.
fn unexpected(what: &str, ended: &Ended, call: &crate::recipe::Call) -> Vec<String> {
    let expect = &call.expect;
    let mut failures = Vec::new();
    let wanted = expect.exit.as_ref().map_or(0, |exit| exit.value);
    if ended.exit != wanted {
        failures.push(format!("{what} exits with {}, not {wanted}", ended.exit));
    }
    for (stream, text, checks) in [("stdout", &ended.stdout, &expect.stdout), ("stderr", &ended.stderr, &expect.stderr)]
    {
        failures.extend(checks.iter().filter_map(|check| Some(format!("{what}: {stream} {}", mismatch(check, text)?))));
    }
    if !failures.is_empty() {
        failures.extend(matcher::tail("stdout", &ended.stdout));
        failures.extend(matcher::tail("stderr", &ended.stderr));
    }
    failures
}
