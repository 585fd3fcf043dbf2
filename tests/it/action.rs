//! What the action for GitHub's jobs gives to the steps after it.

use std::process::Command;

use crate::registry_server::Server;
use crate::sandbox::Sandbox;

/// Recipes of two programs, whose names are in no registry.
fn recipes() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["one", "two"] {
        sandbox.static_program(&format!("root/bin/{name}"), 62);
        sandbox.file(&format!("{name}.toml"), format!("root = \"root\"\nbinaries = [\"/bin/{name}\"]\n"));
    }
    sandbox
}

/// Runs the action's script, and gives what it puts into a file for the outputs.
fn outputs(sandbox: &Sandbox, inputs: &[(&str, &str)]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/action/build.sh");
    let file = sandbox.at("outputs");
    let _ = std::fs::remove_file(&file);
    let run = Command::new("bash")
        .arg(script)
        .current_dir(sandbox.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("MKIMAGE_PROGRAM", env!("CARGO_BIN_EXE_mkimage"))
        .env("RUNNER_TEMP", sandbox.path())
        .env("GITHUB_OUTPUT", &file)
        .envs(inputs.iter().copied())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn its_image_is_the_one_that_was_pushed() {
    let (server, sandbox) = (Server::new(), recipes());
    let to = [server.name("team/a"), server.name("team/b")];
    // The archive's image has another digest, as its layers are compressed otherwise, and is told of first.
    let places = format!("oci-archive:one.tar\n{}\n\n{}\n", to[0], to[1]);
    let inputs = [
        ("INPUT_RECIPES", "one.toml\n"),
        ("INPUT_OUTPUTS", &places),
        ("INPUT_TAGS", "1"),
        ("INPUT_ARGUMENTS", "--insecure"),
    ];
    let given = outputs(&sandbox, &inputs);
    let digest = server.tag("team/a", "1").unwrap();
    let [a, b] = to.map(|name| format!("{}@{digest}", name.trim_start_matches("docker://")));
    let metadata = sandbox.at("mkimage-metadata.json");
    let metadata = metadata.display();
    assert_eq!(
        given,
        format!("image={a}\ndigest={digest}\nmetadata={metadata}\nimages<<END-OF-IMAGES\n{a}\n{b}\nEND-OF-IMAGES\n")
    );
}

#[test]
fn where_nothing_was_pushed_its_images_are_those_that_were_built() {
    let sandbox = recipes();
    let given = outputs(&sandbox, &[("INPUT_RECIPES", "one.toml\ntwo.toml\n")]);
    let lines: Vec<&str> = given.lines().collect();
    assert!(lines[0].starts_with("image=one@sha256:") && lines[1].starts_with("digest=sha256:"), "{given}");
    assert!(lines[4].starts_with("one@sha256:") && lines[5].starts_with("two@sha256:"), "{given}");
}
