//! apk's database of installed packages, `lib/apk/db/installed`: bytes in, borrowed pieces of them out, and the same
//! with fewer files. Knows nothing of images; never fails, since whatever is not of the format is passed over.

use base64::prelude::{BASE64_STANDARD, Engine as _};

/// A package of the database, as its lines stand there: `X:value`, files last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package<'a>(pub &'a [u8]);

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path, without leading `/`.
    pub path: Vec<u8>,
    /// The SHA-1 digest that the package records: of a link, that of its text.
    pub sha1: Option<[u8; 20]>,
}

/// The packages of a database.
pub fn packages(text: &[u8]) -> impl Iterator<Item = Package<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while let [b'\n', after @ ..] = rest {
            rest = after;
        }
        let end = memchr::memmem::find(rest, b"\n\n").map_or(rest.len(), |end| end + 1);
        let (package, after) = rest.split_at(end);
        rest = after;
        (!package.is_empty()).then_some(Package(package))
    })
}

impl<'a> Package<'a> {
    /// The value of a field by its letter.
    pub fn field(self, letter: u8) -> Option<&'a str> {
        let line =
            self.lines().take_while(|line| !line.starts_with(b"F:")).find(|line| line.first() == Some(&letter))?;
        std::str::from_utf8(line.strip_prefix(&[letter, b':'])?).ok().filter(|value| !value.is_empty())
    }

    /// Its files and links.
    pub fn files(self) -> Vec<File> {
        let mut files: Vec<File> = Vec::new();
        let mut folder: &[u8] = b"";
        for line in self.lines() {
            match line {
                [b'F', b':', path @ ..] => folder = path,
                [b'R', b':', name @ ..] => files.push(File { path: joined(folder, name), sha1: None }),
                [b'Z', b':', b'Q', b'1', digest @ ..] => {
                    if let Some(last) = files.last_mut() {
                        last.sha1 = std::str::from_utf8(digest).ok().and_then(sha1);
                    }
                }
                _ => {}
            }
        }
        files
    }

    /// Its lines with only those files that are kept, and only the folders that these are in.
    pub fn with_files(self, keep: &dyn Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut out = Vec::new();
        let (mut folder, mut head): (&[u8], Vec<u8>) = (b"", Vec::new());
        // Whether what follows belongs to a kept file, to one that is not, or to a folder.
        let mut state = None;
        for line in self.lines() {
            match line {
                [b'F', b':', path @ ..] => (folder, head, state) = (path, with_end(line), Some(None)),
                [b'R', b':', name @ ..] => {
                    let kept = keep(&joined(folder, name));
                    if kept {
                        out.append(&mut head);
                        out.append(&mut with_end(line));
                    }
                    state = Some(Some(kept));
                }
                _ => match state {
                    Some(None) => head.append(&mut with_end(line)),
                    None | Some(Some(true)) => out.append(&mut with_end(line)),
                    Some(Some(false)) => {}
                },
            }
        }
        out
    }

    fn lines(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
    }
}

fn with_end(line: &[u8]) -> Vec<u8> {
    [line, b"\n"].concat()
}

fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

fn sha1(digits: &str) -> Option<[u8; 20]> {
    BASE64_STANDARD.decode(digits).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nF:lib\nM:0:0:755\nR:ld-musl-x86_64.so.1\na:0:0:755\n\
        Z:Q1qUqhkdEhxgHtKAmWEnqJ2bkTYA0=\nR:other\nZ:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nF:usr\nF:usr/bin\nR:ldd\n\nP:empty\nV:1\n\n";

    #[test]
    fn files_are_read_and_left_out() {
        let all: Vec<Package<'_>> = packages(TEXT.as_bytes()).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].field(b'P'), all[0].field(b'o'), all[1].field(b'A')), (Some("musl"), Some("musl"), None));
        let files = all[0].files();
        let paths: Vec<&[u8]> = files.iter().map(|file| file.path.as_slice()).collect();
        assert_eq!(paths, [b"lib/ld-musl-x86_64.so.1".as_slice(), b"lib/other", b"usr/bin/ldd"]);
        assert!(files[0].sha1.is_some() && files[2].sha1.is_none());
        let fewer = all[0].with_files(&|path| path.starts_with(b"lib/ld"));
        assert_eq!(
            String::from_utf8(fewer).unwrap(),
            "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nF:lib\nM:0:0:755\nR:ld-musl-x86_64.so.1\na:0:0:755\n\
             Z:Q1qUqhkdEhxgHtKAmWEnqJ2bkTYA0=\n"
        );
        let folders = all[0].with_files(&|_| true);
        assert!(!String::from_utf8(folders).unwrap().contains("F:usr\n"), "a folder without files");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(text: Vec<u8>) {
            for package in packages(&text) {
                let _ = (package.field(b'P'), package.files(), package.with_files(&|_| true));
            }
        }
    }
}
