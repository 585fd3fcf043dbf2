//! Opening an IMAGE of the command line: the one place that says what such a text may be.

use std::path::Path;

use mkimage::oci::Store;
use mkimage::output;
use mkimage::recipe::Platform;
use mkimage::registry::{self, Remote};
use mkimage::report::Result;

use super::console::Console;
use super::registries::RegistryArgs;
use super::unpacked::temporary;

/// Opens a layout, an archive of either form, or `docker://NAME`. Of the last, what is asked for is fetched, and what is
/// not stays where it is.
pub(super) fn open(image: &Path, registries: &RegistryArgs, console: &Console) -> Result<Store> {
    let Some(text) = image.to_str().filter(|text| Remote::is_meant(text)) else { return output::open(image) };
    let remote = Remote::parse(text)?;
    let client = registries.client()?;
    let store = registry::open(&client, &remote, temporary()?);
    registries.say_warnings(&client, console);
    store
}

/// The same, with the images for one platform alone where it is asked for: those for others are not fetched.
pub(super) fn open_for(
    image: &Path,
    platform: Option<&Platform>,
    registries: &RegistryArgs,
    console: &Console,
) -> Result<Store> {
    let store = open(image, registries, console)?;
    let is_it = |said: &str, wanted: &str| said.parse::<Platform>().is_ok_and(|said| said.to_string() == wanted);
    Ok(match platform {
        Some(platform) => store.narrowed(platform.to_string(), is_it),
        None => store,
    })
}
