//! Starting a program by the first runtime that can, and what can be done with it then.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, kill_process};

use super::container::{Container, Containers, enter_network};
use super::{Account, Kind, Mapping, NOT_STARTED, Runtime, Start, bubblewrap, bundle, data, program};
use crate::path::show;
use crate::report::{Diagnostic, Error, Result, plain};

/// How often is looked for what can't be waited for.
const STEP: Duration = Duration::from_millis(4);
/// How long a runtime may take to start a program.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts programs.
pub enum Launcher {
    /// In namespaces that are made here.
    Namespaces(Namespaces),
    /// In containers of an engine.
    Containers(Arc<Containers>),
}

/// What starts programs in namespaces, each with a folder of its own below one.
pub struct Namespaces {
    runtimes: Vec<Runtime>,
    mapping: Mapping,
    folder: PathBuf,
    next: AtomicUsize,
    /// The runtime that worked.
    working: AtomicUsize,
}

/// The standard streams of a program.
pub struct Streams {
    /// What it reads.
    pub stdin: Stdio,
    /// Where it writes.
    pub stdout: Stdio,
    /// Where it writes its errors.
    pub stderr: Stdio,
}

/// A program that was started, and may have ended.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Its process, which is the first one of its namespace: when it is killed, so are all others. A container may end
    /// before its number is known.
    pid: Option<Pid>,
    /// The container that it is in.
    container: Option<Container>,
}

impl Launcher {
    /// A launcher that keeps what runtimes need in a folder.
    pub fn new(runtimes: Vec<Runtime>, folder: &Path, mapping: Mapping) -> Self {
        Self::Namespaces(Namespaces {
            runtimes,
            mapping,
            folder: folder.to_owned(),
            next: AtomicUsize::new(0),
            working: AtomicUsize::new(usize::MAX),
        })
    }

    /// Whether programs are in containers of an engine.
    pub fn is_engine(&self) -> bool {
        matches!(self, Self::Containers(_))
    }

    /// Starts a program in the network of this thread, or in one of its own. `streams` may be asked once for each
    /// runtime that is tried.
    ///
    /// # Errors
    /// When the program is not in the image, or no runtime can start it.
    pub fn launch(&self, start: &Start, mut streams: impl FnMut() -> io::Result<Streams>) -> Result<Running> {
        match self {
            Self::Namespaces(namespaces) => namespaces.launch(start, streams),
            Self::Containers(containers) => {
                let streams = streams().map_err(|error| Error::io("open the streams for", &start.rootfs, &error))?;
                containers.launch(start, streams)
            }
        }
    }
}

impl Namespaces {
    fn launch(&self, start: &Start, mut streams: impl FnMut() -> io::Result<Streams>) -> Result<Running> {
        let mut start = start.clone();
        let found = program::find(&start.rootfs, start.args.first(), &start.env, &start.workdir)?;
        if let Some(first) = start.args.first_mut() {
            *first = found;
        }
        data::mount_points(&start).map_err(|error| Error::io("make mount points in", &start.rootfs, &error))?;
        let working = self.working.load(Ordering::Relaxed);
        let mut tried = Vec::new();
        for (index, runtime) in self.runtimes.iter().enumerate() {
            if working != usize::MAX && working != index {
                continue;
            }
            let streams = streams().map_err(|error| Error::io("open the streams in", &self.folder, &error))?;
            match self.attempt(runtime, &start, streams)? {
                Ok(running) => {
                    self.working.store(index, Ordering::Relaxed);
                    return Ok(running);
                }
                Err(why) => tried.push(format!("`{}`: {why}", runtime.program.display())),
            }
        }
        let mut error = Diagnostic::error(NOT_STARTED, format!("`{}` can't be started here", start.args.join(" ")));
        error.notes = tried;
        Err(error.into())
    }

    /// Starts it by one runtime; the inner error is why that can't.
    fn attempt(&self, runtime: &Runtime, start: &Start, streams: Streams) -> Result<Result<Running, String>> {
        let id = format!("mkimage-{}-{}", std::process::id(), self.next.fetch_add(1, Ordering::Relaxed));
        let folder = self.folder.join(&id);
        std::fs::create_dir(&folder).map_err(|error| Error::io("create", &folder, &error))?;
        let (pid_file, log) = (folder.join("pid"), folder.join("log"));
        let mut command = Command::new(&runtime.program);
        // What is open stays so until the program has begun.
        let mut info = None;
        match runtime.kind {
            Kind::Oci => {
                let config = folder.join("config.json");
                let mut start = start.clone();
                if self.mapping == Mapping::One {
                    // The only user that there is; without capabilities its number says nothing.
                    start.account = Account::default();
                }
                std::fs::write(&config, crate::oci::canonical(&bundle::config(&start)))
                    .map_err(|error| Error::io("write", &config, &error))?;
                command
                    .arg("--root")
                    .arg(self.folder.join("state"))
                    .arg("--log")
                    .arg(&log)
                    .args(["--log-format", "json"]);
                if runtime.program.file_name().is_some_and(|name| name == "runc") {
                    // Its own guess is that root can use cgroups, which in namespaces it can't.
                    command.arg("--rootless=true");
                }
                command.arg("run").arg("--bundle").arg(&folder).arg("--pid-file").arg(&pid_file).arg(&id);
            }
            Kind::Bubblewrap => {
                let file = File::create(&pid_file).map_err(|error| Error::io("create", &pid_file, &error))?;
                rustix::io::fcntl_setfd(&file, FdFlags::empty())
                    .map_err(|error| Error::io("open", &pid_file, &error.into()))?;
                command.args(bubblewrap::arguments(start, file.as_raw_fd()));
                info = Some(file);
            }
        }
        let child = command.stdin(streams.stdin).stdout(streams.stdout).stderr(streams.stderr).spawn();
        drop(info);
        let child = match child {
            Ok(child) => child,
            Err(error) => return Ok(Err(format!("can't be started: {}", plain(&error)))),
        };
        Ok(begun(child, &pid_file).ok_or_else(|| last_error(&log)))
    }
}

/// Waits until the runtime has told the number of the process; `None` when it ended without.
fn begun(mut child: Child, pid_file: &Path) -> Option<Running> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ended = child.try_wait().ok().flatten().is_some();
        if let Some(pid) = process_number(pid_file) {
            return Some(Running { child, pid: Some(pid), container: None });
        }
        if ended || Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(STEP);
    }
}

/// A number alone, as runc writes it, or bubblewrap's `"child-pid": 12`.
fn process_number(file: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(file).ok()?;
    let after = text.split("child-pid\":").nth(1).unwrap_or(&text);
    let digits: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
    Pid::from_raw(digits.parse().ok()?)
}

/// The last error of a runtime's log.
fn last_error(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let message = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["msg"].as_str().map(str::to_owned);
    let last = text.lines().filter_map(message).next_back();
    last.map_or_else(|| "says no reason in its log".to_owned(), |text| show(text.trim().as_bytes()))
}

impl Running {
    pub(super) fn in_container(child: Child, pid: Option<Pid>, container: Container) -> Self {
        Self { child, pid, container: Some(container) }
    }

    /// The name of the container that it is in.
    pub fn container(&self) -> Option<&str> {
        self.container.as_ref().map(Container::name)
    }

    /// Moves this thread into the program's network; whether it still ran.
    ///
    /// # Errors
    /// When the kernel does not allow it.
    pub fn enter_network(&mut self) -> Result<bool> {
        let Some(pid) = self.pid else { return Ok(false) };
        let entered = enter_network(pid);
        if self.wait_until(Instant::now()).is_some() { Ok(false) } else { entered.map(|()| true) }
    }

    /// The program's own process; `None` when it ended before its number was known.
    pub fn process(&self) -> Option<Pid> {
        self.pid
    }

    /// Waits until it ends, and gives its exit code: 128 and the signal's number when one ended it.
    ///
    /// # Errors
    /// When it can't be waited for.
    pub fn wait(&mut self) -> Result<u8> {
        let status = self.child.wait().map_err(|error| Error::io("wait for", "the runtime".as_ref(), &error))?;
        Ok(exit_code(status))
    }

    /// Waits until it ends or time is over.
    pub fn wait_until(&mut self, deadline: Instant) -> Option<u8> {
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(exit_code(status));
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(STEP);
        }
    }

    /// Sends a signal to it.
    pub fn signal(&self, signal: Signal) {
        // One that has just ended can't get any more.
        match (&self.container, self.pid) {
            (Some(container), _) => container.signal(signal),
            (None, Some(pid)) => drop(kill_process(pid, signal)),
            (None, None) => {}
        }
    }

    /// Ends it, and all that it has started.
    pub fn kill(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            match &self.container {
                Some(container) => container.remove(),
                None => self.signal(Signal::KILL),
            }
            let _ = self.child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn exit_code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    u8::try_from(code & 0xff).unwrap_or(255)
}
