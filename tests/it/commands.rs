//! What the commands that look print: exact text, on a root made here.

use snapbox::{IntoData, assert_data_eq, str};

use super::sandbox::{Run, Sandbox};
use super::support::elf::{Elf, NEEDED, SONAME};
use super::support::root::Root;

const X86_64: u16 = 62;

/// A root with a program, a folder of data and time zones, and a recipe for them.
pub(crate) fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/bin/server", X86_64)
        .link("root/bin", "usr/bin")
        .file("root/etc/os-release", "ID=debian\nVERSION_ID=12\n")
        .file("root/etc/server/main.conf", "listen 80\n")
        .file("root/etc/server/conf.d/extra.conf", "log stderr\n")
        .file("root/usr/share/server/index.html", "<p>root's")
        .link("root/usr/share/server/current", "index.html")
        .file("site/index.html", "<p>ours")
        .file("server.toml", RECIPE);
    for number in 0..12 {
        sandbox.file(&format!("root/usr/share/zoneinfo/Zone{number}"), [number; 100]);
    }
    sandbox
}

const RECIPE: &str = r#"root     = "root"
binaries = ["/bin/server"]
extras   = ["tzdata"]
writable = ["/var/cache/server"]
files    = [
  "/etc/server/",
  "/usr/share/server/",
  { from = "site/index.html", to = "/usr/share/server/index.html" },
]
"#;

/// Asserts what a run printed: standard output, or the error and its exit code. `SNAPSHOTS=overwrite cargo test` writes
/// what came out into this file, for review.
#[track_caller]
pub(crate) fn prints(run: &Run, code: i32, expected: impl IntoData) {
    let printed = if code == 0 { &run.stdout } else { &run.stderr };
    assert_data_eq!(printed.as_str(), expected);
    assert_eq!(run.code, code);
}

#[test]
fn without_a_program_that_writes_it_a_store_is_an_error() {
    let sandbox = sandbox();
    let run = |arguments: &[&str]| {
        let run = sandbox.run_with(arguments, |command| {
            command.env("PATH", "/none");
        });
        assert_eq!(run.code, 2, "{}", run.stderr);
        run.stderr
    };
    assert_data_eq!(
        run(&["build", "server.toml", "-o", "containers-storage:localhost/server:1"]),
        str![[r#"
error[E0001]: `containers-storage:` is written by skopeo, podman or buildah, and none of them is on PATH
 |
 = help: install one of them, or write an archive with `-o FILE.tar` and load that where it is

"#]]
    );
    assert!(
        run(&["build", "server.toml", "--load", "-o", "containers-storage:"]).contains("one engine or store at once")
    );
}

#[test]
fn tree_reads_like_the_recipe() {
    prints(
        &sandbox().run(&["tree", "server.toml"]),
        0,
        str![[r#"
server:latest (linux/amd64), 22 files                                      1.7 kB
|-- /usr/bin/server  binaries "/bin/server" server.toml:2:13                128 B
|-- /var/cache/server/  writable "/var/cache/server" server.toml:4:13
|-- files "/etc/server/" server.toml:6:3                                     21 B
|   |-- /etc/server/conf.d/extra.conf                                        11 B
|   `-- /etc/server/main.conf                                                10 B
|-- /usr/share/server/current  files "/usr/share/server/" server.toml:7:3
|-- /usr/share/server/index.html  files "site/index.html" server.toml:8:3     7 B
|-- extra tzdata server.toml:3:13 (12 files)                               1.2 kB
`-- made by mkimage (4 files)                                               364 B

"#]],
    );
}

#[test]
fn tree_lists_everything_and_draws_lines_where_the_terminal_can() {
    let run = sandbox().run_with(&["tree", "-q", "-v", "server.toml"], |command| {
        command.env("LC_ALL", "C.UTF-8");
    });
    prints(
        &run,
        0,
        str![[r#"
server:latest (linux/amd64), 22 files                                      1.7 kB
├── /usr/bin/server  binaries "/bin/server" server.toml:2:13 <- /bin        128 B
├── /var/cache/server/  writable "/var/cache/server" server.toml:4:13
├── files "/etc/server/" server.toml:6:3                                     21 B
│   ├── /etc/server/conf.d/extra.conf                                        11 B
│   └── /etc/server/main.conf                                                10 B
├── /usr/share/server/current  files "/usr/share/server/" server.toml:7:3
├── /usr/share/server/index.html  files "site/index.html" server.toml:8:3     7 B
├── extra tzdata server.toml:3:13                                          1.2 kB
│   ├── /usr/share/zoneinfo/Zone0                                           100 B
│   ├── /usr/share/zoneinfo/Zone1                                           100 B
│   ├── /usr/share/zoneinfo/Zone10                                          100 B
│   ├── /usr/share/zoneinfo/Zone11                                          100 B
│   ├── /usr/share/zoneinfo/Zone2                                           100 B
│   ├── /usr/share/zoneinfo/Zone3                                           100 B
│   ├── /usr/share/zoneinfo/Zone4                                           100 B
│   ├── /usr/share/zoneinfo/Zone5                                           100 B
│   ├── /usr/share/zoneinfo/Zone6                                           100 B
│   ├── /usr/share/zoneinfo/Zone7                                           100 B
│   ├── /usr/share/zoneinfo/Zone8                                           100 B
│   └── /usr/share/zoneinfo/Zone9                                           100 B
└── made by mkimage                                                         364 B
    ├── /etc/group (account file)                                            43 B
    ├── /etc/nsswitch.conf (name service configuration)                     148 B
    ├── /etc/os-release (name of the distribution, for scanners)             24 B
    └── /etc/passwd (account file)                                          149 B

"#]],
    );
}

#[test]
fn tree_ends_at_a_depth_and_still_sums_all() {
    prints(
        &sandbox().run(&["tree", "--depth=1", "server.toml"]),
        0,
        str![[r#"
server:latest (linux/amd64), 22 files                                      1.7 kB
|-- /usr/bin/server  binaries "/bin/server" server.toml:2:13                128 B
|-- /var/cache/server/  writable "/var/cache/server" server.toml:4:13
|-- files "/etc/server/" server.toml:6:3                                     21 B
|-- /usr/share/server/current  files "/usr/share/server/" server.toml:7:3
|-- /usr/share/server/index.html  files "site/index.html" server.toml:8:3     7 B
|-- extra tzdata server.toml:3:13 (12 files)                               1.2 kB
`-- made by mkimage (4 files)                                               364 B

"#]],
    );
}

#[test]
fn an_inverted_tree_leads_to_the_recipe() {
    prints(
        &sandbox().run(&["tree", "-i", "index.html", "server.toml"]),
        0,
        str![[r#"
/usr/share/server/index.html                 7 B
`-- files "site/index.html" server.toml:8:3

"#]],
    );
}

#[test]
fn why_tells_what_was_replaced() {
    prints(
        &sandbox().run(&["why", "index.html", "server.toml"]),
        0,
        str![[r#"
/usr/share/server/index.html
  file, 7 B, 0644 0:0, layer `application`

server.toml:8:3: files[2] = "site/index.html"
  /usr/share/server/index.html

in place of what this would put here
  server.toml:7:3: files[1] = "/usr/share/server/"

"#]],
    );
}

#[test]
fn why_tells_of_rules_links_and_what_mkimage_makes() {
    let sandbox = sandbox();
    prints(
        &sandbox.run(&["why", "/usr/share/zoneinfo/Zone3", "server.toml"]),
        0,
        str![[r#"
/usr/share/zoneinfo/Zone3
  file, 100 B, 0644 0:0, layer `extras`

server.toml:3:13: extra tzdata
  /usr/share/zoneinfo/Zone3

"#]],
    );
    prints(
        &sandbox.run(&["why", "/usr/share/server/current", "server.toml"]),
        0,
        str![[r#"
/usr/share/server/current
  link to index.html, leads to /usr/share/server/index.html, layer `application`

server.toml:7:3: files[1] = "/usr/share/server/"
  /usr/share/server/current

"#]],
    );
    prints(
        &sandbox.run(&["why", "/bin/server", "server.toml"]),
        0,
        str![[r#"
/usr/bin/server
  file, 128 B, 0755 0:0, layer `application`

server.toml:2:13: binaries[0] = "/bin/server"
  /usr/bin/server

"#]],
    );
    prints(
        &sandbox.run(&["why", "passwd", "server.toml"]),
        0,
        str![[r#"
/etc/passwd
  file, 149 B, 0644 0:0, layer `runtime`

generated account file
  /etc/passwd

"#]],
    );
    prints(
        &sandbox.run(&["why", "/etc", "server.toml"]),
        0,
        str![[r#"
/etc
  folder, 0755 0:0

generated account file
  /etc/group
    is in it
  /etc

"#]],
    );
}

#[test]
fn why_has_a_form_for_programs() {
    prints(
        &sandbox().run(&["why", "--format=json", "index.html", "server.toml"]),
        0,
        str![[r#"
{"paths":[{"also_needed_by":[],"gid":0,"image":"server","kind":"file","layer":"application","leads_to":null,"mode":"0644","package":null,"path":"/usr/share/server/index.html","reasons":[{"beginning":"files[2]","place":{"column":3,"file":"server.toml","line":8},"replaced":false,"steps":[{"because":"","path":"/usr/share/server/index.html"}]},{"beginning":"files[1]","place":{"column":3,"file":"server.toml","line":7},"replaced":true,"steps":[{"because":"","path":"/usr/share/server/index.html"}]}],"size":7,"target":null,"uid":0}],"version":1}

"#]],
    );
}

#[test]
fn tree_has_a_form_for_programs() {
    let run = sandbox().run(&["tree", "--format=json", "server.toml"]);
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["version"], 1);
    let files = document["images"][0]["files"].as_array().unwrap();
    let find = |path: &str| files.iter().find(|file| file["path"] == path).unwrap();
    assert_eq!(find("/bin")["reasons"][0]["key"], "binaries");
    assert_eq!(find("/usr/share/zoneinfo/Zone7")["size"], 100);
    assert_eq!(find("/usr/share/zoneinfo/Zone7")["reasons"][0]["rule"], "tzdata");
    let index = find("/usr/share/server/index.html");
    assert_eq!(index["reasons"][0]["place"], serde_json::json!({"file": "server.toml", "line": 8, "column": 3}));
    assert_eq!(index["reasons"][1]["replaced"], true);
}

#[test]
fn what_is_not_in_the_image_has_near_names() {
    let sandbox = sandbox();
    prints(
        &sandbox.run(&["why", "/etc/server/main.cnf", "server.toml"]),
        1,
        str![[r#"
error[E0285]: `/etc/server/main.cnf` is not in the image
 |
 = help: the image has `/etc/server/main.conf`

"#]],
    );
    prints(
        &sandbox.run(&["why", "zone", "server.toml"]),
        1,
        str![[r#"
error[E0285]: `zone` is not in the image
 |
 = help: the image has `/usr/share/zoneinfo/Zone0`, `/usr/share/zoneinfo/Zone1`, `/usr/share/zoneinfo/Zone2`

"#]],
    );
    prints(
        &sandbox.run(&["tree", "-i", "/nowhere/at/all", "server.toml"]),
        1,
        str![[r#"
error[E0285]: `/nowhere/at/all` is not in the image

"#]],
    );
    sandbox.file("root/etc/server/conf.d/main.conf", "");
    prints(
        &sandbox.run(&["why", "main.conf", "server.toml"]),
        1,
        str![[r#"
error[E0286]: 2 paths of the image are called `main.conf`
 |
 = note: /etc/server/conf.d/main.conf
 = note: /etc/server/main.conf
 = help: say which, with its folder

"#]],
    );
}

#[test]
fn a_forbidden_image_can_be_looked_at() {
    let sandbox = sandbox();
    sandbox.static_program("root/usr/bin/dash", X86_64).link("root/usr/bin/sh", "dash");
    sandbox.file("shell.toml", "root = 'root'\nbinaries = ['/usr/bin/server', '/usr/bin/sh']\n");
    assert_eq!(sandbox.run(&["check", "shell.toml"]).code, 3);
    prints(
        &sandbox.run(&["why", "dash", "shell.toml"]),
        0,
        str![[r#"
/usr/bin/dash
  file, 128 B, 0755 0:0, layer `application`

shell.toml:2:32: binaries[1] = '/usr/bin/sh'
  /usr/bin/dash

"#]],
    );
}

#[test]
fn extras_are_listed() {
    let sandbox = Sandbox::new();
    let all = sandbox.run(&["extras"]).stdout;
    let names: Vec<&str> = all.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let catalogue = mkimage::needs::catalogue();
    assert_eq!(names, catalogue.iter().map(|listing| listing.name.as_str()).collect::<Vec<_>>());
    prints(
        &sandbox.run(&["extras", "netbase"]),
        0,
        str![[r#"
netbase (optional)
  the names of network services and protocols: /etc/services, /etc/protocols
  without it: ports can't be given by name, as `https`
  set off by: imports getservbyname, getservbyname_r, getservbyport, getservbyport_r, getprotobyname, getprotobyname_r, getprotobynumber, getprotobynumber_r
  brings:     /etc/services
              /etc/protocols

"#]],
    );
    prints(
        &sandbox.run(&["extras", "nettbase"]),
        2,
        str![[r#"
error[E0001]: there is no extra `nettbase`
 |
 = help: an extra with a similar name exists: `netbase`

"#]],
    );
    let json: serde_json::Value = serde_json::from_str(&sandbox.run(&["extras", "--format=json"]).stdout).unwrap();
    assert_eq!(json["extras"].as_array().unwrap().len(), catalogue.len());
}

#[test]
fn init_writes_a_recipe_that_passes() {
    let sandbox = sandbox();
    sandbox.folder("recipes");
    let run = sandbox.run(&["init", "--root", "root", "-o", "recipes/new.toml", "server"]);
    prints(&run, 0, str![]);
    assert_data_eq!(
        std::fs::read_to_string(sandbox.at("recipes/new.toml")).unwrap(),
        str![[r##"
# The first of `binaries` is the program that the image starts; libraries come along.
name     = "server"
root     = "../root/"
binaries = ["server"]
# cmd    = ["--help"]

# Configuration and data:
files    = ["/etc/server/"]

"##]]
    );
    let check = sandbox.run(&["check", "recipes/new.toml"]);
    assert_eq!(check.code, 0, "{}", check.stderr);
    prints(
        &sandbox.run(&["init", "--root", "root", "-o", "recipes/new.toml", "server"]),
        2,
        str![[r#"
error[E0002]: `recipes/new.toml` is there already
 |
 = help: give another name with `-o`; nothing was written

"#]],
    );
}

#[test]
fn init_allows_only_what_the_programs_cannot_do_without() {
    let sandbox = sandbox();
    sandbox.static_program("root/usr/bin/dash", X86_64).link("root/bin/sh", "dash");
    sandbox.file("app/run", "#!/bin/sh\nexec server\n").mode("app/run", 0o755);
    let run = sandbox.run(&["init", "--root=root", "app/run", "/usr/bin/server"]);
    prints(
        &run,
        0,
        str![[r##"
# The first of `binaries` is the program that the image starts; libraries come along.
name     = "run"
root     = "root/"
binaries = [
  "./app/run",
  "/usr/bin/server",
]
# /usr/bin/run is a shell script: what it starts is not looked for; `mkimage trace` finds it.
# cmd    = ["--help"]

# Configuration and data:
files    = ["/etc/server/"]

# These programs do not go without:
[policy]
shell = "allow"  # a shell or a link to one: sh bash dash ash ksh mksh zsh csh tcsh fish busybox toybox

"##]],
    );
    prints(
        &sandbox.run(&["init", "--root=root", "serve"]),
        1,
        str![[r#"
error[E0201]: program `serve` is not on PATH inside the root
 --> recipe:3:13
  |
3 | binaries = ["serve"]
  |             ^^^^^^^ looked in 6 folders of [SANDBOX]/root/
  |
  = note: searched /usr/local/sbin, /usr/local/bin, /usr/sbin, /usr/bin, /sbin, /bin
  = help: a program with a similar name exists: `server`

"#]],
    );
    assert_eq!(sandbox.names("."), ["app", "root", "server.toml", "site"]);
}

/// A root with a program that needs a library, which needs glibc and another.
fn linked() -> (Root, Sandbox) {
    let root = Root::glibc("");
    let library = |soname: &str, needed: &[&str]| {
        let library = Elf::library().with(SONAME, soname);
        needed.iter().fold(library, |library, name| library.with(NEEDED, name)).write()
    };
    let program = Elf::program("/lib64/ld-linux-x86-64.so.2").with(NEEDED, "libx.so.1").with(NEEDED, "libc.so.6");
    root.file("/usr/bin/program", &program.write(), 0o755);
    root.file("/usr/lib/libx.so.1", &library("libx.so.1", &["liby.so.2", "libc.so.6"]), 0o644);
    root.file("/usr/lib/liby.so.2", &library("liby.so.2", &["libc.so.6"]), 0o644);
    let sandbox = Sandbox::new();
    sandbox.file("program.toml", format!("root = '{}'\nbinaries = ['program']\n", root.host("/").display()));
    (root, sandbox)
}

#[test]
fn libraries_are_told_with_who_needs_them() {
    let (_root, sandbox) = linked();
    prints(
        &sandbox.run(&["tree", "--depth=3", "program.toml"]),
        0,
        str![[r#"
program:latest (linux/amd64), 11 files                                2.5 kB
|-- /usr/bin/program  binaries 'program' program.toml:2:13             456 B  2.2 kB
|   |-- /usr/lib/libx.so.1                                             376 B   728 B
|   |   `-- /usr/lib/liby.so.2                                         352 B
|   |-- /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 (interpreter)   528 B
|   `-- /usr/lib/x86_64-linux-gnu/libc.so.6                            456 B
`-- made by mkimage (3 files)                                          340 B

"#]],
    );
    prints(
        &sandbox.run(&["tree", "-i", "libc.so.6", "program.toml"]),
        0,
        str![[r#"
/usr/lib/x86_64-linux-gnu/libc.so.6           456 B
|-- /usr/bin/program                          456 B
|   `-- binaries 'program' program.toml:2:13
|-- /usr/lib/libx.so.1                        376 B
|   `-- /usr/bin/program (*)
`-- /usr/lib/liby.so.2                        352 B
    `-- /usr/lib/libx.so.1 (*)

"#]],
    );
    prints(
        &sandbox.run(&["why", "/lib/liby.so.2", "program.toml"]),
        0,
        str![[r#"
/usr/lib/liby.so.2
  file, 352 B, 0644 0:0, layer `shared libraries`

program.toml:2:13: binaries[0] = 'program'
  /usr/bin/program
    needs libx.so.1, found by a system directory
  /usr/lib/libx.so.1
    needs liby.so.2, found by a system directory
  /usr/lib/liby.so.2

"#]],
    );
    prints(
        &sandbox.run(&["why", "libc.so.6", "program.toml"]),
        0,
        str![[r#"
/usr/lib/x86_64-linux-gnu/libc.so.6
  file, 456 B, 0644 0:0, layer `runtime`

program.toml:2:13: binaries[0] = 'program'
  /usr/bin/program
    needs libc.so.6, found by a system directory
  /usr/lib/x86_64-linux-gnu/libc.so.6

needed by, too
  /usr/lib/libx.so.1
  /usr/lib/liby.so.2

"#]],
    );
}
