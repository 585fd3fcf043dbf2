//! Programs of images in Podman or Docker, by their command line: each in a container of its own, confined as
//! namespaces here would confine it, with no network but a loopback or that of a container that runs.
//!
//! In: an image that the engine has loaded and a [`Start`]. Out: a [`Running`] program. Whatever was started or loaded
//! is removed at the end, and nothing else of the engine's is touched.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::launch::Running;
use super::{Account, Image, Mount, NOT_JOINED, NOT_STARTED, Network, Start, Streams, program};
use crate::path::show;
use crate::report::{Diagnostic, Error, Result, plain};

/// How often is looked for what can't be waited for.
const STEP: Duration = Duration::from_millis(20);
/// How long an engine may take to start a program.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is written to only where something is mounted, without a capability and without a way to get one.
const CONFINED: [&str; 6] =
    ["--rm", "--interactive", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--pull=never"];

/// The containers of this process in an engine.
#[derive(Debug)]
pub struct Containers {
    program: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Images by the folder that has the same files.
    images: Vec<(Image, String)>,
    /// Programs of the engine that run containers, and the containers.
    started: Vec<(Option<Pid>, String)>,
    count: usize,
    closed: bool,
}

/// A container that was started.
#[derive(Debug, Clone)]
pub(super) struct Container {
    program: PathBuf,
    name: String,
}

impl Containers {
    /// Containers that the program of an engine starts: `podman` or `docker`, or what takes their words.
    pub fn new(program: &Path) -> Self {
        Self { program: program.to_owned(), state: Mutex::default() }
    }

    /// The program of the engine.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Remembers that the engine has an image under a name, which is its own and removed at the end.
    pub fn loaded(&self, image: &Image, name: &str) {
        self.state().images.push((image.clone(), name.to_owned()));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a program.
    pub(super) fn launch(&self, start: &Start, streams: Streams) -> Result<Running> {
        program::find(&start.rootfs, start.args.first(), &start.env, &start.workdir)?;
        let mut state = self.state();
        let of = |(image, _): &&(Image, String)| image.rootfs == start.rootfs;
        let Some((image, reference)) = state.images.iter().find(of).filter(|_| !state.closed).cloned() else {
            return Err(self.not_started("no such image is loaded").into());
        };
        state.count += 1;
        let name = format!("mkimage-{}-{}", std::process::id(), state.count);
        let mut command = Command::new(&self.program);
        command.arg("run").arg(format!("--name={name}")).args(CONFINED).args(arguments(start, &image, &reference)?);
        let child = command.stdin(streams.stdin).stdout(streams.stdout).stderr(streams.stderr).spawn();
        let child = child.map_err(|error| self.not_started(&format!("can't be started: {}", plain(&error))))?;
        state.started.push((i32::try_from(child.id()).ok().and_then(Pid::from_raw), name.clone()));
        drop(state);
        let mut child = child;
        let container = Container { program: self.program.clone(), name };
        let pid = container.begun(&mut child);
        Ok(Running::in_container(child, pid, container))
    }

    fn not_started(&self, why: &str) -> Diagnostic {
        Diagnostic::error(NOT_STARTED, format!("`{} run` {why}", self.program.display()))
    }

    /// Removes all that was started and loaded; nothing is started after that.
    pub fn clear(&self) {
        let mut state = self.state();
        state.closed = true;
        let (started, images) = (std::mem::take(&mut state.started), std::mem::take(&mut state.images));
        for (client, name) in started {
            let container = Container { program: self.program.clone(), name };
            // A number that is not a client of ours is somebody else's by now.
            if let Some(client) = client.filter(|client| container.is_client(*client)) {
                let _ = kill_process(client, Signal::KILL);
                container.remove();
            }
        }
        for (_, reference) in images {
            quiet(&self.program, &["rmi", "--force", &reference]);
        }
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What follows `run`: only what differs from the image's own configuration, so that the engine reads that.
fn arguments(start: &Start, image: &Image, reference: &str) -> Result<Vec<OsString>> {
    let parameters = &image.parameters;
    let mut all: Vec<OsString> = vec![format!("--network={}", network(&start.network)).into()];
    if start.account != Account::find(&image.rootfs, &parameters.user)? {
        all.push(format!("--user={}:{}", start.account.uid, start.account.gid).into());
        all.extend(start.account.groups.iter().map(|group| format!("--group-add={group}").into()));
    }
    if start.workdir != parameters.workdir {
        all.push(format!("--workdir={}", start.workdir).into());
    }
    all.extend(start.env.iter().filter(|set| !parameters.env.contains(set)).map(|set| format!("--env={set}").into()));
    all.extend(start.mounts.iter().map(mount));
    let rest = start.args.strip_prefix(parameters.entrypoint.as_slice()).filter(|_| !parameters.entrypoint.is_empty());
    let (own, words) = match (rest, start.args.split_first()) {
        _ if start.args == parameters.command(None) => (None, &[][..]),
        (Some(rest), _) if !rest.is_empty() || parameters.cmd.is_empty() => (None, rest),
        (_, Some((first, rest))) => (Some(first), rest),
        (_, None) => (None, &[][..]),
    };
    all.extend(own.map(|program| format!("--entrypoint={program}").into()));
    all.push(reference.into());
    all.extend(words.iter().map(OsString::from));
    Ok(all)
}

fn network(network: &Network) -> String {
    match network {
        Network::Caller { host: true } => "host".to_owned(),
        Network::Of(container) => format!("container:{container}"),
        Network::Caller { host: false } | Network::None => "none".to_owned(),
    }
}

fn mount(mount: &Mount) -> OsString {
    match mount {
        Mount::Memory { to, mode } => format!("--tmpfs={to}:rw,nosuid,nodev,mode={mode:o}").into(),
        Mount::Bind { from, to, read_only } => {
            // A field of CSV, in which a path may have commas.
            let field = |name: &str, text: &str| format!("\"{name}={}\"", text.replace('"', "\"\""));
            let (from, to) = (field("source", &from.to_string_lossy()), field("target", &to.to_string()));
            format!("--mount=type=bind,{from},{to}{}", if *read_only { ",readonly" } else { "" }).into()
        }
    }
}

/// Whether a call of an engine succeeds; what it says is nobody's business.
fn quiet(program: &Path, words: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Container {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the container runs, and gives its first process; `None` when it ended before that was seen.
    fn begun(&self, child: &mut Child) -> Option<Pid> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(pid) = self.process() {
                return Some(pid);
            }
            if child.try_wait().ok().flatten().is_some() || Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(STEP);
        }
    }

    fn process(&self) -> Option<Pid> {
        let mut command = Command::new(&self.program);
        command.args(["container", "inspect", "--format={{.State.Pid}}", &self.name]).stdin(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        Pid::from_raw(String::from_utf8_lossy(&output.stdout).trim().parse().ok()?)
    }

    pub(super) fn signal(&self, signal: Signal) {
        quiet(&self.program, &["kill", &format!("--signal={}", signal.as_raw()), &self.name]);
    }

    pub(super) fn remove(&self) {
        quiet(&self.program, &["rm", "--force", "--volumes", &self.name]);
    }

    /// Whether a process is the client that runs this container.
    fn is_client(&self, process: Pid) -> bool {
        let line = std::fs::read(format!("/proc/{}/cmdline", process.as_raw_nonzero())).unwrap_or_default();
        let name = format!("--name={}", self.name);
        line.split(|byte| *byte == 0).any(|word| word == name.as_bytes())
    }
}

/// Moves this thread into the network of a process.
pub(super) fn enter_network(process: Pid) -> Result<()> {
    use std::os::fd::AsFd;
    let path = PathBuf::from(format!("/proc/{}/ns/net", process.as_raw_nonzero()));
    let enter = || -> std::io::Result<()> {
        let file = std::fs::File::open(&path)?;
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        Ok(rustix::thread::move_into_link_name_space(file.as_fd(), kind)?)
    };
    enter().map_err(|error| -> Error {
        let why = show(plain(&error).as_bytes());
        Diagnostic::error(NOT_JOINED, format!("the container's network can't be entered to ask the service: {why}"))
            .note("that takes root on the machine of the engine")
            .into()
    })
}
