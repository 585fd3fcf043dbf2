//! Layers of other people's images, unpacked: what they may do, and that nothing gets outside of the folder.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use mkimage::oci::Store;
use mkimage::run::unpack;
use sha2::{Digest, Sha256};

/// An entry of a layer: a file, a folder (`/` at its end), a link (`->`) or a hard link (`=>`).
fn layer(entries: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let (name, kind, target) = match (entry.split_once(" -> "), entry.split_once(" => ")) {
            (Some((name, target)), _) => (name, b'2', target),
            (_, Some((name, target))) => (name, b'1', target),
            _ if entry.ends_with('/') => (*entry, b'5', ""),
            _ => (*entry, b'0', ""),
        };
        let data: &[u8] = if kind == b'0' { b"own\n" } else { b"" };
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(if kind == b'5' { b"0000755\0" } else { b"0000644\0" });
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[148..156].copy_from_slice(b"        ");
        header[156] = kind;
        header[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend(header);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Writes a layout with these layers and unpacks it into `rootfs` of the same folder.
fn unpacked(folder: &Path, layers: &[&[&str]]) -> Result<(), String> {
    let (layout, rootfs) = (folder.join("layout"), folder.join("rootfs"));
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::create_dir(&rootfs).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        fs::write(layout.join("blobs/sha256").join(&digest), bytes).unwrap();
        serde_json::json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "size": bytes.len(), "digest": format!("sha256:{digest}") })
    };
    let layers: Vec<_> = layers.iter().map(|entries| blob("layer.v1.tar", &layer(entries))).collect();
    let ids: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": ids } });
    let config = blob("config.v1+json", config.to_string().as_bytes());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [blob("manifest.v1+json", manifest.to_string().as_bytes())] });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(layout.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    match Store::open(&layout).map(|store| unpack(&store, None, &rootfs)).unwrap() {
        Ok(_) => Ok(()),
        Err(error) => Err(error.0.iter().map(|one| one.title.as_str()).collect::<Vec<_>>().join("\n")),
    }
}

/// The names below a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            all.extend(names(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
            all.push(format!("{name}/"));
        } else {
            all.push(name);
        }
    }
    all.sort();
    all
}

fn result(layers: &[&[&str]]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    unpacked(folder.path(), layers).unwrap();
    names(&folder.path().join("rootfs"))
}

#[test]
fn later_layers_take_away_and_replace() {
    assert_eq!(result(&[&["a/", "a/x", "a/y"], &["a/.wh.x"]]), ["a/", "a/y"]);
    assert_eq!(result(&[&["a/", "a/x", "a/b/", "a/b/c"], &["a/.wh..wh..opq", "a/z"]]), ["a/", "a/z"]);
    assert_eq!(result(&[&["a/", "a/x"], &[".wh.a"]]), Vec::<String>::new());
    assert_eq!(result(&[&["a/", "a/x"], &["a"]]), ["a"]);
    assert_eq!(result(&[&["a -> b", "b/"], &["a"]]), ["a", "b/"]);
    // Of what is not there nothing is taken away.
    assert_eq!(result(&[&["a"], &[".wh.b"]]), ["a"]);
}

#[test]
fn a_link_is_a_parent_inside_the_root_alone() {
    assert_eq!(result(&[&["lib -> usr/lib", "usr/", "usr/lib/", "lib/x"]]), ["lib", "usr/", "usr/lib/", "usr/lib/x"]);
    // An absolute link, and one above the root, end in the root as the kernel has it for a process inside.
    assert_eq!(result(&[&["lib -> /usr/lib", "usr/", "usr/lib/", "lib/x"]])[3], "usr/lib/x");
    assert_eq!(result(&[&["up -> ../../..", "up/x"]]), ["up", "x"]);
}

#[test]
fn nothing_gets_outside() {
    let hostile: [&[&str]; 7] = [
        &["../outside"],
        &["a/../../outside"],
        &["out -> ../", "out/outside"],
        &["out -> /proc/self/cwd", "out/outside"],
        &["a => ../secret"],
        &["d -> ..", "a => d/secret"],
        &["a/", "a/.wh..."],
    ];
    for entries in hostile {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "s").unwrap();
        // Whether it is refused or lands inside: what is beside the root is as it was.
        let _ = unpacked(folder.path(), &[entries]);
        assert_eq!(fs::read_to_string(folder.path().join("secret")).unwrap(), "s");
        let mut beside: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        beside.sort();
        assert_eq!(beside, ["layout", "rootfs", "secret"], "{entries:?}");
        assert!(!folder.path().join("rootfs/a").is_file(), "{entries:?}: a hard link to outside");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = unpacked(folder.path(), &[&["../outside"]]).unwrap_err();
    assert!(error.contains("has `../outside`"), "{error}");
}
