//! OCI layouts: what is written, what is kept, and what is refused.

use std::collections::BTreeSet;
use std::path::Path;

use mkimage::image::Images;
use mkimage::layer::Durability;
use mkimage::oci::Digest;
use mkimage::output::{self, Destination};
use mkimage::tree::Tree;

use crate::synthetic::{Builder, build, bytes, names, staged};

fn tree(content: &str) -> Tree {
    Builder::default().directory("/tmp", 0o1777).file("/etc/content", 0o644, content).tree
}

fn to(path: &Path) -> Destination {
    Destination::Layout { path: path.to_path_buf(), tag: None }
}

fn listing(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = vec![folder.to_path_buf()];
    while let Some(next) = rest.pop() {
        for entry in std::fs::read_dir(&next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                rest.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The entries of a layout's index, each with its digest.
fn entries(layout: &Path) -> Vec<(String, serde_json::Value)> {
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    entries.map(|entry| (entry["digest"].as_str().unwrap().to_owned(), entry.clone())).collect()
}

fn tags(layout: &Path) -> Vec<String> {
    let tag = |entry: &serde_json::Value| {
        entry["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned)
    };
    entries(layout).iter().map(|(_, entry)| tag(entry).unwrap()).collect()
}

/// The digests of all blobs that a layout's index leads to.
pub(super) fn blobs_named(layout: &Path) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (digest, _) in entries(layout) {
        let manifest = std::fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        named.insert(digest);
        for blob in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            named.insert(blob["digest"].as_str().unwrap().to_owned());
        }
    }
    named
}

/// Every blob is what its name says, and the index names nothing that is not there. Returns the tags.
fn check(layout: &Path) -> Vec<String> {
    assert_eq!(std::fs::read_to_string(layout.join("oci-layout")).unwrap(), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let mut blobs = BTreeSet::new();
    for name in listing(&layout.join("blobs/sha256")) {
        let bytes = std::fs::read(layout.join("blobs/sha256").join(&name)).unwrap();
        assert_eq!(Digest::of(&bytes).hex(), name);
        blobs.insert(format!("sha256:{name}"));
    }
    let (named, tags) = (blobs_named(layout), tags(layout));
    assert_eq!(blobs, named, "blobs are those that the index leads to");
    tags
}

#[test]
fn a_new_layout() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.oci");
    let (image, written) = build(&to(&path), &tree("one"), &names("acme/app", &["1.0", "latest"])).unwrap();
    assert_eq!(written.notes, Vec::<String>::new());
    assert_eq!(check(&path), ["1.0"]);
    let expected = format!(
        concat!(
            r#"{{"manifests":[{{"annotations":{{"org.opencontainers.image.ref.name":"1.0"}},"digest":"{}","#,
            r#""mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{{"architecture":"amd64","os":"linux"}},"#,
            r#""size":{}}}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}}"#,
        ),
        image.manifest.digest,
        image.manifest.bytes.len()
    );
    assert_eq!(std::fs::read_to_string(path.join("index.json")).unwrap(), expected);
    assert_eq!(listing(folder.path()).len(), 5, "nothing beside it");
}

#[test]
fn the_same_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.oci");
    build(&to(&path), &tree("one"), &names("app", &["1"])).unwrap();
    let before = (listing(&path), std::fs::read(path.join("index.json")).unwrap());
    build(&to(&path), &tree("one"), &names("app", &["1"])).unwrap();
    assert_eq!((listing(&path), std::fs::read(path.join("index.json")).unwrap()), before);
}

#[test]
fn a_tag_is_replaced_and_its_own_blobs_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.oci");
    build(&to(&path), &tree("one"), &names("app", &["1"])).unwrap();
    build(&to(&path), &tree("one"), &names("app", &["same"])).unwrap();
    let (_, written) = build(&to(&path), &tree("two"), &names("app", &["1"])).unwrap();
    // The old content is still there: `same` names it, too.
    assert_eq!(check(&path), ["1", "same"]);
    assert_eq!(written.notes, [format!("`{0}` holds 2 images; programs find this one as `oci:{0}:1`", path.display())]);
    build(&to(&path), &tree("two"), &names("app", &["same"])).unwrap();
    assert_eq!(check(&path), ["1", "same"]);
    assert_eq!(listing(&path.join("blobs")).len(), 3);
}

#[test]
fn what_others_wrote_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.oci");
    build(&to(&path), &tree("one"), &names("app", &["1"])).unwrap();
    let text = std::fs::read_to_string(path.join("index.json")).unwrap();
    let foreign = format!(r#"{{"digest":"sha256:{}","mediaType":"x/y","own":[1],"size":3}}"#, "0".repeat(64));
    std::fs::write(path.join("index.json"), text.replacen("[{", &format!("[{foreign},{{"), 1)).unwrap();
    build(&to(&path), &tree("two"), &names("app", &["1"])).unwrap();
    let index = std::fs::read_to_string(path.join("index.json")).unwrap();
    assert!(index.contains(&foreign), "{index}");
    // What that entry names can't be read, so nothing is removed.
    assert_eq!(listing(&path.join("blobs")).len(), 6);
}

#[test]
fn an_empty_folder_and_a_cut_off_first_write_become_layouts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.oci");
    std::fs::create_dir(&path).unwrap();
    build(&to(&path), &tree("one"), &names("app", &["1"])).unwrap();
    assert_eq!(check(&path), ["1"]);
    std::fs::remove_file(path.join("index.json")).unwrap();
    std::fs::remove_file(path.join("oci-layout")).unwrap();
    build(&to(&path), &tree("one"), &names("app", &["2"])).unwrap();
    assert_eq!(check(&path), ["2"]);
}

#[test]
fn eight_writers_of_eight_tags() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let path = folder.path().join(format!("{round}.oci"));
        if round % 2 == 0 {
            std::fs::create_dir(&path).unwrap();
        }
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    let tag = format!("v{writer}");
                    build(&to(path), &tree(&format!("{}", writer / 2)), &names("app", &[&tag])).unwrap();
                });
            }
        });
        let mut tags = check(&path);
        tags.sort();
        assert_eq!(tags, ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"]);
    }
    let beside = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(beside, 10);
}

#[test]
fn writers_of_one_tag_leave_one_of_their_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.oci");
    std::thread::scope(|scope| {
        for writer in 0..8u64 {
            let path = &path;
            scope.spawn(move || {
                let tree = Builder::default().file("/data", 0o644, bytes(writer, 200_000)).tree;
                build(&to(path), &tree, &names("app", &["latest"])).unwrap();
            });
        }
    });
    assert_eq!(check(&path), ["latest"]);
}

#[test]
fn refused_places() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), "mine").unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    std::fs::write(at("folder/mine"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", at("link")).unwrap();
    std::fs::create_dir_all(at("broken/blobs")).unwrap();
    std::fs::write(at("broken/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(at("broken/index.json"), "{").unwrap();
    let before = listing(folder.path());
    let error = |name: &str| {
        let error = build(&to(&at(name)), &tree("one"), &names("app", &["1"])).unwrap_err().0.remove(0);
        assert_eq!(listing(folder.path()), before, "{name} leaves something behind");
        (error.code.0, error.title.replace(folder.path().to_str().unwrap(), ""), error.helps.concat())
    };
    assert_eq!(error("file").1, "`/file` is a file, and an OCI layout is a folder");
    let (code, title, help) = error("folder");
    assert_eq!((code, help.as_str()), ("E0271", "choose another place, or remove it"));
    assert_eq!(title, "`/folder` is a folder that is no OCI layout, and is not replaced");
    assert_eq!(error("link").1, "`/link` is a link that leads nowhere");
    assert_eq!(error("broken").1, "`/broken/index.json` is no JSON");
    let (code, title, help) = error("missing/app.oci");
    assert_eq!((code, title.as_str()), ("E0272", "folder `/missing` for the output is not there"));
    assert_eq!(help, format!("`mkdir -p {}` makes it", at("missing").display()));
    assert_eq!(error("file/app.oci").1, "folder `/file` for the output is no folder");
}

#[test]
fn what_a_killed_run_left_goes_and_what_a_living_one_has_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.oci");
    let stale = folder.path().join(".app.oci.tmp.999999999.aBcDeF");
    let other = folder.path().join(".other.oci.tmp.999999999.aBcDeF");
    let not_ours = folder.path().join(".app.oci.tmp.notes");
    for path in [&stale, &other, &not_ours] {
        std::fs::create_dir_all(path.join("blobs")).unwrap();
    }
    let living = mkimage::output::prepare(&to(&path), folder.path(), mkimage::layer::Durability::Cached).unwrap();
    assert!(!stale.exists() && other.exists() && not_ours.exists());
    build(&to(&path), &tree("one"), &names("app", &["1"])).unwrap();
    assert!(living.path().exists());
    let path = living.path().to_path_buf();
    drop(living);
    assert!(!path.exists());
}

#[test]
fn the_modes_are_those_of_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.oci");
    let plain = folder.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    build(&to(&path), &tree("one"), &names("app", &["1"])).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&plain));
}

#[test]
fn images_go_into_a_layout_together_or_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.oci");
    let places = output::Places::default();
    let prepare = || places.prepare(&to(&path), folder.path(), Durability::Cached).unwrap();
    let addition = |content: &str, tag: &str| {
        let staging = prepare();
        let image: Images = staged(&tree(content), &staging).into();
        output::addition(&to(&path), &staging, &image, &names("app", &[tag])).unwrap().1
    };
    let all: Vec<_> = [("one", "1"), ("two", "2"), ("one", "3")].map(|(content, tag)| addition(content, tag)).into();
    let written = output::write_together(&path, &all).unwrap();
    assert_eq!(written.iter().map(|written| written.notes.len()).collect::<Vec<_>>(), [0, 1, 1]);
    assert!(written[1].notes[0].contains("holds 2 images"), "{written:?}");
    assert_eq!(check(&path), ["1", "2", "3"]);
    // One that can't be written stands in the way of all, which then are written one by one.
    let more = [addition("three", "4"), addition("four", "2")];
    let lost = prepare();
    let image: Images = staged(&tree("four"), &lost).into();
    std::fs::remove_file(lost.blob(image.layers().next().unwrap().digest)).unwrap();
    assert!(output::write_together(&path, &more).is_err());
    assert_eq!(tags(&path), ["1", "2", "3"]);
    output::write_together(&path, &more[..1]).unwrap();
    assert_eq!(tags(&path), ["1", "2", "3", "4"]);
    assert!(output::write_together(&path, &more[1..]).is_err());
    // A blob that left the layout is put there anew.
    let one: Images = staged(&tree("one"), &prepare()).into();
    let blob = path.join("blobs/sha256").join(one.layers().next().unwrap().digest.hex());
    std::fs::remove_file(&blob).unwrap();
    output::write_together(&path, &[addition("one", "5")]).unwrap();
    assert!(blob.exists());
    drop((all, more, lost, places));
    assert_eq!(sorted_names(folder.path()), ["app.oci"]);
}

fn sorted_names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
