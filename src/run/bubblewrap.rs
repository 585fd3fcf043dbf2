//! The arguments of bubblewrap, which starts programs where no OCI runtime can.

use std::ffi::OsString;

use super::{Mount, Network, Start};

/// Everything after the program's own name; `info` is the file descriptor that it tells the process number on.
pub(super) fn arguments(start: &Start, info: i32) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    let mut add = |words: &[&dyn AsRef<std::ffi::OsStr>]| all.extend(words.iter().map(|word| word.as_ref().to_owned()));
    add(&[
        &"--unshare-user",
        &"--unshare-pid",
        &"--unshare-ipc",
        &"--unshare-uts",
        &"--as-pid-1",
        &"--die-with-parent",
    ]);
    add(&[&"--hostname", &"mkimage", &"--cap-drop", &"ALL", &"--clearenv", &"--info-fd", &info.to_string()]);
    add(&[&"--uid", &start.account.uid.to_string(), &"--gid", &start.account.gid.to_string()]);
    if start.network == Network::None {
        add(&[&"--unshare-net"]);
    }
    if !start.terminal {
        add(&[&"--new-session"]);
    }
    add(&[if start.read_only { &"--ro-bind" } else { &"--bind" }, &start.rootfs, &"/"]);
    add(&[&"--proc", &"/proc", &"--dev", &"/dev", &"--mqueue", &"/dev/mqueue"]);
    for mount in &start.mounts {
        match mount {
            Mount::Memory { to, mode } => add(&[&"--perms", &format!("{mode:04o}"), &"--tmpfs", &to.to_string()]),
            Mount::Bind { from, to, read_only } => {
                add(&[if *read_only { &"--ro-bind" } else { &"--bind" }, from, &to.to_string()]);
            }
        }
    }
    for set in &start.env {
        if let Some((name, value)) = set.split_once('=') {
            add(&[&"--setenv", &name, &value]);
        }
    }
    add(&[&"--chdir", &start.workdir, &"--"]);
    all.extend(start.args.iter().map(OsString::from));
    all
}
