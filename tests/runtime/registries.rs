//! A real registry, with TLS by a company's authority and passwords, and without: what is pushed is what engines pull.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mkimage::oci::Digest;
use mkimage::registry::{Blob, Client, Content, Options, Remote};
use serde_json::json;

use crate::call::{Call, eventually};
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "a_registry_with_tls_and_passwords",
        needs: &["docker-registry", "htpasswd", "openssl", "skopeo", "podman"],
        run: secured,
    },
    Test { name: "a_push_that_is_killed", needs: &["docker-registry"], run: killed },
    Test {
        name: "others_see_what_refers_to_an_image",
        needs: &["docker-registry", "apt-get", VERIFIERS],
        run: referrers,
    },
    Test {
        name: "an_index_goes_through_registries_with_what_refers_to_it",
        needs: &["docker-registry", "skopeo", "openssl", "apt-get", VERIFIERS],
        run: whole,
    },
    Test {
        name: "recipes_are_extended_from_registries",
        needs: &["docker-registry", "apt-get", VERIFIERS],
        run: recipes,
    },
    Test { name: "docker_pulls_what_was_pushed", needs: &["docker-registry", "dockerd"], run: docker },
];

/// Fetches oras, cosign and crane. Not a part of this repository: where it is not beside it, the test is skipped.
pub(crate) const VERIFIERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/trust/get-verifiers.sh");

/// A registry of the test's own, which ends with it.
pub(crate) struct Registry {
    child: Child,
    pub(crate) address: String,
    log: PathBuf,
}

impl Registry {
    /// `more` are lines of the configuration under `http:`, and whole sections.
    pub(crate) fn start(folder: &Path, http: &str, sections: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("this machine has a loopback");
        let address = free.local_addr().expect("it is bound").to_string();
        drop(free);
        let (config, log) = (folder.join("config.yml"), folder.join("log"));
        let storage = folder.join("data");
        let text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n{http}{sections}",
            storage.display()
        );
        fs::write(&config, text).expect("the suite owns the folder");
        let output = fs::File::create(&log).expect("the suite owns the folder");
        let child = Command::new("/usr/bin/docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(output.try_clone().expect("a file can be opened twice"))
            .stdout(output)
            .spawn()
            .expect("it is installed");
        let registry = Self { child, address, log };
        eventually(|| std::net::TcpStream::connect(&registry.address).map_err(|error| error.to_string()));
        registry
    }

    /// crane's, which keeps all in memory and lists referrers by itself.
    pub(crate) fn crane(program: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("this machine has a loopback");
        let address = free.local_addr().expect("it is bound").to_string();
        drop(free);
        let child = Command::new(program)
            .args(["registry", "serve", "--address", &address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it was fetched");
        let registry = Self { child, address, log: PathBuf::new() };
        eventually(|| std::net::TcpStream::connect(&registry.address).map_err(|error| error.to_string()));
        registry
    }

    pub(crate) fn name(&self, rest: &str) -> String {
        format!("docker://{}/{rest}", self.address)
    }

    /// How many requests of this kind were answered.
    fn count(&self, words: &[&str]) -> usize {
        let log = String::from_utf8_lossy(&fs::read(&self.log).expect("it writes a log")).into_owned();
        log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn secured(workshop: &Workshop) {
    let folder = workshop.make_folder("registry-secured");
    let tls = workshop.tls();
    let passwords = Call::new("htpasswd").args(["-Bbn", "user", "a secret"]).text();
    fs::write(folder.join("htpasswd"), passwords).expect("the suite owns the folder");
    let http = format!("  tls:\n    certificate: {0}/server.pem\n    key: {0}/server.key\n", tls.display());
    let auth = format!("auth:\n  htpasswd:\n    realm: test\n    path: {}/htpasswd\n", folder.display());
    let registry = Registry::start(&folder, &http, &auth);
    let (name, certificate) = (registry.name("team/hello:1.0"), tls.join("ca.pem"));
    let logins = folder.join("logins.json");
    let entry = "{\"auths\": {\"ADDRESS\": {\"username\": \"user\", \"password\": \"a secret\"}}}";
    fs::write(&logins, entry.replace("ADDRESS", &registry.address)).expect("the suite owns the folder");
    let mkimage = |words: &[&str]| {
        let call = workshop.mkimage().args(words).arg("--registry-ca").arg(&certificate);
        call.arg("--creds-file").arg(&logins)
    };

    // A stranger's certificate, and nobody's password.
    let stranger = workshop.mkimage().args(["inspect", &name]).ended();
    assert!(!stranger.success && stranger.stderr.contains("its issuer is not known here"), "{}", stranger.report());
    let nobody = workshop.mkimage().args(["inspect", &name]).arg("--registry-ca").arg(&certificate).ended();
    assert!(!nobody.success && nobody.stderr.contains("E0602"), "{}", nobody.report());

    let pushed = mkimage(&["build", "hello.toml", "-o", &name]).text();
    let sent = registry.count(&["PUT", "/blobs/uploads/"]);
    assert!(sent > 1, "nothing was sent");
    let again = mkimage(&["build", "hello.toml", "-o", &name]).text();
    assert_eq!((pushed.clone(), registry.count(&["PUT", "/blobs/uploads/"])), (again, sent), "a blob was sent twice");
    mkimage(&["verify", &name]).text();

    let digest = pushed.split('@').nth(1).expect("it is NAME@DIGEST").to_owned();
    let certificates = folder.join("certificates");
    fs::create_dir(&certificates).expect("the suite owns the folder");
    fs::copy(&certificate, certificates.join("ca.crt")).expect("both are there");
    let inspected = Call::new("skopeo")
        .args(["inspect", "--creds=user:a secret", "--cert-dir"])
        .arg(&certificates)
        .args(["--format", "{{.Digest}}", &name])
        .text();
    assert_eq!(inspected, digest);
    let copy = format!("dir:{}", folder.join("copy").display());
    Call::new("skopeo")
        .args(["copy", "--quiet", "--src-creds=user:a secret", "--src-cert-dir"])
        .arg(&certificates)
        .args([&name, &copy])
        .text();
    let place = name.trim_start_matches("docker://");
    let cert_dir = format!("--cert-dir={}", certificates.display());
    workshop.podman().call(["pull", "--quiet", "--creds=user:a secret", &cert_dir, place]).text();

    // Back into a layout, byte for byte.
    let layout = folder.join("back.oci");
    let pulled = mkimage(&["pull", &name]).arg(&layout).text();
    assert!(pulled.ends_with(&digest), "{pulled} is not {digest}");
    workshop.mkimage().arg("verify").arg(&layout).text();
}

/// Fifty times, after other times: there is no tag, or all that it names.
fn killed(workshop: &Workshop) {
    let folder = workshop.make_folder("registry-killed");
    let registry = Registry::start(&folder, "", "");
    let archive = workshop.archive("hello");
    let (mut absent, mut whole) = (0, 0);
    for round in 0..50_u64 {
        let name = registry.name(&format!("killed/{round}:1"));
        let mut push = Command::new(workshop.program())
            .arg("push")
            .arg(&archive)
            .arg(&name)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it is built");
        std::thread::sleep(Duration::from_micros(1000 + round * 1700));
        let _ = push.kill();
        let _ = push.wait();
        let found = workshop.mkimage().args(["verify", &name]).ended();
        if found.success {
            whole += 1;
        } else {
            assert!(found.stderr.contains("E0603"), "round {round}: {}", found.report());
            absent += 1;
        }
        // What was begun can be ended.
        if round % 10 == 0 {
            workshop.mkimage().arg("push").arg(&archive).arg(&name).text();
            workshop.mkimage().args(["verify", &name]).text();
        }
    }
    assert!(absent > 0, "each of {whole} pushes was faster than its end");
}

/// crane's registry lists referrers by itself, docker-registry 2.8 does not: oras and cosign find them in both.
fn referrers(workshop: &Workshop) {
    let folder = workshop.make_folder("referrers");
    Call::new("bash").arg(VERIFIERS).arg(folder.join("verifiers")).arg("sid").text();
    let program = |name: &str| folder.join("verifiers/bin").join(name);
    let plain = Registry::start(&folder, "", "");
    let listing = Registry::crane(&program("crane"));
    for registry in [&plain, &listing] {
        let name = registry.name("team/hello:1");
        let pushed = workshop.mkimage().args(["push"]).arg(workshop.archive("hello")).arg(&name).text();
        let subject = pushed.split('@').nth(1).expect("it is NAME@DIGEST");
        let again =
            workshop.mkimage().args(["push", "--format", "json"]).arg(workshop.archive("hello")).arg(&name).text();
        assert!(again.contains("\"sent\":{\"blobs\":0,\"bytes\":0}"), "{again}");

        let client = Client::new(Options::default()).expect("no certificates are asked for");
        let to = Remote::parse(&name).expect("a good name");
        let manifest = client.manifest(&to).expect("it was pushed");
        assert_eq!(manifest.digest.to_string(), subject);
        let (empty, document) = (b"{}".as_slice(), b"{\"spdxVersion\":\"SPDX-2.3\"}".as_slice());
        let descriptor =
            |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() });
        let referrer = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/spdx+json",
            "config": descriptor("application/vnd.oci.empty.v1+json", empty),
            "layers": [descriptor("application/spdx+json", document)],
            "subject": descriptor(&manifest.media_type, &manifest.bytes),
        });
        let blob = |bytes| Blob { digest: Digest::of(bytes), size: bytes.len() as u64, content: Content::Bytes(bytes) };
        let own =
            client.push_referrer(&to.repository, referrer.to_string().as_bytes(), vec![blob(empty), blob(document)]);
        let own = own.expect("the registry takes it").to_string();

        let place = format!("{}@{subject}", name.trim_start_matches("docker://").trim_end_matches(":1"));
        let found = Call::new(program("oras")).args(["discover", "--plain-http", "--format", "json", &place]).text();
        assert!(found.contains(&own) && found.contains("application/spdx+json"), "{found}");
        let tree = Call::new(program("cosign"))
            .env("HOME", folder.as_os_str())
            .args(["tree", "--allow-http-registry", "--allow-insecure-registry", &place])
            .ended();
        assert!(tree.success && tree.stdout.contains(&own), "{}", tree.report());
        let listed = client.referrers(&to.repository, manifest.digest, Some("application/spdx+json")).expect("it says");
        assert_eq!(listed.iter().map(|one| one.digest.to_string()).collect::<Vec<_>>(), [own]);
    }
}

/// An index of images for two platforms, signed and with SBOMs, from a layout into a registry that keeps no list of
/// referrers, from there into one that does, and back; joined there from its images.
fn whole(workshop: &Workshop) {
    let folder = workshop.make_folder("registry-whole");
    Call::new("bash").arg(VERIFIERS).arg(folder.join("verifiers")).arg("sid").text();
    let program = |name: &str| folder.join("verifiers/bin").join(name);
    let plain = Registry::start(&folder, "", "");
    let listing = Registry::crane(&program("crane"));
    for (machine, name) in [(62, "amd64"), (183, "arm64")] {
        fs::create_dir_all(folder.join("dist").join(name)).expect("the suite owns the folder");
        let path = folder.join("dist").join(name).join("app");
        fs::write(&path, program_of(machine)).expect("the suite owns the folder");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("it is there");
    }
    fs::create_dir_all(folder.join("root")).expect("the suite owns the folder");
    let recipe = "name = 'app'\nroot = 'root'\nsbom = ['spdx']\nplatforms = ['linux/amd64', 'linux/arm64']\n\
        binaries = [{ from = 'dist/${arch}/app', to = '/app' }]\n";
    fs::write(folder.join("app.toml"), recipe).expect("the suite owns the folder");
    let (key, public) = (folder.join("key.pem"), folder.join("key.pub"));
    Call::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
        .arg(&key)
        .text();
    Call::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public).text();
    let layout = folder.join("app.oci");
    let built = workshop.mkimage().arg("build").arg(folder.join("app.toml")).arg("-o").arg(&layout).text();
    let index = built.split('@').nth(1).expect("it is NAME@DIGEST").to_owned();
    let name = format!("{}/team/app:1", plain.address);
    workshop.mkimage().arg("sign").arg(&layout).arg("--key").arg(&key).args(["--name", &name]).text();

    let (from, to) = (plain.name("team/app:1"), listing.name("other/app:1"));
    let pushed = workshop.mkimage().arg("push").arg(&layout).arg(&from).text();
    let copied = workshop.mkimage().args(["push", &from, &to]).text();
    assert!(pushed.ends_with(&index) && copied.ends_with(&index), "{pushed} {copied} {index}");
    for place in [&from, &to] {
        let raw = Call::new("skopeo").args(["inspect", "--tls-verify=false", "--raw", place]).text();
        let index: serde_json::Value = serde_json::from_str(&raw).expect("it is an index");
        let images = index["manifests"].as_array().expect("it lists images");
        let digests = images.iter().map(|image| image["digest"].as_str().expect("each has one").to_owned());
        let bare = place.trim_start_matches("docker://").trim_end_matches(":1");
        for (digest, kinds) in
            digests.map(|digest| (digest, 2)).chain([(pushed.split('@').nth(1).expect("it has one").to_owned(), 1)])
        {
            let place = format!("{bare}@{digest}");
            let found =
                Call::new(program("oras")).args(["discover", "--plain-http", "--format", "json", &place]).text();
            assert_eq!(found.matches("\"artifactType\"").count(), kinds, "{place}: {found}");
            cosign(&program("cosign"), &folder, &public, &place);
        }
    }
    let back = folder.join("back.oci");
    let pulled = workshop.mkimage().args(["pull", "--referrers", &to]).arg(&back).text();
    assert!(pulled.ends_with(&index), "{pulled}");
    let verified = workshop.mkimage().arg("verify").arg(&back).arg("--key").arg(&public).text();
    assert_eq!(verified.matches("signed 2 times").count(), 3, "{verified}");

    // Built, signed and pushed at once.
    let name = listing.name("signed/app:1");
    let tag = workshop.mkimage().arg("build").arg(folder.join("app.toml")).args(["--tag", "1", "-o", &name]);
    let built = tag.arg("--sign-key").arg(&key).text();
    for verified in [
        workshop.mkimage().args(["verify", &name]).arg("--key").arg(&public).text(),
        cosign(&program("cosign"), &folder, &public, &format!("{}/signed/app:1", listing.address)),
    ] {
        assert!(verified.contains(built.split('@').nth(1).expect("it is NAME@DIGEST")), "{verified}");
    }

    // Joined in each registry from what two machines pushed there.
    for registry in [&plain, &listing] {
        let part = |platform: &str| {
            let name = registry.name(&format!("parts/app:{platform}"));
            let recipe = folder.join("app.toml");
            workshop
                .mkimage()
                .arg("build")
                .arg(recipe)
                .args(["--platform", &format!("linux/{platform}"), "-o", &name])
                .text();
            name
        };
        let joined = workshop
            .mkimage()
            .args(["index", "join", &part("amd64"), &part("arm64"), "-o", &registry.name("joined/app:latest")])
            .text();
        assert!(joined.ends_with(&digest_of_twins(workshop, &folder)), "{joined}");
        let place = registry.name("joined/app:latest");
        workshop.mkimage().args(["verify", &place]).text();
        let copy = format!("dir:{}", folder.join(format!("copy-{}", registry.address.replace(':', "-"))).display());
        Call::new("skopeo").args(["copy", "--quiet", "--all", "--src-tls-verify=false", &place, &copy]).text();
    }
}

/// What cosign says of an image whose signature by a key it has checked.
fn cosign(program: &Path, folder: &Path, public: &Path, place: &str) -> String {
    let checked = Call::new(program)
        .env("HOME", folder.as_os_str())
        .args(["verify", "--insecure-ignore-tlog", "--allow-http-registry", "--allow-insecure-registry", "--key"])
        .arg(public)
        .arg(place)
        .ended();
    assert!(checked.success, "{}", checked.report());
    checked.stdout
}

/// A recipe is pushed as an artifact, read by others, extended and locked, in registries of both kinds.
fn recipes(workshop: &Workshop) {
    let folder = workshop.make_folder("registry-recipes");
    Call::new("bash").arg(VERIFIERS).arg(folder.join("verifiers")).arg("sid").text();
    let program = |name: &str| folder.join("verifiers/bin").join(name);
    let plain = Registry::start(&folder, "", "");
    let listing = Registry::crane(&program("crane"));
    for (at, registry) in [&plain, &listing].into_iter().enumerate() {
        let folder = folder.join(at.to_string());
        fs::create_dir(&folder).expect("the suite owns the folder");
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("the suite owns the folder");
        let mkimage = |words: &[&str]| workshop.mkimage().folder(&folder).args(words);
        let name = registry.name("acme/base:1");
        write("base.toml", "binaries = [\"/usr/bin/sha256sum\"]\nuser = 4711\n");
        write("app.toml", &format!("extends = \"{name}\"\n"));
        let pushed = mkimage(&["push", "--recipe", "base.toml", &name]).text();
        let pulled = folder.join("pulled");
        let place = name.trim_start_matches("docker://");
        Call::new(program("oras")).args(["pull", "--plain-http", place, "-o"]).arg(&pulled).text();
        let same = fs::read(pulled.join("base.toml")).expect("it was pulled");
        assert_eq!(same, fs::read(folder.join("base.toml")).expect("it is there"));
        mkimage(&["lock", "app.toml"]).text();
        let built = mkimage(&["build", "app.toml", "--locked"]).text();
        write("base.toml", "binaries = [\"/usr/bin/sha256sum\"]\nuser = 4712\n");
        assert_ne!(mkimage(&["push", "--recipe", "base.toml", &name]).text(), pushed);
        let moved = mkimage(&["build", "app.toml", "--locked"]).ended();
        assert!(!moved.success && moved.stderr.contains("error[E0401]"), "{}", moved.report());
        assert_eq!(mkimage(&["build", "app.toml", "--frozen"]).text(), built);
        assert_ne!(mkimage(&["build", "app.toml"]).text(), built);
        // What oras pushes in this form is read as well.
        let name = registry.name("acme/other:1");
        write("app.toml", &format!("extends = \"{name}\"\n"));
        let kind = "application/vnd.mkimage.recipe.v1";
        Call::new(program("oras"))
            .folder(&folder)
            .args(["push", "--plain-http", "--artifact-type", kind, name.trim_start_matches("docker://")])
            .arg(format!("base.toml:{kind}+toml"))
            .text();
        mkimage(&["check", "app.toml"]).text();
    }
}

/// The digest of the index that one build for both platforms has.
fn digest_of_twins(workshop: &Workshop, folder: &Path) -> String {
    let to = folder.join("twins.oci");
    let built = workshop.mkimage().arg("build").arg(folder.join("app.toml")).arg("-o").arg(to).text();
    built.split('@').nth(1).expect("it is NAME@DIGEST").to_owned()
}

/// A statically linked program of a machine, which does nothing.
fn program_of(machine: u16) -> Vec<u8> {
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend_from_slice(&2_u16.to_le_bytes());
    elf.extend_from_slice(&machine.to_le_bytes());
    elf.extend_from_slice(&1_u32.to_le_bytes());
    for word in [0x40_0078_u64, 64, 0] {
        elf.extend_from_slice(&word.to_le_bytes());
    }
    elf.extend_from_slice(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        elf.extend_from_slice(&half.to_le_bytes());
    }
    for word in [1_u32, 5] {
        elf.extend_from_slice(&word.to_le_bytes());
    }
    for word in [0, 0x40_0000, 0x40_0000, 128, 128, 4096_u64] {
        elf.extend_from_slice(&word.to_le_bytes());
    }
    elf.resize(128, 0x90);
    elf
}

fn docker(workshop: &Workshop) {
    let folder = workshop.make_folder("registry-docker");
    let registry = Registry::start(&folder, "", "");
    let name = registry.name("hello:1");
    workshop.mkimage().args(["build", "hello.toml", "--compression", "gzip", "-o", &name]).text();
    let place = name.trim_start_matches("docker://");
    workshop.docker().call(["pull", "--quiet", place]).text();
    workshop.dockerd().ctr().args(["images", "pull", "--plain-http", place]).text();
}
