//! The numbers by which the kernel knows the calls that count, by architecture.
//!
//! The table of aarch64, the kernel's generic one, is tested against what its headers say and was not yet run.

/// A processor architecture whose calls are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64, 64-bit calls only.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Architecture {
    /// By the kernel's `AUDIT_ARCH_*`, which says what kind of call it is: a 64-bit kernel runs 32-bit programs, too.
    pub fn of_audit(value: u32) -> Option<Self> {
        match value {
            0xc000_003e => Some(Self::X86_64),
            0xc000_00b7 => Some(Self::Aarch64),
            _ => None,
        }
    }
}

/// Name, number on x86-64, number on aarch64: `asm/unistd_64.h`, `asm-generic/unistd.h`.
const TABLE: [(&str, Option<u64>, Option<u64>); 55] = [
    ("open", Some(2), None),
    ("close", Some(3), Some(57)),
    ("stat", Some(4), None),
    ("lstat", Some(6), None),
    ("mmap", Some(9), Some(222)),
    ("access", Some(21), None),
    ("dup", Some(32), Some(23)),
    ("dup2", Some(33), None),
    ("connect", Some(42), Some(203)),
    ("bind", Some(49), Some(200)),
    ("clone", Some(56), Some(220)),
    ("fork", Some(57), None),
    ("vfork", Some(58), None),
    ("execve", Some(59), Some(221)),
    ("exit", Some(60), Some(93)),
    ("fcntl", Some(72), Some(25)),
    ("getdents", Some(78), None),
    ("chdir", Some(80), Some(49)),
    ("fchdir", Some(81), Some(50)),
    ("rename", Some(82), None),
    ("mkdir", Some(83), None),
    ("rmdir", Some(84), None),
    ("creat", Some(85), None),
    ("link", Some(86), None),
    ("unlink", Some(87), None),
    ("symlink", Some(88), None),
    ("readlink", Some(89), None),
    ("mknod", Some(133), None),
    ("uselib", Some(134), None),
    ("statfs", Some(137), Some(43)),
    ("chroot", Some(161), Some(51)),
    ("getxattr", Some(191), Some(8)),
    ("lgetxattr", Some(192), Some(9)),
    ("listxattr", Some(194), Some(11)),
    ("llistxattr", Some(195), Some(12)),
    ("getdents64", Some(217), Some(61)),
    ("exit_group", Some(231), Some(94)),
    ("inotify_add_watch", Some(254), Some(27)),
    ("openat", Some(257), Some(56)),
    ("mkdirat", Some(258), Some(34)),
    ("mknodat", Some(259), Some(33)),
    ("newfstatat", Some(262), Some(79)),
    ("unlinkat", Some(263), Some(35)),
    ("renameat", Some(264), Some(38)),
    ("linkat", Some(265), Some(37)),
    ("symlinkat", Some(266), Some(36)),
    ("readlinkat", Some(267), Some(78)),
    ("faccessat", Some(269), Some(48)),
    ("dup3", Some(292), Some(24)),
    ("renameat2", Some(316), Some(276)),
    ("execveat", Some(322), Some(281)),
    ("statx", Some(332), Some(291)),
    ("clone3", Some(435), Some(435)),
    ("openat2", Some(437), Some(437)),
    ("faccessat2", Some(439), Some(439)),
];

/// The name of a call by its number; `None` for calls that do not count.
pub fn name(architecture: Architecture, number: u64) -> Option<&'static str> {
    TABLE.iter().find(|row| of(row, architecture) == Some(number)).map(|(name, ..)| *name)
}

/// The number of a call by its name; `None` where the architecture has no such call.
pub fn number(architecture: Architecture, name: &str) -> Option<u64> {
    TABLE.iter().find(|row| row.0 == name).and_then(|row| of(row, architecture))
}

fn of(row: &(&str, Option<u64>, Option<u64>), architecture: Architecture) -> Option<u64> {
    match architecture {
        Architecture::X86_64 => row.1,
        Architecture::Aarch64 => row.2,
    }
}
