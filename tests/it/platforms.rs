//! Images for several platforms: one index, joined from what several machines built.

use snapbox::str;

use super::commands::prints;
use super::registry_server::Server;
use super::sandbox::Sandbox;

/// A program for each of three machines, and a recipe that takes the one for its platform.
pub(crate) fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.folder("root/etc").file("root/etc/os-release", "ID=test\nVERSION_ID=1\n");
    sandbox.static_program("dist/amd64/api", 62).static_program("dist/arm64/api", 183);
    sandbox.file("dist/arm/api", arm_program(0x500_0400, Some(10))).mode("dist/arm/api", 0o755);
    let recipe = "name = 'registry.example/api'\nroot = 'root'\nports = [8080, 80]\nwritable = ['/var/cache/api']\n\
        binaries = [{ from = 'dist/${arch}/api', to = '/usr/bin/api' }]\n\
        files = [{ content = '${platform}', to = '/etc/platform' }, { content = 'x', to = '/var/cache/api/warm' }]\n";
    sandbox.file("api.toml", recipe);
    sandbox
}

fn build(sandbox: &Sandbox, platform: &str, more: &[&str]) -> String {
    let run = sandbox.run(&[&["build", "-q", "api.toml", "--platform", platform], more].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    run.stdout
}

fn json(sandbox: &Sandbox, args: &[&str]) -> serde_json::Value {
    let run = sandbox.run(args);
    assert_eq!(run.code, 0, "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn images_of_several_machines_are_joined() {
    let sandbox = sandbox();
    let amd64 = build(&sandbox, "linux/amd64", &["-o", "amd64.oci"]);
    build(&sandbox, "linux/arm64", &["-o", "arm64.tar", "--compression", "zstd"]);
    build(&sandbox, "linux/arm/v7", &["-o", "armhf.oci"]);
    let joined = sandbox.run(&["index", "join", "-o", "api.oci", "amd64.oci", "arm64.tar", "armhf.oci"]);
    assert_eq!(joined.code, 0, "{}", joined.stderr);
    assert!(joined.stdout.starts_with("api@sha256:"), "{}", joined.stdout);
    let again = sandbox.run(&["index", "join", "-o", "again.tar", "armhf.oci", "arm64.tar", "amd64.oci"]);
    assert_eq!(again.stdout, joined.stdout);
    let verified = sandbox.run(&["verify", "api.oci", "again.tar"]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    assert!(verified.stdout.starts_with("api.oci: sound, 3 images, "), "{}", verified.stdout);
    let looked = json(&sandbox, &["inspect", "--format=json", "api.oci"]);
    let platforms: Vec<_> = (0..3).map(|at| looked["images"][at]["platform"].as_str().unwrap()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm/v7", "linux/arm64"]);
    let index = format!("api@{}\n", looked["images"][0]["index"].as_str().unwrap());
    assert_eq!(index, joined.stdout);
    assert_eq!(amd64, format!("registry.example/api@{}\n", looked["images"][0]["digest"].as_str().unwrap()));
    let hex = index.trim().rsplit(':').next().unwrap();
    let document = std::fs::read_to_string(sandbox.at("api.oci/blobs/sha256").join(hex)).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(document["annotations"]["org.opencontainers.image.title"], "api");
    assert_eq!(document["manifests"][1]["platform"]["variant"], "v7");
    let listed: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.at("api.oci/index.json")).unwrap()).unwrap();
    assert_eq!(listed["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(listed["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "latest");
    assert_eq!(listed["manifests"][0]["mediaType"], "application/vnd.oci.image.index.v1+json");
}

#[test]
fn one_platform_of_an_index_is_looked_at() {
    let sandbox = sandbox();
    build(&sandbox, "linux/amd64", &["-o", "amd64.oci"]);
    build(&sandbox, "linux/arm64", &["-o", "arm64.oci"]);
    sandbox.run(&["index", "join", "-q", "-o", "api.oci", "amd64.oci", "arm64.oci"]);
    let one = json(&sandbox, &["inspect", "--format=json", "api.oci", "--platform", "linux/aarch64"]);
    assert_eq!(one["images"].as_array().unwrap().len(), 1);
    assert_eq!(one["images"][0]["platform"], "linux/arm64");
    prints(
        &sandbox.run(&["inspect", "api.oci", "--platform", "linux/riscv64"]),
        2,
        str![[r#"
error[E0001]: `api.oci` has no image for linux/riscv64
 |
 = note: it has linux/amd64, linux/arm64

"#]],
    );
    // A second index takes the place of the first, and what only that had goes.
    sandbox.file("api.toml", std::fs::read_to_string(sandbox.at("api.toml")).unwrap().replace("'x'", "'y'"));
    build(&sandbox, "linux/arm64", &["-o", "arm64.oci"]);
    let before = sandbox.names("api.oci/blobs/sha256").len();
    let second = sandbox.run(&["index", "join", "-q", "-o", "api.oci", "amd64.oci", "arm64.oci"]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert_eq!(sandbox.names("api.oci/blobs/sha256").len(), before);
    assert_eq!(sandbox.run(&["verify", "api.oci"]).code, 0);
}

#[test]
fn what_does_not_go_together_is_not_joined() {
    let sandbox = sandbox();
    build(&sandbox, "linux/amd64", &["-o", "amd64.oci"]);
    build(&sandbox, "linux/arm64", &["-o", "arm64.oci", "-t", "v1"]);
    build(&sandbox, "linux/amd64", &["-o", "other.tar"]);
    build(&sandbox, "linux/amd64", &["-o", "docker-archive:docker.tar"]);
    sandbox.file("web.toml", "name = 'web'\nroot = 'root'\nbinaries = ['./dist/arm/api']\n");
    assert_eq!(sandbox.run(&["build", "-q", "web.toml", "-o", "web.oci"]).code, 0);
    let join = |images: &[&str]| sandbox.run(&[&["index", "join", "-o", "out.oci"], images].concat());
    prints(
        &join(&["amd64.oci", "other.tar", "web.oci"]),
        1,
        str![[r#"
error[E0650]: `amd64.oci` and `other.tar` both have an image for linux/amd64

"#]],
    );
    prints(
        &join(&["amd64.oci", "web.oci"]),
        1,
        str![[r#"
error[E0650]: `amd64.oci` is `api`, and `web.oci` is `web`

"#]],
    );
    prints(
        &join(&["amd64.oci", "arm64.oci"]),
        1,
        str![[r#"
error[E0650]: `amd64.oci` is `latest`, and `arm64.oci` is `v1`
 |
 = help: `--tag` gives the result its own

"#]],
    );
    prints(
        &join(&["docker.tar", "arm64.oci"]),
        1,
        str![[r#"
error[E0650]: `docker.tar` is what `docker save` writes, without manifests that an index could list
 |
 = help: build a layout or an archive: `-o DIR` or `-o FILE.tar`

"#]],
    );
    assert_eq!(join(&["amd64.oci", "root"]).code, 1);
    assert_eq!(sandbox.run(&["index", "join", "-o", "rootfs:out", "amd64.oci"]).code, 2);
    assert!(!sandbox.at("out.oci").exists() && !sandbox.at("out").exists());
    assert_eq!(join(&["amd64.oci", "arm64.oci", "-t", "v2"]).code, 0);
    build(&sandbox, "linux/arm64", &["-o", "oci:amd64.oci:arm"]);
    prints(
        &join(&["amd64.oci", "-t", "v3"]),
        1,
        str![[r#"
error[E0650]: `amd64.oci` has no image called `v3`
 |
 = note: it has `arm`, `latest`

"#]],
    );
    // A blob that is not what its digest says stops it.
    let layer = json(&sandbox, &["inspect", "--format=json", "out.oci"])["images"][1]["layers"][0].clone();
    let hex = layer["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let blob = sandbox.at("out.oci/blobs/sha256").join(hex);
    let mut bytes = std::fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let run = sandbox.run(&["index", "join", "-o", "new.oci", "out.oci"]);
    assert!(run.code == 1 && run.stderr.contains("is not what its digest says"), "{}", run.stderr);
    assert_eq!(sandbox.names(".").iter().filter(|name| name.contains("new.oci")).count(), 0);
}

#[test]
fn an_image_is_told_as_a_pod_and_as_a_dockerfile() {
    let sandbox = sandbox();
    build(&sandbox, "linux/amd64", &["-o", "api.tar"]);
    let clean = |mut run: super::sandbox::Run| {
        let at = run.stdout.find("sha256:").unwrap_or(run.stdout.len());
        let end = run.stdout[at..].find('"').map_or(at, |length| at + length);
        run.stdout.replace_range(at..end, "DIGEST");
        run
    };
    prints(
        &clean(sandbox.run(&["inspect", "--format=k8s", "api.tar"])),
        0,
        str![[r##"
# registry.example/api: part of a Pod's spec
securityContext:
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
  sysctls:
    - name: net.ipv4.ip_unprivileged_port_start
      value: "0"
containers:
  - name: api
    image: "registry.example/api@DIGEST"
    ports:
      - containerPort: 80
        protocol: TCP
      - containerPort: 8080
        protocol: TCP
    securityContext:
      runAsNonRoot: true
      runAsUser: 65532
      runAsGroup: 65532
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities:
        drop: [ALL]
    volumeMounts:
      - name: home-nonroot
        mountPath: "/home/nonroot"
      - name: tmp
        mountPath: "/tmp"
      - name: var-cache-api
        mountPath: "/var/cache/api"
      - name: var-tmp
        mountPath: "/var/tmp"
volumes:
  - name: home-nonroot
    emptyDir: {}
  - name: tmp
    emptyDir: {}
  - name: var-cache-api
    emptyDir: {}  # hides 1 file of the image
  - name: var-tmp
    emptyDir: {}

"##]],
    );
    prints(
        &sandbox.run(&["inspect", "--format=dockerfile", "api.tar"]),
        0,
        str![[r##"
# The configuration of registry.example/api, for its files in an image from scratch.
USER 65532:65532
WORKDIR /
ENV PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EXPOSE 80/tcp
EXPOSE 8080/tcp
LABEL "org.opencontainers.image.created"="1970-01-01T00:00:00Z"
LABEL "org.opencontainers.image.title"="api"
LABEL "org.opencontainers.image.version"="latest"
ENTRYPOINT ["/usr/bin/api"]

"##]],
    );
}

/// The three platforms of the sandbox in one recipe.
fn several() -> Sandbox {
    let sandbox = sandbox();
    let recipe = std::fs::read_to_string(sandbox.at("api.toml")).unwrap();
    sandbox.file("all.toml", format!("platforms = ['linux/arm64', 'linux/amd64', 'linux/arm/v7']\n{recipe}"));
    sandbox
}

#[test]
fn one_recipe_gives_an_index() {
    let sandbox = several();
    let built = sandbox.run(&["build", "all.toml", "-o", "all.oci", "-o", "all.tar", "--compression", "zstd"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let last: Vec<&str> = built.stderr.lines().rev().take(2).collect();
    assert_eq!(
        last,
        ["  written to oci:all.oci, oci-archive:all.tar", "registry.example/api:latest (index of 3 platforms)"]
    );
    assert_eq!(sandbox.run(&["verify", "all.oci", "all.tar"]).code, 0);
    // Whatever the order, and as several machines would have built it.
    let parts = ["linux/amd64", "linux/arm64", "linux/arm"];
    for (number, platform) in parts.iter().enumerate() {
        let part = build(&sandbox, platform, &["-o", &format!("{number}.oci")]);
        let looked = json(&sandbox, &["inspect", "--format=json", "all.oci", "--platform", platform]);
        assert_eq!(part, format!("registry.example/api@{}\n", looked["images"][0]["digest"].as_str().unwrap()));
    }
    let joined = sandbox.run(&["index", "join", "-q", "-o", "joined.oci", "2.oci", "0.oci", "1.oci"]).stdout;
    assert_eq!(joined.rsplit('@').next(), built.stdout.rsplit('@').next());
    let other = build(&sandbox, "linux/arm/v7,linux/amd64", &["--platform=linux/arm64", "-j1", "-o", "other.oci"]);
    assert_eq!(other, built.stdout);
    let index: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.at("all.oci/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(format!("registry.example/api@{}\n", index["manifests"][0]["digest"].as_str().unwrap()), built.stdout);
    // What reads Docker's list alone finds the image that was named first.
    let docker = sandbox.at("docker.json");
    let archive = std::fs::File::open(sandbox.at("all.tar")).unwrap();
    for entry in tar::Archive::new(archive).entries().unwrap().map(Result::unwrap) {
        let mut entry = entry;
        if entry.path_bytes().as_ref() == b"manifest.json" {
            entry.unpack(&docker).unwrap();
        }
    }
    let docker: serde_json::Value = serde_json::from_slice(&std::fs::read(docker).unwrap()).unwrap();
    let arm64 = json(&sandbox, &["inspect", "--format=json", "all.oci", "--platform", "linux/arm64"]);
    let id = arm64["images"][0]["id"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    assert_eq!(docker.as_array().unwrap().len(), 1);
    assert_eq!(docker[0]["Config"], format!("blobs/sha256/{id}"));
    // A debug twin is an index, too; one image more goes into the same layout.
    sandbox.static_program("root/usr/bin/busybox", 62);
    let debug = sandbox.run(&["build", "-q", "all.toml", "--debug", "--platform=linux/amd64", "-o", "all.oci"]);
    assert_eq!((debug.code, debug.stdout.lines().count()), (0, 2), "{}", debug.stderr);
    assert_eq!(sandbox.run(&["verify", "-q", "all.oci"]).code, 0);
}

/// Two variants of one architecture, too.
#[test]
fn each_platform_is_held_against_its_own_image() {
    let sandbox = sandbox();
    sandbox.file("dist/arm/api", arm_program(0x500_0400, Some(6))).mode("dist/arm/api", 0o755);
    let recipe = std::fs::read_to_string(sandbox.at("api.toml")).unwrap();
    sandbox.file("all.toml", format!("platforms = ['linux/arm/v6', 'linux/amd64', 'linux/arm/v7']\n{recipe}"));
    let built = sandbox.run(&["build", "all.toml", "--check", "-o", "all.oci"]);
    assert!(built.code == 0 && built.stderr.ends_with("built twice: the same images\n"), "{}", built.stderr);
    let server = Server::new();
    let name = server.name("acme/api:1");
    let pushed = sandbox.run(&["push", "all.oci", &name]);
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    for image in ["all.oci", &name] {
        let verified = sandbox.run(&["verify", image, "all.toml"]);
        let same = verified.stdout.contains("the same when it is built again");
        assert!(verified.code == 0 && same, "{image}: {} {}", verified.stdout, verified.stderr);
    }
    sandbox.file("all.toml", format!("platforms = ['linux/arm/v6', 'linux/amd64', 'linux/arm/v7']\n{recipe}[env]\nA = '${{variant}}'\n[vars]\nvariant = 'x'\n"));
    for image in ["all.oci", &name] {
        let verified = sandbox.run(&["verify", image, "all.toml"]);
        assert_eq!(verified.code, 4, "{}", verified.stderr);
        for platform in ["linux/arm/v6: ", "linux/arm/v7: ", "linux/amd64: "] {
            assert!(verified.stderr.contains(platform), "{platform}: {}", verified.stderr);
        }
    }
}

#[test]
fn outputs_for_one_machine_get_one_image() {
    let sandbox = several();
    let refused = sandbox.run(&["build", "all.toml", "-o", "rootfs:out", "-o", "all.oci"]);
    let text = "error[E0651]: output `rootfs:out` holds the files of one platform, and the recipe is for 3";
    assert!(refused.code == 1 && refused.stderr.contains(text), "{}", refused.stderr);
    assert!(refused.stderr.contains("choose one with `--platform`"), "{}", refused.stderr);
    assert!(!sandbox.at("out").exists() && !sandbox.at("all.oci").exists());
    assert_eq!(sandbox.run(&["build", "-q", "all.toml", "--platform=linux/arm64", "-o", "rootfs:out"]).code, 0);
    assert_eq!(std::fs::read_to_string(sandbox.at("out/etc/platform")).unwrap(), "linux/arm64");
    let docker = sandbox.run(&["build", "all.toml", "-o", "docker-archive:docker.tar"]);
    assert_eq!(docker.code, 0, "{}", docker.stderr);
    let here = mkimage::recipe::Platform::host();
    let note = format!(
        "note: `docker.tar` holds the image for {} alone, of linux/arm64, linux/amd64, linux/arm/v7",
        if here.architecture == "amd64" || here.architecture == "arm64" {
            here.to_string()
        } else {
            "linux/arm64".into()
        }
    );
    assert!(docker.stderr.contains(&note), "{}", docker.stderr);
    let looked = json(&sandbox, &["inspect", "--format=json", "docker.tar"]);
    assert_eq!(looked["images"].as_array().unwrap().len(), 1);
    let stdout = sandbox.run_with(&["build", "-q", "all.toml", "-o", "-"], |_| {});
    assert_eq!(stdout.code, 0, "{}", stdout.stderr);
}

#[test]
fn what_looks_at_recipes_looks_at_every_platform() {
    let sandbox = several();
    let checked = sandbox.run(&["check", "all.toml"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    for platform in ["linux/arm64", "linux/amd64", "linux/arm/v7"] {
        assert!(
            checked.stderr.contains(&format!(
                " for {platform}
"
            )),
            "{}",
            checked.stderr
        );
    }
    let tree = sandbox.run(&["tree", "all.toml"]).stdout;
    assert_eq!(tree.matches("registry.example/api:latest (linux/").count(), 3, "{tree}");
    let why = sandbox.run(&["why", "/usr/bin/api", "all.toml", "--platform", "linux/arm64"]);
    assert!(why.code == 0 && why.stdout.contains("dist/${arch}/api"), "{}{}", why.stdout, why.stderr);
    let one = json(&sandbox, &["check", "all.toml", "--format=json", "--platform=linux/arm64"]);
    assert_eq!(one["images"].as_array().unwrap().len(), 1);
    assert_eq!(one["images"][0]["platform"], "linux/arm64");
}

#[test]
fn a_program_for_another_machine_is_told_with_both_places() {
    let sandbox = sandbox();
    sandbox.folder("sysroots/amd64/etc").folder("sysroots/arm64/etc");
    let bytes = std::fs::read(sandbox.at("dist/amd64/api")).unwrap();
    sandbox.file("dist/arm64/api", bytes).mode("dist/arm64/api", 0o755);
    sandbox.file(
        "api.toml",
        "name = 'registry.example/acme/api'\nplatforms = ['linux/amd64', 'linux/arm64']\n\
         binaries = [{ from = 'dist/${arch}/api', to = '/usr/bin/api' }]\n\
         [roots]\n'linux/amd64' = 'sysroots/amd64'\n'linux/arm64' = 'sysroots/arm64'\n",
    );
    prints(
        &sandbox.run(&["build", "api.toml"]),
        1,
        str![[r#"
warning[E0307]: 1 program without PIE: `/usr/bin/api`

error[E0204]: `/usr/bin/api` is for linux/amd64, the platform is linux/arm64
 --> api.toml:3:13
  |
2 | platforms = ['linux/amd64', 'linux/arm64']
  |                             ------------- this platform
3 | binaries = [{ from = 'dist/${arch}/api', to = '/usr/bin/api' }]
  |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ ELF machine x86-64

"#]],
    );
    assert!(!sandbox.at("api.oci").exists());
}

/// An ELF header for 32-bit Arm and a section with build attributes, of which `Tag_CPU_arch` is one.
fn arm_program(flags: u32, architecture: Option<u8>) -> Vec<u8> {
    let attributes: Vec<u8> = architecture.map_or_else(Vec::new, |number| {
        let file = [1, 7, 0, 0, 0, 6, number];
        [&b"A"[..], &17_u32.to_le_bytes(), b"aeabi\0", &file].concat()
    });
    let (segment, section) = (52_u32, 52 + 32 + 32);
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2_u16, 40].into_iter().flat_map(u16::to_le_bytes));
    elf.extend([1_u32, 0x1_0054, segment, section, flags].into_iter().flat_map(u32::to_le_bytes));
    elf.extend([52_u16, 32, 1, 40, 1, 0].into_iter().flat_map(u16::to_le_bytes));
    elf.extend([1_u32, 0, 0x1_0000, 0x1_0000, 116, 116, 5, 4096].into_iter().flat_map(u32::to_le_bytes));
    elf.resize(84, 0);
    elf.extend(&attributes);
    elf.resize(section as usize, 0);
    let size = u32::try_from(attributes.len()).unwrap();
    let kind = if size > 0 { 0x7000_0003 } else { 0 };
    elf.extend([0_u32, kind, 0, 0, 84, size, 0, 0, 1, 0].into_iter().flat_map(u32::to_le_bytes));
    elf
}

#[test]
fn variants_of_arm_are_those_of_the_program() {
    const HARD: u32 = 0x500_0400;
    let sandbox = sandbox();
    sandbox.file("arm.toml", "name = 'arm'\nroot = 'root'\nbinaries = ['./arm']\n");
    let platform = |flags, architecture| {
        sandbox.file("arm", arm_program(flags, architecture)).mode("arm", 0o755);
        json(&sandbox, &["check", "-q", "arm.toml", "--format=json"])["images"][0]["platform"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (flags, architecture, expected) in [
        (HARD, Some(10), "linux/arm/v7"),
        (HARD, Some(6), "linux/arm/v6"),
        (HARD, Some(14), "linux/arm/v8"),
        (HARD, None, "linux/arm/v7"),
        (0x500_0200, Some(3), "linux/arm/v5"),
        (0x500_0200, None, "linux/arm/v5"),
        (0x500_0000, None, "linux/arm/v7"),
    ] {
        assert_eq!(platform(flags, architecture), expected, "{flags:x} {architecture:?}");
    }
    sandbox.file("arm", arm_program(HARD, Some(10))).mode("arm", 0o755);
    sandbox.file("old.toml", "name = 'arm'\nroot = 'root'\nplatforms = ['linux/arm/v6']\nbinaries = ['./arm']\n");
    prints(
        &sandbox.run(&["check", "old.toml"]),
        1,
        str![[r#"
error[E0204]: `/usr/bin/arm` is for linux/arm/v7, the platform is linux/arm/v6
 --> old.toml:4:13
  |
3 | platforms = ['linux/arm/v6']
  |              -------------- this platform
4 | binaries = ['./arm']
  |             ^^^^^^^ its attributes say Arm v7

"#]],
    );
    assert_eq!(sandbox.run(&["check", "-q", "old.toml", "--platform=linux/arm/v8"]).code, 0);
}

#[test]
fn a_level_of_x86_64_is_a_variant_where_the_image_needs_it() {
    let root = super::support::root::Root::glibc(
        "/usr/bin/app program libx.so.1 libc.so.6
        /usr/lib/x86_64-linux-gnu/libx.so.1 library libc.so.6
        /usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libx.so.1 library libc.so.6
        /usr/bin/plain program libc.so.6
        /etc/os-release file ID=test",
    );
    let sandbox = Sandbox::new();
    let platform = |name: &str, text: &str| {
        let root = root.host("/").display().to_string();
        sandbox.file("r.toml", format!("name = 'r'\nroot = '{root}'\nbinaries = ['{name}']\n{text}\n"));
        let run = sandbox.run(&["check", "-q", "--format=json", "r.toml"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        document["images"][0]["platform"].as_str().unwrap().to_owned()
    };
    assert_eq!(platform("app", ""), "linux/amd64");
    assert_eq!(platform("app", "isa = 'x86-64-v4'"), "linux/amd64/v3");
    assert_eq!(platform("app", "isa = 'all'"), "linux/amd64");
    assert_eq!(platform("plain", "isa = 'x86-64-v3'"), "linux/amd64");
    assert_eq!(platform("app", "platforms = ['linux/amd64/v3']"), "linux/amd64/v3");
    // The variant of the platform takes the libraries of its level.
    let tree = sandbox.run(&["tree", "-v", "r.toml"]).stdout;
    assert!(tree.contains("glibc-hwcaps/x86-64-v3/libx.so.1"), "{tree}");
    let both = sandbox.run(&["build", "-q", "r.toml", "--platform=linux/amd64/v3,linux/amd64"]);
    assert_eq!(both.code, 0, "{}", both.stderr);
    let looked = json(&sandbox, &["inspect", "--format=json", "r.oci"]);
    let platforms: Vec<_> = (0..2).map(|at| looked["images"][at]["platform"].as_str().unwrap()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/amd64/v3"]);
}

#[test]
fn what_was_built_is_written_down_for_other_programs() {
    let sandbox = several();
    sandbox.file("base.toml", "extras = []\n");
    let recipe = std::fs::read_to_string(sandbox.at("all.toml")).unwrap();
    sandbox.file("all.toml", format!("extends = 'base.toml'\n{recipe}"));
    let run = sandbox.run_with(
        &["build", "-q", "all.toml", "-t", "v1", "-t", "v1.2", "-o", "all.oci", "--metadata-file", "built.json"],
        |command| {
            command.env("GITHUB_STEP_SUMMARY", "summary.md");
        },
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    let text = std::fs::read_to_string(sandbox.at("built.json")).unwrap();
    let built: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(built["version"], 1);
    let image = &built["images"][0];
    assert_eq!(format!("registry.example/api@{}\n", image["digest"].as_str().unwrap()), run.stdout);
    assert_eq!(image["name"], "registry.example/api");
    assert_eq!(image["tags"], serde_json::json!(["v1", "v1.2"]));
    assert_eq!(image["bases"], serde_json::json!(["base.toml"]));
    let looked = json(&sandbox, &["inspect", "--format=json", "all.oci"]);
    for (at, platform) in ["linux/arm64", "linux/amd64", "linux/arm/v7"].into_iter().enumerate() {
        let told = &image["platforms"][at];
        let images = looked["images"].as_array().unwrap();
        let stored = images.iter().find(|stored| stored["platform"] == platform).unwrap();
        assert_eq!((&told["digest"], &told["config"]), (&stored["digest"], &stored["id"]), "{platform}");
        assert_eq!(told["created"], "1970-01-01T00:00:00Z");
        let digests = |image: &serde_json::Value| -> Vec<serde_json::Value> {
            image["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].clone()).collect()
        };
        assert_eq!(digests(told), digests(stored));
        let size: u64 = stored["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap()).sum();
        assert_eq!(told["size"], size);
    }
    let summary = std::fs::read_to_string(sandbox.at("summary.md")).unwrap();
    assert!(summary.starts_with("### Images\n\n| image | platform | packed | digest |\n"), "{summary}");
    assert_eq!(summary.matches("| `registry.example/api:v1`<br>`registry.example/api:v1.2` |").count(), 4, "{summary}");
    let nowhere = sandbox.run(&["build", "-q", "all.toml", "-o", "all.oci", "--metadata-file", "none/built.json"]);
    assert!(nowhere.code == 1 && nowhere.stderr.contains("none/built.json"), "{}", nowhere.stderr);
}
