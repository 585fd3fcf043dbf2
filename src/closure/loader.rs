//! Which loader a file has: the interpreter that it names, or for a library the one that would load it.

use std::sync::Arc;

use super::machine::{self, Port};
use super::mapping::{Opened, base_name};
use super::script;
use super::start::{Engine, Reference};
use super::tree::Looked;
use super::{Bytes, FatalReason, Found, Libc, Loader};
use crate::elf::Object;

/// `ld-linux-*.so.2` of gcompat is a musl program that loads this first.
const GCOMPAT: &[u8] = b"/lib/libgcompat.so.0";

/// Programs that a root has for itself: they tell which of several loaders is its own.
const OWN_PROGRAMS: [&[u8]; 2] = [b"/bin/sh", b"/usr/bin/env"];

/// Where loaders stand, for a root without such programs.
const LOADERS: [&[u8]; 11] = [
    b"/lib64/ld-linux-x86-64.so.2",
    b"/lib/ld-linux-aarch64.so.1",
    b"/lib/ld-linux-armhf.so.3",
    b"/lib/ld-linux-riscv64-lp64d.so.1",
    b"/lib64/ld-linux-loongarch-lp64d.so.1",
    b"/lib64/ld64.so.2",
    b"/lib/ld64.so.1",
    b"/lib/ld-linux.so.2",
    b"/lib/ld-musl-x86_64.so.1",
    b"/lib/ld-musl-aarch64.so.1",
    b"/lib/ld-musl-armhf.so.1",
];

/// A loader that was found and can be used.
pub(super) struct Chosen {
    pub(super) loader: Loader,
    pub(super) opened: Opened,
    /// Whether the kernel would start what the program names.
    pub(super) is_executable: bool,
    /// The program brings gcompat's loader, which preloads this.
    pub(super) preload: &'static [u8],
}

impl Engine<'_> {
    /// Which loader's rules hold, and its file.
    pub(super) fn choose(&self, elf: &Arc<Object>, reference: Option<&Reference>) -> Result<Chosen, FatalReason> {
        let Some(interp) = &elf.interp else { return self.choose_for_library(elf, reference) };
        if is_unsupported_loader(interp) {
            return Err(FatalReason::UnsupportedLoader(Arc::clone(interp)));
        }
        self.open_loader(interp, elf)?.ok_or_else(|| FatalReason::InterpreterMissing(Arc::clone(interp)))
    }

    /// A library names no loader: its libc's default one, or that of the program for which the image is.
    fn choose_for_library(&self, elf: &Arc<Object>, reference: Option<&Reference>) -> Result<Chosen, FatalReason> {
        let port = Port::of(elf).ok_or(FatalReason::NoLoader(elf.machine))?;
        let musl = format!("/lib/ld-musl-{}.so.1", port.musl_arch);
        let same =
            reference.filter(|reference| reference.elf.machine == elf.machine && machine::matches(&reference.elf, elf));
        let default: Bytes = match (libc_of(elf), same) {
            (Some(Libc::Musl), _) => Arc::from(musl.as_bytes()),
            (None, Some(reference)) => Arc::clone(&reference.loader),
            (Some(Libc::Glibc(_)) | None, _) => Arc::from(port.glibc_loader.as_bytes()),
        };
        if let Some(chosen) = self.open_loader(&default, elf)? {
            return Ok(chosen);
        }
        // The distribution may keep its loader elsewhere.
        match same {
            Some(reference) => self.open_loader(&reference.loader, elf)?,
            None => None,
        }
        .ok_or(FatalReason::InterpreterMissing(default))
    }

    /// What stands in for a program where none is wanted, so that libraries can be asked for by name: the root's own
    /// programs, or else the first loader that is there; for the machine that the image is for, where that is known.
    ///
    /// # Errors
    /// When one of these can't be read.
    pub(super) fn own_reference(&self) -> Result<Option<Reference>, FatalReason> {
        let programs = OWN_PROGRAMS.iter().map(|path| (Bytes::from(*path), true));
        let loaders = LOADERS.iter().map(|path| (Bytes::from(*path), false));
        let machine = self.options.machine;
        let of_machine = machine.and_then(|machine| Port::for_machine(machine, 0)).into_iter().flat_map(|port| {
            let musl = format!("/lib/ld-musl-{}.so.1", port.musl_arch);
            [port.glibc_loader, &musl].map(|path| (Bytes::from(path.as_bytes()), false))
        });
        for (path, is_program) in programs.chain(loaders).chain(of_machine) {
            let Some(elf) = self.elf_at(&path)?.filter(|elf| machine.is_none_or(|machine| machine == elf.machine))
            else {
                continue;
            };
            let loader = if is_program { elf.interp.clone() } else { Some(path) };
            let Some(loader) = loader else { continue };
            match self.open_loader(&loader, &elf) {
                Ok(Some(chosen)) => return Ok(Some(Reference { loader, libc: chosen.loader.libc, elf })),
                Err(reason @ FatalReason::Unreadable(_)) => return Err(reason),
                Ok(None) | Err(_) => {}
            }
        }
        Ok(None)
    }

    fn elf_at(&self, path: &[u8]) -> Result<Option<Arc<Object>>, FatalReason> {
        let place = match self.tree.look(path) {
            Looked::Found(place) => place,
            Looked::Unreadable(place) => return Err(FatalReason::Unreadable(place)),
            Looked::Absent | Looked::Dangling | Looked::Loop | Looked::TooLong => return Ok(None),
        };
        let Some(content) = &place.content else { return Ok(None) };
        match &self.tree.facts(content).elf {
            Ok(elf) => Ok(Some(Arc::clone(elf))),
            Err(why) => why.unreadable(path).map_or(Ok(None), Err),
        }
    }

    /// Opens a loader. None when nothing is there.
    pub(super) fn open_loader(&self, path: &Bytes, elf: &Object) -> Result<Option<Chosen>, FatalReason> {
        let place = match self.tree.look(path) {
            Looked::Found(place) => place,
            Looked::Unreadable(place) => return Err(FatalReason::Unreadable(place)),
            Looked::Absent | Looked::Dangling | Looked::Loop | Looked::TooLong => return Ok(None),
        };
        let unusable = || FatalReason::InterpreterUnusable(Arc::clone(path));
        let content = place.content.clone().ok_or_else(unusable)?;
        let facts = self.tree.facts(&content);
        let loader = facts.elf.as_ref().map_err(|why| why.unreadable(path).unwrap_or_else(unusable))?;
        if loader.machine != elf.machine {
            return Err(unusable());
        }
        let is_executable = place.mode & script::EXECUTABLE != 0;
        let is_musl = is_musl_loader(path) || is_musl_loader(place.real.name());
        // A loader that is musl's itself is not followed further, whatever it names.
        if let Some(inner) = loader.interp.as_ref().filter(|inner| !is_musl && is_musl_loader(inner)) {
            let Some(mut chosen) = self.open_loader(inner, elf)? else {
                return Err(FatalReason::InterpreterMissing(Arc::clone(inner)));
            };
            (chosen.is_executable, chosen.preload) = (is_executable, GCOMPAT);
            return Ok(Some(chosen));
        }
        let libc = if is_musl { Libc::Musl } else { Libc::Glibc(None) };
        let real = place.real.clone();
        let opened = Opened { path: Arc::clone(path), real: real.clone(), content, facts, found: Found::Interpreter };
        Ok(Some(Chosen {
            loader: Loader { path: Arc::clone(path), real, libc, directories: Vec::new(), path_file: None },
            opened,
            is_executable,
            preload: b"",
        }))
    }
}

/// The libc against which a library was linked; None where that can't be seen.
pub(super) fn libc_of(elf: &Object) -> Option<Libc> {
    elf.needed().find_map(|name| {
        if **name == *b"libc.so" || name.starts_with(b"libc.musl-") {
            return Some(Libc::Musl);
        }
        let glibc = **name == *b"libc.so.6" || name.starts_with(b"ld-linux");
        glibc.then_some(Libc::Glibc(None))
    })
}

/// Whether a path is that of a musl loader, by its name.
pub(super) fn is_musl_loader(path: &[u8]) -> bool {
    memchr::memmem::find(base_name(path), b"ld-musl").is_some()
}

/// Whether a path is that of Android's or uClibc's loader, by its name.
pub(super) fn is_unsupported_loader(path: &[u8]) -> bool {
    let name = base_name(path);
    name.starts_with(b"linker") || memchr::memmem::find(name, b"uClibc").is_some()
}
