//! The program of `mkimage trace -- CMD`: started, followed, and given the signals that are meant for it.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mkimage::report::{Diagnostic, Error, Result, plain};
use mkimage::trace::{self, At, Call, Handle, Observed, Outcome, Session, Syscall};
use rustix::process::{Pid, Signal, kill_process};

use super::follow::{Alive, End, Follower};
use super::ptrace;
use crate::cli::console::Console;
use crate::cli::{environment, interrupt};

/// How long a program has between being asked to end and being made to.
const GRACE: Duration = Duration::from_secs(3);

/// What was seen of a run, and its exit code.
pub(super) struct Run {
    pub(super) observed: Observed,
    pub(super) code: u8,
}

/// Runs a program to its end, or until `timeout`, and notes what it and all that it starts use.
pub(super) fn run(words: &[std::ffi::OsString], timeout: Option<Duration>, console: &Console) -> Result<Run> {
    let here = std::env::current_dir().map_err(|error| Error::io("find", ".".as_ref(), &error))?;
    let (first, rest) = words.split_first().ok_or_else(|| Error::internal("no program to trace"))?;
    let program = program(first)?;
    let mut command = Command::new(&program);
    std::os::unix::process::CommandExt::arg0(&mut command, first);
    command.args(rest);
    let alive = Arc::new(Alive::default());
    // What is sent to this process from here on is the program's.
    interrupt::hold(forward(Arc::clone(&alive)));
    let child = ptrace::start(&mut command).map_err(|error| not_started(&program, &error))?;
    let pid = i32::try_from(child.id()).map_err(Error::internal)?;
    let mut session = Session::new(Some(here.as_os_str().as_bytes().to_vec()));
    let path = std::path::absolute(&program).unwrap_or(program);
    let execute = Call::Execute(At { from: Handle::Cwd, path: path.as_os_str().as_bytes().to_vec() });
    session.take(&Syscall { pid: child.id(), call: execute, outcome: Outcome::Done(0) });
    let timed_out = timeout.map(|timeout| end_after(timeout, Arc::clone(&alive)));
    let mut sink = |syscall: &Syscall| session.take(syscall);
    let mut orphans = |left| {
        let them = if left == 1 { "a process" } else { "processes" };
        console.say(&format!("`{}` has ended and left {them} behind; waiting for that, ^C ends it", first.display()));
    };
    let followed = Follower::new(pid, alive, &mut sink, &mut orphans).run().map_err(|error| lost(&error))?;
    if followed.foreign {
        console.say("note: programs of another architecture, as 32-bit ones, ran and were not understood");
    }
    let code = match followed.end {
        _ if timed_out.is_some_and(|ended| ended.load(Ordering::SeqCst)) => 0,
        End::Exited(code) => u8::try_from(code).unwrap_or(1),
        End::Killed(signal) => u8::try_from(128 + signal).unwrap_or(1),
    };
    Ok(Run { observed: session.finish(), code })
}

fn program(name: &std::ffi::OsStr) -> Result<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let found = name.to_str().and_then(environment::program);
    found.ok_or_else(|| {
        Diagnostic::error(trace::NOT_STARTED, format!("program `{}` is not on PATH", name.display())).into()
    })
}

fn not_started(program: &std::path::Path, error: &std::io::Error) -> Error {
    if error.raw_os_error() == Some(ptrace::DENIED) {
        return denied();
    }
    Diagnostic::error(trace::NOT_STARTED, format!("cannot start `{}`: {}", program.display(), plain(error))).into()
}

fn denied() -> Error {
    Diagnostic::error(trace::DENIED, "this system does not let programs be traced")
        .note("a container's seccomp profile, Yama (`kernel.yama.ptrace_scope`) or a debugger that is there already")
        .help("where it is allowed, `strace -f -o LOG CMD` records the same: `mkimage trace --strace LOG`")
        .into()
}

fn lost(error: &std::io::Error) -> Error {
    // Linux before 5.3, and kernels that are none, do not know what is asked of them.
    if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::ENOSYS | libc::EPERM)) {
        return denied();
    }
    Diagnostic::error(trace::DENIED, format!("cannot follow the program: {}", plain(error))).into()
}

/// Hands on a signal. A terminal sends ^C to the program, too: it gets that only from here when there is no terminal,
/// or when it is asked for a second time, and then for good.
fn forward(alive: Arc<Alive>) -> impl FnMut(i32) -> bool + Send + 'static {
    use std::io::IsTerminal;
    let terminal = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
    let mut before = false;
    move |signal| {
        let from_terminal = terminal && signal == libc::SIGINT;
        let first = alive.first.load(Ordering::SeqCst);
        if before || first == 0 && alive.count.load(Ordering::SeqCst) > 0 {
            end_all(&alive);
        } else if !from_terminal {
            send(first, signal);
        }
        before = true;
        true
    }
}

fn send(pid: i32, signal: i32) {
    if let (Some(pid), Some(signal)) = (Pid::from_raw(pid), Signal::from_named_raw(signal)) {
        let _ = kill_process(pid, signal);
    }
}

/// Ends every process below this one, whatever they are called.
fn end_all(alive: &Alive) {
    send(alive.first.load(Ordering::SeqCst), libc::SIGKILL);
    for pid in descendants() {
        send(pid, libc::SIGKILL);
    }
}

/// The processes that this one follows, by what the kernel says of all: `TracerPid`.
fn descendants() -> Vec<i32> {
    let own = format!("TracerPid:\t{}\n", std::process::id());
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|text| text.contains(&own)))
        .collect()
}

/// Asks the program to end after a time, and makes it and what it left end a little later. Says whether that happened.
fn end_after(timeout: Duration, alive: Arc<Alive>) -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ended);
    std::thread::spawn(move || {
        std::thread::sleep(timeout);
        told.store(true, Ordering::SeqCst);
        for pid in descendants() {
            send(pid, libc::SIGTERM);
        }
        std::thread::sleep(GRACE);
        end_all(&alive);
    });
    ended
}
