//! Native libraries inside of the image's jars: what Java code unpacks to `/tmp` and loads at run time.
//!
//! In: jars, and jars in jars. Out: the libraries that members for the image's machine and C library need, to be found
//! as the loader will find them for a file in `/tmp`. Members for other machines are nothing to the image.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::bring::Found;
use super::lookup::there;
use super::template::Folders;
use super::zip::Archive;
use super::{Libc, Seen, UNPACKED, UNREADABLE, Want};
use crate::elf::{self, Machine};
use crate::path::{ImagePath, show};
use crate::report::{Diagnostic, Result, plain};
use crate::source::{Content, Reader};

/// The largest library or inner jar that is looked into.
const LARGEST: u64 = 512 << 20;
/// How many jars deep: one that holds an application's libraries holds jars.
const DEEPEST: usize = 2;

/// What was learnt of jars, each read once: the libraries in it, or why it can't be read.
pub(super) type Jars = BTreeMap<ImagePath, Result<Vec<Native>, String>>;

/// A library in a jar.
#[derive(Debug, Clone)]
pub(super) struct Native {
    /// Its path in the jar; `!/` stands between a jar and what is in it.
    member: String,
    machine: Machine,
    soname: Option<Vec<u8>>,
    needed: Vec<Vec<u8>>,
}

/// Adds what libraries in jars need.
pub(super) fn add(seen: &Seen<'_>, folders: &Folders, jars: &mut Jars, found: &mut Found) -> Result<()> {
    let Some(host) = host(seen) else { return Ok(()) };
    let Some(machine) = machine(seen, host)? else { return Ok(()) };
    for (path, entry) in seen.image.iter().filter(|(path, _)| is_jar(path.name())) {
        if let Some(content) = entry.content() {
            let known = jars.entry(path.clone());
            if let Err(why) = known.or_insert_with(|| natives(content).map_err(|error| plain(&error))) {
                let title = format!("what libraries `{path}` holds is unknown: it {why}");
                found.notes.push(Diagnostic::warning(UNREADABLE, title));
            }
        }
    }
    let all = jars.iter().flat_map(|(path, natives)| natives.iter().flatten().map(move |native| (path, native)));
    let fitting: Vec<_> = all.filter(|(_, native)| native.machine == machine && native.is_for(seen.libc)).collect();
    let provided: BTreeSet<&[u8]> = fitting.iter().flat_map(|(_, native)| native.names()).collect();
    let mut known = BTreeSet::new();
    for (path, native) in &fitting {
        for name in native.needed.iter().filter(|name| !provided.contains(name.as_slice())) {
            if is_name(name) && !of_the_runtime(seen, folders, name)? && known.insert(name) {
                let want = Want::Load { name: name.clone(), by: Some(host.clone()) };
                found.because.push((want, format!("{path} holds {}", native.member)));
            }
        }
    }
    found.notes.extend(note(&fitting));
    Ok(())
}

/// Libraries that are unpacked want a place from which they may be loaded.
fn note(natives: &[(&ImagePath, &Native)]) -> Option<Diagnostic> {
    let (path, first) = natives.first()?;
    let title = format!("`{path}` holds `{}`, which is unpacked to `/tmp` at run time", first.member);
    let mut note = Diagnostic::note_of(UNPACKED, title);
    let jars: BTreeSet<&ImagePath> = natives.iter().map(|(path, _)| *path).collect();
    if jars.len() > 1 {
        note = note.note(format!("so do {} more jars", jars.len() - 1));
    }
    Some(note.note(
        "`/tmp` must be writable and not `noexec`: `docker run --tmpfs /tmp` mounts it so, `--tmpfs /tmp:exec` is right",
    ))
}

fn is_jar(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    [b".jar".as_slice(), b".war", b".ear"].iter().any(|end| name.ends_with(end))
}

/// Whether a loader would search for it: not a path, and none of the texts that name a folder.
fn is_name(name: &[u8]) -> bool {
    !name.contains(&b'/') && !matches!(name, b"" | b"." | b"..")
}

/// The program that loads them.
fn host<'a>(seen: &Seen<'a>) -> Option<&'a ImagePath> {
    let jvm = |path: &&ImagePath| path.name() == b"java" || path.name() == b"libjvm.so";
    let objects: &'a [super::Object] = seen.objects;
    seen.programs.iter().chain(objects.iter().map(|object| &object.real)).find(jvm)
}

fn machine(seen: &Seen<'_>, host: &ImagePath) -> Result<Option<Machine>> {
    let Some(found) = there(seen.view, host)? else { return Ok(None) };
    let Some(reader) = found.node.content().and_then(|content| content.open().ok()) else { return Ok(None) };
    Ok(elf::Object::parse(&reader).ok().map(|object| object.machine))
}

/// Whether the JVM has a library loaded, or beside those that it has.
fn of_the_runtime(seen: &Seen<'_>, folders: &Folders, name: &[u8]) -> Result<bool> {
    for home in folders.get("home").into_iter().flatten().filter_map(|home| ImagePath::new(home).ok()) {
        for folder in [b"lib".as_slice(), b"lib/server"] {
            let path = home.join_path(folder).and_then(|folder| folder.join_path(name));
            if path.map_or(Ok(None), |path| there(seen.view, &path))?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

impl Native {
    /// The names by which libraries that are unpacked beside it ask for it.
    fn names(&self) -> impl Iterator<Item = &[u8]> {
        let file = self.member.rsplit('/').next().map(str::as_bytes);
        file.into_iter().chain(self.soname.as_deref())
    }

    /// Whether it is for the image's C library: by the one that it needs, else by its path.
    fn is_for(&self, libc: Option<Libc>) -> bool {
        let needs = |it: fn(&[u8]) -> bool| self.needed.iter().any(|name| it(name));
        let musl = needs(|name| name.starts_with(b"libc.musl-") || name.starts_with(b"ld-musl-") || name == b"libc.so");
        let glibc = needs(|name| name == b"libc.so.6");
        match libc {
            Some(Libc::Glibc(_)) => glibc || !musl && !self.member.contains("musl"),
            Some(Libc::Musl) => !glibc,
            None => false,
        }
    }
}

/// The libraries in a jar.
fn natives(jar: &Content) -> io::Result<Vec<Native>> {
    let mut natives = Vec::new();
    look(&jar.open()?, "", DEEPEST, &mut natives)?;
    Ok(natives)
}

fn look(jar: &Reader, above: &str, depth: usize, natives: &mut Vec<Native>) -> io::Result<()> {
    let archive = Archive::open(jar)?;
    for member in &archive.members {
        let shown = || format!("{above}{}", show(&member.name));
        if is_library(&member.name) {
            natives.extend(library(archive.read(member, LARGEST)?, shown)?);
        } else if depth > 1 && is_jar(&member.name) {
            let mut bytes = Vec::new();
            archive.read(member, LARGEST)?.read_to_end(&mut bytes)?;
            look(&Content::bytes(bytes).open()?, &format!("{}!/", shown()), depth - 1, natives)?;
        }
    }
    jar.finish()
}

/// As Linux names them, and as Java once did.
fn is_library(name: &[u8]) -> bool {
    let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name.ends_with(b".so") || name.ends_with(b".jnilib") || memchr::memmem::find(name, b".so.").is_some()
}

/// A member as a library, when it is an ELF file. Of others, the beginning is read alone.
fn library(mut member: Box<dyn Read + '_>, shown: impl Fn() -> String) -> io::Result<Option<Native>> {
    let mut bytes = Vec::new();
    member.by_ref().take(4).read_to_end(&mut bytes)?;
    if bytes != b"\x7fELF" {
        return Ok(None);
    }
    member.read_to_end(&mut bytes)?;
    let Ok(object) = elf::Object::parse(bytes.as_slice()) else { return Ok(None) };
    Ok(Some(Native {
        member: shown(),
        machine: object.machine,
        soname: object.soname().map(|name| name.to_vec()),
        needed: object.needed().map(|name| name.to_vec()).collect(),
    }))
}
