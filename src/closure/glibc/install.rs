//! One glibc of the tree, as its loader's file and its cache tell: system directories, version, levels.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use memchr::memmem;

use super::super::cache::{self, CacheFile, Query};
use super::super::machine::Port;
use super::super::tree::{Looked, Tree};
use super::super::{Bytes, CachePolicy, FatalReason, Isa, Unreadable};
use super::directories::{lib_token, system_directories};
use crate::elf::{Endian, Object};
use crate::path::ImagePath;

/// The longest loader and cache that are read: a hundred times the usual.
const LONGEST_LOADER: u64 = 32 << 20;
const LONGEST_CACHE: u64 = 16 << 20;

/// The first version that has no directories for hwcaps but `glibc-hwcaps`.
const WITHOUT_LEGACY: (u32, u32) = (2, 37);
/// `HWCAP_X86_64`, and the bit of `tls` directories, in old entries of a cache.
const HWCAP_X86_64: u64 = 1 << 1;
const HWCAP_TLS: u64 = 1 << 63;

/// One glibc of the tree, with the processor for which it searches.
#[derive(Debug)]
pub(in crate::closure) struct Install {
    /// What its machine's loaders have built in.
    pub(in crate::closure) port: Port,
    /// Its version, where the loader's file states it.
    pub(in crate::closure) version: Option<(u32, u32)>,
    /// The system directories, each with a slash at the end.
    pub(in crate::closure) directories: Vec<Bytes>,
    /// `$LIB`.
    pub(in crate::closure) lib: Vec<u8>,
    /// `$PLATFORM`.
    pub(in crate::closure) platform: Option<&'static str>,
    /// Whether it has Debian's patch that skips files of other machines.
    pub(in crate::closure) skips_other_machines: bool,
    /// The subdirectories that are tried in each directory of a search, the directory itself last.
    pub(in crate::closure) subdirectories: Vec<Vec<u8>>,
    levels: Vec<&'static str>,
    cache: Option<CacheFile>,
    cached: RwLock<HashMap<Bytes, Option<Bytes>>>,
}

/// The processor for which a search is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::closure) struct Processor {
    /// How many of the port's levels it has above the baseline.
    pub(in crate::closure) height: usize,
    /// Which of the port's platforms it is.
    pub(in crate::closure) platform: usize,
}

impl Processor {
    /// The processor that every machine of a port is at least; with a level, one of that.
    pub(in crate::closure) fn of(isa: &Isa, port: &Port) -> Self {
        let height = match isa {
            Isa::Baseline | Isa::All => 0,
            Isa::Level(level) => {
                port.levels.iter().position(|known| known == level).map_or(0, |index| port.levels.len() - index)
            }
        };
        Self { height, platform: 0 }
    }
}

impl Install {
    /// Reads what the loader at `loader` has built in, and its cache.
    pub(in crate::closure) fn read(
        tree: &Tree<'_>,
        loader: &ImagePath,
        program: &Object,
        processor: Processor,
        policy: CachePolicy,
    ) -> Result<Self, FatalReason> {
        let port = Port::of(program).ok_or(FatalReason::NoLoader(program.machine))?;
        let content = match tree.look(loader.as_bytes()) {
            Looked::Found(place) => place.content.clone(),
            Looked::Unreadable(place) => return Err(FatalReason::Unreadable(place)),
            Looked::Absent | Looked::Dangling | Looked::Loop | Looked::TooLong => None,
        };
        let file = content.as_ref().map(|content| tree.whole(content, LONGEST_LOADER));
        let file = match file.as_deref() {
            Some(Ok(bytes)) => &**bytes,
            Some(Err(why)) => return Err(unreadable(loader.as_bytes(), why)),
            None => &[],
        };
        let version = version(file);
        let listed = content.map(|content| tree.directories_in(&content, file)).unwrap_or_default();
        let directories = system_directories(tree, &listed, &port);
        let levels = port.levels[port.levels.len().saturating_sub(processor.height)..].to_vec();
        let platform = port.platforms.get(processor.platform).copied();
        let cache = read_cache(tree, program.machine.endian, &directories, policy)?;
        Ok(Self {
            lib: lib_token(&directories),
            subdirectories: subdirectories(&levels, &legacy_names(&port, platform, version)),
            skips_other_machines: [b"Debian".as_slice(), b"Ubuntu"].iter().any(|it| memmem::find(file, it).is_some()),
            port,
            version,
            directories,
            platform,
            levels,
            cache,
            cached: RwLock::default(),
        })
    }

    /// The path that the cache has for a name.
    pub(in crate::closure) fn cached(&self, name: &Bytes) -> Option<Bytes> {
        let cache = self.cache.as_ref()?;
        if let Some(known) = self.cached.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return known.clone();
        }
        let legacy = match self.version {
            Some(version) if version >= WITHOUT_LEGACY => 0,
            _ if self.port.legacy_names.contains(&"x86_64") => HWCAP_TLS | HWCAP_X86_64,
            _ => HWCAP_TLS,
        };
        let height = self.levels.len() as u64;
        let query = Query { flags: self.port.cache_flags, levels: &self.levels, height, legacy };
        let found: Option<Bytes> = cache.lookup(name, &query).map(Arc::from);
        let mut known = self.cached.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(Arc::clone(name), found.clone());
        found
    }

    /// The cache, where the loader has one.
    pub(in crate::closure) fn cache(&self) -> Option<&CacheFile> {
        self.cache.as_ref()
    }

    /// Whether a path, by its text, is below a system directory.
    pub(in crate::closure) fn is_below_system_directory(&self, path: &[u8]) -> bool {
        self.directories.iter().any(|directory| path.starts_with(directory))
    }
}

fn unreadable(place: &[u8], why: &Arc<str>) -> FatalReason {
    FatalReason::Unreadable(Unreadable { place: Arc::from(place), why: Arc::clone(why) })
}

fn read_cache(
    tree: &Tree<'_>,
    endian: Endian,
    directories: &[Bytes],
    policy: CachePolicy,
) -> Result<Option<CacheFile>, FatalReason> {
    let word_order = match endian {
        Endian::Little => scroll::Endian::Little,
        Endian::Big => scroll::Endian::Big,
    };
    match tree.look(cache::PATH) {
        Looked::Found(place) => {
            let Some(content) = &place.content else { return Ok(None) };
            match &*tree.whole(content, LONGEST_CACHE) {
                Ok(bytes) => Ok(CacheFile::parse(bytes.to_vec(), word_order)),
                Err(why) => Err(unreadable(cache::PATH, why)),
            }
        }
        Looked::Unreadable(place) => Err(FatalReason::Unreadable(place)),
        _ if policy == CachePolicy::MadeWhenAbsent => {
            let mut all = cache::configured_directories(tree.source());
            all.extend(directories.iter().cloned());
            let entries = cache::collect_in(tree, &all);
            Ok(CacheFile::parse(cache::write(&entries, endian), word_order))
        }
        _ => Ok(None),
    }
}

/// The version in `ld.so (Debian GLIBC 2.36-9) stable release version 2.36.` or libc's banner.
pub(in crate::closure) fn version(file: &[u8]) -> Option<(u32, u32)> {
    const WORDS: &[u8] = b" release version ";
    for at in memmem::find_iter(file, WORDS) {
        let before = &file[..at];
        if !before.ends_with(b"stable") && !before.ends_with(b"development") {
            continue;
        }
        let text = &file[at + WORDS.len()..];
        let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(text.len());
        let mut numbers = std::str::from_utf8(&text[..end]).ok()?.split('.');
        if let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next().map(str::parse), numbers.next().map(str::parse)) {
            return Some((major, minor));
        }
    }
    None
}

/// The names from which loaders before 2.37 make directories, in the order of their bits: hwcaps, platform, `tls`.
fn legacy_names(port: &Port, platform: Option<&'static str>, version: Option<(u32, u32)>) -> Vec<&'static str> {
    if version.is_some_and(|version| version >= WITHOUT_LEGACY) {
        return Vec::new();
    }
    port.legacy_names.iter().copied().chain(platform).chain(["tls"]).collect()
}

/// `_dl_important_hwcaps`: the levels, the best first; then every choice of the legacy names, the fullest first.
fn subdirectories(levels: &[&str], legacy: &[&str]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = levels.iter().map(|level| format!("glibc-hwcaps/{level}/").into_bytes()).collect();
    for choice in (0..1_u32 << legacy.len()).rev() {
        let chosen = (0..legacy.len()).rev().filter(|bit| choice & 1 << bit != 0);
        let name: Vec<u8> = chosen.flat_map(|bit| [legacy[bit].as_bytes(), b"/"].concat()).collect();
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_legacy_directories_in_the_loaders_order() {
        let all = subdirectories(&["x86-64-v2"], &["x86_64", "tls"]);
        let names: Vec<_> = all.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
        assert_eq!(names, ["glibc-hwcaps/x86-64-v2/", "tls/x86_64/", "tls/", "x86_64/", ""]);
    }

    #[test]
    fn reads_the_version() {
        let text = b"\0ld.so (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\n\0";
        assert_eq!(version(text), Some((2, 36)));
        assert_eq!(version(b" release version 9.9"), None);
    }
}
