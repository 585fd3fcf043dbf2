//! Images for several platforms: one index, joined from what several machines built.

use snapbox::str;

use super::commands::prints;
use super::sandbox::Sandbox;

/// A program for each of three machines, and a recipe that takes the one for its platform.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.folder("root/etc").file("root/etc/os-release", "ID=test\nVERSION_ID=1\n");
    sandbox.static_program("dist/amd64/api", 62).static_program("dist/arm64/api", 183);
    sandbox.static_program("dist/arm/api", 40);
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
