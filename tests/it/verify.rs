//! Checking layouts and archives that are damaged, or were made to mislead.

use std::path::{Path, PathBuf};

use mkimage::oci::{Digest, canonical};
use mkimage::output::{self, Destination};
use mkimage::report::Level;
use serde_json::json;

use crate::synthetic::{Builder, build, names};

/// What is wrong with a layout or archive, in one text.
fn findings(path: &Path) -> String {
    match output::open(path).and_then(|store| output::verify(&store)) {
        Ok(report) => {
            let lines = report.findings.iter().map(|found| match found.level {
                Level::Error => found.title.clone(),
                _ => format!("({})", found.title),
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.0[0].title.replace(path.to_str().unwrap(), "PATH"),
    }
}

fn layout(folder: &Path) -> PathBuf {
    let path = folder.join("app.oci");
    let tree = Builder::default().file("/etc/content", 0o644, "one").tree;
    build(&Destination::Layout { path: path.clone(), tag: None }, &tree, &names("app", &["1"])).unwrap();
    path
}

#[test]
fn every_flipped_byte_of_a_blob_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = layout(folder.path());
    assert_eq!(findings(&path), "");
    for entry in std::fs::read_dir(path.join("blobs/sha256")).unwrap() {
        let file = entry.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&file, &bad).unwrap();
            assert_ne!(findings(&path), "", "byte {at} of {}", file.display());
        }
        std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        assert_ne!(findings(&path), "");
        std::fs::remove_file(&file).unwrap();
        assert_ne!(findings(&path), "");
        std::fs::write(&file, &bytes).unwrap();
    }
}

#[test]
fn what_is_no_file_is_no_blob() {
    let folder = tempfile::tempdir().unwrap();
    let path = layout(folder.path());
    let file = std::fs::read_dir(path.join("blobs/sha256")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().is_ok_and(|status| status.success()));
    assert!(findings(&path).contains("which is no file"), "{}", findings(&path));
}

/// A layout made by hand around one layer, with right digests throughout.
struct Forged {
    folder: tempfile::TempDir,
    layer: Vec<u8>,
    media_type: &'static str,
    diff_ids: Vec<serde_json::Value>,
    history: usize,
    listed_size: u64,
}

impl Forged {
    fn new(layer: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (diff_ids, listed_size) = (vec![json!(Digest::of(&layer))], layer.len() as u64);
        let media_type = "application/vnd.oci.image.layer.v1.tar";
        Self { folder, layer, media_type, diff_ids, history: 1, listed_size }
    }

    fn findings(&self) -> String {
        let blobs = self.folder.path().join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        let put = |bytes: &[u8]| {
            std::fs::write(blobs.join(Digest::of(bytes).hex()), bytes).unwrap();
            Digest::of(bytes)
        };
        let config = canonical(&json!({
            "architecture": "amd64", "os": "linux", "history": vec![json!({}); self.history],
            "rootfs": { "type": "layers", "diff_ids": self.diff_ids },
        }));
        let manifest = canonical(&json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": put(&config), "size": config.len() },
            "layers": [{ "mediaType": self.media_type, "digest": put(&self.layer), "size": self.listed_size }],
        }));
        let index = json!({ "schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": put(&manifest), "size": manifest.len(),
            "annotations": { "org.opencontainers.image.ref.name": "x" },
        }]});
        std::fs::write(self.folder.path().join("index.json"), canonical(&index)).unwrap();
        std::fs::write(self.folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        findings(self.folder.path())
    }
}

/// A tar archive of headers with a name, a kind and a link, each with its data.
fn archive(entries: &[(&str, u8, &str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, link, data) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

#[test]
fn documents_that_do_not_fit() {
    let layer = archive(&[("a", b'0', "", b"x")]);
    assert_eq!(Forged::new(layer.clone()).findings(), "");
    let forged = Forged { listed_size: 7, ..Forged::new(layer.clone()) };
    assert_eq!(forged.findings(), "layer 1 of `x` has 2048 bytes, and is listed with 7");
    let forged = Forged { history: 2, ..Forged::new(layer.clone()) };
    assert_eq!(forged.findings(), "`x` has 1 layers and a history of 2");
    let upper = format!("sha256:{}", Digest::of(&layer).hex().to_uppercase());
    for bad in [json!("sha512:00"), json!(""), json!(null), json!(upper)] {
        let forged = Forged { diff_ids: vec![bad.clone()], ..Forged::new(layer.clone()) };
        assert_eq!(forged.findings(), format!("diff_id 1 of `x` is `{bad}`, which is no SHA-256 digest"));
    }
    let forged = Forged { diff_ids: Vec::new(), history: 0, ..Forged::new(layer.clone()) };
    assert_eq!(forged.findings(), "`x` has 1 layers and 0 diff_ids");
    let forged = Forged { diff_ids: vec![json!(Digest::of(b""))], ..Forged::new(layer.clone()) };
    let expected = format!("layer 1 of `x` unpacks to {}, and its diff_id is {}", Digest::of(&layer), Digest::of(b""));
    assert_eq!(forged.findings(), expected);
    let media_type = "application/vnd.oci.image.layer.v1.tar+zstd";
    let forged = Forged { media_type, ..Forged::new(layer) };
    assert_eq!(forged.findings(), "layer 1 of `x` is no sound zstd stream: unknown frame descriptor");
}

#[test]
fn archives_that_programs_read_in_two_ways() {
    let wrong = |entries: &[(&str, u8, &str, &[u8])]| Forged::new(archive(entries)).findings();
    let folder = ("d/", b'5', "", b"".as_slice());
    for (entries, expected) in [
        (vec![("a", b'0', "", b"x".as_slice()), ("a", b'0', "", b"y")], "has two entries for `a`"),
        (vec![folder, ("d", b'0', "", b"")], "has two entries for `d`"),
        (vec![("h", b'1', "a", b""), ("a", b'0', "", b"")], "has the hard link `h` to `a`, which is no file before it"),
        (vec![folder, ("h", b'1', "d", b"")], "has the hard link `h` to `d`, which is no file before it"),
        (vec![("a/../../b", b'0', "", b"")], "has `a/../../b`, which leads out of the image"),
        (vec![("l", b'2', "/", b""), ("l/x", b'0', "", b"")], "has `l/x` below something that is no folder"),
        (
            vec![("l", b'2', "x", b"data")],
            "is an archive that has a record at byte 0 that has data, which its kind has not",
        ),
        (
            vec![("s", b'S', "", b"")],
            "is an archive that has a record at byte 0 that is of a kind that not every program knows",
        ),
        (
            vec![("p", b'x', "", b"9 path=b\n")],
            "is an archive that has a record at byte 1024 that is not there, after one that extends it",
        ),
        (
            vec![("p", b'g', "", b"9 path=b\n")],
            "is an archive that has a record at byte 0 that changes all that follow",
        ),
        (
            vec![("p", b'x', "", b"9 path=b\n".as_slice()), ("p", b'x', "", b"9 path=b\n"), ("a", b'0', "", b"")],
            "is an archive that has a record at byte 1024 that repeats another",
        ),
        (
            vec![("p", b'x', "", b"9 path=b\n".as_slice()), ("L", b'L', "", b"c\0"), ("a", b'0', "", b"")],
            "is an archive that has a record at byte 2048 that has two long names",
        ),
    ] {
        assert_eq!(wrong(&entries), format!("layer 1 of `x` {expected}"));
    }
    assert_eq!(wrong(&[("d/x", b'0', "", b"")]), "(layer 1 of `x` has `d/x`, and no entry for its folder before it)");
    assert_eq!(wrong(&[("g", b'g', "", b"15 comment=hi!\n"), ("a", b'0', "", b"")]), "");
    let mut broken = archive(&[("a", b'0', "", b"x")]);
    broken[0] = b'b';
    let expected = "layer 1 of `x` is an archive that has a record at byte 0 that has a wrong checksum";
    assert_eq!(Forged::new(broken.clone()).findings(), expected);
    let cut = archive(&[("a", b'0', "", b"x")])[..700].to_vec();
    assert_eq!(Forged::new(cut).findings(), "layer 1 of `x` is an archive that ends in the middle, at byte 700");
    let more = [archive(&[]), b"more".to_vec()].concat();
    let expected = "layer 1 of `x` is an archive that has a record at byte 1024 that stands behind the archive's end";
    assert_eq!(Forged::new(more).findings(), expected);
}

#[test]
fn places_that_are_no_images() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        findings(&folder.path().join(name))
    };
    assert_eq!(findings(folder.path()), "`PATH` is no OCI layout and no archive of an image");
    assert_eq!(at("empty", b""), "`PATH` is no OCI layout and no archive of an image");
    assert_eq!(at("text", &[b'x'; 2000]), "`PATH` is no OCI layout and no archive of an image");
    assert_eq!(at("gz", &[0x1f, 0x8b, 8, 0]), "`PATH` is compressed as a whole: decompress it first");
    let list = br#"[{"Config":"../../etc/passwd","Layers":[]}]"#;
    assert_eq!(at("escape.tar", &archive(&[("manifest.json", b'0', "", list)])), "`PATH` lacks `../../etc/passwd`");
    let twice = archive(&[("manifest.json", b'0', "", b"[]"), ("./manifest.json", b'0', "", b"[]")]);
    assert_eq!(at("twice.tar", &twice), "`PATH` is an archive with two members called `manifest.json`");
    assert_eq!(at("none.tar", &archive(&[("manifest.json", b'0', "", b"[]")])), "it holds no image");
    assert_eq!(findings(&folder.path().join("missing")), "`PATH` can't be read: no such file or directory");
    std::fs::write(folder.path().join("manifest.json"), br#"[{"Config":"../passwd","Layers":[]}]"#).unwrap();
    assert_eq!(findings(folder.path()), "`PATH` lacks `../passwd`");
    let huge = vec![b' '; (4 << 20) + 1];
    std::fs::write(folder.path().join("index.json"), huge).unwrap();
    assert_eq!(findings(folder.path()), "`PATH` has a document of more than 4194304 bytes, `index.json`");
}

#[test]
fn a_bomb_takes_no_memory() {
    // A GNU long name of a gigabyte, and a document that is nothing but nesting.
    let mut layer = archive(&[("L", b'L', "", b"")]);
    layer[124..136].copy_from_slice(b"10000000000\0");
    let sum: u32 =
        layer[..512].iter().enumerate().map(|(i, &b)| u32::from(if (148..156).contains(&i) { b' ' } else { b })).sum();
    layer[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let expected = "layer 1 of `x` is an archive that has a record at byte 0 that has a size that is too large";
    assert_eq!(Forged::new(layer).findings(), expected);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.json"), "[".repeat(1 << 20)).unwrap();
    assert_eq!(findings(folder.path()), "`PATH` has a document that is not of its form, `index.json`");
}
