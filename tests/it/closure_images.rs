//! What an image must hold beside the files themselves, so that its loaders load what those of the root load.

use mkimage::closure::{self, Isa, Options, Wanted};
use mkimage::source::Folder;

use crate::sandbox::Sandbox;
use crate::support::root::Root;

/// Builds the image of a recipe as a folder, and tells what its programs load in it.
#[track_caller]
fn built(root: &Root, recipe: &str, program: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.file("r.toml", recipe);
    let path = root.host("/");
    let run = sandbox.run(&["build", "r.toml", "--root", path.to_str().unwrap(), "-o", "rootfs:out"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let image = Folder::open(sandbox.at("out")).unwrap();
    let closure = closure::close(&image, &[Wanted::program(program)], &Options::default());
    let text = closure::show::text(&closure, &closure.resolutions[0]);
    (sandbox, text)
}

#[test]
fn the_file_in_which_musl_reads_where_to_search() {
    for prefix in ["", "/opt"] {
        let root = Root::musl(&format!(
            "{prefix}/etc/ld-musl-x86_64.path link paths
             {prefix}/etc/paths file /opt/m
             {prefix}/lib/ld-musl-x86_64.so.1 library soname=-
             /usr/bin/p program libx.so.1 interp={prefix}/lib/ld-musl-x86_64.so.1
             /opt/m/libx.so.1 library"
        ));
        let (sandbox, text) = built(&root, "binaries = [\"/usr/bin/p\"]\n", "/usr/bin/p");
        assert!(text.contains("libx.so.1 => /opt/m/libx.so.1"), "{text}");
        assert_eq!(sandbox.names(&format!("out{prefix}/etc")).iter().filter(|name| name.contains("path")).count(), 2);
    }
}

#[test]
fn folders_that_a_path_leaves_again() {
    let root = Root::glibc(
        "/usr/bin/p program libx.so.1 liby.so.1 runpath=/opt/app/bin/../lib:/opt/link/../lib interp=/opt/ld/../ld.so
         /opt/ld dir
         /opt/ld.so loader
         /opt/app/bin dir
         /opt/app/lib/libx.so.1 library
         /opt/link link other/deep
         /opt/other/deep dir
         /opt/other/lib/liby.so.1 library",
    );
    let (sandbox, text) = built(&root, "binaries = [\"/usr/bin/p\"]\n", "/usr/bin/p");
    assert!(text.contains("loader /opt/ld/../ld.so (glibc 2.36)"), "{text}");
    assert!(text.contains("libx.so.1 => /opt/app/bin/../lib/libx.so.1"), "{text}");
    assert!(text.contains("liby.so.1 => /opt/link/../lib/liby.so.1"), "{text}");
    assert_eq!(sandbox.names("out/opt/app/bin"), Vec::<String>::new());
}

#[test]
fn paths_by_which_only_some_processors_open_a_file() {
    let hwcaps = "/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3";
    let root = Root::glibc(&format!(
        "/usr/bin/p program liby.so.1 libx.so.1
         /usr/lib/x86_64-linux-gnu/liby.so.1 library
         /usr/lib/x86_64-linux-gnu/libx.so.1 library
         {hwcaps}/libx.so.1 link ../../liby.so.1"
    ));
    let (sandbox, _) = built(&root, "binaries = [\"/usr/bin/p\"]\nisa = \"all\"\n", "/usr/bin/p");
    assert_eq!(sandbox.names(&format!("out{hwcaps}")), ["libx.so.1"]);
    let options = Options { isa: Isa::All, ..Options::default() };
    let text = root.text("/usr/bin/p", &options);
    let line = "libx.so.1 => /lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libx.so.1 (on x86-64-v3)";
    assert!(text.contains(line), "{text}");
}
