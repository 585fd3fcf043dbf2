//! A user namespace for this process: in it an ordinary user may make the other namespaces, and give files to the
//! users that an image has.
//!
//! The numbers of users are mapped by a second process, since one inside must not: for root all that there are, else
//! those that `/etc/subuid` gives by newuidmap, else only the caller, as root of the namespace.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use rustix::thread::UnshareFlags;

use super::DENIED;
use crate::report::{Diagnostic, Error, Result, plain};

/// Which users the namespace has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// All, or thousands.
    Many,
    /// The caller, as root.
    One,
    /// The process stays where it is: it is root's, and namespaces of users are denied.
    Outside,
}

/// Why there is no namespace.
#[derive(Debug, Clone)]
pub struct Denied(String);

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        Diagnostic::error(DENIED, format!("user namespaces are denied here: {}", denied.0))
            .note("starting an image without root needs them, as rootless Podman does")
            .help(
                "see `sysctl user.max_user_namespaces kernel.unprivileged_userns_clone \
                 kernel.apparmor_restrict_unprivileged_userns`; in a container, its seccomp profile; or run as root",
            )
            .into()
    }
}

/// Enters a new user namespace. The process must have one thread only. `helper` is a command that calls [`map`] with
/// its process number when a byte comes on its standard input.
///
/// # Errors
/// When the kernel does not allow it.
pub fn enter(mut helper: Command) -> Result<Mapping, Denied> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let mut child = helper
        .arg(std::process::id().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| Denied(format!("no second process: {}", plain(&error))))?;
    let entered = unshare();
    if entered.is_ok()
        && let Some(mut stdin) = child.stdin.take()
    {
        let _ = stdin.write_all(b"m");
    }
    drop(child.stdin.take());
    let mapped = child.wait().is_ok_and(|status| status.success());
    match entered {
        Err(_) if uid.is_root() => return Ok(Mapping::Outside),
        Err(error) => return Err(Denied(plain(&error))),
        Ok(()) if mapped => return Ok(Mapping::Many),
        Ok(()) => {}
    }
    let write = |file: &str, text: String| std::fs::write(format!("/proc/self/{file}"), text);
    write("setgroups", "deny".to_owned())
        .and_then(|()| write("uid_map", format!("0 {} 1", uid.as_raw())))
        .and_then(|()| write("gid_map", format!("0 {} 1", gid.as_raw())))
        .map_err(|error| Denied(format!("the caller can't be mapped: {}", plain(&error))))?;
    Ok(Mapping::One)
}

#[expect(deprecated, reason = "what is unsafe of it is to stop sharing open files, which this does not")]
fn unshare() -> io::Result<()> {
    Ok(rustix::thread::unshare(UnshareFlags::NEWUSER)?)
}

/// Maps the users of another process, which has entered a namespace, when a byte comes on `signal`. Whether it could.
pub fn map(process: u32, mut signal: impl Read) -> bool {
    let mut byte = [0];
    if !matches!(signal.read(&mut byte), Ok(1)) {
        return false;
    }
    if rustix::process::geteuid().is_root() {
        let same = |kind: &str| -> io::Result<()> {
            let own = std::fs::read_to_string(format!("/proc/self/{kind}"))?;
            let line = |line: &str| -> Option<String> {
                let mut words = line.split_whitespace();
                let (inside, count) = (words.next()?, words.nth(1)?);
                Some(format!("{inside} {inside} {count}\n"))
            };
            std::fs::write(format!("/proc/{process}/{kind}"), own.lines().filter_map(line).collect::<String>())
        };
        return same("gid_map").is_ok() && same("uid_map").is_ok();
    }
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let (Some(users), Some(groups)) = (range("/etc/subuid", uid), range("/etc/subgid", uid)) else { return false };
    let call = |program: &str, own: u32, (first, count): (u32, u32)| {
        let words = [process, 0, own, 1, 1, first, count].map(|number| number.to_string());
        let quiet = Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    };
    call("newgidmap", gid, groups) && call("newuidmap", uid, users)
}

/// The first range of at least a thousand numbers that a file gives a user.
fn range(file: &str, uid: u32) -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let name =
        named.filter(|fields| fields.get(2).is_some_and(|id| *id == uid.to_string())).map(|fields| fields[0]).next();
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let (first, count): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        ((Some(owner) == name || owner == uid.to_string()) && count > 1000).then_some((first, count))
    })
}
