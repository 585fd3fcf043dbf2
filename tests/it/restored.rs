//! Builds in a fresh checkout, with a cache that another machine filled: every inode and time is new, every byte is
//! not.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::memory::{Came, Machine, SETTLED};

/// Makes every file and link below a folder another one of the same bytes. Names of one file stay that.
fn renew(folder: &Path) {
    let mut known: HashMap<u64, PathBuf> = HashMap::new();
    renew_below(folder, &mut known);
}

fn renew_below(folder: &Path, known: &mut HashMap<u64, PathBuf>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let found = fs::symlink_metadata(&path).unwrap();
        let new = folder.join(".new");
        if found.is_dir() {
            renew_below(&path, known);
            continue;
        } else if found.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&path).unwrap(), &new).unwrap();
        } else if let Some(first) = known.get(&found.ino()) {
            fs::hard_link(first, &new).unwrap();
        } else {
            fs::copy(&path, &new).unwrap();
            known.insert(found.ino(), path.clone());
        }
        fs::rename(new, path).unwrap();
    }
}

impl Machine {
    /// A machine on which the image was built, and then everything was copied, the cache as well.
    fn restored() -> Self {
        let machine = Self::new();
        machine.settle(&[], &[]);
        machine.restore();
        machine
    }

    fn restore(&self) {
        // The database last, as archives and copies have it.
        for folder in ["etc", "opt", "usr", "var"] {
            renew(&self.root.host(folder));
        }
        renew(self.sandbox.path());
        let _ = fs::remove_dir_all(self.sandbox.at("app.oci"));
        std::thread::sleep(SETTLED);
    }
}

impl Came {
    /// Whether nothing was found out anew, though every file is another one.
    fn is_renewed(&self) -> bool {
        self.stderr.contains("inputs: ") && !self.stderr.contains("closure: ")
    }
}

#[test]
fn a_restored_cache_gives_the_image_of_a_checkout() {
    let machine = Machine::new();
    std::thread::sleep(SETTLED);
    let first = machine.build(&[], &[]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    machine.restore();
    let came = machine.agrees("a checkout", &[], &[]);
    assert!(came.is_renewed(), "{}", came.stderr);
    assert_eq!((&came.stdout, came.said()), (&first.stdout, first.said()));
    assert!(came.stderr.contains("0 compressed;"), "{}", came.stderr);
    // What is known now, is known by what `stat` says.
    let again = machine.build(&[], &[]);
    assert!(again.is_recalled(), "{}", again.stderr);
    // And once more, out of what the second build wrote.
    machine.restore();
    assert!(machine.agrees("another checkout", &[], &[]).is_renewed());
}

#[test]
fn a_cache_that_was_pruned_for_another_machine_does_it_too() {
    let machine = Machine::new();
    machine.settle(&[], &[]);
    let prune = || assert_eq!(machine.sandbox.run(&["cache", "prune", "--for-ci", "--cache-dir", "cache"]).code, 0);
    prune();
    // A build that needs no content of it uses it all the same. Its output is not there yet, as on any new machine.
    fs::remove_dir_all(machine.sandbox.at("app.oci")).unwrap();
    assert!(machine.build(&[], &[]).is_recalled());
    prune();
    machine.restore();
    let came = machine.agrees("a checkout", &[], &[]);
    assert!(came.is_renewed(), "{}", came.stderr);
}

/// What is changed in a checkout, with its name.
type Change = (&'static str, fn(&Machine));

fn write_as_before(path: &Path, bytes: &[u8]) {
    let before = fs::metadata(path).unwrap();
    assert_eq!(before.len(), bytes.len() as u64);
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(before.modified().unwrap()).unwrap();
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    write_as_before(path, &bytes);
}

#[test]
fn what_is_otherwise_in_a_checkout_is_seen() {
    let changes: &[Change] = &[
        ("a byte of a file that ships", |m| flip(&m.sandbox.at("beside/b.txt"), 0)),
        ("a byte of a file of the root", |m| flip(&m.root.host("/usr/share/data/one"), 0)),
        ("a byte of a library", |m| {
            let path = m.root.host("/usr/lib/x86_64-linux-gnu/liba.so.1");
            let last = fs::read(&path).unwrap().len() - 1;
            flip(&path, last);
        }),
        ("a byte of a file that is only looked into", |m| {
            let path = m.root.host("/var/lib/dpkg/status");
            let text = fs::read_to_string(&path).unwrap();
            write_as_before(&path, text.replace("Version: 1", "Version: 2").as_bytes());
        }),
        ("a byte of a list of files", |m| {
            write_as_before(&m.root.host("/var/lib/dpkg/info/app.list"), b"/usr/bin/apq\n");
        }),
        ("a file that is cut", |m| fs::write(m.sandbox.at("beside/sub/a.txt"), "").unwrap()),
        ("a mode", |m| {
            m.sandbox.mode("beside/b.txt", 0o755);
        }),
        ("a folder's mode", |m| {
            m.sandbox.mode("beside/sub", 0o700);
        }),
        ("a link to something as long", |m| {
            fs::rename(m.root.host("/usr/share/real"), m.root.host("/usr/share/rael")).unwrap();
            fs::remove_file(m.root.host("/usr/share/way")).unwrap();
            std::os::unix::fs::symlink("rael", m.root.host("/usr/share/way")).unwrap();
        }),
        ("a new file in a folder", |m| fs::write(m.sandbox.at("beside/sub/new.txt"), "n").unwrap()),
        ("a file less in a folder", |m| fs::remove_file(m.root.host("/usr/share/data/two")).unwrap()),
        ("a library that is found earlier", |m| {
            let bytes = fs::read(m.root.host("/opt/lib/libb.so.1")).unwrap();
            m.root.file("/opt/first/libb.so.1", &[bytes, b"more".to_vec()].concat(), 0o644);
        }),
        ("a file that is a link now", |m| {
            fs::rename(m.sandbox.at("beside/b.txt"), m.sandbox.at("c.txt")).unwrap();
            m.sandbox.link("beside/b.txt", "../c.txt");
        }),
        ("two files that are one now", |m| {
            write_as_before(&m.root.host("/usr/share/data/two"), b"1");
            fs::remove_file(m.root.host("/usr/share/data/two")).unwrap();
            fs::hard_link(m.root.host("/usr/share/data/one"), m.root.host("/usr/share/data/two")).unwrap();
        }),
    ];
    for (what, change) in changes {
        let machine = Machine::restored();
        change(&machine);
        std::thread::sleep(SETTLED);
        let came = machine.agrees(what, &[], &[]);
        assert!(!came.is_recalled() && !came.is_renewed(), "{what} was not seen: {}", came.stderr);
    }
}

#[test]
fn names_of_one_file_stay_names_of_one_file() {
    let machine = Machine::new();
    fs::remove_file(machine.root.host("/usr/share/data/two")).unwrap();
    fs::hard_link(machine.root.host("/usr/share/data/one"), machine.root.host("/usr/share/data/two")).unwrap();
    machine.settle(&[], &[]);
    machine.restore();
    assert!(machine.agrees("a checkout that keeps them", &[], &[]).is_renewed());
    machine.restore();
    let two = machine.root.host("/usr/share/data/two");
    let bytes = fs::read(&two).unwrap();
    fs::remove_file(&two).unwrap();
    fs::write(&two, bytes).unwrap();
    std::thread::sleep(SETTLED);
    assert!(!machine.agrees("a checkout that does not", &[], &[]).is_renewed());
}

#[test]
fn times_that_count_have_to_be_the_same() {
    // A compiled module that names its source by time: Python takes it only where the source has that time.
    let machine = Machine::new();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    let source = machine.root.host("/usr/share/data/module.py");
    fs::write(&source, "pass\n").unwrap();
    let seconds = 1_600_000_000_u32.to_le_bytes();
    let compiled = [&[0xa7, 0x0d, 0x0d, 0x0a, 0, 0, 0, 0][..], &seconds, &5_u32.to_le_bytes(), b"code"].concat();
    machine.root.file("/usr/share/data/__pycache__/module.cpython-311.pyc", &compiled, 0o644);
    let set = |time| fs::File::options().write(true).open(&source).unwrap().set_modified(time).unwrap();
    set(time);
    machine.settle(&[], &[]);
    machine.restore();
    let other = machine.agrees("another time", &[], &[]);
    assert!(!other.is_recalled() && !other.is_renewed(), "{}", other.stderr);
    machine.restore();
    set(time);
    std::thread::sleep(SETTLED);
    machine.settle(&[], &[]);
    machine.restore();
    set(time);
    std::thread::sleep(SETTLED);
    assert!(machine.agrees("the same time", &[], &[]).is_renewed());
}

#[test]
fn a_file_that_is_newer_than_its_package_is_compared_with_it() {
    let machine = Machine::new();
    // Not what the package says it is, but no newer.
    machine.root.file("/var/lib/dpkg/info/app.md5sums", b"00000000000000000000000000000000  usr/bin/app\n", 0o644);
    std::thread::sleep(Duration::from_millis(20));
    machine.root.file("/var/lib/dpkg/info/app.list", b"/usr/bin/app\n", 0o644);
    machine.settle(&[], &[]);
    machine.restore();
    assert!(machine.agrees("times in the same order", &[], &[]).is_renewed());
    machine.restore();
    renew(&machine.root.host("/usr/bin"));
    std::thread::sleep(SETTLED);
    let came = machine.agrees("a file that came after", &[], &[]);
    assert!(!came.is_renewed(), "{}", came.stderr);
}

#[test]
fn broken_records_of_contents_are_not_believed() {
    let machine = Machine::restored();
    for kind in ["parcel", "contents", "image", "inputs"] {
        let folder = machine.sandbox.at(&format!("cache/v1/values/{kind}"));
        let files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{kind}");
        for path in files {
            let bytes = fs::read(&path).unwrap();
            for at in [0, bytes.len() / 2, bytes.len() - 1] {
                let mut broken = bytes.clone();
                broken[at] ^= 1;
                fs::write(&path, &broken).unwrap();
                machine.agrees("a bit", &[], &[]);
                machine.restore();
            }
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            machine.agrees("half a file", &[], &[]);
            machine.restore();
        }
    }
}
