//! Podman and Docker, which take the same words: load an image, run a container, talk to it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::thread;

use crate::call::{Call, Ended, eventually};
use crate::once::Once;

/// What every container is run with: nothing writable but `/tmp` and what a test mounts, no capability and no way to
/// get one, as Kubernetes' `restricted` profile wants it.
const CONFINED: [&str; 5] =
    ["--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges", "--log-driver=json-file"];

/// A container engine with a store of its own.
pub(crate) struct Engine {
    pub(crate) program: &'static str,
    /// Variables that lead it, and others that use it, to its daemon or its store.
    variables: Vec<(&'static str, OsString)>,
    loaded: Once<String>,
}

/// A running container; it is removed when the value is dropped.
pub(crate) struct Container<'a> {
    engine: &'a Engine,
    id: String,
}

impl Engine {
    /// Podman on runc, with everything below `folder`.
    pub(crate) fn podman(folder: &Path) -> Self {
        let (containers, storage) = (folder.join("containers.conf"), folder.join("storage.conf"));
        let place = folder.display();
        let text = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
             [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
             tmp_dir = \"{place}/store/tmp\"\n"
        );
        fs::write(&containers, text).expect("the folder is ours");
        let text = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{place}/store/graph\"\nrunroot = \"{place}/store/run\"\n\
             rootless_storage_path = \"{place}/store/graph\"\n"
        );
        fs::write(&storage, text).expect("the folder is ours");
        let variables = vec![("CONTAINERS_CONF", containers.into()), ("CONTAINERS_STORAGE_CONF", storage.into())];
        Self { program: "podman", variables, loaded: Once::default() }
    }

    /// The Docker daemon behind `socket`.
    pub(crate) fn docker(socket: &Path) -> Self {
        let variables = vec![("DOCKER_HOST", format!("unix://{}", socket.display()).into())];
        Self { program: "docker", variables, loaded: Once::default() }
    }

    /// A call of the engine.
    pub(crate) fn call<T: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = T>) -> Call {
        self.beside(self.program).args(args)
    }

    /// A call of another program that uses the same engine.
    pub(crate) fn beside(&self, program: impl AsRef<OsStr>) -> Call {
        self.variables.iter().fold(Call::new(program), |call, (name, value)| call.env(name, value))
    }

    /// Loads an archive, once, and gives the name that the engine says.
    pub(crate) fn load(&self, archive: &Path) -> String {
        self.loaded.value(&archive.to_string_lossy(), || {
            let text = self.call(["load", "--input"]).arg(archive).text();
            let name = text.lines().last().and_then(|line| line.strip_prefix("Loaded image: "));
            name.unwrap_or_else(|| panic!("no image named: {text}")).to_owned()
        })
    }

    /// The ID of a loaded image, with its algorithm.
    #[track_caller]
    pub(crate) fn image_id(&self, image: &str) -> String {
        let id = self.call(["image", "inspect", "--format", "{{.Id}}", image]).text();
        format!("sha256:{}", id.trim_start_matches("sha256:"))
    }

    /// Starts a service, confined but for `options`, with no network but its own loopback.
    #[track_caller]
    pub(crate) fn start(&self, image: &str, options: &[&str], args: &[&str]) -> Container<'_> {
        self.start_in("none", image, options, args)
    }

    #[track_caller]
    fn start_in(&self, network: &str, image: &str, options: &[&str], args: &[&str]) -> Container<'_> {
        let call = self.call(["run", "--detach", "--network", network]);
        let id = call.args(CONFINED).args(options).arg(image).args(args).text();
        Container { engine: self, id }
    }

    /// Runs a program to its end, confined but for `options`.
    pub(crate) fn once(&self, image: &str, options: &[&str], args: &[&str]) -> Call {
        self.once_in("none", image, options, args)
    }

    fn once_in(&self, network: &str, image: &str, options: &[&str], args: &[&str]) -> Call {
        let call = self.call(["run", "--rm", "--interactive", "--network", network]);
        call.args(CONFINED).args(options).arg(image).args(args)
    }

    /// Makes a named volume; `clear` removes it.
    #[track_caller]
    pub(crate) fn volume(&self, name: &str) {
        self.call(["volume", "create", name]).text();
    }

    /// Removes all that the store holds, so that its folder can be removed.
    pub(crate) fn clear(&self) {
        self.call(["rm", "--all", "--force", "--time=0"]).ended();
        self.call(["volume", "prune", "--force"]).ended();
        self.call(["rmi", "--all", "--force"]).ended();
    }
}

impl Container<'_> {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Runs a client of `image` in the container's network.
    pub(crate) fn client(&self, image: &str, options: &[&str], args: &[&str]) -> Call {
        self.engine.once_in(&format!("container:{}", self.id), image, options, args)
    }

    /// Starts another service in the container's network.
    #[track_caller]
    pub(crate) fn neighbour(&self, image: &str, options: &[&str], args: &[&str]) -> Container<'_> {
        self.engine.start_in(&format!("container:{}", self.id), image, options, args)
    }

    /// Runs a program of the container inside it.
    pub(crate) fn exec(&self, args: &[&str]) -> Call {
        self.engine.call(["exec", self.id.as_str()]).args(args)
    }

    /// What the service has written so far.
    pub(crate) fn logs(&self) -> String {
        let Ended { stdout, stderr, .. } = self.engine.call(["logs", self.id.as_str()]).ended();
        stdout + &stderr
    }

    /// Waits until the service has written `words`.
    #[track_caller]
    pub(crate) fn wait_for(&self, words: &str) {
        eventually(|| Some(self.logs()).filter(|logs| logs.contains(words)).ok_or_else(|| self.logs()).map(drop));
    }

    /// Sends its stop signal, and fails when only SIGKILL ended it.
    #[track_caller]
    pub(crate) fn stop(&self) {
        self.engine.call(["stop", "--time=20", &self.id]).text();
        let code = self.engine.call(["inspect", "--format={{.State.ExitCode}}", &self.id]).text();
        assert_ne!(code, "137", "ended by SIGKILL; {}", self.logs());
    }

    /// Starts it again after `stop`.
    #[track_caller]
    pub(crate) fn restart(&self) {
        self.engine.call(["start", &self.id]).text();
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = write!(io::stderr(), "logs of a failed test's container:\n{}\n", self.logs());
        }
        self.engine.call(["rm", "--force", "--volumes", &self.id]).ended();
    }
}
