//! Images held against their recipes: `verify IMAGE RECIPE` names what was changed, `build --check` builds twice.

use mkimage::oci::Digest;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// A root and a recipe, and the image of it in `app.oci`, not compressed.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/bin/app", 62)
        .file("root/usr/share/app/a.txt", "alpha\n")
        .file("root/usr/share/app/b.txt", "beta\n")
        .link("root/usr/share/app/link", "a.txt")
        .file("r.toml", "name = \"registry.example/app\"\ncompression = \"none\"\nlayers = \"single\"\nbinaries = [\"app\"]\nfiles = [\"/usr/share/app/\"]\n[env]\nMODE = \"fast\"\n");
    let run = sandbox.run(&["build", "r.toml", "--root", "root", "--no-fsync"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    sandbox
}

fn verify(sandbox: &Sandbox) -> (i32, String) {
    let run = sandbox.run(&["verify", "app.oci", "r.toml", "--root", "root"]);
    (run.code, run.stdout + &run.stderr)
}

fn blob(sandbox: &Sandbox, digest: &str) -> std::path::PathBuf {
    sandbox.at(&format!("app.oci/blobs/sha256/{}", digest.trim_start_matches("sha256:")))
}

fn read(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn write(sandbox: &Sandbox, bytes: &[u8]) -> (String, usize) {
    let digest = Digest::of(bytes);
    std::fs::write(blob(sandbox, &digest.to_string()), bytes).unwrap();
    (digest.to_string(), bytes.len())
}

/// Changes the one layer and the configuration of the image, and makes all digests right again.
fn change(sandbox: &Sandbox, layer: impl FnOnce(&mut Vec<u8>), config: impl FnOnce(&mut Value)) {
    let index_file = sandbox.at("app.oci/index.json");
    let mut index = read(&index_file);
    let mut manifest = read(&blob(sandbox, index["manifests"][0]["digest"].as_str().unwrap()));
    let mut configuration = read(&blob(sandbox, manifest["config"]["digest"].as_str().unwrap()));
    let mut tar = std::fs::read(blob(sandbox, manifest["layers"][0]["digest"].as_str().unwrap())).unwrap();
    layer(&mut tar);
    config(&mut configuration);
    std::fs::remove_dir_all(sandbox.at("app.oci/blobs/sha256")).unwrap();
    sandbox.folder("app.oci/blobs/sha256");
    let (digest, size) = write(sandbox, &tar);
    configuration["rootfs"]["diff_ids"][0] = json!(digest);
    manifest["layers"][0]["digest"] = json!(digest);
    manifest["layers"][0]["size"] = json!(size);
    let (digest, size) = write(sandbox, &mkimage::oci::canonical(&configuration));
    manifest["config"]["digest"] = json!(digest);
    manifest["config"]["size"] = json!(size);
    let (digest, size) = write(sandbox, &mkimage::oci::canonical(&manifest));
    index["manifests"][0]["digest"] = json!(digest);
    index["manifests"][0]["size"] = json!(size);
    std::fs::write(index_file, mkimage::oci::canonical(&index)).unwrap();
}

/// Where the header of an entry is in an archive.
fn header(tar: &[u8], name: &str) -> usize {
    let found = (0..tar.len() / 512).map(|block| block * 512).find(|&at| {
        tar[at..].starts_with(name.as_bytes()) && tar[at + name.len()] == 0 && &tar[at + 257..at + 262] == b"ustar"
    });
    found.unwrap_or_else(|| panic!("the archive has `{name}`"))
}

/// Changes a field of an entry's header.
fn field(tar: &mut [u8], name: &str, at: usize, value: &[u8]) {
    let start = header(tar, name);
    tar[start + at..start + at + value.len()].copy_from_slice(value);
    tar[start + 148..start + 156].fill(b' ');
    let sum: u32 = tar[start..start + 512].iter().map(|byte| u32::from(*byte)).sum();
    tar[start + 148..start + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn an_untouched_image_is_what_its_recipe_gives() {
    let sandbox = sandbox();
    let (code, said) = verify(&sandbox);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.starts_with("app.oci: sound, 1 image, ") && said.contains(", the same when it is built again\n"),
        "{said}"
    );
}

#[test]
fn each_change_is_named() {
    const A: &str = "usr/share/app/a.txt";
    type Change = (&'static str, fn(&mut Vec<u8>), fn(&mut Value));
    let none: fn(&mut Value) = |_| {};
    let changes: [Change; 11] = [
        (
            "layer 1: /usr/share/app/a.txt: byte 1 is 0x58, rebuilt 0x6c (of 6)",
            |tar| {
                let data = header(tar, A) + 512;
                tar[data + 1] = b'X';
            },
            none,
        ),
        ("layer 1: /usr/share/app/a.txt: mode is 0755, rebuilt 0644", |tar| field(tar, A, 100, b"0000755\0"), none),
        (
            "layer 1: /usr/share/app/a.txt: mtime is 315532801, rebuilt 315532800",
            |tar| field(tar, A, 136, b"02263523001\0"),
            none,
        ),
        ("layer 1: /usr/share/app/a.txt: owner is 7:0, rebuilt 0:0", |tar| field(tar, A, 108, b"0000007\0"), none),
        (
            "layer 1: /usr/share/app/link: link target is `b.txt`, rebuilt `a.txt`",
            |tar| field(tar, "usr/share/app/link", 157, b"b"),
            none,
        ),
        (
            "layer 1: /usr/share/app/a.txt: header field uname (bytes 265-296) is `root",
            |tar| field(tar, A, 265, b"root\0"),
            none,
        ),
        ("layer 1: /usr/share/app/a.txt: order: stands before /usr/share/app/b.txt, rebuilt behind it", |_| {}, none),
        (
            "layer 1: /usr/share/app/zz: is there, rebuilt it is not",
            |tar| field(tar, "usr/share/app/link", 0, b"usr/share/app/zz\0\0"),
            none,
        ),
        (
            "configuration: `config.Env[0]` is \"MODE=slow\", rebuilt \"MODE=fast\"",
            |_| {},
            |config| {
                config["config"]["Env"][0] = json!("MODE=slow");
            },
        ),
        (
            "configuration: `config.User` is not there, rebuilt \"65532:65532\"",
            |_| {},
            |config| {
                config["config"].as_object_mut().unwrap().remove("User");
            },
        ),
        ("layer 1: the same entries; what stands between or behind them differs", |tar| tar.extend([0; 1024]), none),
    ];
    for (says, layer, config) in changes {
        let sandbox = sandbox();
        if says.contains("order") {
            change(&sandbox, |tar| swap(tar), config);
        } else {
            change(&sandbox, layer, config);
        }
        let (code, said) = verify(&sandbox);
        assert_eq!(code, 4, "{says}: {said}");
        assert!(said.starts_with("error[E0404]: `app.oci` is not what its recipe gives: "), "{said}");
        let says = if says.contains("Env[0]") {
            "is \"MODE=slow\", rebuilt"
        } else if says.contains("order") {
            ": order: stands before"
        } else {
            says
        };
        assert!(said.contains(says), "{says}\n{said}");
    }
}

/// The entries of `a.txt` and `b.txt` the other way round.
fn swap(tar: &mut [u8]) {
    let (a, b) = (header(tar, "usr/share/app/a.txt"), header(tar, "usr/share/app/b.txt"));
    assert_eq!(b, a + 1024);
    tar[a..b + 1024].rotate_left(1024);
}

#[test]
fn a_changed_root_is_told_by_the_lock_file() {
    let sandbox = sandbox();
    assert_eq!(sandbox.run(&["lock", "r.toml", "--root", "root"]).code, 0);
    sandbox.file("root/usr/share/app/a.txt", "omega\n");
    let (code, said) = verify(&sandbox);
    assert_eq!(code, 4, "{said}");
    assert!(
        said.contains("error[E0401]") && said.contains("~ /usr/share/app/a.txt   other bytes, of no package"),
        "{said}"
    );
    std::fs::remove_file(sandbox.at("mkimage.lock")).unwrap();
    let (code, said) = verify(&sandbox);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("layer 1: /usr/share/app/a.txt: bytes 0-3 are"), "{said}");
}

#[test]
fn tags_times_and_codecs_are_those_of_the_image() {
    for (output, name, options) in [
        ("app.oci", "app.oci", &["--compression", "zstd:3", "--tag", "v7"][..]),
        ("out.tar", "out.tar", &[]),
        ("oci:other:v1", "other", &["--compression", "gzip"]),
    ] {
        let sandbox = sandbox();
        sandbox.file("r.toml", "name = \"registry.example/app\"\nbinaries = [\"app\"]\n");
        let arguments = [&["build", "r.toml", "--root", "root", "--no-fsync", "-o", output], options].concat();
        std::fs::remove_dir_all(sandbox.at("app.oci")).unwrap();
        let built = sandbox.run_with(&arguments, |command| {
            command.env("SOURCE_DATE_EPOCH", "1700000000");
        });
        assert_eq!(built.code, 0, "{}", built.stderr);
        let run = sandbox.run(&["verify", name, "r.toml", "--root", "root"]);
        assert_eq!(run.code, 0, "{output}: {}", run.stderr);
        assert!(run.stdout.contains("the same when it is built again"), "{}", run.stdout);
    }
}

#[test]
fn verify_takes_images_and_one_recipe() {
    let sandbox = sandbox();
    assert_eq!(sandbox.run(&["verify", "app.oci", "app.oci"]).code, 0);
    let both = sandbox.run(&["verify", "app.oci", "app.oci", "r.toml", "--root", "root"]);
    assert!(both.code == 2 && both.stderr.contains("a recipe is held against one image"), "{}", both.stderr);
    let json = sandbox.run(&["verify", "app.oci", "r.toml", "--root", "root", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["checked"][0]["reproduced"], true);
}

#[test]
fn built_twice_under_other_conditions_it_is_the_same() {
    let sandbox = sandbox();
    sandbox.file(
        "other.toml",
        "binaries = [\"app\"]\nfiles = [\"/usr/share/app/b.txt\", \"/usr/share/app/a.txt\"]\ndirs = [\"/z\", \"/y\"]\n",
    );
    for arguments in [
        &["build", "r.toml", "other.toml", "--check", "--root", "root", "--no-fsync"][..],
        &["build", "r.toml", "--check", "--root", "root", "--no-fsync", "-o", "o.tar", "--tag", "v2"],
        &["build", "r.toml", "--check", "--root", "root", "--no-fsync", "--debug", "--set", "x=1"],
    ] {
        let run = sandbox.run_with(arguments, |command| {
            command.env("MKIMAGE_POLICY", "");
        });
        if arguments.contains(&"--set") {
            assert_eq!(run.code, 2, "a variable that no recipe has: {}", run.stderr);
            continue;
        }
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stderr.ends_with("built twice: the same images\n"), "{}", run.stderr);
        assert!(run.stdout.contains("registry.example/app@sha256:"), "{}", run.stdout);
    }
}

#[test]
fn a_root_that_changes_between_two_builds_is_found() {
    let sandbox = sandbox();
    // The home of the second build is another one: a recipe that depends on it gives another image.
    sandbox.file("r.toml", "name = \"registry.example/app\"\nbinaries = [\"app\"]\n[vars]\nhome = { env = \"HOME\" }\n[env]\nWHERE = \"${home}\"\n");
    let run = sandbox.run_with(&["build", "r.toml", "--check", "--root", "root", "--no-fsync"], |command| {
        command.env("HOME", "/srv/ada");
    });
    assert_eq!((run.code, run.stdout.as_str()), (4, ""), "{}", run.stderr);
    assert!(
        run.stderr.contains("error[E0404]: two builds of `registry.example/app` gave different images: 1 difference"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("is \"WHERE=/srv/ada\", rebuilt \"WHERE=/"), "{}", run.stderr);
}
