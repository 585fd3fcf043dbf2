//! Recipes and policies in registries: pushed, extended by others, held to the lock file, refused where they lead
//! nowhere.

use serde_json::Value;
use snapbox::{assert_data_eq, str};

use super::registry_server::{Fault, Server};
use super::sandbox::{Sandbox, good, run};

const BASE: &str = "binaries = [\"/usr/bin/server\"]\n\n[env]\nFROM = \"base\"\n";

/// A root with a program, a base, and a recipe that extends it from a registry.
fn sandbox(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.static_program("root/usr/bin/server", 62).static_program("root/usr/bin/other", 62);
    sandbox.file("root/etc/os-release", "ID=debian\nVERSION_ID=12\n").file("base.toml", BASE);
    sandbox.file("app.toml", format!("root    = \"root\"\nextends = \"{}\"\n", server.name("acme/base:1")));
    sandbox
}

/// What went wrong, the registry's port left out.
#[track_caller]
fn bad(sandbox: &Sandbox, server: &Server, arguments: &str, code: i32) -> String {
    let run = run(sandbox, arguments);
    assert_eq!(run.code, code, "{arguments}: {}", run.stderr);
    run.stderr.replace(&server.address.to_string(), "[HOST]")
}

fn publish(sandbox: &Sandbox, server: &Server, file: &str) -> String {
    good(sandbox, &format!("push --recipe {file} {}", server.name("acme/base:1"))).stdout
}

#[test]
fn a_recipe_is_an_artifact_with_one_file() {
    let server = Server::new();
    let sandbox = sandbox(&server);
    let pushed = publish(&sandbox, &server, "base.toml");
    assert_eq!(publish(&sandbox, &server, "base.toml"), pushed, "the same file is the same artifact");
    let bytes = server.state().manifests[&("acme/base".to_owned(), "1".to_owned())].1.clone();
    assert_data_eq!(
        String::from_utf8(bytes).unwrap(),
        str![[
            r#"{"artifactType":"application/vnd.mkimage.recipe.v1","config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","size":2},"layers":[{"annotations":{"org.opencontainers.image.title":"base.toml"},"digest":"sha256:8040455a7a8b704d5ff7e30906ebc1ad8f04466548db05ff9b972b89fd7686f0","mediaType":"application/vnd.mkimage.recipe.v1+toml","size":52}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}"#
        ]]
    );
}

#[test]
fn an_image_of_a_recipe_that_extends_one_of_a_registry() {
    let server = Server::new();
    let sandbox = sandbox(&server);
    publish(&sandbox, &server, "base.toml");
    let built = good(&sandbox, "build app.toml --no-fsync --metadata-file built.json");
    // The same as with the base beside it, but for what the configuration says of neither.
    sandbox.file("local.toml", "name = \"app\"\nroot = \"root\"\nextends = \"base.toml\"\n");
    assert_eq!(good(&sandbox, "build local.toml --no-fsync -o local.oci").stdout, built.stdout);
    let metadata: Value = serde_json::from_slice(&std::fs::read(sandbox.at("built.json")).unwrap()).unwrap();
    assert_eq!(metadata["images"][0]["bases"][0], server.name("acme/base:1").as_str());
    // A base of a base, and a place in the text of each.
    sandbox.file("low.toml", "user = 7\n[env]\nFROM = \"low\"\n");
    sandbox.file("base.toml", format!("extends = \"{}\"\n{BASE}", server.name("acme/low:1")));
    good(&sandbox, &format!("push --recipe low.toml {}", server.name("acme/low:1")));
    publish(&sandbox, &server, "base.toml");
    let inspected = {
        good(&sandbox, "build app.toml --no-fsync");
        good(&sandbox, "inspect app.oci --format json").stdout
    };
    assert!(inspected.contains("FROM=base") && inspected.contains("\"7"), "{inspected}");
    let tree = good(&sandbox, "tree app.toml").stdout.replace(&server.address.to_string(), "[HOST]");
    assert!(tree.contains("docker://[HOST]/acme/base:1:2:13"), "{tree}");
}

#[test]
fn the_lock_file_holds_the_digest() {
    let server = Server::new();
    let sandbox = sandbox(&server);
    let first = publish(&sandbox, &server, "base.toml");
    let digest = |pushed: &str| pushed.trim_end().rsplit('@').next().unwrap().to_owned();
    good(&sandbox, "lock app.toml");
    let lock = std::fs::read_to_string(sandbox.at("mkimage.lock")).unwrap();
    let line = format!("\"{}\" = \"{}\"", server.name("acme/base:1"), digest(&first));
    assert!(lock.contains(&format!("[images.\"app.toml\".\"linux/amd64\".extends]\n{line}\n")), "{lock}");
    let built = good(&sandbox, "build app.toml --locked --no-fsync").stdout;

    // The tag moves: what was locked is still there by its digest.
    sandbox.file("base.toml", BASE.replace("/server", "/other"));
    let second = publish(&sandbox, &server, "base.toml");
    assert_eq!(good(&sandbox, "build app.toml --frozen --no-fsync").stdout, built);
    let said = bad(&sandbox, &server, "build app.toml --locked --no-fsync", 4);
    assert_data_eq!(
        said.replace(&digest(&first), "sha256:[FIRST]").replace(&digest(&second), "sha256:[SECOND]"),
        str![[r#"
error[E0401]: `docker://[HOST]/acme/base:1` is sha256:[SECOND], and sha256:[FIRST] in `mkimage.lock`, and --locked was given
 --> app.toml:2:11
  |
2 | extends = "docker://[HOST]/acme/base:1"
  |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ named here
  |
  = help: `mkimage lock app.toml` accepts it, `--frozen` builds with the one that was locked

"#]]
    );
    let plain = good(&sandbox, "build app.toml --no-fsync -v");
    assert_ne!(plain.stdout, built);
    let line = format!("~ {} {} -> {}", server.name("acme/base:1"), digest(&first), digest(&second));
    assert!(plain.stderr.contains(&line), "{}", plain.stderr);
    // Another recipe of the folder is held to what it was locked with itself.
    sandbox.file("new.toml", std::fs::read(sandbox.at("app.toml")).unwrap());
    good(&sandbox, "lock new.toml");
    good(&sandbox, "build new.toml --locked --no-fsync");
    assert_eq!(good(&sandbox, "build app.toml --frozen --no-fsync").stdout, built);
    // A tag that is gone has moved, too.
    server.state().manifests.remove(&("acme/base".to_owned(), "1".to_owned()));
    assert!(bad(&sandbox, &server, "build app.toml --locked", 4).contains("acme/base:1` is not there, and sha256:"));
    assert_eq!(good(&sandbox, "build app.toml --frozen --no-fsync").stdout, built);
}

#[test]
fn members_of_a_workspace_share_its_lock_file() {
    let server = Server::new();
    let sandbox = sandbox(&server);
    sandbox.file("mkimage.toml", "[workspace]\nmembers = [\"recipes/*.toml\"]\nlock = \"own.lock\"\n");
    for name in ["one", "two"] {
        let text = format!("name = \"{name}\"\nroot = \"../root\"\nextends = \"{}\"\n", server.name("acme/base:1"));
        sandbox.file(&format!("recipes/{name}.toml"), text);
    }
    publish(&sandbox, &server, "base.toml");
    good(&sandbox, "lock");
    let asked = server.seen("GET", "/acme/base/manifests/1").len();
    assert_eq!(asked, 1, "once for all members");
    sandbox.file("base.toml", BASE.replace("base\"", "later\""));
    publish(&sandbox, &server, "base.toml");
    for arguments in ["check --locked", "check recipes/two.toml --locked"] {
        assert!(bad(&sandbox, &server, arguments, 4).contains("in `own.lock`"), "{arguments}");
    }
    good(&sandbox, "check --frozen");
}

#[test]
fn what_stands_beside_a_recipe_does_not_come_along() {
    let server = Server::new();
    let sandbox = sandbox(&server);
    sandbox.file(
        "base.toml",
        "root = \"root\"\nextends = \"lower.toml\"\nbinaries = [\"./bin/app\", \"server\"]\nvex = [\"a.json\"]\n",
    );
    let to = server.name("acme/base:1");
    let said = bad(&sandbox, &server, &format!("push --recipe base.toml {to}"), 2);
    assert_data_eq!(
        said,
        str![[r#"
error[E0113]: `lower.toml` is a path beside `base.toml`, which has no folder in a registry
 --> base.toml:2:11
  |
2 | extends = "lower.toml"
  |           ^^^^^^^^^^^^ relative
  |
  = help: name what the root has, or `docker://NAME` under `extends`; what is beside a recipe belongs into that recipe

"#]]
    );
    sandbox.file("base.toml", "root = \"root\"\nbinaries = [\"./bin/app\", \"server\"]\nvex = [\"a.json\"]\n");
    let said = bad(&sandbox, &server, &format!("push --recipe base.toml {to}"), 2);
    for (place, text) in [("1:8", "root"), ("2:13", "./bin/app"), ("3:8", "a.json")] {
        assert!(said.contains(&format!("--> base.toml:{place}\n")) && said.contains(&format!("`{text}` is a path")));
    }
    assert!(server.seen("PUT", "").is_empty(), "nothing was sent");
    // Somebody else's program may push it all the same.
    sandbox.file("base.toml", BASE);
    publish(&sandbox, &server, "base.toml");
    let text = "binaries = [\"./bin/app\"]\n".to_owned() + &"#".repeat(BASE.len() - 25);
    for blob in server.state().blobs.values_mut().filter(|blob| *blob == BASE.as_bytes()) {
        *blob = text.clone().into_bytes();
    }
    assert!(bad(&sandbox, &server, "check app.toml", 1).contains("E0605"), "other bytes than the digest says");
}

#[test]
fn what_is_no_recipe_is_refused_with_its_place() {
    let server = Server::new();
    let sandbox = sandbox(&server);
    let told = |says: &str, code: i32| {
        let said = bad(&sandbox, &server, "check app.toml", code);
        assert!(said.contains(says) && said.contains("--> app.toml:2:11\n"), "{says}:\n{said}");
    };
    told("error[E0603]", 1);
    // An image.
    sandbox.file("local.toml", "root = \"root\"\nbinaries = [\"server\"]\n");
    good(&sandbox, &format!("build local.toml --no-fsync -o {}", server.name("acme/base:1")));
    told("error[E0605]: `docker://[HOST]/acme/base:1` is no recipe: it is an image", 1);
    publish(&sandbox, &server, "base.toml");
    let place = ("acme/base".to_owned(), "1".to_owned());
    let (kind, manifest) = server.state().manifests[&place].clone();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut document: Value = serde_json::from_slice(&manifest).unwrap();
        change(&mut document);
        server.state().manifests.insert(place.clone(), (kind.clone(), document.to_string().into_bytes()));
    };
    with(&|document| document["layers"][0]["size"] = (5 << 20).into());
    told("its file has 5242880 bytes, and a recipe at most 1048576", 1);
    with(&|document| document["layers"] = Value::Array(Vec::new()));
    told("it holds not one file", 1);
    with(&|document| document["artifactType"] = "text/html".into());
    told("it is of the type `text/html`", 1);
    // Circles, and names without a tag.
    sandbox.file("base.toml", format!("extends = \"{}\"\n", server.name("acme/base:1")));
    publish(&sandbox, &server, "base.toml");
    let said = bad(&sandbox, &server, "check app.toml", 2);
    assert!(said.contains("error[E0108]: `extends` goes in a circle"), "{said}");
    sandbox.file("app.toml", format!("root = \"root\"\nextends = \"{}\"\n", server.name("acme/base")));
    told("error[E0609]: `docker://[HOST]/acme/base` needs a tag or a digest", 2);
    // A mistake in the text has its place there.
    sandbox.file("app.toml", format!("root = \"root\"\nextends = \"{}\"\n", server.name("acme/base:1")));
    sandbox.file("base.toml", "binaries = [\"absent\"]\n");
    publish(&sandbox, &server, "base.toml");
    let said = bad(&sandbox, &server, "check app.toml", 1);
    assert!(said.contains("--> docker://[HOST]/acme/base:1:1:13"), "{said}");
    // A registry that is slow to wake is asked again.
    sandbox.file("base.toml", BASE);
    publish(&sandbox, &server, "base.toml");
    server.plan("GET", "/acme/base/manifests/1", 1, Fault::Answer(503, vec![("Retry-After", "0".to_owned())]));
    good(&sandbox, "check app.toml");
}

#[test]
fn a_policy_of_a_registry_is_laid_over_recipes() {
    let server = Server::new();
    let sandbox = sandbox(&server);
    sandbox.file("app.toml", "root = \"root\"\nbinaries = [\"server\"]\n");
    sandbox.file("floor.toml", "[policy]\nmax-files = 1\n");
    let to = server.name("acme/policy:1");
    let pushed = good(&sandbox, &format!("push --recipe floor.toml {to}")).stdout;
    good(&sandbox, "check app.toml");
    let said = bad(&sandbox, &server, &format!("check app.toml --policy {to}"), 3);
    assert!(said.contains("E0313") && said.contains("docker://[HOST]/acme/policy:1"), "{said}");
    let by_digest = format!("docker://{}", pushed.trim_end());
    for arguments in ["check app.toml", "build app.toml --no-fsync"] {
        let run = sandbox.run_with(&arguments.split(' ').collect::<Vec<_>>(), |command| {
            command.env("MKIMAGE_POLICY", &by_digest);
        });
        assert_eq!(run.code, 3, "{}", run.stderr);
    }
    let said = bad(&sandbox, &server, &format!("check app.toml --policy {}", server.name("acme/none:1")), 1);
    assert!(said.contains("error[E0603]"), "{said}");
}

#[test]
fn the_lock_file_holds_the_digest_of_a_policy() {
    let server = Server::new();
    let sandbox = sandbox(&server);
    sandbox
        .file("app.toml", "root = \"root\"\nbinaries = [\"server\"]\n")
        .file("floor.toml", "[policy]\nmax-files = 1000\n");
    let to = server.name("acme/policy:1");
    let pushed = good(&sandbox, &format!("push --recipe floor.toml {to}")).stdout;
    good(&sandbox, "lock app.toml");
    let unlocked = std::fs::read_to_string(sandbox.at("mkimage.lock")).unwrap();
    assert!(!unlocked.contains("[policies]"));
    // One that nobody locked is taken as it is.
    good(&sandbox, &format!("check app.toml --locked --policy {to}"));
    good(&sandbox, &format!("lock app.toml --policy {to}"));
    let lock = std::fs::read_to_string(sandbox.at("mkimage.lock")).unwrap();
    let first = pushed.trim_end().rsplit('@').next().unwrap();
    assert!(lock.contains(&format!("\n[policies]\n\"{to}\" = \"{first}\"\n")), "{lock}");
    good(&sandbox, "lock app.toml");
    assert_eq!(std::fs::read_to_string(sandbox.at("mkimage.lock")).unwrap(), lock, "without a policy it stays");
    sandbox.file("floor.toml", "[policy]\nmax-files = 1\n");
    good(&sandbox, &format!("push --recipe floor.toml {to}"));
    bad(&sandbox, &server, &format!("check app.toml --policy {to}"), 3);
    let said = bad(&sandbox, &server, &format!("check app.toml --locked --policy {to}"), 4);
    assert!(said.starts_with("error[E0401]: `docker://[HOST]/acme/policy:1` is sha256:"), "{said}");
    assert!(said.contains("`mkimage lock --policy docker://[HOST]/acme/policy:1` accepts it"), "{said}");
    good(&sandbox, &format!("check app.toml --frozen --policy {to}"));
}
