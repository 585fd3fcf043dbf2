//! What every image has: accounts, name service configuration, the distribution's name, the usual folders.

use std::fmt::Write as _;

use crate::path::ImagePath;
use crate::report::{Error, Result};
use crate::select::Accounts;
use crate::source::{Content, NodeKind, Source, find, resolve};
use crate::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

use super::bring;

/// What the standard content depends on.
#[derive(Debug, Clone, Copy)]
pub struct Standard<'a> {
    /// The image's accounts.
    pub accounts: &'a Accounts,
    /// `/etc/ld.so.cache`, when some library can only be found by it.
    pub cache: Option<&'a [u8]>,
}

/// Adds what every image has, where nothing else stands.
///
/// # Errors
/// When the root's own files (os-release) can't be read.
pub fn add_standard(tree: &mut Tree, root: &dyn Source, standard: &Standard<'_>) -> Result<()> {
    let accounts = standard.accounts;
    file(tree, "/etc/passwd", &passwd(accounts), "account file")?;
    file(tree, "/etc/group", &group(accounts), "account file")?;
    file(tree, "/etc/nsswitch.conf", NSSWITCH, "name service configuration")?;
    if let Some(cache) = standard.cache {
        let kind = EntryKind::File(Content::bytes(cache));
        generated(tree, "/etc/ld.so.cache", kind, 0o644, (0, 0), "cache of libraries outside the system directories")?;
    }
    for path in RELEASES {
        if find(root, path.as_bytes())?.is_some_and(|found| found.node.content().is_some()) {
            let reason = Reason::new(Cause::Generated("name of the distribution, for scanners"), None);
            bring(tree, root, path.as_bytes(), Rank::Generated, &reason)?;
        }
    }
    way_to_the_shell(tree, root)?;
    for (path, mode) in FOLDERS {
        generated(tree, path, EntryKind::Directory, mode, (0, 0), "usual folder")?;
    }
    for user in &accounts.users {
        if user.home.is_root() || user.home.as_bytes() == b"/nonexistent" {
            continue;
        }
        let home = user.home.to_string();
        generated(tree, &home, EntryKind::Directory, 0o700, (user.uid, user.gid), "home")?;
    }
    Ok(())
}

/// In a merged /usr, `/bin` is a link: an image with a shell has it, since system(3) starts `/bin/sh` whoever brought
/// it.
fn way_to_the_shell(tree: &mut Tree, root: &dyn Source) -> Result<()> {
    const SHELLS: [&str; 4] = ["sh", "bash", "dash", "busybox"];
    let bin = ImagePath::new("/bin").map_err(Error::internal)?;
    let node = root.node(&bin).map_err(|error| super::io_error("look at", &bin, &error))?;
    let Some(NodeKind::Symlink(target)) = node.map(|node| node.kind) else { return Ok(()) };
    let has = |shell: &&str| {
        let path = [b"/", target.as_slice(), b"/", shell.as_bytes()].concat();
        resolve(tree, &path).is_ok_and(|found| found.node.content().is_some())
    };
    if tree.below(&bin).next().is_some() || !SHELLS.iter().any(has) {
        return Ok(());
    }
    generated(tree, "/bin", EntryKind::Symlink(target), 0o777, (0, 0), "the way to its shell")
}

/// Where distributions say which one they are. Scanners ask more than `os-release`: to Trivy, Ubuntu without
/// `lsb-release` is a Debian, Oracle Linux by `redhat-release` alone is Red Hat's, and Amazon's is none at all.
const RELEASES: [&str; 7] = [
    "/etc/os-release",
    "/etc/debian_version",
    "/etc/lsb-release",
    "/etc/alpine-release",
    "/etc/redhat-release",
    "/etc/oracle-release",
    "/etc/system-release",
];

const FOLDERS: [(&str, u32); 8] = [
    ("/dev", 0o755),
    ("/etc/ld.so.conf.d", 0o755),
    ("/proc", 0o755),
    ("/run", 0o755),
    ("/sys", 0o755),
    ("/tmp", 0o1777),
    ("/var", 0o755),
    ("/var/tmp", 0o1777),
];

/// `files` and `dns` are inside glibc since 2.34; no other word's module ships unless asked for.
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
    protocols: files\nservices: files\nethers: files\nrpc: files\nnetgroup: files\n";

fn passwd(accounts: &Accounts) -> String {
    let mut text = String::new();
    for user in &accounts.users {
        let _ = writeln!(text, "{0}:x:{1}:{2}:{0}:{3}:{4}", user.name, user.uid, user.gid, user.home, user.shell);
    }
    text
}

fn group(accounts: &Accounts) -> String {
    let mut text = String::new();
    for (name, gid, members) in &accounts.groups {
        let _ = writeln!(text, "{name}:x:{gid}:{}", members.join(","));
    }
    text
}

fn file(tree: &mut Tree, path: &str, text: &str, what: &'static str) -> Result<()> {
    generated(tree, path, EntryKind::File(Content::bytes(text.as_bytes())), 0o644, (0, 0), what)
}

/// Places a generated entry; anything that stands there already, by whatever way, stays.
fn generated(
    tree: &mut Tree,
    path: &str,
    kind: EntryKind,
    mode: u32,
    owner: (u32, u32),
    what: &'static str,
) -> Result<()> {
    let path = ImagePath::new(path).map_err(Error::internal)?;
    let reason = Reason::new(Cause::Generated(what), None);
    let mut entry = Entry::new(kind, mode, Rank::Generated, reason);
    (entry.uid, entry.gid) = owner;
    // `/tmp` may be a link of the recipe's, `/var/run` one of the root's.
    let place = match resolve(tree, path.as_bytes()) {
        Ok(found) => found.real,
        Err(_) => path,
    };
    tree.place(place.clone(), entry).map_err(|error| super::io_error("read", &place, &error))?;
    Ok(())
}
