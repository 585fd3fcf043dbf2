//! System calls by name: which of their arguments is a path, a descriptor, a word of flags.

use super::{At, Call, Handle, OpenMode};

/// The arguments of one call, from registers and memory or from the text of a log.
pub trait Arguments {
    /// The text that an argument points to.
    fn path(&self, place: usize) -> Option<Vec<u8>>;
    /// A descriptor, or `AT_FDCWD`.
    fn handle(&self, place: usize) -> Option<Handle>;
    /// A number.
    fn number(&self, place: usize) -> Option<i64>;
    /// Whether a flag is set in a word of flags, or in the first word of what is pointed to.
    fn has(&self, place: usize, flag: Flag) -> bool;
    /// The path of a socket's address.
    fn socket(&self, place: usize) -> Option<Vec<u8>>;
}

/// A flag that changes what a call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Its name in `<fcntl.h>`, `<sched.h>` or `<sys/mman.h>`.
    pub name: &'static str,
    /// Its bits; the same on x86-64 and aarch64.
    pub bits: u64,
}

const WRITE_ONLY: Flag = Flag { name: "O_WRONLY", bits: 1 };
const READ_WRITE: Flag = Flag { name: "O_RDWR", bits: 2 };
const CREATE: Flag = Flag { name: "O_CREAT", bits: 0o100 };
const TEMPORARY: Flag = Flag { name: "O_TMPFILE", bits: 0o20_000_000 };
const CODE: Flag = Flag { name: "PROT_EXEC", bits: 4 };
const SHARE_FOLDER: Flag = Flag { name: "CLONE_FS", bits: 0x200 };
const SHARE_DESCRIPTORS: Flag = Flag { name: "CLONE_FILES", bits: 0x400 };

/// What a call of this name means; `None` when it has nothing to do with files, or an argument can't be read.
pub fn call(name: &str, arguments: &dyn Arguments) -> Option<Call> {
    let plain = |place: usize| Some(At { from: Handle::Cwd, path: arguments.path(place)? });
    let at = |place: usize| Some(At { from: arguments.handle(place)?, path: arguments.path(place + 1)? });
    Some(match name {
        "open" => Call::Open { at: plain(0)?, mode: open_mode(arguments, 1) },
        "openat" | "openat2" => Call::Open { at: at(0)?, mode: open_mode(arguments, 2) },
        "creat" => Call::Open { at: plain(0)?, mode: OpenMode::Create },
        "execve" => Call::Execute(plain(0)?),
        "execveat" => Call::Execute(at(0)?),
        "stat" | "stat64" | "lstat" | "lstat64" | "access" | "statfs" | "statfs64" | "getxattr" | "lgetxattr"
        | "listxattr" | "llistxattr" | "uselib" => Call::Look(plain(0)?),
        "newfstatat" | "fstatat64" | "faccessat" | "faccessat2" | "statx" => Call::Look(at(0)?),
        "inotify_add_watch" => Call::Look(plain(1)?),
        "readlink" => Call::ReadLink(plain(0)?),
        "readlinkat" => Call::ReadLink(at(0)?),
        "mmap" | "mmap2" if arguments.has(2, CODE) && arguments.number(4).is_none_or(|number| number >= 0) => {
            Call::MapCode(arguments.handle(4)?)
        }
        "getdents" | "getdents64" => Call::List(arguments.handle(0)?),
        "chdir" => Call::Enter(plain(0)?),
        "fchdir" => Call::Enter(At { from: arguments.handle(0)?, path: Vec::new() }),
        "chroot" => Call::ChangeRoot(plain(0)?),
        "mkdir" | "mknod" => Call::Make(plain(0)?),
        "mkdirat" | "mknodat" => Call::Make(at(0)?),
        "symlink" | "link" => Call::Make(plain(1)?),
        "symlinkat" => Call::Make(at(1)?),
        "linkat" => Call::Make(at(2)?),
        "rename" => Call::Rename(plain(0)?, plain(1)?),
        "renameat" | "renameat2" => Call::Rename(at(0)?, at(2)?),
        "unlink" | "rmdir" => Call::Remove(plain(0)?),
        "unlinkat" => Call::Remove(at(0)?),
        "connect" => Call::Connect(At { from: Handle::Cwd, path: arguments.socket(1)? }),
        "bind" => Call::Make(At { from: Handle::Cwd, path: arguments.socket(1)? }),
        "dup" => Call::Duplicate { from: arguments.handle(0)?, to: None },
        "dup2" | "dup3" => Call::Duplicate {
            from: arguments.handle(0)?,
            to: arguments.number(1).and_then(|number| i32::try_from(number).ok()),
        },
        // F_DUPFD and F_DUPFD_CLOEXEC.
        "fcntl" if matches!(arguments.number(1), Some(0 | 1030)) => {
            Call::Duplicate { from: arguments.handle(0)?, to: None }
        }
        "close" => Call::Close(i32::try_from(arguments.number(0)?).ok()?),
        "fork" | "vfork" => Call::Fork { share_folder: false, share_descriptors: false },
        "clone" | "clone3" => Call::Fork {
            share_folder: arguments.has(0, SHARE_FOLDER),
            share_descriptors: arguments.has(0, SHARE_DESCRIPTORS),
        },
        "exit" | "exit_group" => Call::Exit,
        _ => return None,
    })
}

fn open_mode(arguments: &dyn Arguments, place: usize) -> OpenMode {
    let has = |flag| arguments.has(place, flag);
    if has(CREATE) || has(TEMPORARY) {
        OpenMode::Create
    } else if has(WRITE_ONLY) || has(READ_WRITE) {
        OpenMode::Write
    } else {
        OpenMode::Read
    }
}
