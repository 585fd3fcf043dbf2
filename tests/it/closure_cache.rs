//! ld.so.cache: read, searched, made from ld.so.conf, and written.

use mkimage::closure::cache::{self, Entry};
use mkimage::closure::{self, CachePolicy, Headers, Options, Wanted};
use mkimage::elf::Endian;

use crate::support::root::{Root, lines};

const CACHED: &str = "/etc/ld.so.cache";

fn entry(name: &str, path: &str) -> Entry {
    Entry { name: name.as_bytes().into(), path: path.as_bytes().into(), flags: 0x303, level: None, isa_level: 0 }
}

fn text(root: &Root) -> String {
    let text = root.text("/bin/p", &Options::default());
    text.lines().skip(1).flat_map(|line| [line.trim_start(), "\n"]).collect()
}

fn word(number: usize) -> [u8; 4] {
    u32::try_from(number).expect("a small number").to_le_bytes()
}

/// The old format, with or without the new one behind it.
fn old_format(entries: &[Entry], new: &[u8]) -> Vec<u8> {
    let mut bytes = b"ld.so-1.7.0\0".to_vec();
    bytes.extend(word(entries.len()));
    let mut strings = Vec::new();
    let padding = (16 + 12 * entries.len()).next_multiple_of(8) - (16 + 12 * entries.len());
    if !new.is_empty() {
        strings.extend(vec![0; padding]);
        strings.extend(new);
    }
    for entry in entries {
        bytes.extend(entry.flags.to_le_bytes());
        for text in [&entry.name, &entry.path] {
            bytes.extend(word(strings.len()));
            strings.extend(text.iter());
            strings.push(0);
        }
    }
    [bytes, strings].concat()
}

#[test]
fn the_cache_comes_before_the_system_directories() {
    let root = Root::glibc(
        "/bin/p program libf.so.1 libg.so.1 libstale.so.1 plugin.so
         /opt/f/libf.so.1 library
         /usr/lib/x86_64-linux-gnu/libf.so.1 library
         /usr/lib/x86_64-linux-gnu/libstale.so.1 library
         /opt/f/libg.so.1 library",
    );
    let entries = [
        entry("libf.so.1", "/opt/f/libf.so.1"),
        Entry { flags: 0xa03, ..entry("libg.so.1", "/opt/other/libg.so.1") },
        entry("libg.so.1", "/opt/f/libg.so.1"),
        entry("libstale.so.1", "/opt/gone/libstale.so.1"),
    ];
    let expected = lines(
        "libf.so.1 => /opt/f/libf.so.1 (ld.so.cache; needed by p)
         libg.so.1 => /opt/f/libg.so.1 (ld.so.cache; needed by p)
         libstale.so.1 => /lib/x86_64-linux-gnu/libstale.so.1 (system directory; needed by p)
         plugin.so => not found (needed by p)",
    );
    let expected: String = expected.lines().flat_map(|line| [line.trim_start(), "\n"]).collect();
    let new = cache::write(&entries, Endian::Little);
    let mut sorted = entries.clone();
    sorted.sort_by(|a, b| b.name.cmp(&a.name));
    for bytes in [new.clone(), old_format(&sorted, b""), old_format(&[], &new)] {
        root.file(CACHED, &bytes, 0o644);
        assert_eq!(text(&root), expected);
    }
    // A cache of the other byte order, or none at all, is not used.
    for bytes in [cache::write(&entries, Endian::Big), b"no cache".to_vec(), Vec::new()] {
        root.file(CACHED, &bytes, 0o644);
        assert!(text(&root).contains("libg.so.1 => not found"));
    }
}

#[test]
fn names_are_equal_when_their_numbers_are() {
    let root = Root::glibc(
        "/bin/p program libq.so.1 libr.so.9 libr.so.10
         /opt/n/libq.so.01 library
         /opt/n/libr.so.9 library
         /opt/n/libr.so.10 library",
    );
    let entries = ["libr.so.9", "libr.so.10", "libq.so.01"].map(|name| entry(name, &format!("/opt/n/{name}")));
    root.file(CACHED, &cache::write(&entries, Endian::Little), 0o644);
    assert_eq!(
        text(&root),
        "libq.so.1 => /opt/n/libq.so.01 (ld.so.cache; needed by p)\n\
         libr.so.9 => /opt/n/libr.so.9 (ld.so.cache; needed by p)\n\
         libr.so.10 => /opt/n/libr.so.10 (ld.so.cache; needed by p)\n"
    );
}

#[test]
fn nodeflib_refuses_cached_paths_below_system_directories() {
    let root = Root::glibc(
        "/bin/p program liba.so.1 runpath=/opt/p
         /opt/p/liba.so.1 library libfar.so.1 libsub.so.1 flags-1=2048
         /opt/c/libfar.so.1 library
         /usr/lib/sub/libsub.so.1 library",
    );
    let entries = [entry("libfar.so.1", "/opt/c/libfar.so.1"), entry("libsub.so.1", "/usr/lib/sub/libsub.so.1")];
    root.file(CACHED, &cache::write(&entries, Endian::Little), 0o644);
    let text = text(&root);
    assert!(text.contains("libfar.so.1 => /opt/c/libfar.so.1 (ld.so.cache"), "{text}");
    assert!(text.contains("libsub.so.1 => not found"), "{text}");
}

#[test]
fn levels_of_the_cache_count_for_their_processors_only() {
    let root = Root::glibc(
        "/bin/p program libm1.so.1
         /opt/h/glibc-hwcaps/x86-64-v2/libm1.so.1 library
         /opt/h/glibc-hwcaps/x86-64-v3/libm1.so.1 library
         /opt/h/libm1.so.1 library",
    );
    let at_level = |level: &str| Entry {
        level: Some(level.to_owned()),
        ..entry("libm1.so.1", &format!("/opt/h/glibc-hwcaps/{level}/libm1.so.1"))
    };
    let entries = [entry("libm1.so.1", "/opt/h/libm1.so.1"), at_level("x86-64-v3"), at_level("x86-64-v2")];
    root.file(CACHED, &cache::write(&entries, Endian::Little), 0o644);
    let found = |isa| {
        let closure = root.close(&[Wanted::program("/bin/p")], &Options { isa, ..Options::default() });
        String::from_utf8_lossy(&closure.resolutions[0].objects[2].path).into_owned()
    };
    let level = |level: &str| closure::Isa::Level(level.to_owned());
    assert_eq!(found(closure::Isa::Baseline), "/opt/h/libm1.so.1");
    assert_eq!(found(level("x86-64-v2")), "/opt/h/glibc-hwcaps/x86-64-v2/libm1.so.1");
    assert_eq!(found(level("x86-64-v4")), "/opt/h/glibc-hwcaps/x86-64-v3/libm1.so.1");
}

const CONFIGURED: &str = "
    /etc/ld.so.conf file # c\\n  /opt/first/   # trailing\\nhwcap 0 nosegneg\\ninclude ld.so.conf.d/*.conf /etc/extra/?.conf\\n/opt/last=libc6\\n
    /etc/ld.so.conf.d/B.conf file /opt/zz\\ninclude B.conf\\n
    /etc/ld.so.conf.d/a.conf file /opt/aa
    /etc/ld.so.conf.d/x.txt file /opt/ignored
    /etc/extra/1.conf file /opt/extra";

#[test]
fn the_configuration_names_directories_in_order() {
    let root = Root::new(CONFIGURED);
    let directories = cache::configured_directories(&root.source());
    let directories: Vec<_> = directories.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    let mut unique = directories;
    unique.dedup();
    assert_eq!(unique, ["/opt/first", "/opt/zz", "/opt/aa", "/opt/extra", "/opt/last"]);
}

#[test]
fn a_root_without_a_cache_is_searched_as_if_ldconfig_had_run() {
    let root = Root::glibc(&format!(
        "/bin/p program libzz.so.1 libboth.so.1 libplain.so.7 plugin.so
         /opt/zz/libzz.so.1 link libzz.so.1.2
         /opt/zz/libzz.so.1.2 library soname=libzz.so.1
         /opt/zz/libboth.so.1 library
         /opt/aa/libboth.so.1 library
         /opt/aa/libplain.so.7.2 library soname=libplain.so.7
         /opt/aa/plugin.so library
         {CONFIGURED}"
    ));
    let with = |cache| Options { cache, ..Options::default() };
    assert!(root.text("/bin/p", &with(CachePolicy::AsIs)).contains("libzz.so.1 => not found"));
    assert_eq!(
        root.text("/bin/p", &with(CachePolicy::MadeWhenAbsent)),
        lines(
            "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libzz.so.1 => /opt/zz/libzz.so.1 (ld.so.cache; needed by p)
              libboth.so.1 => /opt/zz/libboth.so.1 (ld.so.cache; needed by p)
              libplain.so.7 => /opt/aa/libplain.so.7.2 (ld.so.cache; needed by p)
              plugin.so => not found (needed by p)"
        )
    );
}

#[test]
fn an_image_gets_a_cache_only_when_it_needs_one() {
    let root = Root::glibc(
        "/bin/p program libz.so.1
         /bin/q program libfar.so.1
         /opt/far/libfar.so.1 library
         /etc/ld.so.conf file /opt/far\\n
         /usr/lib/x86_64-linux-gnu/libz.so.1 library
         /usr/lib/x86_64-linux-gnu/libunused.so.1 library",
    );
    let entries = [entry("libz.so.1", "/lib/x86_64-linux-gnu/libz.so.1"), entry("libfar.so.1", "/opt/far/libfar.so.1")];
    root.file(CACHED, &cache::write(&entries, Endian::Little), 0o644);
    let source = root.source();
    let made = |program: &str| {
        let closure = closure::close(&source, &[Wanted::program(program)], &Options::default());
        cache::for_image(&closure, &source, &source, &Headers::default())
    };
    assert_eq!(made("/bin/p"), None);
    let bytes = made("/bin/q").unwrap();
    assert_eq!(bytes, made("/bin/q").unwrap());
    root.file(CACHED, &bytes, 0o644);
    assert!(text(&root).contains("libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (ld.so.cache"));
    assert!(root.text("/bin/q", &Options::default()).contains("libfar.so.1 => /opt/far/libfar.so.1 (ld.so.cache"));
}

#[test]
fn what_is_for_some_processors_stays_so_in_the_cache_of_an_image() {
    let root = Root::glibc(
        "/bin/p program libfar.so.1
         /opt/far/libfar.so.1 library
         /opt/far/glibc-hwcaps/x86-64-v3/libfar.so.1 library",
    );
    let path = "/opt/far/glibc-hwcaps/x86-64-v3/libfar.so.1";
    let best = Entry { level: Some("x86-64-v3".to_owned()), ..entry("libfar.so.1", path) };
    // No ld.so.conf says where they are, and the better one may be the only one that a program was seen to load.
    root.file(CACHED, &cache::write(&[best, entry("libfar.so.1", "/opt/far/libfar.so.1")], Endian::Little), 0o644);
    let level = Options { isa: closure::Isa::Level("x86-64-v3".to_owned()), ..Options::default() };
    let source = root.source();
    let closure = closure::close(&source, &[Wanted::program("/bin/p")], &level);
    let bytes = cache::for_image(&closure, &source, &source, &Headers::default()).unwrap();
    root.file(CACHED, &bytes, 0o644);
    let found = |options: &Options| root.text("/bin/p", options);
    assert!(found(&level).contains(&format!("libfar.so.1 => {path} (ld.so.cache")), "{}", found(&level));
    let plain = found(&Options::default());
    assert!(plain.contains("libfar.so.1 => /opt/far/libfar.so.1 (ld.so.cache"), "{plain}");
}

#[test]
fn no_damage_of_a_cache_does_harm() {
    let root = Root::glibc("/bin/p program libf.so.1\n/opt/f/libf.so.1 library");
    let at_level = Entry { level: Some("x86-64-v3".to_owned()), ..entry("libf.so.1", "/opt/f/libf.so.1") };
    let bytes = cache::write(&[entry("libf.so.1", "/opt/f/libf.so.1"), at_level], Endian::Little);
    for place in 0..bytes.len() {
        for value in [0, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] = value;
            root.file(CACHED, &damaged, 0o644);
            text(&root);
        }
        root.file(CACHED, &bytes[..place], 0o644);
        text(&root);
    }
}
