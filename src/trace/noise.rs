//! What a run uses and an image does without, with the reason.

use crate::path::ImagePath;

/// Why a path that the image lacks is not to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A program used it that the recipe does not ship, and that no program of the recipe started.
    OtherProgram,
    /// It was asked for, and is nowhere.
    Nowhere,
    /// It was only looked at: tried on the way to another, or listed with others.
    LookedAt,
    /// The kernel makes it: /proc, /sys, /dev.
    Kernel,
    /// The run made it.
    Made,
    /// It is temporary.
    Temporary,
    /// It is what this machine is set up with, not the image.
    Host,
    /// The user's language decides about it, not the program.
    Locale,
    /// It is in the user's home.
    Home,
    /// It is in the folder where the run began.
    WorkingFolder,
    /// It is a variant for this machine's processor of a library that ships.
    Variant,
    /// It is a socket of another service.
    Socket,
}

impl Why {
    /// Completes "12 paths ...".
    pub fn text(self) -> &'static str {
        match self {
            Self::OtherProgram => "used by programs that the recipe does not ship",
            Self::Nowhere => "asked for and nowhere to be found",
            Self::LookedAt => "only looked at, never opened",
            Self::Kernel => "of the kernel: /proc, /sys, /dev",
            Self::Made => "made by the run itself",
            Self::Temporary => "temporary",
            Self::Host => "the set-up of this machine",
            Self::Locale => "for the language of whoever ran it",
            Self::Home => "in the home folder",
            Self::WorkingFolder => "in the folder where it ran",
            Self::Variant => "variants for this processor of libraries that ship",
            Self::Socket => "sockets of other services",
        }
    }
}

/// Folders that the kernel fills.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Folders for what does not last.
const TEMPORARY: [&str; 4] = ["/tmp", "/var/tmp", "/run/user", "/run/lock"];

/// Files and folders that say how a machine is set up; an engine or mkimage makes those that an image needs.
const HOST: [&str; 22] = [
    "/etc/adjtime",
    "/etc/environment",
    "/etc/fstab",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/gshadow",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.nohwcap",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/machine-id",
    "/etc/mtab",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/etc/shadow",
    "/etc/timezone",
];

/// Folders of what a language brings.
const LOCALE: [&str; 5] =
    ["/usr/lib/locale", "/usr/share/locale", "/usr/share/locale-langpack", "/usr/share/i18n", "/usr/share/X11/locale"];

/// The reason that the place of a path gives.
pub fn by_place(path: &ImagePath) -> Option<Why> {
    let within = |folders: &[&str]| {
        folders.iter().any(|folder| {
            path.as_bytes().strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        })
    };
    if within(&KERNEL) {
        Some(Why::Kernel)
    } else if within(&TEMPORARY) {
        Some(Why::Temporary)
    } else if within(&HOST) {
        Some(Why::Host)
    } else if within(&LOCALE) || path.as_bytes().ends_with(b"/gconv/gconv-modules.cache") {
        Some(Why::Locale)
    } else {
        None
    }
}
