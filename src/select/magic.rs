//! What a file is by its first bytes.

use std::io;

use sha2::{Digest, Sha256};

use crate::path::ImagePath;
use crate::source::Content;

/// Endings of files that no loader maps. A file with one of these, that its owner may not execute, is not opened to
/// see whether it is an ELF file: a language's library holds thousands of them.
const TEXTS: [&str; 40] = [
    "py", "pyc", "pyi", "js", "mjs", "cjs", "ts", "map", "json", "html", "htm", "css", "md", "rst", "txt", "h", "c",
    "hpp", "cpp", "svg", "png", "gif", "jpg", "jpeg", "gz", "xz", "zip", "xml", "yml", "yaml", "toml", "cfg", "conf",
    "pl", "pm", "rb", "php", "sql", "tcl", "pem",
];

/// Whether a file is none that a loader maps by its name and mode alone.
pub fn is_text(path: &ImagePath, mode: u32) -> bool {
    mode & 0o111 == 0 && has_text_ending(path.name())
}

/// Whether a file may be one that a loader maps: by its magic, unless its name says otherwise.
pub(super) fn may_be_elf(path: &ImagePath, mode: u32, content: &Content) -> io::Result<bool> {
    if is_text(path, mode) {
        return Ok(false);
    }
    is_elf(content)
}

/// Whether a file is an ELF file, by its first bytes.
///
/// # Errors
/// When it can't be read.
pub fn is_elf(content: &Content) -> io::Result<bool> {
    // Shorter than the header of the smaller class.
    if content.size() < 52 {
        return Ok(false);
    }
    let mut magic = [0; 4];
    content.open()?.read_exact_at(&mut magic, 0)?;
    Ok(&magic == b"\x7fELF")
}

fn has_text_ending(name: &[u8]) -> bool {
    let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else { return false };
    TEXTS.iter().any(|ending| ending.as_bytes() == &name[dot + 1..])
}

/// A time that changes when the content does: between 1980 and 2107, what ZIP files can hold.
pub(super) fn content_time(content: &Content) -> io::Result<i64> {
    let mut hash = Sha256::new();
    content.each_part(|part| hash.update(part))?;
    let digest = hash.finalize();
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    // Two-second steps, as ZIP has, over about 127 years would overrun 32-bit clocks: thirty years will do.
    Ok(crate::MTIME + 2 * i64::from(number % (30 * 365 * 86_400 / 2)))
}
