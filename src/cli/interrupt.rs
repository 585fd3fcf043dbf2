//! What is left to do when the process is told to stop: temporary folders go.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Temporary folders of this process that may still be there.
static STAGED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Who takes the signals instead, while a program runs that they are meant for.
static HELD: Mutex<Option<Forward>> = Mutex::new(None);

/// Takes the number of a signal.
type Forward = Box<dyn FnMut(i32) + Send>;

/// From now on signals go to `forward` and do not end this process.
pub(super) fn hold(forward: impl FnMut(i32) + Send + 'static) {
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

/// From now on SIGINT, SIGTERM and SIGHUP remove temporary folders before they end the process, with 128 and the
/// signal's number as its exit code.
pub(super) fn watch() {
    let Ok(mut signals) = Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if let Some(forward) = HELD.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                forward(signal);
                continue;
            }
            let staged = STAGED.lock().unwrap_or_else(PoisonError::into_inner);
            for path in staged.iter() {
                // A folder that took its final name is no longer there under this one.
                let _ = std::fs::remove_dir_all(path);
            }
            end(128 + signal);
        }
    });
}

#[expect(clippy::exit, reason = "the main thread is at work and can't be asked to return")]
fn end(code: i32) -> ! {
    std::process::exit(code)
}
