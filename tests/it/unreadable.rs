//! What can't be read is not taken for absent: whoever builds, the image is the same or there is none.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use mkimage::closure::diagnose::diagnose;
use mkimage::closure::{self, Closure, Options, Wanted};
use mkimage::path::ImagePath;
use mkimage::report::{Texts, render};
use mkimage::source::{Folder, Node, Source};

use crate::sandbox::{Run, Sandbox};
use crate::support::root::Root;

/// A root in which what is at or below a path can't be looked at.
struct Locked<'a> {
    root: Folder,
    at: &'a str,
}

impl Source for Locked<'_> {
    fn node(&self, path: &ImagePath) -> io::Result<Option<Node>> {
        if path.is_within(&ImagePath::new(self.at).unwrap()) {
            return Err(io::Error::from_raw_os_error(13));
        }
        self.root.node(path)
    }

    fn list(&self, path: &ImagePath) -> io::Result<Vec<(Vec<u8>, Node)>> {
        self.root.list(path)
    }

    fn describe(&self) -> String {
        self.root.describe()
    }
}

fn close(root: &Root, at: &str, wanted: &[Wanted]) -> Closure {
    closure::close(&Locked { root: root.source(), at }, wanted, &Options::default())
}

/// Each case: lines of a tree, the place that can't be looked at, a program, what is said.
fn check(make: fn(&str) -> Root, cases: &[(&str, &str, &str, &str)]) {
    for (lines, at, program, expected) in cases {
        let closure = close(&make(lines), at, &[Wanted::program(*program)]);
        let text: String = closure.resolutions.iter().map(|it| closure::show::text(&closure, it)).collect();
        assert!(text.contains(&format!("{expected}: permission denied\n")), "{lines}\n{at}: {text}");
        assert!(!text.contains("not found"), "{lines}\n{at}: {text}");
    }
}

#[test]
fn glibc_s_search_ends_at_what_can_t_be_read() {
    let two = "/etc dir
        /bin/p program libx.so.1 runpath=/opt/a:/opt/b
        /opt/a/libx.so.1 library
        /opt/b/libx.so.1 library";
    let file = "cannot read `/opt/a/libx.so.1`";
    check(
        Root::glibc,
        &[
            (two, "/opt/a/libx.so.1", "/bin/p", file),
            (two, "/opt/a", "/bin/p", "cannot read `/opt/a`"),
            (two, "/usr/lib64/ld-linux-x86-64.so.2", "/bin/p", "cannot read `/usr/lib64/ld-linux-x86-64.so.2`"),
            (two, "/etc/ld.so.cache", "/bin/p", "cannot read `/etc/ld.so.cache`"),
            (two, "/etc/ld.so.preload", "/bin/p", "cannot read `/etc/ld.so.preload`"),
            (&two.replace("program libx.so.1", "program auxiliary=libx.so.1"), "/opt/a/libx.so.1", "/bin/p", file),
            (&two.replace("program libx.so.1", "program /opt/a/libx.so.1"), "/opt/a/libx.so.1", "/bin/p", file),
            (&two.replace("program libx.so.1", "program audit=libx.so.1"), "/opt/a/libx.so.1", "/bin/p", file),
        ],
    );
}

#[test]
fn musl_s_search_ends_at_what_can_t_be_read() {
    let two = "/etc dir
        /bin/p program libx.so.1 interp=/lib/ld-musl-x86_64.so.1 runpath=/opt/a:/opt/b
        /opt/a/libx.so.1 library
        /opt/b/libx.so.1 library";
    check(
        Root::musl,
        &[
            (two, "/opt/a/libx.so.1", "/bin/p", "cannot read `/opt/a/libx.so.1`"),
            (two, "/opt/a", "/bin/p", "cannot read `/opt/a`"),
            (two, "/etc/ld-musl-x86_64.path", "/bin/p", "cannot read `/etc/ld-musl-x86_64.path`"),
        ],
    );
}

#[test]
fn so_does_the_search_for_a_script_s_program() {
    let lines = "/usr/bin/env program
        /bin/s script #!/usr/bin/env tool\\n
        /usr/local/bin/tool program
        /usr/bin/tool program";
    let cases = [
        (lines, "/usr/local/bin/tool", "/bin/s", "cannot read `/usr/local/bin/tool`"),
        (lines, "/usr/bin/env", "/bin/s", "cannot read `/usr/bin/env`"),
    ];
    check(Root::glibc, &cases);
}

#[test]
fn it_is_said_with_who_needs_it_and_what_to_do() {
    let root = Root::glibc(
        "/opt dir
         /bin/p program liba.so.1
         /usr/lib/x86_64-linux-gnu/liba.so.1 library libx.so.1 runpath=/opt/a
         /usr/lib/x86_64-linux-gnu/libx.so.1 library",
    );
    let wanted = [Wanted::program("/bin/p")];
    let said = diagnose(&close(&root, "/opt/a", &wanted), &wanted, &Options::default());
    assert_eq!(
        render(&said, &Texts::default(), false),
        "error[E0290]: cannot read `/opt/a`: permission denied\n \
         |\n \
         = note: needed by /lib/x86_64-linux-gnu/liba.so.1\n \
         = help: make it readable or build as a user who may read it: no image depends on who builds it\n"
    );
}

#[test]
fn a_suggested_library_stops_nothing() {
    let root = Root::glibc("/opt dir");
    let note = br#"[{"soname":["libx.so.1"],"priority":"suggested"}]"#;
    let mut program = crate::support::elf::Elf::program(crate::support::root::GLIBC);
    program = program.with(crate::support::elf::RUNPATH, "/opt/a");
    program.notes.push(("FDO", 0x407c_0c0a, note.to_vec()));
    root.file("/bin/p", &program.write(), 0o755);
    assert!(close(&root, "/opt/a", &[Wanted::program("/bin/p")]).resolutions[0].is_whole());
}

/// Runs `mkimage check` as a user for whom a folder without any permission is closed.
fn check_as_nobody(sandbox: &Sandbox, closed: &str) -> Run {
    const NOBODY: u32 = 65534;
    let mode = |path: &str, mode| fs::set_permissions(sandbox.at(path), fs::Permissions::from_mode(mode)).unwrap();
    mode("", 0o755);
    mode(closed, 0);
    let run = sandbox.run_with(&["check", "r.toml", "--root", "root"], |command| {
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
    });
    mode(closed, 0o755);
    run
}

#[test]
fn a_program_is_not_taken_from_behind_a_folder_that_can_t_be_read() {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/local/bin/app", 62)
        .static_program("root/usr/bin/app", 62)
        .static_program("root/usr/bin/tini", 62)
        .static_program("root/sbin/tini-static", 62)
        .file("r.toml", "binaries = [\"app\"]\n");
    let run = check_as_nobody(&sandbox, "root/usr/local/bin");
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("cannot read `/usr/local/bin/app`: permission denied"), "{}", run.stderr);
    assert!(run.stderr.contains("= help: make it readable or build as a user who may"), "{}", run.stderr);
    sandbox.file("r.toml", "binaries = [\"/usr/bin/app\"]\ninit = true\n");
    let run = check_as_nobody(&sandbox, "root/sbin");
    assert!(run.stderr.contains("cannot read `/sbin/tini-static`: permission denied"), "{}", run.stderr);
}

#[test]
fn a_file_that_can_t_be_opened_ends_the_search() {
    let sandbox = Sandbox::new();
    let loader = "lib/ld-musl-x86_64.so.1";
    let program = crate::support::elf::Elf::program("/lib/ld-musl-x86_64.so.1");
    let program = program.with(crate::support::elf::NEEDED, "libx.so.1");
    let program = program.with(crate::support::elf::RUNPATH, "/opt/a:/opt/b");
    let library = crate::support::elf::Elf::library().write();
    sandbox
        .file(&format!("root/{loader}"), &library)
        .mode(&format!("root/{loader}"), 0o755)
        .file("root/usr/bin/app", program.write())
        .mode("root/usr/bin/app", 0o755)
        .file("root/opt/a/libx.so.1", &library)
        .file("root/opt/b/libx.so.1", &library)
        .file("r.toml", "binaries = [\"app\"]\n");
    let run = check_as_nobody(&sandbox, "root/opt/a/libx.so.1");
    assert!(run.stderr.contains("cannot read `/opt/a/libx.so.1`: permission denied"), "{}", run.stderr);
}
