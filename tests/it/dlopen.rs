//! Libraries that objects name, as `check` lists them and the policy judges them; what a build reads of ELF files.

use mkimage::closure::{Headers, Options, Wanted, close_sharing};

use crate::sandbox::Sandbox;
use crate::support::elf::Elf;
use crate::support::root::{GLIBC, Root};

/// A root with a program that imports `dlopen` and names four libraries: two that the image has, one that only the root
/// has, and one that nobody has.
fn root() -> Root {
    let root = Root::glibc(
        "/usr/lib/x86_64-linux-gnu/libnear.so.1 library
         /usr/lib/x86_64-linux-gnu/libasked.so.1 library
         /opt/plugins/libfile.so.3 library
         /etc/os-release file ID=debian\\nVERSION_ID=12\\n",
    );
    let mut app = Elf::program(GLIBC).with(crate::support::elf::NEEDED, "libc.so.6");
    app.symbols = vec!["-dlopen".to_owned()];
    app.data = b"\0libasked.so.1\0libfile.so.3\0libnear.so.1\0libgone.so.2\0libc.so.6\0".to_vec();
    root.file("/usr/bin/app", &app.write(), 0o755);
    root
}

fn run(root: &Root, policy: &str, args: &[&str]) -> crate::sandbox::Run {
    let sandbox = Sandbox::new();
    let recipe =
        "binaries = [{ from = \"/usr/bin/app\", dlopen = [\"libasked.so.1\"] }]\nfiles = [\"/opt/plugins/\"]\n";
    sandbox.file("r.toml", format!("{recipe}{policy}"));
    let host = root.host("/");
    sandbox.run(&[args, &["r.toml", "--root", host.to_str().unwrap()]].concat())
}

#[test]
fn check_lists_who_has_what_is_named() {
    let run = run(&root(), "", &["check", "--format", "json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let object = &found["images"][0]["dlopen"][0];
    assert_eq!(object["object"], "/usr/bin/app");
    assert_eq!(object["imports"][0], "dlopen");
    let names = object["names"].as_array().unwrap().iter();
    let names: Vec<String> = names.map(|it| format!("{} {} {}", it["name"], it["standing"], it["because"])).collect();
    let expected = [
        r#""libasked.so.1" "image" "recipe""#,
        r#""libfile.so.3" "image" "recipe""#,
        r#""libgone.so.2" "nowhere" null"#,
        r#""libnear.so.1" "root" null"#,
    ];
    assert_eq!(names, expected);
    let hardened = found["images"][0]["objects"].as_array().unwrap();
    let app = hardened.iter().find(|it| it["path"] == "/usr/bin/app").unwrap();
    assert_eq!((&app["kind"], &app["relro"], &app["canary"]), (&"pie".into(), &"none".into(), &false.into()));
    assert_eq!(found["images"][0]["processes"][0]["path"], "/usr/bin/app");
}

#[test]
fn the_end_of_a_path_is_a_file_of_that_name() {
    let root = root();
    root.line("/opt/plugins/sub/libend.so library");
    root.line("/usr/lib/libroot.so library");
    root.line("/opt/plugins/libroot.so library");
    let mut app = Elf::program(GLIBC).with(crate::support::elf::NEEDED, "libc.so.6");
    app.symbols = vec!["-dlopen".to_owned()];
    app.data = b"\0/libend.so\0/sub/libend.so\0/other/libend.so\0/usr/lib/libroot.so\0".to_vec();
    root.file("/usr/bin/app", &app.write(), 0o755);
    let run = run(&root, "", &["check", "--format", "json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let names = found["images"][0]["dlopen"][0]["names"].as_array().unwrap().iter();
    let names: Vec<String> = names.map(|it| format!("{} {}", it["name"], it["standing"])).collect();
    let expected = [
        r#""/libend.so" "image""#,
        r#""/other/libend.so" "nowhere""#,
        r#""/sub/libend.so" "image""#,
        r#""/usr/lib/libroot.so" "root""#,
    ];
    assert_eq!(names, expected);
}

#[test]
fn what_is_not_explained_is_denied_until_it_is_brought_or_ignored() {
    let root = root();
    let denied = run(&root, "[policy]\ndlopen = \"deny\"\n", &["check"]);
    assert_eq!(denied.code, 3, "{}", denied.stderr);
    for line in [
        "error[E0319]: `libgone.so.2` is named for loading, and the image does not have it",
        "error[E0319]: `libnear.so.1` is named for loading, and the image does not have it",
        "= note: the root does not have it either",
        "= note: the root has /usr/lib/x86_64-linux-gnu/libnear.so.1",
    ] {
        assert!(denied.stderr.contains(line), "{line} is not in\n{}", denied.stderr);
    }
    assert_eq!(denied.stderr.matches("E0319").count(), 2, "{}", denied.stderr);
    let policy = "libraries = [\"libnear.so.1\"]\n[policy]\ndlopen = \"deny\"\n[policy.ignore-dlopen]\n\
        \"libgone.so.2\" = \"only with --gone\"\n\"libother.so.9\" = \"nobody\"\n";
    let kept = run(&root, policy, &["check", "-v"]);
    assert_eq!(kept.code, 0, "{}", kept.stderr);
    assert!(kept.stderr.contains("ignored: only with --gone"), "{}", kept.stderr);
    let note = "`libother.so.9` is ignored, and no object of the image names it";
    assert!(kept.stderr.contains(note), "{}", kept.stderr);
    let built = run(&root, policy, &["build", "-o", "rootfs:out"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
}

#[test]
fn files_are_read_once_for_all_closures() {
    let (root, headers) = (root(), Headers::default());
    let source = root.source();
    let wanted = [Wanted { dlopen: vec![b"libnear.so.1".to_vec()], ..Wanted::program("/usr/bin/app") }];
    let first = close_sharing(&source, &wanted, &Options::default(), &headers);
    assert_eq!((first.files_read, headers.files_read()), (4, 4), "the program, its loader, libc and what it dlopens");
    let again = close_sharing(&root.source(), &wanted, &Options::default(), &headers);
    assert_eq!((again.files_read, again.bytes_read), (0, 0));
    assert_eq!(again.resolutions[0].objects.len(), first.resolutions[0].objects.len());
}

#[test]
fn figures_are_told_on_request() {
    let root = root();
    for command in [&["check", "-vv"][..], &["build", "-vv", "-o", "rootfs:out"]] {
        let told = run(&root, "", command);
        let line = told.stderr.lines().find(|line| line.starts_with("closure: ")).unwrap_or_default();
        // The program, the loader, libc and the libraries; `check` looks for one more in the root.
        let (files, bytes) = line["closure: ".len()..].split_once(" files looked into, ").unwrap();
        assert!((5..=6).contains(&files.parse::<usize>().unwrap()), "{line}");
        assert!(bytes.ends_with(" read"), "{line}");
    }
}

#[test]
fn hardening_is_a_table() {
    let run = run(&root(), "", &["check", "--hardening"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let head = run.stdout.lines().next().unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(head, ["kind", "RELRO", "stack", "canary", "fortified", "features", "remarks", "path"]);
    assert!(run.stdout.contains("protection of whole processes"), "{}", run.stdout);
}

#[test]
fn an_image_that_was_written_is_looked_at_again() {
    let (root, sandbox) = (root(), Sandbox::new());
    sandbox.file("r.toml", "binaries = [\"/usr/bin/app\"]\n");
    let built = sandbox.run(&["build", "r.toml", "--root", root.host("/").to_str().unwrap(), "-o", "a.tar"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let run = sandbox.run(&["inspect", "a.tar", "--hardening", "--format", "json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let paths: Vec<&str> =
        found["images"][0]["objects"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert!(paths.contains(&"/usr/bin/app") && paths.contains(&"/usr/lib/x86_64-linux-gnu/libc.so.6"), "{paths:?}");
    let processes = found["images"][0]["processes"].as_array().unwrap();
    let app = processes.iter().find(|it| it["path"] == "/usr/bin/app").unwrap();
    assert_eq!(app["objects"], 3, "the program, its loader and libc: {app}");
}
