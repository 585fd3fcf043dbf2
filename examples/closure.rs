//! Prints the files that the loader would map for a program, and what of them is missing:
//! `cargo run --example closure -- /usr/bin/curl`
#![expect(clippy::print_stdout, reason = "an example shows something")]

use std::path::Path;

use mkimage::closure::{Options, Wanted, close};
use mkimage::path::show;
use mkimage::source::Folder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Folder::open(Path::new("/"))?;
    let wanted: Vec<Wanted> = std::env::args().skip(1).map(Wanted::program).collect();
    let closure = close(&root, &wanted, &Options::default());
    // One resolution for each program, then one for each interpreter of those that are scripts.
    for resolution in &closure.resolutions {
        println!("{}", show(&resolution.path));
        for object in &resolution.objects {
            println!("  {}", object.real);
        }
        for missing in &resolution.missing {
            println!("  not found: {}", show(&missing.name));
        }
        if let Some(fatal) = &resolution.fatal {
            println!("  does not start: {}", fatal.reason);
        }
    }
    Ok(())
}
