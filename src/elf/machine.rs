//! For which processor a file is.

use std::fmt;

use goblin::elf::header::{
    EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_MIPS, EM_PPC, EM_PPC64, EM_RISCV, EM_S390, EM_SPARC, EM_SPARCV9,
    EM_X86_64,
};

/// The ELF class: the width of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// ELFCLASS32.
    Elf32,
    /// ELFCLASS64.
    Elf64,
}

/// The byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endian {
    /// ELFDATA2LSB.
    Little,
    /// ELFDATA2MSB.
    Big,
}

/// For which processor a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Machine {
    /// `e_machine`.
    pub number: u16,
    /// The class.
    pub class: Class,
    /// The byte order.
    pub endian: Endian,
}

impl Machine {
    /// Of x86-64 with 64-bit addresses.
    pub const X86_64: Self = Self { number: EM_X86_64, class: Class::Elf64, endian: Endian::Little };
    /// Of 64-bit Arm.
    pub const AARCH64: Self = Self { number: EM_AARCH64, class: Class::Elf64, endian: Endian::Little };

    /// The name that `uname -m` and file names of loaders have, as `x86_64`.
    pub fn name(self) -> &'static str {
        use Class::{Elf32, Elf64};
        use Endian::{Big, Little};
        match (self.number, self.class, self.endian) {
            (EM_X86_64, Elf64, Little) => "x86_64",
            (EM_X86_64, Elf32, Little) => "x32",
            (EM_386, ..) => "i386",
            (EM_AARCH64, _, Little) => "aarch64",
            (EM_AARCH64, _, Big) => "aarch64_be",
            (EM_ARM, ..) => "arm",
            (EM_RISCV, Elf64, _) => "riscv64",
            (EM_RISCV, Elf32, _) => "riscv32",
            (EM_PPC64, _, Little) => "ppc64le",
            (EM_PPC64, _, Big) => "ppc64",
            (EM_PPC, ..) => "ppc",
            (EM_S390, Elf64, _) => "s390x",
            (EM_S390, Elf32, _) => "s390",
            (EM_MIPS, Elf64, Little) => "mips64el",
            (EM_MIPS, Elf64, Big) => "mips64",
            (EM_MIPS, Elf32, Little) => "mipsel",
            (EM_MIPS, Elf32, Big) => "mips",
            (EM_LOONGARCH, Elf64, _) => "loongarch64",
            (EM_LOONGARCH, Elf32, _) => "loongarch32",
            (EM_SPARCV9, ..) => "sparc64",
            (EM_SPARC, ..) => "sparc",
            _ => "unknown",
        }
    }

    /// That of an architecture in OCI's words, as `arm64`.
    pub fn of_architecture(architecture: &str) -> Option<Self> {
        use Class::{Elf32, Elf64};
        use Endian::{Big, Little};
        let (number, class, endian) = match architecture {
            "amd64" => (EM_X86_64, Elf64, Little),
            "386" => (EM_386, Elf32, Little),
            "arm64" => (EM_AARCH64, Elf64, Little),
            "arm" => (EM_ARM, Elf32, Little),
            "riscv64" => (EM_RISCV, Elf64, Little),
            "ppc64le" => (EM_PPC64, Elf64, Little),
            "s390x" => (EM_S390, Elf64, Big),
            "mips64le" => (EM_MIPS, Elf64, Little),
            "loong64" => (EM_LOONGARCH, Elf64, Little),
            _ => return None,
        };
        Some(Self { number, class, endian })
    }

    /// The word that OCI has for it, as `amd64`.
    pub fn oci_architecture(self) -> Option<&'static str> {
        Some(match self.name() {
            "x86_64" => "amd64",
            "i386" => "386",
            "aarch64" => "arm64",
            "arm" => "arm",
            "riscv64" => "riscv64",
            "ppc64le" => "ppc64le",
            "ppc64" => "ppc64",
            "s390x" => "s390x",
            "mips64el" => "mips64le",
            "mips64" => "mips64",
            "mipsel" => "mipsle",
            "mips" => "mips",
            "loongarch64" => "loong64",
            _ => return None,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "unknown" => write!(f, "machine {}", self.number),
            name => f.write_str(name),
        }
    }
}
