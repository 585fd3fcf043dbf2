//! musl: its own rules.

use mkimage::closure::{Options, Wanted};

use crate::support::elf::{Elf, NEEDED, RUNPATH};
use crate::support::root::{Case, Root, check, lines};

const CASES: &[Case] = &[
    (
        "libc, libm and the like are the loader itself",
        "
            /bin/p program liba.so.1 libm.so.6 libpthread.so.0 libcrypt.so.1 interp=/lib/ld-musl-x86_64.so.1
            /usr/lib/liba.so.1 library libc.musl-x86_64.so.1",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              liba.so.1 => /usr/lib/liba.so.1 (system directory; needed by p)
              ld-musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (interpreter)
              libcrypt.so.1 => not found (needed by p)",
    ),
    (
        "RUNPATH is inherited, and one's own does not end the chain",
        "
            /bin/p program liba.so.1 libb.so.1 runpath=/opt/a interp=/lib/ld-musl-x86_64.so.1
            /opt/a/liba.so.1 library libc1.so.1 runpath=/opt/none
            /opt/a/libb.so.1 library
            /opt/a/libc1.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              liba.so.1 => /opt/a/liba.so.1 (RUNPATH of p; needed by p)
              libb.so.1 => /opt/a/libb.so.1 (RUNPATH of p; needed by p)
              libc1.so.1 => /opt/a/libc1.so.1 (RUNPATH of p; needed by liba.so.1)",
    ),
    (
        "a file takes the place of the built-in path",
        "
            /bin/p program libm1.so.1 libdef.so.1 interp=/lib/ld-musl-x86_64.so.1
            /usr/lib/libdef.so.1 library
            /opt/m/libm1.so.1 library
            /etc/ld-musl-x86_64.path file /opt/none\\n/opt/m:/opt/n\\n",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              libm1.so.1 => /opt/m/libm1.so.1 (system directory; needed by p)
              libdef.so.1 => not found (needed by p)",
    ),
    (
        "the built-in path is /lib, /usr/local/lib, /usr/lib",
        "
            /bin/p program libx.so.1 liby.so.1 interp=/lib/ld-musl-x86_64.so.1
            /lib/libx.so.1 library
            /usr/lib/libx.so.1 library
            /usr/local/lib/liby.so.1 library
            /usr/lib/liby.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              libx.so.1 => /lib/libx.so.1 (system directory; needed by p)
              liby.so.1 => /usr/local/lib/liby.so.1 (system directory; needed by p)",
    ),
    (
        "DT_SONAME counts for nothing",
        "
            /bin/p program libfoo.so.1.0 libbar.so.1 interp=/lib/ld-musl-x86_64.so.1
            /usr/lib/libfoo.so.1.0 library soname=libbar.so.1
            /usr/lib/libbar.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              libfoo.so.1.0 => /usr/lib/libfoo.so.1.0 (system directory; needed by p)
              libbar.so.1 => /usr/lib/libbar.so.1 (system directory; needed by p)",
    ),
    (
        "several names of one file are one object",
        "
            /bin/p program libone.so.1 libtwo.so.1 interp=/lib/ld-musl-x86_64.so.1
            /usr/lib/libone.so.1 library
            /usr/lib/libtwo.so.1 link libone.so.1",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              libone.so.1 => /usr/lib/libone.so.1 (system directory; needed by p)
              libtwo.so.1 => /usr/lib/libtwo.so.1 (another name of libone.so.1)",
    ),
    (
        "the first file is taken, whatever it is",
        "
            /bin/p program libx.so.1 liby.so.1 libz.so.1 libw.so.1 libv.so.1 rpath=/opt/c interp=/lib/ld-musl-x86_64.so.1
            /opt/c/libx.so.1 library type=1
            /opt/c/liby.so.1 file not an ELF file at all
            /opt/c/libz.so.1 library machine=183
            /opt/c/libw.so.1 library machine=3 class=32
            /opt/c/libv.so.1 library endian=big
            /usr/lib/libx.so.1 library
            /usr/lib/liby.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              libz.so.1 => /opt/c/libz.so.1 (RPATH of p; needed by p)
              libx.so.1 => not found (needed by p)
              liby.so.1 => not found (needed by p)
              libw.so.1 => not found (needed by p)
              libv.so.1 => not found (needed by p)",
    ),
    (
        "circles end, and all that is missing is told",
        "
            /bin/p program liba.so.1 libgone.so interp=/lib/ld-musl-x86_64.so.1
            /usr/lib/liba.so.1 library libb.so.1
            /usr/lib/libb.so.1 library liba.so.1 libgone.so.1
            /bin/static program type=2 dynamic=no interp=-",
        "/bin/p /bin/static",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              liba.so.1 => /usr/lib/liba.so.1 (system directory; needed by p)
              libb.so.1 => /usr/lib/libb.so.1 (system directory; needed by liba.so.1)
              libgone.so => not found (needed by p)
              libgone.so.1 => not found (needed by libb.so.1)
            /bin/static: static",
    ),
    (
        "$ORIGIN with and without braces",
        "
            /opt/app/bin/p program liba.so.1 rpath=$ORIGIN/../lib interp=/lib/ld-musl-x86_64.so.1
            /opt/app/lib/liba.so.1 library libdep.so.1 runpath=${ORIGIN}/../dep
            /opt/app/dep/libdep.so.1 library
            /bin/p link /opt/app/bin/p",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              liba.so.1 => /opt/app/bin/../lib/liba.so.1 (RPATH of p; needed by p)
              libdep.so.1 => /opt/app/bin/../lib/../dep/libdep.so.1 (RUNPATH of liba.so.1; needed by liba.so.1)",
    ),
    (
        "any other token makes the whole path void",
        "
            /bin/p program liba.so.1 rpath=/opt/a:/opt/$LIB interp=/lib/ld-musl-x86_64.so.1
            /opt/a/liba.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              liba.so.1 => not found (needed by p)",
    ),
    (
        "a name with a slash is a path, in which tokens mean nothing",
        "
            /bin/p program /opt/l/libabs.so $ORIGIN/../opt/l/liborg.so interp=/lib/ld-musl-x86_64.so.1
            /opt/l/libabs.so library
            /opt/l/liborg.so library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              /opt/l/libabs.so => /opt/l/libabs.so (by its path; needed by p)
              $ORIGIN/../opt/l/liborg.so => not found (needed by p)",
    ),
    (
        "the path file is looked up below the interpreter's prefix",
        "
            /bin/p program libx.so.1 interp=/opt/musl/lib/ld-musl-x86_64.so.1
            /opt/musl/lib/ld-musl-x86_64.so.1 library soname=-
            /opt/musl/etc/ld-musl-x86_64.path file /opt/mm
            /opt/mm/libx.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /opt/musl/lib/ld-musl-x86_64.so.1 (musl)
              libx.so.1 => /opt/mm/libx.so.1 (system directory; needed by p)",
    ),
    (
        "a second libc is never mapped",
        "
            /bin/p program /opt/other/libother.so interp=/lib/ld-musl-x86_64.so.1
            /opt/other/libother.so library symbols=__libc_start_main,stdin",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              ld-musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (interpreter)",
    ),
    (
        "a loader that names itself as its interpreter is not followed in a circle",
        "
            /bin/p program libx.so.1 interp=/opt/lib/ld-musl-x86_64.so.1
            /opt/lib/ld-musl-x86_64.so.1 program interp=/opt/lib/ld-musl-x86_64.so.1
            /lib/libx.so.1 library",
        "/bin/p /opt/lib/ld-musl-x86_64.so.1",
        "
            /bin/p: dynamic, loader /opt/lib/ld-musl-x86_64.so.1 (musl)
              libx.so.1 => /lib/libx.so.1 (system directory; needed by p)
            /opt/lib/ld-musl-x86_64.so.1: dynamic, loader /opt/lib/ld-musl-x86_64.so.1 (musl)",
    ),
    (
        "gcompat's loader starts musl's",
        "
            /bin/p program libc.so.6 interp=/lib64/ld-linux-x86-64.so.2
            /lib64/ld-linux-x86-64.so.2 program interp=/lib/ld-musl-x86_64.so.1
            /lib/libgcompat.so.0 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              /lib/libgcompat.so.0 => /lib/libgcompat.so.0 (by its path; preloaded by LD_PRELOAD for p)
              ld-musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (interpreter)",
    ),
];

#[test]
fn loads_what_the_loader_loads() {
    check(Root::musl, CASES);
}

#[test]
fn notes_on_dlopen_are_followed_in_the_program_s_name() {
    let root = Root::musl(
        "/opt/own/libown.so.1 library
         /opt/lib/libhid.so.1 library
         /usr/lib/libdep.so.1 library
         /usr/lib/libsug.so.1 library
         /bin/q program interp=/lib/ld-musl-x86_64.so.1",
    );
    let note = |text: &str| ("FDO", 0x407c_0c0a, [text.as_bytes(), b"\0"].concat());
    let mut library = Elf::library().with(RUNPATH, "/opt/lib");
    library.notes = vec![
        note(r#"[{"soname":["libown.so.1"],"priority":"required"}]"#),
        note(r#"[{"soname":["libhid.so.1"],"priority":"recommended"}]"#),
    ];
    root.file("/usr/lib/liba.so.1", &library.write(), 0o644);
    let loader = "/lib/ld-musl-x86_64.so.1";
    let mut program = Elf::program(loader).with(NEEDED, "liba.so.1").with(RUNPATH, "/opt/own");
    program.notes = vec![
        note(r#"[{"soname":["libdep.so.2","libdep.so.1"]},{"soname":"libsug.so.1","priority":"suggested"}]"#),
        note(r#"{"soname":["libmust.so.1"],"priority":"required"}"#),
    ];
    root.file("/bin/p", &program.write(), 0o755);
    assert_eq!(
        root.text("/bin/p", &Options::default()),
        lines(
            "
            /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
              liba.so.1 => /usr/lib/liba.so.1 (system directory; needed by p)
              libdep.so.1 => /usr/lib/libdep.so.1 (system directory; noted for dlopen in p)
              libown.so.1 => /opt/own/libown.so.1 (RUNPATH of p; noted for dlopen in p)
              libmust.so.1 => not found (noted for dlopen in p)
              libhid.so.1 => not found, may be missing (noted for dlopen in p)"
        )
    );
    let notes = &root.close(&[Wanted::program("/bin/p")], &Options::default()).resolutions[0].dlopen_notes;
    assert_eq!(notes[1].offered.as_deref(), Some(b"/usr/lib/libsug.so.1".as_slice()));
    // A plugin's notes are followed as well.
    let wanted = [Wanted::program("/bin/q"), Wanted::plugin("/usr/lib/liba.so.1", Some(0))];
    let missing = root.close(&wanted, &Options::default()).resolutions.pop().unwrap().missing;
    assert_eq!(&*missing[0].name, b"libown.so.1");
}
