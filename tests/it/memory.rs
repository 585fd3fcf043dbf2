//! Builds that find that nothing has changed: they say and write what a build without a cache would, whatever changes.

use std::time::Duration;

use crate::sandbox::Sandbox;
use crate::support::root::Root;

/// After so long a file's time stamps are trusted.
pub(crate) const SETTLED: Duration = Duration::from_millis(120);

/// A root, and recipes that take from it and from beside themselves.
pub(crate) struct Machine {
    pub(crate) root: Root,
    pub(crate) sandbox: Sandbox,
}

/// What a build came to: exit code, digests, everything that was said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let root = Root::glibc(
            r"
            /usr/lib/x86_64-linux-gnu/liba.so.1 library libc.so.6
            /opt/lib/libb.so.1 library libc.so.6
            /usr/bin/app program liba.so.1 libb.so.1 libc.so.6 runpath=/opt/first:/opt/lib
            /etc/app/app.conf file app
            /etc/os-release file ID=debian\nVERSION_ID=12
            /usr/share/data/one file 1
            /usr/share/data/two file 2
            /usr/share/real/x file x
            /usr/share/way link real
            /var/lib/dpkg/status file Package: app\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n
            /var/lib/dpkg/info/app.list file /usr/bin/app\n",
        );
        let sandbox = Sandbox::new();
        sandbox
            .file("app.toml", RECIPE)
            .file("base.toml", "workdir = \"/tmp\"\n")
            .file("beside/sub/a.txt", "a")
            .file("beside/b.txt", "b")
            .file("globs/1.txt", "1");
        Self { root, sandbox }
    }

    /// A build with the cache.
    pub(crate) fn build(&self, args: &[&str], env: &[(&str, &str)]) -> Came {
        self.run(&[&["--cache-dir", "cache"], args].concat(), env)
    }

    /// The same without.
    pub(crate) fn cold(&self, args: &[&str], env: &[(&str, &str)]) -> Came {
        self.run(&[&["--no-cache"], args].concat(), env)
    }

    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Came {
        let root = self.root.host("/");
        let fixed = ["build", "app.toml", "-vv", "--no-fsync", "--root", root.to_str().unwrap()];
        let run = self.sandbox.run_with(&[&fixed, args].concat(), |command| {
            command.envs(env.iter().copied());
        });
        Came { code: run.code, stdout: run.stdout, stderr: run.stderr }
    }

    /// Builds until the cache answers: the second time, once everything is old enough.
    pub(crate) fn settle(&self, args: &[&str], env: &[(&str, &str)]) {
        std::thread::sleep(SETTLED);
        let first = self.build(args, env);
        assert_eq!(first.code, 0, "{}", first.stderr);
        let second = self.build(args, env);
        assert!(second.is_recalled(), "not recalled: {}", second.stderr);
        assert_eq!(second.said(), first.said());
        assert_eq!(second.stdout, first.stdout);
    }

    /// After a change: what the cache gives is what a build without it gives.
    pub(crate) fn agrees(&self, what: &str, args: &[&str], env: &[(&str, &str)]) -> Came {
        let (warm, cold) = (self.build(args, env), self.cold(args, env));
        assert_eq!((warm.code, &warm.stdout, warm.said()), (cold.code, &cold.stdout, cold.said()), "{what}");
        if warm.code == 0 && !args.contains(&"-o") {
            let verified = self.sandbox.run(&["verify", "app.oci"]);
            assert_eq!(verified.code, 0, "{what}: {}", verified.stderr);
        }
        warm
    }
}

pub(crate) const RECIPE: &str = r#"
extends  = "base.toml"
binaries = ["/usr/bin/app"]
files    = [
  "/usr/share/data/",
  "/usr/share/way/x",
  { from = "beside/", to = "/beside/" },
  { from = "globs/*.txt", to = "/glob/" },
  { content = "${WORD}", to = "/word" },
]

[vars]
WORD = { env = "WORD", default = "none" }
"#;

impl Came {
    /// Whether nothing was looked into.
    pub(crate) fn is_recalled(&self) -> bool {
        self.stderr.contains("closure: 0 files looked into")
    }

    /// All that was said but the figures of the effort, and steps of progress.
    pub(crate) fn said(&self) -> Vec<&str> {
        let effort =
            |line: &&str| !["closure: ", "inputs: ", "packing: ", "app: "].iter().any(|start| line.starts_with(start));
        self.stderr.lines().filter(effort).collect()
    }
}

/// One change of something that a build looks at, with its name.
type Change = (&'static str, fn(&Machine));

/// Tries changes one by one, each on a machine where nothing changed before.
fn each(changes: &[Change]) {
    let machine = Machine::new();
    for (what, change) in changes {
        machine.settle(&[], &[]);
        change(&machine);
        let came = machine.agrees(what, &[], &[]);
        assert!(!came.is_recalled(), "{what} was not seen");
    }
}

fn write(path: std::path::PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn changes_beside_the_recipe_are_seen() {
    each(&[
        ("another content of the same size", |m| write(m.sandbox.at("beside/b.txt"), "B")),
        ("a new file in a folder", |m| write(m.sandbox.at("beside/sub/new.txt"), "n")),
        ("a new file that a glob matches", |m| write(m.sandbox.at("globs/2.txt"), "2")),
        ("a file that is gone", |m| std::fs::remove_file(m.sandbox.at("globs/2.txt")).unwrap()),
        ("another mode", |m| {
            m.sandbox.mode("beside/b.txt", 0o755);
        }),
        ("another file by rename", |m| {
            write(m.sandbox.at("other"), "X");
            std::fs::rename(m.sandbox.at("other"), m.sandbox.at("beside/b.txt")).unwrap();
        }),
        ("a folder that became a link", |m| {
            std::fs::rename(m.sandbox.at("beside/sub"), m.sandbox.at("elsewhere")).unwrap();
            m.sandbox.link("beside/sub", "../elsewhere");
        }),
    ]);
}

#[test]
fn changes_of_the_root_are_seen() {
    each(&[
        ("a library that is found earlier", |m| {
            let path = m.root.host("/opt/lib/libb.so.1");
            m.root.file("/opt/first/libb.so.1", &[std::fs::read(path).unwrap(), b"more".to_vec()].concat(), 0o644);
        }),
        ("a library with other bytes", |m| {
            let path = "/usr/lib/x86_64-linux-gnu/liba.so.1";
            let bytes = std::fs::read(m.root.host(path)).unwrap();
            m.root.file(path, &[bytes, b"more".to_vec()].concat(), 0o644);
        }),
        ("a link that leads elsewhere", |m| {
            m.root.file("/usr/share/unreal/x", b"y", 0o644);
            std::fs::remove_file(m.root.host("/usr/share/way")).unwrap();
            std::os::unix::fs::symlink("unreal", m.root.host("/usr/share/way")).unwrap();
        }),
        ("a new file in a folder", |m| m.root.file("/usr/share/data/three", b"3", 0o644)),
        ("another distribution", |m| m.root.file("/etc/os-release", b"ID=debian\nVERSION_ID=13", 0o644)),
        ("a package's version", |m| {
            let path = "/var/lib/dpkg/status";
            let text = std::fs::read_to_string(m.root.host(path)).unwrap();
            m.root.file(path, text.replace("Version: 1", "Version: 2").as_bytes(), 0o644);
        }),
        ("a file that gets an owner", |m| {
            m.root.file("/var/lib/dpkg/info/app.list", b"/usr/bin/app\n/usr/share/data/one\n", 0o644);
        }),
        ("a folder's configuration that is gone", |m| std::fs::remove_dir_all(m.root.host("/etc/app")).unwrap()),
    ]);
    // One that stops the build, and its return.
    let machine = Machine::new();
    machine.settle(&[], &[]);
    let (path, aside) = (machine.root.host("/opt/lib/libb.so.1"), machine.root.host("/aside"));
    std::fs::rename(&path, &aside).unwrap();
    assert_eq!(machine.agrees("a library that is gone", &[], &[]).code, 1);
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(machine.agrees("and back again", &[], &[]).code, 0);
}

#[test]
fn changes_of_recipe_and_command_line_are_seen() {
    each(&[
        ("a recipe", |m| write(m.sandbox.at("app.toml"), &RECIPE.replace("/word", "/word2"))),
        ("what it extends", |m| write(m.sandbox.at("base.toml"), "workdir = \"/run\"\n")),
        ("a workspace above", |m| {
            write(
                m.sandbox.at("mkimage.toml"),
                "[workspace]\nmembers = [\"app.toml\"]\n[workspace.defaults]\nports = [80]\n",
            );
        }),
    ]);
    let machine = Machine::new();
    machine.settle(&[], &[]);
    for (args, env) in [
        (&[][..], &[("WORD", "another")][..]),
        (&[], &[("SOURCE_DATE_EPOCH", "1700000000")]),
        (&[], &[("CI", "true")]),
        (&["--set", "WORD=third"], &[]),
        (&["-t", "v2"], &[]),
        (&["--compression", "gzip"], &[]),
        (&["-o", "oci:elsewhere:tag"], &[]),
        (&["-o", "archive.tar"], &[]),
        (&["-o", "rootfs:files"], &[]),
    ] {
        let what = format!("{args:?} {env:?}");
        let came = machine.agrees(&what, args, env);
        let same = matches!(args, ["-o", "oci:elsewhere:tag"]);
        assert_eq!(came.is_recalled(), same, "{what}");
        if !args.contains(&"rootfs:files") {
            assert!(machine.build(args, env).is_recalled(), "{what}, again");
        }
    }
    // And back: the first is still known.
    assert!(machine.agrees("as at first", &[], &[]).is_recalled());
    // A comment moves no word of the image; what is said points at the same lines.
    write(machine.sandbox.at("app.toml"), &format!("{RECIPE}# more\n"));
    machine.agrees("a comment", &[], &[]);
}

#[test]
fn outputs_that_are_gone_or_broken_are_written_again() {
    let machine = Machine::new();
    machine.settle(&[], &[]);
    let layout = machine.sandbox.at("app.oci");
    let stamp = || std::fs::metadata(layout.join("index.json")).unwrap().modified().unwrap();
    let before = stamp();
    assert!(machine.build(&[], &[]).is_recalled());
    assert_eq!(stamp(), before, "the output was left alone");
    let largest = || -> std::path::PathBuf {
        let blobs = std::fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
        blobs.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap()
    };
    let changes: [(&str, &dyn Fn()); 5] = [
        ("the layout is gone", &|| std::fs::remove_dir_all(&layout).unwrap()),
        ("a layer is gone", &|| std::fs::remove_file(largest()).unwrap()),
        ("a layer is cut", &|| {
            let path = largest();
            let bytes = std::fs::read(&path).unwrap();
            // The cache may know the blob by the same inode.
            std::fs::remove_file(&path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("the index is empty", &|| {
            std::fs::write(layout.join("index.json"), "{\"schemaVersion\":2,\"manifests\":[]}").unwrap();
        }),
        ("the manifest is another", &|| {
            let manifest = std::fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
            for path in manifest.filter(|path| std::fs::read(path).unwrap().starts_with(b"{")) {
                std::fs::write(path, "{}").unwrap();
            }
        }),
    ];
    for (what, change) in changes {
        change();
        let came = machine.build(&[], &[]);
        assert!(came.is_recalled(), "{what}: {}", came.stderr);
        let verified = machine.sandbox.run(&["verify", "app.oci"]);
        assert_eq!(verified.code, 0, "{what}: {}", verified.stderr);
    }
    // Without the layers in the cache, the image is built.
    std::fs::remove_dir_all(machine.sandbox.at("cache/v1/blobs")).unwrap();
    std::fs::create_dir(machine.sandbox.at("cache/v1/blobs")).unwrap();
    std::fs::remove_dir_all(&layout).unwrap();
    let came = machine.agrees("no layers", &[], &[]);
    assert!(!came.is_recalled());
}

#[test]
fn an_output_in_a_folder_that_is_looked_at_is_no_change_for_ever() {
    let machine = Machine::new();
    write(
        machine.sandbox.at("app.toml"),
        "binaries = [\"/usr/bin/app\"]\nfiles = [{ from = \"*.txt\", to = \"/t/\" }]\n",
    );
    write(machine.sandbox.at("a.txt"), "a");
    std::thread::sleep(SETTLED);
    assert!(!machine.build(&[], &[]).is_recalled());
    assert!(!machine.build(&[], &[]).is_recalled(), "the first output is new in the folder");
    assert!(machine.build(&[], &[]).is_recalled());
}

#[test]
fn broken_records_are_not_believed() {
    let machine = Machine::new();
    machine.settle(&[], &[]);
    for kind in ["image", "inputs"] {
        let folder = machine.sandbox.at(&format!("cache/v1/values/{kind}"));
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        for path in files {
            let bytes = std::fs::read(&path).unwrap();
            let places = [0, bytes.len() - 1];
            for place in places {
                let mut broken = bytes.clone();
                broken[place] ^= 1;
                std::fs::write(&path, &broken).unwrap();
                machine.agrees("a bit", &[], &[]);
            }
            std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            machine.agrees("half a file", &[], &[]);
        }
    }
}

/// A generator of numbers, the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Whatever is done to a tree, at once or after a while: files, links and folders that come, go, change and trade
/// places.
#[test]
fn random_changes_of_random_trees_are_seen() {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/bin/app", 62)
        .file("app.toml", "binaries = [\"app\"]\nfiles = [\"/data/\", { from = \"beside/\", to = \"/beside/\" }]\n")
        .folder("root/data")
        .folder("beside");
    let mut numbers = Numbers(0x5eed);
    let mut recalled = 0;
    for step in 0..45 {
        for _ in 0..numbers.below(3) {
            let side = ["root/data", "beside"][usize::try_from(numbers.below(2)).unwrap()];
            let path = |numbers: &mut Numbers| match numbers.below(3) {
                0 => format!("{side}/{}", numbers.below(3)),
                1 => format!("{side}/d{}", numbers.below(2)),
                _ => format!("{side}/d{}/{}", numbers.below(2), numbers.below(3)),
            };
            let (one, two) = (sandbox.at(&path(&mut numbers)), sandbox.at(&path(&mut numbers)));
            // What can't be done is not done.
            let _ = match numbers.below(7) {
                0 | 1 => std::fs::write(&one, format!("{}", numbers.below(2))),
                2 => std::fs::create_dir(&one),
                3 => std::fs::rename(&one, &two),
                4 => std::fs::remove_file(&one).or_else(|_| std::fs::remove_dir_all(&one)),
                5 => std::os::unix::fs::symlink(two.file_name().unwrap(), &one),
                _ => std::fs::set_permissions(&one, std::os::unix::fs::PermissionsExt::from_mode(0o755)),
            };
        }
        if numbers.below(2) == 0 {
            std::thread::sleep(SETTLED);
        }
        let run = |cache: &[&str], output: &str| {
            let fixed = ["build", "app.toml", "--root", "root", "-vv", "--no-fsync", "-o", output];
            let run = sandbox.run(&[&fixed, cache].concat());
            let is_recalled = run.stderr.contains("closure: 0 files looked into");
            let is_said = |line: &&str| {
                !["closure: ", "inputs: ", "packing: ", "app: ", "  written to"]
                    .iter()
                    .any(|start| line.starts_with(start))
            };
            let said: Vec<String> = run.stderr.lines().filter(is_said).map(str::to_owned).collect();
            (is_recalled, run.code, run.stdout, said)
        };
        for again in 0..2 {
            let (is_recalled, code, stdout, said) = run(&["--cache-dir", "cache"], "oci:warm");
            recalled += usize::from(is_recalled);
            let (_, cold_code, cold_stdout, cold_said) = run(&["--no-cache"], "oci:cold");
            assert_eq!((code, stdout, said), (cold_code, cold_stdout, cold_said), "step {step}, {again}");
        }
    }
    assert!(recalled > 12, "the cache answered {recalled} times only");
}

#[test]
fn members_that_share_layers_are_recalled_until_one_of_them_changes() {
    let machine = Machine::new();
    let sandbox = &machine.sandbox;
    sandbox.file("mkimage.toml", "[workspace]\nmembers = [\"m/*.toml\"]\nshared-layers = true\n");
    let big = crate::synthetic::bytes(1, 90 << 10);
    machine.root.file("/usr/share/big", &big, 0o644);
    for name in ["one", "two"] {
        sandbox.file(
            &format!("m/{name}.toml"),
            format!("name = \"{name}\"\nfiles = [\"/usr/share/big\", {{ from = \"{name}.txt\", to = \"/own\" }}]\n"),
        );
        sandbox.file(&format!("m/{name}.txt"), name);
    }
    let root = machine.root.host("/").into_os_string().into_string().unwrap();
    let run = |args: &[&str]| sandbox.run(&[&["build", "-vv", "--no-fsync", "--root", &root], args].concat());
    let recalled = |stderr: &str| stderr.matches("closure: 0 files looked into").count();
    std::thread::sleep(SETTLED);
    let first = run(&["--cache-dir", "cache"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let second = run(&["--cache-dir", "cache"]);
    assert_eq!((second.stdout.as_str(), recalled(&second.stderr)), (first.stdout.as_str(), 2), "{}", second.stderr);
    run(&["--cache-dir", "cache", "m/one.toml"]);
    let alone = run(&["--cache-dir", "cache", "m/one.toml"]);
    assert_eq!(recalled(&alone.stderr), 1, "{}", alone.stderr);
    // What one takes no longer is no longer common.
    sandbox.file("m/two.toml", "name = \"two\"\nfiles = [{ from = \"two.txt\", to = \"/own\" }]\n");
    let (warm, cold) = (run(&["--cache-dir", "cache", "m/one.toml"]), run(&["--no-cache", "m/one.toml"]));
    assert_eq!((warm.code, &warm.stdout, recalled(&warm.stderr)), (0, &cold.stdout, 0), "{}", warm.stderr);
    assert_ne!(warm.stdout, alone.stdout);
}
