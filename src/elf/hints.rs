//! Weak evidence of what an object may load later: it imports `dlopen` or the like, and holds names of libraries.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use memchr::memmem;

use super::Object;
use super::read::ReadAt;
use super::symbols::Which;

/// Functions that load a library by name.
const LOADING: [&[u8]; 9] = [
    b"dlopen",
    b"dlmopen",
    b"g_module_open",
    b"g_module_open_full",
    b"lt_dlopen",
    b"lt_dlopenext",
    b"PR_LoadLibrary",
    b"SDL_LoadObject",
    b"uv_dlopen",
];
/// How much is read at once, and the longest name that is looked for across two pieces.
const AT_ONCE: usize = 256 << 10;
const LONGEST: usize = 264;
/// The most names that are kept.
const MOST: usize = 1000;

/// What an object may load by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DlopenHints {
    /// The functions that it imports to load libraries, as `dlopen`.
    pub functions: BTreeSet<Arc<[u8]>>,
    /// Names and paths of libraries that stand in the file as strings, when it imports such a function.
    pub names: BTreeSet<Arc<[u8]>>,
}

impl Object {
    /// Names of libraries that stand in the file as strings, when it imports a function that loads libraries; its own
    /// name and those that it needs anyhow are left out. Empty where nothing points to such loading.
    ///
    /// # Errors
    /// When the file could not be read.
    pub fn dlopen_hints<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<DlopenHints> {
        let mut hints = DlopenHints::default();
        self.dynamic_symbols(reader, Which::Undefined, &|name| LOADING.contains(&name), &mut |symbol| {
            hints.functions.insert(symbol.name);
        })?;
        if !hints.functions.is_empty() {
            hints.names = self.library_names(reader)?;
        }
        Ok(hints)
    }

    fn library_names<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<BTreeSet<Arc<[u8]>>> {
        let mut names = BTreeSet::new();
        let mut piece = vec![0; AT_ONCE];
        let mut start = 0;
        while start < reader.size() && names.len() < MOST {
            let length = fill(reader, &mut piece, start)?;
            if length == 0 {
                break;
            }
            take_names(&piece[..length], &mut names);
            start += (length.saturating_sub(LONGEST)).max(1) as u64;
            if length < AT_ONCE {
                break;
            }
        }
        let dependencies = || self.dynamic.iter().flat_map(|dynamic| &dynamic.dependencies).map(|it| &it.name);
        let known = |name: &[u8]| dependencies().chain(self.soname()).any(|known| **known == *name);
        names.retain(|name| !known(name));
        Ok(names)
    }
}

fn fill<R: ReadAt + ?Sized>(reader: &R, piece: &mut [u8], start: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < piece.len() {
        match reader.read_at(&mut piece[done..], start + done as u64)? {
            0 => break,
            more => done += more,
        }
    }
    Ok(done)
}

/// Takes the strings between two NULs that are names or paths of libraries.
fn take_names(piece: &[u8], names: &mut BTreeSet<Arc<[u8]>>) {
    let mut done = 0;
    for at in memmem::find_iter(piece, b".so") {
        if at < done || names.len() >= MOST {
            continue;
        }
        let from = at.saturating_sub(LONGEST);
        let Some(begin) = memchr::memrchr(0, &piece[from..at]).map(|nul| from + nul + 1) else { continue };
        let until = piece.len().min(at + LONGEST);
        let Some(end) = memchr::memchr(0, &piece[at..until]).map(|nul| at + nul) else { continue };
        done = end;
        if is_library_name(&piece[begin..end]) {
            names.insert(Arc::from(&piece[begin..end]));
        }
    }
}

/// `lib*.so` with up to three numbers behind, and a folder before or not.
fn is_library_name(text: &[u8]) -> bool {
    let file = memchr::memrchr(b'/', text).map_or(text, |slash| &text[slash + 1..]);
    let character = |byte: &u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(byte);
    let Some(stem_end) = memmem::rfind(file, b".so") else { return false };
    let (stem, version) = (&file[..stem_end], &file[stem_end + 3..]);
    let numbers: Vec<&[u8]> = version.split(|&byte| byte == b'.').skip(1).collect();
    let versioned = version.is_empty() || version.starts_with(b".");
    let numeric = numbers.iter().all(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit));
    stem.starts_with(b"lib")
        && (4..=63).contains(&stem.len())
        && text.iter().all(|byte| character(byte) || *byte == b'/')
        && versioned
        && numeric
        && numbers.len() <= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_names_of_libraries() {
        for name in ["libssl.so.3", "/usr/lib/libfoo-2.so", "engines/libx.so.1.2.3"] {
            assert!(is_library_name(name.as_bytes()), "{name}");
        }
        for name in ["lib.so", "foo.so", "lib%s.so", "libx.so.a", "libx.so.1.2.3.4", "libx.sorry"] {
            assert!(!is_library_name(name.as_bytes()), "{name}");
        }
    }
}
