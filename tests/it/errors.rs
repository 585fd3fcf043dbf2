//! What a user sees when something is wrong: the whole text, the exit code, and that nothing is left behind.

use crate::support::Sandbox;
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
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn missing_program_by_path() {
    let sandbox = sandbox("binaries = [\"/usr/bin/apq\", \"./bin/app\"]\n");
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn wrong_architecture() {
    let sandbox = sandbox("platforms = [\"linux/amd64\"]\nbinaries = [\"app\", \"arm\"]\n");
    sandbox.static_program("root/usr/bin/arm", 183);
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn not_a_program() {
    let sandbox = sandbox("binaries = [\"/etc/app/app.conf\", \"/etc/app\"]\n");
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn unclassifiable_program() {
    let sandbox = sandbox("binaries = [\"/usr/bin/data\"]\n");
    sandbox.file("root/usr/bin/data", "not a program").mode("root/usr/bin/data", 0o755);
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn dangling_link() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/opt/x/\"]\n");
    sandbox.link("root/opt/x/gone", "../y/nothing").file("root/opt/x/there", "1");
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn link_loop() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/opt/a\"]\n");
    sandbox.link("root/opt/a", "b").link("root/opt/b", "a");
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn absolute_link_beside_the_recipe() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"site/\", to = \"/srv/\" }]\n");
    sandbox.link("site/passwd", "/etc/passwd");
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn glob_without_match() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/etc/app/*.ini\", \"/opt/none/*\"]\n");
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn two_entries_of_one_rank() {
    let sandbox = sandbox(
        "binaries = [\"app\"]\nfiles = [\n  \"/etc/app/app.conf\",\n  { content = \"other\", to = \"/etc/app/app.conf\" },\n]\n",
    );
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn an_entry_below_a_file() {
    let sandbox = sandbox(
        "binaries = [\"app\"]\nfiles = [{ content = \"1\", to = \"/srv/x\" }, { content = \"2\", to = \"/srv/x/y\" }]\n",
    );
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn output_inside_an_input_folder() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"site/\", to = \"/srv/\" }]\n");
    sandbox.file("site/index.html", "hello");
    let run = sandbox.run(&["build", "r.toml", "--root", "root", "-o", "oci:site/out"]);
    assert_eq!(run.code, 1);
    assert_eq!(sandbox.names("site"), ["index.html"]);
    assert_data_eq!(run.stderr, str![]);
}

#[test]
fn dots_that_leave_the_image() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ content = \"x\", to = \"/srv/../../etc/x\" }]\n");
    assert_data_eq!(fails(&sandbox, 2), str![]);
}

#[test]
fn dots_that_leave_the_root_stay_in_it() {
    // As in a chroot: `..` above the root is the root.
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/../../../../etc/shadow\"]\n");
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn a_link_out_of_the_root_stays_in_it() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [{ from = \"/opt/out\", to = \"/secret\" }]\n");
    sandbox.file("secret", "not yours").link("root/opt/out", "../../../../../../../../secret");
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn unknown_user() {
    let sandbox =
        sandbox("binaries = [\"app\"]\nuser = \"postgres\"\ndirs = [{ path = \"/data\", owner = \"www\" }]\n");
    assert_data_eq!(fails(&sandbox, 2), str![]);
}

#[test]
fn cyclic_extends() {
    let sandbox = sandbox("extends = \"base.toml\"\nbinaries = [\"app\"]\n");
    sandbox.file("base.toml", "extends = \"r.toml\"\n");
    assert_data_eq!(fails(&sandbox, 2), str![]);
}

#[test]
fn not_toml() {
    let sandbox = sandbox("FROM debian:12\nRUN apt-get update\n");
    assert_data_eq!(fails(&sandbox, 2), str![]);
}

#[test]
fn not_utf8() {
    let sandbox = sandbox("");
    sandbox.file("r.toml", b"name = \"\xff\"\n");
    assert_data_eq!(fails(&sandbox, 2), str![]);
}

#[test]
fn empty_recipe() {
    let sandbox = sandbox("");
    assert_data_eq!(fails(&sandbox, 2), str![]);
}

#[test]
fn no_recipe() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["build"]);
    assert_eq!(run.code, 2);
    assert_data_eq!(run.stderr, str![]);
}

#[test]
fn others_cannot_read() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/etc/app/key\"]\n");
    sandbox.file("root/etc/app/key", "k").mode("root/etc/app/key", 0o600);
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn a_fifo_in_a_folder() {
    let sandbox = sandbox("binaries = [\"app\"]\nfiles = [\"/opt/x/\"]\n");
    sandbox.folder("root/opt/x");
    let status = std::process::Command::new("mkfifo").arg(sandbox.at("root/opt/x/pipe")).status();
    assert!(status.is_ok_and(|status| status.success()), "mkfifo is part of coreutils");
    assert_data_eq!(fails(&sandbox, 1), str![]);
}

#[test]
fn unsafe_things_need_their_line() {
    let sandbox = sandbox(
        "binaries = [{ from = \"app\", mode = \"4755\" }, { from = \"/usr/bin/web\", caps = [\"cap_net_bind_service\"] }]\n",
    );
    sandbox.static_program("root/usr/bin/web", 62);
    assert_data_eq!(fails(&sandbox, 3), str![]);
}

#[test]
fn output_that_is_a_file() {
    let sandbox = sandbox("binaries = [\"app\"]\n");
    sandbox.file("out", "mine");
    let run = sandbox.run(&["build", "r.toml", "--root", "root", "-o", "out"]);
    assert_eq!(run.code, 1);
    assert_eq!(std::fs::read_to_string(sandbox.at("out")).unwrap(), "mine");
    assert_data_eq!(run.stderr, str![]);
}

#[test]
fn output_that_is_no_layout() {
    let sandbox = sandbox("binaries = [\"app\"]\n");
    sandbox.file("out/precious", "mine");
    let run = sandbox.run(&["build", "r.toml", "--root", "root", "-o", "out"]);
    assert_eq!(run.code, 1);
    assert_eq!(sandbox.names("out"), ["precious"]);
    assert_data_eq!(run.stderr, str![]);
}

#[test]
fn full_disk() {
    let sandbox = sandbox("binaries = [\"app\"]\n");
    let run = sandbox.run_with(&["build", "r.toml", "--root", "root", "-o", "-"], |command| {
        command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    });
    assert_eq!(run.code, 1);
    assert_data_eq!(run.stderr, str![]);
}

#[test]
fn unreadable_root() {
    let sandbox = sandbox("binaries = [\"app\"]\n");
    let run = sandbox.run(&["build", "r.toml", "--root", "nowhere"]);
    assert_eq!(run.code, 1);
    assert_data_eq!(run.stderr, str![]);
}
