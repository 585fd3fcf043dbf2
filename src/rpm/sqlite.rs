//! SQLite's file format, as far as rpm's one table needs it: rows of a number and a blob, read and written.
//!
//! Read by the file alone, without a lock and without SQLite: nothing of a root is written or executed. A write-ahead
//! log that holds changes is refused, since the table alone would be an old one.

use std::collections::BTreeSet;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The size of pages that are written: SQLite's own default.
const PAGE: usize = 4096;
const TABLE: &str = "Packages";
const SCHEMA: &str = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)";
/// The largest blob that is read.
const LARGEST: u64 = 64 << 20;

/// Why bytes are no such database. Completes "it ...".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDatabase {
    /// It begins as something else.
    #[error("is no database of SQLite")]
    NotOne,
    /// It has no such table.
    #[error("has no table of packages")]
    NoTable,
    /// Something in it leads out of it, or in a circle.
    #[error("is damaged")]
    Damaged,
}

/// The blobs of the table of packages, in the order of their numbers.
///
/// # Errors
/// When it is no such database.
pub fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, BadDatabase> {
    let file = File::open(bytes)?;
    let schema = file.rows(1)?;
    let root = schema.into_iter().find_map(|row| {
        let [kind, _, table, root, ..] = record(&row)?.try_into().ok().map(|all: [Value; 5]| all)?;
        (kind == Value::Text(b"table".to_vec()) && table == Value::Text(TABLE.into())).then_some(root)
    });
    let Some(Value::Number(root)) = root else { return Err(BadDatabase::NoTable) };
    let rows = file.rows(usize::try_from(root).map_err(|_| BadDatabase::Damaged)?)?;
    let blob = |row: Vec<u8>| match record(&row).unwrap_or_default().pop() {
        Some(Value::Blob(blob)) => Ok(blob),
        _ => Err(BadDatabase::Damaged),
    };
    rows.into_iter().map(blob).collect()
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Null,
    Number(i64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

struct File<'a> {
    bytes: &'a [u8],
    page: usize,
    /// What of a page may be used.
    usable: usize,
}

impl<'a> File<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, BadDatabase> {
        let head = bytes.get(..100).filter(|head| head.starts_with(MAGIC)).ok_or(BadDatabase::NotOne)?;
        let page = match u16::from_be_bytes([head[16], head[17]]) {
            1 => 65536,
            size => usize::from(size),
        };
        let usable = page.saturating_sub(head[20].into());
        if !page.is_power_of_two() || usable < 480 {
            Err(BadDatabase::NotOne)
        } else {
            Ok(Self { bytes, page, usable })
        }
    }

    /// A page by its number, from 1 on.
    fn page(&self, number: usize) -> Result<&'a [u8], BadDatabase> {
        let start = number.checked_sub(1).and_then(|number| number.checked_mul(self.page));
        let range = start.and_then(|start| Some(start..start.checked_add(self.page)?));
        range.and_then(|range| self.bytes.get(range)).ok_or(BadDatabase::Damaged)
    }

    /// The payloads of a table's rows, in order.
    fn rows(&self, root: usize) -> Result<Vec<Vec<u8>>, BadDatabase> {
        let (mut rows, mut seen) = (Vec::new(), BTreeSet::new());
        let mut total = 0;
        let mut pages = vec![root];
        while let Some(number) = pages.pop() {
            if !seen.insert(number) {
                return Err(BadDatabase::Damaged);
            }
            let page = self.page(number)?;
            let at = if number == 1 { 100 } else { 0 };
            let half = |at: usize| page.get(at..at + 2).map(|two| usize::from(u16::from_be_bytes([two[0], two[1]])));
            let cells = half(at + 3).ok_or(BadDatabase::Damaged)?;
            let is_leaf = match page.get(at) {
                Some(0x0d) => true,
                Some(0x05) => false,
                _ => return Err(BadDatabase::Damaged),
            };
            let first = at + if is_leaf { 8 } else { 12 };
            let places: Vec<usize> = (0..cells).map_while(|cell| half(first + 2 * cell)).collect();
            if is_leaf {
                for place in places {
                    let row = self.payload(page, place)?;
                    // No two rows have a byte in common: more than the file holds is a trick.
                    total += row.len();
                    if total > self.bytes.len() {
                        return Err(BadDatabase::Damaged);
                    }
                    rows.push(row);
                }
            } else {
                // The last child comes last, and is pushed first.
                pages.push(word(page, at + 8).ok_or(BadDatabase::Damaged)?);
                for place in places.into_iter().rev() {
                    pages.push(word(page, place).ok_or(BadDatabase::Damaged)?);
                }
            }
        }
        Ok(rows)
    }

    /// A row's payload, with what overflows into pages of its own.
    fn payload(&self, page: &[u8], place: usize) -> Result<Vec<u8>, BadDatabase> {
        let mut rest = page.get(place..).ok_or(BadDatabase::Damaged)?;
        let size = varint(&mut rest).filter(|size| *size <= LARGEST).ok_or(BadDatabase::Damaged)?;
        varint(&mut rest).ok_or(BadDatabase::Damaged)?;
        let size = usize::try_from(size).map_err(|_| BadDatabase::Damaged)?;
        let local = local(size, self.usable);
        let mut payload = rest.get(..local).ok_or(BadDatabase::Damaged)?.to_vec();
        let mut next = if local < size { word(rest, local).ok_or(BadDatabase::Damaged)? } else { 0 };
        while payload.len() < size {
            let page = self.page(next)?;
            let count = (size - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(page.get(4..4 + count).ok_or(BadDatabase::Damaged)?);
            next = word(page, 0).ok_or(BadDatabase::Damaged)?;
        }
        Ok(payload)
    }
}

/// How much of a payload stands in the leaf itself (file format, 1.6).
fn local(size: usize, usable: usize) -> usize {
    let most = usable - 35;
    if size <= most {
        return size;
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let fitting = least + (size - least) % (usable - 4);
    if fitting <= most { fitting } else { least }
}

/// The values of a row.
fn record(row: &[u8]) -> Option<Vec<Value>> {
    let mut head = row;
    let size = usize::try_from(varint(&mut head)?).ok()?;
    let (mut types, mut data) = (row.get(row.len() - head.len()..size)?, row.get(size..)?);
    let mut values = Vec::new();
    while !types.is_empty() {
        let kind = varint(&mut types)?;
        let length = usize::try_from(match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            12.. => (kind - 12) / 2,
            _ => return None,
        });
        let (bytes, rest) = data.split_at_checked(length.ok()?)?;
        data = rest;
        let number = || bytes.iter().fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
        values.push(match kind {
            0 | 7 => Value::Null,
            8 => Value::Number(0),
            9 => Value::Number(1),
            1..=6 => Value::Number(number()),
            kind if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(bytes.to_vec()),
        });
    }
    Some(values)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as usize)
}

/// SQLite's numbers of 1 to 9 bytes: seven bits each, the ninth has eight.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for count in 0..9 {
        let byte = *rest.get(count)?;
        let (bits, shift) = if count == 8 { (byte, 8) } else { (byte & 0x7f, 7) };
        value = value << shift | u64::from(bits);
        if byte & 0x80 == 0 || count == 8 {
            *rest = &rest[count + 1..];
            return Some(value);
        }
    }
    None
}

/// A database with these blobs, numbered from 1 on. Equal blobs give equal bytes.
pub fn write(blobs: &[&[u8]]) -> Vec<u8> {
    let mut pages = Pages(vec![vec![0; PAGE]]);
    let root = pages.table(blobs);
    let schema = row(&[
        Field::Text(b"table"),
        Field::Text(TABLE.as_bytes()),
        Field::Text(TABLE.as_bytes()),
        Field::Number(root),
        Field::Text(SCHEMA.as_bytes()),
    ]);
    let cell = pages.cell(1, &schema);
    let mut first = leaf(&[cell], 100);
    let count = u32::try_from(pages.0.len()).unwrap_or(u32::MAX);
    first[..16].copy_from_slice(MAGIC);
    let head: [(usize, &[u8]); 12] = [
        (16, &[0x10, 0x00, 1, 1, 0, 64, 32, 32]),
        // Changes, pages, no free ones.
        (24, &1_u32.to_be_bytes()),
        (28, &count.to_be_bytes()),
        (32, &[0; 8]),
        // The schema's own count and the version of its format.
        (40, &1_u32.to_be_bytes()),
        (44, &4_u32.to_be_bytes()),
        (48, &[0; 8]),
        // UTF-8.
        (56, &1_u32.to_be_bytes()),
        (60, &[0; 32]),
        // For which count of changes the next number holds, which is SQLite's version 3.40.0.
        (92, &1_u32.to_be_bytes()),
        (96, &3_040_000_u32.to_be_bytes()),
        (0, MAGIC),
    ];
    for (at, bytes) in head {
        first[at..at + bytes.len()].copy_from_slice(bytes);
    }
    pages.0[0] = first;
    pages.0.concat()
}

enum Field<'a> {
    Null,
    Number(u32),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

/// A row's payload.
fn row(fields: &[Field<'_>]) -> Vec<u8> {
    let (mut types, mut data) = (Vec::new(), Vec::new());
    for field in fields {
        match field {
            Field::Null => types.extend(number(0)),
            Field::Number(value) => {
                types.extend(number(4));
                data.extend(value.to_be_bytes());
            }
            Field::Text(text) => {
                types.extend(number(13 + 2 * text.len() as u64));
                data.extend_from_slice(text);
            }
            Field::Blob(blob) => {
                types.extend(number(12 + 2 * blob.len() as u64));
                data.extend_from_slice(blob);
            }
        }
    }
    // The head counts itself; one byte is enough for it here.
    [number(types.len() as u64 + 1), types, data].concat()
}

/// A number as SQLite writes it, below 2^56.
fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(value & 0x7f).unwrap_or(0)];
    value >>= 7;
    while value > 0 {
        bytes.insert(0, u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    bytes
}

/// A leaf of cells, which begins at a place of its page. They fit.
fn leaf(cells: &[Vec<u8>], at: usize) -> Vec<u8> {
    page(0x0d, cells, None, at)
}

fn page(kind: u8, cells: &[Vec<u8>], last: Option<usize>, at: usize) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    let mut end = PAGE;
    let first = at + if last.is_some() { 12 } else { 8 };
    let half = |value: usize| u16::try_from(value).unwrap_or(0).to_be_bytes();
    for (number, cell) in cells.iter().enumerate() {
        end -= cell.len();
        page[end..end + cell.len()].copy_from_slice(cell);
        page[first + 2 * number..first + 2 * number + 2].copy_from_slice(&half(end));
    }
    page[at] = kind;
    page[at + 3..at + 5].copy_from_slice(&half(cells.len()));
    page[at + 5..at + 7].copy_from_slice(&half(end));
    if let Some(last) = last {
        page[at + 8..at + 12].copy_from_slice(&u32::try_from(last).unwrap_or(0).to_be_bytes());
    }
    page
}

/// The pages of a database that is written; the first is that of the schema.
struct Pages(Vec<Vec<u8>>);

impl Pages {
    fn add(&mut self, page: Vec<u8>) -> usize {
        self.0.push(page);
        self.0.len()
    }

    /// A table of blobs; the number of its root.
    fn table(&mut self, blobs: &[&[u8]]) -> u32 {
        let mut cells = Vec::new();
        for (number, blob) in (1..).zip(blobs) {
            cells.push((number, self.cell(number, &row(&[Field::Null, Field::Blob(blob)]))));
        }
        // The highest number below each page.
        let mut level: Vec<(u64, usize)> = Vec::new();
        for group in grouped(cells, PAGE - 8) {
            let highest = group.last().map_or(0, |(number, _)| *number);
            let cells: Vec<Vec<u8>> = group.into_iter().map(|(_, cell)| cell).collect();
            level.push((highest, self.add(leaf(&cells, 0))));
        }
        while level.len() > 1 {
            let pointers = level.into_iter().map(|(key, child)| {
                let cell = [u32::try_from(child).unwrap_or(0).to_be_bytes().to_vec(), number(key)].concat();
                ((key, child), cell)
            });
            let mut above = Vec::new();
            for mut group in grouped(pointers.collect(), PAGE - 12) {
                let Some(((highest, last), _)) = group.pop() else { continue };
                let cells: Vec<Vec<u8>> = group.into_iter().map(|(_, cell)| cell).collect();
                above.push((highest, self.add(page(0x05, &cells, Some(last), 0))));
            }
            level = above;
        }
        let root = level.first().map_or_else(|| self.add(leaf(&[], 0)), |(_, root)| *root);
        u32::try_from(root).unwrap_or(0)
    }

    /// A leaf's cell of a row, whose payload may overflow into pages of its own.
    fn cell(&mut self, rowid: u64, payload: &[u8]) -> Vec<u8> {
        let local = local(payload.len(), PAGE);
        let mut cell = [number(payload.len() as u64), number(rowid), payload[..local].to_vec()].concat();
        let chunks: Vec<&[u8]> = payload[local..].chunks(PAGE - 4).collect();
        for (place, chunk) in chunks.iter().enumerate() {
            let own = self.0.len() + 1;
            let next = if place + 1 < chunks.len() { own + 1 } else { 0 };
            let mut page = u32::try_from(next).unwrap_or(0).to_be_bytes().to_vec();
            page.extend_from_slice(chunk);
            page.resize(PAGE, 0);
            self.add(page);
            if place == 0 {
                cell.extend(u32::try_from(own).unwrap_or(0).to_be_bytes());
            }
        }
        cell
    }
}

/// Cells in groups of which each fits into a page, with two bytes for its place.
fn grouped<K>(cells: Vec<(K, Vec<u8>)>, room: usize) -> Vec<Vec<(K, Vec<u8>)>> {
    let mut groups: Vec<Vec<(K, Vec<u8>)>> = Vec::new();
    let mut used = 0;
    for (key, cell) in cells {
        let size = cell.len() + 2;
        if let Some(group) = groups.last_mut().filter(|_| used + size <= room) {
            group.push((key, cell));
            used += size;
        } else {
            groups.push(vec![(key, cell)]);
            used = size;
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(blobs: &[Vec<u8>]) -> Vec<u8> {
        let bytes = write(&blobs.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(read(&bytes).as_deref(), Ok(blobs));
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        round(&[]);
        round(&[vec![1, 2, 3]]);
        let sizes = [0, 1, 4052, 4053, 4054, 4060, 4061, 5000, 8160, 20_000, 300_000];
        round(&sizes.map(|size| vec![7; size]));
        let many: Vec<Vec<u8>> = (0..3000_u32).map(|number| number.to_be_bytes().repeat(100)).collect();
        round(&many);
    }

    #[test]
    fn damaged_bytes_are_errors_and_no_panic() {
        let bytes = round(&[vec![1; 100], vec![2; 9000]]);
        for at in (0..bytes.len()).filter(|at| at % 4096 < 200 || at % 4096 > 3900) {
            let mut bad = bytes.clone();
            bad[at] ^= 0xff;
            let _ = read(&bad);
        }
        for end in (0..bytes.len()).step_by(37) {
            assert!(read(&bytes[..end]).is_err());
        }
        assert_eq!(read(b"x"), Err(BadDatabase::NotOne));
    }
}
