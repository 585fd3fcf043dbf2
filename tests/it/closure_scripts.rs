//! Scripts: the kernel's rules and those of `env`.

use mkimage::closure::{FatalReason, Options, Resolution, Wanted};

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

/// The tree in which the kernel was asked for what stands in [`lines_of_the_kernel`]: a tool, a link to it, and two
/// files whose paths fill the line.
fn root_of_the_kernel() -> Root {
    let long = long_folder();
    Root::glibc(&format!(
        "/bin/tool program\n/bin/link link tool\n/usr/bin/env link tool\n{long}/abcdefghij program\n{long}/abc program"
    ))
}

/// 244 bytes.
fn long_folder() -> String {
    format!("/{}", "l".repeat(60)).repeat(4)
}

/// What stands in a file, and what Linux 6.18 does when that is executed as `/bin/s`: the arguments with which it
/// starts the interpreter, or the error.
fn lines_of_the_kernel() -> Vec<(String, Result<Vec<String>, &'static str>)> {
    let starts = |words: &[&str]| Ok(words.iter().copied().chain(["/bin/s"]).map(str::to_owned).collect());
    let long = long_folder();
    let (arguments, words) = ("A".repeat(400), "B C ".repeat(100));
    let text = |text: &str| text.to_owned();
    vec![
        (text("#!/bin/tool\n"), starts(&["/bin/tool"])),
        (text("#! /bin/tool\n"), starts(&["/bin/tool"])),
        (text("#!\t \t/bin/tool\t \n"), starts(&["/bin/tool"])),
        (text("#!/bin/tool -x\n"), starts(&["/bin/tool", "-x"])),
        (text("#!/bin/tool -a b  c\td  \n"), starts(&["/bin/tool", "-a b  c\td"])),
        (text("#!/bin/tool"), starts(&["/bin/tool"])),
        (text("#!/bin/tool  x y"), starts(&["/bin/tool", "x y"])),
        (text("#!/bin/tool -x\r\n"), starts(&["/bin/tool", "-x\r"])),
        (text("#!/bin/tool\0junk\n"), starts(&["/bin/tool"])),
        (text("#!bin/tool\n"), starts(&["bin/tool"])),
        (text("#!/bin/link q\n"), starts(&["/bin/link", "q"])),
        (text("#!/usr/bin/env /bin/tool\n"), starts(&["/usr/bin/env", "/bin/tool"])),
        (text("#!/usr/bin/env -vS tool\n"), starts(&["/usr/bin/env", "-vS tool"])),
        (text("#!/usr/bin/env -iS tool -E\n"), starts(&["/usr/bin/env", "-iS tool -E"])),
        (text("#!/usr/bin/env --split-string=tool -W0\n"), starts(&["/usr/bin/env", "--split-string=tool -W0"])),
        (text("#!/usr/bin/env -S tool -X \"a b\"\n"), starts(&["/usr/bin/env", "-S tool -X \"a b\""])),
        (format!("#!{long}/abc\n"), starts(&[&format!("{long}/abc")])),
        (format!("#!{long}/abc 12345678901234567890\n"), starts(&[&format!("{long}/abc"), "1234"])),
        (format!("#!/bin/tool {arguments}\n"), starts(&["/bin/tool", &arguments[..243]])),
        (format!("#!/bin/tool {words}\n"), starts(&["/bin/tool", &words[..243]])),
        (format!("#!{long}/abcdefghij\n"), Err("ENOEXEC")),
        (format!("#!{}/bin/tool\n", " ".repeat(300)), Err("ENOEXEC")),
        (text("#!\n"), Err("ENOEXEC")),
        (text("#!   \n"), Err("ENOEXEC")),
        (text("echo hi\n"), Err("ENOEXEC")),
        (text(""), Err("ENOEXEC")),
        (text("\u{feff}#!/bin/tool\n"), Err("ENOEXEC")),
        (text(" #!/bin/tool\n"), Err("ENOEXEC")),
        (text("#!"), Err("EACCES")),
        (text("#!/bin\n"), Err("EACCES")),
        (text("#!/bin/tool\r\n"), Err("ENOENT")),
        (text("#!/bin/nothere\n"), Err("ENOENT")),
        (text("#!/bin/s\n"), Err("ELOOP")),
    ]
}

/// What the kernel does by a resolution: shells run a file without `#!` line, the kernel does not.
fn executed(resolution: &Resolution) -> Result<Vec<String>, &'static str> {
    let has_line = !resolution.warnings.contains(&mkimage::closure::Warning::NoInterpreterLine);
    match (&resolution.script, resolution.fatal.as_ref().map(|fatal| &fatal.reason)) {
        (Some(script), None | Some(FatalReason::EnvProgramMissing(_))) if has_line => {
            let words = script.arguments(&resolution.path);
            Ok(words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
        }
        (_, Some(FatalReason::NotExecutable)) => Err("EACCES"),
        (_, Some(FatalReason::InterpreterMissing(_))) if has_line => Err("ENOENT"),
        (_, Some(FatalReason::TooManyInterpreters)) => Err("ELOOP"),
        _ => Err("ENOEXEC"),
    }
}

#[test]
fn every_line_is_read_as_linux_reads_it() {
    let root = root_of_the_kernel();
    for (text, expected) in lines_of_the_kernel() {
        root.file("/bin/s", text.as_bytes(), 0o755);
        let closure = root.close(&[Wanted::program("/bin/s")], &Options::default());
        assert_eq!(executed(&closure.resolutions[0]), expected, "{text:?}");
    }
}

#[test]
fn no_flipped_bit_and_no_cut_of_a_line_does_harm() {
    let root = root_of_the_kernel();
    let lines = [
        "#! /bin/tool -a b\n",
        "#!/bin/s0\n",
        "#!/usr/bin/env -S -u HOME A=1 'to'\"ol\" \\_x ${HOME} # y\n",
        "#!/usr/bin/env --split-string=tool -C /opt\r\n",
    ];
    let flipped = |line: &[u8]| -> Vec<Vec<u8>> {
        let flip = |bit: usize| {
            let mut bytes = line.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        (0..line.len() * 8).map(flip).chain((0..line.len()).map(|end| line[..end].to_vec())).collect()
    };
    let damaged: Vec<Vec<u8>> = lines.iter().flat_map(|line| flipped(line.as_bytes())).collect();
    for (index, bytes) in damaged.iter().enumerate() {
        root.file(&format!("/bin/s{index}"), bytes, 0o755);
    }
    let wanted: Vec<Wanted> = (0..damaged.len()).map(|index| Wanted::program(format!("/bin/s{index}"))).collect();
    let closure = root.close(&wanted, &Options::default());
    let count = |is: fn(&&Resolution) -> bool| closure.resolutions[..wanted.len()].iter().filter(is).count();
    // Some still start what they did, some nothing; what counts is that every one got an answer.
    assert!(count(|it| it.fatal.is_none()) > 50 && count(|it| it.fatal.is_some()) > 500);
    assert!(closure.paths().len() > damaged.len());
}

#[test]
fn env_goes_into_a_folder_and_starts_env() {
    let root = Root::glibc(
        "/usr/bin/env program
         /opt/bin/env program libenv.so.1
         /usr/lib/x86_64-linux-gnu/libenv.so.1 library
         /opt/app/run program
         /bin/run program
         /bin/dir script #!/usr/bin/env -S -C /opt/app ./run\\n
         /bin/path script #!/usr/bin/env -S --chdir /opt PATH=app:/bin run\\n
         /bin/nested script #!/usr/bin/env -S -C /opt /opt/bin/env -C app PATH=. run\\n
         /bin/gone script #!/usr/bin/env -S -C /gone run\\n
         /bin/null script #!/usr/bin/env -S -0 run\\n",
    );
    let closure = |path: &str| root.close(&[Wanted::program(path)], &Options::default());
    let started = |path: &str| {
        let found = closure(path).resolutions[0].script.clone().unwrap().env.unwrap().path.unwrap();
        String::from_utf8_lossy(&found).into_owned()
    };
    assert_eq!(started("/bin/dir"), "/opt/app/./run");
    assert_eq!(started("/bin/path"), "/opt/app/run");
    assert_eq!(started("/bin/nested"), "/opt/app/./run");
    let paths: Vec<_> = closure("/bin/nested").paths().into_iter().map(|it| it.path).collect();
    for path in ["/opt/bin/env", "/lib/x86_64-linux-gnu/libenv.so.1"] {
        assert!(paths.iter().any(|it| **it == *path.as_bytes()), "{path} is not in {paths:?}");
    }
    for (path, word) in [("/bin/gone", "/gone"), ("/bin/null", "-0")] {
        let fatal = closure(path).resolutions[0].fatal.clone().unwrap();
        assert_eq!(fatal.reason, FatalReason::EnvRefuses(word.as_bytes().into()));
    }
}
