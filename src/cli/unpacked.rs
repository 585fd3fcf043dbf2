//! Images as files in a temporary folder, for the commands that start them, and the namespace that this process is in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mkimage::build::{self, Options, Outputs};
use mkimage::layer::Durability;
use mkimage::oci::Store;
use mkimage::output::{self, Destination, Engine};
use mkimage::recipe::{Platform, Recipe};
use mkimage::report::{Error, Result, Texts};
use mkimage::run::{self, Containers, Denied, Image, Launcher, Mapping, Parameters, Runtime};

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
    engine: Option<(Engine, Arc<Containers>)>,
    next: AtomicUsize,
}

impl<'a> Workplace<'a> {
    /// Makes the folder. That nothing can be started is told when something should be.
    pub(super) fn new(entered: &'a Entered, runtime: Option<&str>) -> Result<Self> {
        let folder = temporary()?;
        let asked = runtime.map(str::to_owned).or_else(|| environment::variable("MKIMAGE_RUNTIME"));
        let mapping = *entered.as_ref().unwrap_or(&Mapping::Outside);
        let runtimes = Runtime::find(&environment::program, asked.as_deref(), mapping == Mapping::One);
        let launcher = runtimes.map(|runtimes| Launcher::new(runtimes, folder.path(), mapping));
        Ok(Self { entered, launcher, folder, engine: None, next: AtomicUsize::new(0) })
    }

    /// A place whose programs are containers of an engine, which are removed with it.
    pub(super) fn in_engine(entered: &'a Entered, engine: Engine) -> Result<Self> {
        let folder = temporary()?;
        let containers = Arc::new(Containers::new(engine.program()));
        let at_end = Arc::clone(&containers);
        interrupt::at_end(move || at_end.clear());
        let launcher = Ok(Launcher::Containers(Arc::clone(&containers)));
        Ok(Self { entered, launcher, folder, engine: Some((engine, containers)), next: AtomicUsize::new(0) })
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
        let image = Image { name: recipe.name.value.clone(), rootfs, parameters, writable };
        if let Some((engine, containers)) = &self.engine {
            // A name that nothing else has, so that no image of the user's is replaced.
            let tag = format!("{}-{}", std::process::id(), self.next.fetch_add(1, Ordering::Relaxed));
            let mut own = recipe.clone();
            "localhost/mkimage-test".clone_into(&mut own.name.value);
            own.tags.truncate(1);
            if let Some(only) = own.tags.first_mut() {
                only.value.clone_from(&tag);
            }
            containers.loaded(&image, &format!("{}:{tag}", own.name.value));
            let outputs = Outputs {
                destinations: Vec::new(),
                engine: Some(engine.clone()),
                push: None,
                stdout: &mut std::io::sink(),
            };
            build::write(&own, &assembled, outputs, &options, &progress)?;
        }
        Ok(image)
    }

    /// An image that was built: of several the one for a platform, by default that for this machine.
    pub(super) fn unpack(&self, store: &Store, platform: Option<&Platform>) -> Result<Image> {
        let rootfs = self.next_folder();
        std::fs::create_dir(&rootfs).map_err(|error| Error::io("create", &rootfs, &error))?;
        run::unpack(store, platform, &rootfs)
    }

    /// Whether programs are containers of an engine.
    pub(super) fn is_engine(&self) -> bool {
        self.engine.is_some()
    }

    fn next_folder(&self) -> PathBuf {
        self.folder.path().join(format!("image-{}", self.next.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Drop for Workplace<'_> {
    fn drop(&mut self) {
        if let Some((_, containers)) = &self.engine {
            containers.clear();
        }
    }
}

/// A temporary folder, which goes away when this process is told to stop, too.
pub(super) fn temporary() -> Result<tempfile::TempDir> {
    let parent = environment::temporary();
    let folder = tempfile::Builder::new().prefix(".mkimage.run.").tempdir_in(&parent);
    let folder = folder.map_err(|error| Error::io("write into", &parent, &error))?;
    interrupt::remember(folder.path());
    Ok(folder)
}
