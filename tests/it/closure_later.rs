//! glibc: what is mapped before, beside and after a program's own needs, and what the image's settings change.

use mkimage::closure::{Isa, Options, Privilege, Wanted};

use crate::support::elf::Elf;
use crate::support::root::{GLIBC, Root, lines};

const HEAD: &str = "/bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)";

fn expect(root: &Root, wanted: &[Wanted], options: &Options, expected: &str) {
    assert_eq!(root.text_of(wanted, options), lines(expected).replace("HEAD", HEAD));
}

fn program() -> [Wanted; 1] {
    [Wanted::program("/bin/p")]
}

#[test]
fn the_environment_of_the_image_counts() {
    let root = Root::glibc(
        "/bin/p program libx.so.1 liby.so.1 rpath=/opt/own
         /bin/q program libx.so.1 liby.so.1 runpath=/opt/own
         /opt/env/libx.so.1 library
         /opt/own/libx.so.1 library
         /opt/env/liby.so.1 library
         /opt/pre/libpre.so library libx.so.1",
    );
    let options = Options {
        library_path: b"/nonexistent;/opt/env".to_vec(),
        preload: b"/opt/pre/libpre.so libgone.so".to_vec(),
        ..Options::default()
    };
    expect(
        &root,
        &[Wanted::program("/bin/p"), Wanted::program("/bin/q")],
        &options,
        "
         HEAD
           /opt/pre/libpre.so => /opt/pre/libpre.so (by its path; preloaded by LD_PRELOAD for p)
           libx.so.1 => /opt/own/libx.so.1 (RPATH of p; needed by p)
           liby.so.1 => /opt/env/liby.so.1 (LD_LIBRARY_PATH; needed by p)
           libgone.so => not found, may be missing (preloaded by LD_PRELOAD for p)
         /bin/q: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
           /opt/pre/libpre.so => /opt/pre/libpre.so (by its path; preloaded by LD_PRELOAD for q)
           libx.so.1 => /opt/env/libx.so.1 (LD_LIBRARY_PATH; needed by q)
           liby.so.1 => /opt/env/liby.so.1 (LD_LIBRARY_PATH; needed by q)
           libgone.so => not found, may be missing (preloaded by LD_PRELOAD for q)",
    );
}

#[test]
fn a_privileged_program_drops_what_others_could_set() {
    let root = Root::glibc(
        "/opt/app/bin/p program liba.so.1 rpath=$ORIGIN/../lib
         /opt/app/lib/liba.so.1 library
         /usr/lib/x86_64-linux-gnu/app/q program liba.so.1 libenv.so.1 rpath=$ORIGIN/../own
         /usr/lib/x86_64-linux-gnu/own/liba.so.1 library
         /opt/env/libenv.so.1 library
         /bin/absolute program liba.so.1 rpath=/opt/app/lib
         /bin/token program $ORIGIN/liba.so.1",
    );
    let secure = |path: &str| Wanted { privilege: Privilege::Secure, ..Wanted::program(path) };
    let options = Options { library_path: b"/opt/env".to_vec(), ..Options::default() };
    let wanted = ["/opt/app/bin/p", "/usr/lib/x86_64-linux-gnu/app/q", "/bin/absolute", "/bin/token"].map(secure);
    expect(
        &root,
        &wanted,
        &options,
        "
         /opt/app/bin/p: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
           liba.so.1 => not found (needed by p)
           warning: `/opt/app/bin/p` has `$ORIGIN/../lib` in its path, which a setuid or privileged program drops
         /usr/lib/x86_64-linux-gnu/app/q: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
           liba.so.1 => /usr/lib/x86_64-linux-gnu/app/../own/liba.so.1 (RPATH of q; needed by q)
           libenv.so.1 => not found (needed by q)
         /bin/absolute: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
           liba.so.1 => /opt/app/lib/liba.so.1 (RPATH of absolute; needed by absolute)
         /bin/token: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
           error: /bin/token: dynamic string token in `$ORIGIN/liba.so.1` can't be expanded",
    );
}

#[test]
fn the_preload_file_of_the_root_counts() {
    let root = Root::glibc(
        "/bin/p program
         /opt/pre/libpre.so library libdep.so.1 soname=-
         /usr/lib/x86_64-linux-gnu/libdep.so.1 library
         /usr/lib/x86_64-linux-gnu/libpre2.so.1 library
         /etc/ld.so.preload file # comment\\n/opt/pre/libpre.so:libpre2.so.1  # another\\n/opt/pre/gone.so\\n",
    );
    expect(
        &root,
        &program(),
        &Options::default(),
        "
         HEAD
           /opt/pre/libpre.so => /opt/pre/libpre.so (by its path; preloaded by ld.so.preload for p)
           libpre2.so.1 => /lib/x86_64-linux-gnu/libpre2.so.1 (system directory; preloaded by ld.so.preload for p)
           libdep.so.1 => /lib/x86_64-linux-gnu/libdep.so.1 (system directory; needed by libpre.so)
           /opt/pre/gone.so => not found, may be missing (preloaded by ld.so.preload for p)",
    );
}

#[test]
fn filtees_come_before_what_they_filter() {
    let root = Root::glibc(
        "/bin/p program libfilter.so.1 libaux.so.1 runpath=/opt/f
         /opt/f/libfilter.so.1 library filter=libfiltee.so.1 runpath=/opt/f
         /opt/f/libfiltee.so.1 library
         /opt/f/libaux.so.1 library auxiliary=libfound.so.1 auxiliary=libgone.so.1 runpath=/opt/f
         /opt/f/libfound.so.1 library libdep.so.1 runpath=/opt/f
         /opt/f/libdep.so.1 library",
    );
    expect(
        &root,
        &program(),
        &Options::default(),
        "
         HEAD
           libfiltee.so.1 => /opt/f/libfiltee.so.1 (RUNPATH of libfilter.so.1; filtee of libfilter.so.1)
           libfilter.so.1 => /opt/f/libfilter.so.1 (RUNPATH of p; needed by p)
           libfound.so.1 => /opt/f/libfound.so.1 (RUNPATH of libaux.so.1; auxiliary of libaux.so.1)
           libaux.so.1 => /opt/f/libaux.so.1 (RUNPATH of p; needed by p)
           libdep.so.1 => /opt/f/libdep.so.1 (RUNPATH of libfound.so.1; needed by libfound.so.1)
           libgone.so.1 => not found, may be missing (auxiliary of libaux.so.1)",
    );
}

#[test]
fn audit_libraries_have_a_namespace_of_their_own() {
    let root = Root::glibc(
        "/bin/p program libx.so.1 runpath=/opt/x audit=/opt/audit/libaudit.so
         /opt/x/libx.so.1 library
         /opt/audit/libaudit.so library libx.so.1 runpath=/opt/audit soname=-
         /opt/audit/libx.so.1 library",
    );
    let closure = root.close(&program(), &Options::default());
    let paths: Vec<String> = closure.paths().iter().map(|it| String::from_utf8_lossy(&it.path).into_owned()).collect();
    assert_eq!(paths, ["/bin/p", GLIBC, "/opt/x/libx.so.1", "/opt/audit/libaudit.so", "/opt/audit/libx.so.1"]);
}

#[test]
fn what_a_program_dlopens_is_mapped_in_its_context() {
    let root = Root::glibc(
        "/bin/p program libx.so.1 runpath=/opt/p
         /opt/p/libx.so.1 library
         /opt/p/libplugin.so library libx.so.1 libz.so.1
         /usr/lib/x86_64-linux-gnu/libz.so.1 library",
    );
    let dlopen = ["libplugin.so", "libgone.so", "libx.so.1"].map(Into::into).to_vec();
    let wanted = [Wanted { dlopen, ..Wanted::program("/bin/p") }];
    expect(
        &root,
        &wanted,
        &Options::default(),
        "
         HEAD
           libx.so.1 => /opt/p/libx.so.1 (RUNPATH of p; needed by p)
           libplugin.so => /opt/p/libplugin.so (RUNPATH of p; dlopened by p)
           libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (system directory; needed by libplugin.so)
           libgone.so => not found (dlopened by p)",
    );
}

#[test]
fn notes_on_dlopen_are_followed_by_priority() {
    let root = Root::glibc(
        "/usr/lib/x86_64-linux-gnu/libfido2.so.1 library
         /usr/lib/x86_64-linux-gnu/libx.so.1 library libxdep.so.1
         /usr/lib/x86_64-linux-gnu/libxdep.so.1 library
         /usr/lib/x86_64-linux-gnu/libbroken.so.1 library libnowhere.so.1
         /bin/q program",
    );
    let note = |text: &str| ("FDO", 0x407c_0c0a, [text.as_bytes(), b"\0"].concat());
    let mut program = Elf::program(GLIBC);
    program.notes = vec![
        note(r#"[{"soname":["libfido2.so.1"],"feature":"fido2","priority":"suggested"}]"#),
        note(r#"[{"soname":["libx.so.2","libx.so.1"],"priority":"required"},{"soname":"libbroken.so.1"}]"#),
        note(r#"{"soname":["libmust.so.1"],"priority":"required"}"#),
        note("no JSON"),
    ];
    root.file("/bin/p", &program.write(), 0o755);
    let closure = root.close(&[Wanted::program("/bin/p")], &Options::default());
    let resolution = &closure.resolutions[0];
    expect(
        &root,
        &[Wanted::program("/bin/p")],
        &Options::default(),
        "
         HEAD
           libx.so.1 => /lib/x86_64-linux-gnu/libx.so.1 (system directory; noted for dlopen in p)
           libxdep.so.1 => /lib/x86_64-linux-gnu/libxdep.so.1 (system directory; needed by libx.so.1)
           libmust.so.1 => not found (noted for dlopen in p)
           libbroken.so.1 => not found, may be missing (noted for dlopen in p)",
    );
    let offered = resolution.dlopen_notes[0].offered.as_deref();
    assert_eq!(offered, Some(b"/lib/x86_64-linux-gnu/libfido2.so.1".as_slice()));
}

#[test]
fn plugins_are_loaded_by_their_host() {
    let root = Root::glibc(
        "/opt/jvm/bin/java program libjli.so runpath=$ORIGIN/../lib
         /opt/jvm/lib/libjli.so library
         /opt/jvm/lib/server/libjvm.so library
         /opt/jvm/lib/libjava.so library libjvm.so libjli.so
         /opt/jvm/lib/libalone.so library libjvm.so libnowhere.so
         /opt/jvm/lib/data.jsa file some data
         /opt/jvm/lib/arm.so library machine=183
         /opt/jvm/lib/musl.so library libc.musl-x86_64.so.1
         /opt/jvm/lib/esbuild program machine=183 type=2 dynamic=no interp=-
         /opt/jvm/lib/bionic program interp=/system/bin/linker64",
    );
    let java =
        Wanted { dlopen: vec![b"/opt/jvm/lib/server/libjvm.so".to_vec()], ..Wanted::program("/opt/jvm/bin/java") };
    let wanted = [
        java,
        Wanted::plugin("/opt/jvm/lib/libjava.so", Some(0)),
        Wanted::plugin("/opt/jvm/lib/libalone.so", None),
        Wanted::plugin("/opt/jvm/lib/data.jsa", None),
        Wanted::plugin("/opt/jvm/lib/arm.so", None),
        Wanted::plugin("/opt/jvm/lib/musl.so", None),
        Wanted::plugin("/opt/jvm/lib/esbuild", None),
        Wanted::plugin("/opt/jvm/lib/bionic", None),
    ];
    expect(
        &root,
        &wanted,
        &Options::default(),
        "
         /opt/jvm/bin/java: dynamic, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
           libjli.so => /opt/jvm/bin/../lib/libjli.so (RUNPATH of java; needed by java)
           /opt/jvm/lib/server/libjvm.so => /opt/jvm/lib/server/libjvm.so (by its path; dlopened by java)
         /opt/jvm/lib/libjava.so: library
           libjvm.so => /opt/jvm/lib/server/libjvm.so (by the DT_SONAME of libjvm.so)
         /opt/jvm/lib/libalone.so: library, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
           libjvm.so => not found (needed by libalone.so)
           libnowhere.so => not found (needed by libalone.so)
         /opt/jvm/lib/data.jsa: data
         /opt/jvm/lib/arm.so: for another machine
         /opt/jvm/lib/musl.so: for another libc
         /opt/jvm/lib/esbuild: for another machine
         /opt/jvm/lib/bionic: for another libc",
    );
    let closure = root.close(&wanted, &Options::default());
    let missing = &closure.resolutions[2].missing;
    assert_eq!(missing[0].provided_by.as_deref(), Some(b"/opt/jvm/lib/server/libjvm.so".as_slice()));
    assert_eq!(missing[1].provided_by, None);
}

#[test]
fn libraries_are_found_by_name() {
    let root = Root::glibc(
        "/bin/p program
         /usr/lib/x86_64-linux-gnu/libssl.so.3 library libcrypto.so.3
         /usr/lib/x86_64-linux-gnu/libcrypto.so.3 library",
    );
    let wanted = [Wanted::program("/bin/p"), Wanted::library("libssl.so.3"), Wanted::library("libgone.so.1")];
    expect(
        &root,
        &wanted,
        &Options::default(),
        "
         HEAD
         /lib/x86_64-linux-gnu/libssl.so.3: library, loader /lib64/ld-linux-x86-64.so.2 (glibc 2.36)
           libcrypto.so.3 => /lib/x86_64-linux-gnu/libcrypto.so.3 (system directory; needed by libssl.so.3)
         libgone.so.1: not there
           error: libgone.so.1: no such file",
    );
}

#[test]
fn libraries_are_found_by_name_without_a_program() {
    let root = Root::glibc("/usr/lib/x86_64-linux-gnu/libssl.so.3 library libc.so.6");
    let wanted = [Wanted::library("libssl.so.3")];
    // By the loader that is there, or that of the machine where one is named.
    assert!(root.text_of(&wanted, &Options::default()).starts_with("/lib/x86_64-linux-gnu/libssl.so.3: library"));
    let options = Options { machine: Some(mkimage::elf::Machine::X86_64), ..Options::default() };
    assert!(root.text_of(&wanted, &options).starts_with("/lib/x86_64-linux-gnu/libssl.so.3: library"));
}

const LEVELS: &str = "/bin/p program libmany.so.1 libonly3.so.1
    /usr/lib/x86_64-linux-gnu/libmany.so.1 library
    /usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v2/libmany.so.1 library
    /usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libmany.so.1 library libextra.so.1
    /usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libonly3.so.1 library
    /usr/lib/x86_64-linux-gnu/libextra.so.1 library";

#[test]
fn no_variant_for_a_processor_is_taken_by_default() {
    expect(
        &Root::glibc(LEVELS),
        &program(),
        &Options::default(),
        "
         HEAD
           libmany.so.1 => /lib/x86_64-linux-gnu/libmany.so.1 (system directory; needed by p)
           libonly3.so.1 => not found (needed by p)",
    );
}

#[test]
fn a_level_takes_the_best_variant() {
    expect(
        &Root::glibc(LEVELS),
        &program(),
        &Options { isa: Isa::Level("x86-64-v3".into()), ..Options::default() },
        "
         HEAD
           libmany.so.1 => /lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libmany.so.1 (system directory; needed by p)
           libonly3.so.1 => /lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libonly3.so.1 (system directory; needed by p)
           libextra.so.1 => /lib/x86_64-linux-gnu/libextra.so.1 (system directory; needed by libmany.so.1)",
    );
}

#[test]
fn all_levels_bring_every_variant_with_what_it_needs() {
    let options = Options { isa: Isa::All, ignore_missing: vec![b"libonly3.so.1".to_vec()], ..Options::default() };
    let closure = Root::glibc(LEVELS).close(&program(), &options);
    let paths = closure.paths();
    let paths: Vec<&str> = paths.iter().map(|it| std::str::from_utf8(&it.path).unwrap()).collect();
    let unique = |path: &&str| path.contains("hwcaps") || path.contains("extra");
    let mut variants: Vec<&str> = paths.into_iter().filter(unique).collect();
    variants.dedup();
    assert_eq!(
        variants,
        [
            "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v2/libmany.so.1",
            "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libmany.so.1",
            "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libonly3.so.1",
            "/lib/x86_64-linux-gnu/libextra.so.1",
        ]
    );
}

#[test]
fn every_platform_that_has_a_directory_is_taken() {
    let root = Root::glibc(
        "/bin/p program libp.so.1 rpath=/opt/app/$PLATFORM
         /opt/app/x86_64/libp.so.1 library
         /opt/app/haswell/libp.so.1 library",
    );
    expect(
        &root,
        &program(),
        &Options::default(),
        "
         HEAD
           libp.so.1 => /opt/app/x86_64/libp.so.1 (RPATH of p; needed by p)
           libp.so.1 => /opt/app/haswell/libp.so.1 (on haswell)
           warning: `/bin/p` searches a directory that differs from processor to processor",
    );
}

#[test]
fn musl_takes_the_environment_first() {
    let root = Root::musl(
        "/bin/p program libx.so.1 liby.so.1 rpath=/opt/own interp=/lib/ld-musl-x86_64.so.1
         /opt/env/libx.so.1 library
         /opt/own/libx.so.1 library
         /opt/own/liby.so.1 library",
    );
    let options = Options { library_path: b"/opt/env".to_vec(), ..Options::default() };
    expect(
        &root,
        &program(),
        &options,
        "
         /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
           libx.so.1 => /opt/env/libx.so.1 (LD_LIBRARY_PATH; needed by p)
           liby.so.1 => /opt/own/liby.so.1 (RPATH of p; needed by p)",
    );
}

#[test]
fn musl_preloads_without_the_paths_of_the_program() {
    let root = Root::musl(
        "/bin/p program runpath=/opt/own interp=/lib/ld-musl-x86_64.so.1
         /opt/own/libown.so library
         /usr/lib/libpre.so library libown.so",
    );
    let options = Options { preload: b"libown.so:libpre.so".to_vec(), ..Options::default() };
    expect(
        &root,
        &program(),
        &options,
        "
         /bin/p: dynamic, loader /lib/ld-musl-x86_64.so.1 (musl)
           libpre.so => /usr/lib/libpre.so (system directory; preloaded by LD_PRELOAD for p)
           libown.so => not found (needed by libpre.so)
           libown.so => not found, may be missing (preloaded by LD_PRELOAD for p)",
    );
}

#[test]
fn chains_and_lists_of_any_length_end() {
    let names = (0..2000).map(|index| format!("libw{index:04}.so")).collect::<Vec<_>>().join(" ");
    let wide = (0..2000).map(|index| format!("/opt/w/libw{index:04}.so library\n"));
    // RPATH of the program reaches all that follows it, RUNPATH only what the object itself needs.
    let chain = |of: &'static str, paths: &'static str| {
        let link = move |index: usize| format!("/opt/{of}/lib{of}{index}.so library lib{of}{}.so{paths}\n", index + 1);
        (0..499).map(link).chain([format!("/opt/{of}/lib{of}499.so library\n")])
    };
    let programs = format!(
        "/bin/p program libd0.so rpath=/opt/d\n/bin/r program libr0.so runpath=/opt/r\n\
         /bin/w program {names} rpath=/opt/w\n/bin/cut program libc0.so runpath=/opt/c\n"
    );
    let chains = chain("d", "").chain(chain("r", " runpath=$ORIGIN")).chain(chain("c", ""));
    let tree: String = [programs].into_iter().chain(wide).chain(chains).collect();
    let wanted = ["/bin/p", "/bin/r", "/bin/w", "/bin/cut"].map(Wanted::program);
    let closure = Root::glibc(&tree).close(&wanted, &Options::default());
    let loaded: Vec<_> = closure.resolutions.iter().map(|it| (it.is_whole(), it.order.len())).collect();
    assert_eq!(loaded, [(true, 501), (true, 501), (true, 2001), (false, 2)]);
}
