//! How an object is hardened, by the rules that people use: PIE, RELRO, NX, canary, FORTIFY, RPATH and the like.

use std::io;

use goblin::elf::dynamic::{DF_1_NOW, DF_1_PIE, DF_BIND_NOW, DF_TEXTREL};
use goblin::elf::program_header::{PF_W, PF_X};

use super::read::ReadAt;
use super::symbols::Which;
use super::{Features, FileType, Object};

/// How an object is hardened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardening {
    /// What it is.
    pub shape: Shape,
    /// Whether tables are made read-only after relocation.
    pub relro: Relro,
    /// Whether the stack is executable; None when the file does not say, and the machine's default holds.
    pub executable_stack: Option<bool>,
    /// How many segments are both writable and executable.
    pub writable_code: usize,
    /// Whether code is changed by relocations.
    pub textrel: bool,
    /// Whether stack protection is linked in; None when there are no symbols to tell by.
    pub canary: Option<bool>,
    /// How many functions it calls in their checked form.
    pub fortified: usize,
    /// How many functions it calls that have a checked form, checked or not.
    pub fortifiable: usize,
    /// Elements of RPATH or RUNPATH that another user could fill: empty, relative, or below a place that is not the
    /// system's.
    pub writable_paths: Vec<Vec<u8>>,
    /// The control-flow protection that it asks the processor for.
    pub features: Features,
    /// What is left for debuggers.
    pub debug: Debug,
    /// Whether the Go compiler made it, whose programs have neither canaries nor checked calls.
    pub go: bool,
}

/// What kind of object it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// A program at fixed addresses, without a loader.
    Static,
    /// A position-independent program without a loader.
    StaticPie,
    /// A program at fixed addresses, with a loader.
    Fixed,
    /// A position-independent program.
    Pie,
    /// A shared library, also one that can be started, as libc.so.6.
    Library,
    /// Neither program nor library.
    Other,
}

/// Relocation read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relro {
    /// No `PT_GNU_RELRO`.
    None,
    /// Without the table of lazily bound functions.
    Partial,
    /// Everything is bound at the start.
    Full,
}

impl Shape {
    /// `pie`, `library`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::StaticPie => "static-pie",
            Self::Fixed => "fixed",
            Self::Pie => "pie",
            Self::Library => "library",
            Self::Other => "other",
        }
    }
}

impl Relro {
    /// `none`, `partial`, `full`.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Partial => "partial",
            Self::Full => "full",
        }
    }
}

/// What of a file is there for debuggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether a section is there")]
pub struct Debug {
    /// Whether there is a `.symtab`.
    pub symbols: bool,
    /// Whether there is debug information.
    pub information: bool,
    /// Whether a file with debug information is named.
    pub link: bool,
    /// Whether there is a compressed table of symbols (`.gnu_debugdata`), as Fedora has it.
    pub compressed: bool,
}

/// Functions of libc that have a form with a check of the buffer's size, `__NAME_chk`.
const FORTIFIABLE: &str = " memcpy memmove mempcpy memset stpcpy stpncpy strcat strcpy strncat strncpy snprintf sprintf \
    vsnprintf vsprintf fprintf printf vfprintf vprintf read pread pread64 recv recvfrom readlink readlinkat getcwd \
    realpath fgets fgets_unlocked fread fread_unlocked gets poll ppoll syslog vsyslog asprintf vasprintf dprintf \
    vdprintf confstr getgroups gethostname getdomainname getlogin_r ttyname_r wctomb wcrtomb mbstowcs wcstombs wcscpy \
    wmemcpy swprintf vswprintf fgetws longjmp ";

const CANARIES: [&[u8]; 5] = [
    b"__stack_chk_fail",
    b"__stack_chk_fail_local",
    b"__stack_chk_guard",
    b"__intel_security_cookie",
    b"__stack_smash_handler",
];

/// Places below which anybody, or the machine that built the file, may put a library.
const NOT_THE_SYSTEMS: [&[u8]; 7] = [b"/tmp", b"/var/tmp", b"/dev/shm", b"/home", b"/root", b"/build", b"/run/user"];

impl Object {
    /// What kind of object it is.
    pub fn shape(&self) -> Shape {
        let dynamic = self.dynamic.as_ref();
        let pie_flag = dynamic.is_some_and(|dynamic| dynamic.flags_1 & DF_1_PIE != 0);
        let debug = dynamic.is_some_and(|dynamic| dynamic.debug);
        match self.file_type {
            FileType::Executable if self.interp.is_none() => Shape::Static,
            FileType::Executable => Shape::Fixed,
            FileType::Dynamic if self.interp.is_none() && self.needed().next().is_none() => {
                // Older linkers do not set the flag.
                let started = pie_flag || (self.soname().is_none() && self.entry != 0 && debug);
                if started { Shape::StaticPie } else { Shape::Library }
            }
            FileType::Dynamic if pie_flag => Shape::Pie,
            FileType::Dynamic if self.soname().is_some() => Shape::Library,
            FileType::Dynamic if self.interp.is_some() || debug => Shape::Pie,
            FileType::Dynamic => Shape::Library,
            FileType::Relocatable | FileType::Core | FileType::Other(_) => Shape::Other,
        }
    }

    /// Reads how it is hardened.
    ///
    /// # Errors
    /// When the file could not be read.
    pub fn hardening<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<Hardening> {
        let calls = self.checked_calls(reader)?;
        let sections = self.section_names(reader)?;
        let named = |wanted: &[u8]| sections.iter().any(|name| **name == *wanted);
        Ok(Hardening {
            shape: self.shape(),
            relro: self.relocations_read_only(),
            executable_stack: self.stack.map(|flags| flags & PF_X != 0),
            writable_code: self.writable_code(),
            textrel: self.has_text_relocations(),
            canary: calls.known.then_some(calls.canary),
            fortified: calls.fortified,
            fortifiable: calls.fortified + calls.unchecked,
            writable_paths: self.writable_paths(),
            features: self.features(),
            debug: Debug {
                symbols: calls.linker_symbols,
                information: named(b".debug_info") || named(b".zdebug_info"),
                link: named(b".gnu_debuglink"),
                compressed: named(b".gnu_debugdata"),
            },
            go: self.is_go(reader)?,
        })
    }

    /// How many of its segments are both writable and executable.
    pub fn writable_code(&self) -> usize {
        self.loads.iter().filter(|load| load.flags & (PF_W | PF_X) == PF_W | PF_X).count()
    }

    /// Whether relocations change its code.
    pub fn has_text_relocations(&self) -> bool {
        self.dynamic.as_ref().is_some_and(|it| it.textrel || it.flags & DF_TEXTREL != 0)
    }

    /// How much of it is read-only after relocation.
    pub fn relocations_read_only(&self) -> Relro {
        let bound_at_start = self.dynamic.as_ref().is_some_and(|dynamic| {
            let asked = dynamic.bind_now || dynamic.flags & DF_BIND_NOW != 0 || dynamic.flags_1 & DF_1_NOW != 0;
            asked || (self.interp.is_some() && !dynamic.jmprel)
        });
        match (self.relro, bound_at_start) {
            (false, _) => Relro::None,
            (true, false) => Relro::Partial,
            (true, true) => Relro::Full,
        }
    }

    fn checked_calls<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<Calls> {
        let mut calls = Calls::default();
        self.dynamic_symbols(reader, Which::Any, &|_| true, &mut |symbol| {
            calls.known = true;
            calls.count(&symbol.name, symbol.undefined || self.dynamic.is_none(), symbol.undefined);
        })?;
        let of_interest = |name: &[u8]| name.ends_with(b"_chk") || CANARIES.contains(&name);
        // A static program has libc's own checked functions in it: that they are there does not tell who calls them.
        let mut own = Calls::default();
        let left = self.linker_symbols(reader, &of_interest, &mut |symbol| {
            own.count(&symbol.name, self.dynamic.is_none(), false);
        })?;
        calls.linker_symbols = left;
        calls.known |= left;
        calls.canary |= own.canary;
        calls.fortified += own.fortified;
        Ok(calls)
    }

    /// Elements of RPATH or RUNPATH that another user could fill, whatever the image holds.
    pub fn writable_paths(&self) -> Vec<Vec<u8>> {
        self.search_paths().filter(|element| is_unsafe_path(element)).map(<[u8]>::to_vec).collect()
    }

    /// The elements of RPATH or RUNPATH. A list that is empty as a whole has none; an empty element is the working
    /// directory.
    pub fn search_paths(&self) -> impl Iterator<Item = &[u8]> {
        let lists = self.dynamic.iter().flat_map(|dynamic| [&dynamic.rpath, &dynamic.runpath]).flatten();
        lists.filter(|list| !list.is_empty()).flat_map(|list| list.split(|&byte| byte == b':'))
    }
}

/// Whether an element of RPATH or RUNPATH is one that another user could fill: empty, relative, or below a place that
/// is not the system's.
pub fn is_unsafe_path(element: &[u8]) -> bool {
    let below = |place: &&[u8]| element.strip_prefix(*place).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
    let whole = element.starts_with(b"/") || below_origin(element).is_some();
    !whole || NOT_THE_SYSTEMS.iter().any(below)
}

/// What follows `$ORIGIN` at the beginning of an element.
pub fn below_origin(element: &[u8]) -> Option<&[u8]> {
    element.strip_prefix(b"$ORIGIN").or_else(|| element.strip_prefix(b"${ORIGIN}"))
}

#[derive(Default)]
struct Calls {
    known: bool,
    linker_symbols: bool,
    canary: bool,
    fortified: usize,
    unchecked: usize,
}

impl Calls {
    fn count(&mut self, name: &[u8], called: bool, undefined: bool) {
        self.canary |= CANARIES.contains(&name);
        if called && name.starts_with(b"__") && name.ends_with(b"_chk") && name != b"__fdelt_chk" {
            self.fortified += 1;
        } else if undefined && is_fortifiable(name) {
            self.unchecked += 1;
        }
    }
}

fn is_fortifiable(name: &[u8]) -> bool {
    let word = |name: &[u8]| [b" ".as_slice(), name, b" "].concat();
    !name.is_empty() && memchr::memmem::find(FORTIFIABLE.as_bytes(), &word(name)).is_some()
}
