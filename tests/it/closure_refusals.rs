//! glibc: files that stop a program although a good one may stand further on, and versions that are not there.

use crate::support::root::{Case, Root, check};

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
fn loads_what_the_loader_loads() {
    check(Root::glibc, CASES);
}
