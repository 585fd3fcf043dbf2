//! Many recipes in one run: the same images as one by one, in the order of the command line, each for itself.

use crate::sandbox::Sandbox;
use crate::support::root::Root;

/// A root with two libraries and three programs, known to a package database.
fn root() -> Root {
    Root::glibc(
        r"
        /usr/lib/x86_64-linux-gnu/liba.so.1 library libc.so.6
        /usr/lib/x86_64-linux-gnu/libb.so.1 library libc.so.6
        /usr/bin/one program liba.so.1 libc.so.6
        /usr/bin/two program liba.so.1 libb.so.1 libc.so.6
        /usr/bin/three program libc.so.6
        /etc/os-release file ID=debian
        /var/lib/dpkg/status file Package: liba\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\n\nPackage: tools\nStatus: install ok installed\nVersion: 2\nArchitecture: amd64\n
        /var/lib/dpkg/info/liba:amd64.list file /lib/x86_64-linux-gnu/liba.so.1\n/usr/share/doc/liba/copyright\n
        /var/lib/dpkg/info/tools.list file /usr/bin/one\n/bin/two\n/usr/bin/three\n
        /usr/share/doc/liba/copyright file free",
    )
}

/// Recipes of the three programs, in a sandbox.
fn recipes() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["one", "two", "three"] {
        sandbox.file(&format!("{name}.toml"), format!("binaries = [\"{name}\"]\n"));
    }
    sandbox
}

#[test]
fn many_recipes_give_what_each_gives_alone() {
    let (root, sandbox) = (root(), recipes());
    let root = root.host("/").into_os_string().into_string().unwrap();
    let build = |recipes: &[&str]| {
        let run = sandbox.run(&[&["build", "--root", &root, "--no-fsync"], recipes].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.stdout
    };
    let alone: String = ["two.toml", "one.toml", "three.toml"].map(|name| build(&[name])).concat();
    assert!(alone.contains("one@sha256:") && alone.lines().count() == 3, "{alone}");
    let inspected = sandbox.run(&["inspect", "--files", "two.oci"]);
    assert!(inspected.stdout.contains("/var/lib/dpkg/status.d/tools"), "{}", inspected.stdout);
    assert!(inspected.stdout.contains("/var/lib/dpkg/status.d/liba"), "{}", inspected.stdout);
    for jobs in ["1", "2", "7"] {
        for name in ["one", "two", "three"] {
            std::fs::remove_dir_all(sandbox.at(&format!("{name}.oci"))).unwrap();
        }
        assert_eq!(build(&["-j", jobs, "two.toml", "one.toml", "three.toml"]), alone, "with -j {jobs}");
        let verified = sandbox.run(&["verify", "one.oci", "two.oci", "three.oci"]);
        assert_eq!(verified.code, 0, "{}", verified.stderr);
    }
}

#[test]
fn images_of_one_layout_are_listed_in_the_order_of_the_command_line() {
    let (root, sandbox) = (root(), recipes());
    let root = root.host("/").into_os_string().into_string().unwrap();
    let mut indexes = Vec::new();
    for (jobs, layout) in [("1", "oci:a"), ("6", "oci:b")] {
        let tags = ["two", "one", "three"].map(|name| format!("{name}.toml"));
        for name in ["one", "two", "three"] {
            sandbox.file(&format!("{name}.toml"), format!("binaries = [\"{name}\"]\ntags = [\"{name}\"]\n"));
        }
        let fixed = ["build", "--root", &root, "--no-fsync", "-j", jobs, "-o", layout];
        let run = sandbox.run(&[fixed.as_slice(), &tags.each_ref().map(String::as_str)].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        indexes.push(std::fs::read_to_string(sandbox.at(&layout[4..]).join("index.json")).unwrap());
    }
    assert_eq!(indexes[0], indexes[1]);
    let places = ["\"two\"", "\"one\"", "\"three\""].map(|name| indexes[0].find(name).unwrap());
    assert!(places.is_sorted(), "{}", indexes[0]);
}

#[test]
fn a_recipe_that_fails_leaves_the_others_and_its_own_output_alone() {
    let (root, sandbox) = (root(), recipes());
    let root = root.host("/").into_os_string().into_string().unwrap();
    let before = sandbox.run(&["build", "two.toml", "--root", &root, "--no-fsync"]);
    assert_eq!(before.code, 0, "{}", before.stderr);
    let index = std::fs::read(sandbox.at("two.oci/index.json")).unwrap();
    sandbox
        .file("two.toml", "binaries = [\"nothing\"]\n")
        .file("bad.toml", "binaries = [\"one\"]\nfiles = [\"/none\"]\n");
    let run = sandbox.run(&["build", "two.toml", "one.toml", "bad.toml", "three.toml", "--root", &root, "--no-fsync"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let names: Vec<&str> = run.stdout.lines().filter_map(|line| line.split('@').next()).collect();
    assert_eq!(names, ["one", "three"]);
    let errors = ["program `nothing` is not on PATH", "`/none` is not there"].map(|title| run.stderr.find(title));
    assert!(errors[0].is_some() && errors[0] < errors[1], "{}", run.stderr);
    assert_eq!(std::fs::read(sandbox.at("two.oci/index.json")).unwrap(), index);
    assert!(!sandbox.at("bad.oci").exists());
    assert_eq!(sandbox.run(&["verify", "one.oci", "two.oci", "three.oci"]).code, 0);
    let left: Vec<String> = sandbox.names("").into_iter().filter(|name| name.contains(".tmp.")).collect();
    assert_eq!(left, Vec::<String>::new());
}
