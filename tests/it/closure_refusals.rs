//! glibc: files that stop a program although a good one may stand further on, and versions that are not there.

use mkimage::closure::diagnose::diagnose;
use mkimage::closure::{Options, Wanted};

use crate::support::elf::{Elf, NEEDED, RUNPATH};
use crate::support::root::{Case, GLIBC, Root, check};

const CASES: &[Case] = &[
    (
        "a linker script in the place of a library",
        "
            /bin/p program libx.so.1 rpath=/opt/bad:/opt/good
            /opt/good/libx.so.1 library
            /opt/bad/libx.so.1 file INPUT(libx.so.1.0) this is a linker script, and long enough to be a header",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/bad/libx.so.1: invalid ELF header",
    ),
    (
        "a file shorter than a header",
        "
            /bin/p program libx.so.1 rpath=/opt/bad:/opt/good
            /opt/good/libx.so.1 library
            /opt/bad/libx.so.1 file \\x7fELF",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/bad/libx.so.1: file too short",
    ),
    (
        "an empty file",
        "
            /bin/p program libx.so.1 rpath=/opt/bad:/opt/good
            /opt/good/libx.so.1 library
            /opt/bad/libx.so.1 file",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/bad/libx.so.1: file too short",
    ),
    (
        "a directory",
        "
            /bin/p program libx.so.1 rpath=/opt/bad:/opt/good
            /opt/good/libx.so.1 library
            /opt/bad/libx.so.1 dir",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/bad/libx.so.1: cannot read file data: is a directory",
    ),
    (
        "another byte order, where the loader has not Debian's patch",
        "
            /bin/p program libx.so.1 rpath=/opt/bad:/opt/good
            /opt/good/libx.so.1 library
            /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 loader vendor=Gentoo
            /opt/bad/libx.so.1 library machine=62 endian=big",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/bad/libx.so.1: ELF file data encoding not the loader's",
    ),
    (
        "another operating system",
        "
            /bin/p program libx.so.1 rpath=/opt/bad:/opt/good
            /opt/good/libx.so.1 library
            /opt/bad/libx.so.1 library os-abi=9",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/bad/libx.so.1: ELF file OS ABI invalid",
    ),
    (
        "a version of the ABI that is not known",
        "
            /bin/p program libx.so.1 rpath=/opt/bad:/opt/good
            /opt/good/libx.so.1 library
            /opt/bad/libx.so.1 library abi-version=7",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/bad/libx.so.1: ELF file ABI version invalid",
    ),
    (
        "a program at fixed addresses",
        "
            /bin/p program libx.so.1 rpath=/opt/bad:/opt/good
            /opt/good/libx.so.1 library
            /opt/bad/libx.so.1 library type=2",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/bad/libx.so.1: cannot dynamically load executable",
    ),
    (
        "a position-independent program",
        "
            /bin/p program libx.so.1 rpath=/opt/bad:/opt/good
            /opt/good/libx.so.1 library
            /opt/bad/libx.so.1 library flags-1=134217728",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/bad/libx.so.1: cannot dynamically load position-independent executable",
    ),
    (
        "an object file",
        "
            /bin/p program libx.so.1 rpath=/opt/bad:/opt/good
            /opt/good/libx.so.1 library
            /opt/bad/libx.so.1 library type=1",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/bad/libx.so.1: only ET_DYN and ET_EXEC can be loaded",
    ),
    (
        "a file of debug information",
        "
            /bin/p program libx.so.1 rpath=/opt/bad:/opt/good
            /opt/good/libx.so.1 library
            /opt/bad/libx.so.1 library dynamic=no",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/bad/libx.so.1: object file has no dynamic section",
    ),
    (
        "a name that is a directory wherever it is looked for",
        "
            /bin/p program . rpath=/opt/good
            /bin/q program .. rpath=/opt/good
            /opt/good/libx.so.1 library",
        "/bin/p /bin/q",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/good/.: cannot read file data: is a directory
            /bin/q: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              error: /opt/good/..: cannot read file data: is a directory",
    ),
    (
        "GNU's own OS ABI is fine",
        "
            /bin/p program libx.so.1 rpath=/opt/gnu
            /opt/gnu/libx.so.1 library os-abi=3 abi-version=1",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libx.so.1 => /opt/gnu/libx.so.1 (RPATH of p; needed by p)",
    ),
    (
        "an auxiliary that is refused is only left out",
        "
            /bin/p program auxiliary=libx.so.1 rpath=/opt/bad
            /opt/bad/libx.so.1 file INPUT(libx.so.1.0) this is a linker script, and long enough to be a header",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libx.so.1 => not found, may be missing (auxiliary of p)",
    ),
    (
        "a version that is not there, one that may be missing, and a library without versions",
        "
            /bin/p program libv.so.1 runpath=/opt/old verneed=libv.so.1:VERS_1,VERS_2,VERS_3?
            /bin/q program libv.so.1 runpath=/opt/none verneed=libv.so.1:VERS_1
            /opt/old/libv.so.1 library verdef=VERS_1
            /opt/none/libv.so.1 library",
        "/bin/p /bin/q",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libv.so.1 => /opt/old/libv.so.1 (RUNPATH of p; needed by p)
              error: version `VERS_2` is not in /opt/old/libv.so.1, required by /bin/p
            /bin/q: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libv.so.1 => /opt/none/libv.so.1 (RUNPATH of q; needed by q)
              warning: `/opt/none/libv.so.1` has no symbol versions, and `/bin/q` asks for some",
    ),
    (
        "a glibc that is too old",
        "
            /bin/p program libc.so.6 verneed=libc.so.6:GLIBC_2.34,GLIBC_2.38",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36), needs glibc 2.38
              libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (system directory; needed by p)
              ld-linux-x86-64.so.2 => /lib64/ld-linux-x86-64.so.2 (interpreter)
              error: version `GLIBC_2.38` is not in /lib/x86_64-linux-gnu/libc.so.6, required by /bin/p",
    ),
    (
        "DT_RELR without the version that says that libc knows it",
        "
            /bin/p program libc.so.6 verneed=libc.so.6:GLIBC_2.36 relr=1",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36), needs glibc 2.36
              libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (system directory; needed by p)
              ld-linux-x86-64.so.2 => /lib64/ld-linux-x86-64.so.2 (interpreter)
              error: version `GLIBC_ABI_DT_RELR` is not in /lib/x86_64-linux-gnu/libc.so.6, required by /bin/p",
    ),
    (
        "an interpreter that is not there, or for another machine",
        "
            /bin/gone program interp=/opt/ld/none.so
            /bin/link program interp=/opt/ld/my-ld.so
            /opt/ld/my-ld.so link /lib64/ld-linux-x86-64.so.2
            /bin/arm program machine=183
            /bin/bionic program interp=/system/bin/linker64",
        "/bin/gone /bin/link /bin/arm /bin/bionic /bin/none",
        "
            /bin/gone: dynamic
              error: /bin/gone: interpreter not found: /opt/ld/none.so
            /bin/link: dynamic, loader /opt/ld/my-ld.so (glibc 2.36)
            /bin/arm: dynamic
              error: /bin/arm: interpreter is not usable: /lib64/ld-linux-x86-64.so.2
            /bin/bionic: dynamic
              error: /bin/bionic: the loader /system/bin/linker64 is not supported
            /bin/none: not there
              error: /bin/none: no such file",
    ),
    (
        "programs without a loader need nothing",
        "
            /bin/static program type=2 dynamic=no interp=-
            /bin/static-pie program interp=-",
        "/bin/static /bin/static-pie",
        "
            /bin/static: static
            /bin/static-pie: static-pie",
    ),
];

#[test]
fn a_program_or_named_library_whose_headers_can_t_be_read_whole_is_refused() {
    let root = Root::glibc("/usr/lib/x86_64-linux-gnu/libx.so.1 library");
    let program = || Elf::program(GLIBC).with(NEEDED, "libx.so.1");
    let bytes = program().write();
    let mut many = program();
    many.strings = vec![(NEEDED, "libx.so.1".to_owned()); (1 << 16) + 1];
    let mut no_headers = bytes.clone();
    no_headers[32..40].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    let mut padding_too = bytes[..bytes.len() - 32].to_vec();
    padding_too[12] = 1;
    let files = [
        ("cut-off", bytes[..bytes.len() - 32].to_vec(), "dynamic section is damaged"),
        ("padding-too", padding_too, "dynamic section is damaged"),
        ("no-headers", no_headers, "ELF file's program headers can't be read"),
        ("no-segments", [&bytes[..56], &[0, 0], &bytes[58..]].concat(), "object file has no loadable segments"),
        ("many-needed", many.write(), "dynamic section is damaged"),
        ("long-path", program().with(RUNPATH, &"/x".repeat(40_000)).write(), "dynamic section is damaged"),
    ];
    for (name, bytes, expected) in files {
        root.file(&format!("/bin/{name}"), &bytes, 0o755);
        let text = root.text(&format!("/bin/{name}"), &Options::default());
        assert!(text.ends_with(&format!("  error: /bin/{name}: {expected}\n")), "{name}: {text}");
        root.file(&format!("/opt/{name}.so"), &bytes, 0o755);
        let path = format!("/opt/{name}.so");
        let text = root.text_of(&[Wanted::library(path.as_str())], &Options::default());
        assert!(text.ends_with(&format!("  error: {path}: {expected}\n")), "{name}: {text}");
    }
    let wanted = [Wanted::program("/bin/cut-off")];
    let said = diagnose(&root.close(&wanted, &Options::default()), &wanted, &Options::default());
    assert_eq!(said[0].code.0, "E0221");
    assert_eq!(said[0].title, "the loader refuses `/bin/cut-off`: dynamic section is damaged");
}

#[test]
fn loads_what_the_loader_loads() {
    check(Root::glibc, CASES);
}
