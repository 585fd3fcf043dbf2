//! A program and all that it starts, followed to the end: each call that counts goes to whoever asks.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use mkimage::trace::{Architecture, Call, Outcome, Stop, Syscall, call, name, read_stop};

use super::ptrace;
use super::registers::Registers;

/// How a followed program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal.
    Killed(i32),
}

/// What others may want to know of the processes: signals are sent to them from another thread.
#[derive(Debug, Default)]
pub(super) struct Alive {
    /// The program itself; 0 when it ended.
    pub(super) first: AtomicI32,
    /// How many processes and threads are left.
    pub(super) count: AtomicU32,
}

/// What became of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Followed {
    pub(super) end: End,
    /// Processes of another architecture, as 32-bit ones, whose calls were not understood.
    pub(super) foreign: bool,
}

#[derive(Debug, Default)]
struct Tracee {
    /// The call that it is in.
    pending: Option<Call>,
    /// Stopped at its beginning, until it is known who made it.
    waits: bool,
    /// Its first stop has not come yet.
    fresh: bool,
}

pub(super) struct Follower<'a> {
    first: i32,
    tracees: HashMap<i32, Tracee>,
    alive: Arc<Alive>,
    sink: &'a mut dyn FnMut(&Syscall),
    orphans: &'a mut dyn FnMut(u32),
    foreign: bool,
}

impl<'a> Follower<'a> {
    /// Follows a program that [`ptrace::start`] started.
    pub(super) fn new(
        first: i32,
        alive: Arc<Alive>,
        sink: &'a mut dyn FnMut(&Syscall),
        orphans: &'a mut dyn FnMut(u32),
    ) -> Self {
        alive.first.store(first, Ordering::SeqCst);
        let tracees = HashMap::from([(first, Tracee { fresh: true, ..Tracee::default() })]);
        Self { first, tracees, alive, sink, orphans, foreign: false }
    }

    /// Until nothing is left. `orphans` is told how many processes are when the program itself has ended.
    pub(super) fn run(mut self) -> io::Result<Followed> {
        let mut end = End::Exited(0);
        while let Some((pid, status)) = ptrace::wait()? {
            if libc::WIFSTOPPED(status) {
                self.stopped(pid, status)?;
            } else {
                self.tracees.remove(&pid);
                if pid == self.first {
                    self.alive.first.store(0, Ordering::SeqCst);
                    end = if libc::WIFSIGNALED(status) {
                        End::Killed(libc::WTERMSIG(status))
                    } else {
                        End::Exited(libc::WEXITSTATUS(status))
                    };
                    if !self.tracees.is_empty() {
                        (self.orphans)(u32::try_from(self.tracees.len()).unwrap_or(u32::MAX));
                    }
                }
            }
            self.alive.count.store(u32::try_from(self.tracees.len()).unwrap_or(u32::MAX), Ordering::SeqCst);
        }
        Ok(Followed { end, foreign: self.foreign })
    }

    fn stopped(&mut self, pid: i32, status: i32) -> io::Result<()> {
        let signal = libc::WSTOPSIG(status);
        let event = status >> 16;
        if event == libc::PTRACE_EVENT_FORK || event == libc::PTRACE_EVENT_VFORK || event == libc::PTRACE_EVENT_CLONE {
            self.forked(pid);
        } else if event == libc::PTRACE_EVENT_EXEC {
            // Whichever thread executed goes on under the pid of the process; the others are gone.
            if let Some(old) = ptrace::event(pid).ok().filter(|old| *old != pid)
                && let Some(tracee) = self.tracees.remove(&old)
            {
                self.tracees.insert(pid, tracee);
            }
        } else if signal == libc::SIGTRAP | 0x80 {
            self.at_call(pid)?;
        } else {
            return self.signalled(pid, signal);
        }
        go_on(pid, 0)
    }

    fn signalled(&mut self, pid: i32, signal: i32) -> io::Result<()> {
        let Some(tracee) = self.tracees.get_mut(&pid) else {
            // A new process may stop before the one that made it.
            self.tracees.insert(pid, Tracee { waits: true, ..Tracee::default() });
            return Ok(());
        };
        if std::mem::take(&mut tracee.fresh) {
            if pid == self.first {
                ptrace::set_options(pid)?;
            }
            return go_on(pid, 0);
        }
        go_on(pid, signal)
    }

    fn forked(&mut self, parent: i32) {
        let Ok(child) = ptrace::event(parent) else { return };
        // The event comes before the call's end: the child may run before that, and must be known.
        if let Some(call @ Call::Fork { .. }) = self.tracees.get_mut(&parent).and_then(|parent| parent.pending.take()) {
            self.tell(parent, call, Outcome::Done(i64::from(child)));
        }
        match self.tracees.get_mut(&child) {
            Some(known) if known.waits => {
                known.waits = false;
                let _ = go_on(child, 0);
            }
            Some(_) => {}
            None => {
                self.tracees.insert(child, Tracee { fresh: true, ..Tracee::default() });
            }
        }
    }

    fn at_call(&mut self, pid: i32) -> io::Result<()> {
        let info = match ptrace::syscall_info(pid) {
            Ok(info) => info,
            // It was killed meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
            Err(error) => return Err(error),
        };
        match read_stop(&info) {
            Some(Stop::Entry { architecture, number, arguments }) => {
                let Some(architecture) = Architecture::of_audit(architecture) else {
                    self.foreign = true;
                    return Ok(());
                };
                let call = name(architecture, number).and_then(|name| call(name, &Registers { pid, name, arguments }));
                // The end of a process comes with no stop after it.
                if call == Some(Call::Exit) {
                    self.tell(pid, Call::Exit, Outcome::Done(0));
                } else {
                    self.tracees.entry(pid).or_default().pending = call;
                }
            }
            Some(Stop::Exit(result)) => {
                if let Some(call) = self.tracees.get_mut(&pid).and_then(|tracee| tracee.pending.take()) {
                    self.tell(pid, call, outcome(result));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn tell(&mut self, pid: i32, call: Call, outcome: Outcome) {
        if let Ok(pid) = u32::try_from(pid) {
            (self.sink)(&Syscall { pid, call, outcome });
        }
    }
}

/// A process that was killed while it was stopped is no mistake: its end comes next.
fn go_on(pid: i32, signal: i32) -> io::Result<()> {
    match ptrace::go_on(pid, signal) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result,
    }
}

fn outcome(result: Result<i64, i64>) -> Outcome {
    match result {
        Ok(value) => Outcome::Done(value),
        Err(number) if number == i64::from(libc::ENOENT) || number == i64::from(libc::ENOTDIR) => Outcome::Absent,
        Err(_) => Outcome::Failed,
    }
}
