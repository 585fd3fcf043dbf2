//! Notes: build-id, what the processor must have or protects, and systemd's words on packages and `dlopen`.

use std::io;

use scroll::Pread;
use serde::Deserialize;

use super::read::{ReadAt, Window};
use super::{Class, Object, Span};

/// The most note segments that are looked at, and the most bytes of one that are read.
const MOST_SEGMENTS: usize = 64;
const MOST_BYTES: usize = 64 << 10;

const NT_GNU_BUILD_ID: u32 = 3;
const NT_GNU_PROPERTY_TYPE_0: u32 = 5;
/// `ELF_NOTE_GOBUILDID_TAG` of Go's linker.
const NT_GO_BUILD_ID: u32 = 4;
/// <https://systemd.io/ELF_DLOPEN_METADATA>
const NT_FDO_DLOPEN: u32 = 0x407c_0c0a;
/// <https://systemd.io/ELF_PACKAGE_METADATA>
const NT_FDO_PACKAGE: u32 = 0xcafe_1a7e;

const GNU_PROPERTY_AARCH64_FEATURE_1_AND: u32 = 0xc000_0000;
const GNU_PROPERTY_X86_FEATURE_1_AND: u32 = 0xc000_0002;
const GNU_PROPERTY_X86_ISA_1_NEEDED: u32 = 0xc000_8002;

/// What the notes of an object say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notes {
    /// `NT_GNU_BUILD_ID`.
    pub build_id: Option<Vec<u8>>,
    /// Whether it has the build id of Go's linker.
    pub go_build_id: bool,
    /// FDO package metadata: JSON text.
    pub package: Option<String>,
    /// FDO `.note.dlopen`: what it may load later.
    pub dlopen: Vec<DlopenEntry>,
    /// Control-flow protection on x86: bit 0 IBT, bit 1 shadow stack.
    pub x86_features: u32,
    /// Control-flow protection on Arm: bit 0 BTI, bit 1 PAC, bit 2 GCS.
    pub aarch64_features: u32,
    /// Processor levels that it needs on x86: bits for the baseline, v2, v3, v4.
    pub x86_isa_needed: u32,
}

/// One entry of `.note.dlopen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DlopenEntry {
    /// Alternatives: the first that is there is loaded.
    pub sonames: Vec<String>,
    /// What for, in a word.
    pub feature: Option<String>,
    /// What for, in a sentence.
    pub description: Option<String>,
    /// How much it is wanted.
    pub priority: Priority,
}

/// How much a library of `.note.dlopen` is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// The object does not work without.
    Required,
    /// Installed by default.
    #[default]
    Recommended,
    /// On request.
    Suggested,
}

impl Priority {
    /// The word that stands in the note.
    pub fn word(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Recommended => "recommended",
            Self::Suggested => "suggested",
        }
    }
}

/// Reads the notes of some segments. What is damaged is left out.
pub(super) fn read<R: ReadAt + ?Sized>(
    window: &mut Window<'_, R>,
    object: &Object,
    segments: impl Iterator<Item = Span>,
) -> io::Result<Notes> {
    let mut notes = Notes::default();
    for span in segments.take(MOST_SEGMENTS) {
        each_note(window, object, span, |note| notes.take(object, note))?;
    }
    Ok(notes)
}

impl Notes {
    fn take(&mut self, object: &Object, note: &Note<'_>) {
        match (note.owner, note.number) {
            (b"GNU", NT_GNU_BUILD_ID) => self.build_id = Some(note.text.to_vec()),
            (b"GNU", NT_GNU_PROPERTY_TYPE_0) => each_property(object, note.text, |number, value| match number {
                GNU_PROPERTY_X86_FEATURE_1_AND => self.x86_features = value,
                GNU_PROPERTY_AARCH64_FEATURE_1_AND => self.aarch64_features = value,
                GNU_PROPERTY_X86_ISA_1_NEEDED => self.x86_isa_needed = value,
                _ => {}
            }),
            (b"Go", NT_GO_BUILD_ID) => self.go_build_id = true,
            (b"FDO", NT_FDO_PACKAGE) => self.package = until_nul(note.text).map(str::to_owned),
            (b"FDO", NT_FDO_DLOPEN) => self.dlopen.extend(until_nul(note.text).map(dlopen_entries).unwrap_or_default()),
            _ => {}
        }
    }
}

struct Note<'a> {
    owner: &'a [u8],
    number: u32,
    text: &'a [u8],
}

fn each_note<R: ReadAt + ?Sized>(
    window: &mut Window<'_, R>,
    object: &Object,
    span: Span,
    mut take: impl FnMut(&Note<'_>),
) -> io::Result<()> {
    let endian = object.context().le;
    let size = usize::try_from(span.size).unwrap_or(usize::MAX).min(MOST_BYTES);
    let bytes = window.up_to(span.offset, size)?;
    let alignment = if span.alignment == 8 { 8 } else { 4 };
    let mut at = 0;
    // namesz, descsz, type, then the owner's name and the text, each padded.
    while let Some(head) = bytes.get(at..at + 12) {
        let word = |offset| head.pread_with::<u32>(offset, endian).unwrap_or_default();
        let (name_size, text_size) = (word(0) as usize, word(4) as usize);
        if name_size.max(text_size) > bytes.len() {
            return Ok(());
        }
        let text_at = (12 + name_size).next_multiple_of(alignment);
        let name = bytes.get(at + 12..at + 12 + name_size);
        let text = bytes.get(at + text_at..at + text_at + text_size);
        let (Some(name), Some(text)) = (name, text) else { return Ok(()) };
        // Go's owner is padded with a second NUL.
        let owner = name.split(|&byte| byte == 0).next().unwrap_or_default();
        take(&Note { owner, number: word(8), text });
        at += text_at + text_size.next_multiple_of(alignment);
    }
    Ok(())
}

/// Hands over the GNU properties that hold one 32-bit word.
fn each_property(object: &Object, text: &[u8], mut take: impl FnMut(u32, u32)) {
    let endian = object.context().le;
    let alignment = if object.machine.class == Class::Elf64 { 8 } else { 4 };
    let mut at = 0;
    while let (Ok(number), Ok(size)) = (text.pread_with::<u32>(at, endian), text.pread_with::<u32>(at + 4, endian)) {
        if size >= 4
            && let Ok(value) = text.pread_with::<u32>(at + 8, endian)
        {
            take(number, value);
        }
        if size as usize > text.len() {
            return;
        }
        at += 8 + (size as usize).next_multiple_of(alignment);
    }
}

fn until_nul(text: &[u8]) -> Option<&str> {
    std::str::from_utf8(text.split(|&byte| byte == 0).next()?).ok()
}

/// An array of entries; early drafts had a single one. An entry that does not read is left out.
fn dlopen_entries(text: &str) -> Vec<DlopenEntry> {
    #[derive(Deserialize)]
    struct Entry {
        soname: OneOrMore,
        feature: Option<String>,
        description: Option<String>,
        priority: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    let entries = match serde_json::from_str(text) {
        Ok(serde_json::Value::Array(entries)) => entries,
        Ok(entry @ serde_json::Value::Object(_)) => vec![entry],
        _ => return Vec::new(),
    };
    let parsed = entries.into_iter().filter_map(|entry| serde_json::from_value::<Entry>(entry).ok());
    let entry = |entry: Entry| DlopenEntry {
        sonames: match entry.soname {
            OneOrMore::One(soname) => vec![soname],
            OneOrMore::More(sonames) => sonames,
        },
        feature: entry.feature,
        description: entry.description,
        priority: match entry.priority.as_deref() {
            Some("required") => Priority::Required,
            Some("suggested") => Priority::Suggested,
            _ => Priority::Recommended,
        },
    };
    parsed.map(entry).collect()
}

impl Notes {
    /// The processor levels that are needed, each below the next.
    pub fn x86_levels_needed(&self) -> Vec<&'static str> {
        let all = ["baseline", "x86-64-v2", "x86-64-v3", "x86-64-v4"].into_iter().enumerate();
        all.filter_map(|(bit, name)| (self.x86_isa_needed & 1 << bit != 0).then_some(name)).collect()
    }

    /// The processor level that is needed, when that is above the baseline.
    pub fn x86_level_needed(&self) -> Option<&'static str> {
        match self.x86_isa_needed {
            bits if bits & 8 != 0 => Some("x86-64-v4"),
            bits if bits & 4 != 0 => Some("x86-64-v3"),
            bits if bits & 2 != 0 => Some("x86-64-v2"),
            _ => None,
        }
    }
}
