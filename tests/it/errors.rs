//! What a user sees when something is wrong: the whole text, the exit code, and that nothing is left behind.

use crate::sandbox::Sandbox;
use snapbox::{assert_data_eq, str};

/// A root with a few programs, and the recipe's text as `r.toml`.
fn sandbox(recipe: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .static_program("root/usr/bin/app", 62)
        .file("root/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n")
        .file("root/etc/app/app.conf", "x = 1\n")
        .link("root/bin", "usr/bin")
        .file("r.toml", recipe);
    sandbox
}

/// Builds `r.toml` from `root`, which must fail: what it says. Nothing may be left behind.
fn fails(sandbox: &Sandbox, code: i32) -> String {
    let before = sandbox.names(".");
    let run = sandbox.run(&["build", "r.toml", "--root", "root"]);
    assert_eq!(run.stdout, "");
    assert_eq!(run.code, code, "{}", run.stderr);
    assert_eq!(sandbox.names("."), before, "something was left behind");
    run.stderr
}

#[test]
fn missing_program() {
    let sandbox = sandbox("binaries = [\"ap\"]\n");
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0201]: program `ap` is not on PATH inside the root
 --> r.toml:1:13
  |
1 | binaries = ["ap"]
  |             ^^^^ looked in 6 folders of root
  |
  = note: searched /usr/local/sbin, /usr/local/bin, /usr/sbin, /usr/bin, /sbin, /bin
  = help: a program with a similar name exists: `app`

"#]]
    );
}

#[test]
fn an_output_without_a_place_is_told_before_anything_is_looked_for() {
    let sandbox = sandbox("binaries = [\"ap\"]\n");
    let run = sandbox.run(&["build", "r.toml", "--root", "root", "-o", "out/app.oci"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{}", run.stderr);
    assert_data_eq!(
        run.stderr,
        str![[r#"
error[E0272]: folder `out` for the output is not there
 |
 = help: `mkdir -p out` makes it

"#]]
    );
}

#[test]
fn missing_program_by_path() {
    let sandbox = sandbox("binaries = [\"/usr/bin/apq\", \"./bin/app\"]\n");
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0202]: `/usr/bin/apq` is not there
 --> r.toml:1:13
  |
1 | binaries = ["/usr/bin/apq", "./bin/app"]
  |             ^^^^^^^^^^^^^^ asked for here

error[E0202]: `[SANDBOX]/bin/app` is not there
 --> r.toml:1:29
  |
1 | binaries = ["/usr/bin/apq", "./bin/app"]
  |                             ^^^^^^^^^^^ asked for here
  |
  = note: `[SANDBOX]/bin` is where the path ends

"#]]
    );
}

#[test]
fn wrong_architecture() {
    let sandbox = sandbox("platforms = [\"linux/amd64\"]\nbinaries = [\"app\", \"arm\"]\n");
    sandbox.static_program("root/usr/bin/arm", 183);
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0204]: `/usr/bin/arm` is for linux/arm64, the platform is linux/amd64
 --> r.toml:2:20
  |
1 | platforms = ["linux/amd64"]
  |              ------------- this platform
2 | binaries = ["app", "arm"]
  |                    ^^^^^ ELF machine aarch64

"#]]
    );
}

#[test]
fn not_a_program() {
    let sandbox = sandbox("binaries = [\"/etc/app/app.conf\", \"/etc/app\"]\n");
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0213]: `/etc/app/app.conf` is not executable
 --> r.toml:1:13
  |
1 | binaries = ["/etc/app/app.conf", "/etc/app"]
  |             ^^^^^^^^^^^^^^^^^^^ wanted as a program
  |
  = help: `chmod +x` it, or say `mode = "0755"`; what is no program belongs under `files`

error[E0206]: `/etc/app` is a folder, not a program
 --> r.toml:1:34
  |
1 | binaries = ["/etc/app/app.conf", "/etc/app"]
  |                                  ^^^^^^^^^^ wanted as a program
  |
  = help: folders are copied under `files`

"#]]
    );
}

#[test]
fn unclassifiable_program() {
    let sandbox = sandbox("binaries = [\"/usr/bin/data\"]\n");
    sandbox.file("root/usr/bin/data", "not a program").mode("root/usr/bin/data", 0o755);
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0213]: `/usr/bin/data` is neither an ELF program nor a script
 --> r.toml:1:13
  |
1 | binaries = ["/usr/bin/data"]
  |             ^^^^^^^^^^^^^^^ wanted as a program
  |
  = note: a script begins with `#!` and its interpreter; the kernel starts nothing else

"#]]
    );
}

#[test]
fn dangling_link() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/opt/x/\"]\n");
    sandbox.link("root/opt/x/gone", "../y/nothing").file("root/opt/x/there", "1");
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0252]: link `/opt/x/gone` leads nowhere in the image
 --> r.toml:2:10
  |
2 | files = ["/opt/x/"]
  |          ^^^^^^^^^ brings it
  |
  = note: `/opt/x/gone` -> `../y/nothing`
  = help: bring what it leads to, leave the link out with `exclude`, or say `ignore-dangling = ["/opt/x/gone"]`

"#]]
    );
}

#[test]
fn link_loop() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/opt/a\"]\n");
    sandbox.link("root/opt/a", "b").link("root/opt/b", "a");
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0209]: `/opt/a` leads through too many links
 --> r.toml:2:10
  |
2 | files = ["/opt/a"]
  |          ^^^^^^^^ asked for here
  |
  = note: more than 40 links, or a circle of them

"#]]
    );
}

#[test]
fn a_link_that_leaves_the_folder_of_the_recipe() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"site/\", to = \"/srv/\" }]\n");
    sandbox
        .link("site/account", "../../../../../../../../etc/passwd")
        .link("site/lib", "../shared")
        .file("shared/x", "1");
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0209]: `[SANDBOX]/site/account` is a link to `../../../../../../../../etc/passwd`, outside of the recipe's folder
 --> r.toml:2:10
  |
2 | files = [{ from = "site/", to = "/srv/" }]
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ copies the folder that holds it
  |
  = note: it leads to `/etc/passwd`, which nothing in the recipe names
  = help: name that under `files`, copy it with `links = "follow"`, or leave the link out with `exclude`

"#]]
    );
}

#[test]
fn links_that_are_followed_in_a_circle() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"site/\", to = \"/srv/\", links = \"follow\" }]\n");
    // No link leads to a folder that holds it, but each leads to the next one.
    for (from, to) in [("site", "a"), ("a", "b"), ("a", "c"), ("b", "c"), ("b", "a"), ("c", "a"), ("c", "b")] {
        sandbox.link(&format!("{from}/{to}"), &format!("../{to}"));
    }
    let told = fails(&sandbox, 1);
    assert!(
        told.contains("/b/a` is a link to a folder that holds `[SANDBOX]/a/b`") && told.contains("would never end"),
        "{told}"
    );
}

#[test]
fn absolute_link_beside_the_recipe() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"site/\", to = \"/srv/\" }]\n");
    sandbox.link("site/passwd", "/etc/passwd");
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0209]: `[SANDBOX]/site/passwd` is a link to `/etc/passwd`, an absolute path of this machine
 --> r.toml:2:10
  |
2 | files = [{ from = "site/", to = "/srv/" }]
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ copies the folder that holds it
  |
  = help: copy what it leads to with `links = "follow"`, or leave it out with `exclude`

"#]]
    );
}

#[test]
fn glob_without_match() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/etc/app/*.ini\", \"/opt/none/*\"]\n");
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0205]: `/etc/app/*.ini` matches no file
 --> r.toml:2:10
  |
2 | files = ["/etc/app/*.ini", "/opt/none/*"]
  |          ^^^^^^^^^^^^^^^^ matches nothing
  |
  = note: `/etc/app` is there, nothing in it matches
  = help: a glob that may match nothing says `optional = true`

error[E0205]: `/opt/none/*` matches no file
 --> r.toml:2:28
  |
2 | files = ["/etc/app/*.ini", "/opt/none/*"]
  |                            ^^^^^^^^^^^^^ matches nothing
  |
  = note: `/opt/none` is not there
  = help: a glob that may match nothing says `optional = true`

"#]]
    );
}

#[test]
fn two_entries_of_one_rank() {
    let sandbox = sandbox(
        "binaries = [\"app\"]\nfiles = [\n  \"/etc/app/app.conf\",\n  { content = \"other\", to = \"/etc/app/app.conf\" },\n]\n",
    );
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0207]: two entries write `/etc/app/app.conf`
 --> r.toml:4:3
  |
3 |   "/etc/app/app.conf",
  |   ------------------- and this one
4 |   { content = "other", to = "/etc/app/app.conf" },
  |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ this one
  |
  = help: take one away, or give it another `to`

"#]]
    );
}

#[test]
fn an_entry_below_a_file() {
    let sandbox = sandbox(
        "binaries = [\"app\"]\nfiles = [{ content = \"1\", to = \"/srv/x\" }, { content = \"2\", to = \"/srv/x/y\" }]\n",
    );
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0251]: `/srv/x/y` lies below `/srv/x`, which is a file
 --> r.toml:2:44
  |
2 | files = [{ content = "1", to = "/srv/x" }, { content = "2", to = "/srv/x/y" }]
  |          --------------------------------  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ writes `/srv/x/y`
  |          |
  |          makes `/srv/x` a file

"#]]
    );
}

#[test]
fn output_inside_an_input_folder() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"site/\", to = \"/srv/\" }]\n");
    sandbox.file("site/index.html", "hello");
    let run = sandbox.run(&["build", "r.toml", "--root", "root", "-o", "oci:site/out"]);
    assert_eq!(run.code, 1);
    assert_eq!(sandbox.names("site"), ["index.html"]);
    assert_data_eq!(
        run.stderr,
        str![[r#"
warning[E0217]: the root has `/etc/app/`, the image has nothing of it
 |
 = note: `app` may look for its configuration there
 = help: add `"/etc/app/"` to `files`, or what of it the service needs

warning[E0307]: 1 program without PIE: `/usr/bin/app`

warning[E0310]: 1 file that is no package's: `/usr/bin/app`

error[E0276]: output `[SANDBOX]/site/out` lies in `[SANDBOX]/site`, which the image copies
 --> r.toml:2:19
  |
2 | files = [{ from = "site/", to = "/srv/" }]
  |                   ^^^^^^^ copies the folder
  |
  = help: write it elsewhere with `-o`

"#]]
    );
}

#[test]
fn where_an_output_really_is_counts() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"site/\", to = \"/srv/\" }]\n");
    sandbox.file("site/index.html", "hello").file("other/x", "1").link("way", "site");
    for (output, is_inside) in [
        ("other/../site/out.tar", true),
        ("way/out.tar", true),
        ("site/../out.tar", false),
        ("site/../site-out.tar", false),
        ("other/out.tar", false),
    ] {
        let run = sandbox.run(&["build", "-q", "r.toml", "--root", "root", "-o", output]);
        assert_eq!(run.stderr.contains("error[E0276]"), is_inside, "{output}: {}", run.stderr);
        assert_eq!(run.code, i32::from(is_inside), "{output}: {}", run.stderr);
    }
    assert_eq!(sandbox.names("site"), ["index.html"]);
}

#[test]
fn dots_that_leave_the_image() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ content = \"x\", to = \"/srv/../../etc/x\" }]\n");
    assert_data_eq!(
        fails(&sandbox, 2),
        str![[r#"
error[E0106]: `/srv/../../etc/x` has a `..`
 --> r.toml:2:32
  |
2 | files = [{ content = "x", to = "/srv/../../etc/x" }]
  |                                ^^^^^^^^^^^^^^^^^^ an absolute path in the image

"#]]
    );
}

#[test]
fn dots_that_leave_the_root() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/../../../../etc/shadow\"]\n");
    assert_data_eq!(
        fails(&sandbox, 2),
        str![[r#"
error[E0106]: `/../../../../etc/shadow` has a `..`
 --> r.toml:2:10
  |
2 | files = ["/../../../../etc/shadow"]
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^ a path in the root

"#]]
    );
}

#[test]
fn a_link_out_of_the_root_stays_in_it() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"/opt/out\", to = \"/secret\" }]\n");
    sandbox.file("secret", "not yours").link("root/opt/out", "../../../../../../../../secret");
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0209]: `/opt/out` is a link that leads nowhere
 --> r.toml:2:19
  |
2 | files = [{ from = "/opt/out", to = "/secret" }]
  |                   ^^^^^^^^^^ asked for here
  |
  = note: `/opt/out` -> `../../../../../../../../secret`; `/secret` is not there

"#]]
    );
}

#[test]
fn unknown_user() {
    let sandbox =
        sandbox("binaries = [\"app\"]\nuser = \"postgres\"\ndirs = [{ path = \"/data\", owner = \"www\" }]\n");
    assert_data_eq!(
        fails(&sandbox, 2),
        str![[r#"
error[E0111]: user `postgres` is not in the image
 --> r.toml:2:8
  |
2 | user = "postgres"
  |        ^^^^^^^^^^ not in [users]
  |
help: add it under [users]: postgres = 1000

error[E0111]: user `www` is not in the image
 --> r.toml:3:35
  |
3 | dirs = [{ path = "/data", owner = "www" }]
  |                                   ^^^^^ not in [users]
  |
help: add it under [users]: www = 1000

"#]]
    );
}

#[test]
fn cyclic_extends() {
    let sandbox = sandbox("extends = \"base.toml\"\nbinaries = [\"app\"]\n");
    sandbox.file("base.toml", "extends = \"r.toml\"\n");
    assert_data_eq!(
        fails(&sandbox, 2),
        str![[r#"
error[E0108]: `extends` goes in a circle
 --> base.toml:1:11
  |
1 | extends = "r.toml"
  |           ^^^^^^^^ leads back to the first
  |
 ::: r.toml:1:11
  |
1 | extends = "base.toml"
  |           ----------- leads on
  |
  = note: r.toml -> base.toml -> r.toml

"#]]
    );
}

#[test]
fn not_toml() {
    let sandbox = sandbox("FROM debian:12\nRUN apt-get update\n");
    assert_data_eq!(
        fails(&sandbox, 2),
        str![[r#"
error[E0101]: this looks like a Dockerfile, and a recipe is TOML
 --> r.toml:1:1
  |
1 | FROM debian:12
  | ^^^^^^^^^^^^^^
  |
  = help: a recipe has no steps: it lists what the image holds, as in binaries = ["nginx"]

"#]]
    );
}

#[test]
fn not_utf8() {
    let sandbox = sandbox("");
    sandbox.file("r.toml", b"name = \"\xff\"\n");
    assert_data_eq!(
        fails(&sandbox, 2),
        str![[r#"
error[E0100]: `r.toml` is not UTF-8
 --> r.toml:1:9
  |
1 | name = "�"
  |         ^ not UTF-8 from here

"#]]
    );
}

#[test]
fn empty_recipe() {
    let sandbox = sandbox("");
    assert_data_eq!(
        fails(&sandbox, 2),
        str![[r#"
error[E0101]: `r.toml` is empty
 |
 = help: a recipe needs a name and a program: name = "web", binaries = ["nginx"]

"#]]
    );
}

#[test]
fn no_recipe() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["build"]);
    assert_eq!(run.code, 2);
    assert_data_eq!(
        run.stderr,
        str![[r#"
error[E0100]: cannot read recipe `mkimage.toml`: no such file or directory
 |
 = help: `mkimage init` writes a recipe for a program

"#]]
    );
}

#[test]
fn others_cannot_read() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/etc/app/key\"]\n");
    sandbox.file("root/etc/app/key", "k").mode("root/etc/app/key", 0o600);
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0210]: `root/etc/app/key` has mode 0600: others can't read it
 --> r.toml:2:10
  |
2 | files = ["/etc/app/key"]
  |          ^^^^^^^^^^^^^^ copies it
  |
  = help: say which mode it has in the image: `mode = "0600"`, or `"0644"` to open it

"#]]
    );
}

#[test]
fn a_fifo_in_a_folder() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/opt/x/\"]\n");
    sandbox.folder("root/opt/x");
    let status = std::process::Command::new("mkfifo").arg(sandbox.at("root/opt/x/pipe")).status();
    assert!(status.is_ok_and(|status| status.success()), "mkfifo is part of coreutils");
    assert_data_eq!(
        fails(&sandbox, 1),
        str![[r#"
error[E0206]: `/opt/x/pipe` is a FIFO
 --> r.toml:2:10
  |
2 | files = ["/opt/x/"]
  |          ^^^^^^^^^ copies the folder that holds it
  |
  = help: leave it out: `exclude = ["pipe"]`

"#]]
    );
}

#[test]
fn unsafe_things_need_their_line() {
    let sandbox = sandbox(
        "binaries = [{ from = \"app\", mode = \"4755\" }, { from = \"/usr/bin/web\", caps = [\"cap_net_bind_service\"] }]\n",
    );
    sandbox.static_program("root/usr/bin/web", 62);
    assert_data_eq!(
        fails(&sandbox, 3),
        str![[r#"
error[E0302]: policy forbids a setuid or setgid file, and the image would have `/usr/bin/app`, mode 4755
 --> r.toml:1:13
  |
1 | binaries = [{ from = "app", mode = "4755" }, { from = "/usr/bin/web", caps = ["cap_net_bind_service"] }]
  |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ asked for here
  |
  = note: why: binaries[0] -> /usr/bin/app
  = help: without a `mode` of its own a file loses these bits
  = help: if the image must have it, say so under [policy]: `setuid = "allow"`

error[E0306]: policy forbids a file with capabilities, and the image would have `/usr/bin/web`
 --> r.toml:1:46
  |
1 | binaries = [{ from = "app", mode = "4755" }, { from = "/usr/bin/web", caps = ["cap_net_bind_service"] }]
  |                                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ asked for here
  |
  = note: `drop: [ALL]` makes such a program fail to start, and no_new_privs makes its capabilities void
  = note: why: binaries[1] -> /usr/bin/web
  = help: a port above 1023 needs no capability
  = help: if the image must have it, say so under [policy]: `capabilities = "allow"`

"#]]
    );
}

#[test]
fn output_that_is_a_file() {
    let sandbox = sandbox("binaries = [\"app\"]\n");
    sandbox.file("out", "mine");
    let run = sandbox.run(&["build", "r.toml", "--root", "root", "-o", "out"]);
    assert_eq!(run.code, 1);
    assert_eq!(std::fs::read_to_string(sandbox.at("out")).unwrap(), "mine");
    assert_data_eq!(
        run.stderr,
        str![[r#"
error[E0271]: `out` is a file, and an OCI layout is a folder
 |
 = help: remove it, or name an archive: `oci-archive:out`

"#]]
    );
}

#[test]
fn output_that_is_no_layout() {
    let sandbox = sandbox("binaries = [\"app\"]\n");
    sandbox.file("out/precious", "mine");
    let run = sandbox.run(&["build", "r.toml", "--root", "root", "-o", "out"]);
    assert_eq!(run.code, 1);
    assert_eq!(sandbox.names("out"), ["precious"]);
    assert_data_eq!(
        run.stderr,
        str![[r#"
error[E0271]: `out` is a folder that is no OCI layout, and is not replaced
 |
 = help: choose another place, or remove it

"#]]
    );
}

#[test]
fn full_disk() {
    let sandbox = sandbox("binaries = [\"app\"]\n");
    let run = sandbox.run_with(&["build", "r.toml", "--root", "root", "-o", "-"], |command| {
        command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    });
    assert_eq!(run.code, 1);
    assert_data_eq!(
        run.stderr,
        str![[r#"
warning[E0217]: the root has `/etc/app/`, the image has nothing of it
 |
 = note: `app` may look for its configuration there
 = help: add `"/etc/app/"` to `files`, or what of it the service needs

warning[E0307]: 1 program without PIE: `/usr/bin/app`

warning[E0310]: 1 file that is no package's: `/usr/bin/app`

error[E0290]: cannot write `standard output`: no space left on device

"#]]
    );
}

#[test]
fn unreadable_root() {
    let sandbox = sandbox("binaries = [\"app\"]\n");
    let run = sandbox.run(&["build", "r.toml", "--root", "nowhere"]);
    assert_eq!(run.code, 1);
    assert_data_eq!(
        run.stderr,
        str![[r#"
error[E0215]: cannot open the root `nowhere`: no such file or directory
 |
 = help: `root` names a folder that holds a whole system, as debootstrap or an unpacked image gives

"#]]
    );
}

#[test]
fn a_program_for_another_machine_in_a_folder_is_data() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"addons/\", to = \"/app/\" }]\n");
    sandbox.static_program("addons/linux-arm64/tool", 183);
    let run = sandbox.run(&["build", "r.toml", "--root", "root"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn libraries_are_not_ignored_without_a_reason() {
    let sandbox = sandbox("binaries = [\"app\"]\n[policy.ignore-dlopen]\n\"libx.so.1\" = \" \"\n");
    assert_data_eq!(
        fails(&sandbox, 2),
        str![[r#"
error[E0106]: a reason is empty
 --> r.toml:3:15
  |
3 | "libx.so.1" = " "
  |               ^^^ say why, for whoever reads this next

"#]]
    );
}
