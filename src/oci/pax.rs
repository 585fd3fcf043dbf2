//! PAX extended headers: records that stand for fields of the next header.

/// What a PAX header says of the next entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<i64>,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
    /// Whether there were any, of whatever kind.
    present: bool,
}

impl Records {
    pub(super) fn is_empty(&self) -> bool {
        !self.present
    }

    /// Whether they change nothing, as those that `git archive` writes for all entries.
    pub(super) fn is_comment(&self) -> bool {
        *self == Self { present: self.present, ..Self::default() }
    }
}

/// Reads the records of a header. The error completes "a record that ...".
pub(super) fn parse(mut data: &[u8]) -> Result<Records, &'static str> {
    let mut records = Records { present: true, ..Records::default() };
    while !data.is_empty() {
        let (key, value, rest) = record(data).ok_or("has an extension that breaks its format")?;
        data = rest;
        records.enter(key, value)?;
    }
    Ok(records)
}

/// One record, `LENGTH KEY=VALUE\n`, and what follows it.
fn record(data: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let digits = data.iter().take(10).position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&data[..digits]).ok()?.parse().ok()?;
    let record = data.get(..length)?.get(digits + 1..)?.strip_suffix(b"\n")?;
    let equals = memchr::memchr(b'=', record)?;
    Some((std::str::from_utf8(&record[..equals]).ok()?, &record[equals + 1..], &data[length..]))
}

impl Records {
    fn enter(&mut self, key: &str, value: &[u8]) -> Result<(), &'static str> {
        let number = || std::str::from_utf8(value).ok()?.parse().ok();
        match key {
            "path" if !value.contains(&0) => self.path = Some(value.to_vec()),
            "linkpath" if !value.contains(&0) => self.link = Some(value.to_vec()),
            "path" | "linkpath" => return Err("has a name with a NUL byte"),
            "size" => self.size = Some(number().ok_or("has a size that is no number")?),
            "uid" => self.uid = Some(number().ok_or("has an owner that is no number")?),
            "gid" => self.gid = Some(number().ok_or("has a group that is no number")?),
            "mtime" => self.mtime = Some(seconds(value).ok_or("has a time that is no number")?),
            _ if key.starts_with("GNU.sparse.") => return Err("is a sparse file, which not every program knows"),
            _ => {
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    self.xattrs.push((name.to_owned(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// Whole seconds of a time with or without a fraction.
fn seconds(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    fraction.bytes().all(|byte| byte.is_ascii_digit()).then(|| whole.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_to_the_byte() {
        let records = parse(b"9 path=a\n27 mtime=1700000000.123456\n15 comment=hi!\n").unwrap();
        assert_eq!((records.path, records.mtime), (Some(b"a".to_vec()), Some(1_700_000_000)));
        for bad in ["9 path=a", "11 path=a\n", "8 path=a\n", " path=a\n", "9 path:a\n", "99999999999 path=a\n", "x"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"11 path=\0a\n").is_err());
        assert!(parse(b"15 comment=hi!\n").unwrap().is_comment());
    }
}
