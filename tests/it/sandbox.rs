//! A folder to try things in: roots made from inline text, programs made from bytes, the command run on them.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A temporary folder with a root in `root/` and recipes beside it.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

/// What a run of the command gave.
pub(crate) struct Run {
    /// Its exit code; -1 for a signal.
    pub(crate) code: i32,
    /// Its standard output, the sandbox's path replaced by `[SANDBOX]`.
    pub(crate) stdout: String,
    /// Its standard error, likewise.
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file, mode 0644, with the folders above it.
    pub(crate) fn file(&self, path: &str, contents: impl AsRef<[u8]>) -> &Self {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        self
    }

    pub(crate) fn mode(&self, path: &str, mode: u32) -> &Self {
        std::fs::set_permissions(self.at(path), PermissionsExt::from_mode(mode)).unwrap();
        self
    }

    /// A statically linked program of the machine `e_machine` (62: x86-64), which does nothing.
    pub(crate) fn static_program(&self, path: &str, machine: u16) -> &Self {
        self.file(path, static_elf(machine)).mode(path, 0o755)
    }

    pub(crate) fn folder(&self, path: &str) -> &Self {
        std::fs::create_dir_all(self.at(path)).unwrap();
        self
    }

    pub(crate) fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    /// Runs the command in the sandbox, with an empty environment.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, |_| {})
    }

    pub(crate) fn run_with(&self, args: &[&str], prepare: impl FnOnce(&mut Command)) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mkimage"));
        command.args(args).current_dir(self.path()).env_clear().env("PATH", "/usr/bin:/bin");
        prepare(&mut command);
        let output = command.output().unwrap();
        let clean = |bytes: &[u8]| {
            let real = self.path().canonicalize().unwrap();
            let text = String::from_utf8_lossy(bytes).replace(real.to_str().unwrap(), "[SANDBOX]");
            text.replace(self.path().to_str().unwrap(), "[SANDBOX]")
        };
        Run { code: output.status.code().unwrap_or(-1), stdout: clean(&output.stdout), stderr: clean(&output.stderr) }
    }

    /// What stands in a folder, sorted, names only.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.at(path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// 64-bit little-endian ELF header and one `PT_LOAD`.
pub(crate) fn static_elf(machine: u16) -> Vec<u8> {
    let mut elf = Vec::new();
    elf.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    elf.extend_from_slice(&2_u16.to_le_bytes());
    elf.extend_from_slice(&machine.to_le_bytes());
    elf.extend_from_slice(&1_u32.to_le_bytes());
    for word in [0x40_0078_u64, 64, 0] {
        elf.extend_from_slice(&word.to_le_bytes());
    }
    elf.extend_from_slice(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        elf.extend_from_slice(&half.to_le_bytes());
    }
    for word in [1_u32, 5] {
        elf.extend_from_slice(&word.to_le_bytes());
    }
    for word in [0_u64, 0x40_0000, 0x40_0000, 128, 128, 4096] {
        elf.extend_from_slice(&word.to_le_bytes());
    }
    elf.resize(128, 0x90);
    elf
}

/// Runs mkimage with words that have blanks between them.
pub(crate) fn run(sandbox: &Sandbox, arguments: &str) -> Run {
    sandbox.run(&arguments.split(' ').collect::<Vec<_>>())
}

/// As [`run`], where it must go well.
#[track_caller]
pub(crate) fn good(sandbox: &Sandbox, arguments: &str) -> Run {
    let run = run(sandbox, arguments);
    assert_eq!(run.code, 0, "{arguments}: {}", run.stderr);
    run
}
