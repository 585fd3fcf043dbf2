//! What all tests share: a temporary folder with a copy of the recipes and of what they need built, and the archives
//! made from them, each built once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::call::Call;
use crate::dockerd::Dockerd;
use crate::engine::Engine;
use crate::once::Once;
use crate::tls;

pub(crate) struct Workshop {
    folder: TempDir,
    program: PathBuf,
    archives: Once<PathBuf>,
    tls: OnceLock<PathBuf>,
    podman: OnceLock<Engine>,
    dockerd: OnceLock<Dockerd>,
}

impl Workshop {
    /// Copies the recipes and `program`, so that nothing is written into the work tree and other users can read both.
    pub(crate) fn open(program: &Path) -> Self {
        // Buildah refuses a layout whose path has capitals, which a random name may have.
        let name = format!("mkimage-runtime-{}", process::id());
        let folder = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("the folder is ours");
        let copy = folder.path().join("mkimage");
        fs::copy(program, &copy).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        Call::new("cp").arg("-r").arg(recipes).arg(folder.path()).text();
        Self {
            program: copy,
            folder,
            archives: Once::default(),
            tls: OnceLock::new(),
            podman: OnceLock::new(),
            dockerd: OnceLock::new(),
        }
    }

    /// A path in the temporary folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new folder in the temporary folder.
    pub(crate) fn make_folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// The program under test, in the folder of the recipes, with a cache of its own.
    pub(crate) fn mkimage(&self) -> Call {
        Call::new(&self.program).bare().env("MKIMAGE_CACHE_DIR", self.path("cache")).folder(&self.path("recipes"))
    }

    /// The program under test, as a file.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Writes a file beside the recipes.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path("recipes").join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Runs `commands`, a line each, in the folder of the recipes: what their first comments tell a person to do.
    pub(crate) fn prepare(&self, commands: &[&[&str]]) {
        for command in commands {
            Call::new(command[0]).args(&command[1..]).folder(&self.path("recipes")).text();
        }
    }

    /// The archive of the recipe `NAME.toml` as `-o FILE.tar` gives it.
    pub(crate) fn archive(&self, name: &str) -> PathBuf {
        self.archives.value(name, || {
            let file = self.path(&format!("{name}.tar"));
            self.mkimage().args(["build", &format!("{name}.toml"), "-o"]).arg(&file).text();
            file
        })
    }

    /// The name of that archive's image, loaded into `engine`.
    pub(crate) fn image(&self, engine: &Engine, name: &str) -> String {
        engine.load(&self.archive(name))
    }

    /// The folder with `ca.pem`, `server.pem` and `server.key`.
    pub(crate) fn tls(&self) -> &Path {
        self.tls.get_or_init(|| {
            let folder = self.make_folder("tls");
            tls::make(&folder);
            fs::copy(folder.join("ca.pem"), self.path("recipes/ca.pem")).expect("the recipes are beside it");
            folder
        })
    }

    pub(crate) fn podman(&self) -> &Engine {
        self.podman.get_or_init(|| Engine::podman(self.folder.path()))
    }

    pub(crate) fn docker(&self) -> &Engine {
        self.dockerd().engine()
    }

    pub(crate) fn dockerd(&self) -> &Dockerd {
        self.dockerd.get_or_init(|| Dockerd::start(&self.make_folder("dockerd")))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Some(podman) = self.podman.get() {
            podman.clear();
        }
        drop(self.dockerd.take());
    }
}
