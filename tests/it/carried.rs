//! Whole images between layouts and registries: indexes as they are, with what refers to them; indexes joined in a
//! registry.

use std::collections::BTreeSet;

use mkimage::oci::Digest;
use mkimage::registry::{Client, Options, Remote};
use serde_json::{Value, json};

use super::platforms;
use super::registry_server::Server;
use super::sandbox::{Sandbox, good, run};

const KEY: &str = include_str!("support/openssl.key");
const PUBLIC: &str = include_str!("support/openssl.pub");

fn digest(line: &str) -> Digest {
    line.trim_end().rsplit('@').next().unwrap().parse().unwrap()
}

/// Images for two platforms under one index in `api.oci`, signed and with SBOMs.
fn signed() -> (Sandbox, Digest) {
    let sandbox = platforms::sandbox();
    sandbox.file("b.key", KEY).file("b.pub", PUBLIC);
    let recipe = std::fs::read_to_string(sandbox.at("api.toml")).unwrap();
    sandbox.file("api.toml", format!("platforms = ['linux/amd64', 'linux/arm64']\nsbom = ['spdx']\n{recipe}"));
    let index = digest(&good(&sandbox, "build api.toml --no-fsync -q").stdout);
    good(&sandbox, "sign api.oci --key b.key --name registry.example/api:1 --no-fsync");
    (sandbox, index)
}

/// The types of what refers to a digest in a repository, as its registry lists it.
fn kinds(server: &Server, repository: &str, subject: Digest) -> Vec<String> {
    let client = Client::new(Options::default()).unwrap();
    let remote = Remote::parse(&server.name(repository)).unwrap();
    let found = client.referrers(&remote.repository, subject, None).unwrap();
    found.into_iter().filter_map(|one| one.artifact_type).collect()
}

#[test]
fn a_push_and_a_copy_take_along_what_refers_to_an_index_and_its_images() {
    for lists in [true, false] {
        let (sandbox, index) = signed();
        let (one, two) = (Server::new(), Server::new());
        one.state().referrers = lists;
        let pushed = good(&sandbox, &format!("push api.oci {}", one.name("team/api:1")));
        assert!(pushed.stderr.contains("; 8 referrers"), "{}", pushed.stderr);
        let copied = good(&sandbox, &format!("push {} {}", one.name("team/api:1"), two.name("other/api:2")));
        assert!(copied.stderr.contains("; 8 referrers"), "{}", copied.stderr);
        let manifests: Vec<Digest> = {
            let (_, bytes) = one.state().manifests[&("team/api".to_owned(), "1".to_owned())].clone();
            let document: Value = serde_json::from_slice(&bytes).unwrap();
            let list = document["manifests"].as_array().unwrap();
            list.iter().map(|entry| entry["digest"].as_str().unwrap().parse().unwrap()).collect()
        };
        for (server, repository, tag) in [(&one, "team/api", "1"), (&two, "other/api", "2")] {
            assert_eq!(server.tag(repository, tag), Some(index));
            assert_eq!(kinds(server, repository, index), ["application/vnd.dev.sigstore.bundle.v0.3+json"]);
            for manifest in &manifests {
                assert_eq!(kinds(server, repository, *manifest).len(), 2, "a bundle and an SBOM");
            }
            for subject in manifests.iter().chain([&index]) {
                assert!(server.tag(repository, &format!("sha256-{}.sig", subject.hex())).is_some());
            }
        }
        // Back into a layout: the same index, and the key is found to have signed all of it.
        good(&sandbox, &format!("pull {} back.oci --referrers --no-fsync", two.name("other/api:2")));
        let verified = good(&sandbox, "verify back.oci --key b.pub").stdout;
        assert!(verified.contains("3 images") || verified.contains("2 images"), "{verified}");
        assert_eq!(verified.matches("signed 2 times").count(), 3, "{verified}");
        let tree = std::fs::read(sandbox.at("api.oci/blobs/sha256").join(index.hex())).unwrap();
        assert_eq!(std::fs::read(sandbox.at("back.oci/blobs/sha256").join(index.hex())).unwrap(), tree);
        // Without them.
        let bare = good(&sandbox, &format!("push --no-referrers api.oci {}", two.name("bare/api:1")));
        assert!(!bare.stderr.contains("referrers"), "{}", bare.stderr);
        assert!(kinds(&two, "bare/api", index).is_empty());
    }
}

#[test]
fn what_is_missing_beside_a_layout_stops_a_push_before_it_begins() {
    let (sandbox, _) = signed();
    let server = Server::new();
    let index: Value = serde_json::from_slice(&std::fs::read(sandbox.at("api.oci.att/index.json")).unwrap()).unwrap();
    let first: Digest = index["manifests"][0]["digest"].as_str().unwrap().parse().unwrap();
    let manifest = sandbox.at("api.oci.att/blobs/sha256").join(first.hex());
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    let layer: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    sandbox.file(&format!("api.oci.att/blobs/sha256/{}", layer.hex()), "other bytes");
    let failed = run(&sandbox, &format!("push api.oci {}", server.name("api:1")));
    let says = format!("error[E0275]: `api.oci.att` lacks `{layer}`, or has other bytes for it");
    assert!(failed.code == 1 && failed.stderr.contains(&says), "{} {}", failed.code, failed.stderr);
    assert!(server.seen("PUT", "").is_empty() && server.seen("POST", "").is_empty());
}

#[test]
fn a_layout_that_lists_its_referrers_itself() {
    let (sandbox, index) = signed();
    // As `oras copy --recursive --to-oci-layout` leaves them: manifests with a subject beside the image.
    let read = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(sandbox.at(name)).unwrap()).unwrap() };
    let mut own = read("api.oci/index.json");
    let beside = read("api.oci.att/index.json");
    own["manifests"].as_array_mut().unwrap().extend(beside["manifests"].as_array().unwrap().clone());
    sandbox.file("api.oci/index.json", own.to_string());
    for entry in std::fs::read_dir(sandbox.at("api.oci.att/blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), sandbox.at("api.oci/blobs/sha256").join(entry.file_name())).unwrap();
    }
    std::fs::remove_dir_all(sandbox.at("api.oci.att")).unwrap();
    let server = Server::new();
    let pushed = good(&sandbox, &format!("push api.oci {}", server.name("api:1")));
    assert!(digest(&pushed.stdout) == index && pushed.stderr.contains("; 8 referrers"), "{}", pushed.stderr);
}

#[test]
fn an_index_is_pulled_whole_or_one_of_it() {
    let (sandbox, index) = signed();
    let server = Server::new();
    let name = server.name("api:1");
    good(&sandbox, &format!("push api.oci {name}"));
    for (to, says) in [("whole.oci", "linux/amd64, linux/arm64"), ("whole.tar", "linux/amd64, linux/arm64")] {
        let pulled = good(&sandbox, &format!("pull {name} {to} --no-fsync"));
        assert_eq!(digest(&pulled.stdout), index);
        assert!(pulled.stderr.contains(says), "{}", pulled.stderr);
        assert!(good(&sandbox, &format!("verify {to}")).stdout.contains("sound, 2 images"));
        assert!(!sandbox.at(&format!("{to}.att")).exists(), "only when it is asked for");
    }
    let before = server.seen("GET", "/blobs/").len();
    let pulled = good(&sandbox, &format!("pull {name} arm64.oci --platform linux/arm64 --no-fsync"));
    assert!(digest(&pulled.stdout) != index && pulled.stderr.contains("(linux/arm64)"), "{}", pulled.stderr);
    assert!(server.seen("GET", "/blobs/").len() - before < 5, "the other image stays where it is");
    let arm64 = digest(&pulled.stdout);
    let pulled = good(&sandbox, &format!("pull {name} docker-archive:one.tar --no-fsync"));
    assert!(pulled.stderr.contains("(linux/amd64)"), "{}", pulled.stderr);
    // Bytes that are not what the index says.
    let wrong = ("api".to_owned(), arm64.to_string());
    let media_type = server.state().manifests[&wrong].0.clone();
    server.state().manifests.insert(wrong, (media_type, b"{}".to_vec()));
    let failed = run(&sandbox, &format!("pull {name} bad.oci --no-fsync"));
    assert!(failed.code == 1 && failed.stderr.contains("error[E0605]"), "{}", failed.stderr);
    assert!(!sandbox.at("bad.oci").exists());
}

#[test]
fn a_platform_that_is_not_there_is_told_with_those_that_are() {
    let (sandbox, _) = signed();
    let server = Server::new();
    let name = server.name("api:1");
    good(&sandbox, &format!("push api.oci {name}"));
    for image in [&name, "api.oci"] {
        for command in ["pull IMAGE x.oci", "sbom IMAGE", "provenance IMAGE", "verify IMAGE"] {
            let command = format!("{} --platform linux/s390x", command.replace("IMAGE", image));
            if command.starts_with("pull api.oci") {
                continue;
            }
            let failed = run(&sandbox, &command);
            assert_eq!(failed.code, 1, "{command}");
            for says in ["has no image for linux/s390x\n", "= note: it has linux/amd64, linux/arm64\n"] {
                assert!(failed.stderr.contains(says), "{command}: {}", failed.stderr);
            }
        }
    }
}

#[test]
fn verify_checks_the_images_for_one_platform_alone() {
    let (sandbox, index) = signed();
    let server = Server::new();
    let name = server.name("api:1");
    good(&sandbox, &format!("push api.oci {name}"));
    let read = |hex: &str| -> Value {
        serde_json::from_slice(&std::fs::read(sandbox.at("api.oci/blobs/sha256").join(hex)).unwrap()).unwrap()
    };
    let arm64 = read(&index.hex())["manifests"][1].clone();
    assert_eq!(arm64["platform"]["architecture"], "arm64");
    let manifest: Digest = arm64["digest"].as_str().unwrap().parse().unwrap();
    let layer: Digest = read(&manifest.hex())["layers"].as_array().unwrap().last().unwrap()["digest"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();

    let verified = good(&sandbox, "verify api.oci --platform linux/arm64 --key b.pub").stdout;
    assert!(verified.contains("sound, 1 image, ") && verified.contains(", 3 documents beside it\n"), "{verified}");
    assert_eq!(verified.matches("signed 2 times").count(), 1, "{verified}");
    let both = good(&sandbox, "verify api.oci --platform linux/arm64,linux/amd64").stdout;
    assert!(both.contains("sound, 2 images, "), "{both}");
    let fetched = server.seen("GET", "/blobs/").len();
    let remote = good(&sandbox, &format!("verify {name} --platform linux/amd64")).stdout;
    assert!(remote.contains("sound, 1 image, "), "{remote}");
    assert!(server.seen("GET", &layer.to_string()).is_empty() && server.seen("GET", "/blobs/").len() > fetched);

    // What is damaged of one is no matter of the other.
    sandbox.file(&format!("api.oci/blobs/sha256/{}", layer.hex()), "other bytes");
    assert_eq!(run(&sandbox, "verify api.oci").code, 4);
    assert_eq!(run(&sandbox, "verify api.oci --platform linux/arm64").code, 4);
    good(&sandbox, "verify api.oci --platform linux/amd64");
    let document = sandbox.at("api.oci.att/index.json");
    let document: Value = serde_json::from_slice(&std::fs::read(document).unwrap()).unwrap();
    let whose = |entry: &Value| -> bool {
        let hex = entry["digest"].as_str().unwrap().trim_start_matches("sha256:");
        let bytes = std::fs::read(sandbox.at("api.oci.att/blobs/sha256").join(hex)).unwrap();
        let manifest_of: Value = serde_json::from_slice(&bytes).unwrap();
        if manifest_of["subject"]["digest"] != manifest.to_string() {
            return false;
        }
        let hex = manifest_of["layers"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
        sandbox.file(&format!("api.oci.att/blobs/sha256/{hex}"), "other bytes");
        true
    };
    assert!(document["manifests"].as_array().unwrap().iter().any(whose));
    good(&sandbox, "verify api.oci --platform linux/amd64");
}

#[test]
fn an_index_of_buildkit_with_its_attestations() {
    let sandbox = platforms::sandbox();
    let server = Server::new();
    let name = server.name("api:1");
    let own =
        digest(&good(&sandbox, &format!("build api.toml --platform linux/amd64 --no-fsync --tag 1 -o {name}")).stdout);
    // What BuildKit adds: a manifest that has the form of an image, for no platform.
    let mut state = server.state();
    let blob = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() });
    let (config, statement) =
        (b"{\"architecture\":\"unknown\",\"os\":\"unknown\"}".as_slice(), b"{\"_type\":\"x\"}".as_slice());
    for bytes in [config, statement] {
        state.blobs.insert(("api".to_owned(), Digest::of(bytes).to_string()), bytes.to_vec());
    }
    let oci = |kind: &str| format!("application/vnd.oci.image.{kind}.v1+json");
    let attestation = json!({
        "schemaVersion": 2, "mediaType": oci("manifest"), "config": blob(&oci("config"), config),
        "layers": [blob("application/vnd.in-toto+json", statement)],
    });
    let attestation = attestation.to_string().into_bytes();
    let image = state.manifests[&("api".to_owned(), own.to_string())].1.clone();
    let mut entries = [blob(&oci("manifest"), &image), blob(&oci("manifest"), &attestation)];
    entries[0]["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    entries[1]["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
    entries[1]["annotations"] =
        json!({ "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": own });
    let index = json!({ "schemaVersion": 2, "mediaType": oci("index"), "manifests": entries }).to_string().into_bytes();
    for (key, kind, bytes) in [
        (Digest::of(&attestation).to_string(), "manifest", &attestation),
        (Digest::of(&index).to_string(), "index", &index),
        ("1".to_owned(), "index", &index),
    ] {
        state.manifests.insert(("api".to_owned(), key), (oci(kind), bytes.clone()));
    }
    drop(state);
    let pulled = good(&sandbox, &format!("pull {name} api.oci --no-fsync"));
    assert_eq!(digest(&pulled.stdout), Digest::of(&index));
    let verified = good(&sandbox, "verify api.oci").stdout;
    assert!(verified.contains("sound, 1 image"), "{verified}");
    let kept: BTreeSet<String> = sandbox.names("api.oci/blobs/sha256").into_iter().collect();
    assert!(kept.contains(&Digest::of(statement).hex()), "what attests the image came along");
    good(&sandbox, &format!("push api.oci {}", server.name("again:1")));
    assert_eq!(server.tag("again", "1"), Some(Digest::of(&index)));
}

#[test]
fn images_are_joined_in_their_registry() {
    let sandbox = platforms::sandbox();
    let server = Server::new();
    for (platform, tag) in [("linux/amd64", "1-amd64"), ("linux/arm64", "1-arm64")] {
        let to = server.name(&format!("parts/{}:{tag}", platform.replace('/', "-")));
        good(&sandbox, &format!("build api.toml -q --no-fsync --platform {platform} --tag 1 -o {to}"));
    }
    good(&sandbox, "build api.toml -q --no-fsync --platform linux/amd64,linux/arm64 --tag 1 -o whole.oci");
    let (a, b) = (server.name("parts/linux-amd64:1-amd64"), server.name("parts/linux-arm64:1-arm64"));
    let (layers, sent) = (server.seen("GET", "/blobs/").len(), server.seen("PUT", "/blobs/").len());
    let joined = good(&sandbox, &format!("index join {a} {b} -o {} --tag latest", server.name("api:1")));
    let whole: Value = serde_json::from_slice(&std::fs::read(sandbox.at("whole.oci/index.json")).unwrap()).unwrap();
    assert_eq!(digest(&joined.stdout).to_string(), whole["manifests"][0]["digest"].as_str().unwrap());
    assert_eq!(server.tag("api", "1"), Some(digest(&joined.stdout)));
    assert_eq!(server.tag("api", "latest"), Some(digest(&joined.stdout)));
    assert_eq!(server.seen("GET", "/blobs/").len() - layers, 2, "the configurations alone");
    assert_eq!(server.seen("PUT", "/blobs/").len(), sent, "nothing is sent");
    good(&sandbox, &format!("verify {}", server.name("api:1")));
    // Two for one platform, no tag, a tag that may not move.
    let failed = run(&sandbox, &format!("index join {a} {a} -o {}", server.name("api:2")));
    assert!(failed.code == 1 && failed.stderr.contains("both have an image for linux/amd64"), "{}", failed.stderr);
    let failed = run(&sandbox, &format!("index join {a} {b} -o {}", server.name("api")));
    assert!(failed.code == 2 && failed.stderr.contains("error[E0609]"), "{} {}", failed.code, failed.stderr);
    let failed = run(&sandbox, &format!("index join {b} -o {} --immutable", server.name("api:1")));
    assert!(failed.stderr.contains("error[E0608]"), "{}", failed.stderr);
    // Into a layout, and from other registries and layouts.
    good(&sandbox, &format!("index join {a} {b} --tag 1 -o joined.oci --no-fsync"));
    good(&sandbox, "build api.toml -q --no-fsync --platform linux/arm64 --tag 1 -o arm64.oci");
    let other = Server::new();
    let again = good(&sandbox, &format!("index join {a} arm64.oci -o {}", other.name("api:1")));
    assert_eq!(digest(&again.stdout), digest(&joined.stdout));
    good(&sandbox, &format!("verify {}", other.name("api:1")));
}

#[test]
fn a_build_for_several_platforms_signs_the_index_and_every_image() {
    let sandbox = platforms::sandbox();
    let server = Server::new();
    let name = server.name("team/api:1");
    sandbox.file("b.key", KEY).file("b.pub", PUBLIC);
    let recipe = std::fs::read_to_string(sandbox.at("api.toml")).unwrap();
    sandbox.file("api.toml", format!("platforms = ['linux/amd64', 'linux/arm64']\n{recipe}"));
    let line = format!("build api.toml -q --no-fsync --tag 1 --sign-key b.key -o api.oci -o {name}");
    let index = digest(&good(&sandbox, &line).stdout);
    for image in ["api.oci", &name] {
        let verified = good(&sandbox, &format!("verify {image} --key b.pub")).stdout;
        assert_eq!(verified.matches("signed 2 times").count(), 3, "{verified}");
        assert!(verified.contains(&format!("{index} signed 2 times")), "{verified}");
    }
    // The same as signing the layout afterwards.
    let attached = |sandbox: &Sandbox| std::fs::read(sandbox.at("api.oci.att/index.json")).unwrap();
    let before = attached(&sandbox);
    let names: BTreeSet<String> = sandbox.names("api.oci.att/blobs/sha256").into_iter().collect();
    std::fs::remove_dir_all(sandbox.at("api.oci.att")).unwrap();
    good(&sandbox, "sign api.oci --key b.key --name registry.example/api:1 --no-fsync");
    assert_eq!(sandbox.names("api.oci.att/blobs/sha256").into_iter().collect::<BTreeSet<_>>(), names);
    assert_eq!(attached(&sandbox).len(), before.len());
}

#[test]
fn images_are_signed_and_verified_in_their_registry() {
    for lists in [true, false] {
        let (sandbox, index) = signed();
        let server = Server::new();
        server.state().referrers = lists;
        let name = server.name("team/api:1");
        good(&sandbox, &format!("push --no-referrers api.oci {name}"));
        let unsigned = run(&sandbox, &format!("verify {name} --key b.pub"));
        assert!(
            unsigned.code == 4 && unsigned.stderr.contains("error[E0703]"),
            "{} {}",
            unsigned.code,
            unsigned.stderr
        );
        let before = server.seen("GET", "/blobs/").len();
        let lines = good(&sandbox, &format!("sign {name} --key b.key")).stdout;
        assert_eq!(lines.lines().count(), 3, "{lines}");
        assert!(
            lines.starts_with(&format!("{}@{index}\n", name.trim_start_matches("docker://").trim_end_matches(":1")))
        );
        assert!(server.seen("GET", "/blobs/").len() - before <= 2, "no layer is fetched");
        let verified = good(&sandbox, &format!("verify {name} --key b.pub")).stdout;
        assert_eq!(verified.matches("signed 2 times").count(), 3, "{verified}");

        // Somebody else's signature stands beside it, and both count; again, and nothing is new.
        let tag = format!("sha256-{}.sig", index.hex());
        let cosign = include_str!("support/cosign.key");
        sandbox.file("a.key", cosign).file("a.pub", include_str!("support/cosign.pub"));
        let with_password = |arguments: &str| {
            let run = sandbox.run_with(&arguments.split(' ').collect::<Vec<_>>(), |command| {
                command.env("COSIGN_PASSWORD", "secret");
            });
            assert_eq!(run.code, 0, "{arguments}: {}", run.stderr);
        };
        with_password(&format!("sign {name} --key a.key"));
        let both = server.tag("team/api", &tag);
        for key in ["a.pub", "b.pub"] {
            let verified = good(&sandbox, &format!("verify {name} --key {key}")).stdout;
            assert_eq!(verified.matches("signed 2 times").count(), 3, "{key}: {verified}");
        }
        with_password(&format!("sign {name} --key a.key"));
        good(&sandbox, &format!("sign {name} --key b.key"));
        assert_eq!(server.tag("team/api", &tag), both);
        // By digest there is no tag that policies could compare.
        let by_digest = format!("{}@{index}", name.trim_end_matches(":1"));
        let failed = run(&sandbox, &format!("sign {by_digest} --key b.key"));
        assert!(
            failed.code == 2 && failed.stderr.contains("does not tell what its image is called"),
            "{}",
            failed.stderr
        );
        good(&sandbox, &format!("sign {by_digest} --key b.key --name registry.example/api:1"));
    }
}

#[test]
fn what_an_image_of_a_registry_holds_is_told_as_that_of_a_layout() {
    let (sandbox, _) = signed();
    let server = Server::new();
    let name = server.name("api:1");
    good(&sandbox, &format!("push api.oci {name}"));
    let files = |text: &str| -> Value { serde_json::from_str::<Value>(text).unwrap()["files"].clone() };
    for platform in ["linux/amd64", "linux/arm64"] {
        let here = good(&sandbox, &format!("sbom api.oci --platform {platform}")).stdout;
        let there = good(&sandbox, &format!("sbom {name} --platform {platform}")).stdout;
        assert_eq!(files(&here), files(&there));
        let name = format!("repository_url=127.0.0.1%3A{}%2Fapi", server.address.port());
        assert!(here.contains("/usr/bin/api") && there.contains(&name), "{there}");
    }
    let failed = run(&sandbox, &format!("sbom {name} --platform linux/s390x"));
    assert!(failed.code != 0 && failed.stderr.contains("has no image for linux/s390x"), "{}", failed.stderr);
}

#[test]
fn metadata_has_the_digest_that_a_tag_had_before() {
    let sandbox = platforms::sandbox();
    let server = Server::new();
    let line = format!(
        "build api.toml -q --no-fsync --platform linux/amd64 --metadata-file built.json -o {}",
        server.name("api")
    );
    let metadata = || -> Value { serde_json::from_slice(&std::fs::read(sandbox.at("built.json")).unwrap()).unwrap() };
    let first = digest(&good(&sandbox, &format!("{line} --tag 1")).stdout);
    let pushed = &metadata()["images"][0]["pushed"];
    assert_eq!(pushed[0]["name"], format!("{}/api", server.address));
    assert_eq!(pushed[0]["tags"], json!([{ "tag": "1", "before": null }]));
    let recipe = std::fs::read_to_string(sandbox.at("api.toml")).unwrap();
    sandbox.file("api.toml", recipe.replace("8080", "8081"));
    let second = digest(&good(&sandbox, &format!("{line} --tag 1 --tag 2")).stdout);
    let pushed = &metadata()["images"][0]["pushed"];
    assert_eq!(pushed[0]["digest"], second.to_string());
    assert_eq!(pushed[0]["tags"], json!([{ "tag": "1", "before": first }, { "tag": "2", "before": null }]));
    good(&sandbox, "build api.toml -q --no-fsync --platform linux/amd64 --metadata-file built.json");
    assert_eq!(metadata()["images"][0]["pushed"], json!([]));
}

#[test]
fn only_the_platform_that_is_looked_at_is_fetched() {
    let (sandbox, index) = signed();
    let server = Server::new();
    let name = server.name("api:1");
    good(&sandbox, &format!("push --no-referrers api.oci {name}"));
    let other = {
        let (_, bytes) = server.state().manifests[&("api".to_owned(), index.to_string())].clone();
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let list = document["manifests"].as_array().unwrap().clone();
        let entry = list.into_iter().find(|entry| entry["platform"]["architecture"] == "arm64").unwrap();
        entry["digest"].as_str().unwrap().to_owned()
    };
    for arguments in [
        format!("inspect {name} --platform linux/amd64"),
        format!("inspect {name} --platform linux/amd64 --files --hardening"),
        format!("diff {name} api.toml --platform linux/amd64"),
        format!("sbom {name} --platform linux/amd64"),
        format!("pull {name} one.oci --platform linux/amd64 --no-fsync"),
    ] {
        server.state().seen.clear();
        good(&sandbox, &arguments);
        assert!(server.seen("GET", &other).is_empty(), "{arguments}");
        assert!(server.seen("GET", "/manifests/").len() == 2, "{arguments}: the index and one manifest");
    }
    // A layout is narrowed in the same way, and what is not there is told with what is.
    let looked = good(&sandbox, "inspect api.oci --platform linux/arm64 --format json").stdout;
    assert!(looked.contains(&other) && !looked.contains("linux/amd64"), "{looked}");
    for (arguments, code) in [
        (format!("inspect {name} --platform linux/s390x"), 2),
        (format!("diff {name} {name} --platform linux/s390x"), 2),
    ] {
        let failed = run(&sandbox, &arguments);
        assert!(failed.code == code && failed.stderr.contains("linux/s390x"), "{} {}", failed.code, failed.stderr);
    }
    assert!(
        run(&sandbox, &format!("inspect {name} --platform linux/s390x"))
            .stderr
            .contains("it has linux/amd64, linux/arm64")
    );
}
