//! glibc: in which order directories are searched, and which object satisfies a name.

use mkimage::closure::{Options, Wanted};

use crate::support::root::{Case, Root, check};

const CASES: &[Case] = &[
    (
        "RPATH is inherited along the chain of those who asked",
        "
            /bin/p program liba.so.1 rpath=/opt/a
            /opt/a/liba.so.1 library libb.so.1 rpath=/opt/b
            /opt/b/libb.so.1 library libz9.so.1
            /opt/a/libz9.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/a/liba.so.1 (RPATH of p; needed by p)
              libb.so.1 => /opt/b/libb.so.1 (RPATH of liba.so.1; needed by liba.so.1)
              libz9.so.1 => /opt/a/libz9.so.1 (RPATH of p; needed by libb.so.1)",
    ),
    (
        "RUNPATH is for the object's own names only",
        "
            /bin/p program liba.so.1 runpath=/opt/a
            /opt/a/liba.so.1 library libb.so.1
            /opt/a/libb.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/a/liba.so.1 (RUNPATH of p; needed by p)
              libb.so.1 => not found (needed by liba.so.1)",
    ),
    (
        "an object with RUNPATH uses nobody's RPATH",
        "
            /bin/p program liba.so.1 rpath=/opt/a
            /opt/a/liba.so.1 library libb.so.1 runpath=/opt/none
            /opt/a/libb.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/a/liba.so.1 (RPATH of p; needed by p)
              libb.so.1 => not found (needed by liba.so.1)",
    ),
    (
        "a RUNPATH in the middle of the chain does not end it",
        "
            /bin/p program liba.so.1 rpath=/opt/a
            /opt/a/liba.so.1 library libb.so.1 runpath=/opt/b
            /opt/b/libb.so.1 library libq.so.1
            /opt/a/libq.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/a/liba.so.1 (RPATH of p; needed by p)
              libb.so.1 => /opt/b/libb.so.1 (RUNPATH of liba.so.1; needed by liba.so.1)
              libq.so.1 => /opt/a/libq.so.1 (RPATH of p; needed by libb.so.1)",
    ),
    (
        "RPATH beside RUNPATH does not exist, also when that is empty",
        "
            /bin/p program liba.so.1 libonly.so.1 rpath=/opt/rp runpath=/opt/run
            /bin/q program liba.so.1 rpath=/opt/rp runpath=
            /opt/run/liba.so.1 library
            /opt/rp/liba.so.1 library
            /opt/rp/libonly.so.1 library",
        "/bin/p /bin/q",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/run/liba.so.1 (RUNPATH of p; needed by p)
              libonly.so.1 => not found (needed by p)
            /bin/q: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => not found (needed by q)",
    ),
    (
        "breadth first: the program's own search for a name comes before a library's",
        "
            /bin/p program liba.so.1 libx.so.1 runpath=/opt/a
            /opt/a/liba.so.1 library libx.so.1 rpath=/opt/x-from-a
            /opt/x-from-a/libx.so.1 library
            /usr/lib/x86_64-linux-gnu/libx.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/a/liba.so.1 (RUNPATH of p; needed by p)
              libx.so.1 => /lib/x86_64-linux-gnu/libx.so.1 (system directory; needed by p)",
    ),
    (
        "who asks first decides, for each program apart",
        "
            /bin/p program liba.so.1 libb.so.1 runpath=/opt/l
            /bin/q program libb.so.1 liba.so.1 runpath=/opt/l
            /opt/l/liba.so.1 library libx.so.1 runpath=/opt/x1
            /opt/l/libb.so.1 library libx.so.1 runpath=/opt/x2
            /opt/x1/libx.so.1 library
            /opt/x2/libx.so.1 library",
        "/bin/p /bin/q",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/l/liba.so.1 (RUNPATH of p; needed by p)
              libb.so.1 => /opt/l/libb.so.1 (RUNPATH of p; needed by p)
              libx.so.1 => /opt/x1/libx.so.1 (RUNPATH of liba.so.1; needed by liba.so.1)
            /bin/q: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libb.so.1 => /opt/l/libb.so.1 (RUNPATH of q; needed by q)
              liba.so.1 => /opt/l/liba.so.1 (RUNPATH of q; needed by q)
              libx.so.1 => /opt/x2/libx.so.1 (RUNPATH of libb.so.1; needed by libb.so.1)",
    ),
    (
        "an empty element of a path is the working directory, an empty path is none",
        "
            /bin/p program libcwd.so.1 rpath=/opt/none::/opt/none2
            /bin/trail program libcwd.so.1 rpath=/opt/none:
            /bin/empty program libcwd.so.1 rpath=
            /libcwd.so.1 library",
        "/bin/p /bin/trail /bin/empty",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libcwd.so.1 => /libcwd.so.1 (RPATH of p; needed by p)
              warning: `/bin/p` searches the working directory: an empty element in its path
            /bin/trail: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libcwd.so.1 => /libcwd.so.1 (RPATH of trail; needed by trail)
              warning: `/bin/trail` searches the working directory: an empty element in its path
            /bin/empty: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libcwd.so.1 => not found (needed by empty)",
    ),
    (
        "$ORIGIN of a program is where its file really is",
        "
            /opt/app/bin/p program liba.so.1 rpath=$ORIGIN/../lib
            /opt/app/lib/liba.so.1 library
            /bin/p link /opt/app/bin/p
            /usr/bin/q link ../../opt/app/bin/p",
        "/bin/p /bin/q /opt/app/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/app/bin/../lib/liba.so.1 (RPATH of p; needed by p)
            /bin/q: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/app/bin/../lib/liba.so.1 (RPATH of q; needed by q)
            /opt/app/bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/app/bin/../lib/liba.so.1 (RPATH of p; needed by p)",
    ),
    (
        "$ORIGIN of a library is the directory by which it was found",
        "
            /bin/p program libs.so.1
            /opt/foo/lib/libs.so.1 library libdep.so.1 runpath=$ORIGIN
            /opt/foo/lib/libdep.so.1 library
            /usr/lib/x86_64-linux-gnu/libs.so.1 link /opt/foo/lib/libs.so.1
            /bin/q program liba.so.1 rpath=/opt/cur/lib
            /opt/real-1.0/lib/liba.so.1 library libdep.so.1 rpath=$ORIGIN/../dep
            /opt/real-1.0/dep/libdep.so.1 library
            /opt/cur link real-1.0",
        "/bin/p /bin/q",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libs.so.1 => /lib/x86_64-linux-gnu/libs.so.1 (system directory; needed by p)
              libdep.so.1 => not found (needed by libs.so.1)
            /bin/q: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/cur/lib/liba.so.1 (RPATH of q; needed by q)
              libdep.so.1 => /opt/cur/lib/../dep/libdep.so.1 (RPATH of liba.so.1; needed by liba.so.1)",
    ),
    (
        "tokens with and without braces; unknown ones stay as they are",
        "
            /opt/app/bin/p program liba.so.1 libl.so.1 libp.so.1 libu.so.1 rpath=${ORIGIN}/../x:$ORIGIN/../$LIB:/opt/app/${PLATFORM}:/opt/app/$ORIGINAL
            /opt/app/x/liba.so.1 library
            /opt/app/lib/x86_64-linux-gnu/libl.so.1 library
            /opt/app/x86_64/libp.so.1 library
            /opt/app/$ORIGINAL/libu.so.1 library",
        "/opt/app/bin/p",
        "
            /opt/app/bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/app/bin/../x/liba.so.1 (RPATH of p; needed by p)
              libl.so.1 => /opt/app/bin/../lib/x86_64-linux-gnu/libl.so.1 (RPATH of p; needed by p)
              libp.so.1 => /opt/app/x86_64/libp.so.1 (RPATH of p; needed by p)
              libu.so.1 => /opt/app/$ORIGINAL/libu.so.1 (RPATH of p; needed by p)
              warning: `/opt/app/bin/p` searches a directory that differs from processor to processor",
    ),
    (
        "a name with a slash is a path: absolute, relative, or with a token",
        "
            /opt/app/bin/p program /opt/lib/libabs.so ./rel/librel.so $ORIGIN/../lib/liborg.so.1 /opt/none/libgone.so rpath=$ORIGIN/../lib
            /opt/lib/libabs.so library soname=-
            /rel/librel.so library soname=-
            /opt/app/lib/liborg.so.1 library libabs2.so soname=-
            /opt/app/lib/libabs2.so library soname=-",
        "/opt/app/bin/p",
        "
            /opt/app/bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              /opt/lib/libabs.so => /opt/lib/libabs.so (by its path; needed by p)
              ./rel/librel.so => /./rel/librel.so (by its path; needed by p)
              /opt/app/bin/../lib/liborg.so.1 => /opt/app/bin/../lib/liborg.so.1 (by its path; needed by p)
              libabs2.so => /opt/app/bin/../lib/libabs2.so (RPATH of p; needed by liborg.so.1)
              /opt/none/libgone.so => not found (needed by p)",
    ),
    (
        "a DT_SONAME that is loaded satisfies a later name, whatever the file is called",
        "
            /bin/p program libfoo.so.1.0 libbar.so.1 liblate.so.1 rpath=/opt/a
            /bin/q program libbar.so.1 libfoo.so.1.0 rpath=/opt/a
            /opt/a/libfoo.so.1.0 library soname=libbar.so.1
            /opt/a/libbar.so.1 library
            /opt/a/liblate.so.1 library libbar.so.1",
        "/bin/p /bin/q",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libfoo.so.1.0 => /opt/a/libfoo.so.1.0 (RPATH of p; needed by p)
              liblate.so.1 => /opt/a/liblate.so.1 (RPATH of p; needed by p)
              libbar.so.1 => /opt/a/libfoo.so.1.0 (by the DT_SONAME of libfoo.so.1.0)
            /bin/q: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libbar.so.1 => /opt/a/libbar.so.1 (RPATH of q; needed by q)
              libfoo.so.1.0 => /opt/a/libfoo.so.1.0 (RPATH of q; needed by q)",
    ),
    (
        "several names of one file are one object",
        "
            /bin/p program libone.so.1 libtwo.so.1 libthree.so.1 rpath=/opt/a
            /opt/a/libone.so.1 library soname=-
            /opt/a/libtwo.so.1 hard /opt/a/libone.so.1
            /opt/a/libthree.so.1 link libone.so.1",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libone.so.1 => /opt/a/libone.so.1 (RPATH of p; needed by p)
              libtwo.so.1 => /opt/a/libtwo.so.1 (another name of libone.so.1)
              libthree.so.1 => /opt/a/libthree.so.1 (another name of libone.so.1)",
    ),
    (
        "a library may need the program itself, the loader and what the kernel maps",
        "
            /bin/p program libplug.so ld-linux-x86-64.so.2 linux-vdso.so.1 soname=libmain.so rpath=/opt/a
            /opt/a/libplug.so library libmain.so",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libplug.so => /opt/a/libplug.so (RPATH of p; needed by p)
              ld-linux-x86-64.so.2 => /lib64/ld-linux-x86-64.so.2 (interpreter)
              libmain.so => /bin/p (by the DT_SONAME of p)",
    ),
    (
        "the interpreter is found under the name that the program gives it",
        "
            /opt/ld/my-ld.so link /lib64/ld-linux-x86-64.so.2
            /bin/file program libc.so.6 interp=/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
            /bin/link program libc.so.6 interp=/opt/ld/my-ld.so
            /bin/gone program libc.so.6 interp=/opt/ld/none.so",
        "/bin/file /bin/link /bin/gone",
        "
            /bin/file: dynamic, loader /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 (glibc 2.36)
              libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (system directory; needed by file)
              ld-linux-x86-64.so.2 => /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 (interpreter)
            /bin/link: dynamic, loader /opt/ld/my-ld.so (glibc 2.36)
              libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (system directory; needed by link)
              my-ld.so => /opt/ld/my-ld.so (interpreter)
            /bin/gone: dynamic
              error: /bin/gone: interpreter not found: /opt/ld/none.so",
    ),
    (
        "circles end",
        "
            /bin/p program liba.so.1 rpath=/opt/a
            /opt/a/liba.so.1 library libb.so.1
            /opt/a/libb.so.1 library liba.so.1 libself.so.1
            /opt/a/libself.so.1 library libself.so.1",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/a/liba.so.1 (RPATH of p; needed by p)
              libb.so.1 => /opt/a/libb.so.1 (RPATH of p; needed by liba.so.1)
              libself.so.1 => /opt/a/libself.so.1 (RPATH of p; needed by libb.so.1)",
    ),
    (
        "other machines' files, other classes' and dangling links are passed over",
        "
            /bin/p program libx.so.1 rpath=/opt/c32:/opt/arm:/opt/dangling:/opt/good
            /opt/c32/libx.so.1 library class=32 machine=3
            /opt/arm/libx.so.1 library machine=183
            /opt/dangling/libx.so.1 link /nonexistent
            /opt/good/libx.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libx.so.1 => /opt/good/libx.so.1 (RPATH of p; needed by p)",
    ),
    (
        "a link in a circle gives its list up, and the next source is tried",
        "
            /bin/p program libx.so.1 rpath=/opt/loop:/opt/good
            /opt/loop/libx.so.1 link libx.so.1
            /opt/good/libx.so.1 library
            /usr/lib/x86_64-linux-gnu/libx.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libx.so.1 => /lib/x86_64-linux-gnu/libx.so.1 (system directory; needed by p)",
    ),
    (
        "directories for the platform are searched by loaders before 2.37",
        "
            /bin/p program libt.so.1 libp.so.1 libboth.so.1 runpath=/opt/l
            /opt/l/tls/libt.so.1 library
            /opt/l/libt.so.1 library
            /opt/l/x86_64/libp.so.1 library
            /opt/l/tls/x86_64/libboth.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libt.so.1 => /opt/l/tls/libt.so.1 (RUNPATH of p; needed by p)
              libp.so.1 => /opt/l/x86_64/libp.so.1 (RUNPATH of p; needed by p)
              libboth.so.1 => /opt/l/tls/x86_64/libboth.so.1 (RUNPATH of p; needed by p)",
    ),
    (
        "DF_1_NODEFLIB keeps an object out of the system directories",
        "
            /bin/p program liba.so.1 runpath=/opt/p
            /opt/p/liba.so.1 library libnear.so.1 flags-1=2048
            /usr/lib/x86_64-linux-gnu/libnear.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/p/liba.so.1 (RUNPATH of p; needed by p)
              libnear.so.1 => not found (needed by liba.so.1)",
    ),
    (
        "beside a program's RUNPATH a library's RPATH is for it and for what it loads",
        "
            /bin/p program liba.so.1 runpath=/opt/a
            /opt/a/liba.so.1 library libb.so.1 rpath=/opt/b
            /opt/b/libb.so.1 library libq.so.1
            /opt/b/libq.so.1 library",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/a/liba.so.1 (RUNPATH of p; needed by p)
              libb.so.1 => /opt/b/libb.so.1 (RPATH of liba.so.1; needed by liba.so.1)
              libq.so.1 => /opt/b/libq.so.1 (RPATH of liba.so.1; needed by libb.so.1)",
    ),
    (
        "an empty RUNPATH of a library ends the chain, the first directory wins, unknown tokens stay",
        "
            /bin/p program liba.so.1 rpath=/opt/a
            /bin/q program libx.so.1 runpath=/opt/b:/opt/a
            /bin/r program libn.so.1 rpath=/opt/$NOPE
            /opt/a/liba.so.1 library libb.so.1 runpath=
            /opt/a/libb.so.1 library
            /opt/a/libx.so.1 library
            /opt/b/libx.so.1 library
            /opt/$NOPE/libn.so.1 library",
        "/bin/p /bin/q /bin/r",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/a/liba.so.1 (RPATH of p; needed by p)
              libb.so.1 => not found (needed by liba.so.1)
            /bin/q: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libx.so.1 => /opt/b/libx.so.1 (RUNPATH of q; needed by q)
            /bin/r: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libn.so.1 => /opt/$NOPE/libn.so.1 (RPATH of r; needed by r)",
    ),
    (
        "what is missing is told once, and only other machines' files are no files; ld.so.conf is for ldconfig",
        "
            /bin/p program libgone.so.1 liba.so.1 libb.so.1 libc32.so.1 libbig.so.1 rpath=/opt/a
            /etc/ld.so.conf file /opt/conf\\n
            /opt/conf/libgone.so.1 library
            /opt/a/liba.so.1 library libgone.so.9 libdeep.so.1
            /opt/a/libb.so.1 library libgone.so.9
            /opt/a/libc32.so.1 library class=32 machine=3
            /opt/a/libbig.so.1 library machine=22 endian=big",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              liba.so.1 => /opt/a/liba.so.1 (RPATH of p; needed by p)
              libb.so.1 => /opt/a/libb.so.1 (RPATH of p; needed by p)
              libgone.so.1 => not found (needed by p)
              libc32.so.1 => not found (needed by p)
              libbig.so.1 => not found (needed by p)
              libgone.so.9 => not found (needed by liba.so.1)
              libdeep.so.1 => not found (needed by liba.so.1)",
    ),
    (
        "links are followed inside the root",
        "
            /bin/p program libx.so.3
            /opt/vendor/libx-3.2.so library soname=libx.so.3
            /usr/lib/x86_64-linux-gnu/libx.so.3 link /etc/alternatives/libx.so.3
            /etc/alternatives/libx.so.3 link /opt/vendor/libx-3.2.so",
        "/bin/p",
        "
            /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
              libx.so.3 => /lib/x86_64-linux-gnu/libx.so.3 (system directory; needed by p)",
    ),
];

#[test]
fn loads_what_the_loader_loads() {
    check(Root::glibc, CASES);
}

#[test]
fn a_root_that_is_not_merged_is_searched_as_it_is() {
    let tree = "
        /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 loader
        /lib64/ld-linux-x86-64.so.2 link /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
        /lib/x86_64-linux-gnu/libroot.so.1 library
        /lib/x86_64-linux-gnu/libboth.so.1 library
        /usr/lib/x86_64-linux-gnu/libboth.so.1 library
        /usr/lib/libu.so.1 library
        /bin/p program libroot.so.1 libu.so.1 libboth.so.1";
    let expected = "
        /bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
          libroot.so.1 => /lib/x86_64-linux-gnu/libroot.so.1 (system directory; needed by p)
          libu.so.1 => /usr/lib/libu.so.1 (system directory; needed by p)
          libboth.so.1 => /lib/x86_64-linux-gnu/libboth.so.1 (system directory; needed by p)";
    check(Root::new, &[("separate /lib and /usr/lib", tree, "/bin/p", expected)]);
}

#[test]
fn a_library_is_found_by_name_without_any_program() {
    let shell = "/bin/sh program\n/usr/lib/x86_64-linux-gnu/libx.so.1 library";
    for tree in [shell, "/usr/lib/x86_64-linux-gnu/libx.so.1 library"] {
        let closure = Root::glibc(tree).close(&[Wanted::library("libx.so.1")], &Options::default());
        assert_eq!(&*closure.resolutions[0].path, b"/lib/x86_64-linux-gnu/libx.so.1", "{tree}");
    }
}
