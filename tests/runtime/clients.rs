//! Programs that ask others: over https against a server whose certificate a company's root has signed, over ssh, or
//! alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::call::Call;
use crate::engine::{Container, Engine};
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test { name: "git_clones_over_https", needs: &["podman", "runc", "git", "python3.11", "openssl"], run: git },
    Test { name: "curl_fetches_over_https", needs: &["podman", "runc", "curl", "python3.11", "openssl"], run: curl },
    Test { name: "ssh_runs_a_command_elsewhere", needs: &["podman", "runc", "ssh", "sshd", "busybox"], run: ssh },
    Test { name: "sqlite3_answers_a_query", needs: &["podman", "runc", "sqlite3"], run: sqlite3 },
    Test {
        name: "toolbox_looks_into_another_container",
        needs: &["podman", "runc", "busybox", "memcached"],
        run: toolbox,
    },
    Test { name: "hello_sums_a_file", needs: &["podman", "runc"], run: |workshop| hello(workshop, workshop.podman()) },
    Test {
        name: "hello_sums_a_file_in_docker",
        needs: &["dockerd"],
        run: |workshop| hello(workshop, workshop.docker()),
    },
];

/// A recipe like another one but for the company's root, which comes into the same bundle.
fn with_company_root(workshop: &Workshop, recipe: &str) -> String {
    workshop.tls();
    let name = format!("{recipe}-with-root");
    let text =
        format!("extends = \"{recipe}.toml\"\nname = \"company/{recipe}\"\n[certificates]\nadd = [\"ca.pem\"]\n");
    workshop.write(&format!("{name}.toml"), &text);
    name
}

/// A Git server over https, made from two recipes of `recipes/` and a program of 40 lines.
fn git_server<'a>(workshop: &'a Workshop, engine: &'a Engine) -> Container<'a> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runtime/git_server.py");
    fs::copy(program, workshop.path("recipes/git_server.py")).expect("both folders are there");
    workshop.write(
        "git-server.toml",
        "extends = [\"python.toml\", \"git.toml\"]\nname = \"company/git-server\"\n\
         files = [{ from = \"git_server.py\", to = \"/app/git_server.py\" }]\n\
         entrypoint = [\"/usr/bin/python3.11\", \"/app/git_server.py\"]\ncmd = []\n",
    );
    let mounts = [
        format!("--volume={}:/tls:ro", workshop.tls().display()),
        format!("--volume={}:/srv/project.git:ro", repository(workshop).display()),
    ];
    let server = engine.start(&workshop.image(engine, "git-server"), &[&mounts[0], &mounts[1]], &[]);
    server.wait_for("listening");
    server
}

/// A bare repository with one commit.
fn repository(workshop: &Workshop) -> PathBuf {
    let (work, bare) = (workshop.make_folder("project"), workshop.path("project.git"));
    let git = |args: &[&str]| {
        let who = ["-c", "user.name=A", "-c", "user.email=a@example", "-c", "init.defaultBranch=main"];
        Call::new("git").bare().env("HOME", &work).folder(&work).args(who).args(args).text()
    };
    git(&["init", "--quiet"]);
    fs::write(work.join("README"), "a project\n").expect("the folder is ours");
    git(&["add", "README"]);
    git(&["commit", "--quiet", "--message", "The first commit"]);
    git(&["clone", "--quiet", "--bare", ".", &bare.to_string_lossy()]);
    bare
}

fn git(workshop: &Workshop) {
    let engine = workshop.podman();
    let server = git_server(workshop, engine);
    let client = workshop.image(engine, &with_company_root(workshop, "git"));
    engine.volume("work");
    let url = "https://localhost:8443/project.git";
    server.client(&client, &["--volume=work:/work"], &["clone", url]).text();
    let log = engine.once(&client, &["--volume=work:/work"], &["-C", "project", "log", "--format=%s", "--", "README"]);
    assert_eq!(log.text(), "The first commit");

    let refused = server.client(&workshop.image(engine, "git"), &["--tmpfs=/work"], &["ls-remote", url]).ended();
    assert!(!refused.success && refused.stderr.contains("certificate verification failed"), "{}", refused.report());
}

fn curl(workshop: &Workshop) {
    let engine = workshop.podman();
    let mount = format!("--volume={}:/tls:ro", workshop.tls().display());
    let serve = ["serve", "--port=8443", "--cert=/tls/server.pem", "--key=/tls/server.key"];
    let server = engine.start(&workshop.image(engine, "python"), &[&mount], &serve);
    server.wait_for("listening");
    let url = "https://localhost:8443/some/path";
    let client = workshop.image(engine, &with_company_root(workshop, "curl"));
    let answer = server.client(&client, &[], &["--silent", "--show-error", "--fail", url]).text();
    assert!(answer.contains("\"path\": \"/some/path\""), "{answer}");

    let refused = server.client(&workshop.image(engine, "curl"), &[], &["--silent", "--show-error", url]).ended();
    assert!(refused.stderr.contains("curl: (60)"), "{}", refused.report());
}

/// Against Debian's sshd in an image of its own, as the user that it lets in: it needs no root for that.
fn ssh(workshop: &Workshop) {
    let engine = workshop.podman();
    workshop.write(
        "sshd.toml",
        "name = \"company/sshd\"\nbinaries = [\"/usr/sbin/sshd\"]\nextras = [\"busybox\"]\nuser = \"worker\"\n\
         entrypoint = [\"/usr/sbin/sshd\", \"-D\", \"-e\", \"-f\", \"/etc/sshd_config\"]\n\
         [[files]]\nto = \"/etc/sshd_config\"\ncontent = \"\"\"\nPort 2222\nHostKey /keys/host\n\
         AuthorizedKeysFile /keys/client.pub\nStrictModes no\nPidFile none\n\"\"\"\n\
         [users]\nworker = { uid = 1000, home = \"/tmp\", shell = \"/bin/sh\" }\n[policy]\nshell = \"allow\"\n",
    );
    let keys = workshop.make_folder("keys");
    for name in ["host", "client"] {
        Call::new("ssh-keygen").folder(&keys).args(["-q", "-t", "ed25519", "-N", "", "-f", name]).text();
        // The programs only mind who else can read a key that is their own user's.
        fs::set_permissions(keys.join(name), fs::Permissions::from_mode(0o644)).expect("the key is ours");
    }
    let mount = format!("--volume={}:/keys:ro", keys.display());
    let server = engine.start(&workshop.image(engine, "sshd"), &[&mount], &[]);
    server.wait_for("Server listening on");
    let options = ["-i", "/keys/client", "-p", "2222", "-o", "StrictHostKeyChecking=accept-new"];
    let target = ["-o", "UserKnownHostsFile=/tmp/known_hosts", "worker@127.0.0.1", "id -un; cat /etc/debian_version"];
    let args: Vec<&str> = options.into_iter().chain(target).collect();
    let answer = server.client(&workshop.image(engine, "ssh"), &[&mount], &args).text();
    let release = fs::read_to_string("/etc/debian_version").expect("the tests run on Debian");
    assert_eq!(answer, format!("worker\n{}", release.trim()));
}

fn sqlite3(workshop: &Workshop) {
    let engine = workshop.podman();
    let image = workshop.image(engine, "sqlite3");
    engine.volume("database");
    let sql = |text: &str| engine.once(&image, &["--volume=database:/data"], &["shop.db"]).input(text).text();
    sql("create table orders(id integer primary key, price real);\ninsert into orders(price) values (1.5), (2.5);\n");
    assert_eq!(sql("select count(*), sum(price) from orders;\n"), "2|4.0");
}

/// As `kubectl debug --target` does it: the same network and the same processes.
fn toolbox(workshop: &Workshop) {
    let engine = workshop.podman();
    let image = workshop.image(engine, "toolbox");
    let server = engine.start(&workshop.image(engine, "memcached"), &[], &[]);
    let pid = format!("--pid=container:{}", server.id());
    let look = "id -u; ps -o args; netstat -ltn; echo $TERM";
    let seen = server.client(&image, &[&pid], &["/bin/sh", "-c", look]).text();
    for word in ["65532", "/usr/bin/memcached", ":11211"] {
        assert!(seen.contains(word), "`{word}` in {seen}");
    }
}

fn hello(workshop: &Workshop, engine: &Engine) {
    let sum = engine.once(&workshop.image(engine, "hello"), &[], &[]).text();
    let wanted = Call::new("sha256sum").arg("/etc/os-release").text();
    assert_eq!(sum, wanted, "the image has the os-release of the source");
}
