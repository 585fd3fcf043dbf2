//! The lines of JSON that programs read.

use mkimage::closure::{Options, Wanted, show};

use crate::support::root::Root;

#[test]
fn a_line_of_json_holds_what_the_loader_would_tell() {
    let root = Root::glibc(
        "/bin/p program libone.so.1 libtwo.so.1 libgone.so.1 auxiliary=libaux.so.1 libc.so.6 rpath=/opt/a verneed=libc.so.6:GLIBC_2.38
         /opt/a/libone.so.1 library
         /opt/a/libtwo.so.1 link libone.so.1
         /bin/s script #!/usr/bin/env p\\n
         /usr/bin/env program",
    );
    let wanted = [Wanted::program("/bin/p"), Wanted::program("/bin/s")];
    let closure = root.close(&wanted, &Options::default());
    let lines: Vec<String> = closure.resolutions[..2].iter().map(|it| show::json_line(&closure, it)).collect();
    assert_eq!(
        lines[0],
        concat!(
            r#"{"path":"/bin/p","kind":"dynamic","interp":"/lib64/ld-linux-x86-64.so.2","resolved":{"#,
            r#""libone.so.1":"/opt/a/libone.so.1","libc.so.6":"/lib/x86_64-linux-gnu/libc.so.6","#,
            r#""ld-linux-x86-64.so.2":"/lib64/ld-linux-x86-64.so.2"},"missing":["libgone.so.1"],"#,
            r#""missing_optional":["libaux.so.1"],"aliases":{"libtwo.so.1":"/opt/a/libtwo.so.1"},"#,
            r#""order":["libone.so.1","libc.so.6","ld-linux-x86-64.so.2"],"version_errors":["#,
            r#""/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /bin/p)"],"#,
            r#""least_glibc":"2.38","script":null,"dlopen":[],"error":null}"#
        )
    );
    let script = concat!(
        r#""script":{"interpreters":[{"path":"/usr/bin/env","argument":"p"}],"#,
        r#""arguments":["/usr/bin/env","p","/bin/s"],"program":"/usr/bin/p"}"#
    );
    assert!(lines[1].contains(script), "{}", lines[1]);
    assert!(lines[1].contains(r#""resolved":{"libone.so.1":"/opt/a/libone.so.1""#), "{}", lines[1]);
}

#[test]
fn bytes_that_are_no_text_are_lone_surrogates() {
    let root = Root::glibc("");
    let path = b"/bin/\xffa\"\\\n".to_vec();
    let closure = root.close(&[Wanted::program(path)], &Options::default());
    let line = show::json_line(&closure, &closure.resolutions[0]);
    assert!(line.starts_with(r#"{"path":"/bin/\udcffa\"\\\n","kind":"not there""#), "{line}");
}
