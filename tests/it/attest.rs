//! Documents about images: bills of materials of small roots made here, beside layouts and of images that were built.

use std::collections::BTreeSet;
use std::path::Path;

use md5::Digest as _;
use mkimage::attest::check_references;
use mkimage::oci::{Digest, Store};
use serde_json::Value;

use super::sandbox::Sandbox;
use super::support::root::Root;

/// A program of no package that needs a library of one, which needs the C library of another; and what Node.js, Python
/// and a note say of themselves.
pub(crate) fn root() -> Root {
    let root = Root::glibc(
        "/usr/bin/tool program libx.so.1 libc.so.6
        /usr/lib/x86_64-linux-gnu/libx.so.1 library libc.so.6
        /etc/os-release file ID=debian\\nNAME=\"Debian GNU/Linux\"\\nVERSION_ID=12\\n
        /etc/debian_version file 12.11\\n
        /opt/app/node_modules/left/package.json file {\"name\":\"@pad/left\",\"version\":\"1.2.3\",\"license\":\"ISC\"}
        /opt/app/node_modules/left/index.js file 1
        /opt/app/node_modules/left/node_modules/deep/package.json file {\"name\":\"deep\",\"version\":\"4.0.0\"}
        /opt/app/site/six-1.16.0.dist-info/METADATA file Name: six\\nVersion: 1.16.0\\nLicense: MIT\\nAuthor: B. P.\\n\\nText
        /opt/app/site/six-1.16.0.dist-info/RECORD file six.py,sha256=x,1\\nsix-1.16.0.dist-info/RECORD,,\\n
        /opt/app/site/six.py file six
        /opt/app/broken/package.json file {\"name\":
        /usr/share/doc/libx1/copyright file Format: x/copyright-format/1.0/\\n\\nFiles: *\\nLicense: GPL-2+ or odd\\n\\nLicense: odd\\n Do as you like.\\n",
    );
    package(
        &root,
        "Package: libx1\nSource: x (1:2.0-1)\nVersion: 1:2.0-1+b2\nMaintainer: X Team (all) <x@example.org>\nHomepage: https://x.example/",
        &["usr/lib/x86_64-linux-gnu/libx.so.1", "usr/share/doc/libx1/copyright"],
    );
    package(
        &root,
        "Package: libc6\nVersion: 2.36-9\nMaintainer: C <c@example.org>",
        &["usr/lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"],
    );
    package(&root, "Package: unused\nVersion: 1", &[]);
    root
}

fn package(root: &Root, stanza: &str, files: &[&str]) {
    let at = |path: &str| root.host(path);
    let name = stanza.lines().next().unwrap().trim_start_matches("Package: ");
    let status = std::fs::read_to_string(at("/var/lib/dpkg/status")).unwrap_or_default();
    let text = format!("{status}{stanza}\nStatus: install ok installed\nArchitecture: amd64\n\n");
    root.file("/var/lib/dpkg/status", text.as_bytes(), 0o644);
    let sum = |file: &&str| {
        let digest = md5::Md5::digest(std::fs::read(at(file)).unwrap());
        let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        format!("{hex}  {file}\n")
    };
    let sums: String = files.iter().map(sum).collect();
    root.file(&format!("/var/lib/dpkg/info/{name}.md5sums"), sums.as_bytes(), 0o644);
    let list = files.iter().map(|file| format!("/{file}\n")).collect::<Vec<_>>().concat();
    root.file(&format!("/var/lib/dpkg/info/{name}.list"), list.as_bytes(), 0o644);
}

/// A sandbox with a recipe for that root.
pub(crate) fn sandbox(root: &Root, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let path = root.host("/");
    let recipe = format!(
        "name = 'registry.example/acme/tool'\ntags = ['1.0']\nroot = '{}'\nbinaries = ['/usr/bin/tool']\n\
         files = ['/opt/app/', '/etc/os-release', '/etc/debian_version']\n{more}\n",
        path.display()
    );
    sandbox.file("tool.toml", recipe);
    sandbox
}

fn sbom(sandbox: &Sandbox, what: &str, format: &str) -> Value {
    let run = sandbox.run(&["sbom", what, "--format", format]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(check_references(&document), Vec::<String>::new());
    document
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no {key} in {value}")).iter()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

#[test]
fn spdx_names_packages_files_and_who_loads_whom() {
    let root = root();
    let document = sbom(&sandbox(&root, ""), "tool.toml", "spdx");
    let facts = |package: &Value| {
        format!(
            "{} {} {} {}",
            text(package, "name"),
            text(package, "versionInfo"),
            text(package, "supplier"),
            package["licenseDeclared"]
        )
    };
    let packages: Vec<String> = array(&document, "packages").map(facts).collect();
    let own = text(array(&document, "hasExtractedLicensingInfos").next().unwrap(), "licenseId").to_owned();
    assert!(own.starts_with("LicenseRef-odd-"), "{own}");
    assert_eq!(
        packages,
        [
            "registry.example/acme/tool 1.0 Organization: registry.example/acme null",
            "debian 12 Organization: Debian GNU/Linux null",
            "libc6 2.36-9 Organization: C (c@example.org) \"NOASSERTION\"",
            &format!("libx1 1:2.0-1+b2 Organization: X Team all (x@example.org) \"GPL-2.0-or-later OR {own}\""),
            "deep 4.0.0 NOASSERTION \"NOASSERTION\"",
            "@pad/left 1.2.3 NOASSERTION \"ISC\"",
            "six 1.16.0 Organization: B. P. \"MIT\"",
        ]
    );
    let libx = array(&document, "packages").find(|package| package["name"] == "libx1").unwrap();
    assert_eq!(libx["sourceInfo"], "built package from: x 1:2.0-1");
    let references: Vec<&str> = array(libx, "externalRefs").map(|one| text(one, "referenceLocator")).collect();
    assert_eq!(
        references,
        [
            r"cpe:2.3:a:x:x:2.0:*:*:*:*:*:*:*",
            "pkg:deb/debian/libx1@1%3A2.0-1%2Bb2?arch=amd64&distro=debian-12&upstream=x%401%3A2.0-1"
        ]
    );

    let name_of = |id: &str| {
        let all = array(&document, "packages").chain(array(&document, "files"));
        let found = all.into_iter().find(|one| one["SPDXID"] == id);
        found.map_or(id.to_owned(), |one| one.get("fileName").unwrap_or(&one["name"]).as_str().unwrap().to_owned())
    };
    let related: BTreeSet<String> = array(&document, "relationships")
        .map(|one| {
            let (from, to) = (name_of(text(one, "spdxElementId")), name_of(text(one, "relatedSpdxElement")));
            format!("{from} {} {to}", text(one, "relationshipType"))
        })
        .collect();
    for wanted in [
        "SPDXRef-DOCUMENT DESCRIBES registry.example/acme/tool",
        "registry.example/acme/tool CONTAINS libx1",
        "registry.example/acme/tool CONTAINS ./usr/bin/tool",
        "libx1 CONTAINS ./usr/lib/x86_64-linux-gnu/libx.so.1",
        "libx1 DEPENDS_ON libc6",
        "./usr/bin/tool DYNAMIC_LINK ./usr/lib/x86_64-linux-gnu/libx.so.1",
        "./usr/bin/tool DYNAMIC_LINK ./usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "@pad/left CONTAINS ./opt/app/node_modules/left/index.js",
        "six CONTAINS ./opt/app/site/six.py",
    ] {
        assert!(related.contains(wanted), "{wanted}\n{related:#?}");
    }
    assert!(!related.contains("@pad/left CONTAINS ./opt/app/node_modules/left/node_modules/deep/package.json"));

    let library = array(&document, "files").find(|file| text(file, "fileName").ends_with("/libx.so.1")).unwrap();
    let bytes = std::fs::read(root.host("/usr/lib/x86_64-linux-gnu/libx.so.1")).unwrap();
    assert_eq!(library["checksums"][1]["checksumValue"], Digest::of(&bytes).hex());
}

#[test]
fn cyclonedx_names_the_same() {
    let root = root();
    let document = sbom(&sandbox(&root, ""), "tool.toml", "cyclonedx");
    assert_eq!(document["metadata"]["component"]["name"], "registry.example/acme/tool");
    let libx = array(&document, "components").find(|one| one["name"] == "libx1").unwrap();
    assert_eq!(libx["evidence"]["occurrences"][0]["location"], "/usr/lib/x86_64-linux-gnu/libx.so.1");
    assert_eq!(libx["components"][0]["name"], "/usr/lib/x86_64-linux-gnu/libx.so.1");
    assert_eq!(libx["licenses"][0]["license"]["id"], "GPL-2.0-or-later");
    assert_eq!(libx["licenses"][1]["license"]["name"], "odd");
    let of = |name: &str| array(libx, "properties").find(|one| one["name"] == name).unwrap()["value"].clone();
    assert_eq!((of("aquasecurity:trivy:SrcName"), of("aquasecurity:trivy:SrcEpoch")), ("x".into(), "1".into()));
    let needs = array(&document, "dependencies").find(|one| one["ref"] == libx["bom-ref"]).unwrap();
    assert!(needs["dependsOn"][0].as_str().unwrap().contains("/libc6@"), "{needs}");
}

/// The names and versions of packages that an SBOM in SPDX has.
fn packages(document: &Value) -> BTreeSet<String> {
    let kept = array(document, "packages").filter(|one| one["primaryPackagePurpose"] == "LIBRARY");
    kept.map(|one| format!("{} {}", text(one, "name"), text(one, "versionInfo"))).collect()
}

/// The documents of an attachments' layout, by artifact type.
fn attached(path: &Path) -> Vec<(String, Digest, Vec<u8>)> {
    let store = Store::open(path).unwrap();
    let index: Value = serde_json::from_slice(&store.document("index.json").unwrap()).unwrap();
    let blob = |value: &Value| {
        let digest: Digest = text(value, "digest").parse().unwrap();
        let bytes = std::fs::read(path.join("blobs/sha256").join(digest.hex())).unwrap();
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (digest, value["size"].as_u64().unwrap()));
        bytes
    };
    let one = |entry: &Value| {
        let manifest: Value = serde_json::from_slice(&blob(entry)).unwrap();
        assert_eq!(manifest["artifactType"], entry["artifactType"]);
        blob(&manifest["config"]);
        let subject = text(&manifest["subject"], "digest").parse().unwrap();
        (text(entry, "artifactType").to_owned(), subject, blob(&manifest["layers"][0]))
    };
    array(&index, "manifests").map(one).collect()
}

#[test]
fn a_build_puts_them_beside_the_layout_and_they_are_those_of_the_command() {
    let root = root();
    let sandbox = sandbox(&root, "sbom = ['cyclonedx', 'spdx']");
    let run = sandbox.run(&["build", "tool.toml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let digest: Digest = run.stdout.trim().rsplit('@').next().unwrap().parse().unwrap();
    let first = attached(&sandbox.at("tool.oci.att"));
    let kinds: Vec<(&str, Digest)> = first.iter().map(|(kind, subject, _)| (kind.as_str(), *subject)).collect();
    assert_eq!(kinds, [("application/spdx+json", digest), ("application/vnd.cyclonedx+json", digest)]);
    let command = sandbox.run(&["sbom", "tool.toml"]);
    assert_eq!(command.stdout.trim_end().as_bytes(), first[0].2);

    // Again: the same bytes. Changed: those of the old image are gone.
    assert_eq!(sandbox.run(&["build", "tool.toml"]).code, 0);
    assert_eq!(attached(&sandbox.at("tool.oci.att")), first);
    root.file("/opt/app/site/six.py", b"seven", 0o644);
    assert_eq!(sandbox.run(&["build", "tool.toml"]).code, 0);
    let second = attached(&sandbox.at("tool.oci.att"));
    assert!(second.len() == 2 && second[0].1 != digest, "{second:?}");
    assert_eq!(sandbox.run(&["verify", "tool.oci"]).code, 0);
    let blobs = std::fs::read_dir(sandbox.at("tool.oci.att/blobs/sha256")).unwrap().count();
    assert_eq!(blobs, 5, "two manifests, two documents and the empty configuration");
}

#[test]
fn an_image_alone_tells_the_same_packages() {
    let root = root();
    let sandbox = sandbox(&root, "");
    let of_recipe = packages(&sbom(&sandbox, "tool.toml", "spdx"));
    assert_eq!(sandbox.run(&["build", "tool.toml", "-o", "tool.oci", "-o", "tool.tar"]).code, 0);
    for image in ["tool.oci", "oci:tool.oci:1.0", "tool.tar"] {
        let document = sbom(&sandbox, image, "spdx");
        assert_eq!(packages(&document), of_recipe, "{image}");
        let related = array(&document, "relationships");
        assert!(related.filter(|one| one["relationshipType"] == "DYNAMIC_LINK").count() >= 4, "{image}");
    }
    let error = sandbox.run(&["sbom", "oci:tool.oci:2.0"]);
    assert_eq!(error.code, 1);
    assert!(error.stderr.contains("E0700") && error.stderr.contains("it has `1.0`"), "{}", error.stderr);
    let run = sandbox.run(&["sbom", "tool.oci", "-o", "missing/x.json"]);
    assert!(run.code == 1 && run.stderr.contains("E0272"), "{}", run.stderr);
    assert_eq!(sandbox.run(&["sbom", "tool.oci", "-o", "x.json"]).code, 0);
    assert!(sandbox.at("x.json").is_file());
}
