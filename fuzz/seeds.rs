//! Writes a corpus to begin with: `cargo run --bin seeds`, in the folder `fuzz`.

#[path = "../tests/it/support/elf.rs"]
#[allow(dead_code)]
mod elf;

use std::{fs, io};

use elf::Elf;
use mkimage::closure::cache::{self, Entry};
use mkimage::elf::Endian;

fn main() -> io::Result<()> {
    let mut full = Elf::program("/lib64/ld-linux-x86-64.so.2")
        .with(elf::NEEDED, "liba.so.1")
        .with(elf::NEEDED, "$ORIGIN/../lib/libc.so.6")
        .with(elf::AUXILIARY, "libaux.so")
        .with(elf::FILTER, "libfilter.so")
        .with(elf::SONAME, "libself.so.1")
        .with(elf::RPATH, "/opt/a:$ORIGIN/$LIB:${PLATFORM}")
        .with(elf::AUDIT, "libaudit.so");
    full.verneed = vec![("liba.so.1".into(), vec!["A_1".into(), "A_2?".into()])];
    full.verdef = vec!["libself.so.1".into(), "S_1".into()];
    full.symbols = ["-dlopen", "-__printf_chk", "own"].map(Into::into).to_vec();
    full.notes = vec![("FDO", 0x407c_0c0a, br#"[{"soname":["liba.so.1"],"priority":"required"}]"#.to_vec())];
    let library = Elf::library().with(elf::SONAME, "liba.so.1").with(elf::RUNPATH, "/lib");
    for (name, elf) in [("program", full), ("library", library)] {
        for (form, is_64, is_big) in [("64le", true, false), ("64be", true, true), ("32le", false, false)] {
            seed("elf", &format!("{name}-{form}"), &Elf { is_64, is_big, ..elf.clone() }.write())?;
        }
    }
    let entry = |name: &str, level: Option<&str>| Entry {
        name: name.as_bytes().into(),
        path: format!("/opt/f/{name}").into_bytes().into(),
        flags: 0x303,
        level: level.map(str::to_owned),
        isa_level: 1,
    };
    let entries = [entry("libf.so.1", None), entry("libf.so.01", Some("x86-64-v3")), entry("libgone.so.2", None)];
    seed("cache", "little", &cache::write(&entries, Endian::Little))?;
    seed("cache", "big", &cache::write(&entries, Endian::Big))?;
    seed("cache", "old", b"ld.so-1.7.0\0\x01\0\0\0\x03\0\0\0\0\0\0\0\x0a\0\0\0libf.so.1\0/opt/f/libf.so.1\0")?;
    seed("cache", "conf", b"# c\n/opt/f\ninclude /etc/*.conf ld.so.conf\nhwcap 0 x\n/opt/g=libc6\n")?;
    for (name, line) in [
        ("plain", "#!/bin/sh -e\n"),
        ("env", "#!/usr/bin/env -S -u A B=1 sh 'a b' \"c\\_d\" ${E}\\c\n"),
        ("long", "#! /usr/bin/env --split-string=PATH=/bin sh\r\n"),
        ("self", "#!/bin/s\n"),
    ] {
        seed("script", name, line.as_bytes())?;
    }
    Ok(())
}

fn seed(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = format!("corpus/{target}");
    fs::create_dir_all(&folder)?;
    fs::write(format!("{folder}/{name}"), bytes)
}
