//! An image before and after a security update of one package, as `mkimage diff` tells it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::call::Call;
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "diff_shows_a_security_update_and_nothing_else",
    needs: &["apt-get", "apt-cache", "dpkg-deb"],
    run: update,
}];

/// The package that is updated; nginx needs it.
const PACKAGE: &str = "libssl3";

/// The versions that the package sources of this machine have, the newest first.
fn versions() -> Vec<String> {
    let listed = Call::new("apt-cache").args(["madison", PACKAGE]).text();
    let version = |line: &str| line.split('|').nth(1).map(|version| version.trim().to_owned());
    let mut found: Vec<String> = listed.lines().filter_map(version).collect();
    found.dedup();
    found
}

fn update(workshop: &Workshop) {
    let versions = versions();
    let [new, old, ..] = &versions[..] else {
        panic!("the package sources have no two versions of {PACKAGE}: {versions:?}");
    };
    workshop.write("update.toml", "name = 'company/nginx'\nbinaries = ['/usr/sbin/nginx']\nfiles = ['/etc/nginx/']\n");
    let before = build(workshop, ("old", old), "before");
    let after = build(workshop, ("new", new), "after");

    let found = diff(workshop, &before, &after);
    let package = &found["packages"];
    let told: Vec<&Value> = package.as_array().expect("a list").iter().collect();
    assert_eq!(told.len(), 1, "{package}");
    assert_eq!(told[0]["name"], PACKAGE, "{package}");
    assert_eq!((told[0]["from"].as_str(), told[0]["to"].as_str()), (Some(old.as_str()), Some(new.as_str())));
    // Its files and its records, and nothing of any other.
    let files = found["files"].as_array().expect("a list");
    let paths: BTreeSet<&str> = files.iter().filter_map(|file| file["path"].as_str()).collect();
    assert!(paths.contains("/usr/lib/x86_64-linux-gnu/libssl.so.3"), "{paths:?}");
    for file in files {
        let record = file["path"].as_str().is_some_and(|path| path.starts_with("/var/lib/dpkg/status.d/libssl3"));
        assert!(record || file["package"] == PACKAGE, "{file}");
    }
    for unchanged in ["config", "dlopen", "hardening", "needs", "policy"] {
        assert_eq!(found[unchanged], Value::Array(Vec::new()), "{unchanged}");
    }

    // Built again, it is the same.
    let again = build(workshop, ("old", old), "again");
    let same = workshop.mkimage().args(["diff", "--exit-code"]).args([&before, &again]).ended();
    assert!(same.success, "{}", same.report());
    let changed = workshop.mkimage().args(["diff", "--exit-code"]).args([&before, &after]).ended();
    assert!(!changed.success, "{}", changed.report());
}

/// The image of a root with nginx and that version, in a layout of its own.
fn build(workshop: &Workshop, (root, version): (&str, &str), name: &str) -> PathBuf {
    let root = workshop.path(&format!("root-{root}"));
    if !root.exists() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runtime/foreign-root.sh");
        let packages = ["nginx".to_owned(), format!("{PACKAGE}={version}")];
        Call::new("bash").arg(script).arg(&root).arg("amd64").args(packages).text();
    }
    let layout = workshop.path(&format!("{name}.oci"));
    workshop.mkimage().args(["build", "update.toml", "--no-cache", "--root"]).arg(&root).arg("-o").arg(&layout).text();
    layout
}

/// What `diff` says of the one image of both.
fn diff(workshop: &Workshop, before: &Path, after: &Path) -> Value {
    let text = workshop.mkimage().args(["diff", "--format", "json"]).args([before, after]).text();
    let found: Value = serde_json::from_str(&text).expect("JSON");
    found["images"][0].clone()
}
