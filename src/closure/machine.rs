//! What loaders have built in for each machine: default paths, cache flags, processor levels.

use crate::elf::{Class, Endian, Machine, Object};

/// `EF_ARM_ABI_FLOAT_HARD`, `EF_ARM_ABI_FLOAT_SOFT`.
const ARM_HARD_FLOAT: u32 = 0x400;
const ARM_SOFT_FLOAT: u32 = 0x200;
/// `EF_RISCV_FLOAT_ABI`.
const RISCV_FLOAT_ABI: u32 = 6;
/// `EF_PPC64_ABI`.
const PPC64_ABI: u32 = 3;
/// `EF_MIPS_ABI2`, `EF_MIPS_NAN2008`, `EF_MIPS_FP64`.
const MIPS_ABI2: u32 = 0x20;
const MIPS_NAN2008: u32 = 0x400;
const MIPS_FP64: u32 = 0x200;

/// `ELFOSABI_SYSV`, `ELFOSABI_GNU`, `ELFOSABI_ARM_AEABI`.
const SYSV: u8 = 0;
const GNU: u8 = 3;
const ARM_AEABI: u8 = 64;

/// What a machine's loaders have built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Port {
    /// The directory name that Debian gives it.
    pub(super) triplet: &'static str,
    /// Where glibc's loader stands.
    pub(super) glibc_loader: &'static str,
    /// What musl calls it, in `/lib/ld-musl-ARCH.so.1`.
    pub(super) musl_arch: &'static str,
    /// Directories of a distribution without multiarch.
    pub(super) plain_dirs: [&'static str; 2],
    /// The flags of its entries in ld.so.cache, the usual ones first.
    pub(super) cache_flags: &'static [i32],
    /// Directories below `glibc-hwcaps`, the best first.
    pub(super) levels: &'static [&'static str],
    /// `AT_PLATFORM` of the baseline, and what else `$PLATFORM` may be.
    pub(super) platforms: &'static [&'static str],
    /// Names of directories that loaders before 2.37 search beside the platform's.
    pub(super) legacy_names: &'static [&'static str],
    /// The name of what the kernel maps.
    pub(super) vdso: &'static [u8],
}

const LIB: [&str; 2] = ["/lib/", "/usr/lib/"];
const LIB64: [&str; 2] = ["/lib64/", "/usr/lib64/"];
const X86_LEVELS: &[&str] = &["x86-64-v4", "x86-64-v3", "x86-64-v2"];
const S390_LEVELS: &[&str] = &["z17", "z16", "z15", "z14", "z13"];
const POWER_LEVELS: &[&str] = &["power10", "power9"];
/// The levels of every machine that has any, the best first.
pub(super) const LEVELS: [&[&str]; 3] = [X86_LEVELS, S390_LEVELS, POWER_LEVELS];
const X86_PLATFORMS: &[&str] = &["x86_64", "haswell", "xeon_phi"];
const ARM_PLATFORMS: &[&str] = &["v7l", "v8l", "v6l", "v5l"];
const POWER_PLATFORMS: &[&str] = &["power8", "power9", "power10", "power11"];
const S390_PLATFORMS: &[&str] = &["z13", "z14", "z15", "z16", "z17"];

const BASE: Port = Port {
    triplet: "",
    glibc_loader: "",
    musl_arch: "",
    plain_dirs: LIB,
    cache_flags: &[],
    levels: &[],
    platforms: &[],
    legacy_names: &[],
    vdso: b"linux-vdso.so.1",
};

impl Port {
    /// The port for which an object is made.
    pub(super) fn of(object: &Object) -> Option<Self> {
        Self::for_machine(object.machine, object.flags)
    }

    pub(super) fn for_machine(machine: Machine, flags: u32) -> Option<Self> {
        Some(match machine.name() {
            "x86_64" => Self {
                triplet: "x86_64-linux-gnu",
                glibc_loader: "/lib64/ld-linux-x86-64.so.2",
                musl_arch: "x86_64",
                plain_dirs: LIB64,
                cache_flags: &[0x303],
                levels: X86_LEVELS,
                platforms: X86_PLATFORMS,
                legacy_names: &["x86_64"],
                ..BASE
            },
            "x32" => Self {
                triplet: "x86_64-linux-gnux32",
                glibc_loader: "/libx32/ld-linux-x32.so.2",
                musl_arch: "x32",
                plain_dirs: ["/libx32/", "/usr/libx32/"],
                cache_flags: &[0x803],
                levels: X86_LEVELS,
                platforms: X86_PLATFORMS,
                legacy_names: &["x86_64"],
                ..BASE
            },
            "i386" => Self {
                triplet: "i386-linux-gnu",
                glibc_loader: "/lib/ld-linux.so.2",
                musl_arch: "i386",
                cache_flags: &[3, 1],
                platforms: &["i686", "i586", "i486", "i386"],
                vdso: b"linux-gate.so.1",
                ..BASE
            },
            "aarch64" => Self {
                triplet: "aarch64-linux-gnu",
                glibc_loader: "/lib/ld-linux-aarch64.so.1",
                musl_arch: "aarch64",
                plain_dirs: LIB64,
                cache_flags: &[0xa03],
                platforms: &["aarch64"],
                ..BASE
            },
            "aarch64_be" => Self {
                triplet: "aarch64_be-linux-gnu",
                glibc_loader: "/lib/ld-linux-aarch64_be.so.1",
                musl_arch: "aarch64_be",
                cache_flags: &[0xa03],
                platforms: &["aarch64_be"],
                ..BASE
            },
            "arm" => Self::arm(flags),
            "riscv64" => Self::riscv64(flags),
            "loongarch64" => Self {
                triplet: "loongarch64-linux-gnu",
                glibc_loader: "/lib64/ld-linux-loongarch-lp64d.so.1",
                musl_arch: "loongarch64",
                plain_dirs: LIB64,
                cache_flags: &[0x1203],
                platforms: &["loongarch64"],
                ..BASE
            },
            "ppc64le" | "ppc64" | "ppc" => Self::power(machine, flags),
            "s390x" => Self {
                triplet: "s390x-linux-gnu",
                glibc_loader: "/lib/ld64.so.1",
                musl_arch: "s390x",
                plain_dirs: LIB64,
                cache_flags: &[0x403],
                levels: S390_LEVELS,
                platforms: S390_PLATFORMS,
                vdso: b"linux-vdso64.so.1",
                ..BASE
            },
            "mips64el" | "mips64" | "mipsel" | "mips" => Self::mips(machine, flags),
            "sparc64" => Self {
                triplet: "sparc64-linux-gnu",
                glibc_loader: "/lib64/ld-linux.so.2",
                musl_arch: "sparc64",
                plain_dirs: LIB64,
                cache_flags: &[0x103],
                ..BASE
            },
            _ => return None,
        })
    }

    fn arm(flags: u32) -> Self {
        let hard = Self {
            triplet: "arm-linux-gnueabihf",
            glibc_loader: "/lib/ld-linux-armhf.so.3",
            musl_arch: "armhf",
            cache_flags: &[0x903, 3],
            platforms: ARM_PLATFORMS,
            ..BASE
        };
        if flags & ARM_SOFT_FLOAT == 0 {
            return hard;
        }
        Self {
            triplet: "arm-linux-gnueabi",
            glibc_loader: "/lib/ld-linux.so.3",
            musl_arch: "arm",
            cache_flags: &[0xb03, 3],
            ..hard
        }
    }

    fn riscv64(flags: u32) -> Self {
        let double = Self {
            triplet: "riscv64-linux-gnu",
            glibc_loader: "/lib/ld-linux-riscv64-lp64d.so.1",
            musl_arch: "riscv64",
            plain_dirs: ["/lib64/lp64d/", "/usr/lib64/lp64d/"],
            cache_flags: &[0x1003],
            ..BASE
        };
        if flags & RISCV_FLOAT_ABI != 0 {
            return double;
        }
        Self {
            glibc_loader: "/lib/ld-linux-riscv64-lp64.so.1",
            musl_arch: "riscv64-sf",
            plain_dirs: ["/lib64/lp64/", "/usr/lib64/lp64/"],
            cache_flags: &[0xf03],
            ..double
        }
    }

    fn power(machine: Machine, flags: u32) -> Self {
        let little = Self {
            triplet: "powerpc64le-linux-gnu",
            glibc_loader: "/lib64/ld64.so.2",
            musl_arch: "powerpc64le",
            plain_dirs: LIB64,
            cache_flags: &[0x503],
            levels: POWER_LEVELS,
            platforms: POWER_PLATFORMS,
            vdso: b"linux-vdso64.so.1",
            ..BASE
        };
        match (machine.class, machine.endian) {
            (Class::Elf64, Endian::Little) => little,
            (Class::Elf64, Endian::Big) => {
                let loader = if flags & PPC64_ABI == 2 { "/lib64/ld64.so.2" } else { "/lib64/ld64.so.1" };
                Self {
                    triplet: "powerpc64-linux-gnu",
                    glibc_loader: loader,
                    musl_arch: "powerpc64",
                    levels: &[],
                    ..little
                }
            }
            (Class::Elf32, _) => Self {
                triplet: "powerpc-linux-gnu",
                glibc_loader: "/lib/ld.so.1",
                musl_arch: "powerpc",
                plain_dirs: LIB,
                cache_flags: &[3, 1],
                levels: &[],
                vdso: b"linux-vdso32.so.1",
                ..little
            },
        }
    }

    fn mips(machine: Machine, flags: u32) -> Self {
        let nan2008 = flags & MIPS_NAN2008 != 0;
        let loader = |name: (&'static str, &'static str)| if nan2008 { name.1 } else { name.0 };
        let little = machine.endian == Endian::Little;
        if machine.class == Class::Elf64 {
            return Self {
                triplet: if little { "mips64el-linux-gnuabi64" } else { "mips64-linux-gnuabi64" },
                glibc_loader: loader(("/lib64/ld.so.1", "/lib64/ld-linux-mipsn8.so.1")),
                musl_arch: if little { "mips64el" } else { "mips64" },
                plain_dirs: LIB64,
                cache_flags: if nan2008 { &[0xe03] } else { &[0x703] },
                ..BASE
            };
        }
        if flags & MIPS_ABI2 != 0 {
            return Self {
                triplet: if little { "mips64el-linux-gnuabin32" } else { "mips64-linux-gnuabin32" },
                glibc_loader: loader(("/lib32/ld.so.1", "/lib32/ld-linux-mipsn8.so.1")),
                musl_arch: if little { "mipsn32el" } else { "mipsn32" },
                plain_dirs: ["/lib32/", "/usr/lib32/"],
                cache_flags: if nan2008 { &[0xd03] } else { &[0x603] },
                ..BASE
            };
        }
        Self {
            triplet: if little { "mipsel-linux-gnu" } else { "mips-linux-gnu" },
            glibc_loader: loader(("/lib/ld.so.1", "/lib/ld-linux-mipsn8.so.1")),
            musl_arch: if little { "mipsel" } else { "mips" },
            cache_flags: if nan2008 { &[0xc03] } else { &[3, 1] },
            ..BASE
        }
    }
}

/// Whether the loader that runs `program` takes `candidate` for its own machine: `elf_machine_matches_host`, with the
/// words of `e_flags` that it looks at. Class and byte order are compared apart.
pub(super) fn matches(program: &Object, candidate: &Object) -> bool {
    if program.machine.number != candidate.machine.number {
        return false;
    }
    let (own, other) = (program.flags, candidate.flags);
    match program.machine.name() {
        "arm" => {
            // Debian's patch: an object that says neither goes with both.
            let float = |flags: u32| flags & (ARM_HARD_FLOAT | ARM_SOFT_FLOAT);
            float(own) == 0 || float(other) == 0 || float(own) == float(other)
        }
        "riscv64" | "riscv32" => own & RISCV_FLOAT_ABI == other & RISCV_FLOAT_ABI,
        "ppc64" | "ppc64le" => {
            let abi = if program.machine.endian == Endian::Little || own & PPC64_ABI == 2 { 2 } else { 1 };
            other & PPC64_ABI == 0 || other & PPC64_ABI == abi
        }
        "mips" | "mipsel" | "mips64" | "mips64el" => {
            let narrow = program.machine.class == Class::Elf64 || own & MIPS_ABI2 == other & MIPS_ABI2;
            narrow && own & MIPS_NAN2008 == other & MIPS_NAN2008 && other & MIPS_FP64 == 0
        }
        _ => true,
    }
}

/// Whether glibc knows an `EI_OSABI`.
pub(super) fn valid_os_abi(program: Machine, os_abi: u8) -> bool {
    matches!(os_abi, SYSV | GNU) || (program.name() == "arm" && os_abi == ARM_AEABI)
}

/// Whether glibc knows an `EI_ABIVERSION` (`LIBC_ABI_MAX`).
pub(super) fn valid_abi_version(program: Machine, os_abi: u8, version: u8) -> bool {
    let mips = program.name().starts_with("mips");
    version == 0 || (os_abi == GNU && version < if mips { 6 } else { 4 }) || (mips && os_abi == SYSV && version < 4)
}
