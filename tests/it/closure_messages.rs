//! What a person is told of a closure, word for word.

use std::os::unix::fs::PermissionsExt;

use mkimage::closure::diagnose::{diagnose, foreign_note, not_on_path, self_check};
use mkimage::closure::{Isa, Options, Resolution, Wanted};
use mkimage::elf::Machine;
use mkimage::report::{Span, TextId, Texts, render};

use crate::support::root::{Root, lines};

/// A recipe of one line, with the spans of its words.
fn recipe(line: &str) -> (Texts, TextId) {
    let mut texts = Texts::default();
    let id = texts.add("recipes/app.toml", line);
    (texts, id)
}

fn span(texts: &Texts, text: TextId, word: &str) -> Span {
    let start = texts.text(text).find(word).expect("a word of the recipe");
    let place = |at| u32::try_from(at).expect("a short recipe");
    Span { text, start: place(start), end: place(start + word.len()) }
}

/// The messages for some programs of a recipe `binaries = ["..", ".."]`.
fn messages(root: &Root, programs: &[&str], options: &Options) -> String {
    let line = format!("binaries = [{}]\n", programs.iter().map(|it| format!("{it:?}")).collect::<Vec<_>>().join(", "));
    let (texts, text) = recipe(&line);
    let of = |program: &&str| Wanted {
        span: Some(span(&texts, text, &format!("{program:?}"))),
        ..Wanted::program(*program)
    };
    let wanted: Vec<Wanted> = programs.iter().map(of).collect();
    let closure = root.close(&wanted, options);
    render(&diagnose(&closure, &wanted, options), &texts, false)
}

#[test]
fn a_missing_library_is_told_once_with_everyone_who_needs_it() {
    let root = Root::glibc(
        "/bin/redis program libjemalloc.so.2
         /bin/other program liba.so.1 rpath=$ORIGIN/../own
         /usr/lib/x86_64-linux-gnu/liba.so.1 library libjemalloc.so.2
         /usr/lib/x86_64-linux-gnu/libjemalloc.so.1 library
         /usr/lib/x86_64-linux-gnu/je/libjemalloc.so.2 library",
    );
    assert_eq!(
        messages(&root, &["/bin/redis", "/bin/other"], &Options::default()),
        lines(
            r#"
            error[E0203]: library `libjemalloc.so.2` was not found
             --> recipes/app.toml:1:13
              |
            1 | binaries = ["/bin/redis", "/bin/other"]
              |             ^^^^^^^^^^^^  ------------ needs it, through `/lib/x86_64-linux-gnu/liba.so.1`
              |             |
              |             needs it
              |
              = note: needed by /bin/redis
              = note: needed by /lib/x86_64-linux-gnu/liba.so.1, needed by /bin/other
              = note: searched, in the loader's order: /lib/x86_64-linux-gnu, /usr/lib/x86_64-linux-gnu, /lib, /usr/lib
              = note: /lib/x86_64-linux-gnu/je/libjemalloc.so.2 is not on the loader's path
              = note: /lib/x86_64-linux-gnu/libjemalloc.so.1 is another version
              = help: install it in the root, point `root` at another one, or list it under `ignore-missing` if the program never loads it
            "#
        )
    );
}

#[test]
fn near_misses_say_why_they_do_not_count() {
    let root = Root::glibc(
        "/bin/p program libx.so.1 liby.so.1 runpath=/opt/arm:/opt/gone
         /opt/arm/libx.so.1 library machine=183
         /opt/gone/libx.so.1 link /nowhere
         /usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/liby.so.1 library",
    );
    let text = messages(&root, &["/bin/p"], &Options::default());
    for note in [
        "searched, in the loader's order: /opt/arm (RUNPATH of p), /opt/gone (RUNPATH of p), /lib/x86_64-linux-gnu, ",
        "/opt/arm/libx.so.1 is for aarch64",
        "/opt/gone/libx.so.1 is a link that leads nowhere",
        "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/liby.so.1 is for processors of x86-64-v3 only; set `isa` to take it",
    ] {
        assert!(text.contains(note), "{note}\n---\n{text}");
    }
}

#[test]
fn a_library_that_is_needed_by_a_path_is_ignored_by_its_file_name() {
    let root = Root::glibc(
        "/bin/p program /opt/gone/libx.so.1 libv.so.1
         /usr/lib/x86_64-linux-gnu/libv.so.1 library
         /usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libv.so.1 library libx.so.1",
    );
    let text = messages(&root, &["/bin/p"], &Options::default());
    assert!(text.contains("library `/opt/gone/libx.so.1` was not found"), "{text}");
    assert!(text.contains("or list `libx.so.1` under `ignore-missing` if the program never loads it"), "{text}");
    let options = Options { ignore_missing: vec![b"libx.so.1".to_vec()], isa: Isa::All, ..Options::default() };
    assert_eq!(messages(&root, &["/bin/p"], &options), "\n");
}

#[test]
fn a_library_that_only_some_processors_miss_is_told_so() {
    let root = Root::glibc(
        "/bin/p program libx.so.1
         /usr/lib/x86_64-linux-gnu/libx.so.1 library
         /usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libx.so.1 library libgone.so.1",
    );
    let options = Options { isa: Isa::All, ..Options::default() };
    let text = messages(&root, &["/bin/p"], &options);
    assert!(text.contains("library `libgone.so.1` was not found"), "{text}");
    assert!(text.contains("needed by /bin/p on processors of x86-64-v3"), "{text}");
}

#[test]
fn an_interpreter_that_the_kernel_does_not_start() {
    let root = Root::glibc(
        "/bin/p program interp=/opt/ld.so
         /lib/libown.so library interp=/opt/ld.so",
    );
    root.line("/opt/ld.so loader");
    assert_eq!(messages(&root, &["/bin/p"], &Options::default()), "\n");
    std::fs::set_permissions(root.host("/opt/ld.so"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let text = messages(&root, &["/bin/p"], &Options::default());
    assert!(text.contains("error[E0223]: the interpreter `/opt/ld.so` of `/bin/p` is not executable"), "{text}");
    assert!(text.contains("= help: `chmod +x` it in the root"), "{text}");
    // A library that could be started as well needs no more than to be found.
    assert!(root.close(&[Wanted::library("/lib/libown.so")], &Options::default()).resolutions[0].fatal.is_none());
}

#[test]
fn versions_that_only_some_processors_miss_are_told_so() {
    let root = Root::glibc(
        "/bin/p program libv.so.1 verneed=libv.so.1:V_1
         /usr/lib/x86_64-linux-gnu/libv.so.1 library verdef=V_1
         /usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libv.so.1 library verdef=V_0",
    );
    let options = Options { isa: Isa::All, ..Options::default() };
    let text = messages(&root, &["/bin/p"], &options);
    let file = "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libv.so.1";
    assert!(text.contains(&format!("error[E0222]: symbol version `V_1` is not in `{file}`")), "{text}");
    assert!(text.contains("required by /bin/p"), "{text}");
    assert!(text.contains("this happens on processors of x86-64-v3 only"), "{text}");
    assert!(root.text("/bin/p", &options).contains(&format!("is not in {file}, required by /bin/p (on x86-64-v3)")));
}

#[test]
fn an_image_that_some_processors_would_find_otherwise_is_found_out() {
    let hwcaps = "/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/";
    let tree = "/bin/p program libx.so.1
         /usr/lib/x86_64-linux-gnu/libx.so.1 library";
    let root = Root::glibc(&format!("{tree}\n{hwcaps}libx.so.1 library libz.so.1\n{hwcaps}libz.so.1 library"));
    let (wanted, options) = ([Wanted::program("/bin/p")], Options { isa: Isa::All, ..Options::default() });
    let before = root.close(&wanted, &options);
    assert!(self_check(&before, &root.close(&wanted, &options)).is_empty());
    std::fs::remove_file(root.host(&format!("{hwcaps}libz.so.1"))).unwrap();
    let found = self_check(&before, &root.close(&wanted, &options));
    let text = render(&found, &Texts::default(), false);
    let file = "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1";
    let note = format!("the root has {file}, the image does not load it on processors of x86-64-v3");
    assert!(text.contains(&note), "{text}");
    assert!(text.contains("`libz.so.1` is not found in the image on processors of x86-64-v3"), "{text}");
}

#[test]
fn versions_refusals_and_interpreters() {
    let root = Root::glibc(
        "/bin/new program libc.so.6 verneed=libc.so.6:GLIBC_2.38
         /bin/bad program libbad.so.1 runpath=/opt/bad
         /opt/bad/libbad.so.1 file GROUP ( /lib/libbad.so.1 ) and some more text to fill a header of 64 bytes
         /bin/gone program interp=/lib/ld-musl-x86_64.so.1
         /bin/script script #!/usr/bin/env ruby\\n
         /usr/bin/env program libenv.so.1",
    );
    assert_eq!(
        messages(&root, &["/bin/new", "/bin/bad", "/bin/gone", "/bin/script"], &Options::default()),
        lines(
            r#"
            error[E0203]: library `libenv.so.1` was not found
             --> recipes/app.toml:1:50
              |
            1 | binaries = ["/bin/new", "/bin/bad", "/bin/gone", "/bin/script"]
              |                                                  ^^^^^^^^^^^^^ needs it
              |
              = note: needed by /usr/bin/env, the interpreter of /bin/script
              = note: searched, in the loader's order: /lib/x86_64-linux-gnu, /usr/lib/x86_64-linux-gnu, /lib, /usr/lib
              = help: install it in the root, point `root` at another one, or list it under `ignore-missing` if the program never loads it

            error[E0222]: symbol version `GLIBC_2.38` is not in `/lib/x86_64-linux-gnu/libc.so.6`
             --> recipes/app.toml:1:13
              |
            1 | binaries = ["/bin/new", "/bin/bad", "/bin/gone", "/bin/script"]
              |             ^^^^^^^^^^ does not start
              |
              = note: required by /bin/new
              = note: it has versions up to GLIBC_2.36
              = help: build it against an older glibc, or use a root with a newer one

            error[E0221]: the loader refuses `/opt/bad/libbad.so.1`: invalid ELF header
             --> recipes/app.toml:1:25
              |
            1 | binaries = ["/bin/new", "/bin/bad", "/bin/gone", "/bin/script"]
              |                         ^^^^^^^^^^ does not start
              |
              = note: needed by /bin/bad
              = help: take the file away or put the right one in its place: the loader does not look further

            error[E0220]: the interpreter `/lib/ld-musl-x86_64.so.1` of `/bin/gone` is not there
             --> recipes/app.toml:1:37
              |
            1 | binaries = ["/bin/new", "/bin/bad", "/bin/gone", "/bin/script"]
              |                                     ^^^^^^^^^^^ can't start without it
              |
              = note: the kernel reports this as `no such file or directory` on the program itself

            error[E0201]: program `ruby` is not on PATH inside the root
             --> recipes/app.toml:1:50
              |
            1 | binaries = ["/bin/new", "/bin/bad", "/bin/gone", "/bin/script"]
              |                                                  ^^^^^^^^^^^^^ looked in 6 folders of the root
              |
              = note: searched /usr/local/sbin, /usr/local/bin, /usr/sbin, /usr/bin, /sbin, /bin
              = note: started by env for /bin/script
            "#
        )
        .replace("\nerror", "\n\nerror")
    );
}

#[test]
fn a_program_for_another_machine() {
    let root = Root::glibc("/bin/api program");
    let options = Options { machine: Some(Machine::AARCH64), ..Options::default() };
    let text = messages(&root, &["/bin/api"], &options);
    assert!(text.starts_with("error[E0204]: `/bin/api` is for linux/amd64, the platform is linux/arm64\n"), "{text}");
    assert!(text.contains("^^^^^^^^^^ ELF machine x86-64"), "{text}");
}

#[test]
fn a_library_that_is_asked_for_by_name() {
    let root = Root::glibc("/bin/p program");
    let wanted = [Wanted::program("/bin/p"), Wanted::library("libssl.so.3")];
    let found = diagnose(&root.close(&wanted, &Options::default()), &wanted, &Options::default());
    assert_eq!((found.len(), found[0].code.0), (1, "E0203"));
    assert_eq!(found[0].title, "library `libssl.so.3` was not found");
}

#[test]
fn warnings_of_one_kind_are_counted() {
    let root = Root::glibc("/bin/a program libc.so.6 rpath=lib\n/bin/b program libc.so.6 rpath=lib");
    let text = messages(&root, &["/bin/a", "/bin/b"], &Options::default());
    assert!(
        text.starts_with("warning[E0226]: `/bin/a` searches the working directory: `lib/` in its path\n"),
        "{text}"
    );
    assert!(text.contains("= note: and 1 more of this kind"), "{text}");
}

#[test]
fn foreign_files_of_a_folder_are_one_note() {
    let root = Root::glibc(
        "/bin/node program
         /app/nm/bcrypt/prebuilds/linux-x64/bcrypt.node library
         /app/nm/bcrypt/prebuilds/linux-arm64/bcrypt.node library machine=183
         /app/nm/bcrypt/prebuilds/linux-arm/bcrypt.node library machine=40 class=32
         /app/nm/bcrypt/mixed/musl.node library libc.musl-x86_64.so.1
         /app/nm/bcrypt/mixed/glibc.node library libc.so.6",
    );
    let files =
        ["prebuilds/linux-x64/bcrypt.node", "prebuilds/linux-arm64/bcrypt.node", "prebuilds/linux-arm/bcrypt.node"];
    let files = files.iter().chain(&["mixed/musl.node", "mixed/glibc.node"]);
    let plugins = files.map(|file| Wanted::plugin(format!("/app/nm/bcrypt/{file}"), None));
    let wanted: Vec<Wanted> = std::iter::once(Wanted::program("/bin/node")).chain(plugins).collect();
    let closure = root.close(&wanted, &Options::default());
    let resolutions: Vec<&Resolution> = closure.resolutions[1..].iter().collect();
    let others = [b"/app/nm/bcrypt/prebuilds/linux-arm64/README".as_slice(), b"/app/nm/bcrypt/index.js"];
    let note = foreign_note(b"/app/nm/", None, &resolutions, &others[1..]).unwrap();
    assert_eq!(
        render(&[note], &Texts::default(), false),
        lines(
            r#"
            note: 3 ELF files in `/app/nm/` are for other platforms (0.0 MB)
             |
             = note: 1 for aarch64, 1 for arm, 1 for x86_64 with another libc
             = help: to leave them out: exclude = ["bcrypt/mixed/musl.node", "bcrypt/prebuilds/linux-arm/**", "bcrypt/prebuilds/linux-arm64/**"]
            "#
        )
    );
    assert!(foreign_note(b"/app", None, &resolutions[..1], &others).is_none());
    let note = render(&[foreign_note(b"/app/nm", None, &resolutions, &others).unwrap()], &Texts::default(), false);
    assert!(note.contains("linux-arm/**") && note.contains(r#""bcrypt/prebuilds/linux-arm64/bcrypt.node"]"#), "{note}");
}

#[test]
fn an_image_that_would_load_other_files_is_found_out() {
    let tree = "/bin/p program libx.so.1 rpath=/opt/a:/opt/b\n/opt/b/libx.so.1 library soname=other";
    let root = Root::glibc(tree);
    let wanted = [Wanted::program("/bin/p")];
    let before = root.close(&wanted, &Options::default());
    assert!(self_check(&before, &root.close(&wanted, &Options::default())).is_empty());
    let image = Root::glibc(&format!("{tree}\n/opt/a/libx.so.1 library"));
    let found = self_check(&before, &image.close(&wanted, &Options::default()));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].title, "`/bin/p` would load other files in the image than in its root");
    assert!(found[0].notes.contains(&"the image loads /opt/a/libx.so.1, the root does not".to_owned()));
}

#[test]
fn a_program_that_is_not_on_path() {
    let diagnostic = not_on_path(b"nginx", None, b"/usr/bin:/bin", "/");
    assert_eq!(diagnostic.title, "program `nginx` is not on PATH inside the root");
}
