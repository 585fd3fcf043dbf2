//! The platform of an image, from the ELF machine of what it runs.

use crate::closure::{Closure, Kind, Resolution, Role, Wanted};
use crate::elf::Machine;
use crate::path::show;
use crate::recipe::{Platform, Recipe};
use crate::report::{Diagnostic, Error, Result};

use crate::closure::diagnose::WRONG_MACHINE;

/// The platform that the recipe names, or else that of the first program or library. Programs for another machine are
/// errors.
pub(super) fn platform(recipe: &Recipe, wanted: &[Wanted], closure: &Closure) -> Result<Platform> {
    // A folder may hold files for other machines, as node_modules does; what the image starts may not be one of them.
    let machines: Vec<(usize, Machine)> = (0..wanted.len())
        .filter(|index| !matches!(wanted[*index].role, Role::Plugin { .. }))
        .filter(|index| !matches!(closure.resolutions[*index].kind, Kind::Foreign(_) | Kind::Data | Kind::Absent))
        .filter_map(|index| Some((index, machine(&closure.resolutions, index)?)))
        .collect();
    let platform = match (&recipe.platform, machines.first()) {
        (Some(platform), _) => platform.value.clone(),
        (None, Some((_, machine))) => of_machine(*machine),
        // An image without a program: that of the machine that mkimage was compiled for.
        (None, None) => Platform::host(),
    };
    let mut errors = Vec::new();
    for (index, machine) in machines {
        if machine.oci_architecture() == Some(platform.architecture.as_str()) {
            continue;
        }
        let mut error = Diagnostic::error(
            WRONG_MACHINE,
            format!("`{}` is for {}, the platform is {platform}", show(&wanted[index].path), of_machine(machine)),
        )
        .at_some(wanted[index].span, format!("ELF machine {machine}"));
        error = match &recipe.platform {
            Some(named) => error.and_at(named.span, "this platform"),
            None => error.note("the platform is that of the first program"),
        };
        errors.push(error);
    }
    if errors.is_empty() { Ok(platform) } else { Err(Error(errors)) }
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
    // Debian's armhf, and nearly all 32-bit Arm that runs containers today, is v7.
    let variant = (architecture == "arm").then(|| "v7".to_owned());
    Platform { os: "linux".to_owned(), architecture, variant }
}
