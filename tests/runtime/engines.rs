//! Every form of output in the programs that are meant to read it, old ones too: they take it, agree on the image's ID,
//! and find the files that the recipe names.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::call::Call;
use crate::engine::Engine;
use crate::family::build;
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test { name: "mkimage_verifies_its_layouts", needs: &[], run: verify },
    Test { name: "skopeo_inspects_and_copies", needs: &["skopeo"], run: skopeo },
    Test { name: "umoci_unpacks_a_gzip_layout", needs: &["umoci"], run: umoci },
    Test { name: "podman_reads_every_output", needs: &["podman", "runc"], run: podman },
    Test { name: "docker_loads_archives", needs: &["dockerd"], run: docker },
    Test {
        name: "load_option_fills_podman",
        needs: &["podman", "runc"],
        run: |workshop| load_option(workshop, workshop.podman()),
    },
    Test {
        name: "load_option_fills_docker",
        needs: &["dockerd"],
        run: |workshop| load_option(workshop, workshop.docker()),
    },
    Test { name: "skopeo_stores_for_podman", needs: &["podman", "runc", "skopeo"], run: storage },
    Test { name: "podman_loads_from_a_pipe", needs: &["podman", "runc"], run: pipe },
    Test { name: "containerd_imports_archives", needs: &["dockerd", "ctr"], run: containerd },
    Test { name: "buildah_starts_from_a_layout", needs: &["podman", "runc", "buildah"], run: buildah },
];

/// The recipe `hello` in the four forms of output, each made by a build of its own.
struct Outputs {
    zstd: PathBuf,
    gzip: PathBuf,
    oci_archive: PathBuf,
    docker_archive: PathBuf,
}

impl Outputs {
    /// Makes them below a folder called `name`.
    fn make(workshop: &Workshop, name: &str) -> Self {
        let folder = workshop.make_folder(name);
        let made = |kind: &str, file: &str, compression: &str| {
            let path = folder.join(file);
            let output = format!("{kind}:{}", path.display());
            workshop.mkimage().args(["build", "hello.toml", "--compression", compression, "-o", &output]).text();
            path
        };
        Self {
            zstd: made("oci", "zstd.oci", "zstd"),
            gzip: made("oci", "gzip.oci", "gzip"),
            oci_archive: made("oci-archive", "oci.tar", "zstd"),
            docker_archive: made("docker-archive", "docker.tar", "none"),
        }
    }
}

/// A layout's single manifest, as its index names it, and that name.
fn manifest(layout: &Path) -> (String, Value) {
    let read = |path: PathBuf| -> Value {
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let index = read(layout.join("index.json"));
    let digest = index["manifests"][0]["digest"].as_str().expect("an index lists descriptors").to_owned();
    let blob = layout.join("blobs").join(digest.replace(':', "/"));
    (digest, read(blob))
}

/// The image's ID: the digest of its configuration.
fn id(layout: &Path) -> String {
    let (_, manifest) = manifest(layout);
    manifest["config"]["digest"].as_str().expect("a manifest has a configuration").to_owned()
}

fn reference(transport: &str, path: &Path) -> String {
    format!("{transport}:{}", path.display())
}

fn verify(workshop: &Workshop) {
    let outputs = Outputs::make(workshop, "verify");
    workshop.mkimage().arg("verify").arg(&outputs.zstd).text();
    workshop.mkimage().arg("verify").arg(&outputs.gzip).text();

    let (_, manifest) = manifest(&outputs.gzip);
    let layer = manifest["layers"][0]["digest"].as_str().expect("a layer has a digest").replace(':', "/");
    let blob = outputs.gzip.join("blobs").join(layer);
    let mut bytes = fs::read(&blob).expect("the layer is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // Anew, not into the file: that is also the cache's, and of other layouts.
    fs::remove_file(&blob).expect("the layer is ours");
    fs::write(&blob, bytes).expect("a new file");
    let found = workshop.mkimage().arg("verify").arg(&outputs.gzip).ended();
    assert!(!found.success, "a changed bit is found: {}", found.report());
}

fn skopeo(workshop: &Workshop) {
    let outputs = Outputs::make(workshop, "skopeo");
    let skopeo = |args: &[&str]| Call::new("skopeo").args(args).text();
    let id = id(&outputs.zstd);
    for image in [
        reference("oci", &outputs.zstd),
        reference("oci", &outputs.gzip),
        reference("oci-archive", &outputs.oci_archive),
        reference("docker-archive", &outputs.docker_archive),
    ] {
        let text = skopeo(&["inspect", &image]);
        assert!(text.contains("\"Architecture\"") && text.contains("\"org.opencontainers.image.title\""), "{text}");
        let configuration = skopeo(&["inspect", "--config", "--raw", &image]);
        assert_eq!(digest(&configuration), id, "{image}");
    }
    // A copy re-hashes every blob against its name.
    for layout in [&outputs.zstd, &outputs.gzip] {
        let copy = layout.with_extension("dir");
        skopeo(&["copy", "--preserve-digests", &reference("oci", layout), &reference("dir", &copy)]);
        let text = fs::read_to_string(copy.join("manifest.json")).expect("the copy has a manifest");
        assert_eq!(digest(&text), manifest(layout).0);
    }
}

fn digest(text: &str) -> String {
    let line = Call::new("sha256sum").input(text).text();
    format!("sha256:{}", line.trim_end_matches(" -").trim())
}

/// umoci 0.4 does not know zstd.
fn umoci(workshop: &Workshop) {
    let outputs = Outputs::make(workshop, "umoci");
    let bundle = workshop.path("bundle");
    let image = format!("{}:latest", outputs.gzip.display());
    Call::new("umoci").args(["unpack", "--rootless", "--image", &image]).arg(&bundle).text();
    let unpacked = Call::new("sha256sum").arg(bundle.join("rootfs/usr/bin/sha256sum")).text();
    let source = Call::new("sha256sum").arg("/usr/bin/sha256sum").text();
    assert_eq!(unpacked.split(' ').next(), source.split(' ').next());
    let process = fs::read_to_string(bundle.join("config.json")).expect("a bundle has a configuration");
    assert!(process.contains("\"/usr/bin/sha256sum\""), "{process}");
}

fn podman(workshop: &Workshop) {
    let (outputs, engine) = (Outputs::make(workshop, "podman"), workshop.podman());
    let id = id(&outputs.zstd);
    for image in [reference("oci", &outputs.zstd), reference("oci", &outputs.gzip)] {
        assert_eq!(format!("sha256:{}", engine.call(["pull", "--quiet", &image]).text()), id, "{image}");
    }
    for archive in [&outputs.oci_archive, &outputs.docker_archive, &workshop.archive("hello")] {
        let name = engine.load(archive);
        assert_eq!(name, "registry.example/hello:latest");
        assert_eq!(engine.image_id(&name), id, "{}", archive.display());
    }
}

/// Docker 20.10 does not know zstd: it gets the archive as it comes without a word about compression, and its own kind.
fn docker(workshop: &Workshop) {
    let (outputs, engine) = (Outputs::make(workshop, "for-docker"), workshop.docker());
    let id = id(&outputs.zstd);
    for archive in [&outputs.docker_archive, &workshop.archive("hello")] {
        let name = engine.load(archive);
        assert_eq!(engine.image_id(&name), id, "{}", archive.display());
    }
}

/// `--load` gives the engine the image under each tag, with the ID that the layout says.
fn load_option(workshop: &Workshop, engine: &Engine) {
    let folder = workshop.make_folder(&format!("load-{}", engine.program));
    let recipe = "name = \"registry.example/loaded\"\ntags = [\"1\", \"2\"]\nbinaries = [\"/usr/bin/sha256sum\"]\n";
    fs::write(folder.join("mkimage.toml"), recipe).expect("it is ours");
    let load = format!("--load={}", engine.program);
    engine.beside(workshop.program()).folder(&folder).args(["build", &load, "-o", "layout"]).text();
    for tag in ["1", "2"] {
        assert_eq!(engine.image_id(&format!("registry.example/loaded:{tag}")), id(&folder.join("layout")));
    }
    // Once more with another file above the same libraries: Docker is sent that alone.
    let recipe = format!("{recipe}files = [{{ content = \"new\", to = \"/etc/new\" }}]\n");
    fs::write(folder.join("mkimage.toml"), recipe).expect("it is ours");
    let again = engine.beside(workshop.program()).folder(&folder).args(["build", &load, "-o", "layout"]).ended();
    assert!(again.success, "{}", again.report());
    assert_eq!(engine.image_id("registry.example/loaded:1"), id(&folder.join("layout")));
    let told = again.stderr.contains("layers were there, and not sent");
    assert_eq!(told, engine.program == "docker", "{}", again.report());
}

/// `-o containers-storage:` puts the image into Podman's store, by skopeo.
fn storage(workshop: &Workshop) {
    let (engine, folder) = (workshop.podman(), workshop.make_folder("storage"));
    let recipe = "name = \"registry.example/stored\"\nbinaries = [\"/usr/bin/sha256sum\"]\n";
    fs::write(folder.join("mkimage.toml"), recipe).expect("it is ours");
    let to = "containers-storage:localhost/stored:1";
    let built = engine.beside(workshop.program()).folder(&folder).args(["build", "-o", to, "-o", "layout"]).ended();
    assert!(built.success && built.stderr.contains("stored as localhost/stored:1"), "{}", built.report());
    assert_eq!(engine.image_id("localhost/stored:1"), id(&folder.join("layout")));
    let ran = engine.call(["run", "--rm", "--network=none", "localhost/stored:1", "/etc/passwd"]).text();
    assert!(ran.ends_with("/etc/passwd"), "{ran}");
}

/// With `-o -` standard output is the archive and nothing else.
fn pipe(workshop: &Workshop) {
    let (engine, folder) = (workshop.podman(), workshop.make_folder("pipe"));
    let recipe = "name = \"registry.example/piped\"\nbinaries = [\"/usr/bin/sha256sum\"]\n";
    fs::write(folder.join("mkimage.toml"), recipe).expect("it is ours");
    let script = "set -o pipefail; \"$0\" build -o - | podman load";
    let loaded = engine.beside("bash").folder(&folder).args(["-c", script]).arg(workshop.program()).text();
    assert!(loaded.ends_with("Loaded image: registry.example/piped:latest"), "{loaded}");
}

fn containerd(workshop: &Workshop) {
    let outputs = Outputs::make(workshop, "containerd");
    let ctr = |args: &[&str]| workshop.dockerd().ctr().args(["--namespace", "mkimage"]).args(args).text();
    let (wanted, _) = manifest(&outputs.zstd);
    ctr(&["images", "import", "--all-platforms", &outputs.oci_archive.to_string_lossy()]);
    let listed = ctr(&["images", "list"]);
    let line = listed.lines().find(|line| line.starts_with("registry.example/hello:latest "));
    assert!(line.is_some_and(|line| line.contains(&wanted)), "{wanted} in {listed}");
    ctr(&["images", "check"]);
    ctr(&["images", "import", &workshop.archive("hello").to_string_lossy()]);
    let sum = ctr(&["run", "--rm", "registry.example/hello:latest", "once"]);
    assert!(sum.ends_with("/etc/os-release"), "{sum}");
}

/// As a base by its path, and by its name once it is loaded.
fn buildah(workshop: &Workshop) {
    let (outputs, engine) = (Outputs::make(workshop, "buildah"), workshop.podman());
    let layout = format!("oci:{}:latest", outputs.zstd.display());
    let container = engine.beside("buildah").args(["from", "--pull", &layout]).text();
    engine.beside("buildah").args(["rm", &container]).text();
    for (number, from) in [layout, workshop.image(engine, "hello")].iter().enumerate() {
        on_top(workshop, engine, from, &format!("localhost/on-hello-{number}"));
    }
}

fn on_top(workshop: &Workshop, engine: &Engine, from: &str, image: &str) {
    let folder = workshop.make_folder(&image.replace('/', "-"));
    fs::write(folder.join("greeting"), "hello\n").expect("it is ours");
    fs::write(folder.join("Containerfile"), format!("FROM {from}\nCOPY greeting /greeting\n")).expect("it is ours");
    build(engine, image, &folder);
    let sum = engine.once(image, &[], &["/greeting"]).text();
    assert_eq!(sum, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  /greeting");
}
