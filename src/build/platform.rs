//! The platform of an image, from the ELF machine of what it runs.

use std::path::Path;

use rayon::prelude::*;

use crate::closure::diagnose::WRONG_MACHINE;
use crate::closure::{Closure, Headers, Kind, Resolution, Role, Wanted};
use crate::elf::Machine;
use crate::path::{ImagePath, show};
use crate::recipe::{Isa, Platform, Recipe};
use crate::report::{Diagnostic, Error, Result};
use crate::tree::Tree;

/// The version of 32-bit Arm when no file says one. Debian's armhf, and nearly all of it that runs containers, is this.
const ARM_VERSION: u32 = 7;

/// How names of the C library and its loader begin.
const LIBC: [&[u8]; 4] = [b"libc.so", b"libc.musl", b"ld-linux", b"ld-musl"];

/// The platform that the recipe names, or else that of the first program or library and of the processor that what it
/// loads needs. Programs for another machine are errors.
pub(super) fn platform(
    recipe: &Recipe,
    wanted: &[Wanted],
    closure: &Closure,
    tree: &Tree,
    headers: &Headers,
) -> Result<Platform> {
    // A folder may hold files for other machines, as node_modules does; what the image starts may not be one of them.
    let machines: Vec<(usize, Machine)> = (0..wanted.len())
        .filter(|index| !matches!(wanted[*index].role, Role::Plugin { .. }))
        .filter(|index| !matches!(closure.resolutions[*index].kind, Kind::Foreign(_) | Kind::Data | Kind::Absent))
        .filter_map(|index| Some((index, machine(&closure.resolutions, index)?)))
        .collect();
    let needed = Needed { recipe, wanted, closure, tree, headers };
    let platform = match (&recipe.platform, machines.first()) {
        (Some(platform), _) => platform.value.clone(),
        (None, Some((_, machine))) => Platform { variant: needed.variant(*machine)?, ..of_machine(*machine) },
        // An image without a program: that of the machine that mkimage was compiled for.
        (None, None) => Platform::host(),
    };
    let mut errors = Vec::new();
    for (index, machine) in machines {
        if machine.oci_architecture() == Some(platform.architecture.as_str()) {
            continue;
        }
        let mut error = wrong(&show(&wanted[index].path), &of_machine(machine), &platform)
            .at_some(wanted[index].span, format!("ELF machine {}", machine.to_string().replace('_', "-")));
        error = match &recipe.platform {
            Some(named) => error.and_at(named.span, "this platform"),
            None => error.note("the platform is that of the first program"),
        };
        errors.push(error);
    }
    if errors.is_empty() && platform.architecture == "arm" {
        errors.extend(needed.newer_arm(&platform)?);
    }
    if errors.is_empty() { Ok(platform) } else { Err(Error(errors)) }
}

fn wrong(path: &str, own: &Platform, platform: &Platform) -> Diagnostic {
    Diagnostic::error(WRONG_MACHINE, format!("`{path}` is for {own}, the platform is {platform}"))
}

/// The machine of a program, or of what runs a script.
fn machine(resolutions: &[Resolution], index: usize) -> Option<Machine> {
    let resolution = resolutions.get(index)?;
    if let Some(elf) = &resolution.elf {
        return Some(elf.machine);
    }
    let interpreter = resolution.script.as_ref()?.resolutions.first()?;
    Some(resolutions.get(*interpreter)?.elf.as_ref()?.machine)
}

fn of_machine(machine: Machine) -> Platform {
    let architecture = machine.oci_architecture().unwrap_or(machine.name()).to_owned();
    Platform { os: "linux".to_owned(), architecture, variant: None }
}

fn arm(version: u32) -> Platform {
    Platform { os: "linux".to_owned(), architecture: "arm".to_owned(), variant: Some(format!("v{version}")) }
}

/// Which processor the files of an image need.
struct Needed<'a> {
    recipe: &'a Recipe,
    wanted: &'a [Wanted],
    closure: &'a Closure,
    tree: &'a Tree,
    headers: &'a Headers,
}

impl Needed<'_> {
    /// The variant of an architecture.
    fn variant(&self, machine: Machine) -> Result<Option<String>> {
        match machine.oci_architecture() {
            Some("arm") => {
                let newest = self.arm_versions()?.into_iter().map(|(version, _)| version).max();
                Ok(Some(format!("v{}", newest.unwrap_or(ARM_VERSION))))
            }
            Some("amd64") => Ok(self.level()),
            _ => Ok(None),
        }
    }

    /// The level of x86-64 of the libraries that were taken, where the image has them for that level alone.
    fn level(&self) -> Option<String> {
        let Isa::Level(_) = &self.recipe.isa else { return None };
        let level = |path: &ImagePath| {
            let path = path.to_string();
            let (_, level) = path.split_once("/glibc-hwcaps/x86-64-")?;
            Some(level.split('/').next()?.to_owned())
        };
        self.closure.files().keys().filter_map(|path| level(path)).max()
    }

    /// The version of the architecture that programs and the C library need, where they say so. What other libraries
    /// say is no need: some have code for newer processors, as libgcrypt, and choose when they run.
    fn arm_versions(&self) -> Result<Vec<(u32, ImagePath)>> {
        let files = self.closure.files();
        let programs = self.closure.resolutions.iter().zip(self.wanted);
        let programs: Vec<&ImagePath> = programs
            .filter(|(_, wanted)| wanted.role == Role::Program)
            .filter_map(|(found, _)| found.real.as_ref())
            .collect();
        let of_libc = |path: &ImagePath| LIBC.iter().any(|name| path.name().starts_with(name));
        let paths: Vec<&ImagePath> =
            files.keys().copied().filter(|path| of_libc(path) || programs.contains(path)).collect();
        let version = |path: &&ImagePath| {
            let Some(content) = self.tree.get(path).and_then(|entry| entry.content()) else { return Ok(None) };
            let version = self.headers.arm_version(content);
            let version = version.map_err(|error| Error::io("read", Path::new(&path.to_string()), &error))?;
            Ok(version.map(|version| (version, (*path).clone())))
        };
        let all: Vec<Option<(u32, ImagePath)>> = paths.par_iter().map(version).collect::<Result<_>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    /// A file that needs a newer processor than the platform has.
    fn newer_arm(&self, platform: &Platform) -> Result<Option<Diagnostic>> {
        let Some(named) = &self.recipe.platform else { return Ok(None) };
        let version = platform.variant.as_deref().and_then(|variant| variant.strip_prefix('v')?.parse().ok());
        let version: u32 = version.unwrap_or(ARM_VERSION);
        let newer: Vec<_> = self.arm_versions()?.into_iter().filter(|(needed, _)| *needed > version).collect();
        // One that the recipe names says more than the C library that comes with it.
        let resolutions = self.closure.resolutions.iter().zip(self.wanted);
        let own = resolutions.filter_map(|(found, wanted)| Some((found.real.as_ref()?, wanted.span)));
        let own: Vec<_> = own.collect();
        let span = |path: &ImagePath| own.iter().find(|(real, _)| *real == path).map(|(_, span)| *span);
        let Some((needed, path)) = newer.iter().find(|(_, path)| span(path).is_some()).or(newer.first()) else {
            return Ok(None);
        };
        let error = wrong(&path.to_string(), &arm(*needed), platform);
        Ok(Some(match span(path).flatten() {
            Some(span) => {
                error.at(span, format!("its attributes say Arm v{needed}")).and_at(named.span, "this platform")
            }
            None => error.at(named.span, "this platform").note(format!("its attributes say Arm v{needed}")),
        }))
    }
}
