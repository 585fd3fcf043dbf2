//! Any bytes as an ELF file: everything that can be asked of it, alone and as a program and library of a tree.
#![no_main]

mod tree;

use libfuzzer_sys::fuzz_target;
use mkimage::closure::{Isa, Options, Wanted, close};
use mkimage::elf::Object;

fuzz_target!(|bytes: &[u8]| {
    let Ok(object) = Object::parse(bytes) else { return };
    let _ = object.versions(bytes);
    let _ = object.imports(bytes);
    let _ = object.hardening(bytes);
    let _ = object.dlopen_hints(bytes);
    let tree = tree::Tree::new(&[
        ("/bin/p", bytes),
        ("/lib64/ld-linux-x86-64.so.2", bytes),
        ("/lib/ld-musl-x86_64.so.1", bytes),
        ("/lib/liba.so.1", bytes),
        ("/lib/libc.so.6", bytes),
    ]);
    let wanted = [Wanted::program("/bin/p"), Wanted::plugin("/lib/liba.so.1", Some(0))];
    let options = Options { isa: Isa::All, library_path: b"/lib:$ORIGIN".to_vec(), ..Options::default() };
    close(&tree, &wanted, &options).paths();
});
