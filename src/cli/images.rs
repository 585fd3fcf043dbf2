//! Opening an IMAGE of the command line.

use std::path::{Path, PathBuf};

use mkimage::build;
use mkimage::oci::Store;
use mkimage::output;
use mkimage::recipe::Platform;
use mkimage::registry::{self, Remote};
use mkimage::report::Result;

use super::console::Console;
use super::registries::RegistryArgs;
use super::subject::Subject;
use super::unpacked::temporary;

/// Opens a layout or an archive of either form, of which a tag may name one image, or `docker://NAME`. Of the last,
/// what is asked for is fetched, and what is not stays where it is.
pub(super) fn open(image: &Path, registries: &RegistryArgs, console: &Console) -> Result<Store> {
    let Some(text) = image.to_str().filter(|text| Remote::is_meant(text)) else {
        let (path, tag) = named(image);
        let store = output::open(&path)?;
        let Some(tag) = tag else { return Ok(store) };
        has(&store, &tag)?;
        return Ok(store.called(tag));
    };
    let remote = Remote::parse(text)?;
    let client = registries.client()?;
    let store = registry::open(&client, &remote, temporary()?);
    registries.say_warnings(&client, console);
    store
}

/// The path in what names a layout or an archive, and the tag of the image that is meant.
pub(super) fn named(image: &Path) -> (PathBuf, Option<String>) {
    match image.to_str().map(Subject::parse) {
        Some(Subject::Written(path, tag)) => (path, tag),
        Some(Subject::Recipe(_)) | None => (image.to_owned(), None),
    }
}

/// An error where nothing in a store has a tag.
pub(super) fn has(store: &Store, tag: &str) -> Result<()> {
    if output::signable(store, Some(tag))?.is_empty() {
        build::choose(store.name().as_ref(), &output::images_for(store, None)?, Some(tag))?;
    }
    Ok(())
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
