//! One call of a program: its arguments in, its text out. No call lasts longer than three minutes.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Where Debian has its programs; a test's own PATH may lead to other builds of them.
const PATH: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A program about to be started.
pub(crate) struct Call {
    command: Command,
    input: Vec<u8>,
}

/// How a call ended.
pub(crate) struct Ended {
    line: String,
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Call {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new("/usr/bin/timeout");
        command.args(["--kill-after=5", "180"]).arg(program).env("PATH", PATH.join(":"));
        Self { command, input: Vec::new() }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<T: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without any variable of the environment but PATH.
    pub(crate) fn bare(mut self) -> Self {
        self.command.env_clear().env("PATH", PATH.join(":"));
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn input(mut self, text: &str) -> Self {
        self.input = text.into();
        self
    }

    /// Runs it, whatever comes of it.
    pub(crate) fn ended(mut self) -> Ended {
        let line = format!("{:?}", self.command);
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // A program need not read its input.
        let writer = thread::spawn(move || drop(stdin.write_all(&self.input)));
        let output = child.wait_with_output().unwrap_or_else(|error| panic!("{line}: {error}"));
        let _ = writer.join();
        Ended {
            line,
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What it prints, without blanks around it; a panic unless it succeeds.
    #[track_caller]
    pub(crate) fn text(self) -> String {
        let ended = self.ended();
        assert!(ended.success, "{}", ended.report());
        ended.stdout.trim().to_owned()
    }
}

impl Ended {
    /// The call and all it printed, for a failure's message.
    pub(crate) fn report(&self) -> String {
        format!("{}\nstdout: {}\nstderr: {}", self.line, self.stdout, self.stderr)
    }
}

/// Calls `attempt` until it gives a value, for at most half a minute; then fails with its last word.
#[track_caller]
pub(crate) fn eventually<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(last) if start.elapsed() > Duration::from_secs(30) => panic!("after 30 s: {last}"),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Whether a program, or a file given by its absolute path, is there.
pub(crate) fn exists(tool: &str) -> bool {
    let executable = |path: PathBuf| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o111 != 0);
    if tool.starts_with('/') {
        return Path::new(tool).exists();
    }
    PATH.iter().any(|folder| executable(Path::new(folder).join(tool)))
}
