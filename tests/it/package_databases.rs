//! Roots whose packages are apk's or rpm's: who owns what, what changed, and the records in the image.

use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use mkimage::rpm;
use serde_json::Value;
use sha1::Digest as _;

use super::sandbox::Sandbox;
use super::support::root::Root;
use super::support::rpm::{header, package};

fn sha1_of(root: &Root, path: &str) -> String {
    let digest: [u8; 20] = sha1::Sha1::digest(std::fs::read(root.host(path)).unwrap()).into();
    format!("Z:Q1{}", BASE64_STANDARD.encode(digest))
}

fn sandbox(root: &Root) -> Sandbox {
    let sandbox = Sandbox::new();
    let recipe = format!(
        "name = 'x.example/tool'\nroot = '{}'\nbinaries = ['/usr/bin/tool']\nfiles = ['/etc/tool.conf']\n",
        root.host("/").display()
    );
    sandbox.file("tool.toml", recipe);
    sandbox
}

/// The packages that an SBOM has, as `NAME VERSION LICENCE purl`.
fn packages(sandbox: &Sandbox, what: &str) -> Vec<String> {
    let run = sandbox.run(&["sbom", what]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let all = document["packages"].as_array().unwrap().iter().filter(|one| one["primaryPackagePurpose"] == "LIBRARY");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|one| {
        let purl = &one["externalRefs"][1]["referenceLocator"];
        [&one["name"], &one["versionInfo"], &one["licenseDeclared"], purl].map(word).join(" ")
    })
    .collect()
}

/// A file of an image, from the folder that its build was asked to write.
fn built(sandbox: &Sandbox) -> std::path::PathBuf {
    let run = sandbox.run(&["build", "tool.toml", "-o", "rootfs:out", "-o", "tool.oci"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    sandbox.at("out")
}

/// The name of the layer that has a path.
fn layer_of(sandbox: &Sandbox, path: &str) -> String {
    let run = sandbox.run(&["inspect", "--files", "--format", "json", "tool.oci"]);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let layers = document["images"][0]["layers"].as_array().unwrap().clone();
    let has = |layer: &&Value| layer["entries"].as_array().unwrap().iter().any(|entry| entry["path"] == path);
    let found: Vec<&Value> = layers.iter().filter(has).collect();
    assert_eq!(found.len(), 1, "{document}");
    found[0]["created_by"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn apk_packages_own_their_files_and_the_image_says_so() {
    let root = Root::musl(
        "/usr/bin/tool program interp=/lib/ld-musl-x86_64.so.1 libc.musl-x86_64.so.1
        /etc/tool.conf file changed
        /etc/os-release file ID=alpine\\nVERSION_ID=3.20.1\\n",
    );
    let text = format!(
        "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\nm:T <t@example.org>\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n{}\n\
         R:libc.musl-x86_64.so.1\n\nC:Q1y=\nP:tool-bin\nV:2.0-r1\nA:x86_64\nL:GPL-2.0-or-later AND odd\no:tool\nF:etc\nR:tool.conf\n\
         Z:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nF:usr/bin\nR:tool\n{}\nR:other\n\nP:unused\nV:1\n\n",
        sha1_of(&root, "/lib/ld-musl-x86_64.so.1"),
        sha1_of(&root, "/usr/bin/tool"),
    );
    root.file("/lib/apk/db/installed", text.as_bytes(), 0o644);
    let sandbox = sandbox(&root);
    let all = packages(&sandbox, "tool.toml");
    assert_eq!(all[0], "musl 1.2.5-r0 MIT pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1");
    assert_eq!(
        all[1],
        "tool-bin 2.0-r1 GPL-2.0-or-later AND LicenseRef-odd \
         pkg:apk/alpine/tool-bin@2.0-r1?arch=x86_64&distro=alpine-3.20.1&upstream=tool"
    );
    assert_eq!(all.len(), 2);
    let record = std::fs::read_to_string(built(&sandbox).join("lib/apk/db/installed")).unwrap();
    assert!(record.contains("R:tool\n") && !record.contains("other") && !record.contains("unused"), "{record}");
    // The image alone says the same.
    assert_eq!(packages(&sandbox, "tool.oci"), all);
    assert_eq!(layer_of(&sandbox, "/lib/apk/db/installed"), "packages");

    // What is no longer the package's is nobody's.
    let mut program = std::fs::read(root.host("/usr/bin/tool")).unwrap();
    program.push(0);
    root.file("/usr/bin/tool", &program, 0o755);
    let said = sandbox.run(&["check", "tool.toml"]).stderr;
    assert!(said.contains("`/usr/bin/tool`") || said.contains("E0310"), "{said}");
    let record = std::fs::read_to_string(built(&sandbox).join("lib/apk/db/installed")).unwrap();
    assert!(!record.contains("R:tool\n") && record.contains("R:tool.conf\n"), "{record}");
}

#[test]
fn rpm_packages_own_their_files_and_the_image_says_so() {
    let root = Root::glibc(
        "/usr/bin/tool program libc.so.6
        /etc/tool.conf file changed
        /etc/os-release file ID=fedora\\nVERSION_ID=40\\n",
    );
    let digest = |path: &str| mkimage::oci::Digest::of(&std::fs::read(root.host(path)).unwrap()).hex();
    let (tool, libc) = (digest("/usr/bin/tool"), digest("/usr/lib/x86_64-linux-gnu/libc.so.6"));
    let headers = [
        package("tool", "2.0", &[("/usr/bin/", "tool", &tool), ("/etc/", "tool.conf", &tool)]),
        package("glibc", "2.39", &[("/lib/x86_64-linux-gnu/", "libc.so.6", &libc)]),
        package("unused", "9", &[("/usr/bin/", "unused", &tool)]),
        header(&[(1000, &["gpg-pubkey"]), (1001, &["a"]), (1002, &["b"])], &[]),
    ];
    let database = rpm::write(&headers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    root.file("/usr/lib/sysimage/rpm/rpmdb.sqlite", &database, 0o644);
    let sandbox = sandbox(&root);
    let all = packages(&sandbox, "tool.toml");
    assert_eq!(
        all,
        [
            "glibc 1:2.39-1.fc40 MIT AND Zlib pkg:rpm/fedora/glibc@2.39-1.fc40?arch=x86_64&distro=fedora-40&epoch=1&upstream=glibc-src-2.39-1.fc40.src.rpm",
            "tool 1:2.0-1.fc40 MIT AND Zlib pkg:rpm/fedora/tool@2.0-1.fc40?arch=x86_64&distro=fedora-40&epoch=1&upstream=tool-src-2.0-1.fc40.src.rpm",
        ]
    );
    let record = std::fs::read(built(&sandbox).join("usr/lib/sysimage/rpm/rpmdb.sqlite")).unwrap();
    assert_eq!(rpm::read(&record).unwrap(), [headers[1].clone(), headers[0].clone()]);
    assert_eq!(packages(&sandbox, "tool.oci"), all);

    root.file("/usr/lib/sysimage/rpm/rpmdb.sqlite-wal", b"x", 0o644);
    let run = sandbox.run(&["check", "tool.toml"]);
    assert!(run.code == 1 && run.stderr.contains("E0705") && run.stderr.contains("rebuilddb"), "{}", run.stderr);
    std::fs::remove_file(root.host("/usr/lib/sysimage/rpm/rpmdb.sqlite-wal")).unwrap();
    root.file("/usr/lib/sysimage/rpm/rpmdb.sqlite", b"no database", 0o644);
    let run = sandbox.run(&["check", "tool.toml"]);
    assert!(run.code == 1 && run.stderr.contains("is no database of SQLite"), "{}", run.stderr);
    assert!(Path::new(&sandbox.at("tool.toml")).is_file());
}
