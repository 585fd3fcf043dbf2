//! Lists the files of every image in a layout or archive, largest first: `cargo run --example contents -- hello.oci`
#![expect(clippy::print_stdout, reason = "an example shows something")]

use std::path::PathBuf;

use mkimage::output::{Depth, inspect, open};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for place in std::env::args().skip(1).map(PathBuf::from) {
        for image in inspect(&open(&place)?, Depth::Files)? {
            println!("{} for {}", image.id, image.platform);
            let mut files: Vec<_> = image.layers.iter().filter_map(|layer| layer.entries.as_ref()).flatten().collect();
            files.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
            for file in files.iter().filter(|file| file.kind == "file") {
                println!("{:>12} {} {}", file.size, file.mode, file.path);
            }
        }
    }
    Ok(())
}
