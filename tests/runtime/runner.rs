//! Runs a list of tests a few at a time and prints a line for each, skipped ones too, which libtest would hide.

use std::cell::RefCell;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::call;
use crate::workshop::Workshop;

/// How many tests run at once: most of their time is waiting for containers to start and stop.
const AT_ONCE: usize = 4;

/// A test: it passes when it returns and fails when it panics.
#[derive(Clone, Copy)]
pub(crate) struct Test {
    pub(crate) name: &'static str,
    /// Programs, or absolute paths, without which it is skipped.
    pub(crate) needs: &'static [&'static str],
    pub(crate) run: fn(&Workshop),
}

pub(crate) struct Runner {
    /// Only tests whose name holds one of these run; none: all.
    pub(crate) words: Vec<String>,
    /// Whether a missing tool is a failure.
    pub(crate) skip_fails: bool,
}

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

thread_local! {
    /// What the panic of this thread said, with its place.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Runner {
    /// Prints the names of the tests, as libtest does.
    pub(crate) fn list(&self, tests: &[Test]) {
        for test in tests.iter().filter(|test| self.wants(test)) {
            print(&format!("{}: test\n", test.name));
        }
    }

    /// Whether nothing failed.
    pub(crate) fn run(&self, tests: &[Test], workshop: &Workshop) -> bool {
        panic::set_hook(Box::new(|info| PANIC.with_borrow_mut(|text| *text = info.to_string())));
        let chosen: Vec<&Test> = tests.iter().filter(|test| self.wants(test)).collect();
        let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(test) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let start = Instant::now();
                        let outcome = self.outcome(test, workshop);
                        let mut tally = tally.lock().expect("no thread panics while it holds the tally");
                        tally.add(test.name, &outcome, start.elapsed().as_secs_f32());
                    }
                });
            }
        });
        let Tally { passed, failed, skipped } = tally.into_inner().expect("no thread panics while it holds the tally");
        print(&format!("\n{passed} passed, {failed} failed, {skipped} skipped\n"));
        failed == 0
    }

    fn wants(&self, test: &Test) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| test.name.contains(word.as_str()))
    }

    fn outcome(&self, test: &Test, workshop: &Workshop) -> Outcome {
        let missing: Vec<&str> = test.needs.iter().copied().filter(|tool| !call::exists(tool)).collect();
        if !missing.is_empty() {
            let reason = format!("needs {}", missing.join(", "));
            return if self.skip_fails { Outcome::Failed(reason) } else { Outcome::Skipped(reason) };
        }
        match panic::catch_unwind(AssertUnwindSafe(|| (test.run)(workshop))) {
            Ok(()) => Outcome::Passed,
            Err(_) => Outcome::Failed(PANIC.take()),
        }
    }
}

impl Tally {
    fn add(&mut self, name: &str, outcome: &Outcome, seconds: f32) {
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                print(&format!("{name} ... ok ({seconds:.1} s)\n"));
            }
            Outcome::Failed(text) => {
                self.failed += 1;
                print(&format!(
                    "{name} ... FAILED ({seconds:.1} s)\n    {}\n",
                    text.trim_end().replace('\n', "\n    ")
                ));
            }
            Outcome::Skipped(reason) => {
                self.skipped += 1;
                print(&format!("{name} ... SKIPPED: {reason}\n"));
            }
        }
    }
}

/// A closed stdout must not end the tests.
pub(crate) fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}
