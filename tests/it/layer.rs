//! Layers: their bytes, and that other programs read them as they were meant.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Command;

use mkimage::layer::{Layer, LayerPlan, plan};
use mkimage::oci::Digest;
use mkimage::recipe::{Compression, Layers};
use mkimage::source::{Content, Folder, Source};
use mkimage::tree::{Cause, EntryKind, Rank, Reason, Tree};

use crate::synthetic::{Builder, at, bytes, everything, made, pack_in, single};

/// Whoever changes one of these changes the digest of every image there is, and says so in the change log.
const GOLDEN: [(Compression, &str); 9] = [
    (Compression::None, "sha256:f3f0f61f689404dd84e2ebaedee6549408142c1d8611ef84934b642da4c15af8"),
    (Compression::Zstd(1), "sha256:2136ef7a345b793dd4f4fe13e8df4e8b3d4e8f203788c0dc4c3b3eaee96da34a"),
    (Compression::Zstd(3), "sha256:f188603efca46922fbf843f115f7fe948ac31ebc830c1ca05c6d796495b9943a"),
    (Compression::Zstd(9), "sha256:246e551935057e14fd38937385e857df07138af51529b9c8c2674fbcb39477c2"),
    (Compression::Zstd(19), "sha256:336415b432909642554cb8e03c52c7ac065ceddc373374c303b48d8ace6603fd"),
    (Compression::Gzip(1), "sha256:10af96562d920ee08d8eeb87cac430e7a338eed7d65f59513dc4cff8a949ed01"),
    (Compression::Gzip(3), "sha256:864d411a86651cf5813b257a83225fab3501aaace9854c5895ecfa544326acf1"),
    (Compression::Gzip(6), "sha256:626c07453fba765eff740f55be6e453c8fae7e4a449ca7740f068def7669dfab"),
    (Compression::Gzip(9), "sha256:f1d318f146eca259421498c79dd88e6ee13bc4e819f75c0a10af38465bdc9528"),
];

#[test]
fn golden_digests() {
    let folder = tempfile::tempdir().unwrap();
    let tree = everything();
    let plans = single(&tree);
    let mut wrong = String::new();
    for (compression, expected) in GOLDEN {
        let (_staging, layers) = pack_in(folder.path(), &tree, &plans, compression, 2).unwrap();
        let digest = layers[0].digest.to_string();
        if digest != expected {
            wrong += &format!("    (Compression::{compression:?}, \"{digest}\"),\n");
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn bytes_do_not_depend_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    let tree = everything();
    let plans = several(&tree);
    for compression in [Compression::Zstd(3), Compression::Gzip(3), Compression::None] {
        let digests = |threads| {
            let (_staging, layers) = pack_in(folder.path(), &tree, &plans, compression, threads).unwrap();
            layers.iter().map(|layer| (layer.digest, layer.diff_id, layer.size)).collect::<Vec<_>>()
        };
        let one = digests(1);
        for threads in [2, 3, 8] {
            assert_eq!(digests(threads), one, "{compression:?}, {threads} threads");
        }
    }
}

/// The tree in three layers, the first the smallest.
fn several(tree: &Tree) -> Vec<LayerPlan> {
    let all = &single(tree)[0].paths;
    let part = |name: &str, from: usize, to: usize| {
        let mut paths = all[from..to].to_vec();
        paths.extend(all[from..to].iter().flat_map(mkimage::path::ImagePath::ancestors));
        paths.sort();
        paths.dedup();
        LayerPlan { name: name.to_owned(), paths }
    };
    vec![part("a", 0, 10), part("b", 10, all.len() - 300), part("c", all.len() - 300, all.len() - 1)]
}

/// The tar stream of a layer, by a decoder that is not the packer's.
fn unpacked(layer: &Layer) -> Vec<u8> {
    let file = std::fs::File::open(&layer.blob).unwrap();
    let mut bytes = Vec::new();
    match layer.media_type.to_string().rsplit_once('+') {
        // One member: a reader that stops after the first must have seen it all.
        Some((_, "gzip")) => flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap(),
        Some((_, "zstd")) => zstd::stream::read::Decoder::new(file).unwrap().read_to_end(&mut bytes).unwrap(),
        _ => { file }.read_to_end(&mut bytes).unwrap(),
    };
    bytes
}

#[test]
fn compression_changes_nothing_but_the_blob() {
    let folder = tempfile::tempdir().unwrap();
    let tree = everything();
    let pack = |compression| pack_in(folder.path(), &tree, &single(&tree), compression, 2).unwrap();
    let (_plain_staging, plain) = pack(Compression::None);
    let stream = unpacked(&plain[0]);
    assert_eq!(plain[0].diff_id.digest(), Digest::of(&stream));
    assert_eq!(plain[0].unpacked, stream.len() as u64);
    for compression in [Compression::Zstd(3), Compression::Zstd(19), Compression::Gzip(1), Compression::Gzip(12)] {
        let (_staging, layers) = pack(compression);
        let blob = std::fs::read(&layers[0].blob).unwrap();
        assert_eq!((layers[0].digest, layers[0].size), (Digest::of(&blob), blob.len() as u64));
        assert_eq!(layers[0].diff_id, plain[0].diff_id);
        assert!(unpacked(&layers[0]) == stream, "{compression:?}");
    }
}

/// What the `tar` crate reads, one line for each entry.
fn listing(stream: &[u8]) -> String {
    let mut archive = tar::Archive::new(stream);
    let mut text = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        let kind = format!("{:?}", entry.header().entry_type());
        let mut line = format!("{kind} {:o} ", entry.header().mode().unwrap());
        let extensions: Vec<(String, Vec<u8>)> = entry
            .pax_extensions()
            .unwrap()
            .map(|all| all.map(|one| one.unwrap()).map(|e| (e.key().unwrap().to_owned(), e.value_bytes().to_vec())))
            .map_or_else(Vec::new, Iterator::collect);
        let number = |key: &str, header: u64| {
            let found = extensions.iter().find(|(k, _)| k == key);
            found.map_or_else(|| header.to_string(), |(_, value)| String::from_utf8(value.clone()).unwrap())
        };
        line += &format!(
            "{}:{} ",
            number("uid", entry.header().uid().unwrap()),
            number("gid", entry.header().gid().unwrap())
        );
        line += &format!("@{} ", number("mtime", entry.header().mtime().unwrap()));
        line += &mkimage::path::show(&entry.path_bytes());
        if let Some(target) = entry.link_name_bytes() {
            line += &format!(" -> {}", mkimage::path::show(&target));
        }
        if entry.header().entry_type().is_file() {
            line += &format!(" {} bytes {}", data.len(), &Digest::of(&data).hex()[..8]);
        }
        for (key, value) in extensions.iter().filter(|(key, _)| key.starts_with("SCHILY")) {
            line += &format!(" {key}={}", value.len());
        }
        text += &line;
        text += "\n";
    }
    text
}

#[test]
fn one_of_each_kind() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Builder::default()
        .directory("/tmp", 0o1777)
        .symlink("/bin", "usr/bin")
        .file("/usr/bin/a", 0o4755, "content")
        .hard_link("/usr/bin/b", "/usr/bin/a")
        .with("/usr/bin/b", |entry| entry.mode = 0)
        .file(b"/etc/\xff\n", 0o600, "")
        .with(b"/etc/\xff\n", |entry| (entry.uid, entry.gid) = (65532, 2_097_152))
        .file("/etc/dated", 0o644, "x")
        .with("/etc/dated", |entry| entry.mtime = Some(1_700_000_000))
        .with("/etc/dated", |entry| entry.xattrs = vec![("user.note".to_owned(), b"a\0b".to_vec())])
        .file("/etc/before", 0o644, "x")
        .with("/etc/before", |entry| entry.mtime = Some(-5))
        .tree;
    let (_staging, layers) = pack_in(folder.path(), &tree, &single(&tree), Compression::None, 1).unwrap();
    let expected = "\
Symlink 777 0:0 @315532800 bin -> usr/bin
Directory 755 0:0 @315532800 etc/
Regular 644 0:0 @-5 etc/before 1 bytes 2d711642
Regular 644 0:0 @1700000000 etc/dated 1 bytes 2d711642 SCHILY.xattr.user.note=3
Regular 600 65532:2097152 @315532800 etc/\\xff\\n 0 bytes e3b0c442
Directory 1777 0:0 @315532800 tmp/
Directory 755 0:0 @315532800 usr/
Directory 755 0:0 @315532800 usr/bin/
Regular 4755 0:0 @315532800 usr/bin/a 7 bytes ed7002b4
Link 4755 0:0 @315532800 usr/bin/b -> usr/bin/a
";
    assert_eq!(listing(&unpacked(&layers[0])), expected);
    assert_eq!(layers[0].files, 6);
}

#[test]
fn names_need_pax_only_when_they_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let folders =
        [b'p'; 155].chunks(39).map(|name| name[1..].iter().map(|_| 'p').collect::<String>()).collect::<Vec<_>>();
    let folders = folders.join("/");
    let fits = format!("/{folders}/{}", "n".repeat(100));
    let exactly = format!("/{}", "n".repeat(100));
    let tree = Builder::default().file(&fits, 0o644, "").file(&exactly, 0o644, "").symlink("/l", "t".repeat(100)).tree;
    let (_staging, layers) = pack_in(folder.path(), &tree, &single(&tree), Compression::None, 1).unwrap();
    let stream = unpacked(&layers[0]);
    assert!(!stream.windows(12).any(|text| text == b"./PaxHeaders"));
    // Four folders, two files, a link, the end.
    assert_eq!(stream.len(), 512 * (4 + 2 + 1 + 2));

    let long = format!("/{folders}/{}", "n".repeat(101));
    let tree = Builder::default().file(&long, 0o644, "found").tree;
    let (_staging, layers) = pack_in(folder.path(), &tree, &single(&tree), Compression::None, 1).unwrap();
    assert!(listing(&unpacked(&layers[0])).contains(&format!("{} 5 bytes", &long[1..])));
}

#[test]
fn gnu_tar_extracts_what_went_in() {
    if Command::new("tar").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tree = everything();
    let (_staging, layers) = pack_in(folder.path(), &tree, &single(&tree), Compression::Gzip(3), 2).unwrap();
    let to = folder.path().join("out");
    std::fs::create_dir(&to).unwrap();
    let output =
        Command::new("tar").arg("-xzpf").arg(&layers[0].blob).arg("--no-same-owner").arg("-C").arg(&to).output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    let complaints = said.lines().filter(|line| !line.contains("hdrcharset") && !line.contains("implausibly old"));
    assert_eq!(complaints.collect::<Vec<_>>(), Vec::<&str>::new());
    let out = Folder::open(&to).unwrap();
    for (path, entry) in tree.iter() {
        let node = out.node(path).unwrap().unwrap_or_else(|| panic!("{path} is missing"));
        match &entry.kind {
            EntryKind::File(content) => {
                assert_eq!(node.content().unwrap().read(u64::MAX).unwrap(), content.read(u64::MAX).unwrap(), "{path}");
                assert_eq!(node.mode, entry.mode, "{path}");
            }
            EntryKind::HardLink(target) => {
                let target = out.node(target).unwrap().unwrap();
                assert_eq!(node.content().unwrap().id(), target.content().unwrap().id(), "{path}");
            }
            EntryKind::Directory => assert!(node.is_directory() && node.mode == entry.mode, "{path}"),
            EntryKind::Symlink(_) => assert_eq!(node.noun(), "link", "{path}"),
        }
    }
}

#[test]
fn ten_thousand_files_and_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = Builder::default();
    for number in 0..10_000 {
        builder = builder.file(format!("/d{}/{number}", number % 7), 0o644, number.to_string());
    }
    let (_staging, layers) =
        pack_in(folder.path(), &builder.tree, &single(&builder.tree), Compression::Zstd(3), 2).unwrap();
    assert_eq!(layers[0].files, 10_000);
    assert_eq!(listing(&unpacked(&layers[0])).lines().count(), 10_007);
    let (_staging, layers) = pack_in(folder.path(), &Tree::default(), &[], Compression::Zstd(3), 2).unwrap();
    assert!(layers.is_empty());
}

/// How many zstd frames two blobs do not share.
fn frames(layer: &Layer) -> BTreeMap<Digest, usize> {
    let blob = std::fs::read(&layer.blob).unwrap();
    let mut rest = &blob[..];
    let mut frames = BTreeMap::new();
    while !rest.is_empty() {
        let size = zstd::zstd_safe::find_frame_compressed_size(rest).unwrap();
        frames.insert(Digest::of(&rest[..size]), size);
        rest = &rest[size..];
    }
    frames
}

#[test]
fn a_changed_file_changes_its_own_piece() {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = everything();
    for number in 0..400 {
        let entry = made(EntryKind::File(Content::bytes(bytes(number, 20_000))), 0o644);
        tree.place(at(format!("/usr/share/more/{number:03}")), entry).unwrap();
    }
    let frames_of = |tree: &Tree| {
        let (_staging, layers) = pack_in(folder.path(), tree, &single(tree), Compression::Zstd(3), 2).unwrap();
        frames(&layers[0])
    };
    let before = frames_of(&tree);
    assert!(before.len() > 12, "{}", before.len());
    let sized = |path: &str, bytes: Vec<u8>| {
        let mut tree = tree.clone();
        tree.get_mut(&at(path)).unwrap().kind = EntryKind::File(Content::bytes(bytes));
        frames_of(&tree)
    };
    for (path, content) in [
        ("/usr/share/more/200", bytes(9, 20_000)),
        ("/usr/share/more/200", bytes(9, 31_000)),
        ("/usr/lib/libx.so.1.2.3", bytes(9, 70_001)),
        ("/usr/lib/libx.so.1.2.3", bytes(9, 700_000)),
        ("/etc/passwd", b"short".to_vec()),
    ] {
        let after = sized(path, content);
        let new = after.keys().filter(|digest| !before.contains_key(digest)).count();
        assert!(new <= 2, "{path}: {new} new pieces of {}", after.len());
    }
}

#[test]
fn a_library_has_the_same_pieces_in_every_image() {
    let folder = tempfile::tempdir().unwrap();
    let library = bytes(77, 300_000);
    let frames_beside = |seed: u64| {
        let mut builder = Builder::default().file("/usr/lib/libshared.so.3", 0o644, library.clone());
        for number in 0..20 {
            builder = builder.file(format!("/usr/lib/{}", seed * 100 + number), 0o644, bytes(seed + number, 9_000));
        }
        let (_staging, layers) =
            pack_in(folder.path(), &builder.tree, &single(&builder.tree), Compression::Zstd(3), 1).unwrap();
        frames(&layers[0])
    };
    let (one, other) = (frames_beside(1), frames_beside(5));
    let shared: usize = one.iter().filter(|(digest, _)| other.contains_key(digest)).map(|(_, size)| size).sum();
    assert!(shared > 50_000, "{shared} bytes of frames in common");
}

#[test]
fn a_file_that_changes_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    for (name, change) in [("shrinks", 0), ("grows", 3_000_000), ("same-size", 1_000_000)] {
        let file = root.join("etc").join(name);
        std::fs::write(&file, bytes(1, 1_000_000)).unwrap();
        let content = Folder::open(&root).unwrap().node(&at(format!("/etc/{name}"))).unwrap().unwrap();
        let mut builder = Builder::default();
        builder = builder.entry("/etc/x", made(EntryKind::File(content.content().unwrap().clone()), 0o644));
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&file, bytes(2, change)).unwrap();
        for threads in [1, 4] {
            let error = pack_in(folder.path(), &builder.tree, &single(&builder.tree), Compression::Zstd(3), threads);
            let error = error.unwrap_err().0.remove(0);
            assert_eq!(error.title, format!("cannot read `{}`: changed while it was read", file.display()));
            assert_eq!(error.notes, ["it is `/etc/x` in the image"]);
        }
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["root"]);
}

#[test]
fn layers_by_expected_change() {
    let needed = |name: &str| Cause::Needed { by: at("/usr/bin/app"), name: name.into(), via: String::new() };
    let need = |tree: &mut Tree, path: &str, cause: Cause| {
        let mut entry = made(EntryKind::File(Content::bytes("x")), 0o644);
        (entry.rank, entry.reasons) = (Rank::Need, vec![Reason::new(cause, None)]);
        tree.place(at(path), entry).unwrap();
    };
    let mut tree = Builder::default().file("/usr/bin/app", 0o755, "x").file("/srv/static", 0o644, "x").tree;
    tree.get_mut(&at("/srv/static")).unwrap().layer = Some("assets".into());
    need(&mut tree, "/usr/lib/libc.so.6", needed("libc.so.6"));
    need(&mut tree, "/lib64/ld-linux-x86-64.so.2", Cause::Interpreter { of: at("/usr/bin/app") });
    need(&mut tree, "/usr/lib/libz.so.1", needed("libz.so.1"));
    need(&mut tree, "/usr/lib/libz.so.1.2.13", Cause::Link { from: at("/usr/lib/libz.so.1") });
    need(&mut tree, "/etc/ssl/cert.pem", Cause::Rule { name: "ca-certificates".into(), trigger: String::new() });
    need(&mut tree, "/etc/passwd", Cause::Generated("account file"));
    need(&mut tree, "/var/lib/dpkg/status.d/libc6", Cause::Generated("package record"));
    tree.place(at("/usr/lib/zz"), made(EntryKind::HardLink(at("/usr/lib/libz.so.1.2.13")), 0o644)).unwrap();
    tree.place(at("/usr/bin/tool"), made(EntryKind::File(Content::bytes("x")), 0o755)).unwrap();
    let owned = |path: &mkimage::path::ImagePath| (*path == at("/usr/bin/tool")).then_some("tool");
    let plans = plan(&tree, &Layers::Auto, &owned).unwrap();
    let text: Vec<String> = plans
        .iter()
        .map(|plan| {
            let leaf = |path: &&mkimage::path::ImagePath| tree.get(path).is_some();
            format!(
                "{}: {}",
                plan.name,
                plan.paths.iter().filter(leaf).map(ToString::to_string).collect::<Vec<_>>().join(" ")
            )
        })
        .collect();
    let expected = [
        "runtime: /etc/passwd /lib64/ld-linux-x86-64.so.2 /usr/lib/libc.so.6",
        "shared libraries: /usr/lib/libz.so.1 /usr/lib/libz.so.1.2.13 /usr/lib/zz",
        "extras: /etc/ssl/cert.pem",
        "packages: /usr/bin/tool /var/lib/dpkg/status.d/libc6",
        "assets: /srv/static",
        "application: /usr/bin/app",
    ];
    assert_eq!(text, expected);
    assert_eq!(plans[2].paths, ["/etc", "/etc/ssl", "/etc/ssl/cert.pem"].map(at));
}

#[test]
fn never_more_than_ten_layers() {
    let mut builder = Builder::default().file("/usr/bin/app", 0o755, "x");
    for number in 0..30 {
        let path = format!("/srv/{number}");
        builder = builder.file(&path, 0o644, "x").with(&path, |e| e.layer = Some(format!("layer {number:02}").into()));
    }
    let names: Vec<String> = (0..30).map(|number| format!("package{number}")).collect();
    let package_of = |path: &mkimage::path::ImagePath| {
        let number: usize = std::str::from_utf8(path.name()).unwrap().parse().ok()?;
        Some(names[number].as_str())
    };
    for layers in [Layers::Auto, Layers::Package] {
        let plans = plan(&builder.tree, &layers, &package_of).unwrap();
        assert!(plans.len() <= 10, "{}", plans.len());
        let leaves = plans.iter().flat_map(|plan| &plan.paths).filter(|path| builder.tree.get(path).is_some()).count();
        assert_eq!(leaves, 31);
    }
}
