//! A Docker daemon for the suite alone: no bridge, no firewall rules, its data in one folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::call::{Call, eventually};
use crate::engine::Engine;

pub(crate) struct Dockerd {
    child: Child,
    folder: PathBuf,
    engine: Engine,
}

impl Dockerd {
    /// Starts it and waits until it answers.
    pub(crate) fn start(folder: &Path) -> Self {
        let log = File::create(folder.join("log")).expect("the folder is ours");
        let socket = folder.join("socket");
        let child = Command::new("/usr/sbin/dockerd")
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--userland-proxy=false"])
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(folder.join("exec"))
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .arg("--host")
            .arg(format!("unix://{}", socket.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("dockerd is installed");
        let daemon = Self { child, folder: folder.into(), engine: Engine::docker(&socket) };
        eventually(|| {
            let ended = daemon.engine.call(["info"]).ended();
            if ended.success { Ok(()) } else { Err(ended.report()) }
        });
        daemon
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The client of the containerd that the daemon runs.
    pub(crate) fn ctr(&self) -> Call {
        Call::new("ctr").arg("--address").arg(self.folder.join("exec/containerd/containerd.sock"))
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // Its own containerd ends with it when it is asked, and stays behind when it is killed.
        if kill_process(Pid::from_child(&self.child), Signal::TERM).is_ok() {
            let _ = self.child.wait();
        }
        Call::new("umount").arg(self.folder.join("exec/netns/default")).ended();
    }
}
