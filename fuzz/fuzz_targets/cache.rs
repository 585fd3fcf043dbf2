//! Any bytes as `/etc/ld.so.cache`, and as `/etc/ld.so.conf` of a tree without one.
#![no_main]

#[path = "../../tests/it/support/elf.rs"]
#[allow(dead_code)]
mod elf;
mod tree;

use std::sync::LazyLock;

use elf::Elf;
use libfuzzer_sys::fuzz_target;
use mkimage::closure::{CachePolicy, Isa, Options, Wanted, close};

static PROGRAM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let program = Elf::program("/lib64/ld-linux-x86-64.so.2");
    program.with(elf::NEEDED, "libf.so.1").with(elf::NEEDED, "libgone.so.2").write()
});
static LIBRARY: LazyLock<Vec<u8>> = LazyLock::new(|| Elf::library().with(elf::SONAME, "libf.so.1").write());

fuzz_target!(|bytes: &[u8]| {
    for (path, policy) in [("/etc/ld.so.cache", CachePolicy::AsIs), ("/etc/ld.so.conf", CachePolicy::MadeWhenAbsent)] {
        let tree = tree::Tree::new(&[
            ("/bin/p", PROGRAM.as_slice()),
            ("/lib64/ld-linux-x86-64.so.2", LIBRARY.as_slice()),
            ("/opt/f/libf.so.1", LIBRARY.as_slice()),
            (path, bytes),
        ]);
        let options = Options { cache: policy, isa: Isa::All, ..Options::default() };
        close(&tree, &[Wanted::program("/bin/p")], &options);
    }
});
