//! Archives, folders of files, engines, and the words of `-o`.

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use mkimage::image::{Image, describe};
use mkimage::layer::{Durability, Layer, Options, Staging, pack};
use mkimage::oci::{DiffId, Digest};
use mkimage::output::{self, Depth, Destination, Engine, Report, StorageTool, Written};
use mkimage::recipe::{Compression, Config};
use mkimage::registry::Remote;
use mkimage::report::Error;
use mkimage::source::{Folder, NodeKind, Source};
use mkimage::tree::{EntryKind, Tree};

use crate::synthetic::{Builder, amd64, at, build, everything, facts, made, names, single};

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
        ("docker://h.example/a:1", Destination::Registry(Remote::parse("h.example/a:1").unwrap())),
        ("-", Destination::Stdout),
    ] {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }
    for (text, expected) in [
        ("", "output `` names no place"),
        ("oci:", "output `oci:` names no place"),
        (
            "docker://h.example/A:1",
            "`docker://h.example/A:1` is no image name: lower-case letters, digits, `.`, `_`, `-` between `/`, with a host before them or none",
        ),
        (
            "docker://h.example/a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "output `docker://h.example/a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855` has a digest, and what is pushed has its own",
        ),
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

fn small() -> Tree {
    Builder::default().directory("/tmp", 0o1777).file("/etc/content", 0o644, "one").symlink("/etc/link", "content").tree
}

/// The members of an archive, in order, with their contents.
fn members(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (String::from_utf8(entry.path_bytes().to_vec()).unwrap(), bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

fn sound(path: &Path) -> Report {
    let report = output::verify(&output::open(path).unwrap()).unwrap();
    assert_eq!(report.findings, []);
    report
}

#[test]
fn an_archive_is_a_layout_and_what_docker_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.tar");
    let to = Destination::Archive { path: path.clone(), tag: None };
    let (image, _) = build(&to, &small(), &names("acme/app", &["1", "latest"])).unwrap();
    let hex = |digest: Digest| format!("blobs/sha256/{}", digest.hex());
    let (layer, config) = (hex(image.layers[0].digest), hex(image.config.digest));
    let found = members(&std::fs::read(&path).unwrap());
    let order: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let manifest = hex(image.manifest.digest);
    let all = ["manifest.json", "blobs/", "blobs/sha256/", &layer, &config, &manifest, "index.json", "oci-layout"];
    assert_eq!(order, all);
    let text = |at: usize| String::from_utf8(found[at].1.clone()).unwrap();
    let list = format!(r#"[{{"Config":"{config}","Layers":["{layer}"],"RepoTags":["acme/app:1","acme/app:latest"]}}]"#);
    assert_eq!(text(0), list);
    let named =
        r#""annotations":{"io.containerd.image.name":"docker.io/acme/app:1","org.opencontainers.image.ref.name":"1"}"#;
    assert!(text(6).contains(named), "{}", text(6));
    assert_eq!((sound(&path).images, sound(&path).blobs, sound(&path).entries), (1, 3, 4));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_image_id_is_the_same_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for text in ["oci:layout", "oci-archive:a.tar", "docker-archive:d.tar"] {
        let path = folder.path().join(text.split_once(':').unwrap().1);
        let to = Destination::parse(&text.replace(':', &format!(":{}/", folder.path().display()))).unwrap();
        build(&to, &small(), &names("app", &["1"])).unwrap();
        sound(&path);
        let images = output::inspect(&output::open(&path).unwrap(), Depth::Documents).unwrap();
        ids.push((images[0].id, images[0].layers[0].diff_id, images[0].platform.clone()));
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[test]
fn an_archive_replaces_a_file_and_keeps_a_link_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.tar");
    let real = folder.path().join("real");
    std::fs::write(&real, "not mkimage's").unwrap();
    std::os::unix::fs::symlink("real", &path).unwrap();
    let error = build(&Destination::DockerArchive(path.clone()), &small(), &names("app", &["1"])).unwrap_err();
    assert_eq!(error.0[0].title, format!("`{}` is a file that is no archive of an image", path.display()));
    assert_eq!(std::fs::read(&real).unwrap(), b"not mkimage's");
    // One that is empty, and one that is an archive.
    std::fs::write(&real, "").unwrap();
    build(&Destination::DockerArchive(path.clone()), &small(), &names("app", &["1"])).unwrap();
    build(&Destination::Archive { path: path.clone(), tag: Some("own".to_owned()) }, &small(), &names("app", &["1"]))
        .unwrap();
    assert!(path.is_symlink());
    assert_eq!(
        output::inspect(&output::open(&folder.path().join("real")).unwrap(), Depth::Documents).unwrap()[0].names,
        ["own"]
    );
    let error = build(&Destination::DockerArchive(folder.path().into()), &small(), &names("app", &["1"])).unwrap_err();
    assert_eq!(error.0[0].title, format!("`{}` is a folder, and an archive is a file", folder.path().display()));
    build(&Destination::DockerArchive("/dev/null".into()), &small(), &names("app", &["1"])).unwrap();
    let socket = folder.path().join("socket.tar");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = build(&Destination::DockerArchive(socket.clone()), &small(), &names("app", &["1"])).unwrap_err();
    assert_eq!(error.0[0].title, format!("`{}` is a socket or a block device", socket.display()));
}

#[test]
fn a_document_does_not_take_the_place_of_a_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("app.toml");
    for write in [output::write_file, output::publish] {
        std::fs::write(&recipe, "binaries = []").unwrap();
        let error = write(&recipe, b"{}").unwrap_err();
        assert_eq!(error.0[0].title, format!("`{}` is what recipes are written in", recipe.display()));
        assert_eq!(std::fs::read(&recipe).unwrap(), b"binaries = []");
        let document = folder.path().join("app.json");
        write(&document, b"{}").and_then(|()| write(&document, b"[]")).unwrap();
        assert_eq!(std::fs::read(&document).unwrap(), b"[]");
    }
}

/// A stream that takes nothing.
struct Full;
impl Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_names_the_output_and_leaves_what_was_there() {
    let error = build(&Destination::DockerArchive("/dev/full".into()), &small(), &names("app", &["1"])).unwrap_err();
    assert_eq!(error.0[0].title, "cannot write `/dev/full`: no space left on device");
    let (image, _staging) = packed(&small());
    let error = output::stream(&mut Full, &image.into(), &names("app", &["1"])).unwrap_err();
    assert_eq!(error.0[0].title, "cannot write `standard output`: broken pipe");
}

#[test]
fn a_layout_that_cannot_be_written_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.oci");
    let to = Destination::Layout { path: path.clone(), tag: None };
    build(&to, &small(), &names("app", &["1"])).unwrap();
    let before = std::fs::read(path.join("index.json")).unwrap();
    // A folder where the index belongs can't be replaced by a file, whoever runs this.
    std::fs::rename(path.join("index.json"), folder.path().join("kept")).unwrap();
    std::fs::create_dir_all(path.join("index.json/x")).unwrap();
    let error = build(&to, &everything(), &names("app", &["1"])).unwrap_err();
    assert_eq!(error.0[0].title, format!("cannot read `{}/index.json`: is a directory", path.display()));
    std::fs::remove_dir_all(path.join("index.json")).unwrap();
    std::fs::rename(folder.path().join("kept"), path.join("index.json")).unwrap();
    assert_eq!(std::fs::read(path.join("index.json")).unwrap(), before);
    assert_eq!(sound(&path).blobs, 3);
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 3);
}

/// An image whose blobs are staged.
fn packed(tree: &Tree) -> (Image, Staging) {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let staging = output::prepare(&Destination::Stdout, temporary, Durability::Cached).unwrap();
    let options = Options::new(NonZeroUsize::MIN);
    let layers = pack(tree, &single(tree), Compression::Gzip(3), &options, &staging).unwrap();
    (describe(layers, &Config::default(), &facts(&amd64())).unwrap(), staging)
}

#[test]
fn the_stream_is_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.tar");
    build(&Destination::Archive { path: path.clone(), tag: None }, &small(), &names("app", &["1"])).unwrap();
    let (image, _staging) = packed(&small());
    let mut out = Vec::new();
    output::stream(&mut out, &image.into(), &names("app", &["1"])).unwrap();
    assert!(out == std::fs::read(&path).unwrap());
}

fn rootfs(path: &Path, tree: &Tree) -> Result<Written, Error> {
    let staging = output::prepare(&Destination::Rootfs(path.into()), Path::new("/nonexistent"), Durability::Synced)?;
    output::write_rootfs(path, tree, staging)
}

#[test]
fn a_folder_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let mut tree = everything();
    if !rustix::process::geteuid().is_root() {
        tree.get_mut(&at("/usr/bin/capable")).unwrap().xattrs.clear();
    }
    rootfs(&path, &tree).unwrap();
    let out = Folder::open(&path).unwrap();
    for (path, entry) in tree.iter() {
        let node = out.node(path).unwrap().unwrap_or_else(|| panic!("{path} is missing"));
        match (&entry.kind, &node.kind) {
            (EntryKind::File(content), NodeKind::File(found)) => {
                assert_eq!(found.read(u64::MAX).unwrap(), content.read(u64::MAX).unwrap(), "{path}");
                assert_eq!((node.mode, node.mtime), (entry.mode, entry.mtime.unwrap_or(mkimage::MTIME)), "{path}");
            }
            (EntryKind::HardLink(target), NodeKind::File(found)) => {
                assert_eq!(found.id(), out.node(target).unwrap().unwrap().content().unwrap().id(), "{path}");
            }
            (EntryKind::Directory, NodeKind::Directory) => assert_eq!(node.mode, entry.mode, "{path}"),
            (EntryKind::Symlink(target), NodeKind::Symlink(found)) => assert_eq!(target, found),
            (kind, _) => panic!("{path} is a {}, not a {kind:?}", node.noun()),
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_is_replaced_only_as_mkimage_left_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    std::fs::create_dir(&path).unwrap();
    rootfs(&path, &everything()).unwrap();
    rootfs(&path, &small()).unwrap();
    assert!(path.join("etc/link").is_symlink() && !path.join("usr").exists());
    std::thread::sleep(std::time::Duration::from_millis(20));
    let note = path.join("etc/content");
    for change in
        [&|| std::fs::write(&note, "mine"), &|| std::fs::write(path.join("new"), "mine")] as [&dyn Fn() -> _; 2]
    {
        change().unwrap();
        let error = rootfs(&path, &small()).unwrap_err().0.remove(0).title;
        let why = "is a folder with files that are not as mkimage left them, and is not replaced";
        assert_eq!(error, format!("`{}` {why}", path.display()));
    }
    assert_eq!(std::fs::read_to_string(&note).unwrap(), "mine");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(rootfs(&file, &small()).unwrap_err().0[0].title, format!("`{}` is no folder", file.display()));
}

#[test]
fn no_entry_is_written_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let tree = Builder::default().symlink("/etc", outside.to_str().unwrap()).file("/etc/passwd", 0o644, "mine").tree;
    let out = folder.path().join("out");
    let error = rootfs(&out, &tree).unwrap_err();
    assert_eq!(error.0[0].title, format!("cannot write `{}/etc/passwd`: not a directory", out.display()));
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A program that stands for an engine.
fn engine(folder: &Path, script: &str) -> Engine {
    let path = folder.join("podman");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Engine::Podman(path)
}

#[test]
fn an_engine_is_given_the_archive_that_each_of_them_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (image, staging) = packed(&everything());
    let got = folder.path().join("got");
    let podman =
        engine(folder.path(), &format!("test $1 = load && cat >{} && echo Loaded image: app:1", got.display()));
    assert_eq!(podman, Engine::Podman(folder.path().join("podman")));
    let written = output::load(&podman, &image.clone().into(), &names("app", &["1"]), &staging).unwrap();
    assert_eq!(written.notes, ["Loaded image: app:1"]);
    sound(&got);
    let found = members(&std::fs::read(&got).unwrap());
    let layer = format!("{}.tar", image.layers[0].digest.hex());
    let config = format!("{}.json", image.config.digest.hex());
    assert_eq!(found.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["manifest.json", &layer, &config]);
}

/// Docker as it answers: with images whose layers are these, and a `load` that keeps what it is given.
fn docker(folder: &Path, layers: &[String], load: &str) -> Engine {
    let path = folder.join("docker");
    let line = serde_json::to_string(layers).unwrap();
    let script = format!(
        "#!/bin/sh\ncase $1-$2 in\nimage-ls) echo sha256:1; echo sha256:2 ;;\nimage-inspect) echo '[\"sha256:0\"]'; echo '{line}' ;;\n\
         load-*) {load} ;;\nesac\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Engine::Docker(path)
}

#[test]
fn docker_is_sent_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let (mut image, staging) = packed(&everything());
    // A second layer, which is the first one again but for its name: to Docker another one.
    let upper =
        Layer { diff_id: DiffId::new(Digest::of(b"upper")), digest: Digest::of(b"upper"), ..image.layers[0].clone() };
    image.layers.push(upper);
    let got = folder.path().join("got");
    let keep = format!("cat >{}; echo Loaded image: app:1", got.display());
    let name = |layer: &Layer| format!("{}.tar", layer.digest.hex());
    let sent = || -> Vec<String> { members(&std::fs::read(&got).unwrap()).into_iter().map(|(name, _)| name).collect() };
    let config = format!("{}.json", image.config.digest.hex());
    let (lower, upper) = (name(&image.layers[0]), name(&image.layers[1]));
    let load = |engine: &Engine| output::load(engine, &image.clone().into(), &names("app", &["1"]), &staging).unwrap();

    let there = [image.layers[0].diff_id.to_string(), "sha256:2".to_owned()];
    let written = load(&docker(folder.path(), &there, &keep));
    assert_eq!(written.notes, ["Loaded image: app:1", "1 of 2 layers were there, and not sent"]);
    assert_eq!(sent(), ["manifest.json", &upper, &config]);
    // In another order they are other layers.
    let turned = [image.layers[1].diff_id.to_string(), image.layers[0].diff_id.to_string()];
    assert_eq!(load(&docker(folder.path(), &turned, &keep)).notes, ["Loaded image: app:1"]);
    assert_eq!(sent(), ["manifest.json", &lower, &upper, &config]);
    // A store that wants all of them gets all of them.
    let strict = format!(
        "cat >{0}; grep -q {lower} {0} && tar -tf {0} | grep -q {lower} && echo Loaded image: app:1",
        got.display()
    );
    assert_eq!(load(&docker(folder.path(), &there, &strict)).notes, ["Loaded image: app:1"]);
    assert_eq!(sent(), ["manifest.json", &lower, &upper, &config]);
}

#[test]
fn the_store_of_podman_is_written_by_whoever_is_there() {
    for (tool, program) in StorageTool::ALL {
        let folder = tempfile::tempdir().unwrap();
        let (image, staging) = packed(&everything());
        let (path, said, got) = (folder.path().join(program), folder.path().join("said"), folder.path().join("got"));
        let script = format!(
            "#!/bin/sh\necho \"$@\" >>{0}\ncase $1 in load) cat >{1}; echo Loaded image: x ;; pull) cp ${{3#docker-archive:}} {1} ;;\n\
             copy) layout=${{4#oci:}}; rm -rf {1}; cp -r ${{layout%:image}} {1} ;; esac\n",
            said.display(),
            got.display()
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let name = Some(("localhost/stored".to_owned(), None));
        let engine = Engine::Storage { tool, program: path, name };
        let written = output::load(&engine, &image.clone().into(), &names("app", &["1", "2"]), &staging).unwrap();
        let said = std::fs::read_to_string(said).unwrap();
        sound(&got);
        match tool {
            StorageTool::Skopeo => {
                assert_eq!(written.notes, ["stored as localhost/stored:1", "stored as localhost/stored:2"]);
                let lines: Vec<&str> = said.lines().collect();
                assert!(lines[0].ends_with(" containers-storage:localhost/stored:1") && lines.len() == 2, "{said}");
            }
            StorageTool::Podman => {
                assert_eq!((said.as_str(), written.notes), ("load\n", vec!["Loaded image: x".to_owned()]));
            }
            StorageTool::Buildah => assert!(said.starts_with("pull --quiet docker-archive:"), "{said}"),
        }
    }
}

#[test]
fn an_engine_that_refuses_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (image, staging) = packed(&everything());
    // It does not read what it is sent, and says more than a pipe holds.
    let podman = engine(folder.path(), "head -c 200000 /dev/zero; echo 'Error: no room' >&2; exit 125");
    let error = output::load(&podman, &image.clone().into(), &names("app", &["1"]), &staging).unwrap_err().0.remove(0);
    assert_eq!(error.title, format!("`{}/podman load` does not take the image", folder.path().display()));
    assert_eq!(error.notes[0], "it says: Error: no room");
}

#[test]
fn inspect_lists_what_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.oci");
    let to = Destination::Layout { path: path.clone(), tag: None };
    let (image, _) = build(&to, &everything(), &names("app", &["1"])).unwrap();
    let found = output::inspect(&output::open(&path).unwrap(), Depth::Files).unwrap().remove(0);
    assert_eq!((found.digest, found.id), (Some(image.manifest.digest), image.config.digest));
    assert_eq!(found.config["User"], "65532:65532");
    let layer = &found.layers[0];
    assert_eq!(layer.created_by.as_deref(), Some("mkimage: all files"));
    let entries = layer.entries.as_ref().unwrap();
    for (path, entry) in everything().iter() {
        let found = entries.iter().find(|found| found.path == path.to_string()).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(found.size, entry.content().map_or(0, mkimage::source::Content::size), "{path}");
        if !matches!(entry.kind, EntryKind::HardLink(_)) {
            assert_eq!((found.uid, found.gid), (entry.uid.into(), entry.gid.into()), "{path}");
            assert_eq!(found.mtime, entry.mtime.unwrap_or(mkimage::MTIME), "{path}");
        }
    }
    let capable = entries.iter().find(|found| found.path == "/usr/bin/capable").unwrap();
    assert_eq!(capable.xattrs, ["security.capability"]);
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["layers"][0]["encoding"], "zstd");
    assert_eq!(json["layers"][0]["entries"][0]["kind"], "symlink");
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
