//! Builds an image from a recipe in this text and prints its digest: `cargo run --example build -- hello.oci`
#![expect(clippy::print_stdout, reason = "an example shows something")]

use mkimage::build::{FileHashes, Options, Outputs, Silent, assemble, write};
use mkimage::layer::Durability;
use mkimage::output::Destination;
use mkimage::recipe::{Context, Input, load};
use mkimage::report::Texts;

const RECIPE: &str = "name = 'hello'\nbinaries = ['sha256sum']\ncmd = ['/etc/os-release']\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let to = Destination::parse(&std::env::args().nth(1).unwrap_or_else(|| "hello.oci".to_owned()))?;
    let options = Options {
        threads: std::thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN),
        created: 0,
        ci: false,
        suggestions: false,
        file_hashes: FileHashes::OfListed,
        debug_twin: false,
        signer: None,
        durability: Durability::Synced,
        cache: None,
        remote: None,
        watch: None,
        temporary: std::env::temp_dir(),
        today: mkimage::recipe::Date::of_seconds(0),
        locks: std::sync::Arc::default(),
    };
    let input = Input::Text { name: "hello".to_owned(), text: RECIPE.into(), folder: std::env::current_dir()? };
    for recipe in load(&input, &Context::default(), &mut Texts::default())?.recipes {
        let assembled = assemble(&recipe, &options, &Silent)?;
        let outputs =
            Outputs { destinations: vec![to.clone()], engine: None, push: None, stdout: &mut std::io::sink() };
        for built in write(&recipe, &assembled, outputs, &options, &Silent)? {
            println!("{}", built.images.map_or_else(String::new, |images| images.digest().to_string()));
        }
    }
    Ok(())
}
