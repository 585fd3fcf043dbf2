//! What is left to do when the process is told to stop: what it started ends, temporary folders go.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

/// Temporary folders of this process that may still be there.
static STAGED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// Programs of images that this process started and that may still run.
static STARTED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
/// What else is to be done before this process ends.
static AT_END: Mutex<Vec<Box<dyn FnOnce() + Send>>> = Mutex::new(Vec::new());
/// Held from a signal that ends this process until its end.
static ENDING: Mutex<()> = Mutex::new(());
/// Who takes the signals instead, while a program runs that they are meant for.
static HELD: Mutex<Option<Forward>> = Mutex::new(None);

/// Signals for a program that is being started.
static KEPT: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// Takes the number of a signal; whether it was for somebody.
type Forward = Box<dyn FnMut(i32) -> bool + Send>;

/// From now on signals go to `forward`, and end this process only when that has nobody to give them to.
pub(super) fn hold(forward: impl FnMut(i32) -> bool + Send + 'static) {
    *HELD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(forward));
}

/// From now on signals end this process again.
pub(super) fn release() {
    *HELD.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Remembers a temporary folder.
pub(super) fn remember(path: &Path) {
    STAGED.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
}

/// Remembers a program that must not outlive this process.
pub(super) fn end_with(program: Pid) {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner).push(program);
}

/// Does not return when a signal is about to end this process: what was ended for that says nothing.
pub(super) fn settle() {
    drop(ENDING.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Remembers something to be done when signals end this process.
pub(super) fn at_end(work: impl FnOnce() + Send + 'static) {
    AT_END.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(work));
}

/// From now on signals are kept for a program that is about to start: [`forward_to`] hands them over, [`give_up`] ends
/// this process by them.
pub(super) fn keep() {
    hold(|signal| {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(signal);
        true
    });
    let Ok(mut signals) = Signals::new([SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH]) else { return };
    std::thread::spawn(move || {
        for signal in signals.forever() {
            forward(signal);
        }
    });
}

/// From now on signals are for a program, whose end is the end of this process; those that were kept, too.
pub(super) fn forward_to(program: Pid) {
    let send = move |signal| Signal::from_named_raw(signal).is_some_and(|signal| kill_process(program, signal).is_ok());
    // None can be kept while this is held.
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    for signal in KEPT.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        send(signal);
    }
    *held = Some(Box::new(send));
}

/// No program runs that signals could be for; the exit code when one was kept that ends this process.
pub(super) fn give_up() -> Option<u8> {
    release();
    let kept = std::mem::take(&mut *KEPT.lock().unwrap_or_else(PoisonError::into_inner));
    let ends = kept.into_iter().find(|signal| [SIGHUP, SIGINT, SIGTERM].contains(signal))?;
    u8::try_from(128 + ends).ok()
}

/// Whether a signal was for somebody else.
fn forward(signal: i32) -> bool {
    HELD.lock().unwrap_or_else(PoisonError::into_inner).as_mut().is_some_and(|forward| forward(signal))
}

/// Whether a process is the first one of a namespace of processes: the number of one that has ended may be another's.
fn is_first(process: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let numbers: Vec<&str> = numbers.into_iter().flat_map(str::split_whitespace).collect();
    numbers.len() > 1 && numbers.last() == Some(&"1")
}

/// From now on SIGINT, SIGTERM and SIGHUP remove temporary folders before they end the process, with 128 and the
/// signal's number as its exit code.
///
/// # Errors
/// When the system has no thread to give.
pub(super) fn watch() -> std::io::Result<()> {
    let Ok(mut signals) = Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return Ok(()) };
    let wait = move || {
        if let Some(signal) = signals.forever().find(|signal| !forward(*signal)) {
            let _ending = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
            let started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
            for program in started.iter().filter(|program| is_first(**program)) {
                let _ = kill_process(*program, Signal::KILL);
            }
            for work in AT_END.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                work();
            }
            let staged = STAGED.lock().unwrap_or_else(PoisonError::into_inner);
            for path in staged.iter() {
                // A folder that took its final name is no longer there under this one.
                let _ = mkimage::layer::remove_tree(path);
            }
            end(128 + signal);
        }
    };
    std::thread::Builder::new().spawn(wait).map(drop)
}

#[expect(clippy::exit, reason = "the main thread is at work and can't be asked to return")]
fn end(code: i32) -> ! {
    std::process::exit(code)
}
