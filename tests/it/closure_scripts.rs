//! Scripts: the kernel's rules and those of `env`.

use mkimage::closure::{Options, Wanted};

use crate::support::root::{Case, Root, check};

const CASES: &[Case] = &[
    (
        "the interpreter with all that it needs comes along",
        "
            /bin/s script #! \\t/bin/sh -e\\n
            /bin/sh link dash
            /bin/dash program libc.so.6",
        "/bin/s",
        "
            /bin/s: script
              started by /bin/sh `-e`
              see /bin/sh",
    ),
    (
        "all that follows the interpreter is one argument",
        "
            /bin/s script #!/bin/tool -a b  c\\t d  \\n
            /bin/tool program",
        "/bin/s",
        "
            /bin/s: script
              started by /bin/tool `-a b  c\\t d`
              see /bin/tool",
    ),
    (
        "an interpreter may be a script, five deep",
        "
            /bin/tool program
            /bin/s1 script #!/bin/tool one
            /bin/s2 script #!/bin/s1 two
            /bin/s3 script #!/bin/s2
            /bin/s4 script #!/bin/s3
            /bin/s5 script #!/bin/s4
            /bin/s6 script #!/bin/s5",
        "/bin/s2 /bin/s5 /bin/s6",
        "
            /bin/s2: script
              started by /bin/s1 `two`
              started by /bin/tool `one`
              see /bin/tool
            /bin/s5: script
              started by /bin/s4
              started by /bin/s3
              started by /bin/s2
              started by /bin/s1 `two`
              started by /bin/tool `one`
              see /bin/tool
            /bin/s6: script
              started by /bin/s5
              started by /bin/s4
              started by /bin/s3
              started by /bin/s2
              started by /bin/s1 `two`
              error: /bin/s6: too many levels of interpreters",
    ),
    (
        "env finds its program on the image's PATH",
        "
            /usr/bin/env program
            /usr/local/bin/python3 file not executable
            /usr/bin/python3 program
            /bin/a script #!/usr/bin/env python3\\n
            /bin/b script #!/usr/bin/env -S -u HOME A=1 python3 -u\\n
            /bin/c script #!/usr/bin/env -S PATH=/opt python3\\n
            /opt/python3 program
            /bin/d script #!/usr/bin/env ruby\\n",
        "/bin/a /bin/b /bin/c /bin/d",
        "
            /bin/a: script
              started by /usr/bin/env `python3`
              env starts python3 => /usr/bin/python3
              see /usr/bin/env
              see /usr/bin/python3
            /bin/b: script
              started by /usr/bin/env `-S -u HOME A=1 python3 -u`
              env starts python3 => /usr/bin/python3
              see /usr/bin/env
              see /usr/bin/python3
            /bin/c: script
              started by /usr/bin/env `-S PATH=/opt python3`
              env starts python3 => /opt/python3
              see /usr/bin/env
              see /opt/python3
            /bin/d: script
              started by /usr/bin/env `ruby`
              env starts ruby => not on PATH
              see /usr/bin/env
              error: /bin/d: `ruby` is not on PATH",
    ),
    (
        "what env does without -S is hardly ever meant",
        "
            /usr/bin/env program
            /usr/bin/python3 program
            /bin/a script #!/usr/bin/env python3 -u\\n
            /bin/b script #!/usr/bin/env A=1 python3\\n
            /bin/c script #!/usr/bin/env -- python3\\n",
        "/bin/a /bin/b /bin/c",
        "
            /bin/a: script
              started by /usr/bin/env `python3 -u`
              env starts python3 -u => not on PATH
              see /usr/bin/env
              error: /bin/a: `python3 -u` is not on PATH
            /bin/b: script
              started by /usr/bin/env `A=1 python3`
              see /usr/bin/env
              error: /bin/b: `env` starts the script again and again
            /bin/c: script
              started by /usr/bin/env `-- python3`
              see /usr/bin/env
              error: /bin/c: `env` refuses `-- python3`",
    ),
    (
        "env may start a script",
        "
            /usr/bin/env program
            /usr/bin/wrapper script #!/bin/tool\\n
            /bin/tool program
            /bin/a script #!/usr/bin/env wrapper\\n",
        "/bin/a",
        "
            /bin/a: script
              started by /usr/bin/env `wrapper`
              env starts wrapper => /usr/bin/wrapper
              see /usr/bin/env
              see /usr/bin/wrapper",
    ),
    (
        "lines that lead nowhere",
        "
            /bin/missing script #!/bin/nothere\\n
            /bin/crlf script #!/bin/sh\\r\\n
            /bin/folder script #!/usr\\n
            /bin/blank script #!  \\n
            /bin/none script echo hi\\n
            /bin/off file #!/bin/sh\\n
            /bin/sh program
            /bin/plain script #!/bin/data\\n
            /bin/data script \\0\\0\\0\\0
            /bin/noexec script #!/bin/text\\n
            /bin/text file #!/bin/sh\\n",
        "/bin/missing /bin/crlf /bin/folder /bin/blank /bin/none /bin/off /bin/plain /bin/noexec",
        "
            /bin/missing: script
              started by /bin/nothere
              error: /bin/missing: interpreter not found: /bin/nothere
            /bin/crlf: script
              started by /bin/sh\\r
              warning: has a carriage return in its `#!` line, which counts as part of it
              error: /bin/crlf: interpreter not found: /bin/sh\\r
            /bin/folder: script
              started by /usr
              error: /bin/folder: permission denied
            /bin/blank: data
              error: /bin/blank: exec format error
            /bin/none: script
              started by /bin/sh
              see /bin/sh
              warning: has no `#!` line; only shells start it, by /bin/sh
            /bin/off: script
              started by /bin/sh
              see /bin/sh
              warning: has no permission to be executed
            /bin/plain: script
              started by /bin/data
              error: /bin/plain: exec format error
            /bin/noexec: script
              started by /bin/text
              error: /bin/noexec: permission denied",
    ),
];

#[test]
fn starts_what_the_kernel_starts() {
    check(Root::glibc, CASES);
}

#[test]
fn busybox_does_not_split() {
    let root =
        Root::glibc("/usr/bin/env link busybox\n/usr/bin/busybox program\n/bin/a script #!/usr/bin/env -S sh\\n");
    assert!(root.text("/bin/a", &Options::default()).contains("`env` refuses `-S sh`"));
}

#[test]
fn the_image_needs_every_interpreter() {
    let root = Root::glibc(
        "/bin/a script #!/bin/b x\\n\n/bin/b script #!/usr/bin/env python3\\n\n/usr/bin/env program\n/usr/bin/python3 program libc.so.6",
    );
    let closure = root.close(&[Wanted::program("/bin/a")], &Options::default());
    let script = closure.resolutions[0].script.as_ref().unwrap();
    assert_eq!(script.arguments(b"/bin/a").len(), 5);
    let mut paths: Vec<_> =
        closure.paths().into_iter().map(|it| String::from_utf8_lossy(&it.path).into_owned()).collect();
    paths.dedup();
    paths.sort();
    paths.dedup();
    assert_eq!(
        paths,
        [
            "/bin/a",
            "/bin/b",
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
            "/usr/bin/env",
            "/usr/bin/python3"
        ]
    );
}
