//! Whether glibc takes a file that it found: `open_verify` and `_dl_map_object_from_fd`, check by check in their order.

use super::headers::{Facts, NoElf};
use super::machine::{matches, valid_abi_version, valid_os_abi};
use super::{NotTaken, Refusal};
use crate::elf::{Class, Defect, FileType, Object};

/// `DF_1_NOOPEN`, `DF_1_PIE`.
const NOOPEN: u64 = 0x40;
const PIE: u64 = 0x0800_0000;

/// For whom a file must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    /// The program, whose machine is the loader's.
    pub(super) program: &'a Object,
    /// Whether the loader has Debian's patch that skips files of other machines before it looks closer.
    pub(super) skips_other_machines: bool,
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is taken, unless it is loaded already.
    Take,
    /// The search goes on.
    Skip(NotTaken),
    /// The search ends in an error.
    Refuse(Refusal),
    /// Nobody can tell: it could not be read, for this reason.
    Unreadable(std::sync::Arc<str>),
}

/// `open_verify`: what the header says.
pub(super) fn verify(facts: &Facts, asker: Asker<'_>) -> Verdict {
    let program = asker.program.machine;
    let object = match &facts.elf {
        Ok(object) => object,
        Err(NoElf::TooShort) => return Verdict::Refuse(Refusal::TooShort),
        Err(NoElf::Other) if facts.content.size() < header_size(program.class) => {
            return Verdict::Refuse(Refusal::TooShort);
        }
        Err(NoElf::Other) => return Verdict::Refuse(Refusal::NotElf),
        Err(NoElf::Class) => return Verdict::Skip(NotTaken::Damaged),
        Err(NoElf::Endian) => return Verdict::Refuse(Refusal::Endian),
        Err(NoElf::Unreadable(why)) => return Verdict::Unreadable(why.clone()),
    };
    if object.size < header_size(program.class) {
        return Verdict::Refuse(Refusal::TooShort);
    }
    let skip = Verdict::Skip(NotTaken::Machine(object.machine));
    let other_endian = object.machine.endian != program.endian;
    let as_read = if other_endian { object.machine.number.swap_bytes() } else { object.machine.number };
    if object.machine.class != program.class || (asker.skips_other_machines && as_read != program.number) {
        return skip;
    }
    let refuse = |refusal| Verdict::Refuse(refusal);
    if other_endian {
        return refuse(Refusal::Endian);
    }
    match object.defect {
        Some(Defect::IdentVersion) => return refuse(Refusal::Version),
        _ if !valid_os_abi(program, object.os_abi) => return refuse(Refusal::OsAbi),
        _ if !valid_abi_version(program, object.os_abi, object.abi_version) => return refuse(Refusal::AbiVersion),
        Some(Defect::Padding) => return refuse(Refusal::Padding),
        Some(Defect::Version) => return refuse(Refusal::Version),
        _ if !matches(asker.program, object) => return skip,
        _ => {}
    }
    match object.file_type {
        FileType::Executable | FileType::Dynamic => {}
        FileType::Relocatable | FileType::Core | FileType::Other(_) => return refuse(Refusal::Type),
    }
    match object.defect {
        Some(Defect::ProgramHeaderSize | Defect::ProgramHeaders) => refuse(Refusal::ProgramHeaders),
        _ => Verdict::Take,
    }
}

/// `_dl_map_object_from_fd`: what else stands against mapping it, once it is known not to be loaded yet.
pub(super) fn refusal(object: &Object, dlopened: bool) -> Option<Refusal> {
    const PAGE: u64 = 4096;
    let flags_1 = object.dynamic.as_ref().map_or(0, |dynamic| dynamic.flags_1);
    let aligned = |load: &crate::elf::Load| load.address.wrapping_sub(load.offset).is_multiple_of(PAGE);
    if !object.loads.iter().all(aligned) {
        Some(Refusal::Unaligned)
    } else if object.loads.is_empty() {
        Some(Refusal::NoSegments)
    } else if object.file_type != FileType::Dynamic {
        Some(Refusal::Executable)
    } else if object.dynamic.is_none() || object.empty_dynamic {
        Some(Refusal::NoDynamic)
    } else if flags_1 & PIE != 0 {
        Some(Refusal::Pie)
    } else if dlopened && flags_1 & NOOPEN != 0 {
        Some(Refusal::NoOpen)
    } else if object.defect == Some(Defect::Dynamic) {
        Some(Refusal::Damaged)
    } else {
        None
    }
}

/// What stands against starting a file, or loading it first: neither kernel nor loader looks at the whole header then,
/// but without its segments nothing starts, and without its dynamic section nobody knows what it needs.
pub(super) fn damage(object: &Object) -> Option<Refusal> {
    match object.defect {
        Some(Defect::ProgramHeaderSize | Defect::ProgramHeaders) => Some(Refusal::ProgramHeaders),
        _ if object.loads.is_empty() => Some(Refusal::NoSegments),
        _ => object.dynamic.as_ref().filter(|dynamic| dynamic.damaged).map(|_| Refusal::Damaged),
    }
}

fn header_size(class: Class) -> u64 {
    match class {
        Class::Elf32 => 52,
        Class::Elf64 => 64,
    }
}
