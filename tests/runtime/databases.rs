//! Images of roots with apk's and rpm's databases in scanners: they know the distribution, and list exactly the
//! packages whose files ship.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use mkimage::oci;
use serde_json::Value;
use sha1::Digest as _;

use crate::attest::{NODE, PYTHON, array, json, read, syft, text, trivy};
use crate::call::Call;
use crate::rpm;
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test { name: "scanners_read_apk_s_database", needs: &["python3.11", "/usr/bin/busybox", PYTHON, NODE], run: apk },
    Test { name: "scanners_read_rpm_s_database", needs: &["python3.11", "/usr/bin/busybox", PYTHON, NODE], run: rpm },
    Test {
        name: "scanners_read_what_rpm_itself_wrote",
        needs: &["python3.11", "/usr/bin/busybox", "rpmbuild", PYTHON, NODE],
        run: rpm_itself,
    },
    Test {
        name: "scanners_know_distributions_by_their_files",
        needs: &["python3.11", "/usr/bin/busybox", PYTHON, NODE],
        run: distributions,
    },
];

/// A package: name, version, files.
type Package = (&'static str, &'static str, &'static [&'static str]);

const TOOL: Package = ("tool", "2.0", &["/usr/bin/tool", "/etc/tool.conf"]);
const DATA: Package = ("tool-data", "2.0", &["/usr/share/tool/one", "/usr/share/tool/two"]);
const DOCS: Package = ("tool-docs", "2.0", &["/usr/share/doc/tool/README"]);
const ABSENT: Package = ("absent", "7", &["/usr/share/absent"]);

/// What ships: all of the first, one file of the second, nothing of the others.
const RECIPE: &str = "binaries = [\"/usr/bin/tool\"]\nfiles = [\"/etc/tool.conf\", \"/usr/share/tool/one\"]\n\
    [policy]\nshell = \"allow\"\n";

/// A root in a folder of this name.
struct Root(PathBuf);

impl Root {
    /// A root with the files of some packages, and of the distribution; `-> TARGET` makes a link.
    fn new(workshop: &Workshop, name: &str, packages: &[Package], release: &[(&str, &str)]) -> Self {
        let root = Self(workshop.make_folder(name));
        for path in packages.iter().flat_map(|(.., files)| *files) {
            root.file(path, format!("{path}\n").as_bytes());
        }
        // A program that needs no library.
        fs::copy("/usr/bin/busybox", root.at("/usr/bin/tool")).expect("the folder is ours");
        for (path, text) in release {
            match text.strip_prefix("-> ") {
                Some(target) => symlink(target, root.at(path)).expect("the folder is ours"),
                None => root.file(path, text.as_bytes()),
            }
        }
        root
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    fn file(&self, path: &str, bytes: &[u8]) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("it is in the root")).expect("the folder is ours");
        fs::write(path, bytes).expect("the folder is ours");
    }

    /// Writes rpm's database of some packages.
    fn rpm(&self, packages: &[Package]) {
        let header = |(name, version, files): &Package| {
            let digests: Vec<String> = files.iter().map(|path| oci::Digest::of(&read(&self.at(path))).hex()).collect();
            let split = |path: &'static str| path.split_at(path.rfind('/').expect("it is absolute") + 1);
            let files =
                files.iter().zip(&digests).map(|(path, digest)| (split(path).0, split(path).1, digest.as_str()));
            rpm::package(name, version, &files.collect::<Vec<_>>())
        };
        let headers: Vec<Vec<u8>> = packages.iter().map(header).collect();
        let database = mkimage::rpm::write(&headers.iter().map(Vec::as_slice).collect::<Vec<_>>());
        self.file("/usr/lib/sysimage/rpm/rpmdb.sqlite", &database);
    }

    /// The image of the recipe.
    fn build(&self, workshop: &Workshop, name: &str) -> PathBuf {
        let head = format!("name = \"company/{name}\"\nroot = \"{}\"\n", self.0.display());
        workshop.write(&format!("{name}.toml"), &(head + RECIPE));
        let layout = workshop.path(&format!("{name}.oci"));
        workshop.mkimage().args(["build", &format!("{name}.toml"), "-o"]).arg(&layout).text();
        layout
    }
}

/// The packages of which an image has a file, by the paths that it lists. Version is what is to be said of it.
fn truth(
    workshop: &Workshop,
    layout: &Path,
    packages: &[Package],
    version: impl Fn(&str) -> String,
) -> BTreeSet<String> {
    let listed = workshop.mkimage().args(["inspect", "--files", "--format", "json"]).arg(layout).text();
    let listed = json(listed.as_bytes());
    let layers = array(&listed, "images").flat_map(|image| array(image, "layers"));
    let paths: BTreeSet<String> =
        layers.flat_map(|layer| array(layer, "entries")).map(|entry| text(&entry["path"])).collect();
    let ships = packages.iter().filter(|(.., files)| files.iter().any(|file| paths.contains(*file)));
    ships.map(|(name, own, _)| format!("{name} {}", version(own))).collect()
}

/// What Syft and Trivy say of an image's distribution, as `ID VERSION` of each.
fn distribution(layout: &Path) -> [String; 2] {
    let of_syft = &syft(layout)["distro"];
    let of_trivy = trivy(layout);
    let system = array(&of_trivy, "components").find(|one| one["type"] == "operating-system");
    let system = system.cloned().unwrap_or_default();
    [
        [&of_syft["id"], &of_syft["versionID"]].map(text).join(" "),
        [&system["name"], &system["version"]].map(text).join(" "),
    ]
}

/// The packages of a kind that Syft lists.
fn of_syft(layout: &Path, kind: &str) -> BTreeSet<String> {
    let found = syft(layout);
    let packages: Vec<&Value> = array(&found, "artifacts").filter(|one| one["type"] == kind).collect();
    let list: BTreeSet<String> =
        packages.iter().map(|one| format!("{} {}", text(&one["name"]), text(&one["version"]))).collect();
    assert_eq!(list.len(), packages.len(), "Syft lists a package twice");
    list
}

/// The packages that Trivy lists, which has the epoch in the package URL alone.
fn of_trivy(layout: &Path, kind: &str) -> BTreeSet<String> {
    let found = trivy(layout);
    let packages: Vec<&Value> = array(&found, "components").filter(|one| one["type"] == "library").collect();
    let line = |one: &&Value| {
        let purl = text(&one["purl"]);
        assert!(purl.starts_with(&format!("pkg:{kind}/")), "{one}");
        let epoch = purl.split(['?', '&']).find_map(|word| word.strip_prefix("epoch="));
        let epoch = epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
        format!("{} {epoch}{}", text(&one["name"]), text(&one["version"]))
    };
    let list: BTreeSet<String> = packages.iter().map(line).collect();
    assert_eq!(list.len(), packages.len(), "Trivy lists a package twice");
    list
}

fn apk(workshop: &Workshop) {
    const RELEASE: Package = ("alpine-base", "3.20.1", &["/etc/os-release", "/etc/alpine-release"]);
    let packages = [TOOL, DATA, DOCS, ABSENT, RELEASE];
    let system = [("/etc/os-release", "ID=alpine\nVERSION_ID=3.20.1\n"), ("/etc/alpine-release", "3.20.1\n")];
    let root = Root::new(workshop, "root-apk", &packages, &system);
    let stanza = |(name, version, files): &Package| {
        let head = format!("C:Q1x=\nP:{name}\nV:{version}-r0\nA:x86_64\nL:MIT\no:tool\nm:T <t@example.org>\n");
        let file = |path: &&str| {
            let digest: [u8; 20] = sha1::Sha1::digest(read(&root.at(path))).into();
            let (folder, name) = path.rsplit_once('/').expect("it is absolute");
            format!("F:{}\nR:{name}\nZ:Q1{}\n", &folder[1..], BASE64_STANDARD.encode(digest))
        };
        head + &files.iter().map(file).collect::<String>()
    };
    let database = packages.iter().map(stanza).collect::<Vec<_>>().join("\n");
    root.file("/lib/apk/db/installed", database.as_bytes());
    let layout = root.build(workshop, "of-apk");
    let truth = truth(workshop, &layout, &packages, |version| format!("{version}-r0"));
    assert_eq!(truth.len(), 3, "{truth:?}");
    assert_eq!(of_syft(&layout, "apk"), truth, "Syft");
    assert_eq!(of_trivy(&layout, "apk"), truth, "Trivy");
    assert_eq!(distribution(&layout), ["alpine 3.20.1", "alpine 3.20.1"]);
}

fn rpm(workshop: &Workshop) {
    const RELEASE: Package = ("fedora-release", "40", &["/etc/os-release", "/etc/fedora-release"]);
    let packages = [TOOL, DATA, DOCS, ABSENT, RELEASE];
    let system = [
        ("/etc/os-release", "ID=fedora\nVERSION_ID=40\n"),
        ("/etc/fedora-release", "Fedora release 40 (Forty)\n"),
        ("/etc/redhat-release", "-> fedora-release"),
    ];
    let root = Root::new(workshop, "root-rpm", &packages, &system);
    root.rpm(&packages);
    let layout = root.build(workshop, "of-rpm");
    let truth = truth(workshop, &layout, &packages, |version| format!("1:{version}-1.fc40"));
    assert_eq!(truth.len(), 3, "{truth:?}");
    assert_eq!(of_syft(&layout, "rpm"), truth, "Syft");
    assert_eq!(of_trivy(&layout, "rpm"), truth, "Trivy");
    assert_eq!(distribution(&layout), ["fedora 40", "fedora 40"]);
}

/// A specification of packages as [`TOOL`], [`DATA`] and [`DOCS`] are.
const SPECIFICATION: &str = "\
Name: tool
Epoch: 1
Version: 2.0
Release: 1.fc40
Summary: A tool
License: MIT
AutoReqProv: no
%description
A tool.
%package data
Summary: Its data
%description data
Its data.
%package docs
Summary: Its manual
%description docs
Its manual.
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc %{buildroot}/usr/share/tool %{buildroot}/usr/share/doc/tool
cp /usr/bin/busybox %{buildroot}/usr/bin/tool
echo setting > %{buildroot}/etc/tool.conf
echo 1 > %{buildroot}/usr/share/tool/one
echo 2 > %{buildroot}/usr/share/tool/two
echo manual > %{buildroot}/usr/share/doc/tool/README
%files
/usr/bin/tool
%config /etc/tool.conf
%files data
/usr/share/tool/one
/usr/share/tool/two
%files docs
/usr/share/doc/tool/README
";

/// Packages that rpm built and installed: its database has many more tags than ours, and was written by SQLite.
fn rpm_itself(workshop: &Workshop) {
    let root = Root(workshop.make_folder("root-rpm-itself"));
    let built = workshop.make_folder("rpms");
    let specification = built.join("tool.spec");
    fs::write(&specification, SPECIFICATION).expect("the folder is ours");
    let define = |name: &str, value: &str| ["--define".to_owned(), format!("{name} {value}")];
    let plain = [
        define("_topdir", &built.display().to_string()),
        define("_build_id_links", "none"),
        define("debug_package", "%{nil}"),
        define("__os_install_post", "%{nil}"),
    ];
    Call::new("rpmbuild").args(["--quiet", "-bb"]).args(plain.concat()).arg(specification).text();
    let packages: Vec<PathBuf> = ["tool", "tool-data", "tool-docs"]
        .iter()
        .map(|name| built.join(format!("RPMS/x86_64/{name}-2.0-1.fc40.x86_64.rpm")))
        .collect();
    let database = [define("_dbpath", "/usr/lib/sysimage/rpm"), define("_db_backend", "sqlite")].concat();
    let install = Call::new("rpm").arg("--root").arg(&root.0).args(database);
    install.args(["--nodeps", "--noscripts", "--install"]).args(packages).text();
    root.file("/etc/os-release", b"ID=fedora\nVERSION_ID=40\n");
    root.file("/etc/fedora-release", b"Fedora release 40 (Forty)\n");
    symlink("fedora-release", root.at("/etc/redhat-release")).expect("the folder is ours");

    let layout = root.build(workshop, "of-rpm-itself");
    let truth = truth(workshop, &layout, &[TOOL, DATA, DOCS], |version| format!("1:{version}-1.fc40"));
    assert_eq!(truth.len(), 2, "{truth:?}");
    assert_eq!(of_syft(&layout, "rpm"), truth, "Syft");
    assert_eq!(of_trivy(&layout, "rpm"), truth, "Trivy");
    assert_eq!(distribution(&layout), ["fedora 40", "fedora 40"]);
}

/// Distributions that say their name in files of their own, too, and what each scanner is to say.
fn distributions(workshop: &Workshop) {
    type System = (&'static str, &'static [(&'static str, &'static str)], [&'static str; 2]);
    let systems: [System; 4] = [
        (
            "oracle",
            &[
                ("/etc/os-release", "ID=\"ol\"\nVERSION_ID=\"9.4\"\n"),
                ("/etc/oracle-release", "Oracle Linux Server release 9.4\n"),
                ("/etc/redhat-release", "Red Hat Enterprise Linux release 9.4 (Plow)\n"),
            ],
            ["ol 9.4", "oracle 9.4"],
        ),
        (
            "rocky",
            &[
                ("/etc/os-release", "ID=\"rocky\"\nVERSION_ID=\"9.4\"\n"),
                ("/etc/rocky-release", "Rocky Linux release 9.4 (Blue Onyx)\n"),
                ("/etc/redhat-release", "-> rocky-release"),
            ],
            ["rocky 9.4", "rocky 9.4"],
        ),
        (
            "amazon",
            &[
                ("/etc/os-release", "ID=\"amzn\"\nVERSION_ID=\"2023\"\n"),
                ("/etc/system-release", "Amazon Linux release 2023.5.20240722 (Amazon Linux)\n"),
            ],
            ["amzn 2023", "amazon 2023.5.20240722 (Amazon Linux)"],
        ),
        (
            "ubuntu",
            &[
                ("/etc/os-release", "ID=ubuntu\nVERSION_ID=\"22.04\"\n"),
                ("/etc/debian_version", "bookworm/sid\n"),
                ("/etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\nDISTRIB_CODENAME=jammy\n"),
            ],
            ["ubuntu 22.04", "ubuntu 22.04"],
        ),
    ];
    let mut found = Vec::new();
    for (name, files, _) in systems {
        let root = Root::new(workshop, &format!("root-{name}"), &[TOOL], files);
        if name == "ubuntu" {
            let status = "Package: tool\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.0\n\n";
            root.file("/var/lib/dpkg/status", status.as_bytes());
            root.file("/var/lib/dpkg/info/tool.list", b"/.\n/usr/bin/tool\n");
        } else {
            root.rpm(&[TOOL]);
        }
        root.file("/usr/share/tool/one", b"of nobody");
        found.push(distribution(&root.build(workshop, &format!("of-{name}"))));
    }
    assert_eq!(found, systems.map(|(.., expected)| expected));
}
