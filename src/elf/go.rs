//! Whether the Go compiler made a file. Its linker makes other choices than those of C: fixed addresses, no RELRO, no
//! canaries; a rule that asks for them has to know.

use std::io;

use goblin::elf::program_header::{PF_W, PF_X};

use super::Object;
use super::read::{ReadAt, Window};

/// Sections that only Go's linker writes.
const SECTIONS: [&[u8]; 3] = [b".go.buildinfo", b".note.go.buildid", b".gopclntab"];
/// `debug/buildinfo`: stands at a multiple of 16 in the first writable segment.
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// How much of the segment is looked through: the information stands at its beginning.
const BEGINNING: usize = 64 << 10;

impl Object {
    /// Whether the Go compiler made it: by the note of its build id, which `-buildid=` leaves out, by its sections,
    /// which may be stripped, or by the build information in its data.
    ///
    /// # Errors
    /// When the file could not be read.
    pub fn is_go<R: ReadAt + ?Sized>(&self, reader: &R) -> io::Result<bool> {
        if self.notes.go_build_id {
            return Ok(true);
        }
        let sections = self.section_names(reader)?;
        if !sections.is_empty() {
            return Ok(sections.iter().any(|name| SECTIONS.contains(&&**name)));
        }
        let Some(data) = self.loads.iter().find(|load| load.flags & (PF_W | PF_X) == PF_W) else { return Ok(false) };
        let length = usize::try_from(data.file_size).unwrap_or(usize::MAX).min(BEGINNING);
        let mut window = Window::new(reader);
        let bytes = window.up_to(data.offset, length)?;
        Ok(bytes.chunks(16).any(|chunk| chunk.starts_with(MAGIC)))
    }
}
