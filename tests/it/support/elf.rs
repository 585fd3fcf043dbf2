//! A writer of small ELF files with exactly the headers and tags that a test asks for. They hold no code.
#![expect(clippy::cast_possible_truncation, reason = "the files are small")]

/// An ELF file to be written.
#[derive(Clone)]
pub(crate) struct Elf {
    pub(crate) machine: u16,
    pub(crate) is_64: bool,
    pub(crate) is_big: bool,
    pub(crate) file_type: u16,
    pub(crate) os_abi: u8,
    pub(crate) abi_version: u8,
    pub(crate) flags: u32,
    pub(crate) entry: u64,
    pub(crate) interp: Option<String>,
    /// Tags with a string, in file order.
    pub(crate) strings: Vec<(u64, String)>,
    /// Tags with a number.
    pub(crate) numbers: Vec<(u64, u64)>,
    /// Versions that are required, by file; a name that ends in `?` is weak.
    pub(crate) verneed: Vec<(String, Vec<String>)>,
    pub(crate) verdef: Vec<String>,
    /// Dynamic symbols: those that begin with `-` are undefined.
    pub(crate) symbols: Vec<String>,
    /// Notes: owner, type, text.
    pub(crate) notes: Vec<(&'static str, u32, Vec<u8>)>,
    /// Bytes that stand somewhere in the file.
    pub(crate) data: Vec<u8>,
    pub(crate) has_dynamic: bool,
}

pub(crate) const NEEDED: u64 = 1;
pub(crate) const SONAME: u64 = 14;
pub(crate) const RPATH: u64 = 15;
pub(crate) const RUNPATH: u64 = 29;
pub(crate) const FLAGS_1: u64 = 0x6fff_fffb;
pub(crate) const AUDIT: u64 = 0x6fff_fefc;
pub(crate) const AUXILIARY: u64 = 0x7fff_fffd;
pub(crate) const FILTER: u64 = 0x7fff_ffff;

impl Elf {
    /// An x86-64 library.
    pub(crate) fn library() -> Self {
        Self {
            machine: 62,
            is_64: true,
            is_big: false,
            file_type: 3,
            os_abi: 0,
            abi_version: 0,
            flags: 0,
            entry: 0,
            interp: None,
            strings: Vec::new(),
            numbers: Vec::new(),
            verneed: Vec::new(),
            verdef: Vec::new(),
            symbols: Vec::new(),
            notes: Vec::new(),
            data: Vec::new(),
            has_dynamic: true,
        }
    }

    /// An x86-64 program.
    pub(crate) fn program(interp: &str) -> Self {
        Self { interp: Some(interp.to_owned()), numbers: vec![(FLAGS_1, 0x0800_0000)], ..Self::library() }
    }

    /// Adds a tag with a string.
    pub(crate) fn with(mut self, tag: u64, text: &str) -> Self {
        self.strings.push((tag, text.to_owned()));
        self
    }

    /// The file's bytes.
    pub(crate) fn write(&self) -> Vec<u8> {
        Writer { elf: self, names: vec![0], known: Vec::new() }.write()
    }
}

struct Writer<'a> {
    elf: &'a Elf,
    names: Vec<u8>,
    known: Vec<(String, u32)>,
}

impl Writer<'_> {
    fn write(mut self) -> Vec<u8> {
        let elf = self.elf;
        let (header_size, segment_size) = if elf.is_64 { (64, 56) } else { (52, 32) };
        let segments =
            1 + usize::from(elf.interp.is_some()) + usize::from(elf.has_dynamic) + usize::from(!elf.notes.is_empty());
        let mut body = Vec::new();
        let base = header_size + segments * segment_size;
        let interp = elf.interp.as_ref().map(|interp| put(&mut body, base, &[interp.as_bytes(), b"\0"].concat()));
        let note_bytes = self.notes();
        let notes = (!note_bytes.is_empty()).then(|| put(&mut body, base, &note_bytes));
        put(&mut body, base, &elf.data);

        let mut tags: Vec<(u64, u64)> = Vec::new();
        for (tag, text) in &elf.strings {
            let name = self.name(text);
            tags.push((*tag, name.into()));
        }
        tags.extend(&elf.numbers);
        let symbols = self.symbols();
        let symbol_count = elf.symbols.len() + 1;
        tags.push((6, put(&mut body, base, &symbols).0));
        let hash: Vec<u8> = [1, symbol_count as u32, 0].into_iter().flat_map(|word| self.word(word)).collect();
        let hash = [hash, vec![0; 4 * symbol_count]].concat();
        tags.push((4, put(&mut body, base, &hash).0));
        if !elf.verneed.is_empty() {
            let verneed = self.verneed();
            tags.push((0x6fff_fffe, put(&mut body, base, &verneed).0));
        }
        if !elf.verdef.is_empty() {
            let verdef = self.verdef();
            tags.push((0x6fff_fffc, put(&mut body, base, &verdef).0));
        }
        tags.push((5, put(&mut body, base, &self.names).0));
        tags.extend([(10, self.names.len() as u64), (0, 0)]);
        let dynamic: Vec<u8> =
            tags.iter().flat_map(|(tag, value)| [self.long(*tag), self.long(*value)].concat()).collect();
        let dynamic = put(&mut body, base, &dynamic);

        let whole = (0, (base + body.len()) as u64);
        let mut table = Vec::new();
        if let Some(interp) = interp {
            table.extend(self.segment(3, 4, interp, 1));
        }
        table.extend(self.segment(1, 6, whole, 0x1000));
        if elf.has_dynamic {
            table.extend(self.segment(2, 6, dynamic, 8));
        }
        if let Some(notes) = notes {
            table.extend(self.segment(4, 4, notes, 4));
        }
        [self.header(header_size, segment_size, segments), table, body].concat()
    }

    fn header(&self, header_size: usize, segment_size: usize, segments: usize) -> Vec<u8> {
        let elf = self.elf;
        let mut header = b"\x7fELF".to_vec();
        header.extend([if elf.is_64 { 2 } else { 1 }, if elf.is_big { 2 } else { 1 }, 1, elf.os_abi, elf.abi_version]);
        header.resize(16, 0);
        header.extend([self.half(elf.file_type), self.half(elf.machine)].concat());
        header.extend(self.word(1));
        header.extend([self.long(elf.entry), self.long(header_size as u64), self.long(0)].concat());
        header.extend(self.word(elf.flags));
        let section_size = if elf.is_64 { 64 } else { 40 };
        for half in [header_size, segment_size, segments, section_size, 0, 0] {
            header.extend(self.half(half as u16));
        }
        header
    }

    fn segment(&self, kind: u32, flags: u32, (offset, size): (u64, u64), alignment: u64) -> Vec<u8> {
        let mut segment = self.word(kind);
        if self.elf.is_64 {
            segment.extend(self.word(flags));
        }
        for number in [offset, offset, offset, size, size] {
            segment.extend(self.long(number));
        }
        if !self.elf.is_64 {
            segment.extend(self.word(flags));
        }
        segment.extend(self.long(alignment));
        segment
    }

    fn symbols(&mut self) -> Vec<u8> {
        let size = if self.elf.is_64 { 24 } else { 16 };
        let mut table = vec![0; size];
        for symbol in &self.elf.symbols {
            let name = self.name(symbol.trim_start_matches('-'));
            let section = u16::from(!symbol.starts_with('-'));
            let mut entry = self.word(name);
            if self.elf.is_64 {
                entry.extend([0x10, 0]);
                entry.extend(self.half(section));
                entry.resize(size, 0);
            } else {
                entry.resize(12, 0);
                entry.extend([0x10, 0]);
                entry.extend(self.half(section));
            }
            table.extend(entry);
        }
        table
    }

    fn verneed(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, (file, versions)) in self.elf.verneed.iter().enumerate() {
            let last = index + 1 == self.elf.verneed.len();
            let next = if last { 0 } else { 16 + 16 * versions.len() as u32 };
            bytes.extend([self.half(1), self.half(versions.len() as u16)].concat());
            for word in [self.name(file), 16, next] {
                bytes.extend(self.word(word));
            }
            for (index, version) in versions.iter().enumerate() {
                let (name, weak) = match version.strip_suffix('?') {
                    Some(name) => (name, 2),
                    None => (version.as_str(), 0),
                };
                bytes.extend(self.word(hash(name)));
                bytes.extend([self.half(weak), self.half(2)].concat());
                let next = if index + 1 == versions.len() { 0 } else { 16 };
                for word in [self.name(name), next] {
                    bytes.extend(self.word(word));
                }
            }
        }
        bytes
    }

    fn verdef(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, version) in self.elf.verdef.iter().enumerate() {
            let next = if index + 1 == self.elf.verdef.len() { 0 } else { 28 };
            for half in [1, 0, index as u16 + 1, 1] {
                bytes.extend(self.half(half));
            }
            for word in [hash(version), 20, next, self.name(version), 0] {
                bytes.extend(self.word(word));
            }
        }
        bytes
    }

    fn notes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (owner, kind, text) in &self.elf.notes {
            for word in [owner.len() as u32 + 1, text.len() as u32, *kind] {
                bytes.extend(self.word(word));
            }
            bytes.extend([owner.as_bytes(), b"\0"].concat());
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(text);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn name(&mut self, text: &str) -> u32 {
        if let Some((_, offset)) = self.known.iter().find(|(known, _)| known == text) {
            return *offset;
        }
        let offset = self.names.len() as u32;
        self.names.extend([text.as_bytes(), b"\0"].concat());
        self.known.push((text.to_owned(), offset));
        offset
    }

    fn half(&self, value: u16) -> Vec<u8> {
        if self.elf.is_big { value.to_be_bytes() } else { value.to_le_bytes() }.to_vec()
    }

    fn word(&self, value: u32) -> Vec<u8> {
        if self.elf.is_big { value.to_be_bytes() } else { value.to_le_bytes() }.to_vec()
    }

    /// A word of the class.
    fn long(&self, value: u64) -> Vec<u8> {
        if !self.elf.is_64 {
            return self.word(value as u32);
        }
        if self.elf.is_big { value.to_be_bytes() } else { value.to_le_bytes() }.to_vec()
    }
}

/// Puts bytes at the next multiple of 8 and tells where and how many.
fn put(body: &mut Vec<u8>, base: usize, bytes: &[u8]) -> (u64, u64) {
    body.resize((base + body.len()).next_multiple_of(8) - base, 0);
    let offset = base + body.len();
    body.extend(bytes);
    (offset as u64, bytes.len() as u64)
}

/// The hash of the System V ABI, by which versions are compared.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0_u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}
