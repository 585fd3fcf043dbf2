//! One ELF file: its bytes in, what loaders and people ask of its headers out. Knows nothing of search rules.
//!
//! Goes by program headers alone, as loaders do, and reads no more than the headers, the dynamic section and the
//! strings that it names; versions, symbols, notes and hardening facts are read when they are asked for. Every count
//! and offset is bounded: no file makes it panic, run on or hold more than a small multiple of its headers.

use std::io;
use std::sync::Arc;

use goblin::container::{Container, Ctx};
use goblin::elf::header::{self, Header};
use goblin::elf::program_header::{self as segment, ProgramHeader};

mod build;
mod arm;
mod dynamic;
mod features;
mod go;
mod hardening;
mod hints;
mod machine;
mod notes;
mod read;
mod symbols;
mod versions;

pub use build::{BuildRecords, GoBuild, GoModule};
pub use dynamic::{Dependency, DependencyKind, Dynamic};
pub use features::Features;
pub use hardening::{Debug, Hardening, Relro, Shape, below_origin, is_unsafe_path};
pub use hints::DlopenHints;
pub use machine::{Class, Endian, Machine};
pub use notes::{DlopenEntry, Notes, Priority};
pub use read::ReadAt;
pub use symbols::Symbol;
pub use versions::{Defined, NeededFile, NeededVersion, Versions};

use read::{LONGEST_NAME, Window};

/// What an ELF file's headers and dynamic section say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// For which processor it is.
    pub machine: Machine,
    /// `e_type`.
    pub file_type: FileType,
    /// `EI_OSABI`.
    pub os_abi: u8,
    /// `EI_ABIVERSION`.
    pub abi_version: u8,
    /// `e_flags`: the processor's own words, as the float ABI.
    pub flags: u32,
    /// `e_entry`.
    pub entry: u64,
    /// Size of the file in bytes.
    pub size: u64,
    /// `PT_INTERP`, up to the first NUL.
    pub interp: Option<Arc<[u8]>>,
    /// `PT_DYNAMIC`, the last one that is not empty.
    pub dynamic: Option<Dynamic>,
    /// `PT_LOAD`, in file order.
    pub loads: Box<[Load]>,
    /// Whether an empty `PT_DYNAMIC` stands beside, as in separate debug files.
    pub empty_dynamic: bool,
    /// Permissions of `PT_GNU_STACK`, when it is there.
    pub stack: Option<u32>,
    /// Whether there is a `PT_GNU_RELRO`.
    pub relro: bool,
    /// What its notes say.
    pub notes: Box<Notes>,
    /// What a loader objects to in the headers: the first in the order of its checks.
    pub defect: Option<Defect>,
    section_headers: Option<SectionHeaders>,
}

/// `e_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileType {
    /// `ET_EXEC`: a program at fixed addresses.
    Executable,
    /// `ET_DYN`: a library or a position-independent program.
    Dynamic,
    /// `ET_REL`: an object file.
    Relocatable,
    /// `ET_CORE`: a dump.
    Core,
    /// Another number.
    Other(u16),
}

/// A `PT_LOAD`: what of the file is mapped where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// `p_vaddr`.
    pub address: u64,
    /// `p_offset`.
    pub offset: u64,
    /// `p_filesz`.
    pub file_size: u64,
    /// `p_flags`: 1 execute, 2 write, 4 read.
    pub flags: u32,
}

/// Something in the headers to which a loader objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Defect {
    /// `EI_VERSION` is not 1.
    IdentVersion,
    /// `e_ident`'s padding is not zero.
    Padding,
    /// `e_version` is not 1.
    Version,
    /// `e_phentsize` is not that of the class.
    ProgramHeaderSize,
    /// The program headers lie outside the file.
    ProgramHeaders,
    /// The dynamic section, or a string that it names, lies outside the file or is beyond all measure.
    Dynamic,
}

/// Why bytes are no ELF file.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It begins as one, and is shorter than a header.
    #[error("file too short")]
    TooShort,
    /// It does not begin as one.
    #[error("invalid ELF header")]
    NotElf,
    /// Its class is none that exists.
    #[error("unknown ELF class")]
    Class,
    /// Its byte order is none that exists.
    #[error("unknown ELF byte order")]
    Endian,
}

/// A range of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    offset: u64,
    size: u64,
    alignment: u64,
}

/// Where section headers would be. No loader looks at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SectionHeaders {
    offset: u64,
    count: u16,
    names: u16,
}

impl Object {
    /// Parses an ELF file.
    ///
    /// # Errors
    /// When it is none, or could not be read. What a loader would object to later is no error but a [`Defect`].
    pub fn parse<R: ReadAt + ?Sized>(reader: &R) -> Result<Self, ParseError> {
        let mut window = Window::new(reader);
        let (header, machine) = parse_header(window.up_to(0, 64)?)?;
        let mut object = Self {
            machine,
            file_type: FileType::of(header.e_type),
            os_abi: header.e_ident[header::EI_OSABI],
            abi_version: header.e_ident[header::EI_ABIVERSION],
            flags: header.e_flags,
            entry: header.e_entry,
            size: reader.size(),
            interp: None,
            dynamic: None,
            loads: Box::default(),
            empty_dynamic: false,
            stack: None,
            relro: false,
            notes: Box::default(),
            defect: header_defect(&header, machine.class),
            section_headers: section_headers(&header, machine.class),
        };
        let segments = if header.e_phnum == 0 {
            Some(Vec::new())
        } else if object.defect == Some(Defect::ProgramHeaderSize) {
            None
        } else {
            object.read_program_headers(&mut window, &header)?
        };
        match segments {
            Some(segments) => object.read_segments(&mut window, &segments)?,
            None => object.object_to(Defect::ProgramHeaders),
        }
        Ok(object)
    }

    /// Maps an address of the loaded file to its offset.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        let load = self.loads.iter().find(|load| load.holds(address))?;
        load.offset.checked_add(address - load.address)
    }

    /// The `DT_NEEDED` names in file order.
    pub fn needed(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        let all = self.dynamic.iter().flat_map(|dynamic| &dynamic.dependencies);
        all.filter(|dependency| dependency.kind == DependencyKind::Needed).map(|dependency| &dependency.name)
    }

    /// `DT_SONAME`.
    pub fn soname(&self) -> Option<&Arc<[u8]>> {
        self.dynamic.as_ref()?.soname.as_ref()
    }

    fn context(&self) -> Ctx {
        context(self.machine)
    }

    fn object_to(&mut self, defect: Defect) {
        self.defect.get_or_insert(defect);
    }

    fn read_program_headers<R: ReadAt + ?Sized>(
        &self,
        window: &mut Window<'_, R>,
        header: &Header,
    ) -> io::Result<Option<Vec<ProgramHeader>>> {
        let count = usize::from(header.e_phnum);
        let size = count * ProgramHeader::size(self.context());
        let Some(bytes) = window.bytes(header.e_phoff, size)? else { return Ok(None) };
        Ok(ProgramHeader::parse(bytes, 0, count, self.context()).ok())
    }

    fn read_segments<R: ReadAt + ?Sized>(
        &mut self,
        window: &mut Window<'_, R>,
        segments: &[ProgramHeader],
    ) -> io::Result<()> {
        let of_type = |wanted: u32| segments.iter().filter(move |segment| segment.p_type == wanted);
        self.loads = of_type(segment::PT_LOAD).map(Load::from).collect();
        self.stack = of_type(segment::PT_GNU_STACK).next_back().map(|segment| segment.p_flags);
        self.relro = of_type(segment::PT_GNU_RELRO).next().is_some();
        self.empty_dynamic = of_type(segment::PT_DYNAMIC).any(|segment| segment.p_filesz == 0);
        if let Some(segment) = of_type(segment::PT_INTERP).next() {
            let longest = usize::try_from(segment.p_filesz).unwrap_or(usize::MAX).min(LONGEST_NAME);
            let text = window.up_to(segment.p_offset, longest)?;
            let end = memchr::memchr(0, text).unwrap_or(text.len());
            self.interp = Some(Arc::from(&text[..end]));
        }
        let with_notes = of_type(segment::PT_NOTE).chain(of_type(segment::PT_GNU_PROPERTY));
        *self.notes = notes::read(window, self, with_notes.map(Span::from))?;
        if let Some(segment) = of_type(segment::PT_DYNAMIC).rfind(|segment| segment.p_filesz != 0) {
            let dynamic = dynamic::read(window, self, Span::from(segment))?;
            if dynamic.damaged {
                self.object_to(Defect::Dynamic);
            }
            self.dynamic = Some(dynamic);
        }
        Ok(())
    }
}

impl FileType {
    fn of(number: u16) -> Self {
        match number {
            header::ET_EXEC => Self::Executable,
            header::ET_DYN => Self::Dynamic,
            header::ET_REL => Self::Relocatable,
            header::ET_CORE => Self::Core,
            other => Self::Other(other),
        }
    }
}

impl Load {
    fn holds(&self, address: u64) -> bool {
        address >= self.address && address - self.address < self.file_size
    }
}

impl From<&ProgramHeader> for Load {
    fn from(segment: &ProgramHeader) -> Self {
        Self { address: segment.p_vaddr, offset: segment.p_offset, file_size: segment.p_filesz, flags: segment.p_flags }
    }
}

impl From<&ProgramHeader> for Span {
    fn from(segment: &ProgramHeader) -> Self {
        Self { offset: segment.p_offset, size: segment.p_filesz, alignment: segment.p_align }
    }
}

fn parse_header(start: &[u8]) -> Result<(Header, Machine), ParseError> {
    if start.get(..4) != Some(header::ELFMAG.as_slice()) {
        return Err(ParseError::NotElf);
    }
    let class = match start.get(header::EI_CLASS) {
        Some(&header::ELFCLASS32) => Class::Elf32,
        Some(&header::ELFCLASS64) => Class::Elf64,
        Some(_) => return Err(ParseError::Class),
        None => return Err(ParseError::TooShort),
    };
    let endian = match start.get(header::EI_DATA) {
        Some(&header::ELFDATA2LSB) => Endian::Little,
        Some(&header::ELFDATA2MSB) => Endian::Big,
        Some(_) => return Err(ParseError::Endian),
        None => return Err(ParseError::TooShort),
    };
    let header = goblin::elf::Elf::parse_header(start).map_err(|_| ParseError::TooShort)?;
    let machine = Machine { number: header.e_machine, class, endian };
    Ok((header, machine))
}

/// What a loader objects to in the header, in the order in which it looks.
fn header_defect(header: &Header, class: Class) -> Option<Defect> {
    if header.e_ident[header::EI_VERSION] != header::EV_CURRENT {
        return Some(Defect::IdentVersion);
    }
    if header.e_ident[header::EI_ABIVERSION + 1..].iter().any(|&byte| byte != 0) {
        return Some(Defect::Padding);
    }
    if header.e_version != u32::from(header::EV_CURRENT) {
        return Some(Defect::Version);
    }
    let expected = match class {
        Class::Elf32 => segment::program_header32::SIZEOF_PHDR,
        Class::Elf64 => segment::program_header64::SIZEOF_PHDR,
    };
    (usize::from(header.e_phentsize) != expected).then_some(Defect::ProgramHeaderSize)
}

fn section_headers(header: &Header, class: Class) -> Option<SectionHeaders> {
    let expected = match class {
        Class::Elf32 => goblin::elf::section_header::section_header32::SIZEOF_SHDR,
        Class::Elf64 => goblin::elf::section_header::section_header64::SIZEOF_SHDR,
    };
    let usable = header.e_shoff != 0 && header.e_shnum != 0 && usize::from(header.e_shentsize) == expected;
    usable.then_some(SectionHeaders { offset: header.e_shoff, count: header.e_shnum, names: header.e_shstrndx })
}

fn context(machine: Machine) -> Ctx {
    let container = match machine.class {
        Class::Elf32 => Container::Little,
        Class::Elf64 => Container::Big,
    };
    let endian = match machine.endian {
        Endian::Little => scroll::Endian::Little,
        Endian::Big => scroll::Endian::Big,
    };
    Ctx::new(container, endian)
}
