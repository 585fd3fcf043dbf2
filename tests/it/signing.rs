//! Signatures, provenance and statements on vulnerabilities: what is attached, and what `verify --key` takes and
//! refuses.

use std::path::{Path, PathBuf};

use mkimage::oci::Digest;
use mkimage::registry::{Client, Options, Referrer, Remote};
use serde_json::Value;

use super::attest::{root, sandbox};
use super::registry_server::{Fault, Server};
use super::sandbox::{Run, Sandbox};

/// Made by cosign, with the password `secret`.
const KEY: &str = include_str!("support/cosign.key");
const PUBLIC: &str = include_str!("support/cosign.pub");
/// Another, as `openssl genpkey` writes it, and its public half.
const OTHER: &str = include_str!("support/openssl.key");
const OTHER_PUBLIC: &str = include_str!("support/openssl.pub");

fn with_keys(sandbox: &Sandbox) -> &Sandbox {
    sandbox.file("a.key", KEY).file("a.pub", PUBLIC).file("b.key", OTHER).file("b.pub", OTHER_PUBLIC);
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &str) -> Run {
    sandbox.run_with(&arguments.split(' ').collect::<Vec<_>>(), |command| {
        command.env("COSIGN_PASSWORD", "secret").env("KEY_B", OTHER);
    })
}

#[track_caller]
fn good(sandbox: &Sandbox, arguments: &str) -> String {
    let run = run(sandbox, arguments);
    assert_eq!(run.code, 0, "{arguments}: {}", run.stderr);
    run.stdout
}

#[track_caller]
fn refused(sandbox: &Sandbox, arguments: &str, code: i32, says: &str) {
    let run = run(sandbox, arguments);
    assert!(run.code == code && run.stderr.contains(says), "{arguments}: {} {}", run.code, run.stderr);
}

const ALL: &str = "sbom = ['spdx', 'cyclonedx']\nprovenance = true\nvex = ['tool.openvex.json']";
const VEX: &str = r#"{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://x.example/1","statements":[]}"#;

#[test]
fn a_signed_build_is_verified_with_its_key_alone() {
    let root = root();
    let sandbox = sandbox(&root, ALL);
    with_keys(&sandbox).file("tool.openvex.json", VEX);
    good(&sandbox, "build tool.toml --sign-key a.key");
    let said = good(&sandbox, "verify tool.oci --key a.pub");
    for kind in [
        "https://slsa.dev/provenance/v1",
        "https://spdx.dev/Document",
        "https://cyclonedx.org/bom",
        "https://openvex.dev/ns/v0.2.0",
    ] {
        assert!(said.contains(&format!("states {kind}")), "{said}");
    }
    assert!(said.contains("signed 2 times"), "{said}");
    refused(&sandbox, "verify tool.oci --key b.pub", 4, "E0703");
    refused(&sandbox, "verify tool.oci --key a.key", 1, "E0701");
    refused(&sandbox, "build tool.toml --sign-key a.pub", 1, "E0701");

    // Twice the same bytes, signatures too.
    let before = blobs(&sandbox.at("tool.oci.att"));
    // Three documents, a payload, a bundle that signs and four that state: each with its manifest; the payload's
    // configuration and the empty one.
    assert_eq!(before.len(), 2 * (3 + 1 + 1 + 4) + 2);
    good(&sandbox, "build tool.toml --sign-key a.key");
    assert_eq!(blobs(&sandbox.at("tool.oci.att")), before);

    // Another image: its signature is not the first one's.
    std::fs::rename(sandbox.at("tool.oci.att"), sandbox.at("kept")).unwrap();
    root.file("/opt/app/site/six.py", b"seven", 0o644);
    good(&sandbox, "build tool.toml");
    std::fs::remove_dir_all(sandbox.at("tool.oci.att")).unwrap();
    std::fs::rename(sandbox.at("kept"), sandbox.at("tool.oci.att")).unwrap();
    refused(&sandbox, "verify tool.oci --key a.pub", 4, "E0703");
}

#[test]
fn what_is_attached_is_held_against_its_digests() {
    let root = root();
    let sandbox = sandbox(&root, "sbom = ['spdx']\nprovenance = true");
    with_keys(&sandbox);
    good(&sandbox, "build tool.toml -o tool.oci -o tool.tar --sign-key a.key --no-fsync");
    let said = good(&sandbox, "verify tool.oci tool.tar");
    // An SBOM, what signs the image in two forms, and what states the SBOM and the provenance.
    assert_eq!(said.matches(" in layers, 5 documents beside it\n").count(), 2, "{said}");
    for image in ["tool.oci", "tool.tar"] {
        for blob in blobs(&sandbox.at(&format!("{image}.att"))) {
            let place = format!("{image}.att/blobs/sha256/{blob}");
            let bytes = std::fs::read(sandbox.at(&place)).unwrap();
            let mut damaged = bytes.clone();
            damaged[0] ^= 1;
            sandbox.file(&place, damaged);
            let says = format!("error[E0275]: `{image}.att` has a blob `{blob}` with the digest sha256:");
            refused(&sandbox, &format!("verify {image}"), 4, &says);
            refused(&sandbox, &format!("verify {image} --key a.pub"), 4, &says);
            std::fs::remove_file(sandbox.at(&place)).unwrap();
            refused(&sandbox, &format!("verify {image}"), 4, &format!("`{image}.att` lacks `blobs/sha256/{blob}`"));
            sandbox.file(&place, bytes);
        }
        good(&sandbox, &format!("verify {image} --key a.pub"));
        sandbox.file(&format!("{image}.att/index.json"), "no list");
        refused(&sandbox, &format!("verify {image}"), 4, &format!("`{image}.att` has a list that is no JSON"));
    }
}

fn blobs(layout: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(layout.join("blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_image_is_signed_after_its_build_under_the_name_that_policies_compare() {
    let root = root();
    let sandbox = sandbox(&root, "");
    with_keys(&sandbox);
    good(&sandbox, "build tool.toml -o tool.oci -o tool.tar");
    refused(&sandbox, "verify tool.oci --key b.pub", 4, "E0703");
    refused(&sandbox, "sign tool.oci --key b.key", 2, "--name");
    refused(&sandbox, "sign oci:tool.oci:7 --key b.key --name x.example/a:1", 1, "E0700");
    refused(&sandbox, "sign tool.toml --key b.key", 2, "no layout");
    let line = good(&sandbox, "sign tool.oci --key env://KEY_B --name x.example/acme/tool:1.0");
    let digest: Digest = line.trim().strip_prefix("x.example/acme/tool@").unwrap().parse().unwrap();
    good(&sandbox, "verify tool.oci --key b.pub");
    refused(&sandbox, "verify tool.oci --key a.pub", 4, "E0703");

    let att = sandbox.at("tool.oci.att");
    let index: Value = serde_json::from_slice(&std::fs::read(att.join("index.json")).unwrap()).unwrap();
    let read = |descriptor: &Value| -> Value {
        let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
        serde_json::from_slice(&std::fs::read(att.join("blobs/sha256").join(digest.hex())).unwrap()).unwrap()
    };
    let tag = format!("sha256-{}.sig", digest.hex());
    let tagged = index["manifests"].as_array().unwrap().iter();
    let tagged =
        tagged.clone().find(|one| one["annotations"]["org.opencontainers.image.ref.name"] == tag.as_str()).unwrap();
    let payload = read(&read(tagged)["layers"][0]);
    assert_eq!(payload["critical"]["identity"]["docker-reference"], "x.example/acme/tool:1.0");
    assert_eq!(payload["critical"]["image"]["docker-manifest-digest"], digest.to_string());

    // An archive knows its name.
    good(&sandbox, "sign tool.tar --key b.key");
    good(&sandbox, "verify tool.tar --key b.pub");
    refused(&sandbox, "sign tool.oci --key env://NONE --name x", 2, "NONE");
    std::fs::write(sandbox.at("long.key"), KEY).unwrap();
    let locked = sandbox.run(&["sign", "tool.oci", "--key", "long.key", "--name", "x.example/a"]);
    assert!(locked.code == 1 && locked.stderr.contains("E0702"), "{}", locked.stderr);
    assert!(
        locked.stderr.contains("= help: put its password into the variable MKIMAGE_KEY_PASSWORD\n"),
        "{}",
        locked.stderr
    );
}

#[test]
fn every_flipped_byte_of_a_signature_is_refused() {
    let root = root();
    let sandbox = sandbox(&root, "");
    with_keys(&sandbox);
    good(&sandbox, "build tool.toml");
    good(&sandbox, "sign tool.oci --key b.key --name x.example/tool:1");
    let files = |name: &str| -> Vec<PathBuf> {
        std::fs::read_dir(sandbox.at(name).join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let all = files("tool.oci.att");
    let kept: Vec<Vec<u8>> = all.iter().map(|path| std::fs::read(path).unwrap()).collect();
    // Each form alone is enough, so both are damaged at once: the same byte of every blob.
    for at in 0..60 {
        for (path, bytes) in all.iter().zip(&kept) {
            let mut bad = bytes.clone();
            let place = at * bytes.len() / 60;
            bad[place] ^= 1;
            std::fs::write(path, bad).unwrap();
        }
        refused(&sandbox, "verify tool.oci --key b.pub", 4, "E0703");
    }
    for (path, bytes) in all.iter().zip(&kept) {
        std::fs::write(path, bytes).unwrap();
    }
    good(&sandbox, "verify tool.oci --key b.pub");
}

#[test]
fn provenance_names_what_went_in_and_nothing_of_the_machine() {
    let root = root();
    let sandbox = sandbox(&root, "extends = ['bases/base.toml']\nsbom = ['spdx']");
    sandbox.file("bases/base.toml", "# CANARY\nlabels = { 'org.example.team' = 'x' }\n");
    let run = sandbox.run_with(&["provenance", "tool.toml"], |command| {
        command.env("SECRET", "CANARY").env("HOME", "/CANARY");
    });
    assert_eq!(run.code, 0, "{}", run.stderr);
    let folder = root.host("/");
    for word in ["CANARY", folder.to_str().unwrap(), "[SANDBOX]", "/tmp"] {
        assert!(!run.stdout.contains(word), "{word}: {}", run.stdout);
    }
    let predicate: Value = serde_json::from_str(&run.stdout).unwrap();
    let build = &predicate["buildDefinition"];
    let recipe = std::fs::read(sandbox.at("tool.toml")).unwrap();
    assert_eq!(build["externalParameters"]["recipe"]["name"], "tool.toml");
    assert_eq!(build["externalParameters"]["recipe"]["digest"]["sha256"], Digest::of(&recipe).hex());
    assert_eq!(build["externalParameters"]["tags"][0], "1.0");
    assert_eq!(build["externalParameters"]["compression"], "zstd:3");
    let dependencies = build["resolvedDependencies"].as_array().unwrap();
    let of = |name: &str| dependencies.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}"));
    let tool = std::fs::read(root.host("/usr/bin/tool")).unwrap();
    assert_eq!(of("/usr/bin/tool")["digest"]["sha256"], Digest::of(&tool).hex());
    assert_eq!(of("bases/base.toml")["digest"]["sha256"].as_str().unwrap().len(), 64);
    assert!(of("libx1")["uri"].as_str().unwrap().starts_with("pkg:deb/debian/libx1@"));
    assert!(dependencies.iter().all(|one| one["name"] != "/etc/passwd"), "what is made is no input");
    assert!(build["internalParameters"]["codecs"]["zstd"].is_string());
    let sbom = sandbox.run(&["sbom", "tool.toml"]).stdout;
    let byproduct = &predicate["runDetails"]["byproducts"][0]["digest"]["sha256"];
    assert_eq!(*byproduct, Digest::of(sbom.trim_end().as_bytes()).hex());
}

/// Bare, from what is attached: the same as of the recipe, from a layout, an archive and a registry.
#[test]
fn provenance_of_an_image_is_what_is_attached_to_it() {
    let root = root();
    let sandbox = sandbox(&root, ALL);
    with_keys(&sandbox).file("tool.openvex.json", VEX);
    good(&sandbox, "build tool.toml --sign-key a.key --compression zstd -o tool.oci -o oci-archive:tool.tar");
    let expected = good(&sandbox, "provenance tool.toml");
    for image in ["tool.oci", "oci:tool.oci:1.0", "tool.tar", "tool.oci --key a.pub", "tool.oci --platform linux/amd64"]
    {
        assert_eq!(good(&sandbox, &format!("provenance {image}")), expected, "{image}");
    }
    refused(&sandbox, "provenance tool.oci --key b.pub", 1, "E0706");
    refused(&sandbox, "provenance oci:tool.oci:7", 1, "E0700");
    refused(&sandbox, "provenance tool.oci --platform linux/arm64", 1, "E0274");
    refused(&sandbox, "provenance docker://127.0.0.1:1/acme/tool:1 --offline", 1, "E0611");

    let server = Server::new();
    let name = server.name("acme/tool:1.0");
    good(&sandbox, &format!("push tool.oci {name}"));
    assert_eq!(good(&sandbox, &format!("provenance {name} --key a.pub")), expected);
    refused(&sandbox, &format!("provenance {name} --key b.pub"), 1, "E0706");

    std::fs::remove_dir_all(sandbox.at("tool.oci.att")).unwrap();
    refused(&sandbox, "provenance tool.oci", 1, "has no provenance");
}

#[test]
fn provenance_says_what_the_policy_let_pass() {
    let root = root();
    let policy = "[policy]\nunowned = 'deny'\n[[policy.waive]]\nrule = 'unowned'\npath = '/opt/app/site/*.py'\n\
        reason = 'built here'\nuntil = '2999-12-31'\n[[policy.waive]]\nrule = 'unowned'\nreason = 'all ours'";
    let sandbox = sandbox(&root, policy);
    let predicate: Value = serde_json::from_str(&good(&sandbox, "provenance tool.toml")).unwrap();
    let waived = predicate["buildDefinition"]["internalParameters"]["waived"].as_array().unwrap();
    let of = |path: &str| waived.iter().find(|one| one["path"] == path).unwrap_or_else(|| panic!("{path}: {waived:?}"));
    let six = of("/opt/app/site/six.py");
    assert_eq!((&six["rule"], &six["reason"]), (&"unowned".into(), &"built here".into()));
    assert_eq!(six["until"], "2999-12-31");
    let tool = of("/usr/bin/tool");
    assert!(tool["reason"] == "all ours" && tool.get("until").is_none(), "{tool}");

    let plain: Value = serde_json::from_str(&good(&super::attest::sandbox(&root, ""), "provenance tool.toml")).unwrap();
    assert!(plain["buildDefinition"]["internalParameters"].get("waived").is_none(), "nothing to say");
}

#[test]
fn codecs_are_those_that_cargo_lock_pins() {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    for (name, version) in mkimage::layer::codecs() {
        let pinned = match name {
            "zstd" => lock.contains(&format!("+zstd.{version}\"")),
            name => lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")),
        };
        assert!(pinned, "{name} {version}");
    }
}

#[test]
fn only_openvex_documents_are_attached() {
    let root = root();
    let sandbox = sandbox(&root, "vex = ['x.json']");
    refused(&sandbox, "build tool.toml", 1, "E0704");
    for text in ["{", "{}", r#"{"@context":"https://openvex.dev/ns"}"#, r#"{"@context":"x","statements":[]}"#] {
        sandbox.file("x.json", text);
        refused(&sandbox, "build tool.toml", 1, "E0704");
        assert!(!sandbox.at("tool.oci").exists());
    }
    sandbox.file("x.json", VEX);
    good(&sandbox, "build tool.toml");
    let index = std::fs::read_to_string(sandbox.at("tool.oci.att/index.json")).unwrap();
    assert!(index.contains("application/vnd.openvex+json"), "{index}");
}

#[test]
fn what_has_no_place_is_said() {
    let root = root();
    let sandbox = sandbox(&root, ALL);
    sandbox.file("tool.openvex.json", VEX);
    let run = run(&sandbox, "build tool.toml -o -");
    assert!(
        run.stderr.contains("beside layouts and archives") && run.stderr.contains("when it is signed"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_push_takes_along_what_stands_beside_a_layout() {
    for by_registry in [true, false] {
        let server = Server::new();
        server.state().referrers = by_registry;
        let (root, to) = (root(), server.name("app:1"));
        let sandbox = sandbox(&root, ALL);
        with_keys(&sandbox).file("tool.openvex.json", VEX);
        good(&sandbox, "build tool.toml --sign-key a.key");
        let pushed = good(&sandbox, &format!("build tool.toml --tag 1 --sign-key a.key -o {to}"));
        let image: Digest = pushed.trim_end().rsplit('@').next().unwrap().parse().unwrap();
        assert_eq!(server.tag("app", "1"), Some(image));

        let client = Client::new(Options::default()).unwrap();
        let remote = Remote::parse(&to).unwrap();
        let kinds = |list: &[Referrer]| list.iter().map(|one| one.artifact_type.clone()).collect::<Vec<_>>();
        let found = client.referrers(&remote.repository, image, None).unwrap();
        assert!(found.len() >= 6, "two SBOMs, the statement, and a signed one of each kind: {:?}", kinds(&found));
        let signature = server.tag("app", &format!("sha256-{}.sig", image.hex()));
        assert!(signature.is_some(), "the signature of older readers has a tag of its own");
        // Again: nothing new.
        good(&sandbox, &format!("build tool.toml --tag 1 --sign-key a.key -o {to}"));
        assert_eq!(kinds(&client.referrers(&remote.repository, image, None).unwrap()), kinds(&found));
        assert_eq!(server.tag("app", &format!("sha256-{}.sig", image.hex())), signature);
    }
}

#[test]
fn provenance_that_nobody_signed_is_not_pushed_and_sboms_are() {
    let server = Server::new();
    let (root, to) = (root(), server.name("app:1"));
    let sandbox = sandbox(&root, "sbom = ['spdx']\nprovenance = true");
    let pushed = good(&sandbox, &format!("build tool.toml --tag 1 -o {to}"));
    let image: Digest = pushed.trim_end().rsplit('@').next().unwrap().parse().unwrap();
    let client = Client::new(Options::default()).unwrap();
    let found = client.referrers(&Remote::parse(&to).unwrap().repository, image, None).unwrap();
    assert_eq!(found.len(), 1, "the SBOM alone");
    assert_eq!(server.tag("app", &format!("sha256-{}.sig", image.hex())), None);
}

#[test]
fn documents_are_recalled_with_their_image() {
    let root = root();
    let sandbox = sandbox(&root, ALL);
    with_keys(&sandbox).file("tool.openvex.json", VEX);
    // After so long a file's time stamps are trusted.
    std::thread::sleep(std::time::Duration::from_millis(120));
    let build = |key: &str| {
        let run = run(&sandbox, &format!("build tool.toml -vv --no-fsync --cache-dir cache{key}"));
        assert_eq!(run.code, 0, "{}", run.stderr);
        (run.stderr.contains("closure: 0 files looked into"), run)
    };
    let recalled = |key: &str, what: &str| {
        let (is_recalled, run) = build(key);
        assert!(is_recalled, "{what}: {}", run.stderr);
        run
    };
    let signed = " --sign-key b.key";
    let attached = sandbox.at("tool.oci.att");
    let verified = || good(&sandbox, "verify tool.oci --key b.pub");

    assert!(!build(signed).0);
    let (all, said) = (blobs(&attached), verified());
    let index = || std::fs::metadata(attached.join("index.json")).unwrap().modified().unwrap();
    let before = index();
    recalled(signed, "nothing changed");
    assert_eq!(index(), before, "what stands beside the output was left alone");
    let manifest = all.iter().map(|name| attached.join("blobs/sha256").join(name));
    let manifest = manifest.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let changes: [(&str, &dyn Fn()); 4] = [
        ("the documents are gone", &|| std::fs::remove_dir_all(&attached).unwrap()),
        ("one is gone", &|| std::fs::remove_file(&manifest).unwrap()),
        ("one is cut", &|| std::fs::write(&manifest, "{").unwrap()),
        ("all outputs are gone", &|| {
            std::fs::remove_dir_all(&attached).unwrap();
            std::fs::remove_dir_all(sandbox.at("tool.oci")).unwrap();
        }),
    ];
    for (what, change) in changes {
        change();
        recalled(signed, what);
        assert_eq!((blobs(&attached), verified()), (all.clone(), said.clone()), "{what}");
    }

    // Who signs is told apart, and that nobody does is said each time.
    assert!(!build(" --sign-key a.key").0);
    recalled(" --sign-key a.key", "another key");
    good(&sandbox, "verify tool.oci --key a.pub");
    assert!(!build("").0);
    let unsigned = recalled("", "no key");
    assert!(unsigned.stderr.contains("provenance is attached when it is signed"), "{}", unsigned.stderr);
    recalled(signed, "the first key again");
    assert_eq!(verified(), said);

    // A document that the recipe brings is another one.
    sandbox.file("tool.openvex.json", VEX.replace("/1", "/2"));
    std::thread::sleep(std::time::Duration::from_millis(120));
    assert!(!build(signed).0, "another document");
    recalled(signed, "the same document");

    // Without the documents in the cache, they are made.
    std::fs::remove_dir_all(&attached).unwrap();
    std::fs::remove_dir_all(sandbox.at("cache/v1/values/document")).unwrap();
    assert!(!build(signed).0, "no documents in the cache");
    verified();
}

#[test]
fn an_image_under_a_floor_is_recalled_until_the_floor_changes() {
    let root = root();
    let waiver = "[[policy.waive]]\nrule = 'unowned'\nreason = 'known'\nuntil = '9000-01-01'";
    let sandbox = sandbox(&root, &format!("policy.unowned = 'deny'\n{waiver}"));
    sandbox.file("floor.toml", "[policy]\nmax-size = '1GB'\n");
    std::thread::sleep(std::time::Duration::from_millis(120));
    let build = || run(&sandbox, "build tool.toml -vv --no-fsync --cache-dir cache --policy floor.toml");
    let is_recalled = |run: &Run| run.stderr.contains("closure: 0 files looked into");
    let first = build();
    assert!(first.code == 0 && !is_recalled(&first), "{}", first.stderr);
    let second = build();
    assert!(second.code == 0 && is_recalled(&second), "{}", second.stderr);
    sandbox.file("floor.toml", "[policy]\nmax-size = '1kB'\n");
    let third = build();
    assert!(third.code == 3 && third.stderr.contains("policy allows 1 kB"), "{}: {}", third.code, third.stderr);
    sandbox.file("floor.toml", "[policy]\nforbid-waivers = ['unowned']\nmax-size = '1GB'\n");
    let fourth = build();
    assert!(fourth.code == 3 && fourth.stderr.contains("nobody waive"), "{}: {}", fourth.code, fourth.stderr);
}

#[test]
fn signatures_of_several_at_once_stand_beside_one_another() {
    let root = root();
    let sandbox = sandbox(&root, "");
    with_keys(&sandbox);
    let server = Server::new();
    // As registries that ignore `If-Match`.
    server.state().conditions = false;
    let to = server.name("app:1");
    let line = good(&sandbox, &format!("build tool.toml --tag 1 --no-fsync -o {to}"));
    let image: Digest = line.trim().rsplit('@').next().unwrap().parse().unwrap();
    let tag = format!("sha256-{}.sig", image.hex());
    let count = |server: &Server| -> usize {
        let (_, manifest) = server.state().manifests[&("app".to_owned(), tag.clone())].clone();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["layers"].as_array().unwrap().len()
    };
    // One that is overwritten by another, who had read before, is written again.
    server.plan("PUT", "/manifests/sha256-", 1, Fault::Answer(201, Vec::new()));
    good(&sandbox, &format!("sign {to} --key a.key"));
    assert_eq!(count(&server), 1);
    std::thread::scope(|scope| {
        for number in 0..5 {
            let (sandbox, to) = (&sandbox, &to);
            scope.spawn(move || good(sandbox, &format!("sign {to} --key b.key --name x.example/app:{number}")));
        }
    });
    assert_eq!(count(&server), 6);
    // What is there is not written once more.
    let before = server.seen("PUT", "/manifests/sha256-").len();
    good(&sandbox, &format!("sign {to} --key b.key --name x.example/app:3"));
    assert_eq!((count(&server), server.seen("PUT", "/manifests/sha256-").len()), (6, before));
}
