//! A cache with any one bit flipped gives the same image.

use crate::sandbox::Sandbox;
use crate::support::flips::{Gone, flip};
use crate::support::root::Root;

const RECIPE: &str = r#"
binaries = ["/usr/bin/app"]
files    = [{ content = "word", to = "/word" }, { from = "beside/", to = "/beside/" }]
"#;

/// Builds between flips of a cache's bits. The runtime tests flip one in every byte there is.
fn flipped(gone: Gone, compression: &str) {
    let root = Root::glibc("/usr/bin/app program liba.so.1 libc.so.6\n/usr/lib/x86_64-linux-gnu/liba.so.1 library");
    let sandbox = Sandbox::new();
    sandbox.file("app.toml", RECIPE).file("beside/a.txt", "a").file("beside/sub/b.txt", "b");
    let root = root.host("/");
    let (bytes, flipped) = flip(sandbox.path(), gone, 12, || {
        let run = sandbox.run(&[
            "build",
            "app.toml",
            "--root",
            root.to_str().unwrap(),
            "-o",
            "oci:out.oci",
            "--cache-dir",
            "cache",
            "--no-fsync",
            "--compression",
            compression,
        ]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.stdout
    });
    assert!(bytes > 5_000 && flipped > 100, "{flipped} bits of {bytes} bytes");
}

#[test]
fn a_flipped_bit_is_nothing_to_an_output_that_is_there() {
    flipped(Gone::Nothing, "zstd");
}

#[test]
fn a_flipped_bit_gets_into_no_output() {
    flipped(Gone::Output, "gzip");
}

#[test]
fn a_flipped_bit_gets_into_no_layer() {
    flipped(Gone::OutputAndRecord, "zstd");
}
