//! The ELF reader: what it reads, and that nothing in a file makes it fail otherwise than by an error.

use std::cell::Cell;
use std::io;

use mkimage::elf::{Defect, Endian, FileType, Machine, NeededVersion, Object, ParseError, ReadAt, Relro, Shape};
use proptest::prelude::*;

use crate::support::elf::{AUXILIARY, Elf, FILTER, NEEDED, RPATH, RUNPATH, SONAME};

/// A file with everything in it.
fn full() -> Elf {
    let mut elf = Elf::program("/lib64/ld.so")
        .with(NEEDED, "liba.so.1")
        .with(AUXILIARY, "libaux.so")
        .with(NEEDED, "libb.so.2")
        .with(FILTER, "libfilter.so")
        .with(SONAME, "libself.so.1")
        .with(RPATH, "/opt/a:$ORIGIN");
    elf.verneed =
        vec![("liba.so.1".into(), vec!["A_1".into(), "A_2?".into()]), ("libb.so.2".into(), vec!["B_1".into()])];
    elf.verdef = vec!["libself.so.1".into(), "S_1".into()];
    elf.symbols =
        ["-dlopen", "-pthread_cancel", "-__printf_chk", "-memcpy", "own", "-__stack_chk_fail"].map(Into::into).to_vec();
    elf.notes = vec![
        ("GNU", 3, vec![0xab, 0xcd]),
        ("FDO", 0x407c_0c0a, br#"[{"soname":["libx.so.1"],"feature":"x","priority":"required"}]"#.to_vec()),
        ("FDO", 0xcafe_1a7e, b"{\"type\":\"deb\"}\0".to_vec()),
    ];
    elf.data = b"\0libhint.so.2\0plugins/libp.so\0liba.so.1\0libno.sox\0".to_vec();
    elf
}

/// Every combination of class and byte order.
fn forms(elf: &Elf) -> Vec<Elf> {
    let all = [(true, false), (true, true), (false, false), (false, true)];
    all.map(|(is_64, is_big)| Elf { is_64, is_big, ..elf.clone() }).to_vec()
}

fn texts<'a>(all: impl IntoIterator<Item = &'a std::sync::Arc<[u8]>>) -> Vec<String> {
    all.into_iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

#[test]
fn reads_what_loaders_read_in_every_class_and_byte_order() {
    for elf in forms(&full()) {
        let bytes = elf.write();
        let object = Object::parse(bytes.as_slice()).unwrap();
        assert_eq!(object.defect, None);
        assert_eq!(object.machine.endian == Endian::Big, elf.is_big);
        assert_eq!(object.file_type, FileType::Dynamic);
        assert_eq!(object.interp.as_deref(), Some(b"/lib64/ld.so".as_slice()));
        let dynamic = object.dynamic.as_ref().unwrap();
        let names = texts(dynamic.dependencies.iter().map(|it| &it.name));
        assert_eq!(names, ["liba.so.1", "libaux.so", "libb.so.2", "libfilter.so"]);
        assert_eq!(texts(object.needed()), ["liba.so.1", "libb.so.2"]);
        assert_eq!(texts(object.soname()), ["libself.so.1"]);
        assert_eq!(texts(&dynamic.rpath), ["/opt/a:$ORIGIN"]);
        assert_eq!(object.notes.build_id.as_deref(), Some([0xab, 0xcd].as_slice()));
        assert_eq!(object.notes.package.as_deref(), Some("{\"type\":\"deb\"}"));
        assert_eq!(object.notes.dlopen[0].sonames, ["libx.so.1"]);

        let versions = object.versions(bytes.as_slice()).unwrap();
        let needed: Vec<_> = versions.needed.iter().map(|it| (texts([&it.file]), it.versions.len())).collect();
        assert_eq!(needed, [(vec!["liba.so.1".to_owned()], 2), (vec!["libb.so.2".to_owned()], 1)]);
        let weak: Vec<bool> = versions.needed[0].versions.iter().map(|it: &NeededVersion| it.weak).collect();
        assert_eq!(weak, [false, true]);
        assert_eq!(texts(versions.defined.iter().flatten().map(|it| &it.name)), ["libself.so.1", "S_1"]);

        let imports = object.imports(bytes.as_slice()).unwrap();
        assert_eq!(texts(&imports), ["__printf_chk", "__stack_chk_fail", "dlopen", "memcpy", "pthread_cancel"]);
        assert!(object.defines(bytes.as_slice(), &[b"own"]).unwrap());
        assert!(!object.defines(bytes.as_slice(), &[b"own", b"dlopen"]).unwrap());
        let hints = object.dlopen_hints(bytes.as_slice()).unwrap();
        assert_eq!(texts(&hints.functions), ["dlopen"]);
        assert_eq!(texts(&hints.names), ["libhint.so.2", "plugins/libp.so"]);

        let hardening = object.hardening(bytes.as_slice()).unwrap();
        assert_eq!((hardening.shape, hardening.relro), (Shape::Pie, Relro::None));
        assert_eq!((hardening.canary, hardening.fortified, hardening.fortifiable), (Some(true), 1, 2));
        assert_eq!(hardening.executable_stack, None);
    }
}

/// A file that counts what is read of it.
struct Counting {
    bytes: Vec<u8>,
    read: Cell<usize>,
}

impl ReadAt for Counting {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.bytes.as_slice().read_at(buffer, offset)?;
        self.read.set(self.read.get() + count);
        Ok(count)
    }
}

#[test]
fn names_that_nobody_asks_for_are_not_read() {
    let defined = (0..9000).map(|number| format!("own{number:0>200}"));
    for elf in forms(&Elf { symbols: std::iter::once("-dlopen".to_owned()).chain(defined).collect(), ..full() }) {
        let file = Counting { bytes: elf.write(), read: Cell::new(0) };
        let object = Object::parse(&file).unwrap();
        assert_eq!(texts(&object.imports(&file).unwrap()), ["dlopen"]);
        let (read, names) = (file.read.get(), 9000 * 200);
        assert!(read < names / 2, "{read} bytes of a file with {names} of names");
        assert!(object.defines(&file, &[format!("own{:0>200}", 8999).as_bytes()]).unwrap());
        assert!(!object.defines(&file, &[b"dlopen"]).unwrap());
    }
}

#[test]
fn an_empty_runpath_takes_the_place_of_rpath() {
    let bytes = Elf::library().with(RPATH, "/a").with(RUNPATH, "").write();
    let dynamic = Object::parse(bytes.as_slice()).unwrap().dynamic.unwrap();
    assert_eq!((dynamic.rpath, dynamic.runpath.as_deref()), (None, Some(b"".as_slice())));
}

#[test]
fn paths_that_others_could_fill_are_found() {
    let bytes = Elf::library().with(RUNPATH, "/opt/x::lib:/tmp/y:$ORIGIN/z:/tmpx:/home").write();
    let object = Object::parse(bytes.as_slice()).unwrap();
    let found = object.hardening(bytes.as_slice()).unwrap().writable_paths;
    let found: Vec<_> = found.iter().map(|it| String::from_utf8_lossy(it)).collect();
    assert_eq!(found, ["", "lib", "/tmp/y", "/home"]);
}

#[test]
fn says_what_is_no_elf_file() {
    let error = |bytes: &[u8]| Object::parse(bytes).unwrap_err();
    assert!(matches!(error(b""), ParseError::NotElf));
    assert!(matches!(error(b"#!/bin/sh\n"), ParseError::NotElf));
    assert!(matches!(error(b"\x7fELF\x02\x01\x01"), ParseError::TooShort));
    let mut bytes = Elf::library().write();
    bytes[4] = 7;
    assert!(matches!(error(&bytes), ParseError::Class));
    bytes[4] = 2;
    bytes[5] = 0;
    assert!(matches!(error(&bytes), ParseError::Endian));
}

#[test]
fn machines_have_names() {
    let bytes = Elf { machine: 183, ..Elf::library() }.write();
    let machine = Object::parse(bytes.as_slice()).unwrap().machine;
    assert_eq!(machine, Machine::AARCH64);
    assert_eq!((machine.name(), machine.oci_architecture()), ("aarch64", Some("arm64")));
}

/// Asks for everything that can be asked of a file.
fn read_all<R: ReadAt + ?Sized>(file: &R) {
    let Ok(object) = Object::parse(file) else { return };
    let _ = object.versions(file);
    let _ = object.imports(file);
    let _ = object.hardening(file);
    let _ = object.dlopen_hints(file);
}

#[test]
fn no_cut_and_no_flipped_byte_does_harm() {
    for elf in forms(&full()) {
        let bytes = elf.write();
        for place in 0..bytes.len() {
            read_all(&bytes[..place]);
            for value in [0, 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged[place] = value;
                read_all(damaged.as_slice());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_damage_does_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), big in any::<bool>()) {
        let mut bytes = Elf { is_big: big, ..full() }.write();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        read_all(bytes.as_slice());
    }
}

/// A file of which only the beginning is there, and zeros or another byte behind.
struct Sparse {
    start: Vec<u8>,
    size: u64,
    rest: u8,
    read: std::cell::Cell<u64>,
}

impl ReadAt for Sparse {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = buffer.len().min(usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX));
        for (place, byte) in buffer[..count].iter_mut().enumerate() {
            let at = usize::try_from(offset).ok().map(|offset| offset + place);
            *byte = at.and_then(|at| self.start.get(at)).copied().unwrap_or(self.rest);
        }
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

#[test]
fn a_huge_file_costs_no_more_than_its_headers() {
    let start = full().write();
    for rest in [0, 0xff] {
        let file = Sparse { start: start.clone(), size: 1 << 42, rest, read: 0.into() };
        Object::parse(&file).unwrap();
        assert!(file.read.get() < 64 << 10, "{}", file.read.get());
    }
}

#[test]
fn a_dynamic_section_without_end_ends() {
    // PT_DYNAMIC covers the whole of a file in which nothing is zero.
    let mut start = Elf::library().with(NEEDED, "liba.so.1").write();
    let segment = 64 + 56;
    let end = start.len() as u64;
    start[segment + 8..segment + 16].copy_from_slice(&end.to_le_bytes());
    start[segment + 32..segment + 40].copy_from_slice(&u64::MAX.to_le_bytes());
    let file = Sparse { start, size: 1 << 42, rest: 1, read: 0.into() };
    let object = Object::parse(&file).unwrap();
    assert_eq!(object.defect, Some(Defect::Dynamic));
    assert!(file.read.get() < 4 << 20, "{}", file.read.get());
}

#[test]
fn names_of_symbols_that_lie_in_each_other_are_bounded() {
    const LONG: usize = 4000;
    let mut elf = Elf::library();
    elf.symbols = ('a'..='j').map(|letter| format!("-{}", letter.to_string().repeat(LONG))).collect();
    elf.symbols.extend(vec!["-x".to_owned(); 40_000]);
    let mut bytes = elf.write();
    assert_eq!(Object::parse(bytes.as_slice()).unwrap().imports(bytes.as_slice()).unwrap().len(), 11);
    // The names of all follow that of the first, one byte after the other.
    let table = bytes.windows(24).position(|it| it[..4] == 1_u32.to_le_bytes() && it[4..8] == [0x10, 0, 0, 0]).unwrap();
    for index in 0..40_000_u32 {
        let at = table + 24 * (10 + index as usize);
        bytes[at..at + 4].copy_from_slice(&(1 + index).to_le_bytes());
    }
    let error = Object::parse(bytes.as_slice()).unwrap().imports(bytes.as_slice()).err().unwrap();
    assert_eq!(error.to_string(), "its symbols have more than 67108864 bytes of names");
}
