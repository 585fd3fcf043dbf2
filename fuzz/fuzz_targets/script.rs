//! Any bytes as a script.
#![no_main]

mod tree;

use libfuzzer_sys::fuzz_target;
use mkimage::closure::{Options, Wanted, close};

fuzz_target!(|bytes: &[u8]| {
    let tree = tree::Tree::new(&[("/bin/s", bytes), ("/bin/sh", b"\x7fELF"), ("/usr/bin/env", b"\x7fELF")]);
    close(&tree, &[Wanted::program("/bin/s")], &Options::default()).paths();
});
