//! First recipes of services: what a root says of a program beyond its libraries.

use std::path::Path;

use snapbox::{assert_data_eq, str};

use super::sandbox::Sandbox;
use super::support::elf::{Elf, NEEDED};

const X86_64: u16 = 62;

/// A root with a program that goes into the background unless it is told otherwise, and a package that it is of.
fn service(help: &str, words: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/sbin/served", X86_64)
        .link("root/var/run", "/run")
        .file("root/etc/os-release", "ID=debian\nVERSION_ID=12\n")
        .file("root/etc/passwd", "root:x:0:0:::\nserved:x:110:110:::\n")
        .file("root/etc/group", "root:x:0:\nserved:x:110:\n")
        .file("root/etc/default/served", "SERVED_USER=served\nSERVED_OPTIONS=\"-q\"\n")
        .file("root/etc/init.d/served", SCRIPT)
        .file("root/usr/share/man/man8/served.8", help);
    append(&sandbox.at("root/usr/sbin/served"), words);
    sandbox
}

fn append(program: &Path, words: &[&str]) {
    let bytes = [std::fs::read(program).unwrap(), format!("\0{}\0", words.join("\0")).into_bytes()].concat();
    std::fs::write(program, bytes).unwrap();
}

const SCRIPT: &str = r#"#!/bin/sh
DAEMON=/usr/sbin/served
CONFIG=/etc/served/main.conf
[ -r /etc/default/served ] && . /etc/default/served
case "$1" in
  start)
    start-stop-daemon --start --quiet --exec $DAEMON -- -u $SERVED_USER:served -c "$CONFIG" $SERVED_OPTIONS
    ;;
  stop)
    start-stop-daemon --stop --quiet --exec $DAEMON
    ;;
esac
"#;

const MANUAL: &str = ".TH SERVED 8\n.SH OPTIONS\n.TP\n.B \\-q\nSays little.\n.TP\n.BI \\-d \\ debug-level\n\
    Turns on debugging.\nWith any level\n.B served\nwill not fork.\n";

#[test]
fn an_init_script_and_a_manual_page_say_how_a_service_starts() {
    let sandbox = service(MANUAL, &["/etc/served"]);
    sandbox
        .file(
            "root/etc/served/main.conf",
            "pid /var/run/served/pid\nlog /var/log/served/log\nuser served\n# see /usr/share/x/y\n",
        )
        .file("root/etc/served/private.d/a{1}.conf", "password\n")
        .mode("root/etc/served/private.d/a{1}.conf", 0o600)
        .file("root/etc/served/here.key", "key\n");
    let run = sandbox.run(&["init", "--root=root", "-o", "new.toml", "served"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_data_eq!(
        std::fs::read_to_string(sandbox.at("new.toml")).unwrap(),
        str![[r##"
# The first of `binaries` is the program that the image starts; libraries come along.
name     = "served"
root     = "root/"
binaries = ["served"]
cmd      = ["-d", "0", "-c", "/etc/served/main.conf", "-q"]  # as /etc/init.d/served starts it, in the foreground

# Configuration and data:
files    = [
  { from = "/etc/served/", exclude = ["here.key", "private.d/**"] },
  { from = "/etc/served/private.d/", owner = "nonroot", mode = "0400", dir-mode = "0700" },
]

# Where it keeps its state; volumes belong here:
writable = ["/var/log/served", "/var/run/served"]

# Its configuration names these; it runs as `nonroot` all the same:
[users]
served = 110

"##]]
    );
    let check = sandbox.run(&["check", "-v", "new.toml"]);
    assert_eq!(check.code, 0, "{}", check.stderr);
    for line in ["0400 65532:65532 /etc/served/private.d/a{1}.conf", "-> /run /var/run"] {
        let fits = |shown: &str| line.split(' ').all(|word| shown.contains(word));
        assert!(check.stderr.lines().chain(check.stdout.lines()).any(fits), "{line}: {}{}", check.stdout, check.stderr);
    }
}

#[test]
fn programs_that_a_configuration_names_come_with_the_shell_that_starts_them() {
    let sandbox = service(
        ".TP\n\\fB\\-n\\fR, \\fB\\-\\-nodaemon\\fR\nDon't fork into the background.\n",
        &["/etc/served", "/bin/sh"],
    );
    sandbox
        .static_program("root/usr/bin/dash", X86_64)
        .link("root/bin/sh", "/usr/bin/dash")
        .static_program("root/usr/bin/tool", X86_64)
        .file("root/usr/share/served/make.tool", "#!/usr/bin/tool\nopen /etc/types\n# open /etc/other\n")
        .mode("root/usr/share/served/make.tool", 0o755)
        .file("root/etc/types", "a b\n")
        .file("root/etc/other", "a b\n")
        .file("root/etc/served/main.conf", "include_shell \"/usr/share/served/make.tool \" + port\n")
        .file("root/etc/served/sites-available/x", "root /usr/share/x/y\n");
    let run = sandbox.run(&["init", "--root=root", "-o", "new.toml", "served"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_data_eq!(
        std::fs::read_to_string(sandbox.at("new.toml")).unwrap(),
        str![[r##"
# The first of `binaries` is the program that the image starts; libraries come along.
name     = "served"
root     = "root/"
binaries = [
  "served",
  "/bin/sh",
  "/usr/share/served/make.tool",
]
cmd      = ["-n", "-c", "/etc/served/main.conf", "-q"]  # as /etc/init.d/served starts it, in the foreground

# Configuration and data:
files    = [
  "/etc/served/",
  "/etc/types",
]

# Its configuration names these; it runs as `nonroot` all the same:
[users]
served = 110

# These programs do not go without:
[policy]
shell = "allow"  # a shell or a link to one: sh bash dash ash ksh mksh zsh csh tcsh fish busybox toybox

"##]]
    );
}

#[test]
fn what_of_a_root_can_t_be_copied_stays_out_of_the_draft_and_the_rest_stays_in() {
    let sandbox = service(MANUAL, &["/etc/served", "/usr/lib/served"]);
    sandbox
        .file("root/etc/served/main.conf", "modules /usr/lib/served\n")
        .file("root/usr/lib/served/broken.so", Elf::library().with(NEEDED, "libabsent.so.1").write())
        .file("root/usr/lib/served/words.txt", "a b\n")
        .file("root/var/lib/served/mine", "");
    let run = sandbox.run(&["init", "--root=root", "-o", "new.toml", "served"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let text = std::fs::read_to_string(sandbox.at("new.toml")).unwrap();
    assert!(text.contains("\"/etc/served/\"") && text.contains("/var/lib/served"), "{text}");
    assert!(text.contains("{ from = \"/usr/lib/served/\", exclude = [\"broken.so\"] }"), "{text}");
}

#[test]
fn a_tool_that_no_unit_starts_keeps_nothing_in_folders_of_its_name() {
    let sandbox = Sandbox::new();
    sandbox.static_program("root/usr/bin/tool", X86_64).file("root/var/lib/tool/x", "");
    let run = sandbox.run(&["init", "--root=root", "-o", "new.toml", "tool"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let text = std::fs::read_to_string(sandbox.at("new.toml")).unwrap();
    assert!(!text.contains("writable"), "{text}");
}

#[test]
fn a_link_that_leads_back_into_its_folder_brings_the_links_between() {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/bin/tool", X86_64)
        .file("root/usr/lib/tool/plugin-3.so", "x")
        .link("root/usr/lib/tool/plugin.so", "/etc/alternatives/plugin")
        .link("root/etc/alternatives/plugin", "/usr/lib/tool/plugin-3.so")
        .file("tool.toml", "root = 'root'\nbinaries = ['tool']\nfiles = ['/usr/lib/tool/']\n");
    let check = sandbox.run(&["check", "-v", "tool.toml"]);
    assert_eq!(check.code, 0, "{}", check.stderr);
    let shown = check.stdout + &check.stderr;
    assert!(shown.contains("-> /usr/lib/tool/plugin-3.so /etc/alternatives/plugin"), "{shown}");
}

/// A package that has these files.
fn package(sandbox: &Sandbox, name: &str, files: &[&str]) {
    let status = format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n");
    let list = files.join("\n") + "\n";
    sandbox.file("root/var/lib/dpkg/status", status).file(&format!("root/var/lib/dpkg/info/{name}.list"), list);
}

/// The draft for a program, without what is said of the rules.
fn draft(sandbox: &Sandbox, program: &str) -> String {
    let run = sandbox.run(&["init", "--root=root", "-o", "new.toml", program]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    std::fs::read_to_string(sandbox.at("new.toml")).unwrap()
}

#[test]
fn data_is_known_by_the_names_that_are_put_together_at_run_time() {
    for words in ["../lib/tool", "/usr/lib/tool", "%s/tool"] {
        let sandbox = Sandbox::new();
        sandbox.static_program("root/usr/bin/tool", X86_64).file("root/usr/lib/tool/tool.core", "x");
        package(&sandbox, "tool", &["/usr/bin/tool", "/usr/lib/tool/tool.core"]);
        append(&sandbox.at("root/usr/bin/tool"), &[words]);
        let text = draft(&sandbox, "tool");
        assert!(text.contains("files    = [\"/usr/lib/tool/\"]"), "{words}: {text}");
    }
    // What is called like documentation of others is the program's own under its own name.
    let sandbox = Sandbox::new();
    sandbox.static_program("root/usr/bin/vim", X86_64).file("root/usr/share/vim/vim90/filetype.vim", "x");
    package(&sandbox, "vim", &["/usr/bin/vim", "/usr/share/vim/vim90/filetype.vim"]);
    append(&sandbox.at("root/usr/bin/vim"), &["/usr/share/vim"]);
    assert!(draft(&sandbox, "vim").contains("files    = [\"/usr/share/vim/\"]"));
}

#[test]
fn a_shell_script_says_that_nothing_looks_for_what_it_starts() {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/bin/dash", X86_64)
        .link("root/bin/sh", "/usr/bin/dash")
        .file("root/usr/bin/tool", "#!/bin/sh\nsed -n 1p\n")
        .mode("root/usr/bin/tool", 0o755);
    let text = draft(&sandbox, "tool");
    let line = "is a shell script: what it starts is not looked for";
    assert!(text.contains(&format!("# /usr/bin/tool {line}; `mkimage trace` finds it.\n")), "{text}");
    let check = sandbox.run(&["check", "-v", "new.toml"]);
    assert!(check.stderr.contains(&format!("note: `/usr/bin/tool` {line}\n")), "{}", check.stderr);
    assert!(!sandbox.run(&["check", "new.toml"]).stderr.contains(line));
}

#[test]
fn a_script_brings_the_folder_that_it_stands_in() {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/bin/run", X86_64)
        .static_program("root/usr/lib/lang/erts/bin/emulator", X86_64)
        .file("root/usr/lib/lang/bin/lang", "#!/usr/bin/run\nexec /usr/lib/lang/erts/bin/emulator\n")
        .mode("root/usr/lib/lang/bin/lang", 0o755)
        .link("root/usr/bin/lang", "../lib/lang/bin/lang");
    package(&sandbox, "lang", &["/usr/bin/lang", "/usr/lib/lang/bin/lang", "/usr/lib/lang/erts/bin/emulator"]);
    let text = draft(&sandbox, "lang");
    assert!(text.contains("files    = [\"/usr/lib/lang/\"]"), "{text}");
    // A program in such a folder comes by itself.
    sandbox.static_program("root/usr/lib/lang/bin/lang", X86_64);
    append(&sandbox.at("root/usr/lib/lang/bin/lang"), &["/usr/lib/lang"]);
    std::fs::remove_file(sandbox.at("new.toml")).unwrap();
    assert!(!draft(&sandbox, "lang").contains("files "));
}

#[test]
fn what_a_service_takes_for_granted_is_there() {
    let sandbox = service(MANUAL, &["/etc/served", "/run/served.pid", "/etc/served/x:/var/lib/served/made.conf"]);
    sandbox
        .file("root/etc/group", "root:x:0:\nadm:x:4:\nserved:x:110:\n")
        .file("root/etc/passwd", "root:x:0:0:::\nuucp:x:10:10:::\nserved:x:110:110:::\n")
        .file(
            "root/etc/served/main.conf",
            "$FileOwner root\n$FileGroup adm\ntrusted_users = uucp\n# user = mail\ntmp \"/var/cache/served/up\"\n\
                 cache /var/cache/served/x\ncache /var/cache/served/none/x\n",
        )
        .file("root/var/lib/served/made.conf", "x\n")
        .file("root/var/lib/served/state", "x\n")
        .folder("root/var/cache/served/up");
    let text = draft(&sandbox, "served");
    for line in [
        "  \"/var/lib/served/made.conf\",\n",
        "writable = [\"/run\", \"/var/cache/served\", \"/var/cache/served/up\", \"/var/lib/served\"]\n",
        "[users]\nserved = 110\nuucp = 10\n",
        "[groups]\nadm = 4\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("mail") && !text.contains("state\""), "{text}");
    let check = sandbox.run(&["check", "new.toml"]);
    assert_eq!(check.code, 0, "{}", check.stderr);
}
