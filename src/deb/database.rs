//! The files of dpkg's database beside `status`: lists of files, their MD5 sums, diversions, and the `Conffiles` field.

use bstr::ByteSlice;
use memchr::memchr_iter;

/// An MD5 digest, as dpkg records it. Good for finding out what changed, not for security.
pub type Md5 = [u8; 16];

/// The paths of `info/NAME.list`, each with its leading `/`; without the entry of the root itself.
pub fn list(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(text).filter(|line| line.len() > 1 && line[0] == b'/' && *line != b"/.")
}

/// The lines of `info/NAME.md5sums`: the digest's digits, for [`md5_of_hex`], and the path without a leading `/`. Lines
/// of names that had to be escaped are passed over: no package has one.
pub fn md5sums(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines(text).filter_map(|line| {
        let (digest, path) = line.split_at_checked(32)?;
        let path = path.strip_prefix(b"  ").or_else(|| path.strip_prefix(b" *"))?;
        let path = path.strip_prefix(b"./").or_else(|| path.strip_prefix(b"/")).unwrap_or(path);
        if path.is_empty() { None } else { Some((digest, path)) }
    })
}

/// The digest that 32 hexadecimal digits say.
pub fn md5_of_hex(digits: &[u8]) -> Option<Md5> {
    let digits: &[u8; 32] = digits.try_into().ok()?;
    let mut digest = [0; 16];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(digest)
}

/// One diversion: other packages' file at `from` stands at `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diversion<'a> {
    /// Where other packages want their file.
    pub from: &'a [u8],
    /// Where it stands instead.
    pub to: &'a [u8],
    /// The package whose own file may stand at `from`; `None` for a local diversion, which is nobody's.
    pub by: Option<&'a [u8]>,
}

/// The entries of `diversions`: three lines each.
pub fn diversions(text: &[u8]) -> impl Iterator<Item = Diversion<'_>> {
    let mut lines = lines(text);
    std::iter::from_fn(move || {
        let (from, to, by) = (lines.next()?, lines.next()?, lines.next()?);
        Some(Diversion { from, to, by: (by != b":").then_some(by) })
    })
}

/// An entry of a stanza's `Conffiles` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conffile<'a> {
    /// Its path, with the leading `/`.
    pub path: &'a [u8],
    /// Whether the package's present version no longer has it.
    pub obsolete: bool,
}

/// The entries of the value of a `Conffiles` field: a path, an MD5 digest and perhaps words like `obsolete` on each
/// line. A path may hold spaces.
pub fn conffiles(value: &[u8]) -> impl Iterator<Item = Conffile<'_>> {
    lines(value).filter_map(|line| {
        let mut line = line.trim_ascii();
        let mut obsolete = false;
        while let Some((rest, word)) = line.rsplit_once_str(" ") {
            match word {
                b"obsolete" => obsolete = true,
                b"remove-on-upgrade" => {}
                _ => {
                    line = rest;
                    break;
                }
            }
            line = rest;
        }
        line.starts_with(b"/").then_some(Conffile { path: line, obsolete })
    })
}

/// Lines without their newline; the last may lack it.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b'\n', text).chain((!text.ends_with(b"\n")).then_some(text.len())).map(move |end| {
        let line = &text[start..end];
        start = end + 1;
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let text = b"/.\n/usr\n\nusr/x\n/usr/a b";
        assert_eq!(list(text).collect::<Vec<_>>(), [b"/usr".as_slice(), b"/usr/a b"]);
        assert_eq!(list(b"").count(), 0);
    }

    #[test]
    fn sums() {
        let text = b"00ff00ff00ff00ff00ff00ff00ff00FF  usr/a b\nshort  x\nz0ff00ff00ff00ff00ff00ff00ff00ff  bad\n\
            00ff00ff00ff00ff00ff00ff00ff00ff  ./c\n00ff00ff00ff00ff00ff00ff00ff00ff";
        let all: Vec<_> = md5sums(text).map(|(digits, path)| (md5_of_hex(digits), path)).collect();
        let digest: Option<Md5> = [0, 255].repeat(8).try_into().ok();
        assert_eq!(all, [(digest, b"usr/a b".as_slice()), (None, b"bad"), (digest, b"c")]);
    }

    #[test]
    fn diverted() {
        let all: Vec<_> = diversions(b"/bin/sh\n/bin/sh.distrib\ndash\n/a\n/b\n:\n/cut\n").collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].by, all[1].by), (Some(b"dash".as_slice()), None));
    }

    #[test]
    fn configuration_files() {
        let value =
            b"/etc/a b cc3493ecd2d09837ffdcc3e25fdfff18\n /etc/old 11a06baf8245fd8d690b99024d228c1f obsolete\n x y";
        let all: Vec<_> = conffiles(value).map(|file| (file.path, file.obsolete)).collect();
        assert_eq!(all, [(b"/etc/a b".as_slice(), false), (b"/etc/old", true)]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(text: Vec<u8>) {
            proptest::prop_assert!(list(&text).chain(md5sums(&text).map(|(_, path)| path)).all(|path| !path.is_empty()));
            let _ = (diversions(&text).count(), conffiles(&text).count());
        }
    }
}
