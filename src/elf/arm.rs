//! For which 32-bit Arm processors a file is compiled: its build attributes ("Addenda to, and Errata in, the ABI for
//! the Arm Architecture", section "Public build attributes").

use std::io;

use goblin::elf::header::EM_ARM;

use super::read::{ReadAt, Window};
use super::{Endian, Object};

/// `SHT_ARM_ATTRIBUTES`.
const SHT_ARM_ATTRIBUTES: u32 = 0x7000_0003;
/// `EF_ARM_ABI_FLOAT_SOFT`: only processors before v6 want for a floating-point unit.
const SOFT_FLOAT: u32 = 0x200;
/// Attributes are some dozen bytes.
const MOST_BYTES: usize = 64 << 10;
/// `Tag_File`: attributes of the whole file.
const TAG_FILE: u64 = 1;
/// `Tag_CPU_arch`.
const TAG_CPU_ARCH: u64 = 6;
/// `Tag_compatibility`: a number and a string.
const TAG_COMPATIBILITY: u64 = 32;

impl Object {
    /// The version of the architecture that a file for 32-bit Arm needs, 5 to 8; `None` when it does not say.
    ///
    /// # Errors
    /// When the file could not be read.
    pub fn arm_version<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<Option<u32>> {
        if self.machine.number != EM_ARM {
            return Ok(None);
        }
        let sections = self.sections(reader)?;
        if let Some(section) = sections.iter().find(|section| section.sh_type == SHT_ARM_ATTRIBUTES) {
            let size = usize::try_from(section.sh_size).unwrap_or(usize::MAX).min(MOST_BYTES);
            let mut window = Window::new(reader);
            let bytes = window.up_to(section.sh_offset, size)?;
            if let Some(number) = cpu_architecture(bytes, self.machine.endian) {
                return Ok(Some(version(number)));
            }
        }
        Ok((self.flags & SOFT_FLOAT != 0).then_some(5))
    }
}

/// The version that a value of `Tag_CPU_arch` stands for.
fn version(number: u64) -> u32 {
    match number {
        0..=5 => 5,
        6..=9 | 11 | 12 => 6,
        10 | 13 => 7,
        _ => 8,
    }
}

/// `Tag_CPU_arch` of the whole file. A section is `A`, then for each vendor the size of what it says, its name, and
/// groups of attributes, each with a tag and a size.
fn cpu_architecture(section: &[u8], endian: Endian) -> Option<u64> {
    let word = |bytes: &[u8]| -> Option<usize> {
        let bytes: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
        let number = if endian == Endian::Little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
        usize::try_from(number).ok()
    };
    let mut rest = section.strip_prefix(b"A")?;
    while !rest.is_empty() {
        let size = word(rest).filter(|size| *size > 4)?;
        let vendor = rest.get(4..size)?;
        rest = &rest[size..];
        let Some(mut groups) = vendor.strip_prefix(b"aeabi\0") else { continue };
        while let Some((tag, after)) = number(groups) {
            let size = word(after)?;
            let head = groups.len() - after.len() + 4;
            let attributes = groups.get(head..size.max(head))?;
            if tag == TAG_FILE {
                return attribute(attributes, TAG_CPU_ARCH);
            }
            groups = groups.get(size.max(head)..)?;
        }
    }
    None
}

/// The number that a tag has: what comes before it is skipped by the rule of its kind.
fn attribute(mut attributes: &[u8], wanted: u64) -> Option<u64> {
    loop {
        let (tag, after) = number(attributes)?;
        let is_text = matches!(tag, 4 | 5) || (tag > TAG_COMPATIBILITY && tag % 2 == 1);
        attributes = if is_text {
            text(after)?
        } else {
            let (value, after) = number(after)?;
            if tag == wanted {
                return Some(value);
            }
            if tag == TAG_COMPATIBILITY { text(after)? } else { after }
        };
    }
}

/// What stands behind a string.
fn text(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(memchr::memchr(0, bytes)? + 1..)
}

/// A number of seven bits a byte (ULEB128), and what stands behind it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Debian's compilers write it: the name of the processor, then its architecture.
    const ARMHF: &[u8] = b"A\x2c\0\0\0aeabi\0\x01\x22\0\0\0\x057-A\0\x06\x0a\x07A\x08\x01\x09\x02\x0a\x04\x12\x04\x14\x01\x15\x01\x17\x03\x18\x01\x19\x01\x1a\x02\x1c\x01";

    #[test]
    fn the_architecture_is_found_among_attributes() {
        assert_eq!(cpu_architecture(ARMHF, Endian::Little), Some(10));
        let other_first = [b"A\x0a\0\0\0other\0".as_slice(), &ARMHF[1..]].concat();
        assert_eq!(cpu_architecture(&other_first, Endian::Little), Some(10));
        for cut in 0..=usize::from(ARMHF[1]) {
            // No cut panics; what is cut off before the number has none.
            let found = cpu_architecture(&ARMHF[..cut], Endian::Little);
            assert!(found.is_none(), "{cut}: {found:?}");
        }
        for byte in 0..ARMHF.len() {
            let mut flipped = ARMHF.to_vec();
            flipped[byte] ^= 0xff;
            cpu_architecture(&flipped, Endian::Little);
            cpu_architecture(&flipped, Endian::Big);
        }
        assert_eq!([0, 4, 6, 9, 10, 13, 14].map(version), [5, 5, 6, 6, 7, 7, 8]);
    }
}
