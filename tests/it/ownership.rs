//! Whose the files of a root are, and the records of packages in an image, on small databases made here.

use std::fs;
use std::time::{Duration, SystemTime};

use mkimage::inventory::{Inventory, Standing, records};
use mkimage::path::ImagePath;
use mkimage::recipe::{self, Context, Input, Recipe};
use mkimage::report::Texts;
use mkimage::source::ownership::{Check, Database, Owners, State};
use mkimage::source::{Folder, NodeKind, Source};
use mkimage::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};

/// A root in a temporary folder.
pub(crate) struct Root(tempfile::TempDir);

impl Root {
    /// A merged `/usr`, with files of several packages: `lines` of `PATH CONTENT`, or `PATH -> TARGET`.
    pub(crate) fn new(lines: &str) -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some((path, target)) = line.split_once(" -> ") {
                root.link(path, target);
            } else {
                let (path, content) = line.split_once(' ').unwrap_or((line, ""));
                root.write(path, content);
            }
        }
        root
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, self.at(path)).unwrap();
    }

    /// Adds an installed package with its files; the list is written last, as dpkg does.
    pub(crate) fn package(&self, stanza: &str, name: &str, files: &[&str]) {
        let status = fs::read_to_string(self.at("/var/lib/dpkg/status")).unwrap_or_default();
        self.write("/var/lib/dpkg/status", &format!("{status}{}\n\n", stanza.trim()));
        let sums: Vec<String> = files.iter().filter_map(|file| self.sum(file)).collect();
        self.write(&format!("/var/lib/dpkg/info/{name}.md5sums"), &sums.concat());
        self.write(&format!("/var/lib/dpkg/info/{name}.list"), &format!("/.\n/usr\n{}\n", files.join("\n")));
    }

    fn sum(&self, file: &str) -> Option<String> {
        use md5::Digest;
        let path = self.at(file);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
        if !is_file || file.starts_with("/etc") {
            return None;
        }
        let digest = md5::Md5::digest(fs::read(path).unwrap());
        let hex: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("{}  {}\n", hex.concat(), &file[1..]))
    }

    pub(crate) fn folder(&self) -> Folder {
        Folder::open(self.0.path()).unwrap()
    }
}

fn path(path: &str) -> ImagePath {
    ImagePath::new(path).unwrap()
}

/// `PATH: PACKAGE:ARCH.. STATE` for each of the paths.
fn owners(root: &Root, paths: &[&str], check: Check) -> String {
    let paths: Vec<ImagePath> = paths.iter().map(|p| path(p)).collect();
    let owners = Owners::find(&root.folder(), &paths, check).unwrap();
    let line = |path: &ImagePath| match owners.of(path) {
        None => format!("{path}: nobody\n"),
        Some(ownership) => {
            let packages = ownership.packages.iter().map(|id| owners.package(*id));
            let names: Vec<String> = packages.map(|p| format!("{}:{}", p.name, p.architecture)).collect();
            format!("{path}: {} {:?}\n", names.join(" "), ownership.state)
        }
    };
    paths.iter().map(line).collect()
}

const BIN: &str = "Package: tool\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n\
    Source: tools (1.0)\nConffiles:\n /etc/tool.conf 00000000000000000000000000000000\nDescription: a tool\n for work";

fn lib(architecture: &str) -> String {
    format!(
        "Package: libx1\nStatus: install ok installed\nArchitecture: {architecture}\nMulti-Arch: same\nVersion: 2:3+b1"
    )
}

fn sample() -> Root {
    let root = Root::new(
        "/bin -> usr/bin
         /lib -> usr/lib
         /usr/bin/tool program
         /usr/bin/t -> tool
         /usr/bin/local made here
         /usr/lib/amd64/libx.so.1 amd64 library
         /usr/lib/i386/libx.so.1 i386 library
         /usr/share/x/shared both
         /usr/share/doc/libx1/copyright free
         /usr/share/doc/tool -> libx1
         /etc/tool.conf setting",
    );
    root.package(BIN, "tool", &["/bin/tool", "/usr/bin/t", "/etc/tool.conf", "/usr/share/doc/tool", "/usr/bin"]);
    let shared = ["/usr/share/x/shared", "/usr/share/doc/libx1/copyright"];
    root.package(&lib("amd64"), "libx1:amd64", &["/lib/amd64/libx.so.1", shared[0], shared[1]]);
    root.package(&lib("i386"), "libx1:i386", &["/lib/i386/libx.so.1", shared[0], shared[1]]);
    root
}

#[test]
fn lists_spell_paths_through_the_links_of_a_merged_usr() {
    let paths = [
        "/usr/bin/tool",
        "/usr/bin/t",
        "/usr/bin/local",
        "/usr/lib/amd64/libx.so.1",
        "/usr/share/x/shared",
        "/etc/tool.conf",
        "/usr/bin",
        "/nowhere",
    ];
    assert_eq!(
        owners(&sample(), &paths, Check::Every),
        "/usr/bin/tool: tool:amd64 Installed\n\
         /usr/bin/t: tool:amd64 Installed\n\
         /usr/bin/local: nobody\n\
         /usr/lib/amd64/libx.so.1: libx1:amd64 Installed\n\
         /usr/share/x/shared: libx1:amd64 libx1:i386 Installed\n\
         /etc/tool.conf: tool:amd64 Configuration\n\
         /usr/bin: nobody\n\
         /nowhere: nobody\n"
    );
}

#[test]
fn a_changed_file_is_found_out_by_its_times_and_its_sum() {
    let root = sample();
    let asked = ["/usr/bin/tool", "/usr/lib/amd64/libx.so.1"];
    let as_installed = "/usr/bin/tool: tool:amd64 Installed\n/usr/lib/amd64/libx.so.1: libx1:amd64 Installed\n";
    let touch = |path: &str, after: Duration| {
        let file = fs::OpenOptions::new().append(true).open(root.at(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + after).unwrap();
    };
    let later = Duration::from_secs(4_000_000_000);
    touch("/usr/bin/tool", later);
    assert_eq!(owners(&root, &asked, Check::Newer), as_installed, "a new time alone is no change");
    root.write("/usr/bin/tool", "hacked");
    // An old time does not hide it: the time of the file's state can't be set.
    touch("/usr/bin/tool", Duration::from_secs(1));
    let changed = as_installed.replace("tool:amd64 Installed", "tool:amd64 Changed");
    assert_eq!(owners(&root, &asked, Check::Newer), changed);
    assert_eq!(owners(&root, &asked, Check::Every), changed);
    fs::remove_file(root.at("/usr/lib/amd64/libx.so.1")).unwrap();
    root.link("/usr/lib/amd64/libx.so.1", "../i386/libx.so.1");
    assert_eq!(owners(&root, &asked[1..], Check::Newer), "/usr/lib/amd64/libx.so.1: libx1:amd64 Changed\n");
}

#[test]
fn diversions_move_other_packages_files() {
    let root =
        Root::new("/bin -> usr/bin\n/usr/bin/sh one\n/usr/bin/sh.distrib two\n/usr/bin/perf x\n/usr/bin/perf.old y");
    let stanza = |name: &str| format!("Package: {name}\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64");
    root.package(&stanza("dash"), "dash", &["/bin/sh"]);
    root.package(&stanza("bash"), "bash", &["/bin/sh", "/usr/bin/perf"]);
    root.write("/var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/perf\n/usr/bin/perf.old\n:\n");
    let paths = ["/usr/bin/sh", "/usr/bin/sh.distrib", "/usr/bin/perf", "/usr/bin/perf.old"];
    assert_eq!(
        owners(&root, &paths, Check::Newer),
        "/usr/bin/sh: dash:amd64 Installed\n\
         /usr/bin/sh.distrib: bash:amd64 Installed\n\
         /usr/bin/perf: nobody\n\
         /usr/bin/perf.old: bash:amd64 Installed\n"
    );
}

#[test]
fn packages_that_are_gone_own_nothing() {
    let root = Root::new("/usr/bin/x 1");
    root.package("Package: x\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all", "x", &["/usr/bin/x"]);
    assert_eq!(owners(&root, &["/usr/bin/x"], Check::Newer), "/usr/bin/x: nobody\n");
}

#[test]
fn a_distroless_root_has_its_packages_in_status_d() {
    let root = Root::new("/usr/bin/x 1\n/usr/bin/y 2");
    root.write("/var/lib/dpkg/status.d/x", "Package: x\nVersion: 1\nArchitecture: arm64");
    root.write("/var/lib/dpkg/status.d/x.md5sums", &root.sum("/usr/bin/x").unwrap());
    assert_eq!(
        owners(&root, &["/usr/bin/x", "/usr/bin/y"], Check::Every),
        "/usr/bin/x: x:arm64 Installed\n/usr/bin/y: nobody\n"
    );
}

#[test]
fn a_hostile_database_gives_no_owners_and_no_panic() {
    let root = Root::new("/usr/bin/x 1");
    root.write(
        "/var/lib/dpkg/status",
        "Package: ../../x\nVersion: 1\nArchitecture: a/b\n\n\u{0}:\n\n:\n \n\nVersion: 1",
    );
    root.link("/var/lib/dpkg/info", "/etc");
    root.write("/var/lib/dpkg/diversions", "\n/usr/bin/x\n\n/usr/bin/x\n\n:\n/usr/bin/x\n");
    assert_eq!(owners(&root, &["/usr/bin/x"], Check::Every), "/usr/bin/x: nobody\n");
}

#[test]
fn the_files_of_a_package_without_documentation() {
    let root = sample();
    root.write("/usr/share/man/man1/tool.1", "");
    root.package(
        "Package: more\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nProvides: virtual (= 1), other",
        "more",
        &[
            "/bin/tool",
            "/usr/share/man/man1/tool.1",
            "/usr/share/doc/libx1/copyright",
            "/usr/share/docx",
            "/usr/share/doc/x",
        ],
    );
    let source = root.folder();
    let database = Database::open(&source).unwrap();
    let files = database.files_of(&source, database.named("more", None).unwrap()).unwrap();
    let paths: Vec<String> = files.paths.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["/usr", "/usr/bin/tool", "/usr/share/doc/libx1/copyright"]);
    assert_eq!(files.absent, [path("/usr/share/docx")]);
    assert_eq!(database.named("libx1", None).unwrap().architecture, "amd64");
    assert_eq!(database.named("libx1", Some("i386")).unwrap().architecture, "i386");
    assert_eq!(database.named("libx1:i386", Some("amd64")).unwrap().architecture, "i386");
}

#[test]
fn an_unknown_package_is_told_with_what_is_near() {
    let root = sample();
    root.package(
        "Package: more\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nProvides: mail-agent (= 1), other",
        "more",
        &[],
    );
    let database = Database::open(&root.folder()).unwrap();
    let near = |name: &str| {
        let unknown = database.named(name, None).unwrap_err();
        [unknown.similar, unknown.providers, unknown.architectures].map(|names| names.join(" ")).join("|")
    };
    assert_eq!(near("libx"), "libx1||");
    assert_eq!(near("toool"), "tool||");
    assert_eq!(near("mail-agent"), "|more|");
    assert_eq!(near("libx1:arm64"), "||amd64 i386");
    assert_eq!(near("nginx"), "||");
    assert!(!Database::open(&Root::new("").folder()).unwrap().is_there());
}

/// A tree with the root's files at the paths, or at others (`FROM => TO`).
fn tree(source: &dyn Source, paths: &[&str]) -> Tree {
    let mut tree = Tree::default();
    for text in paths {
        let (from, to) = text.split_once(" => ").unwrap_or((text, text));
        let node = source.node(&path(from)).unwrap().unwrap();
        let kind = match node.kind {
            NodeKind::File(content) => EntryKind::File(content),
            NodeKind::Symlink(target) => EntryKind::Symlink(target),
            _ => EntryKind::Directory,
        };
        let entry = Entry::new(kind, node.mode, Rank::Recipe, Reason::new(Cause::Key("files"), None));
        tree.place(path(to), entry).unwrap();
    }
    tree
}

fn recipe() -> Recipe {
    let text = "name = \"app\"\n".into();
    let input = Input::Text { name: "app.toml".to_owned(), text, folder: "/nowhere".into() };
    recipe::load(&input, &Context::default(), &mut Texts::default()).unwrap().recipes.remove(0)
}

fn recorded(source: &dyn Source, tree: &Tree) -> Vec<(String, String)> {
    let database = Database::open(source).unwrap();
    let inventory = Inventory::take(&recipe(), &database, source, tree, Check::Newer).unwrap();
    let text = |entry: &Entry| String::from_utf8(entry.content().unwrap().read(1 << 20).unwrap()).unwrap();
    let entries = records(&inventory, source, tree).unwrap();
    entries.iter().map(|(path, entry)| (path.to_string(), text(entry))).collect()
}

#[test]
fn records_say_exactly_what_ships() {
    let root = sample();
    let source = root.folder();
    let tree = tree(&source, &["/bin", "/usr/bin/tool => /app/tool", "/usr/bin/t", "/usr/bin/local", "/etc/tool.conf"]);
    let records = recorded(&source, &tree);
    let records: Vec<(&str, &str)> = records.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(
        records,
        [
            ("/usr/share/doc/tool/copyright", "free"),
            (
                "/var/lib/dpkg/status.d/tool",
                "Package: tool\nArchitecture: amd64\nVersion: 1.0-1\nSource: tools (1.0)\nDescription: a tool\n for work\n"
            ),
            (
                "/var/lib/dpkg/status.d/tool.md5sums",
                "a9c449d4fa44e9e5a41c574ae55ce4d9  app/tool\naa2d6e4f578eb0cfaba23beef76c2194  usr/share/doc/tool/copyright\n"
            ),
        ]
    );
}

#[test]
fn two_architectures_of_a_package_have_two_records() {
    let root = sample();
    let source = root.folder();
    let libraries = ["/usr/lib/amd64/libx.so.1", "/usr/lib/i386/libx.so.1", "/usr/share/x/shared"];
    let names = |tree: &Tree| recorded(&source, tree).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    let folder = "/var/lib/dpkg/status.d";
    assert_eq!(
        names(&tree(&source, &libraries))[1..],
        ["amd64", "amd64.md5sums", "i386", "i386.md5sums"].map(|end| format!("{folder}/libx1:{end}"))
    );
    // A file that both share brings the one that ships anyhow, or one alone.
    let only = ["libx1", "libx1.md5sums"].map(|name| format!("{folder}/{name}"));
    let i386 = tree(&source, &libraries[1..]);
    assert_eq!(names(&i386)[1..], only);
    assert!(recorded(&source, &i386)[1].1.contains("Architecture: i386"));
    assert_eq!(names(&tree(&source, &libraries[2..]))[1..], only);
}

#[test]
fn no_record_for_what_is_not_the_packages() {
    let root = sample();
    let source = root.folder();
    root.write("/usr/bin/tool", "hacked");
    assert_eq!(recorded(&source, &tree(&source, &["/usr/bin/tool"])), []);
    assert_eq!(recorded(&source, &tree(&source, &["/usr/lib/amd64/libx.so.1", "/var/lib/dpkg/status"])), []);
    // A folder beside the recipe may have a path that the root has, too.
    let beside = Root::new("/usr/bin/tool program");
    assert_eq!(recorded(&source, &tree(&beside.folder(), &["/usr/bin/tool"])), []);
}

#[test]
fn a_copyright_file_goes_where_the_tree_has_the_link() {
    let root = sample();
    let source = root.folder();
    let tree = tree(&source, &["/usr/bin/tool", "/usr/share/doc/tool"]);
    let paths: Vec<String> = recorded(&source, &tree).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths[0], "/usr/share/doc/libx1/copyright");
    let database = Database::open(&source).unwrap();
    let inventory = Inventory::take(&recipe(), &database, &source, &tree, Check::Newer).unwrap();
    assert!(
        matches!(inventory.standing(&path("/usr/share/doc/tool")), Standing::Owned(p, State::Installed) if p.name == "tool")
    );
    assert_eq!(inventory.standing(&path("/nowhere")), Standing::NotOfRoot);
}

/// A root of which a folder can't be read, as for want of permission.
struct Refusing<'a> {
    root: &'a dyn Source,
    folder: &'static str,
}

impl Refusing<'_> {
    fn allow(&self, path: &ImagePath) -> std::io::Result<()> {
        let is_below = path.is_within(&ImagePath::new(self.folder).unwrap());
        if is_below { Err(std::io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }
}

impl Source for Refusing<'_> {
    fn node(&self, path: &ImagePath) -> std::io::Result<Option<mkimage::source::Node>> {
        self.allow(path).and_then(|()| self.root.node(path))
    }

    fn list(&self, path: &ImagePath) -> std::io::Result<Vec<(Vec<u8>, mkimage::source::Node)>> {
        self.allow(path).and_then(|()| self.root.list(path))
    }

    fn describe(&self) -> String {
        "root".to_owned()
    }
}

#[test]
fn what_cannot_be_read_is_not_taken_for_absent() {
    let root = Root::new("/usr/bin/tool 1\n/usr/share/doc/tool/copyright free\n/etc/debian_version 12\n");
    root.package(BIN, "tool", &["/usr/bin/tool"]);
    let folder = Folder::open(root.at("/")).unwrap();
    let refuses = |folder_of: &'static str| {
        let source = Refusing { root: &folder, folder: folder_of };
        let tool = ImagePath::new("/usr/bin/tool").unwrap();
        let mut tree: Tree = [(tool.clone(), {
            let NodeKind::File(content) = folder.node(&tool).unwrap().unwrap().kind else { panic!("a file") };
            Entry::new(EntryKind::File(content), 0o755, Rank::Binary, Reason::new(Cause::Key("binaries"), None))
        })]
        .into_iter()
        .collect();
        let database = Database::open(&source)?;
        let inventory = Inventory::take(&recipe(), &database, &source, &tree, Check::Newer)?;
        let records = records(&inventory, &source, &tree)?;
        assert_eq!(records.len(), 3, "the record, its sums, and the copyright file");
        let accounts = mkimage::select::Accounts { users: Vec::new(), groups: Vec::new(), uid: 0, gid: 0 };
        mkimage::rootfs::add_standard(
            &mut tree,
            &source,
            &mkimage::rootfs::Standard { accounts: &accounts, cache: None },
        )
    };
    assert!(refuses("/nothing").is_ok());
    for (folder, told) in [
        ("/var/lib", "cannot read `root/var/lib`: permission denied"),
        ("/usr/share/doc/tool", "cannot read `root/usr/share/doc/tool`: permission denied"),
        ("/etc/debian_version", "cannot read `root/etc/debian_version`: permission denied"),
    ] {
        assert_eq!(refuses(folder).unwrap_err().0[0].title, told);
    }
}
