//! The cache that an image needs: none where its loaders find everything without.

use std::sync::Arc;

use super::make::collect_in;
use super::{configured_directories, write};
use crate::closure::mapping::parent;
use crate::closure::tree::Tree;
use crate::closure::{Bytes, Closure, Found, Headers, Loaded, Loader, Resolution};
use crate::elf::Endian;
use crate::source::{Source, resolve};

/// Who reads the cache, beside loaders: `ldconfig -p`.
const READER: &[u8] = b"/sbin/ldconfig";

/// The cache for an image that holds what `closure` found in `source`. None when the loaders' own directories lead to
/// the same files, and no ldconfig is there to be asked. It names what is in the image only, in the order of the
/// source's `ld.so.conf`.
pub fn for_image(closure: &Closure, source: &dyn Source, image: &dyn Source, headers: &Headers) -> Option<Vec<u8>> {
    let cached: Vec<(&Loader, &Loaded)> = closure.resolutions.iter().flat_map(found_by_cache).collect();
    let is_asked = closure.resolutions.iter().any(|one| one.loader.is_some()) && resolve(image, READER).is_ok();
    if !is_asked && cached.iter().all(|(loader, object)| is_found_without(image, loader, object)) {
        return None;
    }
    let objects = closure.resolutions.iter().flat_map(|resolution| &resolution.objects);
    let first = cached.first().map(|(_, object)| *object).or(objects.into_iter().next());
    let endian = first.map_or(Endian::Little, |object| object.elf.machine.endian);
    let mut directories = configured_directories(source);
    // Where a root has a cache and no ld.so.conf, the found files tell the directories.
    directories.extend(cached.iter().map(|(_, object)| directory_of(&object.path)));
    for loader in closure.resolutions.iter().filter_map(|resolution| resolution.loader.as_ref()) {
        directories.extend(loader.directories.iter().map(without_slash));
    }
    Some(write(&collect_in(&Tree::new(image, headers, b"/"), &directories), endian))
}

fn found_by_cache(resolution: &Resolution) -> impl Iterator<Item = (&Loader, &Loaded)> {
    let objects = resolution.objects.iter().skip(resolution.own).filter(|object| object.found == Found::Cache);
    let in_variants = resolution.variants.iter().flat_map(|variant| &variant.objects);
    let all = objects.chain(in_variants.filter(|object| object.found == Found::Cache));
    all.filter_map(|object| Some((resolution.loader.as_ref()?, object)))
}

/// Whether the first file of the name in the loader's own directories is the object.
fn is_found_without(image: &dyn Source, loader: &Loader, object: &Loaded) -> bool {
    let Some(name) = object.names.first() else { return true };
    let in_directory = |directory: &Bytes| resolve(image, &[directory, name.as_ref()].concat()).ok();
    let first = loader.directories.iter().find_map(in_directory);
    first.is_some_and(|first| first.real == object.real)
}

/// The directory that leads to a library, as `ld.so.conf` would name it: those for processors are looked into with it,
/// and taken by themselves they would be for every processor.
fn directory_of(path: &[u8]) -> Bytes {
    let directory = parent(path);
    let above = parent(&directory);
    match above.strip_suffix(b"/glibc-hwcaps") {
        Some([]) => Arc::from(b"/".as_slice()),
        Some(shorter) => Arc::from(shorter),
        None => directory,
    }
}

fn without_slash(directory: &Bytes) -> Bytes {
    match directory.strip_suffix(b"/") {
        Some(shorter) => Arc::from(shorter),
        None => Arc::clone(directory),
    }
}
