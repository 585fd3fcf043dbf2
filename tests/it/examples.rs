//! The programs of `examples/`: short, and doing what they say.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::sandbox::Sandbox;

/// Runs an example, beside the folder of this test's own program. `cargo test` builds them; `cargo test --test it` does
/// not, so that is done here.
fn run(name: &str, sandbox: &Sandbox, args: &[&str]) -> Output {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(Path::parent).unwrap();
    let program = folder.join("examples").join(name);
    if !program.is_file() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--offline", "--example", name, "--target-dir"]).arg(folder.parent().unwrap());
        cargo.args(folder.ends_with("release").then_some("--release")).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(cargo.status().unwrap().success());
    }
    Command::new(program).args(args).current_dir(sandbox.path()).output().unwrap()
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_is_at_most_forty_lines() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Examples of workflows are in a folder of their own.
        if path.is_dir() {
            continue;
        }
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 40, "{} has {lines} lines", path.display());
        names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["build", "closure", "contents"]);
}

#[test]
fn closure_lists_what_a_program_maps() {
    let sandbox = Sandbox::new();
    sandbox.static_program("program", 62);
    let path = sandbox.at("program").canonicalize().unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(text(run("closure", &sandbox, &[path])), format!("{path}\n"));
    assert_eq!(text(run("closure", &sandbox, &["/no/such"])), "/no/such\n  does not start: no such file\n");
}

#[test]
fn build_and_contents_go_together() {
    let sandbox = Sandbox::new();
    let digest = text(run("build", &sandbox, &["hello.oci"]));
    assert!(digest.starts_with("sha256:") && digest.len() == 72, "{digest}");
    let listed = text(run("contents", &sandbox, &["hello.oci"]));
    assert!(listed.contains("/sha256sum\n") && listed.contains(" 0644 /etc/passwd\n"), "{listed}");
}
