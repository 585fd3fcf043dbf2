//! Where the images of one run go: each to a name of its own, or none is built.

use crate::registry_server::Server;
use crate::sandbox::{Run, Sandbox, run};

/// Recipes of the two programs, with what else they say.
fn recipes(more: [&str; 2]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, more) in ["one", "two"].into_iter().zip(more) {
        sandbox.static_program(&format!("root/bin/{name}"), 62);
        sandbox.file(&format!("{name}.toml"), format!("root = \"root\"\nbinaries = [\"/bin/{name}\"]\n{more}"));
    }
    sandbox
}

#[track_caller]
fn refused(sandbox: &Sandbox, arguments: &str, says: &[&str]) -> Run {
    let run = run(sandbox, arguments);
    assert_eq!(run.code, 2, "{arguments}: {}{}", run.stdout, run.stderr);
    for says in says {
        assert!(run.stderr.contains(says), "{arguments}: {says}: {}", run.stderr);
    }
    run
}

#[test]
fn two_images_are_not_built_for_one_tag_of_a_layout() {
    let sandbox = recipes(["", ""]);
    let says = [
        "`one.toml` and `two.toml` both go to `oci:out:latest`, where the second would replace the first",
        "`tags` in its recipe",
        "`-o oci:DIR:TAG`",
    ];
    refused(&sandbox, "build one.toml two.toml -o oci:out", &says);
    refused(&sandbox, "build one.toml two.toml -o out -o ./out", &says);
    refused(&sandbox, "build one.toml two.toml -o oci:out:v1", &["`oci:out:v1`", "leave out the tag"]);
    assert!(!sandbox.at("out").exists(), "nothing is built");
    // One recipe that is named twice, and images with different tags, lose nothing.
    assert_eq!(run(&sandbox, "build one.toml one.toml -o oci:out").code, 0);
    assert_eq!(run(&recipes(["", "tags = [\"2\"]\n"]), "build one.toml two.toml -o oci:out").code, 0);
}

#[test]
fn names_that_end_alike_are_not_built_into_one_layout() {
    let sandbox = recipes(["name = \"a/api\"\n", "name = \"b/api\"\n"]);
    refused(&sandbox, "build one.toml two.toml", &["both go to `oci:api.oci:latest`"]);
}

#[test]
fn the_debug_twin_of_one_is_not_the_image_of_another() {
    let sandbox = recipes(["tags = [\"1\"]\n", "tags = [\"1-debug\"]\n"]);
    refused(&sandbox, "build one.toml two.toml --debug -o oci:out", &["both go to `oci:out:1-debug`"]);
}

#[test]
fn two_images_are_not_pushed_to_one_name() {
    let server = Server::new();
    let name = server.name("team/api").replace("docker://", "");
    let line = format!("name = \"{name}\"\ntags = [\"1\", \"2\"]\n");
    let sandbox = recipes([&line, &line]);
    let says = format!("`one.toml` and `two.toml` both go to `docker://{name}:1`");
    let told = refused(&sandbox, "build one.toml two.toml --push --insecure", &[&says, "give each a `name`"]);
    assert_eq!(told.stderr.matches("both go to").count(), 1, "{}", told.stderr);
    let says = ["is the name of one image, and 2 are built", "`--push`"];
    refused(&sandbox, "build one.toml two.toml --insecure -o docker://registry.example/team/api", &says);
    assert!(server.state().seen.is_empty());
}

#[test]
fn names_that_end_alike_are_pushed_and_built_twice() {
    let server = Server::new();
    let line = |team: &str| {
        format!("name = \"{}\"\ntags = [\"1\"]\n", server.name(&format!("{team}/api"))).replace("docker://", "")
    };
    let sandbox = recipes([&line("a"), &line("b")]);
    let run = run(&sandbox, "build one.toml two.toml --push --insecure --check");
    assert!(run.code == 0 && run.stderr.contains("built twice: the same images"), "{}", run.stderr);
    assert!(server.tag("a/api", "1").is_some() && server.tag("b/api", "1") != server.tag("a/api", "1"));
}
