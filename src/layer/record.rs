//! The tar records of one entry: a ustar header, and a PAX header before it where ustar has no room.
//!
//! In: a path and an [`Entry`]. Out: the 512-byte records that stand before the file's bytes. Equal entries give
//! equal records: no user names, no access times, one constant modification time.

use tar::EntryType;

use crate::path::ImagePath;
use crate::tree::{Entry, EntryKind, Tree};

/// The unit of tar.
pub(super) const BLOCK: usize = 512;

/// The room for a name, and for the target of a link.
const NAME: usize = 100;
/// The largest number in a ustar field of 8 bytes: seven octal digits.
const MOST_ID: u32 = 0o7_777_777;
/// The largest number in a ustar field of 12 bytes: eleven octal digits.
const MOST_SIZE: u64 = 0o77_777_777_777;

/// An entry as the archive holds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    path: &'a ImagePath,
    entry: &'a Entry,
    /// Whose owner, mode and times count: the entry itself, or what it is a hard link of.
    inode: &'a Entry,
}

impl<'a> Member<'a> {
    /// The member for an entry of a tree.
    pub(super) fn new(tree: &'a Tree, path: &'a ImagePath, entry: &'a Entry) -> Self {
        let inode = match &entry.kind {
            EntryKind::HardLink(target) => tree.get(target).unwrap_or(entry),
            _ => entry,
        };
        Self { path, entry, inode }
    }

    pub(super) fn path(&self) -> &'a ImagePath {
        self.path
    }

    pub(super) fn entry(&self) -> &'a Entry {
        self.entry
    }

    /// The size of its data, without padding.
    pub(super) fn data(&self) -> u64 {
        self.entry.content().map_or(0, crate::source::Content::size)
    }

    /// The size of the records before its data.
    pub(super) fn head_size(&self) -> usize {
        let records = self.pax_records();
        if records.is_empty() { BLOCK } else { 2 * BLOCK + records.len().next_multiple_of(BLOCK) }
    }

    /// Writes the records before its data.
    pub(super) fn write_head(&self, out: &mut Vec<u8>) {
        let records = self.pax_records();
        if !records.is_empty() {
            let mut header = blank(EntryType::XHeader, 0o644);
            put(&mut ustar(&mut header).name, b"./PaxHeaders/0");
            octal(&mut ustar(&mut header).size, records.len() as u64);
            sum_up(&mut header);
            out.extend_from_slice(header.as_bytes());
            out.extend_from_slice(&records);
            out.resize(out.len().next_multiple_of(BLOCK), 0);
        }
        out.extend_from_slice(self.header().as_bytes());
    }

    /// The name in the archive: relative, a folder's with a `/` at its end.
    fn name(&self) -> Vec<u8> {
        let mut name = self.path.relative().to_vec();
        if self.entry.is_directory() {
            name.push(b'/');
        }
        name
    }

    fn link(&self) -> &[u8] {
        match &self.entry.kind {
            EntryKind::Symlink(target) => target,
            EntryKind::HardLink(target) => target.relative(),
            EntryKind::File(_) | EntryKind::Directory => b"",
        }
    }

    fn mtime(&self) -> i64 {
        self.inode.mtime.unwrap_or(crate::MTIME)
    }

    fn header(&self) -> tar::Header {
        let kind = match self.entry.kind {
            EntryKind::File(_) => EntryType::Regular,
            EntryKind::HardLink(_) => EntryType::Link,
            EntryKind::Directory => EntryType::Directory,
            EntryKind::Symlink(_) => EntryType::Symlink,
        };
        let mut header = blank(kind, self.inode.mode & 0o7777);
        let name = self.name();
        let (prefix, rest) = split(&name).unwrap_or((b"", &name));
        let fields = ustar(&mut header);
        put(&mut fields.prefix, prefix);
        put(&mut fields.name, rest);
        put(&mut fields.linkname, self.link());
        // What does not fit is in the PAX header, and zero here.
        octal(&mut fields.uid, u64::from(if self.inode.uid > MOST_ID { 0 } else { self.inode.uid }));
        octal(&mut fields.gid, u64::from(if self.inode.gid > MOST_ID { 0 } else { self.inode.gid }));
        octal(&mut fields.size, if self.data() > MOST_SIZE { 0 } else { self.data() });
        octal(&mut fields.mtime, u64::try_from(self.mtime()).ok().filter(|&time| time <= MOST_SIZE).unwrap_or(0));
        sum_up(&mut header);
        header
    }

    /// The records of the PAX header, sorted by key; empty when none is needed.
    fn pax_records(&self) -> Vec<u8> {
        let link = self.link();
        // Nearly all names fit.
        let name = if self.path.relative().len() < NAME { Vec::new() } else { self.name() };
        let long_name = split(&name).is_none();
        let long_link = link.len() > NAME;
        let mut records = Vec::new();
        let is_link = matches!(self.entry.kind, EntryKind::HardLink(_));
        for (key, value) in self.inode.xattrs.iter().filter(|_| !is_link) {
            record(&mut records, &format!("SCHILY.xattr.{key}"), value);
        }
        if self.inode.gid > MOST_ID {
            record(&mut records, "gid", self.inode.gid.to_string().as_bytes());
        }
        let not_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_err();
        if (long_name && not_text(&name)) || (long_link && not_text(link)) {
            // POSIX wants UTF-8 in these records unless this one says otherwise.
            record(&mut records, "hdrcharset", b"BINARY");
        }
        if long_link {
            record(&mut records, "linkpath", link);
        }
        if !u64::try_from(self.mtime()).is_ok_and(|time| time <= MOST_SIZE) {
            record(&mut records, "mtime", self.mtime().to_string().as_bytes());
        }
        if long_name {
            record(&mut records, "path", &name);
        }
        if self.data() > MOST_SIZE {
            record(&mut records, "size", self.data().to_string().as_bytes());
        }
        if self.inode.uid > MOST_ID {
            record(&mut records, "uid", self.inode.uid.to_string().as_bytes());
        }
        records
    }
}

/// A header in which every number is zero but the mode.
fn blank(kind: EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    let fields = ustar(&mut header);
    octal(&mut fields.mode, u64::from(mode));
    for field in [&mut fields.uid, &mut fields.gid, &mut fields.dev_major, &mut fields.dev_minor] {
        octal(field, 0);
    }
    octal(&mut fields.size, 0);
    octal(&mut fields.mtime, 0);
    header
}

/// Writes a number that fits: octal digits, and a NUL at the end. As `tar`'s own, which makes a string of each.
fn octal(field: &mut [u8], mut number: u64) {
    let Some((end, digits)) = field.split_last_mut() else { return };
    *end = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number & 7) as u8;
        number >>= 3;
    }
}

/// Writes the sum of all bytes, in which its own field counts as spaces.
fn sum_up(header: &mut tar::Header) {
    ustar(header).cksum = [b' '; 8];
    let sum: u32 = header.as_bytes().iter().map(|byte| u32::from(*byte)).sum();
    octal(&mut ustar(header).cksum, u64::from(sum));
}

fn ustar(header: &mut tar::Header) -> &mut tar::UstarHeader {
    header.as_ustar_mut().expect("made as ustar")
}

/// Copies what fits; the rest is in the PAX header.
fn put(field: &mut [u8], value: &[u8]) {
    let count = value.len().min(field.len());
    field[..count].copy_from_slice(&value[..count]);
}

/// Splits a name over the `prefix` (155 bytes) and `name` (100 bytes) fields, at the first `/` that does.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME {
        return Some((b"", name));
    }
    // The `/` at the end of a folder's name would leave nothing for the `name` field.
    let slashes = name[..name.len() - 1].iter().enumerate().filter(|&(_, &byte)| byte == b'/');
    let (cut, _) = slashes.into_iter().find(|&(at, _)| name.len() - at - 1 <= NAME)?;
    (cut <= 155).then(|| (&name[..cut], &name[cut + 1..]))
}

/// One PAX record, `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Content;
    use crate::tree::{Cause, Rank, Reason};

    #[test]
    fn record_counts_itself() {
        let length_of = |value: usize| {
            let mut out = Vec::new();
            record(&mut out, "path", &vec![b'x'; value]);
            let text = String::from_utf8(out.clone()).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse::<usize>().unwrap(), out.len());
            out.len()
        };
        assert_eq!([length_of(1), length_of(90), length_of(91), length_of(990)], [9, 99, 101, 1001]);
    }

    #[test]
    fn headers_are_those_that_the_tar_crate_writes() {
        for (mode, number, time) in [(0o644, 0, 0), (0o4755, 1000, 315_532_800), (0o7777, MOST_ID, MOST_SIZE)] {
            let entry = |kind: EntryKind| {
                let reason = Reason::new(Cause::Generated("a test"), None);
                let mut entry = Entry::new(kind, mode, Rank::Generated, reason);
                (entry.uid, entry.gid, entry.mtime) = (number, number, Some(time.cast_signed()));
                entry
            };
            let tree = Tree::default();
            let kinds = [
                (EntryKind::File(Content::bytes(vec![1; 999])), EntryType::Regular, "a/file", ""),
                (EntryKind::Symlink(b"over/there".to_vec()), EntryType::Symlink, "a/link", "over/there"),
                (EntryKind::Directory, EntryType::Directory, "a/folder/", ""),
            ];
            for (kind, tar_kind, name, link) in kinds {
                let (path, entry) = (ImagePath::new(format!("/{name}")).unwrap(), entry(kind));
                let mut expected = tar::Header::new_ustar();
                expected.set_entry_type(tar_kind);
                expected.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
                expected.as_ustar_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
                expected.set_mode(mode);
                expected.set_uid(u64::from(number));
                expected.set_gid(u64::from(number));
                expected.set_mtime(time);
                expected.set_size(if tar_kind == EntryType::Regular { 999 } else { 0 });
                expected.set_device_major(0).unwrap();
                expected.set_device_minor(0).unwrap();
                expected.set_cksum();
                let mut head = Vec::new();
                Member::new(&tree, &path, &entry).write_head(&mut head);
                assert_eq!(head, expected.as_bytes(), "{name}");
            }
        }
    }

    #[test]
    fn names_split_at_a_slash_or_not_at_all() {
        assert_eq!(split(b"a/b"), Some((b"".as_slice(), b"a/b".as_slice())));
        let long = [vec![b'a'; 155], b"/".to_vec(), vec![b'b'; 100]].concat();
        assert_eq!(split(&long), Some((&long[..155], &long[156..])));
        assert_eq!(split(&[vec![b'a'; 156], b"/".to_vec(), vec![b'b'; 100]].concat()), None);
        assert_eq!(split(&[vec![b'a'; 155], b"/".to_vec(), vec![b'b'; 101]].concat()), None);
        assert_eq!(split(&[vec![b'a'; 101], b"/".to_vec()].concat()), None);
    }
}
