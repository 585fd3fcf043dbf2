//! What glibc checks when everything is mapped: symbol versions, and that libc and loader belong together.

use std::sync::Arc;

use super::super::cache;
use super::super::mapping::base_name;
use super::super::{Bytes, VersionError, Warning};
use super::{LOADER, Process, install};
use crate::elf::Versions;

/// The symbol version that the linker adds for `DT_RELR` since glibc 2.36.
const ABI_DT_RELR: &[u8] = b"GLIBC_ABI_DT_RELR";

impl Process<'_> {
    /// `_dl_check_all_versions`, for the objects from `first` on.
    pub(super) fn check_versions(&mut self, first: usize) {
        let mut errors = Vec::new();
        let mut warnings = Vec::new();
        for &object in self.list.iter().filter(|&&object| object >= first) {
            let versions = self.versions(object);
            for file in &versions.needed {
                let Some(of) = self.named(&file.file) else { continue };
                let has = self.versions(of);
                if has.defined.is_none() {
                    warnings.push(Warning::NoVersions { of, required_by: object });
                    continue;
                }
                let absent = file.versions.iter().filter(|version| !version.weak && !has.has(version));
                errors.extend(absent.map(|version| VersionError {
                    version: Arc::clone(&version.name),
                    highest: highest(has, &version.name),
                    of,
                    required_by: object,
                }));
            }
            errors.extend(self.relr_error(object, versions));
            self.map.least_glibc = self.map.least_glibc.max(least_glibc(versions));
        }
        self.map.version_errors.extend(errors);
        for warning in warnings {
            self.map.warn(warning);
        }
    }

    fn versions(&self, object: usize) -> &Versions {
        self.context.tree.versions(&self.inner[object].facts)
    }

    /// The first object in the list that was asked for by this name.
    fn named(&self, name: &Bytes) -> Option<usize> {
        match self.by_name.get(name)?.as_slice() {
            [one] => Some(*one),
            several => self.list.iter().copied().find(|object| several.contains(object)),
        }
    }

    /// `DT_RELR` without the version that says that libc can process it. Looked at since 2.36.
    fn relr_error(&self, object: usize, versions: &Versions) -> Option<VersionError> {
        let elf = &self.map.objects[object].elf;
        if !elf.dynamic.as_ref()?.relr || versions.needed.is_empty() || self.install.version? < (2, 36) {
            return None;
        }
        let libc = elf.needed().find(|name| name.starts_with(b"libc.so."))?;
        let all = versions.needed.iter().flat_map(|file| &file.versions);
        let declared = all.into_iter().any(|version| *version.name == *ABI_DT_RELR);
        let of = self.named(libc)?;
        (!declared).then(|| VersionError { version: Arc::from(ABI_DT_RELR), highest: None, of, required_by: object })
    }

    /// What a person should know of the objects: processor levels, and a libc that is not the loader's.
    pub(super) fn check_relations(&mut self) {
        let mut warnings = Vec::new();
        for (object, loaded) in self.map.objects.iter().enumerate() {
            warnings.extend(loaded.elf.notes.x86_level_needed().map(|level| Warning::NeedsLevel { object, level }));
        }
        let libc = self.map.objects.iter().position(|loaded| base_name(&loaded.path) == b"libc.so.6");
        if let Some(libc) = libc
            && let Some(own) = self.install.version
        {
            let (of_libc, of_loader) = (&self.map.objects[libc], &self.map.objects[LOADER]);
            // Beside the loader it is the same package's; elsewhere its banner tells.
            if of_libc.real.parent() != of_loader.real.parent() {
                let file = self.context.tree.whole(&of_libc.content, 64 << 20);
                let other = file.as_ref().as_deref().ok().and_then(install::version);
                if other.is_some_and(|other| other != own) {
                    warnings.push(Warning::LoaderMismatch { libc });
                }
            }
        }
        for warning in warnings {
            self.map.warn(warning);
        }
    }
}

/// The highest `GLIBC_x.y` that an object asks for. Parts of glibc itself, which have such versions, don't count.
fn least_glibc(versions: &Versions) -> Option<(u32, u32)> {
    let number = |name: &[u8]| -> Option<(u32, u32)> {
        let mut parts = std::str::from_utf8(name.strip_prefix(b"GLIBC_")?).ok()?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    if versions.defined.iter().flatten().any(|defined| number(&defined.name).is_some()) {
        return None;
    }
    let all = versions.needed.iter().flat_map(|file| &file.versions);
    all.filter(|version| !version.weak).filter_map(|version| number(&version.name)).max()
}

/// The highest version that is defined with the same words before the number.
fn highest(versions: &Versions, like: &[u8]) -> Option<Bytes> {
    let words = |name: &[u8]| name.iter().position(u8::is_ascii_digit).map(|end| name[..end].to_vec());
    let wanted = words(like)?;
    let all = versions
        .defined
        .iter()
        .flatten()
        .filter(|defined| !defined.base && words(&defined.name).as_ref() == Some(&wanted));
    all.max_by(|a, b| cache::compare(&a.name, &b.name)).map(|defined| Arc::clone(&defined.name))
}
