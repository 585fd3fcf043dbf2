//! What a run used and an image lacks: logs of strace in every form, and programs of this machine where they are.

use std::path::Path;

use mkimage::trace::strace::{Log, join, parse};
use mkimage::trace::{
    Architecture, At, Call, Handle, Manner, OpenMode, Outcome, Session, Stop, Syscall, name, number, read_stop,
};
use snapbox::{assert_data_eq, str};

use super::sandbox::Sandbox;

/// What the processes of a log used, one path a line.
fn used(log: &Log) -> String {
    let mut session = Session::new(Some(b"/here".to_vec()));
    log.calls.iter().for_each(|call| session.take(call));
    let observed = session.finish();
    let mut lines = String::new();
    for (path, users) in &observed.paths {
        let manners: Vec<String> = users.values().flatten().map(|manner| format!("{manner:?}")).collect();
        let made = if observed.made.contains(path) { " made" } else { "" };
        lines += &format!("{} {}{made}\n", String::from_utf8_lossy(path), manners.join(","));
    }
    lines
}

fn of(text: &str) -> String {
    used(&parse(text.as_bytes(), 1))
}

#[test]
fn every_form_of_a_line_says_the_same() {
    let forms = [
        "openat(AT_FDCWD, \"/etc/x\", O_RDONLY|O_CLOEXEC) = 3",
        "7 openat(AT_FDCWD, \"/etc/x\", O_RDONLY) = 3",
        "[pid     7] openat(AT_FDCWD</home/me>, \"/etc/x\", O_RDONLY) = 3</etc/x>",
        "7<cat> 12:00:01.000001 openat(AT_FDCWD, \"/etc/x\", O_RDONLY) = 3 <0.000012>",
        "12:00:01 openat(AT_FDCWD, \"/etc/x\", O_RDONLY) = 3",
        "     0.000123 openat(AT_FDCWD, \"/etc/x\", O_RDONLY) = 3",
        "1700000000.123456 open(\"/etc/x\", O_RDONLY) = 3",
        "7 1700000000.123456 openat(-100, \"\\x2f\\x65\\x74\\x63\\x2f\\x78\", 0) = 3",
        "7 openat2(AT_FDCWD, \"/etc/x\", {flags=O_RDONLY, resolve=0}, 24) = 3",
        "7 openat(AT_FDCWD, \"/\\145tc/x\" <unfinished ...>\n8 close(9) = 0\n7 <... openat resumed>, O_RDONLY) = 3",
    ];
    for form in forms {
        assert_eq!(of(form), "/etc/x Opened\n", "{form}");
    }
    let others = "strace: Process 9 attached\n--- SIGCHLD {si_signo=SIGCHLD} ---\n+++ exited with 0 +++\n\
        9 exit_group(0) = ?\nopenat(AT_FDCWD, \"/cut\"..., O_RDONLY) = 3\n";
    assert_eq!(of(others), "");
    assert_eq!(parse(b"nonsense\n(\n = 3\n", 1).unknown, 3);
}

#[test]
fn relative_paths_follow_folders_and_descriptors() {
    let log = r#"
1 execve("/bin/app", ["app", "a, \"b)"], 0x7ffd /* 2 vars */) = 0
1 openat(AT_FDCWD, "one", O_RDONLY) = 3
1 chdir("/srv//data/.") = 0
1 openat(AT_FDCWD, "two", O_RDONLY|O_DIRECTORY) = 4
1 openat(4, "three", O_RDONLY) = 5
1 dup2(4, 9) = 9
1 close(4) = 0
1 newfstatat(9, "../four", {st_mode=S_IFREG|0644, st_size=1}, 0) = 0
1 getdents64(9, 0x55 /* 3 entries */, 32768) = 80
1 fcntl(9, F_DUPFD_CLOEXEC, 10) = 10
1 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 2
2 chdir("sub") = 0
2 openat(AT_FDCWD, "five", O_RDONLY) = 4
1 openat(AT_FDCWD, "six", O_RDONLY) = 4
1 clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES, exit_signal=0} => {parent_tid=[3]}, 88) = 3
3 fchdir(10) = 0
1 openat(AT_FDCWD, "seven", O_RDONLY) = 11
3 mmap(NULL, 8192, PROT_READ|PROT_EXEC, MAP_PRIVATE, 11, 0) = 0x7f0000000000
3 openat(12, "lost", O_RDONLY) = 13
"#;
    assert_data_eq!(
        of(log),
        str![[r#"
/bin/app Executed
/here/one Opened
/srv/data Entered
/srv/data/six Opened
/srv/data/sub Entered
/srv/data/sub/five Opened
/srv/data/two Opened,Listed,Entered
/srv/data/two/../four Looked
/srv/data/two/seven Mapped,Opened
/srv/data/two/three Opened

"#]]
    );
}

#[test]
fn what_a_run_makes_is_told_from_what_it_finds() {
    let log = r#"
openat(AT_FDCWD, "/var/lib/x/new", O_WRONLY|O_CREAT, 0644) = 3
openat(AT_FDCWD, "/var/lib/x/new", O_RDONLY) = 4
openat(AT_FDCWD, "/var/lib/x/old", O_RDONLY) = 5
openat(AT_FDCWD, "/var/lib/x/old", O_RDWR|O_CREAT, 0644) = 6
mkdir("/var/lib/x/d", 0777) = 0
rename("/var/lib/x/tmp", "/var/lib/x/renamed") = 0
openat(AT_FDCWD, "/none", O_RDONLY) = -1 ENOENT (No such file or directory)
access("/denied", R_OK) = -1 EACCES (Permission denied)
connect(7, {sa_family=AF_UNIX, sun_path="/run/x.sock"}, 110) = 0
connect(7, {sa_family=AF_INET, sin_port=htons(80)}, 16) = 0
readlink("/proc/self/exe", "/bin/app", 4096) = 8
"#;
    assert_data_eq!(
        of(log),
        str![[r#"
/denied Looked
/none InVain
/proc/self/exe LinkRead
/run/x.sock Connected
/var/lib/x/d Written made
/var/lib/x/new Opened,Written made
/var/lib/x/old Opened,Written
/var/lib/x/renamed Written made

"#]]
    );
}

#[test]
fn logs_of_each_process_are_joined_where_they_fork() {
    let parent = parse(b"chdir(\"/a\") = 0\nvfork() = 2\nchdir(\"/b\") = 0\nopen(\"p\", O_RDONLY) = 3\n", 1);
    let child = parse(b"open(\"c\", O_RDONLY) = 3\n", 2);
    let joined = join([(2, child), (1, parent)].into());
    assert_eq!(used(&joined), "/a Entered\n/a/c Opened\n/b Entered\n/b/p Opened\n");
}

#[test]
fn nothing_in_a_log_is_too_strange() {
    let line = r#"12 12:00:00 openat(AT_FDCWD</h>, "/e\x2ftc\12", O_RDONLY|O_CREAT, {a=[1]}) = 3</x> <0.1>"#;
    for end in 0..line.len() {
        let _ = used(&parse(&line.as_bytes()[..end], 1));
        for byte in [b'"', b'<', b'(', b')', b'\\', 0xff] {
            let mut bytes = line.as_bytes().to_vec();
            bytes[end] = byte;
            let _ = used(&parse(&bytes, 1));
        }
    }
}

#[test]
fn calls_have_the_numbers_of_the_kernel_on_both_architectures() {
    let both =
        [("openat", 257, 56), ("execve", 59, 221), ("newfstatat", 262, 79), ("mmap", 9, 222), ("openat2", 437, 437)];
    for (call, x86, arm) in both {
        assert_eq!(name(Architecture::X86_64, x86), Some(call));
        assert_eq!(name(Architecture::Aarch64, arm), Some(call));
    }
    // The generic table has no calls without a descriptor of a folder.
    for call in ["open", "stat", "fork", "readlink", "mkdir"] {
        assert_eq!(number(Architecture::Aarch64, call), None, "{call}");
    }
    assert_eq!(Architecture::of_audit(0xc000_00b7), Some(Architecture::Aarch64));
    // A 32-bit program on x86-64.
    assert_eq!(Architecture::of_audit(0x4000_0003), None);
}

#[test]
fn the_kernels_account_of_a_stop_is_read_whole_or_not() {
    let mut bytes = vec![1, 0, 0, 0];
    bytes.extend(0xc000_00b7_u32.to_ne_bytes());
    bytes.extend([0; 16]);
    for word in [56_u64, 0xffff_ff9c, 0x1000, 0, 0, 0, 0] {
        bytes.extend(word.to_ne_bytes());
    }
    let arguments = [0xffff_ff9c, 0x1000, 0, 0, 0, 0];
    assert_eq!(read_stop(&bytes), Some(Stop::Entry { architecture: 0xc000_00b7, number: 56, arguments }));
    assert!((0..bytes.len()).all(|end| read_stop(&bytes[..end]).is_none()));
    bytes[0] = 2;
    bytes[24..32].copy_from_slice(&(-2_i64).to_ne_bytes());
    bytes[32] = 1;
    assert_eq!(read_stop(&bytes), Some(Stop::Exit(Err(2))));
}

#[test]
fn only_the_first_use_decides_who_made_a_path() {
    let at = |path: &str| At { from: Handle::Cwd, path: path.into() };
    let mut session = Session::new(None);
    let call = Call::Open { at: at("relative"), mode: OpenMode::Read };
    session.take(&Syscall { pid: 1, call, outcome: Outcome::Done(3) });
    let call = Call::Look(at("/x"));
    session.take(&Syscall { pid: 1, call, outcome: Outcome::Absent });
    let observed = session.finish();
    assert_eq!((observed.lost, observed.paths.len()), (1, 1));
    assert!(observed.paths[b"/x".as_slice()][&None].contains(&Manner::InVain));
}

/// A root with a program and data, and its recipe.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.static_program("root/usr/bin/app", 62).static_program("root/usr/bin/tool", 62);
    for number in 0..12 {
        sandbox.file(&format!("root/usr/share/app/{number}.txt"), "x");
    }
    sandbox
        .file("root/usr/lib/app/one.dat", "x")
        .file("root/etc/app.conf", "x")
        .file("root/etc/passwd", "x")
        .folder("root/var/lib/app")
        .file("app.toml", "# an app\nname     = \"app\"\nroot     = \"root\"\nbinaries = [\"app\"]  # it\n");
    sandbox
}

const LOG: &str = r#"
1 execve("/bin/sh", ["sh"], 0x7ffd) = 0
1 openat(AT_FDCWD, "/etc/app.conf.of.sh", O_RDONLY) = 3
1 execve("/usr/bin/app", ["app"], 0x7ffd) = 0
1 openat(AT_FDCWD, "/usr/share/app/1.txt", O_RDONLY) = 3
1 openat(AT_FDCWD, "/usr/share/app/2.txt", O_RDONLY) = 3
1 openat(AT_FDCWD, "/usr/share/app/3.txt", O_RDONLY) = 3
1 openat(AT_FDCWD, "/usr/share/app/4.txt", O_RDONLY) = 3
1 openat(AT_FDCWD, "/usr/lib/app/one.dat", O_RDONLY) = 3
1 openat(AT_FDCWD, "/etc/app.conf", O_RDONLY) = 3
1 openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3
1 openat(AT_FDCWD, "/var/lib/app/state", O_RDWR|O_CREAT, 0600) = 3
1 openat(AT_FDCWD, "/tmp/x", O_RDWR|O_CREAT, 0600) = 3
1 stat("/usr/share/app/9.txt", {st_mode=S_IFREG}) = 0
1 stat("/opt/none", 0x7ffd) = -1 ENOENT (No such file or directory)
2 execve("/usr/bin/tool", ["tool"], 0x7ffd) = 0
1 vfork() = 3
3 execve("/usr/bin/tool", ["tool"], 0x7ffd) = 0
"#;

#[test]
fn a_log_becomes_a_change_of_the_recipe() {
    let sandbox = sandbox();
    sandbox.file("log", LOG);
    let run = sandbox.run(&["trace", "app.toml", "--strace", "log"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_data_eq!(
        run.stdout,
        str![[r#"
--- app.toml
+++ app.toml
@@ -1,4 +1,6 @@
 # an app
 name     = "app"
 root     = "root"
-binaries = ["app"]  # it
+binaries = ["app", "tool"]  # it
+files    = ["/etc/app.conf", "/usr/lib/app/one.dat", "/usr/share/app/"]
+writable = ["/var/lib/app"]

"#]]
    );
    let run = sandbox.run(&["trace", "app.toml", "--strace", "log", "--write", "-q"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let again = sandbox.run(&["trace", "app.toml", "--strace", "log", "--format=json"]);
    let json: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((json["diff"].as_str(), json["missing"].as_array().unwrap().len()), (Some(""), 0));
}

#[test]
fn what_is_no_log_and_no_run_is_refused() {
    let sandbox = sandbox();
    sandbox.file("log", "this is\nno log\n");
    assert_data_eq!(
        sandbox.run(&["trace", "app.toml", "--strace", "log"]).stderr,
        str![[r#"
error[E0289]: `log` is no log of strace
 |
 = help: `strace -f -y -o LOG CMD` writes one

"#]]
    );
    let run = sandbox.run(&["trace", "app.toml"]);
    assert_eq!(
        (run.code, run.stderr.lines().next()),
        (2, Some("error[E0001]: nothing to trace: `-- CMD ARGS...` or `--strace LOG`"))
    );
}

/// Whether programs can be traced here; says so when not.
#[expect(clippy::print_stderr, reason = "a test that does not test says so")]
fn can_trace(sandbox: &Sandbox) -> bool {
    let program = Path::new("/bin/cat").exists();
    let denied = program && sandbox.run(&["trace", "app.toml", "--", "/bin/cat", "/dev/null"]).stderr.contains("E0287");
    if denied || !program {
        eprintln!("skipped: programs can't be traced here");
    }
    program && !denied
}

#[test]
fn a_run_is_followed_and_its_exit_code_kept() {
    let sandbox = sandbox();
    if !can_trace(&sandbox) {
        return;
    }
    sandbox.file("cat.toml", "binaries = [\"/bin/cat\"]\n").file("input", "hello\n");
    let run = sandbox.run(&["trace", "cat.toml", "--", "/bin/cat", "input", "/etc/debian_version.none"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stdout.starts_with("hello\n"), "{}", run.stdout);
    let run = sandbox.run(&["trace", "cat.toml", "--timeout=200ms", "--", "/bin/sh", "-c", "kill -9 $$"]);
    assert_eq!(run.code, 137, "{}", run.stderr);
    let run = sandbox.run(&["trace", "cat.toml", "--", "no-such-program"]);
    assert_data_eq!(
        run.stderr,
        str![[r#"
error[E0288]: program `no-such-program` is not on PATH

"#]]
    );
}

#[test]
fn a_system_that_denies_tracing_is_told_of() {
    let sandbox = sandbox();
    if !can_trace(&sandbox) {
        return;
    }
    // Who is traced already can't trace: the inner one is denied.
    let program = env!("CARGO_BIN_EXE_mkimage");
    let run = sandbox.run(&["trace", "-q", "app.toml", "--", program, "trace", "app.toml", "--", "/bin/cat"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("error[E0287]: this system does not let programs be traced"), "{}", run.stderr);
    assert!(run.stderr.contains("--strace LOG"), "{}", run.stderr);
}

#[test]
fn a_library_is_named_as_the_program_asked_for_it() {
    let sandbox = sandbox();
    sandbox.static_program("root/usr/lib/libplug.so.1.2", 62).link("root/usr/lib/libplug.so.1", "libplug.so.1.2").file(
        "log",
        "execve(\"/usr/bin/app\", [], 0x7ffd) = 0\n\
         openat(AT_FDCWD, \"/usr/lib/libplug.so.1\", O_RDONLY) = 3</usr/lib/libplug.so.1.2>\n\
         mmap(NULL, 8192, PROT_READ|PROT_EXEC, MAP_PRIVATE, 3</usr/lib/libplug.so.1.2>, 0) = 0x7f00\n",
    );
    let run = sandbox.run(&["trace", "app.toml", "--strace", "log"]);
    assert!(run.stdout.contains("+libraries = [\"libplug.so.1\"]\n"), "{}{}", run.stdout, run.stderr);
    assert!(!run.stdout.contains("files"), "{}", run.stdout);
}
