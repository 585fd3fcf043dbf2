//! What a run used: from the system calls of a program to the paths that an image lacks.
//!
//! In: calls, as a [log of strace](strace) or a tracer tells them, the image's tree and the root that it is made from.
//! Out: what the run used, what of it the image lacks, and the entries of a recipe that bring it. Runs nothing, traces
//! nothing, writes nothing: the command line does.

use crate::report::Code;

mod call;
mod compare;
mod noise;
mod numbers;
mod session;
mod stop;
pub mod strace;
mod suggest;

pub use call::{Arguments, Flag, call};
pub use compare::{Comparison, Kind, Missing, Surroundings, compare};
pub use noise::{Why, by_place};
pub use numbers::{Architecture, name, number};
pub use session::{Manner, Observed, ProgramId, Session};
pub use stop::{Stop, read_stop};
pub use suggest::{candidates, suggest};

/// The system does not let programs be traced.
pub const DENIED: Code = Code("E0287");
/// The program to trace does not start.
pub const NOT_STARTED: Code = Code("E0288");
/// A file is no log of strace.
pub const NOT_A_LOG: Code = Code("E0289");

/// A process, or a thread of one.
pub type Pid = u32;

/// One system call that has to do with files, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syscall {
    /// Who called.
    pub pid: Pid,
    /// What.
    pub call: Call,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It gave this.
    Done(i64),
    /// Nothing is there: ENOENT, ENOTDIR.
    Absent,
    /// It failed otherwise.
    Failed,
}

/// Where a relative path begins, or an open file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handle {
    /// The process's folder.
    Cwd,
    /// An open file of the process.
    Descriptor(i32),
    /// An open file whose path is known.
    Known(Vec<u8>),
}

/// A path as a call has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// Where it begins, when it is relative.
    pub from: Handle,
    /// Its text; empty for what `from` stands for.
    pub path: Vec<u8>,
}

/// The calls that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Opens a file or folder.
    Open {
        /// Which.
        at: At,
        /// For what.
        mode: OpenMode,
    },
    /// Becomes another program.
    Execute(At),
    /// Asks for metadata or permissions.
    Look(At),
    /// Reads a link.
    ReadLink(At),
    /// Maps an open file as code.
    MapCode(Handle),
    /// Lists an open folder.
    List(Handle),
    /// Goes to another folder.
    Enter(At),
    /// Makes a folder its root.
    ChangeRoot(At),
    /// Makes a file, folder, link or socket.
    Make(At),
    /// Gives something another name.
    Rename(At, At),
    /// Takes something away.
    Remove(At),
    /// Connects to a socket.
    Connect(At),
    /// Gives an open file a second number.
    Duplicate {
        /// The open file.
        from: Handle,
        /// The number, when the call says so.
        to: Option<i32>,
    },
    /// Closes a descriptor.
    Close(i32),
    /// Makes a process or thread.
    Fork {
        /// Whether both have one current folder.
        share_folder: bool,
        /// Whether both have one table of descriptors.
        share_descriptors: bool,
    },
    /// The process or thread ends.
    Exit,
}

/// For what a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To be read, or looked at.
    Read,
    /// To be written, if it is there.
    Write,
    /// To be written, and made if it is not there.
    Create,
}
