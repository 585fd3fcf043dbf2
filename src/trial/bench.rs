//! Where the programs of one test run: what they share, and how each is started and waited for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use super::Surroundings;
use crate::path::ImagePath;
use crate::recipe::{Call, Test};
use crate::report::{Error, Result};
use crate::run::{Account, Image, Mount, Network, Running, Start, Streams, folder_of, second_tree};

/// More of what a program writes is not looked at.
const MOST_BYTES: usize = 4 << 20;

/// The programs of a test and what they share.
pub(super) struct Bench<'a> {
    image: &'a Arc<Image>,
    surroundings: &'a dyn Surroundings,
    folder: PathBuf,
    shared: Vec<ImagePath>,
    /// Folders that are written to: those of every image by path, `/tmp` and `/run` of each image by itself.
    data: BTreeMap<(PathBuf, ImagePath), PathBuf>,
    /// The files of each image as this test has them, by its folder: runtimes make mount points among them.
    trees: BTreeMap<PathBuf, PathBuf>,
    count: usize,
    /// The container whose network the test is in.
    network: Option<String>,
}

/// A program that was started.
pub(super) struct Program {
    pub(super) running: Running,
    pub(super) image: Arc<Image>,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// How a program ended.
pub(super) struct Ended {
    pub(super) exit: u8,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl<'a> Bench<'a> {
    pub(super) fn new(test: &Test, image: &'a Arc<Image>, surroundings: &'a dyn Surroundings) -> Result<Self> {
        let folder = surroundings.folder();
        std::fs::create_dir(&folder).map_err(|error| Error::io("create", &folder, &error))?;
        let shared = test.shared.iter().map(|path| path.value.clone()).collect();
        Ok(Self {
            image,
            surroundings,
            folder,
            shared,
            data: BTreeMap::new(),
            trees: BTreeMap::new(),
            count: 0,
            network: None,
        })
    }

    /// Starts a program.
    pub(super) fn start(&mut self, call: &Call) -> Result<Program> {
        let image = match &call.recipe {
            Some(recipe) => self.surroundings.image(&recipe.value)?,
            None => Arc::clone(self.image),
        };
        let words = |words: &[crate::report::Spanned<String>]| words.iter().map(|word| word.value.clone()).collect();
        let args: Option<Vec<String>> = call.args.as_deref().map(words);
        let user = call.as_user.as_ref().map_or(image.parameters.user.as_str(), |user| user.value.as_str());
        let start = Start {
            rootfs: self.tree(&image)?,
            args: call.run.as_deref().map_or_else(|| image.parameters.command(args.as_deref()), words),
            env: image
                .parameters
                .environment(call.env.iter().map(|(name, value)| (name.as_str(), value.value.as_str()))),
            workdir: image.parameters.workdir.clone(),
            account: Account::find(&image.rootfs, user)?,
            mounts: self.mounts(&image, call)?,
            read_only: true,
            terminal: false,
            network: self.network.clone().map_or(Network::Caller { host: false }, Network::Of),
        };
        self.count += 1;
        let place = |what: &str| self.folder.join(format!("{}.{what}", self.count));
        let (stdin, stdout, stderr) = (place("stdin"), place("stdout"), place("stderr"));
        // Nothing is what engines give: some services end when a file or a pipe does.
        let given = call.stdin.is_some();
        if let Some(text) = &call.stdin {
            std::fs::write(&stdin, text.value.as_str()).map_err(|error| Error::io("write", &stdin, &error))?;
        }
        let streams = || -> io::Result<Streams> {
            Ok(Streams {
                stdin: if given { Stdio::from(File::open(&stdin)?) } else { Stdio::null() },
                stdout: Stdio::from(File::create(&stdout)?),
                stderr: Stdio::from(File::create(&stderr)?),
            })
        };
        let running = self.surroundings.launcher()?.launch(&start, streams)?;
        self.surroundings.started(&running);
        Ok(Program { running, image, stdout, stderr })
    }

    /// Takes this thread, and the programs that are started from now on, into the network of one that is in a
    /// container; whether it runs.
    pub(super) fn join(&mut self, program: &mut Program) -> Result<bool> {
        let Some(name) = program.running.container().map(str::to_owned).filter(|_| self.network.is_none()) else {
            return Ok(true);
        };
        let entered = program.running.enter_network()?;
        self.network = entered.then_some(name);
        Ok(entered)
    }

    /// Runs a program to its end; `None` when that does not come in time.
    pub(super) fn finish(&mut self, call: &Call, deadline: Instant) -> Result<Option<Ended>> {
        let mut program = self.start(call)?;
        Ok(program.running.wait_until(deadline).map(|exit| program.ended(exit)))
    }

    /// The files of an image that this test starts programs in. An engine has its own.
    fn tree(&mut self, image: &Image) -> Result<PathBuf> {
        if self.surroundings.launcher()?.is_engine() {
            return Ok(image.rootfs.clone());
        }
        if let Some(known) = self.trees.get(&image.rootfs) {
            return Ok(known.clone());
        }
        let tree = self.folder.join(format!("tree-{}", self.trees.len()));
        second_tree(&image.rootfs, &tree).map_err(|error| Error::io("copy", &image.rootfs, &error))?;
        self.trees.insert(image.rootfs.clone(), tree.clone());
        Ok(tree)
    }

    /// What is mounted over an image: what it writes to, and what the test gives it.
    fn mounts(&mut self, image: &Image, call: &Call) -> Result<Vec<Mount>> {
        let mut mounts = Vec::new();
        for (path, mode) in [("/tmp", 0o1777), ("/run", 0o755)] {
            let to = ImagePath::new(path).map_err(Error::internal)?;
            mounts.push(self.data(image, &image.rootfs, to, mode)?);
        }
        let own = image.parameters.volumes.iter().chain(&image.writable).map(|path| (path.clone(), 0o755));
        let mut folders: BTreeMap<ImagePath, u32> = own.collect();
        folders.extend(self.shared.iter().map(|path| (path.clone(), 0o777)));
        for (path, mode) in folders {
            mounts.push(self.data(image, Path::new(""), path, mode)?);
        }
        for (to, from) in &call.mounts {
            let from = std::path::absolute(from).unwrap_or_else(|_| from.clone());
            mounts.push(Mount::Bind { from, to: to.value.clone(), read_only: true });
        }
        mounts.push(self.hosts()?);
        Ok(mounts)
    }

    /// A folder that is written to, made when it is first needed.
    fn data(&mut self, image: &Image, key: &Path, path: ImagePath, mode: u32) -> Result<Mount> {
        let key = (key.to_owned(), path.clone());
        let from = if let Some(known) = self.data.get(&key) {
            known.clone()
        } else {
            let copy = self.folder.join(format!("data-{}", self.data.len()));
            folder_of(&image.rootfs, &path, &copy, mode)
                .map_err(|error| Error::io("copy", path.to_string().as_ref(), &error))?;
            self.data.insert(key, copy.clone());
            copy
        };
        Ok(Mount::Bind { from, to: path, read_only: false })
    }

    /// `/etc/hosts`, which every engine gives.
    fn hosts(&self) -> Result<Mount> {
        let from = self.folder.join("hosts");
        std::fs::write(&from, "127.0.0.1\tlocalhost mkimage\n::1\tlocalhost\n")
            .map_err(|error| Error::io("write", &from, &error))?;
        Ok(Mount::Bind { from, to: ImagePath::new("/etc/hosts").map_err(Error::internal)?, read_only: true })
    }
}

impl Program {
    /// What it has written so far.
    pub(super) fn output(&self) -> (String, String) {
        let read = |path: &Path| {
            let mut bytes = std::fs::read(path).unwrap_or_default();
            bytes.truncate(MOST_BYTES);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        (read(&self.stdout), read(&self.stderr))
    }

    pub(super) fn ended(&self, exit: u8) -> Ended {
        let (stdout, stderr) = self.output();
        Ended { exit, stdout, stderr }
    }
}
