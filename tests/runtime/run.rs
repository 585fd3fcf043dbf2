//! `mkimage run` and `mkimage test --engine`: programs of images started here, and a recipe's tests in real engines.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::call::{Call, Ended};
use crate::engine::Engine;
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test { name: "run_passes_exit_code_and_streams_on", needs: &["runc", "busybox"], run: streams },
    Test { name: "run_passes_signals_on", needs: &["runc", "busybox"], run: signals },
    Test { name: "run_confines_the_program", needs: &["runc", "busybox"], run: confined },
    Test { name: "run_mounts_what_is_asked_for", needs: &["runc", "busybox"], run: volumes },
    Test { name: "run_needs_no_root", needs: &["bwrap", "busybox", "setpriv"], run: without_root },
    Test { name: "run_says_that_namespaces_are_denied", needs: &["bwrap", "busybox", "setpriv"], run: denied },
    Test {
        name: "recipes_pass_their_tests_in_podman",
        needs: &["podman", "runc", "nginx", "redis-server", "python3.11"],
        run: |workshop| recipes(workshop, workshop.podman(), "podman"),
    },
    Test {
        name: "recipes_pass_their_tests_in_docker",
        needs: &["dockerd", "nginx", "redis-server", "python3.11"],
        run: |workshop| recipes(workshop, workshop.docker(), "docker"),
    },
];

/// A shell in an image: what it is asked to do is what the image's program does.
fn shell(workshop: &Workshop, name: &str) -> String {
    let text = format!(
        "name = \"company/{name}\"\nbinaries = [\"/usr/bin/busybox\"]\nextras = [\"busybox\"]\n\
         entrypoint = [\"/usr/bin/busybox\", \"sh\", \"-c\"]\n[policy]\nshell = \"allow\"\n"
    );
    workshop.write(&format!("{name}.toml"), &text);
    format!("{name}.toml")
}

fn run(workshop: &Workshop, recipe: &str, options: &[&str], script: &str) -> Ended {
    workshop.mkimage().args(["run", recipe]).args(options).args(["--", script]).input("given").ended()
}

#[track_caller]
fn text(ended: &Ended) -> String {
    assert!(ended.success, "{}", ended.report());
    ended.stdout.trim().to_owned()
}

fn streams(workshop: &Workshop) {
    let recipe = shell(workshop, "run-streams");
    let ended = run(workshop, &recipe, &[], "cat; echo wrong >&2; exit 7");
    assert_eq!(ended.stdout, "given", "{}", ended.report());
    assert!(ended.stderr.contains("wrong\n"), "{}", ended.report());
    let code = |script: &str| {
        let line = format!("'{}' run {recipe} -- '{script}'; echo code $?", workshop.program().display());
        let call = Call::new("sh").folder(&workshop.path("recipes")).args(["-c", &line]);
        call.env("MKIMAGE_CACHE_DIR", workshop.path("cache")).text().lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(code("exit 7"), "code 7");
    // A program that is not there is not started.
    let line = ["run", recipe.as_str(), "--entrypoint", "/usr/bin/absent"];
    let ended = workshop.mkimage().args(line).ended();
    assert!(ended.stderr.contains("error[E0282]: `/usr/bin/absent` is no program of the image"), "{}", ended.report());
}

fn signals(workshop: &Workshop) {
    let recipe = shell(workshop, "run-signals");
    let script = "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
    let mut child = Command::new(workshop.program())
        .args(["run", &recipe, "--", script])
        .current_dir(workshop.path("recipes"))
        .env("MKIMAGE_CACHE_DIR", workshop.path("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("mkimage is there");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut line = || lines.next().and_then(Result::ok).unwrap_or_default();
    assert_eq!(line(), "ready");
    // The program may write before its runtime has told mkimage its number: until then signals are kept for it.
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert_eq!(line(), "told");
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
}

fn confined(workshop: &Workshop) {
    let recipe = shell(workshop, "run-confined");
    assert_eq!(text(&run(workshop, &recipe, &[], "id -u; id -g")), "65532\n65532");
    assert_eq!(text(&run(workshop, &recipe, &["--user", "1234:5678"], "id -u; id -g")), "1234\n5678");
    let refused = run(workshop, &recipe, &["--user", "0"], "echo x > /usr/bin/new");
    assert!(!refused.success && refused.stderr.contains("Read-only file system"), "{}", refused.report());
    assert_eq!(text(&run(workshop, &recipe, &[], "echo x > /tmp/new && cat /tmp/new")), "x");
    let devices = "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '";
    assert_eq!(text(&run(workshop, &recipe, &["--network", "none"], devices)), "lo");
    // Its processes are its own, and root of the image has no capability.
    assert_eq!(text(&run(workshop, &recipe, &[], "echo $$")), "1");
    let capabilities = text(&run(workshop, &recipe, &["--user", "0"], "grep CapEff /proc/self/status"));
    assert!(capabilities.ends_with("0000000000000000"), "{capabilities}");
}

fn volumes(workshop: &Workshop) {
    let recipe = shell(workshop, "run-volumes");
    let folder = workshop.make_folder("run-data");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("it is ours");
    fs::write(folder.join("given"), "from here\n").expect("it is ours");
    let volume = format!("{}:/srv/data", folder.display());
    let seen = text(&run(workshop, &recipe, &["--volume", &volume], "cat /srv/data/given; echo x > /srv/data/made"));
    assert_eq!(seen, "from here");
    assert_eq!(fs::read_to_string(folder.join("made")).expect("the program made it"), "x\n");
    let refused = run(workshop, &recipe, &["--volume", &format!("{volume}:ro")], "echo y > /srv/data/made");
    assert!(!refused.success && refused.stderr.contains("Read-only file system"), "{}", refused.report());
}

/// A user without a name, so that nothing is mapped for it but itself.
fn as_nobody(workshop: &Workshop, name: &str) -> (Call, String) {
    let recipe = shell(workshop, name);
    let home = workshop.make_folder(&format!("{name}-home"));
    fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let call = Call::new("setpriv").args(["--reuid", "1000", "--regid", "1000", "--clear-groups"]);
    let call = call.env("MKIMAGE_CACHE_DIR", home.join("cache")).env("TMPDIR", &home);
    (call.folder(&workshop.path("recipes")), recipe)
}

fn without_root(workshop: &Workshop) {
    let (call, recipe) = as_nobody(workshop, "run-nobody");
    let script = "id -u; id -g; echo x > /tmp/x; echo x 2>&1 > /usr/x; exit 4";
    let ended = call.arg(workshop.program()).args(["run", &recipe, "--", script]).ended();
    assert!(!ended.success && ended.stdout.starts_with("65532\n65532\n"), "{}", ended.report());
    assert!(ended.stderr.contains("only one user is mapped here"), "{}", ended.report());
}

/// In a namespace whose users may make no other.
fn denied(workshop: &Workshop) {
    let (call, recipe) = as_nobody(workshop, "run-denied");
    let around =
        ["bwrap", "--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000", "--dev-bind", "/", "/"];
    let ended = call.args(around).arg(workshop.program()).args(["run", &recipe, "--", "true"]).ended();
    assert!(!ended.success && ended.stderr.contains("error[E0278]: "), "{}", ended.report());
    assert!(ended.stderr.contains("max_user_namespaces"), "{}", ended.report());
}

/// Tests that ask a service over its network, with clients and folders that are written to, and one that only runs.
fn recipes(workshop: &Workshop, engine: &Engine, name: &str) {
    let test = |recipe: &str| {
        let path = workshop.program().display().to_string();
        let call = engine.beside(path).folder(&workshop.path("recipes"));
        let call = call.env("MKIMAGE_CACHE_DIR", workshop.path("cache"));
        call.args(["test", recipe, "--require", "--format=tap", "--engine", name]).ended()
    };
    for recipe in ["hello.toml", "nginx.toml", "redis.toml", "python.toml"] {
        let ended = test(recipe);
        assert!(ended.success && ended.stdout.contains("\nok 1 - "), "{}", ended.report());
    }
    let wrong = "extends = \"nginx.toml\"\nname = \"company/web\"\n[[test]]\nname = \"has another page\"\n\
                http = { path = \"/absent\", status = 200 }\n";
    workshop.write(&format!("wrong-{name}.toml"), wrong);
    let ended = test(&format!("wrong-{name}.toml"));
    assert!(!ended.success && ended.stdout.contains("answers 404, not 200"), "{}", ended.report());
    // Nothing of it is left behind.
    let left = engine.call(["images", "--quiet", "localhost/mkimage-test"]).text();
    assert_eq!(left, "");
    let left = engine.call(["ps", "--all", "--quiet", "--filter", "name=^mkimage-"]).text();
    assert_eq!(left, "");
}
