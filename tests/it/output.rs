//! Archives, folders of files, engines, and the words of `-o`.

use std::path::Path;
use std::process::Command;

use mkimage::output::{self, Destination, Engine};
use mkimage::recipe::Compression;
use mkimage::source::{Folder, NodeKind, Source};
use mkimage::tree::{EntryKind, Tree};

use crate::synthetic::{Builder, at, build, bytes, everything, made, names};

fn parse(text: &str) -> Result<Destination, String> {
    Destination::parse(text).map_err(|error| error.0[0].title.clone())
}

#[test]
fn words_of_output() {
    let layout = |path: &str, tag: Option<&str>| Destination::Layout { path: path.into(), tag: tag.map(str::to_owned) };
    let archive =
        |path: &str, tag: Option<&str>| Destination::Archive { path: path.into(), tag: tag.map(str::to_owned) };
    for (text, expected) in [
        ("out", layout("out", None)),
        ("./a:b", layout("./a:b", None)),
        ("x.tar/", layout("x.tar/", None)),
        ("oci:out", layout("out", None)),
        ("oci:out:v1.0", layout("out", Some("v1.0"))),
        ("oci:/a:b/c", layout("/a:b/c", None)),
        ("oci:a:-x", layout("a:-x", None)),
        ("x.tar", archive("x.tar", None)),
        ("dir/X.TAR", archive("dir/X.TAR", None)),
        ("oci-archive:x", archive("x", None)),
        ("oci-archive:x.tar:v1", archive("x.tar", Some("v1"))),
        ("docker-archive:x:y", Destination::DockerArchive("x:y".into())),
        ("rootfs:/out", Destination::Rootfs("/out".into())),
        ("-", Destination::Stdout),
    ] {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }
    for (text, expected) in [
        ("", "output `` names no place"),
        ("oci:", "output `oci:` names no place"),
        ("docker://h.example/a:1", "output `docker://h.example/a:1` is a registry, and pushing is not in this version"),
        ("dir:out", "output `dir:out` is of a kind that is not known, `dir`"),
        ("out:v1", "output `out:v1` is of a kind that is not known, `out`"),
        ("x.tar.gz", "output `x.tar.gz` is compressed by its name: layers are, archives are not"),
    ] {
        assert_eq!(parse(text), Err(expected.to_owned()));
    }
    let help = |text: &str| Destination::parse(text).unwrap_err().0[0].helps.clone();
    assert_eq!(help("oci-archve:x"), ["a kind with a similar name exists: `oci-archive`"]);
    assert_eq!(help("out:v1"), ["for a folder of that name, write `./out:v1`"]);
}

#[test]
fn each_kind_has_its_compression() {
    let of = |text: &str, asked| parse(text).unwrap().compression(asked);
    let (zstd, gzip) = (Some(Compression::Zstd(9)), Some(Compression::Gzip(6)));
    assert_eq!([of("d", None), of("d", zstd), of("d", gzip)], [Compression::Zstd(3), zstd.unwrap(), gzip.unwrap()]);
    assert_eq!([of("x.tar", None), of("x.tar", zstd)], [Compression::Gzip(3), zstd.unwrap()]);
    assert_eq!([of("-", None), of("-", gzip)], [Compression::Gzip(3), gzip.unwrap()]);
    assert_eq!([of("docker-archive:x", zstd), of("docker-archive:x", gzip)], [Compression::Gzip(3), gzip.unwrap()]);
    assert_eq!(of("docker-archive:x", Some(Compression::None)), Compression::None);
}

/// Writes one image in every form for other programs to read: `cargo test -- --ignored for_other_programs`.
#[test]
#[ignore = "leaves its outputs in the target folder, to be tried by hand"]
fn for_other_programs() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outputs");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    let host = Folder::open("/").unwrap();
    let busybox = host.node(&at("/bin/busybox")).unwrap().or_else(|| host.node(&at("/usr/bin/busybox")).unwrap());
    let mut builder = Builder { tree: everything() }.file("/etc/group", 0o644, "root:x:0:\n");
    let content = busybox.unwrap().content().unwrap().clone();
    builder =
        builder.entry("/usr/bin/busybox", made(EntryKind::File(content), 0o755)).symlink("/usr/bin/sh", "busybox");
    let names = names("acme/app", &["v1", "latest"]);
    for text in ["zstd", "oci:gzip:own", "oci-archive:archive.tar", "docker-archive:docker.tar"] {
        let to = match Destination::parse(text).unwrap() {
            Destination::Layout { path, tag } => Destination::Layout { path: folder.join(path), tag },
            Destination::Archive { path, tag } => Destination::Archive { path: folder.join(path), tag },
            Destination::DockerArchive(path) => Destination::DockerArchive(folder.join(path)),
            other => other,
        };
        let compression = if text.contains("gzip") { Some(Compression::Gzip(3)) } else { None };
        crate::synthetic::build_as(&to, &builder.tree, &names, compression).unwrap();
    }
    let to = Destination::Rootfs(folder.join("rootfs"));
    let staging = output::prepare(&to, &folder, mkimage::layer::Durability::Cached).unwrap();
    output::write_rootfs(&folder.join("rootfs"), &builder.tree, staging).unwrap();
}
