//! Many recipes in one run: the same images as one by one, in the order of the command line, each for itself.

use md5::Digest as _;

use crate::registry_server::Server;
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
fn an_image_is_the_same_with_a_debug_twin_and_without() {
    // The shell needs another library of the package that the program needs one of, so that the package's records
    // differ.
    let root = Root::glibc(
        r"
        /usr/lib/x86_64-linux-gnu/liba.so.1 library libc.so.6
        /usr/lib/x86_64-linux-gnu/libb.so.1 library libc.so.6
        /usr/bin/one program liba.so.1 libc.so.6
        /usr/bin/busybox program libb.so.1 libc.so.6
        /etc/os-release file ID=debian
        /var/lib/dpkg/status file Package: libs\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n
        /var/lib/dpkg/info/libs.list file /usr/lib/x86_64-linux-gnu/liba.so.1\n/usr/lib/x86_64-linux-gnu/libb.so.1\n",
    );
    let sum = |name: &str| {
        let bytes = std::fs::read(root.host(&format!("/usr/lib/x86_64-linux-gnu/{name}"))).unwrap();
        let sum = md5::Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        format!("{sum}  usr/lib/x86_64-linux-gnu/{name}\n")
    };
    let sums = sum("liba.so.1") + &sum("libb.so.1");
    std::fs::write(root.host("/var/lib/dpkg/info/libs.md5sums"), sums).unwrap();
    let sandbox = recipes();
    sandbox.file("one.toml", "binaries = [\"one\"]\nsbom = [\"spdx\"]\n");
    let host = root.host("/").into_os_string().into_string().unwrap();
    let build = |more: &[&str]| {
        let run = sandbox.run(&[&["build", "--root", &host, "--no-fsync", "-o", "oci:out", "one.toml"], more].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.stdout.lines().map(|line| line.rsplit('@').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let plain = build(&[]);
    let both = build(&["--debug"]);
    assert_eq!(both.len(), 2);
    assert_eq!(both[0], plain[0], "the image itself");
    assert_eq!(build(&["--debug"]), both, "once more, from what is remembered");
    assert_eq!(build(&["--debug", "--no-cache"]), both);
    // The record of the package names in each what that one has.
    let record = |tag: &str| {
        let (folder, store) = (sandbox.at(tag), mkimage::oci::Store::open(&sandbox.at("out")).unwrap());
        std::fs::create_dir(&folder).unwrap();
        mkimage::run::unpack(&store.called(tag.to_owned()), None, &folder).unwrap();
        let text = std::fs::read_to_string(folder.join("var/lib/dpkg/status.d/libs.md5sums")).unwrap();
        ["liba", "libb"]
            .map(|name| text.contains(name) && folder.join(format!("usr/lib/x86_64-linux-gnu/{name}.so.1")).exists())
    };
    assert_eq!(record("latest"), [true, false]);
    assert_eq!(record("latest-debug"), [true, true]);
    let verified = sandbox.run(&["verify", "oci:out"]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
}

#[test]
fn a_tag_names_one_of_several_images_wherever_an_image_is_named() {
    let (root, sandbox, server) = (root(), recipes(), Server::new());
    let root = root.host("/").into_os_string().into_string().unwrap();
    for name in ["one", "two"] {
        sandbox.file(&format!("{name}.toml"), format!("binaries = [\"{name}\"]\ntags = [\"{name}\"]\n"));
    }
    let run = sandbox.run(&["build", "--root", &root, "-o", "oci:both", "one.toml", "two.toml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let digest_of_two = run.stdout.lines().nth(1).unwrap().split_once('@').unwrap().1.to_owned();
    let tags = |image: &str| {
        let inspected = sandbox.run(&["inspect", "--format", "json", image]);
        assert_eq!(inspected.code, 0, "{}", inspected.stderr);
        let document: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
        document["images"].as_array().unwrap().iter().map(|image| image["names"][0].clone()).collect::<Vec<_>>()
    };
    assert_eq!(tags("both"), ["one", "two"]);
    assert_eq!(tags("oci:both"), ["one", "two"]);
    assert_eq!(tags("oci:both:two"), ["two"]);
    let absent = sandbox.run(&["inspect", "oci:both:wo"]);
    assert!(absent.code == 1 && absent.stderr.contains("`both` has no image `wo`"), "{}", absent.stderr);

    let pushed = sandbox.run(&["push", "oci:both:two", &server.name("acme/tool:1")]);
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert!(pushed.stdout.ends_with(&format!("@{digest_of_two}\n")), "{}", pushed.stdout);
    let unclear = sandbox.run(&["push", "both", &server.name("acme/tool:2")]);
    assert!(unclear.code == 1 && unclear.stderr.contains("name one by its tag, `oci:both:TAG`"), "{}", unclear.stderr);

    // To be started or tested, too.
    let open = || mkimage::oci::Store::open(&sandbox.at("both")).unwrap();
    let unpacked = |store: &mkimage::oci::Store, folder: &str| {
        std::fs::create_dir(sandbox.at(folder)).unwrap();
        mkimage::run::unpack(store, None, &sandbox.at(folder)).map(|image| image.name)
    };
    assert_eq!(unpacked(&open().called("two".to_owned()), "files").ok().as_deref(), Some("two"));
    assert!(sandbox.at("files/usr/bin/two").is_file() && !sandbox.at("files/usr/bin/one").exists());
    let error = unpacked(&open(), "unclear").unwrap_err();
    assert_eq!(error.0[0].notes[0], "it has `one`, `two`");
}

/// A key that `openssl genpkey` wrote, and its public half.
const KEY: &str = include_str!("support/openssl.key");
const PUBLIC: &str = include_str!("support/openssl.pub");

#[test]
fn documents_of_the_images_of_one_layout_are_the_same_one_by_one_and_together() {
    let (root, sandbox) = (root(), recipes());
    sandbox.file("a.key", KEY).file("a.pub", PUBLIC);
    let root = root.host("/").into_os_string().into_string().unwrap();
    // The second time, each tag is another image: what was said of the first ones goes with them.
    for mode in ["0700", "0750"] {
        for name in ["one", "two", "three"] {
            let text = format!(
                "binaries = [\"{name}\"]\ntags = [\"{name}\"]\nsbom = [\"spdx\"]\nprovenance = true\n\
                 dirs = [{{ path = \"/srv\", mode = \"{mode}\" }}]\n"
            );
            sandbox.file(&format!("{name}.toml"), text);
        }
        let mut came = Vec::new();
        for (jobs, layout) in [("1", "a"), ("6", "b"), ("2", "c")] {
            let to = format!("oci:{layout}");
            let fixed = ["build", "--root", &root, "--sign-key", "a.key", "-j", jobs, "-o", &to];
            let args = [&fixed, ["two.toml", "one.toml", "three.toml"].as_slice()].concat();
            let cache: &[&str] = if layout == "c" { &["--cache-dir", "cache"] } else { &["--no-cache"] };
            let run = sandbox.run(&[&args, cache].concat());
            assert_eq!(run.code, 0, "{}", run.stderr);
            let beside = sandbox.at(&format!("{layout}.att"));
            if layout == "c" {
                // Recalled, with nothing there any more.
                std::fs::remove_dir_all(sandbox.at(layout)).unwrap();
                std::fs::remove_dir_all(&beside).unwrap();
                let again = sandbox.run(&[&args, cache, &["-vv"]].concat());
                assert!(again.code == 0 && again.stdout == run.stdout, "{}", again.stderr);
                assert!(again.stderr.contains("0 compressed; 0 B read"), "{}", again.stderr);
            }
            let index = std::fs::read_to_string(beside.join("index.json")).unwrap();
            let blobs = std::fs::read_dir(beside.join("blobs/sha256")).unwrap().count();
            assert_eq!(blobs, crate::layout::blobs_named(&beside).len(), "nothing is left of earlier ones");
            came.push((index.matches("\"digest\"").count(), index));
            for name in ["one", "two", "three"] {
                let image = format!("oci:{layout}:{name}");
                let verified = sandbox.run(&["verify", &image, "--key", "a.pub"]);
                assert_eq!(verified.code, 0, "{}", verified.stderr);
                assert!(verified.stdout.contains("states https://spdx.dev/Document"), "{}", verified.stdout);
            }
            // A tag that is not there is told, also where nobody asks for a signature.
            let verified = sandbox.run(&["verify", &format!("oci:{layout}:four")]);
            assert!(verified.code == 1 && verified.stderr.contains("has no image `four`"), "{}", verified.stderr);
        }
        // A signature, the SBOM's, and the provenance's for each.
        assert!(came.iter().all(|(count, index)| *count >= 9 && *index == came[0].1), "{came:?}");
    }
    assert!(!sandbox.names("").iter().any(|name| name.contains(".tmp.")), "{:?}", sandbox.names(""));
}

#[test]
fn two_runs_for_one_layout_keep_what_each_attaches() {
    let (root, sandbox) = (root(), recipes());
    let root = root.host("/").into_os_string().into_string().unwrap();
    for name in ["one", "two", "three"] {
        let text = format!("binaries = [\"{name}\"]\ntags = [\"{name}\"]\nsbom = [\"spdx\"]\n");
        sandbox.file(&format!("{name}.toml"), text);
    }
    for round in 0..8 {
        let to = format!("oci:shared{round}");
        let build = |recipe: &str| {
            let run = sandbox.run(&["build", "--root", &root, "--no-cache", "-o", &to, recipe]);
            assert_eq!(run.code, 0, "{}", run.stderr);
        };
        // With something beside the layout already, and without.
        if round % 2 == 0 {
            build("three.toml");
        }
        std::thread::scope(|scope| {
            scope.spawn(|| build("one.toml"));
            build("two.toml");
        });
        let images = sandbox.run(&["inspect", &to]).stdout.matches("  digest ").count();
        let beside = std::fs::read_to_string(sandbox.at(&format!("shared{round}.att/index.json"))).unwrap();
        assert_eq!((images, beside.matches("\"artifactType\"").count()), (images, images), "round {round}: {beside}");
        assert_eq!(images, if round % 2 == 0 { 3 } else { 2 });
    }
}

#[test]
fn images_of_one_layout_are_listed_in_the_order_of_the_command_line() {
    let (root, sandbox) = (root(), recipes());
    let root = root.host("/").into_os_string().into_string().unwrap();
    let recipes = ["two.toml", "one.toml", "three.toml"];
    // The second time, each tag is another image.
    for modes in ["0700", "0750"] {
        for name in ["one", "two", "three"] {
            let text = format!(
                "binaries = [\"{name}\"]\ntags = [\"{name}\"]\ndirs = [{{ path = \"/srv\", mode = \"{modes}\" }}]\n"
            );
            sandbox.file(&format!("{name}.toml"), text);
        }
        let mut came = Vec::new();
        for (jobs, layout) in [("1", "a"), ("6", "b"), ("2", "c")] {
            let to = format!("oci:{layout}");
            let fixed = ["build", "--root", &root, "--no-cache", "-j", jobs, "-o", &to];
            // Once as it is done where nobody asks otherwise: flushed to the disk.
            let flush: &[&str] = if layout == "c" { &[] } else { &["--no-fsync"] };
            let run = sandbox.run(&[fixed.as_slice(), flush, &recipes].concat());
            assert_eq!(run.code, 0, "{}", run.stderr);
            let said: Vec<String> =
                run.stderr.lines().filter(|line| line.contains("images")).map(str::to_owned).collect();
            assert_eq!(said.len(), if modes == "0700" { 2 } else { 3 }, "{}", run.stderr);
            let said =
                said.iter().map(|line| line.replace(&format!("oci:{layout}"), "").replace(&format!("`{layout}`"), ""));
            let index = std::fs::read_to_string(sandbox.at(layout).join("index.json")).unwrap();
            came.push((run.stdout, said.collect::<Vec<_>>(), index));
            // The blobs of three images, and of those before them none that they do not have.
            let blobs = std::fs::read_dir(sandbox.at(layout).join("blobs/sha256")).unwrap().count();
            let named = crate::layout::blobs_named(&sandbox.at(layout)).len();
            assert_eq!(
                (blobs, sandbox.names(layout)),
                (named, ["blobs", "index.json", "oci-layout"].map(str::to_owned).to_vec())
            );
        }
        assert!(came.iter().all(|one| *one == came[0]), "{came:?}");
        let places = ["\"two\"", "\"one\"", "\"three\""].map(|name| came[0].2.find(name).unwrap());
        assert!(places.is_sorted(), "{}", came[0].2);
    }
    assert_eq!(sandbox.run(&["verify", "a", "b", "c"]).code, 0);
    assert!(!sandbox.names("").iter().any(|name| name.contains(".tmp.")), "{:?}", sandbox.names(""));
}

#[test]
fn what_images_have_in_common_is_packed_once() {
    let (root, sandbox) = (root(), Sandbox::new());
    root.file("/opt/large", &crate::synthetic::bytes(7, 6 << 20), 0o644);
    let root = root.host("/").into_os_string().into_string().unwrap();
    let names: Vec<String> = (0..6).map(|number| format!("{number}.toml")).collect();
    for name in &names {
        sandbox.file(name, "binaries = [\"three\"]\nfiles = [\"/opt/large\"]\n");
    }
    let fixed = ["build", "-vv", "--root", &root, "--no-fsync", "-j", "6", "--cache-dir", "cache"];
    let run = sandbox.run(&[&fixed[..], &names.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let packed: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("packing: ")).collect();
    assert_eq!(packed.len(), 6, "{}", run.stderr);
    assert_eq!(packed.iter().filter(|line| line.contains("6.3 MB compressed")).count(), 1, "{packed:?}");
}

#[test]
fn what_is_secret_under_one_name_only_is_found_there() {
    let (root, sandbox) = (root(), Sandbox::new());
    let root = root.host("/").into_os_string().into_string().unwrap();
    sandbox.file("login", "machine a login b password c\n");
    for (name, to) in [("notes", "/app/notes"), ("netrc", "/root/.netrc"), ("again", "/app/notes")] {
        sandbox.file(
            &format!("{name}.toml"),
            format!("binaries = [\"one\"]\nfiles = [{{ from = \"login\", to = \"{to}\" }}]\n"),
        );
    }
    let fixed = ["build", "--root", &root, "--no-fsync", "--no-cache", "-j", "1"];
    let run = sandbox.run(&[&fixed[..], &["notes.toml", "netrc.toml", "again.toml"]].concat());
    let built: Vec<&str> = run.stdout.lines().filter_map(|line| line.split('@').next()).collect();
    assert_eq!((run.code, built), (3, vec!["notes", "again"]), "{}", run.stderr);
    assert!(run.stderr.contains("/root/.netrc"), "{}", run.stderr);
}

#[test]
fn what_packages_say_of_files_is_looked_at_for_each_image() {
    let (root, sandbox) = (root(), recipes());
    sandbox.file("again.toml", "binaries = [\"one\"]\n");
    root.file("/var/lib/dpkg/info/tools.md5sums", b"00ff00ff00ff00ff00ff00ff00ff00ff  usr/share/x\n", 0o644);
    let at = root.host("/").into_os_string().into_string().unwrap();
    let build = || {
        std::thread::sleep(std::time::Duration::from_millis(120));
        let fixed = ["build", "-vv", "--root", &at, "--no-fsync", "-j", "1", "--cache-dir", "cache"];
        let run = sandbox.run(&[&fixed[..], &["one.toml", "again.toml"]].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.stderr.matches("closure: 0 files looked into").count()
    };
    build();
    assert_eq!(build(), 2, "both are known");
    // The answers about the second image's files follow from those about the first one's, and from this.
    root.file("/var/lib/dpkg/info/tools.md5sums", b"00ff00ff00ff00ff00ff00ff00ff00ff  usr/share/y\n", 0o644);
    assert_eq!(build(), 0, "both are looked at anew");
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

/// The root of [`root`] with libraries that are worth a layer, and a program that shares nothing.
fn large_root() -> Root {
    let root = root();
    for (seed, path) in [(1, "liba.so.1"), (2, "libb.so.1"), (3, "libc.so.6")] {
        let path = format!("/usr/lib/x86_64-linux-gnu/{path}");
        let mut bytes = std::fs::read(root.host(&path)).unwrap();
        bytes.extend(crate::synthetic::bytes(seed, 100 << 10));
        root.file(&path, &bytes, 0o644);
    }
    root.file("/usr/bin/alone", &crate::sandbox::static_elf(62), 0o755);
    root.file("/opt/data/a", &crate::synthetic::bytes(4, 80 << 10), 0o644);
    root.file("/opt/data/b", &crate::synthetic::bytes(5, 3000), 0o644);
    root
}

/// A workspace that shares layers, with members in a folder of their own.
fn workspace(root: &Root) -> Sandbox {
    let sandbox = Sandbox::new();
    let root = root.host("/").into_os_string().into_string().unwrap();
    sandbox
        .file(
            "mkimage.toml",
            format!(
                "[workspace]\nmembers = [\"m/*.toml\"]\nshared-layers = true\n\
                 [workspace.defaults]\nname = \"acme/${{recipe}}\"\nroot = \"{root}\"\n"
            ),
        )
        .file("m/one.toml", "binaries = [\"one\"]\nfiles = [\"/opt/data/\"]\n")
        .file("m/two.toml", "binaries = [\"two\"]\nfiles = [\"/opt/data/\"]\n")
        .file("m/three.toml", "binaries = [\"three\"]\n");
    sandbox
}

/// Builds and gives the lines of standard output.
fn digests(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let run = sandbox.run(&[&["build", "--no-fsync"], args].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    run.stdout.lines().map(str::to_owned).collect()
}

/// The layers of an image in a layout: name and digest.
fn layers(sandbox: &Sandbox, layout: &str) -> Vec<(String, String)> {
    let run = sandbox.run(&["inspect", "--format", "json", layout]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let text = |value: &serde_json::Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let layers = document.pointer("/images/0/layers").and_then(serde_json::Value::as_array).unwrap().iter();
    layers.map(|layer| (text(layer, "created_by").replace("mkimage: ", ""), text(layer, "digest"))).collect()
}

#[test]
fn members_that_share_layers_are_the_same_alone_and_together() {
    let root = large_root();
    let sandbox = workspace(&root);
    let together = digests(&sandbox, &[]);
    assert_eq!(together.len(), 3);
    for (number, name) in [(0, "one"), (2, "two"), (1, "three")] {
        assert_eq!(
            digests(&sandbox, &[&format!("m/{name}.toml"), "-j", "3"]),
            together[number..=number],
            "{name} alone"
        );
    }
    let of = |name: &str| layers(&sandbox, &format!("{name}.oci"));
    let (one, two, three) = (of("one"), of("two"), of("three"));
    let common = |image: &[(String, String)]| -> Vec<(String, String)> {
        image.iter().filter(|(name, _)| name.starts_with("common ")).cloned().collect()
    };
    let names = |layers: &[(String, String)]| layers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    // libc is in all, liba and the data in two of them, libb in one.
    assert_eq!(names(&common(&one)), ["common runtime", "common libraries", "common files"]);
    assert_eq!(common(&one), common(&two));
    assert_eq!(common(&three), common(&one)[..1]);
    assert!(one.iter().all(|(_, digest)| digest.starts_with("sha256:")), "{one:?}");
    assert!([one, two, three].iter().all(|image| image.len() <= 10));
    let lone = digests(&sandbox, &["m/one.toml", "--no-workspace", "--root", root.host("/").to_str().unwrap()]);
    assert!(lone[0].starts_with("one@"), "{lone:?}");
    assert!(!names(&of("one")).iter().any(|name| name.starts_with("common")));
}

#[test]
fn a_member_that_shares_nothing_moves_no_other() {
    let root = large_root();
    let sandbox = workspace(&root);
    let before = digests(&sandbox, &[]);
    // In the order of the members it is the first, and the set of those who share is numbered anew.
    sandbox.file("m/alone.toml", "binaries = [\"alone\"]\n");
    let after = digests(&sandbox, &[]);
    assert_eq!(after[1..], before);
    // One that has all that others share is one more who has it.
    sandbox.file("m/more.toml", "binaries = [\"one\"]\nfiles = [\"/opt/data/\", { content = \"x\", to = \"/x\" }]\n");
    let more = digests(&sandbox, &[]);
    assert_eq!([&more[2], &more[3]], [&before[0], &before[1]], "one and three");
}

#[test]
fn files_are_common_only_with_the_same_content_mode_owner_and_folders() {
    let root = large_root();
    for (other, expected) in [
        ("files = [{ from = \"/opt/data/\", to = \"/opt/data/\" }]", true),
        ("files = [{ from = \"/opt/copy/\", to = \"/opt/data/\" }]", true),
        ("files = [{ from = \"/opt/data/\", mode = \"0600\" }]", false),
        ("files = [{ from = \"/opt/data/\", owner = \"65532\" }]", false),
        ("files = [{ from = \"/opt/data/\", dir-mode = \"0700\" }]", false),
        ("files = [{ from = \"/opt/data/\", to = \"/opt/other/\" }]", false),
        ("files = [{ from = \"/opt/data/\", layer = \"own\" }]", false),
        ("layers = \"single\"\nfiles = [\"/opt/data/\"]", false),
    ] {
        for name in ["a", "b"] {
            let bytes = std::fs::read(root.host(&format!("/opt/data/{name}"))).unwrap();
            root.file(&format!("/opt/copy/{name}"), &bytes, 0o644);
        }
        let sandbox = workspace(&root);
        std::fs::remove_file(sandbox.at("m/three.toml")).unwrap();
        sandbox.file("m/two.toml", format!("{other}\n"));
        digests(&sandbox, &[]);
        let common = layers(&sandbox, "one.oci").iter().any(|(name, _)| name == "common files");
        assert_eq!(common, expected, "{other}");
    }
}

#[test]
fn a_member_that_cannot_be_assembled_stops_all_that_share_with_it() {
    let root = large_root();
    let sandbox = workspace(&root);
    sandbox.file("m/two.toml", "binaries = [\"nothing\"]\n");
    for args in [&["build"][..], &["build", "m/one.toml"][..]] {
        let run = sandbox.run(args);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("program `nothing` is not on PATH"), "{}", run.stderr);
        assert!(run.stderr.contains("`mkimage.toml` has its members share layers"), "{}", run.stderr);
        assert!(!sandbox.at("one.oci").exists());
    }
    // What is only denied to a member says nothing of what it holds.
    sandbox.file("m/two.toml", "binaries = [\"two\"]\n[policy]\nmax-files = 1\n");
    let run = sandbox.run(&["build", "--no-fsync"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert_eq!(run.stdout.lines().count(), 2, "{}", run.stdout);
}

#[test]
fn shards_are_a_partition_that_is_the_same_for_any_order() {
    let root = root();
    let sandbox = Sandbox::new();
    let root = root.host("/").into_os_string().into_string().unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("r{number:02}.toml")).collect();
    for (number, name) in names.iter().enumerate() {
        let files = (0..number % 5).map(|file| format!("{{ content = \"{file}\", to = \"/f{file}\" }}"));
        let files = files.collect::<Vec<_>>().join(", ");
        sandbox.file(name, format!("binaries = [\"one\"]\nfiles = [{files}]\n"));
    }
    let of = |recipes: &[&str], shard: &str| -> Vec<String> {
        let run = sandbox.run(&[&["plan", "--shard", shard], recipes].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let recipes = document["recipes"].as_array().unwrap().iter();
        recipes.map(|recipe| recipe["recipe"].as_str().unwrap().to_owned()).collect()
    };
    let forward: Vec<&str> = names.iter().map(String::as_str).collect();
    let backward: Vec<&str> = forward.iter().rev().copied().collect();
    let mut all = Vec::new();
    for index in 1..=4 {
        let shard = format!("{index}/4");
        let own = of(&forward, &shard);
        assert!((7..=13).contains(&own.len()), "{own:?}");
        let mut same = of(&backward, &shard);
        same.reverse();
        assert_eq!(own, same);
        // Of four fifths of the recipes most stay where they are.
        let fewer: Vec<&str> = forward[..32].to_vec();
        let stayed = of(&fewer, &shard).iter().filter(|name| own.contains(name)).count();
        assert!(stayed >= 4, "{stayed} of {own:?}");
        all.extend(own);
    }
    all.sort();
    assert_eq!(all, names);
    // What four machines build is what one builds.
    let mut one = digests(&sandbox, &[&["--root", &root], &forward[..8]].concat());
    let mut four = Vec::new();
    for index in 0..4_u8 {
        let run = sandbox.run_with(
            &[&["build", "--no-fsync", "--shard=auto/4", "--root", &root], &forward[..8]].concat(),
            |it| {
                it.env("JOB_COMPLETION_INDEX", index.to_string());
            },
        );
        assert_eq!(run.code, 0, "{}", run.stderr);
        four.extend(run.stdout.lines().map(str::to_owned));
    }
    one.sort();
    four.sort();
    assert_eq!(one, four);
}

#[test]
fn shards_and_plans_refuse_what_is_none() {
    let sandbox = recipes();
    let cases: [(&[&str], &str); 7] = [
        (&["build", "--shard", "0/4"], "expected I/N"),
        (&["build", "--shard", "5/4"], "expected I/N"),
        (&["build", "--shard", "1"], "expected I/N"),
        (&["build", "--shard", "auto/4"], "no variable says which machine"),
        (&["build", "--changed"], "--since"),
        (&["plan", "one.toml", "--format", "k8s-job", "--shards", "2"], "needs `--image REF`"),
        (&["plan", "one.toml", "--format", "k8s-job", "--image", "x"], "needs `--shards N`"),
    ];
    for (args, expected) in cases {
        let run = sandbox.run(args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
    }
    let names: Vec<String> = (0..257).map(|number| format!("n{number}.toml")).collect();
    for name in &names {
        sandbox.file(name, "binaries = [\"one\"]\n");
    }
    let all: Vec<&str> =
        ["plan", "--format", "github-matrix"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let run = sandbox.run(&all);
    assert!(run.code == 1 && run.stderr.contains("error[E0521]: 257 jobs"), "{}", run.stderr);
}

#[test]
fn plans_are_what_matrices_and_jobs_read() {
    let sandbox = recipes();
    let plan = |args: &[&str]| -> serde_json::Value {
        let run = sandbox.run(&[&["plan", "one.toml", "two.toml", "three.toml"], args].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(run.stdout.lines().count(), 1);
        serde_json::from_str(&run.stdout).unwrap()
    };
    let all = plan(&["--format", "github-matrix"]);
    assert_eq!(all["include"][1], serde_json::json!({ "recipe": "two.toml", "name": "two" }));
    let shards = plan(&["--format", "github-matrix", "--shards", "2"]);
    let shards = shards["include"].as_array().unwrap();
    assert_eq!(shards.iter().map(|job| job["recipes"].as_u64().unwrap()).sum::<u64>(), 3);
    assert_eq!(shards[0]["shard"], "1/2");
    let job = plan(&[
        "--format",
        "k8s-job",
        "--shards",
        "3",
        "--image",
        "registry.example/mkimage:1",
        "--",
        "-o",
        "oci:/out",
    ]);
    assert_eq!(job["spec"]["completionMode"], "Indexed");
    assert_eq!(job["spec"]["completions"], 3);
    let command = &job["spec"]["template"]["spec"]["containers"][0]["command"];
    let expected = ["mkimage", "build", "one.toml", "two.toml", "three.toml", "--shard=auto/3", "-o", "oci:/out"];
    assert_eq!(*command, serde_json::json!(expected));
}

/// Runs git in a sandbox, as a user of its own.
fn git(sandbox: &Sandbox, args: &[&str]) {
    let mut command = std::process::Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]);
    let run = command.args(args).current_dir(sandbox.path()).env("HOME", sandbox.path()).output().unwrap();
    assert!(run.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn only_recipes_whose_inputs_changed_are_taken() {
    let sandbox = Sandbox::new();
    sandbox
        .file("a.toml", "extends = \"base/base.toml\"\nfiles = [{ from = \"data/a.txt\", to = \"/a\" }]\n")
        .file("b.toml", "files = [{ from = \"data/sub/\", to = \"/b/\" }]\n")
        .file("c.toml", "files = [{ from = \"data/c-*.txt\", to = \"/c/\" }]\n")
        .file("d.toml", "binaries = [\"/usr/bin/d\"]\n")
        .file("base/base.toml", "workdir = \"/tmp\"\n")
        .file("data/a.txt", "a")
        .file("data/sub/b.txt", "b")
        .file("data/c-1.txt", "c")
        .file(".gitignore", "made/\n");
    git(&sandbox, &["init", "-q"]);
    git(&sandbox, &["add", "."]);
    git(&sandbox, &["commit", "-qm", "one"]);
    let changed = |since: &str| -> String {
        let run = sandbox.run(&["plan", "--changed", "--since", since, "a.toml", "b.toml", "c.toml", "d.toml"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let recipes = document["recipes"].as_array().unwrap().iter();
        recipes.map(|recipe| recipe["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(changed("HEAD"), "");
    // Edited, new, removed; a base; the recipe itself.
    for (file, expected) in [
        ("data/a.txt", "a"),
        ("data/sub/new/x", "b"),
        ("data/c-2.txt", "c"),
        ("base/base.toml", "a"),
        ("d.toml", "d"),
        ("other", ""),
    ] {
        let before = std::fs::read(sandbox.at(file)).ok();
        sandbox.file(file, [before.as_deref().unwrap_or_default(), b"\n"].concat());
        assert_eq!(changed("HEAD"), expected, "{file}");
        match before {
            Some(bytes) => {
                sandbox.file(file, bytes);
            }
            None => std::fs::remove_file(sandbox.at(file)).unwrap(),
        }
    }
    std::fs::remove_file(sandbox.at("data/c-1.txt")).unwrap();
    assert_eq!(changed("HEAD"), "c");
    git(&sandbox, &["commit", "-qam", "two"]);
    assert_eq!((changed("HEAD"), changed("HEAD~1")), (String::new(), "c".to_owned()));
    // Whether what git ignores changed can't be told.
    sandbox.file("d.toml", "files = [{ from = \"made/x\", to = \"/x\" }]\n").file("made/x", "1");
    git(&sandbox, &["commit", "-qam", "three"]);
    assert_eq!(changed("HEAD"), "d");
    let run = sandbox.run(&["build", "--changed", "--since", "no-such-commit", "a.toml"]);
    assert!(run.code == 1 && run.stderr.contains("error[E0520]: `no-such-commit` is no commit"), "{}", run.stderr);
}
