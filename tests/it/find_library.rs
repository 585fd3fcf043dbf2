//! Libraries that Python code looks for by name, and the cache by which it finds them.

use super::needs::{Sandbox, of_the_recipe};
use super::support::root::Root;
use mkimage::closure::cache;
use mkimage::closure::{self, Headers, Options, Wanted};

const LIB: &str = "/usr/lib/x86_64-linux-gnu";

fn python() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.debian().program("/usr/bin/python3.11", &[]).files(&[
        "/usr/bin/python3.11",
        "/usr/lib/python3.11/ctypes/util.py",
        "/sbin/ldconfig",
        &format!("{LIB}/libpq.so.5.15"),
        &format!("{LIB}/libpq.so"),
    ]);
    sandbox.link(&format!("{LIB}/libpq.so.5"), "libpq.so.5.15");
    let code = "import ctypes.util as u\nif x:\n    y = u.find_library(\n  'pq')\nz = u.find_library(name)\nu.find_library(\"gone\")\n";
    of_the_recipe(&mut sandbox, "/app/db.py", code);
    sandbox
}

#[test]
fn what_python_code_looks_for_is_offered() {
    let mut sandbox = python();
    let suggestions = sandbox.suggestions();
    assert!(suggestions.contains(&"find-library: /app/db.py calls find_library".to_owned()), "{suggestions:?}");
    let all = sandbox.extras(&["find-library", "!python", "!tzdata"]).lines();
    let expected = ["file /app/db.py", "file /sbin/ldconfig", "load libpq.so.5 by /usr/bin/python3.11"];
    assert_eq!(all, expected);
}

#[test]
fn where_ldconfig_is_a_script_the_program_beside_it_takes_its_place() {
    let mut sandbox = python();
    sandbox.file("/sbin/ldconfig", "#!/bin/sh\nexec /sbin/ldconfig.real\n").file("/sbin/ldconfig.real", "real");
    let all = sandbox.extras(&["find-library", "!python", "!tzdata"]).lines();
    assert_eq!(all[1], "file /sbin/ldconfig");
    assert_eq!(sandbox.text_of("/sbin/ldconfig"), "real");
}

#[test]
fn an_image_with_ldconfig_has_a_cache() {
    let root = Root::glibc("/bin/p program libz.so.1\n/usr/lib/x86_64-linux-gnu/libz.so.1 library");
    let made = || {
        let source = root.source();
        let closure = closure::close(&source, &[Wanted::program("/bin/p")], &Options::default());
        cache::for_image(&closure, &source, &source, &Headers::default())
    };
    assert_eq!(made(), None);
    root.file("/sbin/ldconfig", b"x", 0o755);
    let bytes = made().unwrap();
    let names = bytes.windows(10).filter(|part| *part == b"/libz.so.1").count();
    assert_eq!(names, 1);
}
