//! The arguments of a call from a stopped process: its registers, its memory, and what the kernel says of its files.

use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;

use mkimage::trace::{Arguments, Flag, Handle};

/// The longest path that the kernel takes, with its end.
const LONGEST: usize = 4096;

/// A call that a process stopped before.
pub(super) struct Registers {
    pub(super) pid: i32,
    pub(super) name: &'static str,
    pub(super) arguments: [u64; 6],
}

impl Registers {
    fn argument(&self, place: usize) -> Option<u64> {
        self.arguments.get(place).copied()
    }

    /// An int in a register: what is above its 32 bits does not count.
    fn int(&self, place: usize) -> Option<i32> {
        u32::try_from(self.argument(place)? & 0xffff_ffff).ok().map(u32::cast_signed)
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Option<usize> {
        let memory = File::open(format!("/proc/{}/mem", self.pid)).ok()?;
        memory.read_at(bytes, address).ok()
    }

    /// A text with a NUL at its end, read up to the end of one page after the other: the next may not be there.
    fn text(&self, address: u64) -> Option<Vec<u8>> {
        const PAGE: usize = 4096;
        let mut text = Vec::new();
        let mut at = address;
        while at != 0 && text.len() < LONGEST {
            let mut page = [0; PAGE];
            let rest = PAGE - usize::try_from(at % PAGE as u64).ok()?;
            let count = self.read(at, page.get_mut(..rest)?)?;
            let read = page.get(..count).filter(|read| !read.is_empty())?;
            if let Some(end) = read.iter().position(|&byte| byte == 0) {
                text.extend_from_slice(&read[..end]);
                return Some(text);
            }
            text.extend_from_slice(read);
            at += count as u64;
        }
        None
    }

    fn link(&self, name: &str) -> Option<Vec<u8>> {
        let path = std::fs::read_link(format!("/proc/{}/{name}", self.pid)).ok()?;
        let path = path.into_os_string().into_vec();
        Some(path.strip_suffix(b" (deleted)").map_or(path.clone(), <[u8]>::to_vec))
    }
}

impl Arguments for Registers {
    fn path(&self, place: usize) -> Option<Vec<u8>> {
        self.text(self.argument(place)?)
    }

    fn handle(&self, place: usize) -> Option<Handle> {
        let number = self.int(place)?;
        if number == libc::AT_FDCWD {
            return Some(self.link("cwd").map_or(Handle::Cwd, Handle::Known));
        }
        Some(self.link(&format!("fd/{number}")).map_or(Handle::Descriptor(number), Handle::Known))
    }

    fn number(&self, place: usize) -> Option<i64> {
        self.int(place).map(i64::from)
    }

    fn has(&self, place: usize, flag: Flag) -> bool {
        let Some(mut word) = self.argument(place) else { return false };
        if matches!(self.name, "clone3" | "openat2") {
            let mut bytes = [0; 8];
            if self.read(word, &mut bytes) != Some(bytes.len()) {
                return false;
            }
            word = u64::from_ne_bytes(bytes);
        }
        word & flag.bits == flag.bits
    }

    fn socket(&self, place: usize) -> Option<Vec<u8>> {
        let mut address = [0; 110];
        let length = usize::try_from(self.argument(place + 1)?).ok()?.min(address.len());
        let count = self.read(self.argument(place)?, address.get_mut(..length)?)?;
        let family = u16::from_ne_bytes(*address.first_chunk()?);
        let path = address.get(2..count)?;
        let path = path.split(|&byte| byte == 0).next()?;
        (i32::from(family) == libc::AF_UNIX && !path.is_empty()).then(|| path.to_vec())
    }
}
