//! Images as files in a temporary folder, for the commands that start them, and the namespace that this process is in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use mkimage::build::{self, Options};
use mkimage::layer::Durability;
use mkimage::output::{self, Destination};
use mkimage::recipe::Recipe;
use mkimage::report::{Error, Result, Texts};
use mkimage::run::{self, Denied, Image, Launcher, Mapping, Parameters, Runtime};

use super::console::Console;
use super::{check, environment, interrupt};

/// What came of entering a user namespace.
pub(super) type Entered = std::result::Result<Mapping, Denied>;

/// The hidden command that [`enter`] starts.
pub(super) const HELPER: &str = "map-users";

/// Enters a user namespace, while there is one thread only.
pub(super) fn enter() -> Entered {
    let mut helper = Command::new(std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe")));
    helper.arg(HELPER);
    run::enter(helper)
}

/// A temporary folder for images, and what starts programs of them.
pub(super) struct Workplace<'a> {
    entered: &'a Entered,
    launcher: Result<Launcher>,
    folder: tempfile::TempDir,
    next: AtomicUsize,
}

impl<'a> Workplace<'a> {
    /// Makes the folder. That nothing can be started is told when something should be.
    pub(super) fn new(entered: &'a Entered, runtime: Option<&str>) -> Result<Self> {
        let parent = environment::temporary();
        let folder = tempfile::Builder::new().prefix(".mkimage.run.").tempdir_in(&parent);
        let folder = folder.map_err(|error| Error::io("write into", &parent, &error))?;
        interrupt::remember(folder.path());
        let asked = runtime.map(str::to_owned).or_else(|| environment::variable("MKIMAGE_RUNTIME"));
        let mapping = *entered.as_ref().unwrap_or(&Mapping::Outside);
        let runtimes = Runtime::find(&environment::program, asked.as_deref(), mapping == Mapping::One);
        let launcher = runtimes.map(|runtimes| Launcher::new(runtimes, folder.path(), mapping));
        Ok(Self { entered, launcher, folder, next: AtomicUsize::new(0) })
    }

    pub(super) fn launcher(&self) -> Result<&Launcher> {
        if let Err(denied) = self.entered {
            return Err(denied.clone().into());
        }
        self.launcher.as_ref().map_err(Clone::clone)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The image of a recipe.
    pub(super) fn build(&self, recipe: &Recipe, console: &Console) -> Result<Image> {
        let options = Options { suggestions: false, durability: Durability::Cached, ..check::options() };
        let progress = console.building(&recipe.name.value);
        let assembled = build::assemble(recipe, &options, &progress)?;
        console.show(&assembled.verdicts.warnings(console.detail()), &Texts::default());
        let rootfs = self.next_folder();
        let staging = output::prepare(&Destination::Rootfs(rootfs.clone()), self.folder.path(), Durability::Cached)?;
        output::write_rootfs(&rootfs, &assembled.tree, staging)?;
        let parameters = Parameters::of(&build::parameters(recipe, &assembled, &options)?);
        let writable = recipe.writable.iter().map(|path| path.value.clone()).collect();
        Ok(Image { name: recipe.name.value.clone(), rootfs, parameters, writable })
    }

    /// The image of a layout or archive.
    pub(super) fn unpack(&self, path: &Path) -> Result<Image> {
        let rootfs = self.next_folder();
        std::fs::create_dir(&rootfs).map_err(|error| Error::io("create", &rootfs, &error))?;
        run::unpack(path, build::host_architecture(), &rootfs)
    }

    fn next_folder(&self) -> PathBuf {
        self.folder.path().join(format!("image-{}", self.next.fetch_add(1, Ordering::Relaxed)))
    }
}
