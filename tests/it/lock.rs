//! Lock files: what stands in them, what `--locked` and `--frozen` say when the root is another, and that only
//! `mkimage lock` writes them.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use md5::Digest as _;
use mkimage::cache::{Cache, Stamp};
use mkimage::oci::Digest;
use snapbox::{assert_data_eq, str};

use crate::registry_server::Server;
use crate::sandbox::{Run, Sandbox};
use crate::support::elf::{Elf, NEEDED, SONAME};
use crate::support::root::{GLIBC, Root};

/// A root with packages, and recipes in a sandbox.
struct Machine {
    root: Root,
    sandbox: Sandbox,
}

/// Packages: name, version, files.
type Packages<'a> = [(&'a str, &'a str, &'a [&'a str])];

const LIBC: (&str, &str, &[&str]) =
    ("libc6", "2.36-9", &["/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/libc.so.6"]);
const SSL: (&str, &str, &[&str]) = ("libssl3", "3.0.21-1", &["/usr/lib/x86_64-linux-gnu/libssl.so.3"]);
const SSL_NEW: (&str, &str, &[&str]) = ("libssl3", "3.0.22-1", &["/usr/lib/x86_64-linux-gnu/libssl.so.3"]);
const CAP: (&str, &str, &[&str]) = ("libcap2", "1:2.66-4", &["/usr/lib/x86_64-linux-gnu/libcap.so.2"]);
const TOOL: (&str, &str, &[&str]) =
    ("tool", "1.0-1", &["/usr/bin/tool", "/usr/share/tool/a.txt", "/usr/share/tool/b.txt"]);

impl Machine {
    /// A tool that needs libssl, and its data; a libcap that nobody needs yet.
    fn new() -> Self {
        let root = Root::glibc(
            "/usr/bin/tool program libssl.so.3 libc.so.6
             /usr/lib/x86_64-linux-gnu/libssl.so.3 library libc.so.6
             /usr/lib/x86_64-linux-gnu/libcap.so.2 library libc.so.6
             /usr/share/tool/a.txt file one
             /usr/share/tool/b.txt file two",
        );
        let machine = Self { root, sandbox: Sandbox::new() };
        machine.install(&[LIBC, SSL, CAP, TOOL]);
        machine.sandbox.file("tool.toml", "binaries = [\"tool\"]\nfiles = [\"/usr/share/tool/\"]\n");
        machine
    }

    /// Writes the database of packages anew, with the sums of the files as they are.
    fn install(&self, packages: &Packages<'_>) {
        let mut status = String::new();
        for (name, version, files) in packages {
            let _ = write!(
                status,
                "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
            );
            let sum = |file: &&str| {
                let digest = md5::Md5::digest(std::fs::read(self.root.host(file)).unwrap());
                let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
                format!("{hex}  {}\n", &file[1..])
            };
            let sums: String = files.iter().map(sum).collect();
            self.root.file(&format!("/var/lib/dpkg/info/{name}.md5sums"), sums.as_bytes(), 0o644);
            self.root.file(
                &format!("/var/lib/dpkg/info/{name}.list"),
                format!("/.\n{}\n", files.join("\n")).as_bytes(),
                0o644,
            );
        }
        self.root.file("/var/lib/dpkg/status", status.as_bytes(), 0o644);
    }

    /// A library of the root with another content.
    fn rebuild(&self, library: &str) {
        let path = format!("/usr/lib/x86_64-linux-gnu/{library}");
        let mut bytes = Elf::library().with(NEEDED, "libc.so.6").with(SONAME, library).write();
        bytes.extend(b"security update");
        self.root.file(&path, &bytes, 0o644);
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let root = self.root.host("/");
        self.sandbox.run(&[arguments, &["--root", root.to_str().unwrap()]].concat())
    }

    /// Runs a command that must succeed, and gives what it says on standard error.
    fn says(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.stderr);
        run.stderr
    }

    /// Runs a command that must find a difference, and gives what it says of it.
    fn differs(&self, arguments: &[&str]) -> String {
        let before = self.sandbox.names(".");
        let run = self.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (4, ""), "{arguments:?}: {}", run.stderr);
        assert_eq!(self.sandbox.names("."), before, "something was left behind");
        run.stderr
    }

    fn lock_file(&self) -> String {
        std::fs::read_to_string(self.sandbox.at("mkimage.lock")).unwrap()
    }
}

const LOCKED: [&str; 4] = ["build", "tool.toml", "--locked", "--no-fsync"];

#[test]
fn a_line_for_each_fact() {
    let machine = Machine::new();
    machine.says(&["lock", "tool.toml"]);
    assert_data_eq!(
        machine.lock_file(),
        str![[r##"
# What images take from their roots: `mkimage lock` writes this, and `mkimage build --locked` fails when
# it is no longer so.
version = 1

[images."tool.toml"."linux/amd64".packages]
libc6 = "2.36-9"
libssl3 = "3.0.21-1"
tool = "1.0-1"

[images."tool.toml"."linux/amd64".paths]
"/lib" = { link = "usr/lib", reason = "runs /usr/bin/tool" }
"/lib64" = { link = "usr/lib64", reason = "runs /usr/bin/tool" }
"/usr/bin/tool" = { package = "tool", mode = "0755", owner = "0:0", reason = "binaries", size = 456, sha256 = "4385cd1edc0a877a7026877ba5a9e6ef4f30552fea8b4dfe73c1ff57c39438bd" }
"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" = { package = "libc6", mode = "0755", owner = "0:0", reason = "runs /usr/bin/tool", size = 528, sha256 = "2003548451e526e7dc49aa1f220274a13452f973f7049072332dcb2a868fa4f2" }
"/usr/lib/x86_64-linux-gnu/libc.so.6" = { package = "libc6", mode = "0644", owner = "0:0", reason = "needed by /usr/bin/tool", size = 456, sha256 = "ce90c741fbea28d4e37463ab576f9bd9634c3729764ff91c8aa818c1aaa8b75b" }
"/usr/lib/x86_64-linux-gnu/libssl.so.3" = { package = "libssl3", mode = "0644", owner = "0:0", reason = "needed by /usr/bin/tool", size = 352, sha256 = "6712a19b65462ffa9157ba00f29b17b6ffd036973c9a57c6a536dce0511b7a79" }
"/usr/lib64/ld-linux-x86-64.so.2" = { link = "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", reason = "runs /usr/bin/tool" }
"/usr/share/tool/a.txt" = { package = "tool", mode = "0644", owner = "0:0", reason = "in /usr/share/tool/", size = 3, sha256 = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed" }
"/usr/share/tool/b.txt" = { package = "tool", mode = "0644", owner = "0:0", reason = "in /usr/share/tool/", size = 3, sha256 = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3" }

"##]]
    );
}

#[test]
fn a_changed_library_is_one_line() {
    let machine = Machine::new();
    machine.says(&["lock", "tool.toml"]);
    machine.says(&LOCKED);
    machine.rebuild("libssl.so.3");
    machine.install(&[LIBC, SSL_NEW, CAP, TOOL]);
    std::fs::remove_dir_all(machine.sandbox.at("tool.oci")).unwrap();
    assert_data_eq!(
        machine.differs(&LOCKED),
        str![[r#"
error[E0401]: the image no longer matches `mkimage.lock`, and --locked was given
 --> tool.toml:1:13
  |
1 | binaries = ["tool"]
  |             ^^^^^^ brings what changed
  |
  = note: ~ /usr/lib/x86_64-linux-gnu/libssl.so.3   libssl3 3.0.21-1 -> 3.0.22-1
  = help: `mkimage lock tool.toml` accepts this

"#]]
    );
    let said = machine.says(&["build", "tool.toml", "--no-fsync"]);
    assert_data_eq!(
        said.lines().find(|line| line.starts_with("note: ")).unwrap(),
        str![
            "note: tool no longer matches `mkimage.lock`: 1 changed (-v lists it, `mkimage lock tool.toml` accepts it)"
        ]
    );
    assert_data_eq!(
        machine.says(&["lock", "tool.toml"]),
        str![[r#"
mkimage.lock written
  tool.toml (linux/amd64): 1 changed
    ~ /usr/lib/x86_64-linux-gnu/libssl.so.3   libssl3 3.0.21-1 -> 3.0.22-1

"#]]
    );
    machine.says(&LOCKED);
}

/// A digest that is planted in the cache shows that the file itself is not read.
#[test]
fn files_of_which_the_cache_knows_the_digest_are_not_read_for_the_lock() {
    let machine = Machine::new();
    machine.says(&["lock", "tool.toml"]);
    let stamp = Stamp::of(&std::fs::metadata(machine.root.host("/usr/share/tool/a.txt")).unwrap());
    let cache = Cache::open(&machine.sandbox.at("cache"), (1 << 40, 0)).unwrap();
    cache.keep_file_digest(&stamp, Digest::of(b"another"));
    drop(cache);
    machine.says(&LOCKED);
    let with_cache = [&LOCKED[..], &["--cache-dir", "cache"]].concat();
    let run = machine.run(&with_cache);
    assert!(run.code == 4 && run.stderr.contains("~ /usr/share/tool/a.txt"), "{} {}", run.code, run.stderr);
}

#[test]
fn what_is_new_gone_or_otherwise_is_said_with_who_needs_it() {
    let machine = Machine::new();
    machine.says(&["lock", "tool.toml"]);
    let tool = Elf::program(GLIBC).with(NEEDED, "libcap.so.2").with(NEEDED, "libc.so.6").write();
    machine.root.file("/usr/bin/tool", &tool, 0o755);
    machine.root.file("/usr/share/tool/a.txt", b"one", 0o755);
    machine.root.file("/usr/share/tool/b.txt", b"three", 0o644);
    std::fs::remove_file(machine.root.host("/usr/lib64/ld-linux-x86-64.so.2")).unwrap();
    let target = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
    std::os::unix::fs::symlink(target, machine.root.host("/usr/lib64/ld-linux-x86-64.so.2")).unwrap();
    machine.root.file("/usr/share/tool/c.txt", b"c", 0o644);
    machine.install(&[LIBC, SSL, CAP, TOOL]);
    assert_data_eq!(
        machine.differs(&LOCKED),
        str![[r#"
error[E0401]: the image no longer matches `mkimage.lock`, and --locked was given
 --> tool.toml:1:13
  |
1 | binaries = ["tool"]
  |             ^^^^^^ brings what changed
2 | files = ["/usr/share/tool/"]
  |          ^^^^^^^^^^^^^^^^^^ brings what changed
  |
  = note: ~ /usr/bin/tool                           other bytes, though tool is 1.0-1 as before
          + /usr/lib/x86_64-linux-gnu/libcap.so.2   new, needed by /usr/bin/tool (libcap2 1:2.66-4)
          - /usr/lib/x86_64-linux-gnu/libssl.so.3   gone, was needed by /usr/bin/tool (libssl3 3.0.21-1)
          ~ /usr/lib64/ld-linux-x86-64.so.2         links to /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2, before to /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
          ~ /usr/share/tool/a.txt                   mode 0644 -> 0755
          ~ /usr/share/tool/b.txt                   other bytes, though tool is 1.0-1 as before
          + /usr/share/tool/c.txt                   new, in /usr/share/tool/
  = help: `mkimage lock tool.toml` accepts this

"#]]
    );
}

#[test]
fn another_version_with_the_same_files_is_told_of_the_package() {
    let machine = Machine::new();
    machine.says(&["lock", "tool.toml"]);
    machine.install(&[LIBC, SSL_NEW, CAP, TOOL]);
    let said = machine.differs(&LOCKED);
    assert!(said.contains("= note: ~ libssl3 3.0.21-1 -> 3.0.22-1, with the same files\n"), "{said}");
}

#[test]
fn many_files_of_a_package_share_a_line() {
    let machine = Machine::new();
    let paths: Vec<String> = (10..40).map(|number| format!("/usr/share/tool/{number}.txt")).collect();
    let package = |version: &'static str, text: &str| {
        for path in &paths {
            machine.root.file(path, text.as_bytes(), 0o644);
        }
        let files: Vec<&str> = paths.iter().map(String::as_str).collect();
        machine.install(&[LIBC, SSL, CAP, TOOL, ("tool-data", version, &files)]);
    };
    package("1", "old");
    machine.says(&["lock", "tool.toml"]);
    package("2", "new");
    let said = machine.differs(&LOCKED);
    assert!(said.contains("= note: ~ /usr/share/tool/10.txt and 29 more   tool-data 1 -> 2\n"), "{said}");
}

#[test]
fn files_beside_the_recipe_change_with_every_commit() {
    let machine = Machine::new();
    let app = |needed: &[&str], more: &[u8]| {
        let elf = needed.iter().fold(Elf::program(GLIBC), |elf, name| elf.with(NEEDED, name));
        machine.sandbox.file("app", [elf.write(), more.to_vec()].concat()).mode("app", 0o755);
    };
    app(&["libc.so.6"], b"first");
    machine.sandbox.file("data/x", "1").file(
        "app.toml",
        "binaries = [\"./app\"]\nfiles = [{ from = \"data/\", to = \"/data/\" }, { content = \"a\", to = \"/etc/a\" }]\n\
         [symlinks]\n\"/bin/a\" = \"/usr/bin/app\"\n",
    );
    machine.says(&["lock", "app.toml"]);
    let lock = machine.lock_file();
    for beside in ["\"/usr/bin/app", "/data", "/etc/a", "\"/usr/bin/a"] {
        assert!(!lock.contains(beside), "{lock}");
    }
    let locked = ["build", "app.toml", "--locked", "--no-fsync"];
    app(&["libc.so.6"], b"second");
    machine.sandbox.file("data/x", "2").file("data/y", "3");
    machine.says(&locked);
    app(&["libcap.so.2", "libc.so.6"], b"third");
    let said = machine.differs(&locked);
    let line =
        "= note: + /usr/lib/x86_64-linux-gnu/libcap.so.2   new, needed by /usr/bin/app (libcap2 1:2.66-4)\n  = help";
    assert!(said.contains(line), "{said}");
}

#[test]
fn frozen_takes_of_folders_only_what_is_named() {
    let machine = Machine::new();
    machine.says(&["lock", "tool.toml"]);
    let digest = machine.run(&LOCKED).stdout;
    machine.root.file("/usr/share/tool/new.txt", b"new", 0o644);
    machine.root.file("/usr/share/tool/below/new.txt", b"new", 0o644);
    std::fs::remove_dir_all(machine.sandbox.at("tool.oci")).unwrap();
    let said = machine.differs(&LOCKED);
    assert!(said.contains("+ /usr/share/tool/new.txt"), "{said}");
    let frozen = machine.run(&["build", "tool.toml", "--frozen", "--no-fsync"]);
    assert_eq!((frozen.code, frozen.stdout), (0, digest), "{}", frozen.stderr);
    machine.rebuild("libssl.so.3");
    let said = machine.differs(&["build", "tool.toml", "--frozen", "--no-fsync"]);
    assert!(said.contains("and --frozen was given\n") && said.contains("~ /usr/lib/x86_64-linux-gnu/libssl.so.3"));
}

#[test]
fn without_a_lock_file_nothing_is_locked() {
    let machine = Machine::new();
    assert_data_eq!(
        machine.differs(&LOCKED),
        str![[r#"
error[E0402]: `tool.toml` has to match its lock file, and there is no `mkimage.lock`
 |
 = help: `mkimage lock tool.toml` writes it

"#]]
    );
    machine.says(&["build", "tool.toml", "--no-fsync"]);
    machine.sandbox.file("other.toml", "binaries = [\"tool\"]\n");
    machine.says(&["lock", "other.toml"]);
    let said = machine.differs(&LOCKED);
    assert!(said.contains("and `mkimage.lock` does not know it for linux/amd64"), "{said}");
    for (text, says) in [
        ("version = 2\n", "is of version 2, and this mkimage knows version 1"),
        ("version = ", "is no TOML: "),
        ("version = 1\nimages = 3\n", "is no lock file: `images` is no table"),
        ("version = 1\n<<<<<<< HEAD\n", "holds marks of a merge that was not finished"),
        (
            "version = 1\n[images.a.b.paths]\n\"/x\" = { mode = \"9\" }\n",
            "is no lock file: `/x` is not what it should be",
        ),
        ("version = 1\n[images.a.b.paths]\n\"x\" = { link = \"y\" }\n", "is no lock file: `x` is no path"),
    ] {
        machine.sandbox.file("mkimage.lock", text);
        for command in [&LOCKED[..], &["build", "tool.toml", "--no-fsync"], &["lock", "tool.toml"]] {
            let run = machine.run(command);
            assert_eq!(run.code, 4, "{text}: {}", run.stderr);
            let title = format!("error[E0403]: `mkimage.lock` {says}");
            assert!(run.stderr.starts_with(&title), "{title}\n{}", run.stderr);
        }
        assert_eq!(machine.lock_file(), text, "it stays as it was");
    }
}

#[test]
fn one_file_for_several_recipes_keeps_what_it_says_of_others() {
    let machine = Machine::new();
    machine.sandbox.file("other.toml", "binaries = [\"tool\"]\n");
    machine.says(&["lock", "tool.toml", "other.toml"]);
    let both = machine.lock_file();
    machine.rebuild("libssl.so.3");
    machine.says(&["lock", "tool.toml"]);
    let one = machine.lock_file();
    let of_other = |lock: &str| lock[..lock.find("[images.\"tool.toml\"").unwrap()].to_owned();
    assert_eq!(of_other(&both), of_other(&one));
    assert_ne!(both, one);
    assert!(machine.says(&["lock", "tool.toml"]).starts_with("mkimage.lock is as it was\n"));
    std::fs::remove_file(machine.sandbox.at("other.toml")).unwrap();
    let said = machine.says(&["lock", "tool.toml"]);
    assert!(said.ends_with("  other.toml: taken out, the recipe is not there\n"), "{said}");
    assert!(!machine.lock_file().contains("other.toml"));
}

/// Twenty recipes of a workspace that has one lock file.
fn workspace() -> Machine {
    let machine = Machine::new();
    machine.sandbox.file("mkimage.toml", "[workspace]\nmembers = [\"recipes/*.toml\"]\nlock = \"ci/mkimage.lock\"\n");
    machine.sandbox.folder("ci");
    for number in 10..30 {
        let path = format!("/usr/share/tool/{number}.txt");
        machine.root.file(&path, number.to_string().as_bytes(), 0o644);
        let library = if number % 2 == 0 { "libraries = [\"libssl.so.3\"]\n" } else { "" };
        let recipe = format!(
            "name = \"registry.example/r{number}\"\nbinaries = [\"./app{number}\"]\nfiles = [\"{path}\"]\n{library}"
        );
        machine.sandbox.file(&format!("recipes/r{number}.toml"), recipe);
        let app = Elf::program(GLIBC).with(NEEDED, "libc.so.6").write();
        machine.sandbox.file(&format!("recipes/app{number}"), app).mode(&format!("recipes/app{number}"), 0o755);
    }
    machine.says(&["lock"]);
    machine
}

#[test]
fn a_workspace_of_twenty_recipes_has_one_lock_file() {
    let machine = workspace();
    let lock = std::fs::read_to_string(machine.sandbox.at("ci/mkimage.lock")).unwrap();
    assert_eq!(lock.matches(".paths]\n").count(), 20);
    assert!(lock.contains("[images.\"../recipes/r10.toml\".\"linux/amd64\".paths]\n"), "{lock}");
    let locked = ["build", "--locked", "--no-fsync"];
    machine.says(&locked);

    let files: Vec<String> = (10..30).map(|number| format!("/usr/share/tool/{number}.txt")).collect();
    machine.root.file(&files[3], b"13", 0o755);
    let said = machine.differs(&["build", "recipes/r13.toml", "--locked", "--no-fsync", "-o", "oci:all"]);
    assert!(said.contains("= note: ~ /usr/share/tool/13.txt   mode 0644 -> 0755\n"), "{said}");
    assert!(said.contains("matches `ci/mkimage.lock`") && said.contains("--> recipes/r13.toml:3:10\n"), "{said}");
    machine.root.file(&files[3], b"13", 0o644);

    machine.rebuild("libssl.so.3");
    machine.install(&[LIBC, SSL_NEW, CAP, TOOL]);
    // Those that take the library differ, the others are built.
    let run = machine.run(&locked);
    assert_eq!(run.code, 4, "{}", run.stderr);
    let built: Vec<&str> = run.stdout.lines().filter_map(|line| line.split('@').next()).collect();
    let odd: Vec<String> =
        (10..30).filter(|number| number % 2 == 1).map(|it| format!("registry.example/r{it}")).collect();
    assert_eq!(built, odd);
    let line = "= note: ~ /usr/lib/x86_64-linux-gnu/libssl.so.3   libssl3 3.0.21-1 -> 3.0.22-1\n";
    assert_eq!(run.stderr.matches(line).count(), 10, "{}", run.stderr);
    machine.says(&["build", "recipes/r13.toml", "--locked", "--no-fsync", "-o", "oci:all"]);
    machine.says(&["lock", "recipes/r10.toml"]);
    machine.says(&["build", "recipes/r10.toml", "--locked", "--no-fsync", "-o", "oci:all"]);

    let app = Elf::program(GLIBC).with(NEEDED, "libcap.so.2").write();
    machine.sandbox.file("recipes/app13", app).mode("recipes/app13", 0o755);
    let said = machine.differs(&["build", "recipes/r13.toml", "--locked", "--no-fsync", "-o", "oci:all"]);
    assert!(
        said.contains("+ /usr/lib/x86_64-linux-gnu/libcap.so.2   new, needed by /usr/bin/app13 (libcap2"),
        "{said}"
    );
}

#[test]
fn which_images_hold_a_package() {
    let machine = workspace();
    machine.rebuild("libssl.so.3");
    machine.install(&[LIBC, SSL_NEW, CAP, TOOL]);
    machine.says(&["lock", "recipes/r10.toml"]);
    let listed = machine.run(&["lock", "--list", "--package", "libssl3"]).stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 10, "{listed}");
    assert_eq!(lines[0], "libssl3  3.0.22-1  recipes/r10.toml  linux/amd64");
    assert_eq!(lines[1], "libssl3  3.0.21-1  recipes/r12.toml  linux/amd64");
    let json = machine.run(&["lock", "--list", "--package", "libssl3", "--format", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["packages"][0]["paths"][0], "/usr/lib/x86_64-linux-gnu/libssl.so.3");
    let none = machine.run(&["lock", "--list", "--package", "openssl"]);
    assert_eq!((none.code, none.stdout.as_str(), none.stderr.as_str()), (0, "", "no image holds files of openssl\n"));
}

#[test]
fn images_that_were_built_tell_their_packages_too() {
    let machine = Machine::new();
    let built = machine.run(&["build", "tool.toml", "-o", "tool.oci", "-o", "tool.tar", "--no-fsync"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let server = Server::new();
    let name = server.name("acme/tool:1");
    assert_eq!(machine.sandbox.run(&["push", "tool.oci", &name]).code, 0);
    let row = |image: &str| {
        let listed = machine.sandbox.run(&["lock", "--list", image, "--package", "libssl3"]);
        assert_eq!(listed.code, 0, "{image}: {}", listed.stderr);
        listed.stdout.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for image in ["tool.oci", "tool.tar", "oci:tool.oci:latest", &name] {
        let row = row(image);
        assert_eq!((row.len(), row[0].as_str(), row[1].as_str()), (4, "libssl3", "3.0.21-1"), "{image}: {row:?}");
        assert_eq!(row[3], "linux/amd64");
    }
    let all = machine.sandbox.run(&["lock", "--list", "tool.oci", "tool.tar", "--format", "json"]);
    let all: serde_json::Value = serde_json::from_str(&all.stdout).unwrap();
    let of_ssl: Vec<_> = all["packages"].as_array().unwrap().iter().filter(|row| row["package"] == "libssl3").collect();
    assert_eq!(of_ssl.len(), 2, "{all}");
    assert_eq!(of_ssl[0]["paths"][0], "/usr/lib/x86_64-linux-gnu/libssl.so.3");
}

#[test]
fn without_a_network_whatever_needs_one_is_an_error() {
    let machine = Machine::new();
    machine.sandbox.file("extends.toml", "extends = ['docker://127.0.0.1:1/acme/base:1']\nbinaries = ['tool']\n");
    machine.says(&["lock", "tool.toml", "--offline"]);
    machine.says(&["build", "tool.toml", "--locked", "--offline", "--no-fsync", "-o", "tool.oci"]);
    assert_eq!(machine.sandbox.run(&["verify", "tool.oci", "--offline"]).code, 0);
    for arguments in [
        &["build", "tool.toml", "--no-fsync", "-o", "docker://127.0.0.1:1/acme/tool:1"][..],
        &["build", "extends.toml", "--no-fsync"],
        &["lock", "extends.toml"],
        &["lock", "--list", "docker://127.0.0.1:1/acme/tool:1"],
        &["verify", "docker://127.0.0.1:1/acme/tool:1"],
    ] {
        let arguments = [arguments, &["--offline"]].concat();
        let builds = ["tool.toml", "extends.toml"].contains(&arguments[1]);
        let run = if builds { machine.run(&arguments) } else { machine.sandbox.run(&arguments) };
        let said = "has to be asked, and --offline was given";
        assert!(run.code == 1 && run.stderr.contains(said), "{arguments:?}: {} {}", run.code, run.stderr);
    }
    let caches = machine.run(&["build", "tool.toml", "--offline", "--cache-from", "127.0.0.1:1/acme/cache"]);
    assert_eq!(caches.code, 2, "{}", caches.stderr);
}

/// Somebody who answers to whatever comes, and counts: a registry, or a proxy that leads to one.
struct Counted {
    address: std::net::SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Counted {
    fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let counted = Self { address: listener.local_addr().unwrap(), connections: Arc::default() };
        let connections = Arc::clone(&counted.connections);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    // Not there, in HTTP: an answer that is not asked for again. What is still sent is read, since a
                    // connection that breaks is tried again.
                    let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(answer);
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                });
            }
        });
        counted
    }
}

#[test]
fn without_a_network_no_connection_is_opened() {
    let machine = Machine::new();
    let (registry, proxy) = (Counted::new(), Counted::new());
    let near = format!("docker://{}/acme/tool:1", registry.address);
    let far = "docker://registry.example/acme/tool:1";
    machine.sandbox.file("near.toml", format!("extends = ['{near}']\nbinaries = ['tool']\n"));
    machine.sandbox.file("far.toml", format!("extends = ['{far}']\nbinaries = ['tool']\n"));
    machine.says(&["build", "tool.toml", "--no-fsync", "-o", "tool.oci"]);
    let root = machine.root.host("/").to_str().unwrap().to_owned();
    let run = |arguments: &[&str], more: &[&str]| {
        machine.sandbox.run_with(&[arguments, more].concat(), |command| {
            for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
                command.env(name, format!("http://{}", proxy.address));
            }
        })
    };
    let asked = || [&registry, &proxy].map(|counted| counted.connections.swap(0, Ordering::SeqCst));
    for (name, recipe) in [(near.as_str(), "near.toml"), (far, "far.toml")] {
        for arguments in [
            &["build", "tool.toml", "--root", &root, "--no-fsync", "-o", name][..],
            &["build", recipe, "--root", &root, "--no-fsync"],
            &["check", recipe, "--root", &root],
            &["lock", recipe, "--root", &root],
            &["tree", recipe, "--root", &root],
            &["push", "tool.oci", name],
            &["pull", name, "pulled.oci"],
            &["inspect", name],
            &["verify", name],
            &["sbom", name],
            &["provenance", name],
            &["diff", "tool.oci", name],
        ] {
            let offline = run(arguments, &["--offline"]);
            assert!(offline.code == 1 && offline.stderr.contains("E0611"), "{arguments:?}: {}", offline.stderr);
            assert_eq!(asked(), [0, 0], "{arguments:?} opens a connection in spite of --offline");
            // Without the word it does ask: a registry of this machine itself, another one by the proxy.
            let online = run(arguments, &[]);
            assert_eq!(online.code, 1, "{arguments:?}: {}", online.stderr);
            let [by_itself, by_proxy] = asked();
            assert!(if name == near { by_itself } else { by_proxy } > 0, "{arguments:?}: {}", online.stderr);
        }
    }
}

#[test]
fn two_runs_do_not_lose_what_the_other_wrote() {
    let machine = workspace();
    std::fs::remove_file(machine.sandbox.at("ci/mkimage.lock")).unwrap();
    std::thread::scope(|scope| {
        for number in 10..18 {
            let machine = &machine;
            scope.spawn(move || machine.says(&["lock", &format!("recipes/r{number}.toml")]));
        }
    });
    let lock = std::fs::read_to_string(machine.sandbox.at("ci/mkimage.lock")).unwrap();
    assert_eq!(lock.matches(".paths]\n").count(), 8);
    assert_eq!(machine.sandbox.names("ci"), ["mkimage.lock"]);
}
