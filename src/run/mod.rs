//! Starting an image here, without daemon or root: its files in a temporary folder, a runtime that is installed, and
//! namespaces of its own.
//!
//! In: an unpacked [`Image`] and what is asked of its program ([`Start`]). Out: a [`Running`] program. Together with
//! loading an image into an engine this is the one place that starts a process, and it never is one of a recipe or
//! an image outside of namespaces.

use crate::path::ImagePath;
use crate::report::Code;
use std::path::PathBuf;

mod account;
mod bubblewrap;
mod bundle;
mod container;
mod data;
mod launch;
mod namespace;
mod network;
mod parameters;
mod program;
mod runtime;
mod unpack;

pub use account::Account;
pub use bundle::config;
pub use container::Containers;
pub use data::{copy_folder, exists, folder_of, second_tree};
pub use launch::{Launcher, Running, Streams};
pub use namespace::{Denied, Mapping, enter, map};
pub use network::own as own_network;
pub use parameters::Parameters;
pub use runtime::{Kind, Runtime};
pub use unpack::{unpack, unpack_layers};

/// The kernel denies the namespaces that starting an image here needs.
pub const DENIED: Code = Code("E0278");
/// No program is installed that starts images.
pub const NO_RUNTIME: Code = Code("E0279");
/// No runtime can start the image.
pub const NOT_STARTED: Code = Code("E0280");
/// An image has a layer that can't be unpacked.
pub const NOT_UNPACKED: Code = Code("E0281");
/// The program that should start is not in the image.
pub const NO_PROGRAM: Code = Code("E0282");
/// The image has no such user or group.
pub const NO_USER: Code = Code("E0283");
/// The network of a container can't be entered.
pub const NOT_JOINED: Code = Code("E0284");

/// An image as files, and what its configuration says of starting it.
#[derive(Debug, Clone)]
pub struct Image {
    /// What a person calls it.
    pub name: String,
    /// The folder of its files.
    pub rootfs: PathBuf,
    /// What its configuration says.
    pub parameters: Parameters,
    /// Folders that its recipe wants to be writable, beside its volumes.
    pub writable: Vec<ImagePath>,
}

/// A program of an image, about to be started.
#[derive(Debug, Clone)]
pub struct Start {
    /// The folder of the image's files.
    pub rootfs: PathBuf,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Variables, `NAME=VALUE`.
    pub env: Vec<String>,
    /// The folder that it starts in.
    pub workdir: String,
    /// Who it runs as.
    pub account: Account,
    /// What is mounted over the image's files, in order.
    pub mounts: Vec<Mount>,
    /// Whether the image's files can't be written.
    pub read_only: bool,
    /// Whether it gets a terminal.
    pub terminal: bool,
    /// Which network it has.
    pub network: Network,
}

/// Which network a program has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// That of whoever starts it: the machine's, or the test's own.
    Caller {
        /// Whether it is the machine's.
        host: bool,
    },
    /// Its own, with a loopback and nothing else.
    None,
    /// That of a container that runs, by its name: for engines alone.
    Of(String),
}

/// Something mounted over the image's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// An empty folder in memory.
    Memory {
        /// Where.
        to: ImagePath,
        /// Permission bits.
        mode: u32,
    },
    /// A file or folder of this machine.
    Bind {
        /// Where it is.
        from: PathBuf,
        /// Where it goes.
        to: ImagePath,
        /// Whether it can't be written.
        read_only: bool,
    },
}
