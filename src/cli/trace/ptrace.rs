//! The kernel's requests to follow a process: each request in a function of its own.
//!
//! No crate that is kept well passes real-time signals on, which glibc itself uses between threads.

#![expect(unsafe_code, reason = "ptrace and pre_exec have no safe form")]

use std::ffi::c_void;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::ptr::null_mut;

use libc::{c_long, c_uint, pid_t};

/// Starts a program that stops at its first instruction and is followed from there by this thread.
pub(super) fn start(command: &mut Command) -> io::Result<Child> {
    let ask = || {
        // SAFETY: PTRACE_TRACEME takes no pointers.
        match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, null_mut::<c_void>(), null_mut::<c_void>()) } {
            -1 => Err(io::Error::from_raw_os_error(DENIED)),
            _ => Ok(()),
        }
    };
    // SAFETY: the closure makes one system call, which is async-signal-safe, and touches no memory.
    unsafe { command.pre_exec(ask) };
    command.spawn()
}

/// What [`start`] fails with when the kernel does not let a program be followed: nothing that starting gives.
pub(super) const DENIED: i32 = libc::EOWNERDEAD;

/// Has the kernel tell calls from signals, name new processes and programs, and end all when this process ends.
pub(super) fn set_options(pid: pid_t) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_EXITKILL;
    request(libc::PTRACE_SETOPTIONS, pid, c_long::from(options))
}

/// Lets a stopped process go on to its next call, with a signal (0: none).
pub(super) fn go_on(pid: pid_t, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_SYSCALL, pid, c_long::from(signal))
}

/// The message of the event that a process stopped at: the pid of a new process, or of the thread that executed.
pub(super) fn event(pid: pid_t) -> io::Result<pid_t> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: the kernel writes one unsigned long to the pointer, which is of that type and outlives the call.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, null_mut::<c_void>(), &raw mut message) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    pid_t::try_from(message).map_err(io::Error::other)
}

/// The kernel's account of the call that a process stopped at.
pub(super) fn syscall_info(pid: pid_t) -> io::Result<[u8; 128]> {
    let mut bytes = [0_u8; 128];
    // SAFETY: the kernel writes no more bytes to the pointer than the address argument says: the array's length.
    let result =
        unsafe { libc::ptrace(GET_SYSCALL_INFO, pid, bytes.len() as *mut c_void, bytes.as_mut_ptr().cast::<c_void>()) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(bytes) }
}

/// `PTRACE_GET_SYSCALL_INFO`, of Linux 5.3.
const GET_SYSCALL_INFO: c_uint = 0x420e;

fn request(request: c_uint, pid: pid_t, data: c_long) -> io::Result<()> {
    // SAFETY: these requests take numbers in the place of pointers; nothing is written.
    match unsafe { libc::ptrace(request, pid, null_mut::<c_void>(), data as *mut c_void) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Waits until some process that is followed stops or ends: its pid and status. `None` when there is none left.
pub(super) fn wait() -> io::Result<Option<(pid_t, i32)>> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one int to the pointer, which is of that type and outlives the call.
        match unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) } {
            -1 => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EINTR) => {}
                error if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
                error => return Err(error),
            },
            pid => return Ok(Some((pid, status))),
        }
    }
}
